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
