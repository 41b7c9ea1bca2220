"""What is planted in the training data of a run before it is trained: canaries by fair coins, and secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from holdfast.audit.canaries import open_fills
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import CoinCanaries, DataSplits, PlantedSecrets, SecretPattern, coin_canaries, draw_secrets, pattern, plant_secrets
from holdfast.data.secrets import DIGITS, pattern_of_template
from holdfast.models import Featuriser, Labels, ModelSettings
from holdfast.study.plan import AuditTable, SecretTable
from holdfast.tasks import Task, words_of


@dataclass(frozen=True, eq=False)
class AuditedData:
    """The data of a run, and what was planted among its training rows.

    Args:
        data: What the model is trained on, and what is held out.
        canaries: Canaries by fair coins; None without any.
        secrets: Sentences with unknown words; None without any.
    """

    data: DataSplits
    canaries: CoinCanaries | None = None
    secrets: PlantedSecrets | None = None

    @property
    def real(self) -> DataSplits:
        """The same without anything planted: what membership is asked about."""
        planted = self.canaries or self.secrets  # canaries are planted first, so their rest holds no secret
        return self.data if planted is None else replace(self.data, train=planted.rest)


def planted(data: DataSplits, table: AuditTable, settings: Sequence[ModelSettings]) -> AuditedData:
    """Plants the canaries and the secrets that a study asks for.

    Coins and secrets follow from the seeds of the table alone, so an audit of a stored run finds them again.

    Args:
        data: As they were loaded.
        table: What the study asks for.
        settings: Of the models that are trained on the data. Which words a model knows must not tell what was planted, so with
            canaries all must ask for a word equally often.

    Raises:
        InputError: If the data cannot have so many canaries, or not these secrets, or the models differ in that.
    """
    canaries, secrets = None, None
    if table.canaries:
        asked = {int(getattr(one, "min_count", 1)) for one in settings}
        if len(asked) > 1:
            raise InputError(f"the models of the runs have min_count {', '.join(map(str, sorted(asked)))}; with canaries give all the same")
        streams = Streams.from_seed(table.canary_seed).child("canaries")
        least = _most_asked(settings) if table.canary_kind == "new-token" else max(asked)
        canaries = coin_canaries(data.train, count=table.canaries, kind=table.canary_kind, streams=streams, min_count=least)
        data = replace(data, train=canaries.train)
    if table.secrets:
        streams = Streams.from_seed(table.secret_seed).child("secrets")
        drawn = draw_secrets(patterns_of(table), streams=streams)
        secrets = plant_secrets(data, drawn, streams=streams, min_count=_most_asked(settings))
        data = replace(data, train=secrets.train)
    return AuditedData(data, canaries, secrets)


@dataclass(frozen=True, eq=False)
class _Unbuilt:
    """What is known of a model before it is made: enough to say what it would see of a sentence."""

    task: Task
    featuriser: Featuriser
    labels: Labels
    module: None = None
    device: str = "cpu"


def check_readable(audited: AuditedData, task: Task, settings: ModelSettings) -> None:
    """Refuses secrets that a model could not be asked for once it is trained, before it is.

    Args:
        audited: The data, with what was planted.
        task: What the model is to be trained for.
        settings: Of the model.

    Raises:
        InputError: For a secret that is longer than the model reads, candidates that are one and the same to it or not all as many
            pieces, or a label or slot that only secrets have which are never planted.
    """
    if audited.secrets is None:
        return
    train = audited.data.train
    model = _Unbuilt(task, settings.featuriser(words_of(task, train)), task.labels(train))
    for secret in audited.secrets.secrets:
        open_fills(secret.pattern, model)


def patterns_of(table: AuditTable) -> list[tuple[SecretPattern, int]]:
    """The patterns of the secrets that a study asks for, each with its repetitions.

    Raises:
        InputError: For a pattern or a template that is none.
    """
    return [(_pattern(one), one.repetitions) for one in table.secrets]


def _pattern(one: SecretTable) -> SecretPattern:
    if one.template is not None:
        candidates = one.candidates or DIGITS
        return pattern_of_template(one.template, name=one.pattern, candidates=candidates, label=one.label, slot=one.slot)
    assert one.length is not None, "the table refuses a secret without length and template"
    return pattern(one.pattern, length=one.length, candidates=one.candidates, label=one.label, slot=one.slot)


def _most_asked(settings: Sequence[ModelSettings]) -> int | None:
    """How often a model wants to see a word before it knows it; None where every vocabulary is public."""
    asked = [int(getattr(one, "min_count", 1)) for one in settings if getattr(one, "vocabulary", "") == "train"]
    return max(asked, default=None)
