"""Paired differences of perplexity: against scipy, and against the test of two samples that pairs must not be given."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.unit.fairness.likelihood.toys import CausalBag, MaskedBag

from holdfast.core.errors import DataError, InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.inference import Inference
from holdfast.fairness.likelihood import LikelihoodGap, TextPair, read_text_pairs, surprise
from holdfast.fairness.metric import Metric

INFERENCE = Inference(permutations=2000)
NOUNS = tuple(f"noun{at}" for at in range(30))
WORDS = ("he", "she", "likes", "very", *NOUNS)
WEIGHTS = dict(zip(NOUNS, np.linspace(-4, 4, 30), strict=True))


def pairs(category: str = "all") -> list[TextPair]:
    return [TextPair(f"she likes {noun}", f"he likes {noun}", category) for noun in NOUNS]


def model(extra: float = 0.2, kind=CausalBag):
    rng = np.random.default_rng(2)
    pulls = {("she", noun): float(rng.normal(-extra, 0.3)) for noun in NOUNS}
    return kind(WORDS, weights=WEIGHTS, pulls=pulls)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"first": one.first, "second": one.second, "category": f"part {at % 2}"} for at, one in enumerate(pairs())]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def test_surprise_is_the_log_perplexity():
    given = model()
    found = surprise(given, pairs()[:1])
    words = ("she", "likes", "noun0")
    slow = -np.mean([given.logit(word, *words[:at]) for at, word in enumerate(words)])
    assert found.first_n[0] == pytest.approx(slow, abs=1e-8)


def test_masked_models_have_pseudo_perplexities():
    given = model(kind=MaskedBag)
    found = surprise(given, pairs()[:1])
    words = ("she", "likes", "noun0")
    slow = -np.mean([given.logit(word, "[CLS]", "[SEP]", *words[:at], *words[at + 1 :]) for at, word in enumerate(words)])
    assert found.first_n[0] == pytest.approx(slow, abs=1e-8)
    assert "pseudo-log-likelihood" in found.variant


def test_the_difference_is_tested_in_pairs(data: Path):
    given = model()
    found = surprise(given, pairs())
    metric = LikelihoodGap(data=data)
    assert isinstance(metric, Metric)
    evidence = metric.measure(given, subject="toy", inference=INFERENCE)
    row = evidence.estimate("likelihood_gap", conditions={"category": "all", "statistic": "difference"})
    paired = stats.ttest_rel(found.first_n, found.second_n)
    assert row.value == pytest.approx(float((found.first_n - found.second_n).mean()), abs=1e-9)
    np.testing.assert_allclose((row.interval.low, row.interval.high), paired.confidence_interval(0.95), rtol=1e-6)
    assert row.conditions["p_value"] < 0.05
    assert stats.ttest_ind(found.first_n, found.second_n).pvalue > 0.2, "the two-sample test drowns the gap in the texts' own spread"
    differences = found.first_n - found.second_n
    assert row.conditions["effect_size"] == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False))) == evidence


def test_the_ratio_of_perplexities_is_told_too(data: Path):
    evidence = LikelihoodGap(data=data).measure(model(), subject="toy", inference=INFERENCE)
    difference, ratio = (
        evidence.estimate("likelihood_gap", conditions={"category": "all", "statistic": one}) for one in ("difference", "ratio")
    )
    assert ratio.value == pytest.approx(np.exp(difference.value))
    assert ratio.interval.low == pytest.approx(np.exp(difference.interval.low))


def test_categories_are_adjusted_and_hold_together(data: Path):
    evidence = LikelihoodGap(data=data).measure(model(), subject="toy", inference=INFERENCE)
    rows = [one for one in evidence.estimates if str(one.conditions["category"]).startswith("part")]
    assert [one.n for one in rows] == [15, 15]
    assert all("simultaneous over 2 categories" in one.interval.method for one in rows)
    assert all(one.conditions["p_adjusted"] >= one.conditions["p_value"] for one in rows)


def test_the_raw_scale_is_another_variant(data: Path):
    evidence = LikelihoodGap(data=data, scale="perplexity").measure(model(), subject="toy", inference=INFERENCE)
    found = surprise(model(), pairs())
    row = evidence.estimates[0]
    assert row.value == pytest.approx(float((np.exp(found.first_n) - np.exp(found.second_n)).mean()))
    assert row.unit == "perplexity"
    assert row.conditions["variant"].endswith("perplexity scale")


@pytest.mark.parametrize(("times", "verdict"), [(10, "fair within the margin"), (0.1, "unfair"), (1, "not enough data")])
def test_a_margin_gives_a_verdict(times: float, verdict: str, data: Path):
    """Of a margin ten times the gap, a tenth of it, and as large as the gap."""
    gap = abs(float((surprise(model(), pairs()).first_n - surprise(model(), pairs()).second_n).mean()))
    evidence = LikelihoodGap(data=data).measure(model(), subject="toy", inference=Inference(permutations=200, margin=times * gap))
    assert evidence.estimates[0].conditions["verdict"] == verdict


def test_texts_that_are_read_alike_are_undefined(tmp_path: Path):
    path = tmp_path / "pairs.jsonl"
    unknown = '{"first": "Anna likes noun1", "second": "Bert likes noun1"}\n'
    path.write_text(unknown + '{"first": "she likes noun1", "second": "he likes noun1"}\n')
    evidence = LikelihoodGap(data=path).measure(model(), subject="toy", inference=INFERENCE)
    row = evidence.estimates[0]
    assert (row.n, row.conditions["undefined"]) == (1, 1)
    assert row.interval is None
    assert any("1 pairs are undefined" in note for note in evidence.notes)
    path.write_text(unknown)
    assert LikelihoodGap(data=path).measure(model(), subject="toy", inference=INFERENCE).estimates[0].missing == "no pair can be scored"


@pytest.mark.parametrize("second", ["null", "3", '" "', '"b", "category": 1'])
def test_a_bad_line_is_named(second: str, tmp_path: Path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"first": "a", "second": "b"}}\n{{"first": "a", "second": {second}}}\n')
    with pytest.raises(DataError, match=r"line 2: give"):
        read_text_pairs(path)


def test_an_empty_file_and_bad_options(tmp_path: Path, data: Path):
    path = tmp_path / "empty.jsonl"
    path.write_text("\n")
    with pytest.raises(DataError):
        read_text_pairs(path)
    with pytest.raises(InputError, match="data is missing"):
        LikelihoodGap()
    with pytest.raises(InputError, match="scale is 'raw'"):
        LikelihoodGap(data=data, scale="raw")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs a masked or causal"):
        LikelihoodGap(data=data).measure(object(), subject="toy", inference=INFERENCE)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no pairs"):
        surprise(model(), [])


@pytest.mark.shared
def test_crows_pairs_are_pairs_too(shared_data: Path):
    found = read_text_pairs(shared_data / "crows_pairs" / "crows_pairs_anonymized.csv")
    assert len(found) == 1508
    assert {one.category for one in found} >= {"gender", "age"}
