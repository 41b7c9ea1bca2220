"""Intervals of scores cover the truth about as often as they say, and a test that would notice if they did not."""

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.tasks import scoring
from holdfast.tasks.scoring import accuracy, chunk_f1, macro_f1

REPEATS = 300
SLACK = 0.045  # 3.5 standard deviations of a share of .95 over the repeats


def coverage(intervals: list, truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


def halved(intervals: list) -> list:
    """The same intervals at half their width: what a wrong standard error would give."""
    middles = [((one.low + one.high) / 2, (one.high - one.low) / 4) for one in intervals]
    return [type("Half", (), {"low": middle - half, "high": middle + half}) for middle, half in middles]


def test_wilson_covers_a_share():
    rng = Streams.from_seed(1).generator("wilson")
    found = []
    for right in rng.binomial(200, 0.93, size=REPEATS):
        y_pred = ["a"] * int(right) + ["b"] * (200 - int(right))
        found.append(accuracy("accuracy", ["a"] * 200, y_pred, subject="run").interval)
    assert coverage(found, 0.93) == pytest.approx(0.95, abs=SLACK)
    assert coverage(halved(found), 0.93) < 0.95 - SLACK


def test_the_bootstrap_covers_the_f1_of_chunks():
    rng = Streams.from_seed(2).generator("chunks")
    kinds = [  # an utterance of each kind: its true tags, its predicted tags, how often it is said
        (["B-a", "I-a", "O"], ["B-a", "I-a", "O"], 0.5),
        (["B-a", "O", "B-b"], ["B-a", "O", "O"], 0.2),
        (["O", "O"], ["O", "B-b"], 0.1),
        (["B-b"], ["B-a"], 0.2),
    ]
    shares = [share for *_, share in kinds]
    counts = scoring.chunk_counts([true for true, *_ in kinds], [pred for _, pred, _ in kinds])
    truth = float(scoring._f1((counts * np.array(shares)[:, None] * 1000).sum(0, keepdims=True))[0])
    found = []
    for _ in range(REPEATS):
        drawn = [kinds[kind] for kind in rng.choice(len(kinds), size=250, p=shares)]
        found.append(chunk_f1("slot_f1", [true for true, *_ in drawn], [pred for _, pred, _ in drawn], subject="run").interval)
    assert coverage(found, truth) == pytest.approx(0.95, abs=SLACK)
    assert coverage(halved(found), truth) < 0.95 - SLACK


def test_the_bootstrap_covers_macro_f1():
    rng = Streams.from_seed(3).generator("macro")
    names, confusion = ["a", "b", "c"], np.array([[0.40, 0.05, 0.05], [0.03, 0.22, 0.05], [0.04, 0.02, 0.14]])
    truth = float(np.mean(2 * np.diag(confusion) / (confusion.sum(0) + confusion.sum(1))))
    found = []
    for _ in range(REPEATS):
        cells = rng.choice(9, size=300, p=confusion.ravel())
        y_true, y_pred = [names[cell // 3] for cell in cells], [names[cell % 3] for cell in cells]
        found.append(macro_f1("macro_f1", y_true, y_pred, subject="run").interval)
    assert coverage(found, truth) == pytest.approx(0.95, abs=SLACK)
    assert coverage(halved(found), truth) < 0.95 - SLACK
