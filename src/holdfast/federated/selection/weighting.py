"""How much the update of each client of a cohort counts, kept apart from who is selected; and when the two count activity twice.

Shapes: m clients of a cohort, N clients in all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.federated.selection.contract import Cohort, Leaning, Leans, Selector
from holdfast.models import checks

Floats = NDArray[np.float64]


class Weighting(Protocol):
    """Aggregation weights."""

    @property
    def name(self) -> str:
        """Such as "examples"."""
        ...

    @property
    def normalised(self) -> bool:
        """Whether the multipliers of those that count are to sum to 1."""
        ...

    def multipliers(self, counts: NDArray[np.int64], cohort: Cohort, *, clients: int, examples: int) -> Floats:
        """What the update of each client of the cohort is multiplied by before they are summed, (m,).

        Args:
            counts: Examples of each client of the cohort, in its order, (m,). A client that stands there twice counts twice.
            cohort: The cohort.
            clients: N.
            examples: Of all clients together.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The weighting and its options as plain data."""
        ...


@dataclass(frozen=True)
class ByExamples:
    """``n_i / sum n``, FedAvg's: the sum is over the cohort."""

    name = "examples"
    normalised = True

    def multipliers(self, counts: NDArray[np.int64], cohort: Cohort, *, clients: int, examples: int) -> Floats:
        """Shares of the examples of the cohort, (m,)."""
        return _shares(counts.astype(np.float64))

    def describe(self) -> dict[str, Any]:
        """The weighting."""
        return {"weighting": self.name}


@dataclass(frozen=True)
class Even:
    """``1 / m``: every client of the cohort counts the same."""

    name = "uniform"
    normalised = True

    def multipliers(self, counts: NDArray[np.int64], cohort: Cohort, *, clients: int, examples: int) -> Floats:
        """Equal shares, (m,)."""
        return _shares(np.ones(len(counts)))

    def describe(self) -> dict[str, Any]:
        """The weighting."""
        return {"weighting": self.name}


