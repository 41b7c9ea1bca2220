"""A textbook Renyi accountant of the Poisson-subsampled Gaussian at integer orders, for checking the real one."""

import math


def epsilon(q: float, noise_multiplier: float, steps: int, delta: float, orders: range = range(2, 256)) -> float:
    """Epsilon by Mironov, Talwar, Zhang 2019 (arXiv 1908.10530), eq. 30, and the classical conversion."""
    return min(steps * _renyi(q, noise_multiplier, order) + math.log(1 / delta) / (order - 1) for order in orders)


def _renyi(q: float, sigma: float, order: int) -> float:
    if q == 1:
        return order / (2 * sigma**2)
    terms = [
        math.log(math.comb(order, k)) + k * math.log(q) + (order - k) * math.log1p(-q) + (k * k - k) / (2 * sigma**2)
        for k in range(order + 1)
    ]
    top = max(terms)
    return (top + math.log(sum(math.exp(term - top) for term in terms))) / (order - 1)


def gaussian(mu: float, delta: float) -> float:
    """Epsilon of a Gaussian mechanism whose shift is `mu` standard deviations (Balle, Wang 2018, theorem 8), by bisection."""
    low, high = 0.0, mu * mu + 20 * mu + 20
    for _ in range(200):
        middle = (low + high) / 2
        spent = _normal(mu / 2 - middle / mu) - math.exp(middle) * _normal(-mu / 2 - middle / mu)
        low, high = (middle, high) if spent > delta else (low, middle)
    return high


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
