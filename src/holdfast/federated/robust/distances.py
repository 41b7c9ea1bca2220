"""Rules that look at the distances between updates: Krum, multi-Krum and the geometric median.

Shapes: m clients of a cohort, P numbers of an update.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.federated.robust.contract import NOTE, WINDOW, counted, weighted_sum
from holdfast.federated.robust.named import above_zero
from holdfast.models import checks


@dataclass(frozen=True, kw_only=True)
class Krum:
    """The update of the one client that has the nearest neighbours; times the sum of the weights.

    A client's score is the sum of its squared distances to the m - f - 2 others that are nearest to it; the least score wins, of equal ones
    the first. Clients count alike whatever their weights.

    Pitfall: the winner is one of the largest group of like clients, so users of a rare language are never it; nor is anything averaged.

    Args:
        attackers: f >= 0, how many clients of a cohort may be bad.

    Raises:
        InputError: For a bad setting; when called, for fewer than 2 f + 3 clients.

    References:
        Blanchard et al. 2017, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent".
    """

    name: ClassVar[str] = "krum"
    needs_single_updates: ClassVar[bool] = True
    note: ClassVar[str] = NOTE

    attackers: int

    def __post_init__(self) -> None:
        checks.integer(self.name, least=0, attackers=self.attackers)

    def chosen(self, deltas_mP: Tensor) -> NDArray[np.int64]:
        """Place of the winner, (1,)."""
        return _ranked(self.name, deltas_mP, self.attackers)[:1]

    def __call__(self, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
        """The update of the cohort."""
        return _mean_of_chosen(self, deltas_mP, weights_m)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"rule": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class MultiKrum:
    """The mean of the updates that have the least scores of `Krum`; times the sum of the weights.

    Clients count alike whatever their weights.

    Pitfall: those left out are the ones that differ, which users of a rare language do.

    Args:
        attackers: f >= 0, how many clients of a cohort may be bad.
        keep: How many clients are averaged, at least 1; None for all but f.

    Raises:
        InputError: For a bad setting; when called, for fewer than 2 f + 3 clients, or fewer than `keep` good ones.

    References:
        Blanchard et al. 2017, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent".
    """

    name: ClassVar[str] = "multi-krum"
    needs_single_updates: ClassVar[bool] = True
    note: ClassVar[str] = NOTE

    attackers: int
    keep: int | None = None

    def __post_init__(self) -> None:
        checks.integer(self.name, least=0, attackers=self.attackers)
        if self.keep is not None:
            checks.integer(self.name, least=1, keep=self.keep)

    def chosen(self, deltas_mP: Tensor) -> NDArray[np.int64]:
        """Places of those that are averaged, best first."""
        most = len(deltas_mP) - self.attackers
        if self.keep is not None and self.keep > most:
            raise InputError(f"multi-krum: keep is {self.keep} of {len(deltas_mP)} clients, {self.attackers} bad; keep at most {most}")
        return _ranked(self.name, deltas_mP, self.attackers)[: most if self.keep is None else self.keep]

    def __call__(self, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
        """The update of the cohort."""
        return _mean_of_chosen(self, deltas_mP, weights_m)

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"rule": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class GeometricMedian:
    """The point of the least weighted distance to all updates (RFA), by smoothed Weiszfeld steps; times the sum of the weights.

    Weights count here, so bound them: a client of more than half of all weight decides alone.

    Pitfall: a client counts by one over its distance from the middle, so those that differ, such as users of a rare language, count least.

    Args:
        smoothing: Share, > 0, of the mean distance from the middle below which a distance counts as that much.
        iterations: Steps at most, at least 1.
        tolerance: It is done when a step lowers the summed distance by less than this share, >= 0.

    Raises:
        InputError: For a value out of its bounds.

    References:
        Pillutla, Kakade and Harchaoui 2022, arXiv 1912.13445 (RFA); there the smoothing is a distance and 3 steps are usual.
    """

    name: ClassVar[str] = "geometric-median"
    needs_single_updates: ClassVar[bool] = True
    note: ClassVar[str] = NOTE

    smoothing: float = 1e-6
    iterations: int = 100
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        above_zero(self.name, smoothing=self.smoothing)
        checks.number(self.name, least=0, tolerance=self.tolerance)
        checks.integer(self.name, least=1, iterations=self.iterations)

    def shares(self, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """What share of each update the middle is made of, (m,), sum 1.

        The middle is a mixture of the updates at every step, so all distances follow from their inner products, found once.
        """
        inner_mm = _inner_products(deltas_mP)
        own = weights_m / weights_m.sum()
        shares: NDArray[np.float64] = own
        before = np.inf
        for _ in range(self.iterations):
            squares = shares @ inner_mm @ shares - 2 * inner_mm @ shares + np.diag(inner_mm)
            distances = np.sqrt(np.maximum(squares, 0))
            now = float(own @ distances)
            if now == 0 or before - now <= self.tolerance * now:
                break
            pull = own / np.maximum(distances, self.smoothing * now)
            shares, before = pull / pull.sum(), now
        return shares

    def __call__(self, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
        """The update of the cohort."""
        deltas_mP, weights_m = counted(self.name, deltas_mP, weights_m)
        return weighted_sum(deltas_mP, self.shares(deltas_mP, weights_m) * weights_m.sum())

    def describe(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {"rule": self.name, **asdict(self)}


def squared_distances(deltas_mP: Tensor) -> NDArray[np.float64]:
    """Squared distances between updates, (m, m), in double precision."""
    inner_mm = _inner_products(deltas_mP)
    squares_m = np.diag(inner_mm)
    found: NDArray[np.float64] = np.maximum(squares_m[:, None] + squares_m - 2 * inner_mm, 0)
    np.fill_diagonal(found, 0)
    return found


def _inner_products(deltas_mP: Tensor) -> NDArray[np.float64]:
    """Inner products of updates, (m, m), in double precision, without a copy of all updates in it."""
    total = torch.zeros(len(deltas_mP), len(deltas_mP), dtype=torch.float64, device=deltas_mP.device)
    for part in deltas_mP.detach().split(WINDOW, dim=1):
        wide = part.double()
        total.addmm_(wide, wide.T)
    found: NDArray[np.float64] = total.cpu().numpy()
    return found


def _ranked(owner: str, deltas_mP: Tensor, attackers: int) -> NDArray[np.int64]:
    """Places by Krum's score, the least first, of equal ones the first."""
    clients = len(deltas_mP)
    if clients < 2 * attackers + 3:
        raise InputError(
            f"{owner}: {clients} clients, {attackers} of them bad; it needs at least 2 x {attackers} + 3 = {2 * attackers + 3}: "
            "select a larger cohort, or lower attackers"
        )
    distances_mm = squared_distances(deltas_mP)
    np.fill_diagonal(distances_mm, np.inf)
    nearest = np.sort(distances_mm, axis=1)[:, : clients - attackers - 2]
    return np.argsort(nearest.sum(1), kind="stable")


def _mean_of_chosen(rule: Krum | MultiKrum, deltas_mP: Tensor, weights_m: NDArray[np.float64]) -> Tensor:
    deltas_mP, weights_m = counted(rule.name, deltas_mP, weights_m)
    places = rule.chosen(deltas_mP)
    each = np.zeros(len(deltas_mP))
    each[places] = weights_m.sum() / len(places)
    return weighted_sum(deltas_mP, each)
