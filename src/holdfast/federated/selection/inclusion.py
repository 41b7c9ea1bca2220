"""The probability that a client is drawn, for each way of drawing; clients of equal weight are counted together.

Shapes: L groups of clients of equal weight, Q nodes of an integral over time, F frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

TINY = 1e-13
"""Probability that is let go at either end of an integral."""
EXACT_WORK = 2_000_000
"""Values of characteristic functions above which the exact computation gives way to the approximation."""
NODES = (64, 128, 256, 512, 1024)
NODES_PER_NAT = 6
"""Fewer than these across the window and a sum that is right may hide errors that cancel."""
TILTS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Tilts s of Chernoff's bound; any will do, and the best of these is near the best of all."""
LIGHT, TERMS = 0.05, 14
"""Groups that have rung with less than this probability enter the exact computation by power series of so many terms."""
APART = 60.0
"""Weights whose logarithms differ by more never compete: the lighter one comes first once in 10^26 times."""


@dataclass(frozen=True, eq=False)
class Chances:
    """Probability that a client of each group is drawn, (L,), and whether it is "exact" or "approximate"."""

    values: Floats
    exactness: str


def with_replacement(clients: Numbers, log_weights: Floats, size: float) -> Floats:
    """Expected number of times that a client of each group is drawn, m w / sum w, (L,). Exact.

    Args:
        clients: How many are in each group, (L,).
        log_weights: Log of the weight of a client of it, (L,); -inf for no chance. One at least must be finite.
        size: Draws.
    """
    from scipy.special import logsumexp

    return np.asarray(size * np.exp(log_weights - logsumexp(log_weights, b=clients)))


def poisson(clients: Numbers, log_weights: Floats, size: float) -> Floats:
    """Probability min(1, c w) with c such that `size` clients are expected, (L,), by water-filling. Exact.

    Args:
        clients: How many are in each group, (L,).
        log_weights: Log of the weight of a client of it, (L,); -inf for no chance.
        size: Expected size of the cohort; all that have a chance are taken where there are not so many.

    >>> poisson(np.array([1, 2]), np.log([8.0, 1.0]), 2).tolist()
    [1.0, 0.5]
    """
    reach = np.isfinite(log_weights)
    if size >= clients[reach].sum():
        return reach.astype(np.float64)
    order = np.argsort(-log_weights[reach], kind="stable")
    logs, numbers = log_weights[reach][order], clients[reach][order]
    above = np.cumsum(numbers) - numbers  # clients with more weight
    rest = np.logaddexp.accumulate((logs + np.log(numbers))[::-1])[::-1]  # log of the weight that is left
    first = int(np.argmax((size - above) * np.exp(logs - rest) <= 1 + 1e-12))  # the heaviest group that is not certain
    values = np.zeros(len(clients))
    values[reach] = np.minimum(1, (size - above[first]) * np.exp(np.minimum(log_weights[reach] - rest[first], 700)))
    return values


def successive(clients: Numbers, log_weights: Floats, size: int) -> Chances:
    """Probability of being among the first `size` of successive draws without replacement (Gumbel top-k).

    Give each client an exponential clock of rate w. The first m to ring are the cohort, so a client is in it with probability
    the integral of ``w exp(-w t) P(fewer than m of the others have rung by t)`` over t. The number that have rung is
    Poisson-binomial.

    Args:
        clients: How many are in each group, (L,).
        log_weights: Log of the weight of a client of it, (L,); -inf for no chance.
        size: m >= 1.

    Returns:
        Probabilities, "exact" (to about 1e-9, held to their sum being m) where the distribution could be inverted from its
        characteristic function within `EXACT_WORK` values, else "approximate": there the distribution is a normal one with
        a correction for skewness, the second order of the threshold equation ``sum(1 - exp(-w t)) = m``.

    Guarantee:
        Small populations are exact, and so are large ones of which few clients are likely to be drawn. The approximation is
        left for cohorts of hundreds with many likely clients. A test holds it to the exact values within 2 parts in 10,000,
        relatively, for cohorts of 20 clients, and 2 in 100,000 for 100, where it is not used, since it is worse there.

    References:
        Rosén 1997, "Asymptotic theory for order sampling"; Efraimidis and Spirakis 2006; Volkova 1996 for the normal
        approximation with a correction; Hong 2013 for the inversion.
    """
    values = np.zeros(len(clients))
    reach = np.isfinite(log_weights) & (clients > 0)
    numbers, logs = clients[reach], log_weights[reach]
    if size >= numbers.sum():
        values[reach] = 1
        return Chances(values, "exact")
    if len(logs) and np.ptp(logs) == 0:
        values[reach] = size / numbers.sum()
        return Chances(values, "exact")
    if size == 1:
        values[reach] = with_replacement(numbers, logs, 1)
        return Chances(values, "exact")
    order = np.argsort(-logs, kind="stable")
    exhausted = np.flatnonzero(np.cumsum(numbers[order]) == size)
    if len(exhausted) and logs[order[exhausted[0]]] - logs[order[exhausted[0] + 1]] > APART:
        values[np.flatnonzero(reach)[order[: exhausted[0] + 1]]] = 1
        return Chances(values, "exact")
    found, exactness = _clocks(numbers.astype(np.int64).tobytes(), (logs - logs.max()).astype(np.float64).tobytes(), int(size))
    values[reach] = found
    return Chances(values, exactness)


