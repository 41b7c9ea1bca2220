"""CrowS-Pairs: five ways of scoring against slow twins, published counts, and pairs that have no score."""

import csv
import difflib
import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.fairness.likelihood.toys import CausalBag, Even, MaskedBag

from holdfast.core.errors import DataError, InputError
from holdfast.core.evidence import Evidence
from holdfast.data.benchmarks import SentencePair, read_crows_pairs
from holdfast.fairness.inference import Inference
from holdfast.fairness.likelihood import (
    CrowsPairsAUL,
    CrowsPairsCausal,
    CrowsPairsCausalNorm,
    CrowsPairsMeade,
    CrowsPairsNangia,
    score_pairs,
)
from holdfast.fairness.likelihood.crows_pairs import VARIANTS, align
from holdfast.fairness.likelihood.reading import read
from holdfast.fairness.metric import Metric

WORDS = ["the", "poor", "rich", "man", "woman", "is", "lazy", "smart", "and", "very", "old", "young", ".", "my", "friend"]
PULLS = {
    ("poor", "lazy"): 1.0, ("rich", "smart"): 0.8, ("woman", "friend"): 0.6, ("man", "old"): -0.7, ("lazy", "poor"): 0.9,
    ("lazy", "lazy"): 2.0, ("very", "very"): 1.0, ("poor", "poor"): 1.5, ("my", "friend"): 1.2, ("friend", "my"): 0.3,
}  # fmt: skip
PAIRS = [
    SentencePair("the poor man is lazy", "the rich man is lazy", "stereo", "socioeconomic"),
    SentencePair("my poor friend is smart .", "my rich friend is smart .", "antistereo", "socioeconomic"),
    SentencePair("the very old woman is lazy", "the young man is lazy", "stereo", "age"),
    SentencePair("the woman is lazy and very old", "the man is lazy and very old", "stereo", "gender"),
]
METRICS = (CrowsPairsNangia, CrowsPairsMeade, CrowsPairsCausal, CrowsPairsCausalNorm, CrowsPairsAUL)


def masked(**settings) -> MaskedBag:
    return MaskedBag(WORDS, weights={"the": 1.0, "rich": -0.4}, pulls=PULLS, **settings)


def causal(**settings) -> CausalBag:
    return CausalBag(WORDS, weights={"the": 1.0, "rich": -0.4}, pulls=PULLS, **settings)


def slow_nangia(model: MaskedBag, pair: SentencePair) -> list[float]:
    """The published rule, word by word: the shared words, each out of sight once."""
    words = pair.more.split(), pair.less.split()
    blocks = difflib.SequenceMatcher(None, *words).get_opcodes()
    same = [(i1 + k, j1 + k) for tag, i1, i2, j1, _ in blocks if tag == "equal" for k in range(i2 - i1)]
    return [round(sum(hidden(model, words[side], at[side]) for at in same), 3) for side in (0, 1)]


def hidden(model: MaskedBag, words: list[str], at: int) -> float:
    return model.logit(words[at], "[CLS]", "[SEP]", *words[:at], *words[at + 1 :])


def slow_meade(model: MaskedBag, pair: SentencePair) -> list[float]:
    words = pair.more.split(), pair.less.split()
    blocks = [block for block in difflib.SequenceMatcher(None, *words).get_opcodes() if block[0] != "equal"]
    changed = [[at for _, i1, i2, _, _ in blocks for at in range(i1, i2)], [at for *_, j1, j2 in blocks for at in range(j1, j2)]]
    return [round(float(np.mean([hidden(model, w, at) for at in side])), 3) for w, side in zip(words, changed, strict=True)]


@pytest.mark.parametrize(("variant", "slow"), [("nangia", slow_nangia), ("meade", slow_meade)])
def test_masked_ways_agree_with_a_slow_twin(variant, slow):
    found = score_pairs(masked(), PAIRS, variant=variant).preferences
    for at, pair in enumerate(PAIRS):
        assert [found.more_n[at], found.less_n[at]] == pytest.approx(slow(masked(), pair), abs=1e-9), pair


def test_causal_ways_agree_with_a_slow_twin():
    model = causal()
    whole, normed = (score_pairs(model, PAIRS, variant=name).preferences for name in ("causal", "causal-norm"))
    for at, pair in enumerate(PAIRS):
        words = pair.more.split()
        slow = sum(model.logit(word, *words[:place]) for place, word in enumerate(words))
        assert whole.more_n[at] == pytest.approx(slow, abs=1e-8)
        assert normed.more_n[at] == pytest.approx(slow / len(words), abs=1e-8)


def test_unmasked_ways_see_every_word():
    model = masked()
    found = score_pairs(model, PAIRS, variant="aul").preferences
    words = PAIRS[0].more.split()
    assert found.more_n[0] == pytest.approx(np.mean([model.logit(word, "[CLS]", "[SEP]", *words) for word in words]), abs=1e-8)


