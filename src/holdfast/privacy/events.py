"""The ledger: what was released, as data that maps one to one to `dp-accounting` events. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from holdfast.core.claim import Neighbouring
from holdfast.core.errors import InputError, RunError


@dataclass(frozen=True, kw_only=True)
class PrivacyEvent:
    """One noisy step: a Gaussian mechanism on a random batch.

    Args:
        sampler: How the batch was drawn.
        sampling_probability: In (0, 1].
        noise_multiplier: Standard deviation of the noise divided by the sensitivity, > 0.
        neighbouring: The relation that the sensitivity and the sampler are stated for.
        examples: Size of the data, for truncated Poisson only.
        cap: Largest batch, for truncated Poisson only.
    """

    sampler: Literal["poisson", "truncated-poisson"]
    sampling_probability: float
    noise_multiplier: float
    neighbouring: Neighbouring
    examples: int | None = None
    cap: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sampling_probability <= 1:
            raise InputError(f"sampling_probability is {self.sampling_probability}; it must lie in (0, 1]")
        if not self.noise_multiplier > 0:
            raise InputError(f"noise_multiplier is {self.noise_multiplier}; without noise nothing can be promised, so it must be > 0")
        if (self.sampler == "truncated-poisson") != (self.cap is not None and self.examples is not None):
            raise InputError("a truncated Poisson event needs examples and cap, any other must not have them")


@dataclass(frozen=True)
class Ledger:
    """Events in the order in which they happened, equal neighbours counted together.

    Args:
        entries: Pairs of an event and how often it happened in a row.
    """

    entries: tuple[tuple[PrivacyEvent, int], ...] = ()

    @classmethod
    def of(cls, events: Iterable[tuple[PrivacyEvent, int]]) -> Self:
        """Collects pairs of event and count, joining equal neighbours and dropping empty ones."""
        entries: list[tuple[PrivacyEvent, int]] = []
        for event, count in events:
            if count and entries and entries[-1][0] == event:
                entries[-1] = (event, entries[-1][1] + count)
            elif count:
                entries.append((event, count))
        return cls(tuple(entries))

    @property
    def steps(self) -> int:
        """Noisy steps in all."""
        return sum(count for _, count in self.entries)

    @property
    def neighbouring(self) -> Neighbouring:
        """The one relation that all events share.

        Raises:
            InputError: If the ledger is empty or mixes relations.
        """
        relations = {event.neighbouring for event, _ in self.entries}
        if len(relations) != 1:
            raise InputError(f"a ledger is accounted under one neighbouring relation, this one has {sorted(relations) or 'none'}")
        return relations.pop()

    def to_json(self) -> list[dict[str, Any]]:
        """Returns a list of plain dictionaries; `from_json` gives the same ledger back."""
        return [{**asdict(event), "count": count} for event, count in self.entries]

    @classmethod
    def from_json(cls, items: Iterable[Mapping[str, Any]]) -> Self:
        """Reads what `to_json` wrote.

        Raises:
            RunError: If an item is damaged.
        """
        entries = []
        for item in items:
            values = dict(item)
            try:
                count = int(values.pop("count"))
                entries.append((PrivacyEvent(**values), count))
            except (KeyError, TypeError, InputError) as error:
                raise RunError(f"damaged privacy ledger entry {dict(item)!r}: {error}") from error
        return cls(tuple(entries))