def threshold(clients: Numbers, log_weights: Floats, expected: float) -> float:
    """The logarithm of the time by which `expected` clients have rung in expectation: ``sum(1 - exp(-w t)) = m``.

    Args:
        clients: How many are in each group, (L,).
        log_weights: Log of the rate of each, (L,); -inf never rings.
        expected: > 0 and below the number of clients that ring at all.
    """
    reach = np.isfinite(log_weights)
    numbers, logs = clients[reach], log_weights[reach]
    low, high = float(-logs.max()) - 60, float(-logs.min()) + 60
    while high - low > 1e-12 * max(1.0, abs(low)):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if float(numbers @ _rung(logs + middle)) < expected:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def first_order(log_weights: Floats, size: int) -> Floats:
    """A guess at the inclusion of single clients, (k,), by the threshold equation alone; many weights are first put into 1,024 bins."""
    if size >= len(log_weights):
        return np.ones(len(log_weights))
    if len(log_weights) <= 4_096 or np.ptp(log_weights) == 0:
        logs, numbers = log_weights, np.ones(len(log_weights), dtype=np.int64)
    else:
        counted, edges = np.histogram(log_weights, bins=1_024)
        logs, numbers = ((edges[1:] + edges[:-1]) / 2)[counted > 0], counted[counted > 0]
    return np.asarray(_rung(log_weights + threshold(numbers.astype(np.int64), logs, size)))


def _rung(log_rates: Floats) -> Floats:
    """Probability that a clock of this rate has rung by time 1."""
    return np.asarray(-np.expm1(-np.exp(np.minimum(log_rates, 700))))


@lru_cache(maxsize=16)
def _clocks(numbers: bytes, logs: bytes, size: int) -> tuple[Floats, str]:
    """The integral; kept, since a population that stands still asks for it in every round.

    Groups that have surely rung before the window in time, and those that surely have not after it, are left out of it.
    """
    clients, log_rates = np.frombuffer(numbers, dtype=np.int64), np.frombuffer(logs)
    window = _window(clients, log_rates, size)
    certain = log_rates + window[0] > math.log(37)
    rare = log_rates + window[1] + math.log(float(clients.sum())) < -32
    inside = ~(certain | rare)
    values = np.where(certain, 1.0, _rung(log_rates + sum(window) / 2))
    values[inside], exactness = _inside(clients[inside], log_rates[inside], size - int(clients[certain].sum()), window)
    return values, exactness


def _inside(clients: Numbers, log_rates: Floats, size: int, window: tuple[float, float]) -> tuple[Floats, str]:
    rung = _rung(log_rates + window[1])
    heavy, most = int((rung >= LIGHT).sum()), _surely_below(clients, rung) + size
    frequencies = min(most, int(clients.sum()) + 1) // 2 + 1  # of a circle of 2 F - 1 >= that many
    for nodes in NODES:
        if nodes < NODES_PER_NAT * (window[1] - window[0]):
            continue
        if nodes * (heavy + TERMS) * frequencies > EXACT_WORK:
            break
        values = _integral(clients, log_rates, size, window, nodes, frequencies)
        if abs(float(clients @ values) - size) < 1e-9 * size:
            return values, "exact"
    return _summing_to(size, clients, _integral(clients, log_rates, size, window, 128, None)), "approximate"


def _summing_to(size: int, clients: Numbers, values: Floats) -> Floats:
    """Scales the hazards -log(1 - p) by one factor, a Newton step, so that the probabilities sum to the size of the cohort."""
    hazards = -np.log1p(-np.minimum(values, 1 - 1e-15))
    slope = float(clients @ (hazards * (1 - values)))
    factor = 1 + (size - float(clients @ values)) / slope if slope > 0 else 1.0
    return np.asarray(-np.expm1(-hazards * max(factor, 0.0)))


def _window(clients: Numbers, log_rates: Floats, size: int) -> tuple[float, float]:
    """Log times before which surely fewer than m have rung, and after which surely m others have, whoever is left out.

    Both by Chernoff's bound, exp(-s k) E[exp(s S)], for a few s. Where the number of clients is just above m, the last one to
    ring sets the second time.
    """
    first, last = float(-log_rates.max()) - 60, float(-log_rates.min()) + math.log(60 + math.log(float(clients.sum())))

    def too_late(time: float) -> float:
        return min(_log_moment(clients, _rung(log_rates + time), s) - s * size for s in TILTS) - math.log(TINY)

    def early_enough(time: float) -> float:
        return math.log(TINY) - min(_log_moment(clients, _rung(log_rates + time), -s) + s * size for s in TILTS)

    return _bisect(too_late, first, last, upper=False), _bisect(early_enough, first, last, upper=True)


