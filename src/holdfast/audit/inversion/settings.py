"""The settings of a model inversion attack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from holdfast.core.errors import InputError, nearest

VARIANTS = ("softmax", "gumbel", "coordinate")
"""How the fill is searched for."""

RELAXED = ("softmax", "gumbel")
"""Those that mix candidates and follow a gradient: they need an open model."""


@dataclass(frozen=True, kw_only=True)
class InversionSettings:
    """How a fill of low loss is searched for.

    Args:
        variant: "softmax" (a mixture of the candidates, by gradient descent), "gumbel" (the same with fresh Gumbel noise at
            every step) or "coordinate" (one word at a time, by losses alone).
        restarts: Searches that go side by side, each from a start of its own; the one with the lowest loss counts.
        steps: Steps of the gradient at most ("softmax", "gumbel").
        learning_rate: Of Adam, above 0 ("softmax", "gumbel").
        first_temperature: Of the softmax at the first step, above 0 ("softmax", "gumbel").
        last_temperature: At the last step; it falls geometrically in between ("softmax", "gumbel").
        first_spread: Standard deviation of the first logits; None draws them as Glorot and Bengio do, uniformly
            within sqrt(6 / (n + V)) ("softmax", "gumbel").
        patience: Stop when the likeliest candidates of all restarts have stayed the same for so many steps; None goes on to
            the last ("softmax", "gumbel").
        straight_through: Whether the model sees the likeliest candidates whole and only the gradient is that of the mixture
            ("gumbel").
        queries: Sentences that may go through the model ("coordinate"); descents are started until they are used.

    Raises:
        InputError: For a value out of its bounds.

    References:
        Parikh, Dupuy, Gupta 2022, "Canary extraction in natural language understanding models", arXiv 2203.13920: the idea of the
        two relaxed variants. Its temperatures, rates and restarts are not known here; the defaults are those of a small
        experiment of our own, in which they found the fill of least loss in 15 of 16 searches (the replication's in 3).
        Jang, Gu, Poole 2017, "Categorical reparameterization with Gumbel-softmax", arXiv 1611.01144.

    >>> InversionSettings(variant="softmx")
    Traceback (most recent call last):
        ...
    holdfast.core.errors.InputError: inversion: no variant 'softmx'; did you mean 'softmax'? Valid: coordinate, gumbel, softmax
    """

    variant: str = "softmax"
    restarts: int = 16
    steps: int = 100
    learning_rate: float = 0.3
    first_temperature: float = 1.0
    last_temperature: float = 0.1
    first_spread: float | None = 1.0
    patience: int | None = None
    straight_through: bool = False
    queries: int = 1600

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise InputError(f"inversion: no variant {self.variant!r}; {nearest(self.variant, VARIANTS)}")
        wholes = {"restarts": self.restarts, "steps": self.steps, "queries": self.queries}
        for name, value in (wholes if self.patience is None else wholes | {"patience": self.patience}).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"inversion: {name} is {value!r}; give a whole number >= 1")
        sizes = {name: getattr(self, name) for name in ("learning_rate", "first_temperature", "last_temperature")}
        for name, value in (sizes if self.first_spread is None else sizes | {"first_spread": self.first_spread}).items():
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"inversion: {name} is {value}; give a finite number above 0")
        if self.straight_through and self.variant != "gumbel":
            raise InputError(f"inversion: straight_through goes with the variant 'gumbel', not with {self.variant!r}")

    @classmethod
    def after_replication(cls) -> Self:
        """What the one public replication of the attack used: one start, Adam at .02, temperature 1 throughout, at most 1,000 steps.

        References:
            Seongho18/Canary_extraction, commit 19f6494; no results are committed there.
        """
        return cls(
            restarts=1,
            steps=1000,
            learning_rate=0.02,
            first_temperature=1.0,
            last_temperature=1.0,
            first_spread=None,
            patience=100,
        )

    def temperature(self, step: int) -> float:
        """The temperature of one step, counted from 0."""
        share = step / max(1, self.steps - 1)
        return float(self.first_temperature * (self.last_temperature / self.first_temperature) ** share)
