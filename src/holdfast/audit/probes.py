"""Attacks of other kinds than membership, by what they need: planted secrets, or the updates of federated rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from holdfast.audit.canaries import SecretTables
from holdfast.audit.gradients import audit_gradients
from holdfast.audit.inversion import InversionSettings, invert_secrets
from holdfast.core.access import OpenModel
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress
from holdfast.core.randomness import Streams
from holdfast.data.dataset import Dataset
from holdfast.data.secrets import Secret


@dataclass(frozen=True)
class SecretAttack:
    """An attack that looks for secrets which were planted in the training data.

    Args:
        find: Takes the model, the secrets, and by name `subject`, `streams` and `tables` (the losses of their fills); None for the
            ranking, which `audit` does by itself wherever secrets were planted.
    """

    find: Callable[..., Evidence] | None = None

    def __call__(self, model: OpenModel, secrets: Sequence[Secret], *, subject: str, streams: Streams, tables: SecretTables) -> Evidence:
        """What it finds."""
        return Evidence() if self.find is None else self.find(model, secrets, subject=subject, streams=streams, tables=tables)


@dataclass(frozen=True)
class RoundAttack:
    """An attack on the updates that clients would send in federated rounds from this model on.

    Args:
        read: Takes the model, and by name `clients_data`, `public`, `subject`, `streams` and `on_progress`.
    """

    read: Callable[..., Evidence]

    def __call__(
        self, model: OpenModel, *, clients_data: Dataset, public: Dataset, subject: str, streams: Streams, on_progress: OnProgress
    ) -> Evidence:
        """What it reads out of them."""
        return self.read(model, clients_data=clients_data, public=public, subject=subject, streams=streams, on_progress=on_progress)


def _inverting(settings: InversionSettings) -> SecretAttack:
    return SecretAttack(partial(invert_secrets, settings=settings))


CANARY = SecretAttack()
INVERSION = _inverting(InversionSettings(variant="softmax"))
INVERSION_GUMBEL = _inverting(InversionSettings(variant="gumbel"))
INVERSION_COORDINATE = _inverting(InversionSettings(variant="coordinate"))
GRADIENT = RoundAttack(audit_gradients)
