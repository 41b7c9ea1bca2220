"""The signal that the likelihood-ratio attack reads, formed from log-probabilities or from losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError

LEAST_LOSS = 2.0**-24
"""A float32 probability of 1 says no more than that the loss is below this: half the gap below 1."""

NEGATIVE = -1e-6
"""So far rounding may carry a float32 loss below 0."""


def logit_scaled(log_probabilities: NDArray[np.floating[Any]], labels: ArrayLike) -> Floats:
    """The signal of the likelihood-ratio attack: ``phi = log p_y - log sum_{j != y} p_j``.

    The other classes are summed one by one in float64, never as 1 - p_y, so a model that is sure of itself keeps a finite
    phi that tells how sure.

    Args:
        log_probabilities: (N, K) with K >= 2, in nats. They may miss a constant for each example, so plain logits will do.
        labels: Right classes (N,), integers from 0 to K - 1.

    Returns:
        phi (N,), any finite number; higher = the model fits the example better.

    Raises:
        InputError: For other shapes, labels outside 0 to K - 1, a NaN or plus infinity, or a phi that is infinite because the
            label or all other classes have probability 0.

    Edge cases:
        Some classes but the label may have a log-probability of minus infinity, as classes that are masked have.

    References:
        Carlini et al. 2022, "Membership inference attacks from first principles", arXiv 2112.03570, the logit scaling of
        model confidences.

    >>> logit_scaled(np.log([[0.8, 0.1, 0.1], [0.25, 0.5, 0.25]]), [0, 1]).round(3) + 0.0
    array([1.386, 0.   ])
    """
    given, right = np.asarray(log_probabilities), np.asarray(labels)
    if given.ndim != 2 or given.shape[1] < 2 or right.shape != given.shape[:1] or right.dtype.kind not in "iu":
        raise InputError(
            f"log-probabilities have shape {given.shape} and labels {right.shape} of type {right.dtype}; "
            "give (N, K) with at least two classes and N integers"
        )
    if np.any((right < 0) | (right >= given.shape[1])):
        raise InputError(
            f"labels run from {right.min()} to {right.max()}, but there are {given.shape[1]} classes: 0 to {given.shape[1] - 1}"
        )
    others = given.astype(np.float64)  # a copy, because the label is struck out of it
    rows = np.arange(right.size)
    own = others[rows, right]
    others[rows, right] = -np.inf
    with np.errstate(invalid="ignore"):
        phi = own - special.logsumexp(others, axis=1)
    broken = int(np.sum(~np.isfinite(phi)))
    if broken:
        raise InputError(
            f"{broken} of {phi.size} examples have no finite logit: the label or all other classes have probability 0, or a value is NaN; "
            "take log_softmax of the logits, not log of softmax"
        )
    return np.asarray(phi, dtype=np.float64)


def logit_of_loss(losses: ArrayLike, *, least_loss: float = LEAST_LOSS) -> Floats:
    """The same signal from a cross-entropy: ``phi = log(p / (1 - p))`` with ``p = e^-loss``.

    Args:
        losses: Losses in nats, at least 0, of any shape, such as (N,) of a target model or (N, M) of shadow models.
        least_loss: Smaller losses count as this one. The default is what float32 can tell from 0; losses that were computed
            in float64 throughout allow 2**-53.

    Returns:
        phi in float64, of the shape of the losses; higher = the model fits the example better.

    Raises:
        InputError: For losses that are negative beyond rounding or not finite, or a least loss that is not positive.

    Edge cases:
        A loss of 0 gives 16.6, the logit of the least loss, so ties among examples that are fitted perfectly stay ties. At
        large losses phi is minus the loss, without overflow.

    References:
        Carlini et al. 2022, arXiv 2112.03570, the logit scaling of model confidences; for two classes it is the log-odds.

    >>> logit_of_loss([0.0, float(np.log(2)), 1000.0]).round(3) + 0.0
    array([   16.636,     0.   , -1000.   ])
    """
    if not 0 < least_loss < np.inf:
        raise InputError(f"the least loss is {least_loss}; give a positive number such as {LEAST_LOSS:.3g}")
    given = np.asarray(losses, dtype=np.float64)
    wrong = ~((given >= NEGATIVE) & np.isfinite(given))
    if np.any(wrong):
        raise InputError(
            f"{int(wrong.sum())} of {given.size} losses are negative or not finite, such as {given[wrong][0]:.3g}; "
            "give cross-entropies in nats, one for each example, without a reward or a regulariser"
        )
    loss = np.maximum(given, least_loss)
    small = np.minimum(loss, 1.0)  # each branch sees only what it is good at
    return np.asarray(np.where(loss < 1, -np.log(np.expm1(small)), -loss - np.log1p(-np.exp(-np.maximum(loss, 1.0)))), dtype=np.float64)
