"""The metrics of generated text: what they ask the model, which estimates come out, and what is never 0."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.generation.metrics import (
    GenderPolarityEmbedding,
    GenderPolarityUnigram,
    GenerationRegard,
    GenerationSentiment,
    GenerationToxicity,
    Honest,
)
from holdfast.fairness.generation.scorers import CallableScorer, LexiconScorer
from holdfast.fairness.inference import Inference
from holdfast.fairness.metric import Metric

CLASSES = [GenderPolarityUnigram, GenderPolarityEmbedding, GenerationSentiment, GenerationToxicity, GenerationRegard, Honest]
NAMES = [
    "gender-polarity-unigram",
    "gender-polarity-embedding",
    "generation-sentiment",
    "generation-toxicity",
    "generation-regard",
    "honest",
]


def rows(evidence: Evidence, name: str, **conditions):
    return [e for e in evidence.estimates if e.name == name and all(e.conditions.get(key) == value for key, value in conditions.items())]


def one(evidence: Evidence, name: str, **conditions):
    (found,) = rows(evidence, name, **conditions)
    return found


def make(kind, vectors=None, **options):
    return kind(vectors=vectors, **options) if kind is GenderPolarityEmbedding else kind(**options)


@pytest.mark.parametrize(("kind", "name"), list(zip(CLASSES, NAMES, strict=True)))
def test_each_has_a_card_with_criticism_and_harms(kind, name, vectors):
    metric = make(kind, vectors)
    assert isinstance(metric, Metric)
    assert metric.card.name == name
    assert metric.needs == "generator"
    assert len(metric.card.criticism) >= 4
    assert len(metric.card.harms.split()) > 8
    assert metric.card.level == "generation"
    json.dumps(metric.card.describe())


@pytest.mark.parametrize("name", ["gender-polarity-unigram", "gender-polarity-embedding", "honest"])
def test_cards_with_gender_lists_say_that_they_are_binary(name):
    card = CLASSES[NAMES.index(name)].card
    assert any("binary gender" in sentence for sentence in card.criticism)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_estimate_says_metric_scorer_hash_and_interval_or_reason(kind, vectors, made, quick):
    texts = made({"a": [["she is good", "an idiot"], ["he is cruel", "x"]] * 5, "b": [["he is honest", "she"]] * 10}, written_by="model")
    evidence = make(kind, vectors).measure(texts, subject="run", inference=quick)
    assert len(evidence.estimates) > 3
    for estimate in evidence.estimates:
        assert estimate.conditions["metric"] == kind.card.name
        assert estimate.conditions["written_by"] == "model"
        assert estimate.conditions["groups"] == "group"
        assert len(estimate.conditions["scorer_sha256"]) == 64
        assert estimate.subject == "run"
        assert estimate.interval is not None or estimate.missing or "no interval" in estimate.method, estimate
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


@pytest.mark.parametrize("kind", CLASSES)
def test_groups_without_text_or_prompt_stay_with_a_reason_and_are_never_0(kind, vectors, made, quick):
    texts = made({"a": [["she is good"], ["he is bad"]] * 5, "silent": [[""], [" "]]}, names=["a", "nobody", "silent"])
    evidence = make(kind, vectors).measure(texts, subject="run", inference=quick)
    for name in {e.name for e in evidence.estimates if "group" in e.conditions}:
        nobody, silent = one(evidence, name, group="nobody"), one(evidence, name, group="silent")
        assert nobody.value is None
        assert nobody.missing == "no prompt speaks of this group"
        if kind is not Honest:  # HONEST counts an empty completion as one that does not hurt
            assert silent.value is None
            assert silent.missing == "2 prompts but no text that holds anything"
    gaps = [e for e in evidence.estimates if e.conditions.get("statistic") == "difference"]
    assert gaps
    if kind is not Honest:
        assert all(e.value is None and "1 of 3 groups have a value" in e.missing and e.conditions["undefined"] == 2 for e in gaps)


def test_polarity_of_a_group_without_gendered_words_is_missing(made, quick):
    texts = made({"a": [["she"], ["he"]] * 10, "stones": [["a stone"]] * 10})
    evidence = GenderPolarityUnigram().measure(texts, subject="run", inference=quick)
    for name in ("gender_polarity_gap", "female_share", "gender_polarity_ratio"):
        found = one(evidence, name, group="stones")
        assert found.value is None
        assert "no gendered text among 10" in found.missing
        assert one(evidence, name, group="a").value is not None


def test_polarity_numbers_by_hand(made, quick):
    texts = made({"nurses": [["she"]] * 30 + [["he"]] * 10 + [["stone"]] * 10, "smiths": [["he"]] * 20 + [["her"]] * 20})
    evidence = GenderPolarityUnigram().measure(texts, subject="run", inference=quick)
    assert one(evidence, "gender_polarity_gap", group="nurses").value == pytest.approx(0.4)
    assert one(evidence, "gender_polarity_gap", group="smiths").value == 0
    assert one(evidence, "gender_polarity_gap", statistic="overall").value == pytest.approx(20 / 90)
    assert one(evidence, "female_share", group="nurses").value == 0.75
    nurses, smiths = (one(evidence, "gender_polarity_ratio", group=group) for group in ("nurses", "smiths"))
    assert nurses.value == pytest.approx(1 / 3)
    assert smiths.value == 1
    assert smiths.interval.high == 1
    assert nurses.conditions["gendered_texts"] == 40
    assert nurses.conditions["expected_at_parity"] == pytest.approx(0.788, abs=0.01)
    assert nurses.conditions["p_value"] == pytest.approx(2 * stats.binom.cdf(10, 40, 0.5))
    assert nurses.conditions["p_adjusted"] == pytest.approx(2 * nurses.conditions["p_value"])
    assert smiths.conditions["p_value"] == pytest.approx(1)
    average = one(evidence, "gender_polarity_ratio", statistic="average")
    smallest = one(evidence, "gender_polarity_ratio", statistic="minimum")
    assert average.value == pytest.approx(2 / 3)
    assert (smallest.value, smallest.conditions["worst"]) == (pytest.approx(1 / 3), "nurses")
    assert average.conditions["expected_at_parity"] > smallest.conditions["expected_at_parity"] > 0.6
    difference = one(evidence, "gender_polarity_gap_difference")
    assert difference.value == pytest.approx(0.4)
    assert any("expected_at_parity" in note for note in evidence.notes)


def test_few_gendered_texts_can_be_kept_out_of_average_and_minimum(made, quick):
    texts = made({"many": [["she"], ["he"]] * 20, "few": [["she"]]})
    for least, smallest, undefined in ((1, 0.0, 0), (5, 1.0, 1)):
        evidence = GenderPolarityUnigram(least_gendered=least).measure(texts, subject="run", inference=quick)
        found = one(evidence, "gender_polarity_ratio", statistic="minimum")
        assert (found.value, found.conditions["undefined"]) == (smallest, undefined)
        assert found.conditions["least_gendered"] == least
        assert one(evidence, "gender_polarity_ratio", group="few").value == 0
    nothing = GenderPolarityUnigram(least_gendered=99).measure(texts, subject="run", inference=quick)
    assert one(nothing, "gender_polarity_ratio", statistic="average").missing == "no group has 99 gendered texts or more"


def test_samples_of_one_prompt_are_one_toss(made, quick):
    """Twenty samples from each of three female prompts prove little; sixty female prompts prove much."""
    clustered = GenderPolarityUnigram().measure(made({"a": [["she"] * 20] * 3}), subject="r", inference=quick)
    single = GenderPolarityUnigram().measure(made({"a": [["she"]] * 60}), subject="r", inference=quick)
    assert one(clustered, "gender_polarity_ratio", group="a").conditions["p_value"] == pytest.approx(0.25)
    assert one(single, "gender_polarity_ratio", group="a").conditions["p_value"] < 1e-15


def test_embedding_variants(made, quick, vectors):
    texts = made({"nurses": [["the nurse"], ["a nurse she"]] * 10, "smiths": [["a smith"], ["smith he Mary"]] * 10})
    raw = GenderPolarityEmbedding(vectors=vectors, hard_debiased=False).measure(texts, subject="r", inference=quick)
    assert one(raw, "female_share", group="nurses").value == 1
    assert one(raw, "gender_polarity_gap", group="nurses").value == 1
    neutral = GenderPolarityEmbedding(vectors=vectors).measure(texts, subject="r", inference=quick)
    assert one(neutral, "gender_polarity_gap", group="nurses").value == 0.5
    assert one(neutral, "gender_polarity_gap", group="smiths").value == -0.5
    variant = one(neutral, "female_share", group="nurses").conditions["variant"]
    assert variant == "embedding, max, vectors hard-debiased, names left out"
    hashes = {one(e, "female_share", group="nurses").conditions["scorer_sha256"] for e in (raw, neutral)}
    assert len(hashes) == 1  # the same vectors and list; how they are used stands in the variant


def test_word_vectors_are_read_from_a_file(made, quick, vectors, tmp_path):
    path = tmp_path / "plane.txt"
    path.write_text("\n".join(f"{word} {x} {y}" for word, (x, y) in zip(vectors.words, vectors.matrix.tolist(), strict=True)))
    specific = tmp_path / "specific.txt"
    specific.write_text("nurse\n")
    texts = made({"nurses": [["the nurse"]] * 10, "smiths": [["smith"]] * 10})
    evidence = GenderPolarityEmbedding(vectors=str(path), gender_specific=str(specific)).measure(texts, subject="r", inference=quick)
    assert one(evidence, "gender_polarity_gap", group="nurses").value == 1
    assert one(evidence, "gender_polarity_gap", group="smiths").value is None


def test_bold_is_generated_capped_and_compared_with_people(bold, parrot, quick):
    model = parrot(lambda prompt, sample, draw: "she" if "urse" in prompt else "he")
    metric = GenderPolarityUnigram(bold=str(bold), domains=["profession"], samples=2, prompts_per_group=2, most_words=9, top_p=0.7)
    evidence = metric.measure(model, subject="r", inference=quick)
    assert model.calls == [(4, 2, 9, 0.7, 1.0)]
    written = one(evidence, "gender_polarity_gap", group="nurses", written_by="model")
    assert (written.value, written.conditions["samples"], written.conditions["rows"]) == (1, 2, 4)
    people = one(evidence, "female_share", group="smiths", written_by="people")
    assert (people.value, people.conditions["rows"]) == (0, 2)
    assert "samples" not in people.conditions
    assert evidence.estimates[0].conditions["written_by"] == "model"
    alone = replace(metric, people=False).measure(model, subject="r", inference=quick)
    assert {e.conditions["written_by"] for e in alone.estimates} == {"model"}


def test_people_alone_without_the_prompt_itself(bold, quick):
    evidence = GenerationSentiment(bold=str(bold), domains=["gender", "profession"]).measure(None, subject="people", inference=quick)
    assert {e.conditions["groups"] for e in evidence.estimates} == {"gender", "profession"}
    assert one(evidence, "mean_sentiment", group="nurses").conditions["rows"] == 4
    scorer = CallableScorer(function=lambda texts: [len(text) / 100 for text in texts], name="length", version="1", content=b"1")
    lengths = GenerationToxicity(bold=str(bold), domains=["gender"], scorer=scorer).measure(None, subject="people", inference=quick)
    assert one(lengths, "mean_toxicity", group="American_actors").value == pytest.approx(len("and he sang.") / 100)


def test_metrics_of_one_seed_rate_the_same_texts(bold, parrot, quick):
    model = parrot(lambda prompt, sample, draw: f"text {draw.integers(10**9)}")
    first = GenerationSentiment(bold=str(bold), domains=["gender"]).gathered(model)[0]
    second = GenerationToxicity(bold=str(bold), domains=["gender"]).gathered(model)[0]
    other = GenerationToxicity(bold=str(bold), domains=["gender"], seed=1).gathered(model)[0]
    assert first.written == second.written != other.written


def test_given_texts_are_rated_without_a_model(tmp_path, quick):
    path = tmp_path / "texts.jsonl"
    lines = [{"prompt": f"p{i}", "group": "a" if i % 2 else "b", "text": "good" if i % 2 else "very bad and cruel"} for i in range(40)]
    path.write_text("\n".join(map(json.dumps, lines)))
    evidence = GenerationSentiment(texts=str(path)).measure(None, subject="r", inference=quick)
    assert one(evidence, "negative_sentiment_share", group="b").value == 1
    assert one(evidence, "negative_sentiment_share_difference").value == 1
    assert one(evidence, "negative_sentiment_share_difference").conditions["worst"] == "b"
    assert one(evidence, "negative_sentiment_share", statistic="worst group").value == 1
    assert evidence.estimates[0].conditions["written_by"] == "given"
    with pytest.raises(InputError, match="nothing to rate"):
        GenerationSentiment().measure(None, subject="r", inference=quick)


def test_a_verdict_needs_a_margin_and_enough_texts(made):
    texts = made({"a": [["good and honest"], ["stone"]] * 200, "b": [["good and honest"], ["stone"]] * 200})
    wide = Inference(replicates=200, permutations=100, margin=0.5)
    evidence = GenerationSentiment().measure(texts, subject="r", inference=wide)
    assert one(evidence, "positive_sentiment_share_difference").conditions["verdict"] == "fair within the margin"
    narrow = Inference(replicates=200, permutations=100, margin=0.001)
    evidence = GenerationSentiment().measure(texts, subject="r", inference=narrow)
    assert one(evidence, "positive_sentiment_share_difference").conditions["verdict"] == "not enough data"


def test_the_worst_of_k_is_averaged_over_all_choices(made, quick):
    scorer = LexiconScorer(name="s", values={"bad": 0.8}, combine="any")
    texts = made({"a": [["bad", "x", "x", "x"]] * 5 + [["x"]] * 2, "b": [["x", "x", "x", "x"]] * 5}, written_by="model")
    evidence = GenerationToxicity(scorer=scorer, samples=4, k=2).measure(texts, subject="r", inference=quick)
    a = one(evidence, "expected_max_toxicity", group="a")
    assert a.value == pytest.approx(0.4)  # half of the six pairs hold the bad one
    assert one(evidence, "any_toxic_probability", group="a").value == pytest.approx(0.5)
    assert (a.conditions["k"], a.conditions["prompts_with_fewer_texts"]) == (2, 2)
    assert one(evidence, "toxic_share", group="a").value == pytest.approx(5 / 22)
    whole = GenerationToxicity(scorer=scorer, samples=4).measure(texts, subject="r", inference=quick)
    assert one(whole, "expected_max_toxicity", group="a").value == pytest.approx(0.8)
    single = GenerationToxicity(scorer=scorer).measure(made({"a": [["x"]] * 9, "b": [["x"]] * 9}), subject="r", inference=quick)
    assert not rows(single, "expected_max_toxicity")
    with pytest.raises(InputError, match="k 3 must be from 1 to the 2 samples"):
        GenerationToxicity(samples=2, k=3)


def test_a_scorer_that_does_not_fit_encyclopaedias_is_told(made, quick):
    angry = LexiconScorer(name="angry", values={"person": 0.9}, combine="any")
    texts = made({"a": [["a person"]] * 9, "b": [["the stone"]] * 9}, written_by="people")
    notes = GenerationToxicity(scorer=angry).measure(texts, subject="r", inference=quick).notes
    assert any("angry calls 50% of what people wrote" in note for note in notes)
    calm = GenerationToxicity().measure(texts, subject="r", inference=quick).notes
    assert not any("does not fit" in note for note in calm)


def test_regard_shares_and_own_scorers(made, quick):
    texts = made({"a": [["was a thief."]] * 10, "b": [["was a doctor."], ["was here."]] * 5})
    evidence = GenerationRegard().measure(texts, subject="r", inference=quick)
    assert one(evidence, "negative_regard_share", group="a").value == 1
    assert one(evidence, "neutral_regard_share", group="b").value == 0.5
    assert one(evidence, "negative_regard_share", group="a").conditions["scorer"] == "holdfast regard rule 1"
    thirds = CallableScorer(function=lambda t: np.full((len(t), 3), 1 / 3), name="thirds", version="1", content=b"3")
    evidence = GenerationRegard(scorer=thirds).measure(texts, subject="r", inference=quick)
    assert one(evidence, "positive_regard_share", group="b").value == pytest.approx(1 / 3)


@pytest.mark.parametrize("kind", [GenerationSentiment, GenerationToxicity, GenerationRegard])
def test_a_wrong_pin_is_refused_before_anything_is_said(kind, made, quick):
    with pytest.raises(InputError, match="was pinned"):
        kind(scorer_sha256="0" * 64).measure(made({"a": [["x"]]}), subject="r", inference=quick)


def test_texts_of_another_language_are_told(made, quick, vectors):
    texts = made({"a": [["Katzen schlafen gern lange"]] * 10, "b": [["Er geht heute nach Hause"]] * 10})
    for kind in CLASSES:
        notes = make(kind, vectors).measure(texts, subject="r", inference=quick).notes
        assert any("100% of the texts" in note and "another language" in note for note in notes), kind
    evidence = GenerationSentiment().measure(texts, subject="r", inference=quick)
    assert evidence.estimates[0].conditions["texts_without_scored_word"] == 1
    german = LexiconScorer(name="de", values={"gern": 1.0}, language="de")
    evidence = GenerationSentiment(scorer=german).measure(texts, subject="r", inference=quick)
    assert evidence.estimates[0].conditions["texts_without_scored_word"] == 0.5
    assert not any("another language" in note for note in evidence.notes)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (GenerationSentiment, {"domains": ["genders"]}, "domains"),
        (GenerationSentiment, {"domains": []}, "domains"),
        (GenerationSentiment, {"prompts_per_group": 0}, "prompts_per_group 0"),
        (GenerationSentiment, {"unit": "text"}, "unit 'text'"),
        (GenerationSentiment, {"samples": 0}, "samples 0"),
        (GenerationSentiment, {"threshold": 1.0}, "threshold 1"),
        (GenerationSentiment, {"seed": -1}, "seed"),
        (GenerationToxicity, {"threshold": 0}, "threshold 0"),
        (GenderPolarityUnigram, {"female_words": ["he"]}, "without a common word"),
        (GenderPolarityUnigram, {"least_gendered": 0}, "least_gendered 0"),
        (GenderPolarityEmbedding, {"vectors": "x", "combine": "mean"}, "combine 'mean'"),
        (GenderPolarityEmbedding, {"vectors": "x", "names": "swapped"}, "names 'swapped'"),
        (GenderPolarityEmbedding, {"vectors": "x", "threshold": 1.5}, "threshold 1.5"),
        (Honest, {"completions": "tokens"}, "completions 'tokens'"),
        (Honest, {"bold": "x"}, "bold is given"),
    ],
)
def test_options_out_of_bounds(kind, options, says):
    with pytest.raises(InputError, match=says):
        kind(**options)


@pytest.mark.shared
def test_what_people_wrote_in_wikipedia(shared_data, quick):
    """Actors are written about as men and actresses as women; a measure that does not see that sees nothing."""
    evidence = GenderPolarityUnigram(bold=str(shared_data / "bold"), domains=["gender"]).measure(None, subject="people", inference=quick)
    assert one(evidence, "female_share", group="American_actors").value == pytest.approx(0.026, abs=0.002)
    assert one(evidence, "female_share", group="American_actresses").value == pytest.approx(0.972, abs=0.002)
    difference = one(evidence, "gender_polarity_gap_difference")
    assert difference.value == pytest.approx(0.4475, abs=0.001)
    assert difference.interval.low > 0.3
