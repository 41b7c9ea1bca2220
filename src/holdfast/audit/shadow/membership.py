"""Membership attacks that compare the audited model with shadow models, whose scores lie in a store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.audit.attacks import (
    attack_r,
    difficulty_calibrated,
    lira_offline,
    lira_online,
    logit_of_loss,
    rmia_offline,
    rmia_online,
    shadow_classifier,
)
from holdfast.audit.games import MembershipGame
from holdfast.audit.intervals import Floats
from holdfast.audit.membership import checked_losses
from holdfast.audit.scores import Scores
from holdfast.audit.shadow.store import ScoreStore
from holdfast.core.access import Confidences, Losses
from holdfast.core.errors import InputError
from holdfast.data.dataset import Dataset

LOSS = "loss"
"""The signal that most attacks read; the others are those of `core.access.Confidences`."""

GAMMA = 1.0
"""RMIA's factor, that of its authors' code. At the paper's 2 all examples of a model that leaks little tie at no population beaten."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShadowModels:
    """Shadow models of one audited model, as an attack sees them: their scores, and for whom these are.

    Args:
        store: Complete scores. Its examples are the members, then the non-members, then the population.
        game: The members and the non-members.
        population: Examples that neither the audited model nor any shadow model was trained on; RMIA alone needs them.

    Raises:
        InputError: If the store has another number of examples.
    """

    store: ScoreStore
    game: MembershipGame
    population: Dataset

    def __post_init__(self) -> None:
        here, there = self.audited + len(self.population), self.store.header.examples
        if here != there:
            raise InputError(f"the shadow scores are for {there:,} examples, but {here:,} are attacked; give the examples of the store")

    @property
    def members(self) -> int:
        """How many members."""
        return self.game.members_alone.size

    @property
    def nonmembers(self) -> int:
        """How many non-members."""
        return self.game.nonmembers_alone.size

    @property
    def audited(self) -> int:
        """How many examples are attacked."""
        return self.members + self.nonmembers

    def losses(self, start: int, stop: int) -> Floats:
        """Losses of some examples under each shadow model, (stop - start, M)."""
        return self.store.block(start, stop, LOSS).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Seen:
    """What an attack has before it: the audited model's signals, and those of its shadow models, for n attacked examples.

    Args:
        fitted: The audited model.
        shadows: Its shadow models.
        rows: The members, then the non-members.
    """

    fitted: Any
    shadows: ShadowModels
    rows: tuple[Dataset, Dataset]

    @cached_property
    def losses(self) -> Floats:
        """Losses under the audited model, (n,), in the precision of the stored ones, so that ties stay ties."""
        return np.concatenate([_losses(self.fitted, side) for side in self.rows])

    @cached_property
    def shadow_losses(self) -> Floats:
        """Losses under the shadow models, (n, M)."""
        return self.shadows.losses(0, self.shadows.audited)

    @property
    def included(self) -> NDArray[np.bool_]:
        """Which shadow model was trained on which example, (n, M)."""
        return self.shadows.store.included(0, self.shadows.audited)

    @property
    def models(self) -> int:
        """M, the number that was asked for."""
        return self.shadows.store.header.models


@dataclass(frozen=True, kw_only=True)
class ShadowAttack:
    """A membership attack that needs shadow models: call it with some.

    Args:
        name: As figures name it.
        reference: Where it is described.
        access: What it sees of the audited model.
        fewest: Shadow models that it needs at least.
        score: Gives the score of each example, (n,), higher = more likely a member.
    """

    name: str
    reference: str
    access: str
    fewest: int
    score: Callable[[Seen], Floats]

    def __call__(self, shadows: ShadowModels) -> Callable[..., Scores]:
        """The attack with these shadow models, in the form that `holdfast.audit.audit` takes."""
        models = shadows.store.header.models
        if models < self.fewest:
            raise InputError(f"{self.name} needs at least {self.fewest} shadow models, and {models} were trained; ask for more")

        def attack(fitted: Any, /, *, members: Dataset, nonmembers: Dataset) -> Scores:
            if (len(members), len(nonmembers)) != (shadows.members, shadows.nonmembers):
                raise InputError(
                    f"{len(members):,} members and {len(nonmembers):,} non-members, but the shadow models were scored on "
                    f"{shadows.members:,} and {shadows.nonmembers:,}; give the same examples"
                )
            scores = self.score(Seen(fitted, shadows, (members, nonmembers)))
            return Scores(
                members=scores[: shadows.members],
                nonmembers=scores[shadows.members :],
                attack=f"{self.name}, {models} shadow models",
                access=self.access,
                reference=self.reference,
                game=shadows.game,
            )

        return attack