def _surely_below(clients: Numbers, rung: Floats) -> int:
    """A number that has surely not rung, by Chernoff's bound."""
    return math.ceil(min((_log_moment(clients, rung, s) - math.log(TINY)) / s for s in TILTS)) + 1


def _log_moment(clients: Numbers, rung: Floats, tilt: float) -> float:
    """Log E[exp(s S)] of the number S that has rung."""
    return float(clients @ np.log1p(rung * math.expm1(tilt)))


def _bisect(rising: Callable[[float], float], low: float, high: float, *, upper: bool) -> float:
    """Where a rising function is 0, to within 0.01 on the side asked for."""
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high if upper else low


def _integral(clients: Numbers, log_rates: Floats, size: int, window: tuple[float, float], nodes: int, frequencies: int | None) -> Floats:
    """Probability of ringing before the window, and the integral over log t across it by Gauss and Legendre, in pieces of 16 nodes."""
    points, point_weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(*window, nodes // 16 + 1)
    half = np.diff(edges)[:, None] / 2
    times_Q = (edges[:-1, None] + half * (1 + points)).ravel()
    weights_Q = (half * point_weights).ravel()
    rates_LQ = np.exp(np.minimum(log_rates[:, None] + times_Q, 700))
    rung_LQ = -np.expm1(-rates_LQ)
    density_LQ = rates_LQ * np.exp(-rates_LQ)
    if frequencies is None:
        fewer_LQ = _fewer_normal(clients, rung_LQ, np.exp(-rates_LQ), size)
    else:
        fewer_LQ = _fewer_exact(clients, rung_LQ, size, frequencies)
    return np.asarray(np.clip(_rung(log_rates + window[0]) + (density_LQ * fewer_LQ) @ weights_Q, 0, 1))


def _fewer_exact(clients: Numbers, rung_LQ: Floats, size: int, frequencies: int) -> Floats:
    """P(fewer than `size` others have rung), (L, Q), from the characteristic function of the number that have.

    The number of frequencies of the whole circle is odd, so that none lies at -1, where the factor of a client that is left
    out can be 0; the others are bounded away from it, so dividing by it is safe. Light groups, of which there may be
    thousands, enter by power series: log(1 + x) with the powers summed over them, and 1 / (1 + x) for each that is left out.
    """
    circle = 2 * frequencies - 1
    turns_F = np.exp(2j * np.pi * np.arange(frequencies) / circle)
    sums_F = np.where(np.arange(frequencies) == 0, size, 2 * (1 - turns_F.conj() ** size) / np.where(turns_F == 1, 1, 1 - turns_F.conj()))
    light = rung_LQ.max(axis=1) < LIGHT
    heavy_LQ, light_LQ = rung_LQ[~light], rung_LQ[light]
    powers_KQ = _power_sums(clients[light], light_LQ)
    fewer_LQ, series_KQ = np.zeros_like(heavy_LQ), np.zeros_like(powers_KQ)
    order = np.arange(TERMS)
    for turn, total in zip(turns_F, sums_F, strict=True):
        factors_LQ = 1 + heavy_LQ * (turn - 1)
        logs_Q = clients[~light] @ np.log(factors_LQ) - ((1 - turn) ** (order + 1) / (order + 1)) @ powers_KQ
        term_Q = total / circle * np.exp(logs_Q)
        fewer_LQ += (term_Q / factors_LQ).real
        series_KQ += ((1 - turn) ** order[:, None] * term_Q).real
    every_LQ = np.zeros_like(rung_LQ)
    every_LQ[~light] = fewer_LQ
    every_LQ[light] = np.polynomial.polynomial.polyval(light_LQ, series_KQ[:, None, :], tensor=False)
    return every_LQ


def _power_sums(clients: Numbers, rung_LQ: Floats) -> Floats:
    """Sums over the clients of the powers 1 .. TERMS of the probability to have rung, (K, Q)."""
    sums_KQ, power_LQ = np.empty((TERMS, rung_LQ.shape[1])), np.ones_like(rung_LQ)
    for row in sums_KQ:
        power_LQ *= rung_LQ
        row[:] = clients @ power_LQ
    return sums_KQ


def _fewer_normal(clients: Numbers, rung_LQ: Floats, left_LQ: Floats, size: int) -> Floats:
    """The same by the normal distribution with continuity and skewness corrected."""
    from scipy.special import ndtr

    spread_LQ = rung_LQ * left_LQ
    skewed_LQ = spread_LQ * (left_LQ - rung_LQ)
    mean_LQ = clients @ rung_LQ - rung_LQ
    deviation_LQ = np.sqrt(np.maximum(clients @ spread_LQ - spread_LQ, 1e-12))
    x_LQ = (size - 0.5 - mean_LQ) / deviation_LQ
    skewness_LQ = (clients @ skewed_LQ - skewed_LQ) / deviation_LQ**3
    corrected = ndtr(x_LQ) + skewness_LQ / 6 * (1 - x_LQ**2) * np.exp(-(x_LQ**2) / 2) / math.sqrt(2 * math.pi)
    return np.asarray(np.clip(corrected, 0, 1))
