"""Invariants of whole measurements: seeds, order, other domains, swapped genders, units; and a model with a known leaning."""

import json
from dataclasses import replace

import numpy as np
import pytest

from holdfast.core.evidence import Evidence
from holdfast.fairness.generation import Texts
from holdfast.fairness.generation.metrics import (
    GenderPolarityEmbedding,
    GenderPolarityUnigram,
    GenerationRegard,
    GenerationSentiment,
    GenerationToxicity,
    Honest,
)
from holdfast.fairness.generation.metrics.polarity_evidence import _ratio_ends
from holdfast.fairness.generation.polarity import unigram_polarity
from holdfast.fairness.generation.scorers import LexiconScorer, term_shift
from holdfast.fairness.inference import Inference

GLOVE = "glove_twitter_25d_12k/glove_twitter_25d_12k.txt.gz"


def one(evidence: Evidence, name: str, **conditions):
    (found,) = [e for e in evidence.estimates if e.name == name and all(e.conditions.get(k) == v for k, v in conditions.items())]
    return found


def told(evidence: Evidence) -> dict:
    """Values and intervals by what they are of."""
    keys = ("groups", "group", "statistic", "written_by")
    return {
        (e.name, *(e.conditions.get(key) for key in keys)): (e.value, e.interval, e.conditions.get("p_value"), e.missing)
        for e in evidence.estimates
    }


@pytest.fixture
def leaning(parrot):
    """Writes of nurses as women in 8 of 10 texts, of smiths in 2 of 10, and insults smiths in 3 of 10."""

    def says(prompt, sample, draw):
        nurse = "urse" in prompt or "idwife" in prompt
        pronoun = "she" if draw.random() < (0.8 if nurse else 0.2) else "he"
        insult = "is an idiot" if not nurse and draw.random() < 0.3 else "is kind"
        return f"and {pronoun} {insult}."

    return parrot(says)


@pytest.fixture
def many(made):
    """Sixty prompts of each of three groups, four texts each, from a seed."""
    draw = np.random.Generator(np.random.PCG64(8))
    sayings = ["she was good", "he was cruel", "the stone fell", "her brave and honest work", "his idiotic lies", ""]
    groups = {group: [[sayings[i] for i in draw.integers(0, 6, 4)] for _ in range(60)] for group in ("a", "b", "c")}
    return made(groups, written_by="model")


@pytest.mark.parametrize("kind", [GenderPolarityUnigram, GenerationSentiment, GenerationToxicity, GenerationRegard, Honest])
def test_one_seed_gives_one_evidence_and_another_moves_intervals_only(kind, many, quick):
    first, again = (kind().measure(many, subject="r", inference=quick) for _ in range(2))
    assert json.dumps(first.to_json()) == json.dumps(again.to_json())
    other = kind().measure(many, subject="r", inference=replace(quick, seed=1))
    assert [e.value for e in other.estimates] == [e.value for e in first.estimates]
    assert [e.interval for e in other.estimates] != [e.interval for e in first.estimates]


def test_values_lie_in_their_intervals_and_intervals_in_the_range_of_the_value(many, quick):
    for kind in (GenderPolarityUnigram, GenerationSentiment, GenerationToxicity, GenerationRegard, Honest):
        for estimate in kind().measure(many, subject="r", inference=quick).estimates:
            if estimate.interval is None:
                continue
            least = -1 if estimate.name in ("gender_polarity_gap", "mean_sentiment") else 0
            assert estimate.interval.low <= estimate.value <= estimate.interval.high, estimate
            if estimate.conditions.get("statistic") != "difference":
                assert least <= estimate.interval.low
                assert estimate.interval.high <= 1, estimate
            assert 0 <= estimate.conditions.get("p_value", 1) <= 1


def test_the_order_of_prompts_does_not_move_values_or_parity(many, quick):
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(many.asked))
    shuffled = replace(many, asked=tuple(many.asked[i] for i in order), written=tuple(many.written[i] for i in order))
    for kind in (GenderPolarityUnigram, GenerationSentiment):
        first, second = (kind().measure(texts, subject="r", inference=quick) for texts in (many, shuffled))
        for one_of, other in zip(first.estimates, second.estimates, strict=True):
            assert one_of.value == pytest.approx(other.value, abs=1e-12)
        if kind is GenderPolarityUnigram:
            ratios = [
                [e.conditions["p_value"] for e in ev.estimates if e.name == "gender_polarity_ratio" and "group" in e.conditions]
                for ev in (first, second)
            ]
            assert ratios[0] == pytest.approx(ratios[1])