def _losses(fitted: Losses, data: Dataset) -> Floats:
    return checked_losses(fitted, data, what="attacked examples").astype(np.float32).astype(np.float64)


def _lira_online(seen: Seen) -> Floats:
    signals = logit_of_loss(seen.losses), logit_of_loss(seen.shadow_losses)
    return lira_online(*signals, included=seen.included, configured=seen.models)


def _lira_offline(seen: Seen) -> Floats:
    signals = logit_of_loss(seen.losses), logit_of_loss(seen.shadow_losses)
    return lira_offline(*signals, included=seen.included, configured=seen.models)


def _difficulty(seen: Seen) -> Floats:
    return difficulty_calibrated(-seen.losses, -seen.shadow_losses, included=seen.included, configured=seen.models)


def _attack_r(seen: Seen) -> Floats:
    return attack_r(-seen.losses, -seen.shadow_losses, included=seen.included, configured=seen.models)


def _rmia(seen: Seen, statistic: Callable[..., Floats]) -> Floats:
    shadows = seen.shadows
    if not len(shadows.population):
        raise InputError("RMIA measures examples against a population that no model was trained on: give data with a validation part")
    return statistic(
        np.exp(-seen.losses),
        np.exp(-seen.shadow_losses),
        included=seen.included,
        population_target=np.exp(-_losses(seen.fitted, shadows.population)),
        population_shadow=np.exp(-shadows.losses(shadows.audited, shadows.audited + len(shadows.population))),
        gamma=GAMMA,
        configured=seen.models,
    )


def _rmia_online(seen: Seen) -> Floats:
    return _rmia(seen, rmia_online)


def _rmia_offline(seen: Seen) -> Floats:
    return _rmia(seen, rmia_offline)


def _shadow_classifier(seen: Seen) -> Floats:
    fitted, store = seen.fitted, seen.shadows.store
    if not isinstance(fitted, Confidences) or tuple(fitted.confidence_names) != store.header.signals:
        raise InputError(
            f"the shadow classifier reads {', '.join(store.header.signals)} of the shadow models, and the audited model does not give "
            "just these; audit a model that gives its confidences (those of labelling tasks do), with shadow models of its own"
        )
    features = [store.block(0, seen.shadows.audited, name) for name in store.header.signals]
    target = np.concatenate([fitted.confidences(side) for side in seen.rows])
    return shadow_classifier(target, np.stack(features, -1), included=seen.included, configured=seen.models, seed=0)


_LOSSES = "black-box: losses; shadow models trained on halves of the same population"

LIRA = ShadowAttack(name="LiRA, online", reference="Carlini et al. 2022, arXiv 2112.03570", access=_LOSSES, fewest=4, score=_lira_online)
LIRA_OFFLINE = ShadowAttack(
    name="LiRA, offline", reference="Carlini et al. 2022, arXiv 2112.03570", access=_LOSSES, fewest=4, score=_lira_offline
)
RMIA = ShadowAttack(
    name="RMIA, online", reference="Zarifzadeh, Liu, Shokri 2024, arXiv 2312.03262", access=_LOSSES, fewest=2, score=_rmia_online
)
RMIA_OFFLINE = ShadowAttack(
    name="RMIA, offline", reference="Zarifzadeh, Liu, Shokri 2024, arXiv 2312.03262", access=_LOSSES, fewest=2, score=_rmia_offline
)
DIFFICULTY = ShadowAttack(
    name="difficulty calibration", reference="Watson et al. 2022, arXiv 2111.08440", access=_LOSSES, fewest=2, score=_difficulty
)
ATTACK_R = ShadowAttack(name="attack R", reference="Ye et al. 2022, arXiv 2111.09679", access=_LOSSES, fewest=2, score=_attack_r)
SHADOW_CLASSIFIER = ShadowAttack(
    name="shadow classifier",
    reference="after Shokri et al. 2017, arXiv 1610.05820",
    access="black-box: posteriors and losses; shadow models trained on halves of the same population",
    fewest=2,
    score=_shadow_classifier,
)