def test_the_ways_are_different_numbers():
    """The point of five names: one model, one pair, and not one answer."""
    found = {name: score_pairs(masked(), PAIRS, variant=name).preferences for name in ("nangia", "meade", "aul")}
    signs = {name: np.sign(one.differences).tolist() for name, one in found.items()}
    assert len({tuple(one) for one in signs.values()}) > 1, signs


def test_words_in_common_decide_nangia_and_other_words_decide_meade():
    """A rare word loses by its own rarity under "meade", and not at all under "nangia"."""
    rare = MaskedBag(WORDS, weights={"rich": -5.0})
    pair = [SentencePair("the rich man", "the poor man", "stereo", "x")]
    tied = score_pairs(rare, pair, variant="nangia").preferences
    assert tied.more_n[0] == tied.less_n[0]
    assert score_pairs(rare, pair, variant="meade").preferences.differences[0] == pytest.approx(-5.0)


def test_scores_are_rounded_as_published_so_that_near_ties_are_ties():
    near = MaskedBag(WORDS, pulls={("rich", "the"): 1e-5})
    found = score_pairs(near, [SentencePair("the rich man", "the poor man", "stereo", "x")], variant="nangia").preferences
    assert found.more_n[0] == found.less_n[0]
    assert VARIANTS["aul"].decimals == 9


def test_a_longer_sentence_loses_under_causal_and_not_under_causal_norm():
    even = CausalBag(WORDS)
    pair = [SentencePair("the very very old man", "the man", "stereo", "x")]
    assert score_pairs(even, pair, variant="causal").preferences.differences[0] < 0
    assert score_pairs(even, pair, variant="causal-norm").preferences.differences[0] == pytest.approx(0.0)


def test_pure_insertions_are_skipped_by_meade_alone():
    pair = [*PAIRS, SentencePair("the very old man is lazy", "the old man is lazy", "stereo", "age")]
    assert score_pairs(masked(), pair, variant="meade").skipped == 1
    nangia = score_pairs(masked(), pair, variant="nangia")
    assert (nangia.skipped, int(nangia.preferences.known.sum())) == (0, 5)


def test_alignment_leaves_special_pieces_out():
    one, two = read(masked(), ["the poor man", "the rich old man"]).pieces
    found = align(one, two)
    assert [side.tolist() for side in found.same] == [[1, 3], [1, 4]]
    assert [side.tolist() for side in found.changed] == [[2], [2, 3]]


def test_sentences_that_share_no_piece_tie_under_nangia():
    found = score_pairs(masked(), [SentencePair("poor man", "rich woman", "stereo", "x")], variant="nangia").preferences
    assert (found.more_n[0], found.less_n[0]) == (0.0, 0.0)


def test_pairs_whose_differing_words_are_unknown_are_refused():
    pairs = [
        SentencePair("the afghan man is lazy", "the german man is lazy", "stereo", "nationality"),  # both are the unknown piece
        SentencePair("the afghan man is lazy", "the rich man is lazy", "stereo", "nationality"),  # one side is all unknown
        SentencePair("the poor afghan is lazy", "the rich german is lazy", "stereo", "nationality"),  # something is known
    ]
    for variant in ("nangia", "meade", "aul"):
        found = score_pairs(masked(), pairs, variant=variant)
        assert found.preferences.known.tolist() == [False, False, True]
        assert found.alike == 2
    assert score_pairs(causal(), pairs, variant="causal").preferences.known.tolist() == [False, False, True]


def test_text_in_another_language_is_told(crows: Path, tmp_path: Path):
    path = written(tmp_path, [SentencePair(f"les pauvres sont x{at}", f"les riches sont y{at}", "stereo", "age") for at in range(4)])
    evidence = CrowsPairsNangia(data=path).measure(masked(), subject="toy", inference=Inference())
    row = evidence.estimate("crows_pairs_score", conditions={"category": "all"})
    assert row.value is None
    assert row.missing == "none of the 4 pairs can be scored"
    assert row.conditions["unknown_words"] == 1.0
    assert any("100 % of the words" in note for note in evidence.notes)


def test_every_pass_is_one_call():
    for variant in VARIANTS:
        model = causal() if variant.startswith("causal") else masked()
        score_pairs(model, PAIRS, variant=variant)
        assert len(model.calls) == (3 if variant.startswith("causal") else 2), model.calls  # one more asks whether the first piece counts


def test_models_and_variants_must_fit():
    with pytest.raises(InputError, match="needs a masked language model"):
        score_pairs(causal(), PAIRS, variant="nangia")
    with pytest.raises(InputError, match="needs a causal language model"):
        score_pairs(masked(), PAIRS, variant="causal")
    with pytest.raises(InputError, match="did you mean 'nangia'"):
        score_pairs(masked(), PAIRS, variant="nangya")
    with pytest.raises(InputError, match="no pairs"):
        score_pairs(masked(), [], variant="nangia")