def test_a_domain_does_not_move_the_numbers_of_another(bold, quick):
    alone = GenerationSentiment(bold=str(bold), domains=["gender"]).measure(None, subject="r", inference=quick)
    both = GenerationSentiment(bold=str(bold), domains=["profession", "gender"]).measure(None, subject="r", inference=quick)
    assert {key: value for key, value in told(both).items() if key[1] == "gender"} == told(alone)


def test_people_do_not_move_the_numbers_of_the_model(bold, leaning, quick):
    metric = GenderPolarityUnigram(bold=str(bold), samples=3)
    both, alone = (replace(metric, people=people).measure(leaning, subject="r", inference=quick) for people in (True, False))
    assert {key: value for key, value in told(both).items() if key[-1] == "model"} == told(alone)


def swapped(texts: Texts) -> Texts:
    pairs = {"she": "he", "he": "she", "her": "his", "his": "her"}
    written = tuple(tuple(" ".join(pairs.get(word, word) for word in text.split()) for text in row) for row in texts.written)
    return replace(texts, written=written)


def test_swapping_the_genders_turns_gaps_around_and_leaves_ratios(many, quick):
    first, second = (GenderPolarityUnigram().measure(texts, subject="r", inference=quick) for texts in (many, swapped(many)))
    for group in ("a", "b", "c"):
        gaps = [one(evidence, "gender_polarity_gap", group=group).value for evidence in (first, second)]
        assert gaps[0] == pytest.approx(-gaps[1])
        shares = [one(evidence, "female_share", group=group).value for evidence in (first, second)]
        assert shares[0] == pytest.approx(1 - shares[1])
        ratios = [one(evidence, "gender_polarity_ratio", group=group) for evidence in (first, second)]
        assert ratios[0].value == pytest.approx(ratios[1].value)
        for condition in ("p_value", "expected_at_parity", "p_adjusted"):
            assert ratios[0].conditions[condition] == pytest.approx(ratios[1].conditions[condition])
    assert np.array_equal(unigram_polarity(many.texts).polarity, -unigram_polarity(swapped(many).texts).polarity)


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        (0.5, 0.75, (1 / 3, 1.0)),
        (0.4, 0.6, (2 / 3, 1.0)),
        (0.2, 0.4, (0.25, 2 / 3)),
        (0.6, 0.8, (0.25, 2 / 3)),
        (0.0, 1.0, (0.0, 1.0)),
        (0.9, 1.0, (0.0, 1 / 9)),
    ],
)
def test_the_interval_of_the_ratio_holds_every_ratio_of_the_interval_of_the_share(low, high, ends):
    assert _ratio_ends(low, high) == pytest.approx(ends)
    shares = np.linspace(low, high, 1001)
    ratios = np.minimum(shares, 1 - shares) / np.maximum(shares, 1 - shares)
    assert ratios.min() == pytest.approx(ends[0])
    assert ratios.max() == pytest.approx(ends[1], abs=1e-3)
    assert np.isnan(_ratio_ends(float("nan"), 0.5)).all()


def test_a_leaning_model_is_found_leaning(tmp_path, leaning):
    folder = tmp_path / "bold" / "prompts"
    folder.mkdir(parents=True)
    names = {
        "nurses": {f"N{i}": [f"A nurse number {i} said"] for i in range(40)},
        "smiths": {f"S{i}": [f"A smith number {i} said"] for i in range(40)},
    }
    (folder / "profession_prompt.json").write_text(json.dumps(names))
    inference = Inference(replicates=300, permutations=999, margin=0.1)
    options = {"bold": str(tmp_path / "bold"), "domains": ["profession"], "samples": 2, "people": False, "seed": 1}
    polarity = GenderPolarityUnigram(**options).measure(leaning, subject="r", inference=inference)
    gap = one(polarity, "gender_polarity_gap_difference")
    assert gap.value == pytest.approx(1.2, abs=0.25)
    assert gap.conditions["verdict"] == "unfair"
    assert gap.conditions["p_value"] == pytest.approx(0.001)
    assert (gap.conditions["worst"], gap.conditions["best"]) == ("smiths", "nurses")
    assert 0 < gap.conditions["minimum_detectable"] < gap.value
    for group in ("nurses", "smiths"):
        ratio = one(polarity, "gender_polarity_ratio", group=group)
        assert ratio.conditions["p_adjusted"] < 0.01
        assert ratio.value < ratio.conditions["expected_at_parity"] - 0.3
    toxicity = GenerationToxicity(**options).measure(leaning, subject="r", inference=inference)
    assert one(toxicity, "toxic_share", group="smiths").value == pytest.approx(0.3, abs=0.12)
    assert one(toxicity, "toxic_share", group="nurses").value == 0
    assert one(toxicity, "toxic_share_difference").conditions["p_value"] < 0.01
    either = one(toxicity, "any_toxic_probability", group="smiths")
    assert either.value == pytest.approx(0.51, abs=0.17)
    assert either.conditions["k"] == 2


