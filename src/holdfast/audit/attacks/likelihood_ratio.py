"""LiRA: membership by the likelihood ratio of two normal laws, that of models trained on an example and that of the others."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from holdfast.audit.attacks.shadow_signals import Reals, ShadowSignals, Side, Truths, signals_of_target
from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError, nearest

Variance = Literal["auto", "each", "pooled"]
"""How spread is estimated: for each example by itself, pooled over all examples, or pooled below `ENOUGH` models a side."""

VARIANCES = ("auto", "each", "pooled")
"""The values of `Variance`."""

ENOUGH = 64
"""Shadow models on a side from which the variance of each example is taken by itself: the number that Carlini et al. found."""

FLAT = 1e-10
"""A standard deviation below this share of the signals themselves is rounding, not spread."""


def lira_online(
    target: ArrayLike, shadow: Reals, *, included: Truths, variance: Variance = "auto", configured: int | None = None
) -> Floats:
    """LiRA with shadow models on both sides: ``log N(phi; mu_in, s_in) - log N(phi; mu_out, s_out)``.

    A pooled variance is the mean squared distance of the signals from the mean *of their own example*, for IN and OUT apart.
    The published script pools signals that were not centred, so that easy and hard examples pass for spread, and it gives the
    variance of the IN side to both sides. Means are means, as in the paper; the script takes medians.

    Args:
        target: Signals of the audited model (N,), finite, nearly normal for a fixed example, such as `logit_scaled`.
        shadow: The same signals of the shadow models (N, M), of any float type; an `np.memmap` is read in blocks.
        included: Whether shadow model m was trained on example n, (N, M) booleans. The audited model is none of them.
        variance: "each" for each example by itself, "pooled" over all, "auto" pooled where some example has fewer than
            `ENOUGH` models on a side; the choice is one for all examples.
        configured: How many shadow models a study was to train; fewer are refused.

    Returns:
        Scores (N,) in nats, any finite number; higher = more likely a member.

    Raises:
        InputError: For shapes that do not fit, values that are not finite, an example with fewer than two models on a side,
            signals without any spread, or fewer models than configured.

    Edge cases:
        An example whose models on one side all give the same signal is refused under "each" (its likelihood would be
        infinite) and served under "pooled". Variances are divided by the models less one, so with two models a side they
        are unbiased.

    References:
        Carlini et al. 2022, "Membership inference attacks from first principles", arXiv 2112.03570, algorithm 1.
    """
    signals = signals_of_target(target)
    shadows = ShadowSignals.beside(signals, shadow, included, configured=configured)
    shadows.need("online LiRA", inside=2, outside=2)
    moments = shadows.moments()
    pooled = _pools(variance, moments.inside, moments.outside)
    return _log_density(signals, moments.inside, "IN", pooled=pooled) - _log_density(signals, moments.outside, "OUT", pooled=pooled)


def lira_offline(
    target: ArrayLike, shadow: Reals, *, included: Truths, variance: Variance = "auto", configured: int | None = None
) -> Floats:
    """LiRA with shadow models on the OUT side alone: how far phi lies *above* them, ``(phi - mu_out) / s_out``.

    The paper scores ``1 - P[N(mu_out, s_out) > phi] = Phi(z)``, which is 1 in floating point from z = 8.3 on, where the members
    are that matter most. This returns z itself: the same order, and it does not saturate. It is one-sided. The density of the
    normal law, which several scripts take instead, also rewards examples that the model fits *worse* than models that never
    saw them.

    Args:
        target: As in `lira_online`.
        shadow: As there.
        included: As there; signals of models that were trained on an example are not used.
        variance: As there, from the OUT side alone.
        configured: As there.

    Returns:
        z (N,), any finite number; higher = more likely a member. ``scipy.special.ndtr(z)`` is the number of the paper.

    Raises:
        InputError: As in `lira_online`, but only the OUT side needs two models.

    Edge cases:
        Under "pooled" the order is that of `difficulty_calibrated`, because one number divides all.

    References:
        Carlini et al. 2022, arXiv 2112.03570, the offline variant of algorithm 1.
    """
    signals = signals_of_target(target)
    shadows = ShadowSignals.beside(signals, shadow, included, configured=configured)
    shadows.need("offline LiRA", inside=0, outside=2)
    outside = shadows.moments().outside
    return _distance(signals, outside, _deviation(signals, outside, "OUT", pooled=_pools(variance, outside)))


def _pools(variance: Variance, *sides: Side) -> bool:
    if variance not in VARIANCES:
        raise InputError(f"variance is {variance!r}; {nearest(str(variance), VARIANCES)}")
    return variance == "pooled" or (variance == "auto" and min(int(side.count.min()) for side in sides) < ENOUGH)


def _deviation(signals: Floats, side: Side, name: str, *, pooled: bool) -> Floats:
    """Standard deviation for each example, (N,)."""
    freedom = side.count - 1
    variance = np.full(side.mean.shape, side.squares.sum() / freedom.sum()) if pooled else side.squares / freedom
    deviation = np.sqrt(variance)
    flat = deviation <= FLAT * np.maximum(np.abs(side.mean), np.abs(signals))
    if flat.all() if pooled else flat.any():
        raise InputError(
            f"{int(flat.sum())} of {flat.size} examples have {name} shadow models that all give one signal, so the spread is 0; "
            + ("train the shadow models from different seeds on different examples" if flat.all() else 'pass variance="pooled"')
        )
    return np.asarray(deviation, dtype=np.float64)


def _distance(signals: Floats, side: Side, deviation: Floats) -> Floats:
    return np.asarray((signals - side.mean) / deviation, dtype=np.float64)


def _log_density(signals: Floats, side: Side, name: str, *, pooled: bool) -> Floats:
    """Logarithm of the normal density, less a constant that the other side shares."""
    deviation = _deviation(signals, side, name, pooled=pooled)
    return np.asarray(-np.log(deviation) - _distance(signals, side, deviation) ** 2 / 2, dtype=np.float64)
