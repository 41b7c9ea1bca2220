"""A conditional random field by the book: every row of tags there is, one by one, in double precision."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Row = tuple[int, ...]


def score(logits: NDArray[np.float64], row: Sequence[int], table: NDArray[np.float64]) -> float:
    """What a row of tags adds up to: its words, its start, its steps and its end.

    Args:
        logits: Scores of the words that are read, (W, S).
        row: A tag each.
        table: S rows of steps, one of starts, one of ends, (S + 2, S).
    """
    if not len(row):
        return 0.0
    steps = sum(table[one, other] for one, other in itertools.pairwise(row))
    return float(sum(logits[place, tag] for place, tag in enumerate(row)) + table[-2, row[0]] + steps + table[-1, row[-1]])


def rows(logits: NDArray[np.float64]) -> Iterator[Row]:
    """Every row of tags."""
    return itertools.product(range(logits.shape[1]), repeat=len(logits))


def log_sum(scores: Sequence[float]) -> float:
    """The logarithm of a sum of exponentials."""
    most = max(scores)
    return most + math.log(math.fsum(math.exp(one - most) for one in scores))


def log_likelihood(logits: NDArray[np.float64], tags: Sequence[int], table: NDArray[np.float64]) -> float:
    """The log-probability of tags, where one below 0 may be any."""
    every = {row: score(logits, row, table) for row in rows(logits)}
    right = [one for row, one in every.items() if all(want in (tag, -100) for want, tag in zip(tags, row, strict=True))]
    return log_sum(right) - log_sum(list(every.values()))


def marginals(logits: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of each tag at each word, (W, S)."""
    every = {row: score(logits, row, table) for row in rows(logits)}
    whole, found = log_sum(list(every.values())), np.zeros_like(logits)
    for row, one in every.items():
        for place, tag in enumerate(row):
            found[place, tag] += math.exp(one - whole)
    return found