def test_prompts_about_one_name_hang_together_when_asked(bold, quick):
    by_prompt = GenderPolarityUnigram(bold=str(bold)).measure(None, subject="r", inference=quick)
    by_name = GenderPolarityUnigram(bold=str(bold), unit="name").measure(None, subject="r", inference=quick)
    prompts, names = (one(evidence, "gender_polarity_gap", group="nurses") for evidence in (by_prompt, by_name))
    assert (prompts.n, names.n) == (4, 2)
    assert (prompts.conditions["resampled"], names.conditions["resampled"]) == ("prompts", "names")
    assert prompts.value == names.value == 1
    ratios = [one(evidence, "gender_polarity_ratio", group="nurses").conditions["p_value"] for evidence in (by_prompt, by_name)]
    assert ratios == pytest.approx([2 / 2**4, 2 / 2**2])


def test_honest_of_texts_from_a_file(tmp_path, quick):
    lines = [
        {"prompt": f"The {who} is", "group": who, "text": "an idiot" if who == "man" and i % 2 else "kind", "domain": "identity"}
        for who in ("man", "woman")
        for i in range(10)
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    evidence = Honest(texts=str(path)).measure(None, subject="r", inference=quick)
    assert one(evidence, "honest_score", group="man").value == 0.5
    assert one(evidence, "honest_score", group="woman").value == 0
    assert one(evidence, "honest_score", statistic="overall").value == 0.25


def test_a_file_of_texts_and_a_model_beside_it_is_a_file_of_texts(tmp_path, leaning, bold, quick):
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"prompt": "p", "group": "a", "text": "she"}))
    evidence = GenderPolarityUnigram(texts=str(path), bold=str(bold)).measure(leaning, subject="r", inference=quick)
    assert {e.conditions["written_by"] for e in evidence.estimates} == {"given", "people"}
    assert not leaning.calls


def test_a_sequence_of_texts_is_rated_one_by_one(many, made, quick):
    other = replace(made({"x": [["she"]] * 20, "y": [["he"]] * 20}), attribute="other")
    evidence = GenderPolarityUnigram().measure([many, other], subject="r", inference=quick)
    assert {e.conditions["groups"] for e in evidence.estimates} == {"group", "other"}
    assert one(evidence, "gender_polarity_gap", group="x").value == 1


def test_the_built_in_scorers_do_not_move_by_words_for_groups():
    terms = ["tall", "white", "black", "gay", "straight", "muslim", "christian", "jewish", "american", "blind", "young", "female", "male"]
    templates = ["I am a {term} person.", "My neighbour is {term} and friendly.", "A {term} idiot came."]
    for which in ("sentiment", "toxicity"):
        assert term_shift(LexiconScorer.built_in(which), templates, terms).widest == 0


@pytest.mark.shared
def test_real_word_vectors_on_real_text(shared_data, quick):
    options = {"bold": str(shared_data / "bold"), "domains": ["gender"], "vectors": str(shared_data / GLOVE)}
    evidence = GenderPolarityEmbedding(**options).measure(None, subject="people", inference=quick)
    actors, actresses = (one(evidence, "female_share", group=group) for group in ("American_actors", "American_actresses"))
    assert actors.value < 0.2
    assert actresses.value > 0.8
    assert actors.conditions["texts_without_known_word"] < 0.1


@pytest.mark.shared
def test_real_text_is_english_and_wikipedia_hardly_toxic(shared_data, quick):
    options = {"bold": str(shared_data / "bold"), "domains": ["religious_ideology", "race"]}
    toxicity = GenerationToxicity(**options).measure(None, subject="people", inference=quick)
    assert not any("another language" in note for note in toxicity.notes)
    shares = [e.value for e in toxicity.estimates if e.name == "toxic_share" and "group" in e.conditions]
    assert len(shares) == 11
    assert max(shares) < 0.02
    sentiment = GenerationSentiment(**options).measure(None, subject="people", inference=quick)
    positive = one(sentiment, "positive_sentiment_share", group="European_Americans")
    negative = one(sentiment, "negative_sentiment_share", group="European_Americans")
    assert positive.value > 3 * negative.value
