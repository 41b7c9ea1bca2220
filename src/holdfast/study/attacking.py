"""The attacks of a study on one model: by what they need, on which rows, with which canaries, judged together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast import catalog
from holdfast.audit import Scores, audit
from holdfast.audit.auditing import Attack
from holdfast.audit.canaries import SecretTables
from holdfast.audit.canaries.tables import MOST
from holdfast.audit.probes import RoundAttack, SecretAttack
from holdfast.audit.shadow.membership import ShadowAttack
from holdfast.core.access import min_count_of
from holdfast.core.claim import PrivacyClaim
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.study.planting import AuditedData
from holdfast.study.shadowing import Pool, Recipe, shadow_models

LONG = 100_000
"""Fills of a secret from which on it is told how far their enumeration is."""


@dataclass(frozen=True, kw_only=True)
class AttackSettings:
    """How a model is attacked.

    Args:
        attacks: Names or dotted paths of attacks, each once.
        shadow_models: How many shadow models those attacks get that need any; even.
        level: Confidence of the intervals, and of the verdict over all tests together, in (0, 1).
        records: How many of the members at most risk to list, by hash; the list concerns persons.
        seed: Of the choice of rows and of the shadow models.
        most_fills: Fills of a planted secret that are enumerated at most; None for a million. Of larger spaces some are drawn.

    Raises:
        InputError: For an attack that is unknown or named twice, a level outside (0, 1), fewer than 0 records, or a number of
            shadow models that does not fit the attacks.
    """

    attacks: tuple[str, ...] = ("loss-threshold",)
    shadow_models: int = 0
    level: float = 0.95
    records: int = 0
    seed: int = 0
    most_fills: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise InputError(f"level is {self.level}; a confidence lies strictly between 0 and 1, such as .95")
        if len(set(self.attacks)) < len(self.attacks):
            raise InputError(f"attacks are {', '.join(self.attacks)}; name each once")
        if self.records < 0:
            raise InputError(f"records is {self.records}; give how many to list, 0 or more")
        if self.shadow_models < 0 or self.shadow_models % 2:
            raise InputError(f"shadow_models is {self.shadow_models}; give an even number, such as 16: half of them have each example")
        needing = [name for name, attack in zip(self.attacks, self.resolved(), strict=True) if isinstance(attack, ShadowAttack)]
        if needing and not self.shadow_models:
            raise InputError(
                f"attack {needing[0]!r} needs shadow models: give their number (--shadow-models, or shadow_models in [audit]), such as 16; "
                "each costs about as much as the run itself"
            )
        if self.shadow_models and not needing:
            some = ", ".join(name for name in catalog.names("attack") if isinstance(catalog.resolve("attack", name), ShadowAttack))
            raise InputError(f"shadow_models is {self.shadow_models}, but no attack uses any; name one that does: {some}")

    def resolved(self) -> list[Any]:
        """The attacks themselves."""
        return [catalog.resolve("attack", name) for name in self.attacks]

    def check_secrets(self, planted: bool, *, who: str) -> None:
        """Refuses attacks on planted secrets where none are planted.

        Args:
            planted: Whether there are any.
            who: What is attacked, for the error.

        Raises:
            InputError: Naming the attack, and how secrets are planted.
        """
        if planted:
            return
        looking = [name for name, attack in zip(self.attacks, self.resolved(), strict=True) if isinstance(attack, SecretAttack)]
        if looking:
            raise InputError(
                f"{who}: attack {looking[0]!r} looks for planted secrets, and there are none; plant some before training, such as "
                '[audit] secrets = [{ pattern = "pin", length = 4, repetitions = 10 }]'
            )


def attack_model(
    fitted: Any,
    recipe: Recipe,
    audited: AuditedData,
    *,
    settings: AttackSettings,
    claim: PrivacyClaim | None,
    subject: str,
    folder: Path,
    on_progress: OnProgress = silent,
) -> Evidence:
    """Attacks one model with all that a study asks for.

    Args:
        fitted: The model, with the access that the attacks need.
        recipe: How it was trained, for its shadow models.
        audited: What it was trained on.
        settings: How it is attacked.
        claim: Its promise, or None.
        subject: Its run.
        folder: Of the run; the scores of shadow models are kept there.
        on_progress: Told of every shadow model, of the losses of a secret's fills, and of every round that is read.

    Returns:
        What was found, with one verdict on the promise if there is one.

    Raises:
        InputError: For an attack on secrets where none were planted.
    """
    settings.check_secrets(audited.secrets is not None, who=subject)
    tables = SecretTables(fitted, most=MOST if settings.most_fills is None else settings.most_fills, on_progress=_if_long(on_progress))
    found = _membership(
        fitted, recipe, audited, tables, settings=settings, claim=claim, subject=subject, folder=folder, on_progress=on_progress
    )
    streams = Streams.from_seed(settings.seed).child("attacks")
    for name, attack in zip(settings.attacks, settings.resolved(), strict=True):
        if isinstance(attack, SecretAttack) and audited.secrets is not None:
            found += attack(fitted, audited.secrets.secrets, subject=subject, streams=streams.child(name), tables=tables)
        elif isinstance(attack, RoundAttack):
            real = audited.real  # the validation part stands in for text that anyone may have
            own = streams.child(name)
            found += attack(fitted, clients_data=real.train, public=real.validation, subject=subject, streams=own, on_progress=on_progress)
    return replace(found, notes=tuple(dict.fromkeys(found.notes)))


def _if_long(on_progress: OnProgress) -> OnProgress:
    """Passes on what takes longer than a few seconds: a study with many secrets would tell of nothing else."""

    def tell(progress: Progress) -> None:
        if progress.total >= LONG:
            on_progress(progress)

    return tell


def _membership(
    fitted: Any,
    recipe: Recipe,
    audited: AuditedData,
    tables: SecretTables,
    *,
    settings: AttackSettings,
    claim: PrivacyClaim | None,
    subject: str,
    folder: Path,
    on_progress: OnProgress,
) -> Evidence:
    """Who was a member, by the rows, by canaries and by planted secrets: all that tests the promise, with one verdict on it."""
    attacks, real = [one for one in settings.resolved() if not isinstance(one, SecretAttack | RoundAttack)], audited.real
    members, nonmembers = real.train, real.test
    if any(isinstance(attack, ShadowAttack) for attack in attacks):
        pool = Pool.of(real, min_count=min_count_of(fitted), seed=settings.seed)
        members, nonmembers = pool.members, pool.nonmembers
        shadows = shadow_models(
            recipe,
            pool,
            folder=folder,
            models=settings.shadow_models,
            seed=settings.seed,
            on_progress=on_progress,
        )
        attacks = [attack(shadows) if isinstance(attack, ShadowAttack) else _among(attack, pool) for attack in attacks]
    if not attacks and audited.canaries is None and audited.secrets is None:
        return Evidence()
    return audit(
        fitted,
        members=members,
        nonmembers=nonmembers,
        attacks=attacks,
        claim=claim,
        subject=subject,
        level=settings.level,
        records=settings.records,
        canaries=audited.canaries,
        secrets=() if audited.secrets is None else audited.secrets.secrets,
        tables=tables,
    )


def _among(attack: Attack, pool: Pool) -> Attack:
    """An attack on the rows of the pool, which are judged by all training rows and not by those of the pool alone."""

    def among(fitted: Any, /, *, members: Dataset, nonmembers: Dataset) -> Scores:
        return replace(attack(fitted, members=members, nonmembers=nonmembers), game=pool.game)

    return among
