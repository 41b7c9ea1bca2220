"""How many examples each client gets: whole numbers in given proportions, none below a least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.models import checks


def equal_sizes(examples: int, clients: int) -> NDArray[np.int64]:
    """Sizes that differ by one at most, (C,), the larger ones first.

    >>> equal_sizes(7, 3).tolist()
    [3, 2, 2]
    """
    return examples // clients + (np.arange(clients) < examples % clients)


def dirichlet_sizes(examples: int, clients: int, *, beta: float, least: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Sizes in proportion to a draw from a symmetric Dirichlet distribution, none below a least.

    Every client is given `least`, and what is left is shared out in proportion to the draw; so this ends after one draw, whatever
    beta is, where drawing again until all are large enough may go on for ever.

    Args:
        examples: n >= clients * least.
        clients: C.
        beta: Concentration of each client, > 0. Small: a few have nearly all; large: all have the same.
        least: Examples that every client gets.
        generator: Where the draw comes from.

    Returns:
        (C,), their sum is n.
    """
    return least + apportion(examples - clients * least, generator.dirichlet(np.full(clients, beta)))


def apportion(total: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers in given proportions, by largest remainder; of equal remainders the first wins.

    Args:
        total: Their sum.
        shares: Proportions >= 0, (K,), of sum 1.

    >>> apportion(7, np.array([0.5, 0.3, 0.2])).tolist()
    [4, 2, 1]
    """
    exact = total * shares
    whole = np.floor(exact).astype(np.int64)
    extra = np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]
    whole[extra] += 1
    return whole


def refill(short: int, left_K: NDArray[np.int64]) -> NDArray[np.int64]:
    """Takes a number of examples from what is left of each label, in proportion to what is left.

    Args:
        short: How many, at most the sum of `left_K`.
        left_K: What is left of each label.

    Returns:
        (K,), never more than is left; their sum is `short`.

    >>> refill(3, np.array([4, 0, 2])).tolist()
    [2, 0, 1]
    """
    total = int(left_K.sum())
    if short == 0:
        return np.zeros_like(left_K)
    whole, rest = np.divmod(short * left_K, total)  # in whole numbers, so that no rounding takes more than there is
    whole[np.argsort(-rest, kind="stable")[: short - int(whole.sum())]] += 1
    return whole


def check_clients(scheme: str, examples: int, clients: int | None) -> int:
    """Holds a number of clients to [1, n].

    Raises:
        InputError: Naming the scheme and the bound.
    """
    if examples == 0:
        raise InputError(f"{scheme}: the data set is empty; give one with examples")
    if clients is None:
        raise InputError(f"{scheme}: needs a number of clients; give clients, from 1 to {examples}")
    checks.integer(scheme, least=1, most=examples, clients=clients)
    return clients


def check_least(scheme: str, least: object, examples: int, clients: int) -> None:
    """Holds the examples that every client gets to what there is.

    Raises:
        InputError: Naming the scheme and the bound.
    """
    if isinstance(least, bool) or not isinstance(least, int) or not 0 <= least <= examples // clients:
        raise InputError(
            f"{scheme}: least is {least!r}; {examples} examples for {clients} clients allow a whole number from 0 to {examples // clients}"
        )


def check_concentration(scheme: str, name: str, number: object, *, least: float = 1e-9, most: float = 1e9) -> None:
    """Holds the concentration of a Dirichlet distribution to what can be drawn."""
    if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number <= most:
        raise InputError(f"{scheme}: {name} is {number!r}; give a number from {least:g} to {most:g}")
