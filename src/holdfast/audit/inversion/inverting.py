"""The model inversion attack on planted secrets: what it finds, beside the truth, the least loss there is, and a random search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.audit.canaries.fills import FillLosses, OpenFills
from holdfast.audit.canaries.ranking import check_secrets, conditions_of
from holdfast.audit.canaries.tables import SecretTables
from holdfast.audit.inversion.relaxed import relaxed_search
from holdfast.audit.inversion.searches import Found, coordinate_search, random_search
from holdfast.audit.inversion.settings import RELAXED, InversionSettings
from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Direction, Estimate, Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.core.randomness import Streams
from holdfast.data.secrets import Secret

ATTACK = "inversion"
"""What the figures of this attack name as their attack."""

PARIKH = "after Parikh, Dupuy, Gupta 2022, arXiv 2203.13920"

METHODS = {
    "softmax": "mixtures of the candidates by softmax, improved by Adam, the best of all restarts by the loss of its whole fill",
    "gumbel": "mixtures of the candidates by softmax with fresh Gumbel noise at every step, improved by Adam, the best of all restarts",
    "coordinate": "coordinate descent over whole fills from random starts, the best of all descents",
}

NOTES = (
    "What an inversion finds is a figure of its optimiser: a secret that it misses may still be the likeliest of all fills. The rank of "
    "the secret and the optimiser gap tell the two apart.",
    "The attack knows the words around the secret, its candidates, its label and its tags, and has the trained model.",
    "Queries count sentences that went forward through the model. The relaxed variants also ask for a gradient at each; the random search "
    "that they are held against does not.",
)
"""What an inversion takes for granted, and what it cannot show."""


def invert_secrets(
    model: Any,
    secrets: Sequence[Secret],
    *,
    subject: str,
    streams: Streams,
    settings: InversionSettings | None = None,
    tables: SecretTables | None = None,
    on_progress: OnProgress = silent,
) -> Evidence:
    """Searches for the fill of each secret, and holds what it finds to the truth.

    Args:
        model: An open model for the relaxed variants; anything that gives losses for "coordinate".
        secrets: Planted ones, and controls that were not.
        subject: The run that was attacked.
        streams: Randomness of the starts, the noise, and by a stream of its own the random search.
        settings: Of the attack; the defaults of `InversionSettings` where left out.
        tables: Losses that were enumerated before, for the optimiser gap; made here where left out.
        on_progress: Told after each secret; an error that it raises stops the attack.

    Returns:
        For each secret the estimates `extraction_accuracy`, `extraction_hamming`, `optimiser_gap`, `random_search_accuracy` and
        `random_search_hamming`, each of one trial: an interval comes from several runs. Notes on what this does not show.

    Raises:
        InputError: For no secret, two secrets that the figures could not tell apart, a relaxed variant on a module that cannot mix
            words, and whatever `open_fills` refuses.

    References:
        Parikh, Dupuy, Gupta 2022, "Canary extraction in natural language understanding models", arXiv 2203.13920.
    """
    chosen = settings or InversionSettings()
    check_secrets(secrets)
    made = tables or SecretTables(model, on_progress=on_progress)
    estimates: list[Estimate] = []
    for number, secret in enumerate(secrets):
        attacked = _attacked(secret, made, chosen, streams.child(secret.name))
        estimates += attacked.estimates(subject)
        on_progress(Progress(phase=f"invert {chosen.variant}", done=number + 1, total=len(secrets), note=" ".join(attacked.words)))
    return Evidence(estimates=tuple(estimates), notes=NOTES)


def search(fills: FillLosses, settings: InversionSettings, *, streams: Streams) -> Found:
    """One search for the fill of least loss, by the variant that the settings name.

    Args:
        fills: What gives the losses; of an open model for the relaxed variants.
        settings: Of the attack.
        streams: Randomness of the starts and of the noise.

    Raises:
        InputError: For a relaxed variant on anything but an open model that can mix words.
    """
    if settings.variant not in RELAXED:
        return coordinate_search(fills, settings, streams=streams)
    if not isinstance(fills, OpenFills):
        raise InputError(
            f"inversion: the variant {settings.variant!r} follows the gradient of an open model, and this one gives losses alone; "
            "give the model itself, or use the variant 'coordinate'"
        )
    return relaxed_search(fills, settings, streams=streams)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Attacked:
    """What came of the attack on one secret.

    Args:
        secret: The truth.
        found: By the attack.
        at_random: By the random search with as many queries.
        least: The least loss of all fills; None where they were not enumerated.
        settings: Of the attack.
        most: Fills that are enumerated at most.
    """

    secret: Secret
    found: Found
    at_random: Found
    least: float | None
    settings: InversionSettings
    most: int

    @property
    def words(self) -> tuple[str, ...]:
        """The fill that was found."""
        return tuple(self.secret.pattern.candidates[place] for place in self.found.places)

    def estimates(self, subject: str) -> Iterator[Estimate]:
        """The five figures."""
        make = self._maker(subject)
        yield make("extraction_accuracy", "share", "lower is better", value=self._accuracy(self.found))
        yield make("extraction_hamming", "share", "higher is better", value=self._hamming(self.found))
        if self.least is None:
            missing = f"there are {self.secret.pattern.size:,} fills, more than the {self.most:,} that are enumerated at most"
            yield make("optimiser_gap", "nats", "neither", missing=missing)
        else:
            yield make("optimiser_gap", "nats", "neither", value=self.found.loss - self.least)
        method = f"the best of {self.found.queries:,} fills drawn at random, by the same loss"
        yield make("random_search_accuracy", "share", "neither", value=self._accuracy(self.at_random), method=method)
        yield make("random_search_hamming", "share", "neither", value=self._hamming(self.at_random), method=method)

    def _accuracy(self, found: Found) -> float:
        return float(found.places == self.secret.places)

    def _hamming(self, found: Found) -> float:
        wrong = sum(one != other for one, other in zip(found.places, self.secret.places, strict=True))
        return wrong / len(self.secret.places)

    def _maker(self, subject: str) -> Callable[..., Estimate]:
        own: dict[str, Condition] = {
            "variant": self.settings.variant,
            "queries": self.found.queries,
            "found": " ".join(self.words),
            "truth": " ".join(self.secret.fill),
        }
        conditions = conditions_of(self.secret, attack=ATTACK) | own
        relaxed = self.settings.variant in RELAXED

        def make(
            name: str, unit: str, direction: Direction, *, value: float | None = None, method: str = "", missing: str | None = None
        ) -> Estimate:
            return Estimate(
                name=name,
                subject=subject,
                value=value,
                unit=unit,
                direction=direction,
                n=1,
                conditions=conditions,
                method=method or METHODS[self.settings.variant],
                reference=PARIKH,
                access="white-box: gradients of the input, losses" if relaxed and not method else "black-box: losses of chosen inputs",
                missing=missing,
            )

        return make


def _attacked(secret: Secret, tables: SecretTables, settings: InversionSettings, streams: Streams) -> _Attacked:
    fills, table = tables.fills(secret.pattern), tables.table(secret.pattern)
    found = search(fills, settings, streams=streams.child(settings.variant))
    if table is not None:  # the same fill has the same loss, whatever batch it was in
        found = Found(places=found.places, loss=float(table.losses(np.array([found.places]))[0]), queries=found.queries)
    at_random = random_search(table or fills, queries=found.queries, generator=streams.generator("random search"))
    return _Attacked(
        secret=secret,
        found=found,
        at_random=at_random,
        least=None if table is None else table.least,
        settings=settings,
        most=tables.most,
    )
