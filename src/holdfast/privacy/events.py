"""The ledger: what was released, as data that maps one to one to `dp-accounting` events. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from holdfast.core.claim import Neighbouring
from holdfast.core.errors import InputError, RunError

if TYPE_CHECKING:
    from dp_accounting import DpEvent

Sampling = Literal["poisson", "truncated-poisson", "shuffled"]


@dataclass(frozen=True, kw_only=True)
class PrivacyEvent:
    """One noisy release: a Gaussian mechanism on a random batch, or on one shuffled epoch as a whole.

    Args:
        sampler: How the batch was drawn. An event of "shuffled" stands for all steps of one epoch, in which everybody takes
            part once, so its sampling probability is 1.
        sampling_probability: In (0, 1].
        noise_multiplier: Standard deviation of the noise divided by the sensitivity, finite and > 0.
        neighbouring: The relation that the sensitivity and the sampler are stated for.
        examples: Size of the data, for truncated Poisson only.
        cap: Largest batch, for truncated Poisson only.
    """

    sampler: Sampling
    sampling_probability: float
    noise_multiplier: float
    neighbouring: Neighbouring
    examples: int | None = None
    cap: int | None = None

    def __post_init__(self) -> None:
        if self.sampler not in get_args(Sampling):
            raise InputError(f"sampler is {self.sampler!r}; choose one of {get_args(Sampling)}")
        if not 0 < self.sampling_probability <= 1:
            raise InputError(f"sampling_probability is {self.sampling_probability}; it must lie in (0, 1]")
        if not (math.isfinite(self.noise_multiplier) and self.noise_multiplier > 0):
            raise InputError(f"noise_multiplier is {self.noise_multiplier}; without noise nothing can be promised, so it must be > 0")
        if self.sampler == "shuffled" and (self.sampling_probability != 1 or self.neighbouring == "add/remove"):
            raise InputError(
                f"a shuffled event has probability 1 under 'zero-out' or 'replace-one', not {self.sampling_probability} under "
                f"{self.neighbouring!r}: adding an example would move the others to other batches"
            )
        if {self.cap is not None, self.examples is not None} != {self.sampler == "truncated-poisson"}:
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
        """Events in all: one for each noisy step, or for each epoch of shuffled ones."""
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


def to_dp_event(ledger: Ledger) -> DpEvent:
    """The ledger in the words of Google's `dp-accounting`, one composed event for each entry.

    A noise multiplier there is the ratio to the norm bound of one summand. Under replace-one neighbouring, where the
    sensitivity is twice that bound, it is therefore twice the one that stands in a `PrivacyEvent`.

    Args:
        ledger: What was released.

    Returns:
        A `ComposedDpEvent` of `SelfComposedDpEvent`, to be accounted under the ledger's neighbouring relation;
        `from_dp_event` gives the ledger back.
    """
    import dp_accounting

    return dp_accounting.ComposedDpEvent(
        [dp_accounting.SelfComposedDpEvent(dp_event_of_one(event), count) for event, count in ledger.entries]
    )


def dp_event_of_one(event: PrivacyEvent) -> DpEvent:
    """One event in the words of `dp-accounting`."""
    import dp_accounting

    multiplier = event.noise_multiplier * summand_over_sensitivity(event.neighbouring)
    if event.sampler == "truncated-poisson":
        return dp_accounting.dp_event.TruncatedSubsampledGaussianDpEvent(
            dataset_size=event.examples,
            sampling_probability=event.sampling_probability,
            truncated_batch_size=event.cap,
            noise_multiplier=multiplier,
        )
    gaussian = dp_accounting.GaussianDpEvent(multiplier)
    return gaussian if event.sampler == "shuffled" else dp_accounting.PoissonSampledDpEvent(event.sampling_probability, gaussian)


def from_dp_event(event: DpEvent, neighbouring: Neighbouring) -> Ledger:
    """Reads what `to_dp_event` made.

    Args:
        event: A composition of events that a ledger knows.
        neighbouring: The relation that it is to be accounted under.

    Raises:
        InputError: For an event that no ledger holds.
    """
    import dp_accounting

    if not isinstance(event, dp_accounting.ComposedDpEvent) or not all(
        isinstance(part, dp_accounting.SelfComposedDpEvent) for part in event.events
    ):
        raise InputError(f"{type(event).__name__} is not what to_dp_event gives: a composition of self-compositions")
    return Ledger(tuple((_one(part.event, neighbouring), part.count) for part in event.events))


def _one(event: DpEvent, neighbouring: Neighbouring) -> PrivacyEvent:
    import dp_accounting

    ratio = summand_over_sensitivity(neighbouring)
    common: dict[str, Any] = {"neighbouring": neighbouring}
    if isinstance(event, dp_accounting.GaussianDpEvent):
        return PrivacyEvent(sampler="shuffled", sampling_probability=1.0, noise_multiplier=event.noise_multiplier / ratio, **common)
    if isinstance(event, dp_accounting.PoissonSampledDpEvent) and isinstance(event.event, dp_accounting.GaussianDpEvent):
        multiplier = event.event.noise_multiplier / ratio
        return PrivacyEvent(sampler="poisson", sampling_probability=event.sampling_probability, noise_multiplier=multiplier, **common)
    if isinstance(event, dp_accounting.dp_event.TruncatedSubsampledGaussianDpEvent):
        return PrivacyEvent(
            sampler="truncated-poisson",
            sampling_probability=event.sampling_probability,
            noise_multiplier=event.noise_multiplier / ratio,
            examples=event.dataset_size,
            cap=event.truncated_batch_size,
            **common,
        )
    raise InputError(f"a ledger holds no {type(event).__name__}; it knows Gaussian, Poisson-sampled and truncated Poisson-sampled ones")


def summand_over_sensitivity(neighbouring: Neighbouring) -> float:
    """Ratio that turns noise over sensitivity into noise over the norm bound of one summand."""
    return 2.0 if neighbouring == "replace-one" else 1.0
