"""Several secrets planted in one model: one p-value for all of them, and their mean exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from holdfast.audit.canaries.exposure import Exposure
from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

ROUNDING = 1e-9
"""Bits by which two sums of exposures may differ and still be the same."""


def fisher(p_values: ArrayLike) -> float:
    """One p-value from several by Fisher's product: strong where many secrets leaked a little.

    Args:
        p_values: (k,), each in (0, 1].

    Returns:
        The chance of such a product or a smaller one, in [0, 1]: 0 only where it is below the smallest number that floats hold.

    Raises:
        InputError: For no p-value, or one outside (0, 1].

    Guarantee:
        Valid if the p-values are valid and *independent* under the null that the model depends on none of the secrets. Those of
        secrets drawn independently are: given the model, each is a function of its own secret alone, and of references of its
        own. References that several secrets share make their p-values move together; take `simes` then. It is of no account for
        a few secrets and thousands of references, but 200 secrets on the same 100 are found significant in 9 % of cases at a
        nominal 5 %. On a finite space the p-values are coarse and the result is conservative.

    References:
        Fisher 1925, "Statistical methods for research workers", section 21.1.

    >>> round(fisher([0.01, 0.02]), 5), round(fisher([0.3]), 5)
    (0.0019, 0.3)
    """
    values = _checked(p_values)
    return float(special.gammaincc(values.size, -np.log(values).sum()))


def simes(p_values: ArrayLike) -> float:
    """One p-value from several by Simes: strong where one secret leaked much.

    Args:
        p_values: (k,), each in (0, 1].

    Returns:
        The smallest of ``k p_(j) / j`` over the ordered p-values, in (0, 1].

    Raises:
        InputError: For no p-value, or one outside (0, 1].

    Guarantee:
        Valid if the p-values are valid and independent, or depend on one another positively, as they do where secrets of one
        pattern share their references.

    References:
        Simes 1986, "An improved Bonferroni procedure for multiple tests of significance", Biometrika 73, 751-754. Sarkar 1998
        for positive dependence, Annals of Statistics 26, 494-504. Bates, Candes, Lei, Romano, Sesia 2023, "Testing for outliers
        with conformal p-values", arXiv 2104.08279, for p-values that share references.

    >>> round(simes([0.04, 0.03, 0.9]), 6)
    0.06
    """
    ordered = np.sort(_checked(p_values))
    return float(np.min(ordered * ordered.size / np.arange(1, ordered.size + 1)))


@dataclass(frozen=True, kw_only=True)
class MeanExposure:
    """The mean exposure of several secrets, against what it is when the model knows none of them.

    Args:
        bits: The mean.
        null_mean: What to expect of it if the model knows nothing.
        p_value: The chance of such a mean or a higher one then, by simulation; at least 1 / (draws + 1).
        secrets: k.
        draws: How many times the null was simulated.
    """

    bits: float
    null_mean: float
    p_value: float
    secrets: int
    draws: int

    @property
    def method(self) -> str:
        """How the p-value was found, in one phrase."""
        return f"mean over {self.secrets} secrets against {self.draws:,} draws of uniform ranks"


def mean_exposure(exposures: Sequence[Exposure], *, streams: Streams, draws: int = 20_000) -> MeanExposure:
    """The mean exposure, and how likely it is for a model that knows nothing of the secrets.

    The mean is Fisher's product in other units. `fisher` takes p-values for continuous, this takes them for what they are on
    a finite space, where each of `Exposure.outcomes` is equally likely; on small spaces it is the sharper of the two.

    Args:
        exposures: Of k secrets, at least one.
        streams: Of the simulation.
        draws: How often the null is simulated, at least 1.

    Raises:
        InputError: For no exposure, or no draw.

    Guarantee:
        ``P[p_value <= t] <= t`` for every t and every number of draws, under the conditions of `fisher`.
    """
    if not exposures or draws < 1:
        raise InputError(f"{len(exposures)} exposures and {draws} draws; give at least one of each")
    total = sum(exposure.bits for exposure in exposures)
    drawn = np.zeros(draws)
    for number, exposure in enumerate(exposures):
        places = np.ceil(streams.generator("uniform ranks", number).random(draws) * exposure.outcomes)
        drawn += exposure.most_bits - np.log2(np.maximum(places, 1))
    as_high = int(np.count_nonzero(drawn >= total - ROUNDING))
    return MeanExposure(
        bits=total / len(exposures),
        null_mean=sum(exposure.null_mean for exposure in exposures) / len(exposures),
        p_value=(1 + as_high) / (draws + 1),
        secrets=len(exposures),
        draws=draws,
    )


def _checked(p_values: ArrayLike) -> Floats:
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not values.size or not ((values > 0) & (values <= 1)).all():
        raise InputError(f"p-values are {values}; give at least one, each above 0 and at most 1")
    return values
