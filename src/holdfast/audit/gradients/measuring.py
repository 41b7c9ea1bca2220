"""What a recovered set of words is worth: precision, recall and F1 against a client or its cohort, means over trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from holdfast.audit.gradients.candidates import Recovered
from holdfast.audit.intervals import rate_at_least, rate_at_most
from holdfast.core.errors import InputError
from holdfast.core.evidence import Interval


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How much of some text was recovered, each in [0, 1]. The case of letters does not count.

    Args:
        precision: Share of the named words that are in the text; 0 where none is named.
        recall: Share of the distinct words of the text that are named.
        sentences: Share of the text's utterances that were recovered whole, in order.
    """

    precision: float
    recall: float
    sentences: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where both are."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def words_of(text: Sequence[Sequence[str]]) -> frozenset[str]:
    """The distinct words of some utterances, without regard to case."""
    return frozenset(word.casefold() for row in text for word in row)


def measured(found: Recovered, text: Sequence[Sequence[str]]) -> Measured:
    """Holds what was recovered against the text of one client, or of all clients of a cohort.

    Args:
        found: What an attack says.
        text: The words of each utterance of those clients, at least one utterance.
    """
    named, there = {word.casefold() for word in found.words}, words_of(text)
    whole = {tuple(word.casefold() for word in sentence) for sentence in found.sentences}
    rows = [tuple(word.casefold() for word in row) for row in text]
    hits = len(named & there)
    return Measured(
        precision=hits / len(named) if named else 0.0,
        recall=hits / len(there),
        sentences=sum(row in whole for row in rows) / len(rows),
    )


def share_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """An interval for the mean of shares over independent trials; never a single point.

    Args:
        values: One share in [0, 1] for each trial, at least two.
        level: Coverage in (0, 1).

    Raises:
        InputError: For fewer than two trials.

    Guarantee:
        No proof. Clopper-Pearson for as many trials as would give the mean the variance that it has, never fewer than there were:
        a share in [0, 1] varies no more than a coin of the same mean. In simulations of six laws and 5 to 40 trials intervals of
        level .95 covered in .935 of cases or more.

    References:
        Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts estimated from
        survey data".

    >>> round(share_interval([1.0] * 10).low, 3)
    0.692
    """
    n = _at_least_two(values)
    mean, error = float(np.clip(np.mean(values), 0, 1)), float(np.var(values, ddof=1)) / n
    shrink = (special.ndtri(1 - (1 - level) / 2) / special.stdtrit(n - 1, 1 - (1 - level) / 2)) ** 2
    trials = max(float(n), mean * (1 - mean) / error * shrink) if error > 0 else float(n)
    low, high = rate_at_least(mean * trials, trials, alpha=(1 - level) / 2), rate_at_most(mean * trials, trials, alpha=(1 - level) / 2)
    return Interval(low=float(low), high=float(high), level=level, method=f"Clopper-Pearson on as many trials as {n} shares are worth")


def difference_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Student's interval for the mean of paired differences over independent trials.

    Args:
        values: One difference for each trial, at least two.
        level: Coverage in (0, 1).

    Raises:
        InputError: For fewer than two trials.
    """
    n = _at_least_two(values)
    half = float(special.stdtrit(n - 1, 1 - (1 - level) / 2)) * math.sqrt(float(np.var(values, ddof=1)) / n)
    mean = float(np.mean(values))
    return Interval(low=mean - half, high=mean + half, level=level, method=f"Student's t over {n} paired trials")


def _at_least_two(values: Sequence[float]) -> int:
    if len(values) < 2:
        raise InputError(f"{len(values)} trials: an interval over trials needs at least two")
    return len(values)
