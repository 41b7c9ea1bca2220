"""Scores of predictions with intervals: accuracy, macro F1, and the F1 of chunks of tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate, Interval
from holdfast.core.randomness import Streams

LEVEL = 0.95
RESAMPLES = 1000


def accuracy(name: str, y_true: Sequence[str], y_pred: Sequence[str], *, subject: str) -> Estimate:
    """The share of right labels, with Wilson's interval.

    Args:
        name: Name of the estimate, such as "intent_accuracy".
        y_true: Labels of the data.
        y_pred: Predicted labels, as many.
        subject: The run.

    References:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> found = accuracy("accuracy", ["a", "b"], ["a", "a"], subject="run")
    >>> found.value, round(found.interval.low, 3), round(found.interval.high, 3)
    (0.5, 0.095, 0.905)
    """
    from scipy.stats import binomtest
    from sklearn.metrics import accuracy_score

    _same_length(y_true, y_pred)
    facts: dict[str, Any] = {"method": "share of examples whose label is right (scikit-learn)", "reference": "Wilson 1927 (interval)"}
    if not y_true:
        return _share(name, subject, None, None, 0, missing="there are no examples", **facts)
    right = int(accuracy_score(y_true, y_pred, normalize=False))
    span = binomtest(right, len(y_true)).proportion_ci(LEVEL, method="wilson")
    interval = Interval(low=float(span.low), high=float(span.high), level=LEVEL, method="Wilson")
    return _share(name, subject, right / len(y_true), interval, len(y_true), **facts)


def macro_f1(name: str, y_true: Sequence[str], y_pred: Sequence[str], *, subject: str) -> Estimate:
    """The mean over labels of each label's F1, with a percentile bootstrap interval over examples.

    Edge cases:
        A label that is neither true nor predicted in a resample is left out of that resample's mean; one that is never
        right has an F1 of 0.

    Args:
        name: Name of the estimate.
        y_true: Labels of the data.
        y_pred: Predicted labels, as many.
        subject: The run.
    """
    from sklearn.metrics import f1_score

    _same_length(y_true, y_pred)
    facts: dict[str, Any] = {"method": "mean of the labels' F1 (scikit-learn, macro)", "reference": "Efron 1979 (interval)"}
    if not y_true:
        return _share(name, subject, None, None, 0, missing="there are no examples", **facts)
    value = float(f1_score(y_true, y_pred, average="macro", zero_division=0))
    names = sorted({*y_true, *y_pred})
    places = {label: place for place, label in enumerate(names)}
    pairs = np.array([(places[true], places[pred]) for true, pred in zip(y_true, y_pred, strict=True)])
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    true, pred = (np.eye(len(names), dtype=np.int64)[kinds[:, side]] for side in (0, 1))
    interval = _bootstrap(np.concatenate([true * pred, pred, true], 1), counts, _macro)
    return _share(name, subject, value, interval, len(y_true), **facts)


def chunk_f1(name: str, y_true: Sequence[Sequence[str]], y_pred: Sequence[Sequence[str]], *, subject: str) -> Estimate:
    """The micro-averaged F1 of chunks, as seqeval and conlleval count them, with a percentile bootstrap interval over examples.

    A chunk is right if its type, its first and its last word are. An I-x that follows neither B-x nor I-x opens a chunk
    (conlleval's rule, seqeval's default, and that of published figures on SNIPS). Our own predictions are well-formed,
    and on well-formed tags seqeval's strict IOB2 rule gives the same number.

    Args:
        name: Name of the estimate, such as "slot_f1".
        y_true: Tags of the data.
        y_pred: Predicted tags, as many.
        subject: The run.

    References:
        Tjong Kim Sang and Buchholz 2000, "Introduction to the CoNLL-2000 shared task: chunking".

    >>> chunk_f1("slot_f1", [["B-a", "I-a"], ["B-b"]], [["B-a", "I-a"], ["O"]], subject="run").value
    0.6666666666666666
    """
    counts_N3 = chunk_counts(y_true, y_pred)
    facts: dict[str, Any] = {
        "method": "micro F1 of chunks (seqeval, conlleval rules)",
        "reference": "Tjong Kim Sang and Buchholz 2000; Efron 1979 (interval)",
        "conditions": {"chunks": int(counts_N3[:, 2].sum())},
    }
    if not counts_N3[:, 1:].any():
        return _share(name, subject, None, None, len(y_true), missing="neither the data nor the predictions hold a chunk", **facts)
    kinds, counts = np.unique(counts_N3, axis=0, return_counts=True)
    value = float(_f1(counts_N3.sum(0, keepdims=True))[0])
    return _share(name, subject, value, _bootstrap(kinds, counts, _f1), len(y_true), **facts)


def chunk_counts(y_true: Sequence[Sequence[str]], y_pred: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Counts the chunks of each example: right ones, predicted ones, true ones, (n, 3).

    Raises:
        InputError: If an example has not as many predicted tags as true ones.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    _same_length(y_true, y_pred)
    counts = np.zeros((len(y_true), 3), dtype=np.int64)
    for row, (true, pred) in enumerate(zip(y_true, y_pred, strict=True)):
        if len(true) != len(pred):
            raise InputError(f"example {row} has {len(true)} tags and {len(pred)} predicted ones; give one prediction for each word")
        gold, found = set(get_entities(list(true))), set(get_entities(list(pred)))
        counts[row] = len(gold & found), len(found), len(gold)
    return counts


def _f1(sums_R3: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 from counts of right, predicted and true; 0 where there is nothing to find and nothing found."""
    right, found, gold = np.moveaxis(sums_R3, -1, 0)
    result: NDArray[np.float64] = 2 * right / np.maximum(found + gold, 1)
    return result


def _macro(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean F1 over the labels that occur, from right, predicted and true counts of K labels end to end, (R, 3 K)."""
    sums_RK3 = np.moveaxis(sums.reshape(len(sums), 3, -1), 1, 2)
    occurs_RK = sums_RK3[..., 1:].any(-1)
    result: NDArray[np.float64] = (_f1(sums_RK3) * occurs_RK).sum(1) / occurs_RK.sum(1)
    return result


def _bootstrap(
    kinds: NDArray[np.int64], counts: NDArray[np.int64], statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> Interval:
    """Percentile bootstrap over examples, for a statistic of sums over them.

    Examples of a kind are interchangeable, so how often each kind is drawn is multinomial: a thousand resamples cost the
    same for a thousand examples as for a million. The stream is fixed, so the same predictions give the same interval.

    Args:
        kinds: What an example of each kind adds to the sums, (U, D).
        counts: How many examples are of each kind, (U,).
        statistic: From the sums of each resample, (R, D), to its value, (R,).
    """
    draws = Streams.from_seed(0).generator("bootstrap").multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    low, high = np.quantile(statistic(draws @ kinds), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(low=float(low), high=float(high), level=LEVEL, method=f"percentile bootstrap over examples, {RESAMPLES} resamples")


def _share(name: str, subject: str, value: float | None, interval: Interval | None, n: int, **facts: Any) -> Estimate:
    return Estimate(name=name, subject=subject, value=value, unit="share", direction="higher is better", interval=interval, n=n, **facts)


def _same_length(y_true: Sequence[Any], y_pred: Sequence[Any]) -> None:
    if len(y_true) != len(y_pred):
        raise InputError(f"{len(y_pred)} predictions for {len(y_true)} examples; give one for each, in the order of the data")
