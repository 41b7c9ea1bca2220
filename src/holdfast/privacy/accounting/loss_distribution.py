"""The privacy loss distribution of the Poisson-subsampled Gaussian mechanism, on arrays; everything else asks the library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dp_accounting.pld.pld_pmf import PLDPmf
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

Floats = NDArray[np.float64]


def subsampled_gaussian(noise_multiplier: float, sampling_probability: float, grid: float) -> PrivacyLossDistribution:
    """What `dp_accounting.pld` gives for this mechanism under add/remove or zero-out neighbouring, in a fraction of the time.

    The library inverts the privacy loss for one grid point after the other, which takes most of an account of many levels of
    noise. Here the hockey-stick divergences are computed at all grid points together; bounds of the grid, rounding to it
    and composition stay the library's. A test holds the two distributions together.

    Args:
        noise_multiplier: Standard deviation over sensitivity, > 0.
        sampling_probability: In (0, 1].
        grid: Width of the grid of losses, in nats.

    References:
        Zhu, Dong, Wang 2022 (arXiv 2106.08567), theorem 11; Doroshenko et al. 2022 (arXiv 2207.04380), algorithm 1.
    """
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

    removed = _on_grid(noise_multiplier, sampling_probability, grid, adding=False)
    if sampling_probability == 1:
        return PrivacyLossDistribution(removed)
    return PrivacyLossDistribution(removed, _on_grid(noise_multiplier, sampling_probability, grid, adding=True))


def _on_grid(deviation: float, probability: float, grid: float, *, adding: bool) -> PLDPmf:
    from dp_accounting.pld import pld_pmf, privacy_loss_mechanism

    way = privacy_loss_mechanism.AdjacencyType.ADD if adding else privacy_loss_mechanism.AdjacencyType.REMOVE
    loss = privacy_loss_mechanism.GaussianPrivacyLoss(deviation, sampling_prob=probability, adjacency_type=way)
    bounds = loss.connect_dots_bounds()
    low, high = math.floor(bounds.epsilon_lower / grid), math.ceil(bounds.epsilon_upper / grid)
    epsilons_G = np.arange(low, high + 1) * grid
    deltas_G = (_when_adding if adding else _when_removing)(epsilons_G, deviation, probability)
    return pld_pmf.create_pmf_pessimistic_connect_dots_fixed_gap(grid, low, high, np.clip(deltas_G, 0.0, 1.0))


def _when_removing(epsilons_G: Floats, deviation: float, probability: float) -> Floats:
    """Hockey-stick divergences (G,) of ``(1-q) N(0, s^2) + q N(-1, s^2)`` from ``N(0, s^2)``: the loss falls along the line."""
    from scipy.special import log_ndtr, ndtr

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        loss_G = np.log1p(np.expm1(epsilons_G) / probability)  # before sampling
        cut_G = -0.5 - loss_G * deviation**2
        upper_G = (1 - probability) * ndtr(cut_G / deviation) + probability * ndtr((cut_G + 1) / deviation)
        deltas_G = upper_G - np.exp(epsilons_G + log_ndtr(cut_G / deviation))
    everywhere_G = epsilons_G <= math.log1p(-probability) if probability < 1 else np.zeros(len(epsilons_G), dtype=bool)
    return np.where(everywhere_G, -np.expm1(np.minimum(epsilons_G, 0.0)), deltas_G)


def _when_adding(epsilons_G: Floats, deviation: float, probability: float) -> Floats:
    """Hockey-stick divergences (G,) of ``N(0, s^2)`` from ``(1-q) N(0, s^2) + q N(1, s^2)``, which no loss above -log(1-q) meets."""
    from scipy.special import log_ndtr, ndtr

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        loss_G = -np.log1p(np.expm1(-epsilons_G) / probability)
        cut_G = 0.5 - loss_G * deviation**2
        lower_G = np.logaddexp(
            math.log1p(-probability) + log_ndtr(cut_G / deviation), math.log(probability) + log_ndtr((cut_G - 1) / deviation)
        )
        deltas_G = ndtr(cut_G / deviation) - np.exp(epsilons_G + lower_G)
    return np.where(epsilons_G < -math.log1p(-probability), deltas_G, 0.0)
