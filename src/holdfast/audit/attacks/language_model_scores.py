"""Membership scores of texts from the log-probabilities that a language model gives to their tokens."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from holdfast.audit.intervals import Floats, Integers
from holdfast.core.errors import InputError

LEAST_DEVIATION = 1e-3
"""Nats below which the deviation of a token's log-probability is taken for this: float32 cannot tell a smaller one from 0."""

UNNORMALISED = 1e-2
"""So far from 0 the log of the summed probabilities of a row may lie, in nats: float16 sums are no better."""

ABOVE_ONE = 1e-4
"""So far above 0 rounding may carry a log-probability."""

BLOCK = 2**20
"""Log-probabilities over the vocabulary that are held in double precision at one time: 8 MiB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenMoments:
    """Mean and standard deviation of the next token's log-probability, under the model's own law at each place.

    Args:
        mean: ``mu_t = sum_v p_v log p_v`` (T,), in nats, at most 0: minus the entropy.
        deviation: ``sigma_t = sqrt(sum_v p_v (log p_v - mu_t)^2)`` (T,), at least 0.
    """

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, log_probabilities_TV: NDArray[np.floating[Any]]) -> Self:
        """The moments from the log-softmax over the whole vocabulary, (T, V) in nats, read in blocks of tokens.

        Raises:
            InputError: For another shape, or rows whose probabilities do not add up to 1, such as logits or the likeliest few.

        Edge cases:
            Tokens of probability 0 (minus infinity) add nothing. Squares are taken around the mean, not as a difference of two
            large numbers, so the deviation is never the root of something negative.
        """
        given = np.asarray(log_probabilities_TV)
        if given.ndim != 2 or given.shape[1] < 2:
            raise InputError(f"log-probabilities have shape {given.shape}; give (T tokens, V words) with V >= 2")
        mean, deviation, step = np.empty(len(given)), np.empty(len(given)), max(1, BLOCK // given.shape[1])
        for start in range(0, len(given), step):
            rows = slice(start, start + step)
            log_BV = given[rows].astype(np.float64)
            off = np.abs(special.logsumexp(log_BV, axis=1))
            if not np.all(off <= UNNORMALISED):
                raise InputError(
                    f"the probabilities of {int(np.sum(~(off <= UNNORMALISED)))} tokens, from {start} on, do not add up to 1; "
                    "give the log-softmax over the whole vocabulary, neither logits nor the likeliest few words"
                )
            p_BV = np.exp(log_BV)
            log_BV[p_BV == 0] = 0.0  # 0 log 0 counts as 0
            mean[rows] = np.einsum("bv,bv->b", p_BV, log_BV)
            deviation[rows] = np.sqrt(np.einsum("bv,bv->b", p_BV, (log_BV - mean[rows, None]) ** 2))
        return cls(mean=mean, deviation=deviation)


def mean_log_likelihood(log_probabilities: ArrayLike, offsets: ArrayLike) -> Floats:
    """Mean log-probability of the tokens of each text: minus the loss of a language model, so the attack by loss.

    Args:
        log_probabilities: Of each token given those before it, all texts one after another, (T,), in nats, finite.
        offsets: Where each text begins, and the end of the last: N + 1 integers from 0 to T that grow strictly.

    Returns:
        Scores (N,), at most 0; higher = more likely a member. Its exponential is a probability for RMIA that does not underflow.

    Raises:
        InputError: For shapes that do not fit, values that are above 0 or not finite, or a text without tokens.

    Edge cases:
        The first token of a text has no log-probability unless a beginning-of-text token stands before it; leave it out.

    References:
        Yeom et al. 2018, arXiv 1709.01604, for language models.

    >>> mean_log_likelihood([-1.0, -3.0, -0.5], [0, 2, 3])
    array([-2. , -0.5])
    """
    values, starts = _ragged(log_probabilities, offsets)
    return _mean(values, starts)


def zlib_calibrated(log_probabilities: ArrayLike, offsets: ArrayLike, *, texts: Sequence[str]) -> Floats:
    """Mean log-likelihood over the length of the compressed text: what any compressor finds easy counts for less.

    Args:
        log_probabilities: As in `mean_log_likelihood`.
        offsets: As there.
        texts: The N texts; their bytes in UTF-8 are compressed by zlib at its default level.

    Returns:
        Scores (N,) in nats a byte, at most 0; higher = more likely a member.

    Raises:
        InputError: As in `mean_log_likelihood`, and for another number of texts.

    Edge cases:
        Long texts score higher than short ones, because the mean is divided by a length: compare texts of about one length.
        Builds of zlib differ by a few bytes.

    References:
        Carlini et al. 2021, "Extracting training data from large language models", arXiv 2012.07805, the ratio to zlib entropy;
        with a mean over tokens as in mimir and in Shi et al. 2024, arXiv 2310.16789.
    """
    values, starts = _ragged(log_probabilities, offsets)
    if isinstance(texts, str) or len(texts) != starts.size - 1:
        raise InputError(f"{len(texts)} texts and {starts.size - 1} rows of log-probabilities; give one text for each row")
    lengths = np.array([len(zlib.compress(text.encode("utf-8", "surrogatepass"))) for text in texts], dtype=np.float64)
    return _mean(values, starts) / lengths


def min_k(log_probabilities: ArrayLike, offsets: ArrayLike, *, share: float = 0.2) -> Floats:
    """Min-K%: mean log-probability of the least likely tokens of each text.

    Args:
        log_probabilities: As in `mean_log_likelihood`.
        offsets: As there.
        share: Share of the tokens that count, in (0, 1]; the paper takes .2.

    Returns:
        Scores (N,), at most 0; higher = more likely a member.

    Raises:
        InputError: As in `mean_log_likelihood`, and for a share outside (0, 1].

    Edge cases:
        The number of tokens is rounded down, but at least one counts; published code takes the mean of none below five tokens.
        At a share of 1 this is `mean_log_likelihood`.

    References:
        Shi et al. 2024, "Detecting pretraining data from large language models", arXiv 2310.16789, Min-K% Prob.

    >>> min_k([-1.0, -4.0, -2.0, -3.0, -9.0], [0, 4, 5], share=0.5)
    array([-3.5, -9. ])
    """
    values, starts = _ragged(log_probabilities, offsets)
    return _mean_of_lowest(values, starts, share)


def min_k_plus_plus(log_probabilities: ArrayLike, offsets: ArrayLike, *, moments: TokenMoments, share: float = 0.2) -> Floats:
    """Min-K%++: as `min_k`, each token measured against the law that it was drawn from, ``(log p - mu) / sigma``.

    Args:
        log_probabilities: As in `mean_log_likelihood`.
        offsets: As there.
        moments: Mean and deviation of log p under the full softmax at each of the T places; see `TokenMoments.of`.
        share: As in `min_k`.

    Returns:
        Scores (N,), finite; higher = more likely a member.

    Raises:
        InputError: As in `min_k`, and for moments of another shape, not finite, or with a negative deviation.

    Edge cases:
        Where the model is certain the deviation is nearly 0; it counts as `LEAST_DEVIATION`, so the expected token scores about
        0 and any other one very low, but nothing is divided by 0.

    References:
        Zhang et al. 2024, "Min-K%++: improved baseline for detecting pre-training data from large language models",
        arXiv 2404.02936.
    """
    values, starts = _ragged(log_probabilities, offsets)
    mean, deviation = np.asarray(moments.mean, dtype=np.float64), np.asarray(moments.deviation, dtype=np.float64)
    if mean.shape != values.shape or deviation.shape != values.shape:
        raise InputError(f"moments have shapes {mean.shape} and {deviation.shape}; give one of each for the {values.size} tokens")
    wrong = ~(np.isfinite(mean) & np.isfinite(deviation) & (deviation >= 0))
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {wrong.size} moments are not finite or have a negative deviation; compute them in float32 or wider"
        )
    return _mean_of_lowest((values - mean) / np.maximum(deviation, LEAST_DEVIATION), starts, share)


def _ragged(log_probabilities: ArrayLike, offsets: ArrayLike) -> tuple[Floats, Integers]:
    """Flat log-probabilities and the offsets of the texts in them."""
    values, starts = np.asarray(log_probabilities, dtype=np.float64), np.asarray(offsets)
    if values.ndim != 1 or starts.ndim != 1 or starts.size < 2 or starts.dtype.kind not in "iu":
        raise InputError(
            f"log-probabilities have shape {values.shape}, offsets {starts.shape} and type {starts.dtype}; "
            "give T numbers and N + 1 integers"
        )
    starts = starts.astype(np.int64)
    if starts[0] != 0 or starts[-1] != values.size:
        raise InputError(
            f"offsets run from {starts[0]} to {starts[-1]}; with {values.size} log-probabilities they run from 0 to {values.size}"
        )
    empty = int(np.sum(np.diff(starts) < 1))
    if empty:
        raise InputError(f"{empty} of {starts.size - 1} texts have no token, or offsets fall; leave out texts without tokens")
    wrong = ~((values <= ABOVE_ONE) & np.isfinite(values))
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {values.size} log-probabilities are above 0 or not finite, such as {values[wrong][0]:.3g}; "
            "give the log-softmax at each token, in nats"
        )
    return values, starts


def _mean(values: Floats, starts: Integers) -> Floats:
    return np.asarray(np.add.reduceat(values, starts[:-1]) / np.diff(starts), dtype=np.float64)


def _mean_of_lowest(values: Floats, starts: Integers, share: float) -> Floats:
    if not 0 < share <= 1:
        raise InputError(f"share is {share}; it must lie in (0, 1], such as .2 for the lowest fifth")
    lengths = np.diff(starts)
    kept = np.maximum(1, np.floor(share * lengths + 1e-9)).astype(np.int64)  # .29 * 100 is 28.999...
    rising = values[np.lexsort((values, np.repeat(np.arange(lengths.size), lengths)))]  # within each text, which stays in its place
    place = np.arange(values.size) - np.repeat(starts[:-1], lengths)
    return np.asarray(np.add.reduceat(np.where(place < np.repeat(kept, lengths), rising, 0.0), starts[:-1]) / kept, dtype=np.float64)
