"""RMIA: membership by how many examples of a population an example beats, each measured by what models give it on average."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import ArrayLike

from holdfast.audit.attacks.shadow_signals import Reals, ShadowSignals, Truths, signals_of_target
from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError

CERTAIN = 1.0 + 1e-6
"""The largest probability allowed: rounding may carry one of float32 above 1."""


def rmia_online(
    target_probability: ArrayLike,
    shadow_probability: Reals,
    *,
    included: Truths,
    population_target: ArrayLike,
    population_shadow: Reals,
    gamma: float = 2.0,
    configured: int | None = None,
) -> Floats:
    """RMIA with shadow models on both sides: the share of a population that an example beats by a factor.

    With ``LR(x, z) = [p(x|target) / p(x)] / [p(z|target) / p(z)]`` the score of x is the share of population examples z with
    LR(x, z) > gamma. p(x) is half the mean over the models trained on x and half that over the others, p(z) the mean over all.

    Args:
        target_probability: p(x|target) (N,), in [0, 1]: the probability of the right label, or the exponential of the mean
            log-probability of the tokens.
        shadow_probability: The same under the shadow models, (N, M), of any float type; an `np.memmap` is read in blocks.
        included: Whether shadow model m was trained on example n, (N, M) booleans. The audited model is none of them.
        population_target: p(z|target) (Z,) of examples that no model was trained on.
        population_shadow: The same under the shadow models, (Z, M).
        gamma: Factor > 0; the paper uses 2, its code 1.
        configured: How many shadow models a study was to train; fewer are refused.

    Returns:
        Scores (N,), multiples of 1/Z in [0, 1]; higher = more likely a member. In O((N + Z) log Z).

    Raises:
        InputError: For shapes that do not fit, values outside [0, 1], an example without a model on one side, examples that
            no shadow model gives any probability, a gamma that is not positive, or fewer models than configured.

    Edge cases:
        The order of the scores is that of p(x|target) / p(x); the population only gives it a scale, in steps. Examples that
        beat all of it tie at 1, so a true positive rate at a false positive rate below 1/Z needs a larger population. A ratio
        of exactly gamma does not count.

    References:
        Zarifzadeh, Liu, Shokri 2024, "Low-cost high-power membership inference attacks", arXiv 2312.03262, the online attack.
    """
    x, z = _probabilities(target_probability, "target probabilities"), _probabilities(population_target, "population probabilities")
    shadows = _shadows(shadow_probability, included, "shadow probabilities", configured=configured)
    shadows.must_match(x)
    shadows.need("online RMIA", inside=1, outside=1)
    moments = shadows.moments()
    of_x, of_z = (moments.inside.mean + moments.outside.mean) / 2, _population_mean(z, population_shadow, shadows)
    return _share_beaten(_relative(x, of_x, "examples"), _relative(z, of_z, "population examples"), gamma)


def rmia_offline(
    target_probability: ArrayLike,
    shadow_probability: Reals,
    *,
    included: Truths,
    population_target: ArrayLike,
    population_shadow: Reals,
    gamma: float = 2.0,
    offline_a: float = 0.3,
    configured: int | None = None,
) -> Floats:
    """RMIA with shadow models on the OUT side alone; works with one model, better with a few.

    As `rmia_online`, with the mean over models trained on x unknown. It is taken for linear in the mean over the others, from
    which ``p(x) = ((1 + a) mean_out + (1 - a)) / 2``, and p(z) likewise, so that a non-member is measured as the population is.

    Args:
        target_probability: As in `rmia_online`.
        shadow_probability: As there.
        included: As there; probabilities by models that were trained on an example are not used.
        population_target: As there.
        population_shadow: As there.
        gamma: As there.
        offline_a: a in [0, 1]. 1 takes p(x) for mean_out; smaller values trust examples less that are hard for all models. To
            choose it, attack a shadow model with the help of the others, never the audited model.
        configured: As there.

    Returns:
        As in `rmia_online`.

    Raises:
        InputError: As in `rmia_online`, but only the OUT side needs a model; also for an a outside [0, 1].

    Edge cases:
        As in `rmia_online`. At a = 0 p(x) lies between 1/2 and 1, and little calibration is left.

    References:
        Zarifzadeh, Liu, Shokri 2024, arXiv 2312.03262, the offline attack; p(z) as in the authors' code, ml_privacy_meter.
    """
    if not 0 <= offline_a <= 1:
        raise InputError(f"offline_a is {offline_a}; it must lie in [0, 1], such as .3")
    x, z = _probabilities(target_probability, "target probabilities"), _probabilities(population_target, "population probabilities")
    shadows = _shadows(shadow_probability, included, "shadow probabilities", configured=configured)
    shadows.must_match(x)
    shadows.need("offline RMIA", inside=0, outside=1)
    means = (shadows.moments().outside.mean, _population_mean(z, population_shadow, shadows))
    of_x, of_z = (((1 + offline_a) * mean + (1 - offline_a)) / 2 for mean in means)
    return _share_beaten(_relative(x, of_x, "examples"), _relative(z, of_z, "population examples"), gamma)


def _probabilities(values: ArrayLike, what: str) -> Floats:
    return signals_of_target(values, what=what, lowest=0.0, highest=CERTAIN)


def _shadows(values: Reals, included: Truths, what: str, *, configured: int | None = None) -> ShadowSignals:
    return ShadowSignals(
        values_NM=np.asarray(values), included_NM=np.asarray(included), what=what, lowest=0.0, highest=CERTAIN, configured=configured
    )


def _population_mean(population: Floats, population_shadow: Reals, shadows: ShadowSignals) -> Floats:
    """p(z) under the shadow models, none of which was trained on the population."""
    nowhere = np.broadcast_to(np.False_, np.shape(population_shadow))
    signals = _shadows(population_shadow, nowhere, "probabilities of shadow models on the population")
    signals.must_match(population)
    models = shadows.values_NM.shape[1]
    if signals.values_NM.shape[1] != models:
        raise InputError(f"{signals.values_NM.shape[1]} shadow models saw the population, but {models} the examples; give the same models")
    return signals.moments().outside.mean


def _share_beaten(ratio_N: Floats, ratio_Z: Floats, gamma: float) -> Floats:
    """For each x the share of z with ``ratio_x > gamma * ratio_z``."""
    if not 0 < gamma < np.inf:
        raise InputError(f"gamma is {gamma}; give a positive factor such as 2")
    return np.asarray(np.searchsorted(np.sort(gamma * ratio_Z), ratio_N, "left") / ratio_Z.size, dtype=np.float64)


def _relative(probability: Floats, average: Floats, what: str) -> Floats:
    """What the target gives an example over what models give it on average."""
    unseen = int(np.sum(average < sys.float_info.min))
    if unseen:
        raise InputError(
            f"{unseen} of {average.size} {what} have probability 0 under all shadow models; give probabilities that do not underflow, "
            "such as the exponential of the mean log-probability of the tokens, or leave those examples out"
        )
    return np.asarray(probability / average, dtype=np.float64)
