"""Scores against scikit-learn and seqeval, intervals against plain resampling and printed values."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score as seqeval_f1
from seqeval.scheme import IOB2
from sklearn.metrics import f1_score

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.tasks import scoring
from holdfast.tasks.scoring import accuracy, chunk_counts, chunk_f1, macro_f1

TAGS = st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b"])
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=6), min_size=1, max_size=8)


def sides(pairs: list[list[tuple[str, str]]]) -> tuple[list[list[str]], list[list[str]]]:
    return [[true for true, _ in row] for row in pairs], [[pred for _, pred in row] for row in pairs]


def mended(row: list[str]) -> list[str]:
    """The same row in strict BIO: what begins inside begins."""
    return [f"B-{tag[2:]}" if tag[0] == "I" and last[1:] != tag[1:] else tag for last, tag in zip(["O", *row], row, strict=False)]


@settings(deadline=None)
@given(PAIRS)
def test_chunk_f1_is_that_of_seqeval(pairs: list[list[tuple[str, str]]]):
    y_true, y_pred = sides(pairs)
    found = chunk_f1("slot_f1", y_true, y_pred, subject="run")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns where there is no chunk
        expected = seqeval_f1(y_true, y_pred)
    if found.value is None:
        assert all(tag == "O" for row in y_true + y_pred for tag in row)
    else:
        assert found.value == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(PAIRS)
def test_on_well_formed_tags_the_strict_rule_gives_the_same(pairs: list[list[tuple[str, str]]]):
    y_true, y_pred = ([mended(row) for row in side] for side in sides(pairs))
    found = chunk_f1("slot_f1", y_true, y_pred, subject="run")
    if found.value is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert found.value == pytest.approx(seqeval_f1(y_true, y_pred, mode="strict", scheme=IOB2), abs=1e-12)


def test_chunks_are_counted_by_example():
    y_true, y_pred = [["B-a", "I-a", "O"], ["B-b"], ["O"]], [["B-a", "O", "B-a"], ["B-b"], ["O"]]
    assert chunk_counts(y_true, y_pred).tolist() == [[0, 2, 1], [1, 1, 1], [0, 0, 0]]
    assert chunk_f1("slot_f1", y_true, y_pred, subject="run").conditions == {"chunks": 2}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_accuracy_and_macro_f1_are_those_of_scikit_learn(pairs: list[tuple[str, str]]):
    y_true, y_pred = [true for true, _ in pairs], [pred for _, pred in pairs]
    assert accuracy("accuracy", y_true, y_pred, subject="run").value == pytest.approx(np.mean([true == pred for true, pred in pairs]))
    assert macro_f1("macro_f1", y_true, y_pred, subject="run").value == pytest.approx(
        f1_score(y_true, y_pred, average="macro", zero_division=0)
    )
    names = sorted({*y_true, *y_pred})
    onehot = {name: np.eye(len(names), dtype=np.int64)[place] for place, name in enumerate(names)}
    sums = sum(np.concatenate([onehot[true] * onehot[pred], onehot[pred], onehot[true]]) for true, pred in pairs)
    assert scoring._macro(sums[None])[0] == pytest.approx(f1_score(y_true, y_pred, average="macro", zero_division=0))


def test_wilson_interval_is_the_printed_one():
    found = accuracy("intent_accuracy", ["a"] * 10, ["a"] * 8 + ["b"] * 2, subject="run")
    assert (found.interval.low, found.interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Wilson's formula at 8 of 10, z = 1.96
    certain = accuracy("intent_accuracy", ["a"] * 10, ["a"] * 10, subject="run")
    assert certain.interval.low == pytest.approx(10 / (10 + 1.959964**2))
    assert certain.interval.high == pytest.approx(1.0)


def test_the_bootstrap_agrees_with_plain_resampling_of_examples():
    rng = np.random.default_rng(1)
    gold = rng.integers(0, 4, size=300)
    right = rng.binomial(gold, 0.8)
    counts = np.stack([right, rng.binomial(gold, 0.9).clip(min=right), gold], 1)
    kinds, times = np.unique(counts, axis=0, return_counts=True)
    interval = scoring._bootstrap(kinds, times, scoring._f1)
    plain = [scoring._f1(counts[rng.integers(0, 300, 300)].sum(0)[None])[0] for _ in range(4000)]
    low, high = np.quantile(plain, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.006)
    assert high - low > 0.03  # so that the tolerance would reject an interval of another width


def test_the_interval_narrows_with_more_examples_and_stays_the_same_when_asked_again():
    row = [["B-a", "O"], ["B-a"], ["O"]], [["B-a", "O"], ["O"], ["B-a"]]
    few, many = (chunk_f1("slot_f1", row[0] * n, row[1] * n, subject="run") for n in (10, 1000))
    assert few.value == many.value == 0.5
    ratio = (few.interval.high - few.interval.low) / (many.interval.high - many.interval.low)
    assert ratio == pytest.approx(10, rel=0.2)
    assert few == chunk_f1("slot_f1", row[0] * 10, row[1] * 10, subject="run")


def test_what_cannot_be_measured_says_why():
    assert accuracy("accuracy", [], [], subject="run").missing == "there are no examples"
    assert macro_f1("macro_f1", [], [], subject="run").missing == "there are no examples"
    assert chunk_f1("slot_f1", [], [], subject="run").missing == "neither the data nor the predictions hold a chunk"
    assert chunk_f1("slot_f1", [["O"]], [["O"]], subject="run").value is None


def test_lengths_must_agree():
    with pytest.raises(InputError, match="1 predictions for 2 examples"):
        accuracy("accuracy", ["a", "b"], ["a"], subject="run")
    with pytest.raises(InputError, match="0 predictions for 1 examples"):
        macro_f1("macro_f1", ["a"], [], subject="run")
    with pytest.raises(InputError, match="example 1 has 2 tags and 1 predicted ones"):
        chunk_f1("slot_f1", [["O"], ["O", "O"]], [["O"], ["O"]], subject="run")


def test_estimates_survive_the_record():
    estimates = (
        accuracy("intent_accuracy", ["a", "b"], ["a", "a"], subject="run"),
        macro_f1("macro_f1", ["a", "b"], ["a", "a"], subject="run"),
        chunk_f1("slot_f1", [["B-a"], ["O"]], [["B-a"], ["B-a"]], subject="run"),
    )
    assert Evidence.from_json(Evidence(estimates=estimates).to_json()).estimates == estimates
    assert {(estimate.unit, estimate.direction, estimate.n) for estimate in estimates} == {("share", "higher is better", 2)}