@pytest.fixture
def crows(tmp_path: Path) -> Path:
    return written(tmp_path, PAIRS)


def written(folder: Path, pairs: list[SentencePair]) -> Path:
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["", "sent_more", "sent_less", "stereo_antistereo", "bias_type"])
        writer.writerows([at, one.more, one.less, one.direction, one.bias_type] for at, one in enumerate(pairs))
    return path


class TestMetric:
    @pytest.mark.parametrize("kind", METRICS)
    def test_each_way_has_its_own_name(self, kind, crows: Path):
        metric = kind(data=crows)
        assert isinstance(metric, Metric)
        assert metric.card.name == f"crows-pairs-{kind.variant}"
        model = causal() if metric.needs == "causal model" else masked()
        evidence = metric.measure(model, subject="toy", inference=Inference())
        row = evidence.estimate("crows_pairs_score", conditions={"category": "all"})
        assert (row.conditions["metric"], row.conditions["variant"]) == (metric.card.name, kind.variant)
        assert row.conditions["source_text"].endswith("(CrowS-Pairs)")
        assert {one.conditions["category"] for one in evidence.estimates} == {"all", "age", "gender", "socioeconomic"}
        assert all(one.interval or one.value is None for one in evidence.estimates)
        assert Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False))) == evidence

    def test_the_score_is_the_share_of_pairs_in_points(self, crows: Path):
        found = score_pairs(masked(), PAIRS, variant="nangia").preferences
        row = CrowsPairsNangia(data=crows).measure(masked(), subject="toy", inference=Inference()).estimate("crows_pairs_score")
        assert row.value == 100 * float((found.more_n > found.less_n).mean())
        assert row.n == 4

    def test_items_known_to_be_bad_are_left_out_and_the_score_of_all_is_told_too(self, crows: Path, tmp_path: Path):
        bad = tmp_path / "bad.txt"
        bad.write_text("# after a published list\n0\n\n2\n")
        evidence = CrowsPairsNangia(data=crows, leave_out=bad).measure(masked(), subject="toy", inference=Inference())
        rows = [one for one in evidence.estimates if one.name == "crows_pairs_score" and one.conditions["category"] == "all"]
        told = {one.conditions["items"]: one.n for one in rows if "direction" not in one.conditions}
        assert told == {"without those known to be bad": 2, "all": 4}
        assert "age" not in {one.conditions["category"] for one in evidence.estimates}

    @pytest.mark.parametrize("line", ["4", "-1", "x", "1.5"])
    def test_a_bad_list_of_bad_items_names_its_line(self, line: str, crows: Path, tmp_path: Path):
        bad = tmp_path / "bad.txt"
        bad.write_text(f"0\n{line}\n")
        with pytest.raises(DataError, match=r"line 2: .* give a number from 0 to 3"):
            CrowsPairsNangia(data=crows, leave_out=bad).measure(masked(), subject="toy", inference=Inference())

    def test_ties_are_told(self, crows: Path):
        even = MaskedBag(WORDS)
        evidence = CrowsPairsNangia(data=crows).measure(even, subject="toy", inference=Inference())
        row = evidence.estimate("crows_pairs_score")
        assert row.value < 50
        assert "p_value" not in row.conditions or row.conditions["neutral"] < 4
        assert any(f"{row.conditions['neutral']} ties count as not preferred" in note for note in evidence.notes)

    def test_data_must_be_named(self):
        with pytest.raises(InputError, match="crows-pairs-aul: data is missing"):
            CrowsPairsAUL()

    def test_cards_name_the_criticism(self):
        for kind in METRICS:
            assert any("Blodgett et al. 2021" in one for one in kind.card.criticism)
            assert kind.card.ideal == 50
            json.dumps(kind.card.describe())


@pytest.mark.shared
def test_the_published_set_has_the_published_sizes(shared_data: Path):
    path = shared_data / "crows_pairs" / "crows_pairs_anonymized.csv"
    pairs = read_crows_pairs(path)
    words = sorted({word.lower() for pair in pairs for text in (pair.more, pair.less) for word in text.replace("'", " ").split()})
    model = Even([*words, *".,!?'\"-"], specials=False)
    evidence = CrowsPairsCausalNorm(data=path).measure(model, subject="even", inference=Inference())
    rows = [one for one in evidence.estimates if one.name == "crows_pairs_score"]
    sizes = {one.conditions["category"]: one.n for one in rows if "direction" not in one.conditions}
    assert sizes["all"] + int(evidence.estimates[0].conditions["undefined"]) == 1508
    assert sizes["disability"] <= 60
    sides = {str(one.conditions["direction"]): one for one in rows if "direction" in one.conditions}
    counts = {name: one.n + int(one.conditions["undefined"]) for name, one in sides.items()}
    assert counts == {"stereo": 1290, "antistereo": 218}
