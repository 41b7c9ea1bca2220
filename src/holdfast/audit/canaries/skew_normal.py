"""The skew-normal law: its likelihood fit, and its distribution function far out in the lower tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from holdfast.audit.intervals import Floats
from holdfast.core.errors import InputError

BINS = 1024
"""Bins of equal width that the likelihood is taken on: it then costs the same for any number of values."""

FAR = 1e-6
"""Below this probability the distribution function is integrated instead of taken as a difference of two larger numbers."""

MOST_SKEW = 0.99
"""The moment fit that the likelihood starts from holds the skewness to this; no skew-normal law has more than .9953."""

NODES, WEIGHTS = (np.asarray(part, dtype=np.float64) for part in special.roots_laguerre(48))


@dataclass(frozen=True, kw_only=True)
class SkewNormal:
    """The law with the density ``2 / scale * phi(z) Phi(shape z)``, where ``z = (x - location) / scale``.

    Args:
        location: In the unit of the values; neither mean nor mode, except at shape 0.
        scale: Above 0.
        shape: Negative for a long lower tail, 0 for a normal law.

    References:
        Azzalini 1985, "A class of distributions which includes the normal ones", Scandinavian Journal of Statistics 12, 171-178.
    """

    location: float
    scale: float
    shape: float

    def log_cdf(self, values: ArrayLike) -> Floats:
        """The logarithm of the distribution function, of the shape of the values.

        Guarantee:
            Relative error of the function below 1e-8, however far the value lies in the lower tail.
        """
        return self._log_cdf(self._standard(values), self.shape)

    def log_sf(self, values: ArrayLike) -> Floats:
        """The logarithm of one minus the distribution function, as exactly."""
        return self._log_cdf(-self._standard(values), -self.shape)

    def draw(self, generator: np.random.Generator, count: int) -> Floats:
        """So many independent values, (count,)."""
        delta = self.shape / math.sqrt(1 + self.shape**2)
        z = delta * np.abs(generator.standard_normal(count)) + math.sqrt(1 - delta**2) * generator.standard_normal(count)
        return self.location + self.scale * z

    def _standard(self, values: ArrayLike) -> Floats:
        return (np.asarray(values, dtype=np.float64) - self.location) / self.scale

    @staticmethod
    def _log_cdf(z: Floats, shape: float) -> Floats:
        cdf = special.ndtr(z) - 2 * special.owens_t(z, shape)
        far = cdf < FAR
        found = np.asarray(np.log(np.where(far, 1.0, np.minimum(cdf, 1.0))))
        if far.any():
            found[far] = _log_integral(z[far], shape)
        return found


def fit_skew_normal(values: ArrayLike) -> SkewNormal:
    """The skew-normal law of highest likelihood, for values counted in `BINS` bins.

    Args:
        values: (n,), finite and not all equal.

    Raises:
        InputError: For other values.

    Edge cases:
        For values that no skew-normal law is skew enough for, the shape grows until the likelihood is flat, to tens or hundreds.
        Counting in bins moves the fit by less than a hundredth of its standard error at 10,000 values; `scipy.stats.skewnorm.fit`
        takes several hundred times as long.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 1 or not np.isfinite(given).all() or given.size < 2 or not (spread := float(given.std())) > 0:
        raise InputError(f"values {given.shape} cannot be fitted; give at least two that are finite and not all equal")
    mean = float(given.mean())
    z = (given - mean) / spread
    counts, edges = np.histogram(z, BINS)
    seen = counts > 0
    shares, middles = counts[seen] / z.size, (edges[:-1] + edges[1:])[seen] / 2
    start = _by_moments(z)
    options = {"gtol": 1e-6, "hess_inv0": _inverse_information(start, middles, shares)}
    found = optimize.minimize(_loss, start, args=(middles, shares), jac=True, method="BFGS", options=options)
    location, log_scale, shape = map(float, found.x)
    return SkewNormal(location=mean + spread * location, scale=spread * math.exp(log_scale), shape=shape)


def _by_moments(z: Floats) -> Floats:
    """Location, log scale and shape of the law with the skewness of standardised values."""
    skew = min(max(float((z * z * z).mean()), -MOST_SKEW), MOST_SKEW)
    ratio = np.cbrt(2 * skew / (4 - math.pi))
    mean = ratio / math.sqrt(1 + ratio**2)  # of the law with scale 1
    delta = mean * math.sqrt(math.pi / 2)
    scale = 1 / math.sqrt(1 - mean**2)
    return np.array([-scale * mean, math.log(scale), delta / math.sqrt(1 - delta**2)])


def _loss(parameters: Floats, middles: Floats, shares: Floats) -> tuple[float, Floats]:
    """Minus the mean log likelihood, without its constant, and its gradient."""
    losses_B, gradients_3B = _losses(parameters, middles)
    return float(losses_B @ shares), gradients_3B @ shares


def _losses(parameters: Floats, middles: Floats) -> tuple[Floats, Floats]:
    """Minus the log likelihood of one value in each bin, and its gradient."""
    location, log_scale, shape = parameters
    u = (middles - location) * math.exp(-log_scale)
    log_side = special.log_ndtr(shape * u)
    pull = _pull(shape * u)
    slope = u - shape * pull
    return log_scale + 0.5 * u * u - log_side, np.stack([-slope * math.exp(-log_scale), 1 - u * slope, -u * pull])


def _inverse_information(parameters: Floats, middles: Floats, shares: Floats) -> Floats:
    """The inverse of the mean outer product of the gradient: what the search takes for curvature at first.

    At shape 0 the product is singular, so its diagonal is raised a little.
    """
    _, gradients_3B = _losses(parameters, middles)
    information = (gradients_3B * shares) @ gradients_3B.T
    inverse = np.linalg.inv(information + 1e-3 * np.diag(np.diag(information)))
    return np.asarray((inverse + inverse.T) / 2)


def _log_integral(z: Floats, shape: float) -> Floats:
    """Log of the density integrated from minus infinity to each z, for z far below the mode.

    The density is log-concave, so that to the left of z it falls at least as fast as an exponential with the slope that it has
    at z. Divided by that exponential it is a smooth function between 0 and 1, which Gauss-Laguerre integrates.
    """
    slope = -z + shape * _pull(shape * z)
    at = _log_density(z, shape)
    inside = _log_density(z[:, None] - NODES / slope[:, None], shape) - at[:, None] + NODES
    return np.asarray(at - np.log(slope) + special.logsumexp(inside, b=WEIGHTS, axis=1))


def _log_density(z: Floats, shape: float) -> Floats:
    return np.asarray(math.log(2 / math.sqrt(2 * math.pi)) - 0.5 * z * z + special.log_ndtr(shape * z))


def _pull(z: Floats) -> Floats:
    """``phi(z) / Phi(z)``, the slope of ``log Phi``, for any z."""
    return np.asarray(math.sqrt(2 / math.pi) / special.erfcx(-z / math.sqrt(2)))