@dataclass(frozen=True, kw_only=True)
class Capped:
    """``min(n_i, cap) / sum``: the examples, but no client counts for more than `cap` of them.

    Args:
        cap: At least 1.
    """

    cap: int
    name = "capped"
    normalised = True

    def __post_init__(self) -> None:
        checks.integer("capped", least=1, cap=self.cap)

    def multipliers(self, counts: NDArray[np.int64], cohort: Cohort, *, clients: int, examples: int) -> Floats:
        """Shares of the capped examples of the cohort, (m,)."""
        return _shares(np.minimum(counts, self.cap).astype(np.float64))

    def describe(self) -> dict[str, Any]:
        """The weighting and its options."""
        return {"weighting": self.name, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class InversePropensity:
    """``n_i / (examples pi_i)``: an unbiased estimate of the mean over all examples, whoever is favoured (Horvitz and Thompson).

    Args:
        clip: Largest multiplier, as a multiple of their mean, at least 1; None for no bound. Clipping gives up being unbiased
            for a smaller variance.
        least: Smallest inclusion probability that is divided by, in (0, 1]; None for no bound.
        normalise: Divides by the sum of the multipliers (Hajek): less variance, and a bias that vanishes as cohorts grow.

    Guarantee:
        Without clip, least and normalise, the sum over the cohort of multiplier times value has as its expectation the sum over all
        clients of ``n_i / examples`` times value, to the exactness of the cohort's inclusion probabilities. With replacement
        this is Hansen and Hurwitz's estimate: a client drawn twice counts twice.

    Edge cases:
        Clients that cannot be reached in a round are outside: the estimate is then of the sum over those that can.

    References:
        Horvitz and Thompson 1952; Hansen and Hurwitz 1943; Hajek 1971.
    """

    clip: float | None = None
    least: float | None = None
    normalise: bool = False
    name = "inverse-propensity"

    def __post_init__(self) -> None:
        checks.flag(self.name, normalise=self.normalise)
        if self.clip is not None:
            checks.number(self.name, least=1, clip=self.clip)
        if self.least is not None:
            real = isinstance(self.least, int | float) and not isinstance(self.least, bool)
            if not real or not 0 < self.least <= 1:
                raise InputError(f"inverse-propensity: least is {self.least!r}; give a probability above 0 and at most 1")

    @property
    def normalised(self) -> bool:
        """Whether the multipliers of those that count are to sum to 1: not by themselves, since they estimate a sum."""
        return self.normalise

    def multipliers(self, counts: NDArray[np.int64], cohort: Cohort, *, clients: int, examples: int) -> Floats:
        """Inverse-propensity weights, (m,).

        Raises:
            InputError: Where the probabilities are unknown, or clients with examples had none at all.
        """
        self._check(cohort)
        if not len(counts):
            return np.zeros(0)
        propensity = cohort.inclusion if self.least is None else np.maximum(cohort.inclusion, self.least)
        values = counts / (examples * propensity)
        if self.clip is not None:
            values = np.minimum(values, self.clip * values.mean())
        return _shares(values) if self.normalise else values

    def _check(self, cohort: Cohort) -> None:
        if cohort.exactness == "unknown":
            raise InputError(
                "inverse-propensity: this selection does not know how likely its clients were; take a strategy of the activity family, "
                "or weigh by 'examples' or 'uniform'"
            )
        if cohort.never > 0 or (len(cohort) and cohort.inclusion.min() <= 0):
            raise InputError(
                f"inverse-propensity: {cohort.never} clients with examples had no chance to be drawn ({cohort.sampling}), and no weight "
                "makes up for that; give every client a chance, as 'mixture' with explore=0.1 does, or weigh by 'examples' or 'uniform'"
            )

    def describe(self) -> dict[str, Any]:
        """The weighting and its options."""
        return {"weighting": self.name, **{name: value for name, value in asdict(self).items() if value not in (None, False)}}


WEIGHTINGS: dict[str, type[Any]] = {"examples": ByExamples, "uniform": Even, "inverse-propensity": InversePropensity, "capped": Capped}


def weighting(name: str, options: Mapping[str, Any] | None = None) -> Weighting:
    """Makes a weighting by name, as study files give it.

    Args:
        name: "examples", "uniform", "inverse-propensity" (options clip, least, normalise) or "capped" (option cap).
        options: Its options.

    Raises:
        InputError: For an unknown name or option, with the nearest one, or a value out of its bounds.

    >>> weighting("capped", {"cap": 5}).describe()
    {'weighting': 'capped', 'cap': 5}
    """
    if name not in WEIGHTINGS:
        raise InputError(f"there is no weighting {name!r}; {nearest(name, WEIGHTINGS)}")
    given = dict(options or {})
    checks.known_options(f"weighting {name}", WEIGHTINGS[name], given)
    if name == "capped" and "cap" not in given:
        raise InputError("weighting capped: cap is not given; give the most examples that a client may count for, such as cap = 100")
    made: Weighting = WEIGHTINGS[name](**given)
    return made


def counted_twice(selector: Selector, weighting: Weighting) -> str | None:
    """Says what selection and weighting do together, where that is easily overlooked.

    Args:
        selector: Who is selected.
        weighting: How they count.

    Returns:
        A sentence where active clients are both favoured and weighted up, so that they count twice; another one where drawing in
        proportion with replacement and equal weights come to the mean over all examples without bias; else None.
    """
    lean = selector.leaning() if isinstance(selector, Leans) else Leaning("nobody")
    if lean.towards == "heavy" and weighting.name in ("examples", "capped"):
        return _twice(selector, weighting, lean)
    if lean.exponent == 1 and weighting.name == "uniform" and selector.describe().get("sampling") == "with replacement":
        return (
            f"{selector.name} draws clients in proportion to n with replacement and weighs them evenly: the update is an unbiased "
            "estimate of the mean over all examples, and nobody counts twice."
        )
    return None


def _twice(selector: Selector, weighting: Weighting, lean: Leaning) -> str:
    weight = "n" if weighting.name == "examples" else "min(n, cap)"
    if lean.exponent is None:
        what = f"the objective leans further to them than {weight}"
    elif weighting.name == "examples":
        what = f"the objective weighs a client about as n^{1 + lean.exponent:g} instead of n"
    else:
        what = f"the objective weighs a client about as n^{lean.exponent:g} min(n, cap)"
    return (
        f"{selector.name} favours active clients and the weights are {weighting.name} ({weight}), so they count twice: {what}. "
        "Weigh by 'inverse-propensity', or draw by 'activity' with tau = 1 with replacement and weigh by 'uniform', to count them once."
    )


def _shares(values: Floats) -> Floats:
    total = values.sum()
    return values / total if total > 0 else values
