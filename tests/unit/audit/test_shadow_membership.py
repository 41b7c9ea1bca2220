"""Attacks by shadow models: toy models whose losses follow known laws, and what does not fit is refused."""

from dataclasses import replace

import numpy as np
import pytest

from holdfast import catalog
from holdfast.audit import MembershipGame
from holdfast.audit.shadow import ScoreStore, balanced
from holdfast.audit.shadow.membership import LIRA, RMIA, ShadowAttack, ShadowModels
from holdfast.core.errors import InputError
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example

SIDE, POPULATION, MODELS = 300, 200, 32
ALL = [name for name in catalog.names("attack") if isinstance(catalog.resolve("attack", name), ShadowAttack)]
NAMES = ("loss", "posterior 1")


def rows(start: int, count: int) -> Dataset:
    made = [Example(tokens=[f"w{number % 7}", f"n{number}"], label="x") for number in range(start, start + count)]
    return Dataset.from_examples(made, name="toy", split="train")


class Toy:
    """A model that gives each example the difficulty it has, less what training on it gains."""

    confidence_names = NAMES

    def __init__(self, seed: int, trained: np.ndarray, *, gain: float) -> None:
        rng = np.random.default_rng(seed)
        hard = np.random.default_rng(99).uniform(0.5, 3, 2 * SIDE + POPULATION)  # the same under every model
        self.values = np.maximum(hard - gain * trained + 0.1 * rng.standard_normal(hard.size), 1e-3)

    def losses(self, data: Dataset) -> np.ndarray:
        return self.values[[int(tokens[1][1:]) for tokens in data.tokens()]]

    def confidences(self, data: Dataset) -> np.ndarray:
        return np.stack([self.losses(data), np.exp(-self.losses(data))], 1)


def shadows_in(folder, *, gain: float, models: int = MODELS, names: tuple[str, ...] = NAMES) -> tuple[Toy, ShadowModels]:
    examples = 2 * SIDE + POPULATION
    store = ScoreStore.open_or_create(folder, data_hash="toy", settings={}, examples=examples, models=models, signals=names, seed=3)
    included = balanced(examples, models, seed=3)
    included[2 * SIDE :] = False
    for model in range(models):
        values = Toy(model, included[:, model], gain=gain).values
        store.write(model, np.stack([values, np.exp(-values)], 1)[:, : len(names)])
    game = MembershipGame.between(rows(0, SIDE), rows(SIDE, SIDE))
    target = Toy(1000, np.arange(examples) < SIDE, gain=gain)
    return target, ShadowModels(store=store, game=game, population=rows(2 * SIDE, POPULATION))


def scored(target: Toy, shadows: ShadowModels, name: str):
    return catalog.resolve("attack", name)(shadows)(target, members=rows(0, SIDE), nonmembers=rows(SIDE, SIDE))


@pytest.mark.parametrize("name", ALL)
def test_every_attack_finds_members_that_losses_alone_do_not_show(name, tmp_path):
    target, shadows = shadows_in(tmp_path, gain=0.3)
    bare = np.mean(target.losses(rows(0, SIDE))[:, None] < target.losses(rows(SIDE, SIDE)))
    scores = scored(target, shadows, name)
    assert bare < 0.68
    assert scores.auc().value > {"shadow-classifier": 0.55, "rmia-offline": 0.6}.get(name, 0.9)  # neither looks much at the single example
    assert f"{MODELS} shadow models" in scores.attack
    assert scores.game is shadows.game


@pytest.mark.parametrize("name", ALL)
def test_no_attack_finds_what_is_not_there(name, tmp_path):
    target, shadows = shadows_in(tmp_path, gain=0.0)
    assert abs(scored(target, shadows, name).auc().value - 0.5) < 0.1  # 4 standard deviations


def test_members_come_first_then_nonmembers(tmp_path):
    target, shadows = shadows_in(tmp_path, gain=1.0)
    scores = scored(target, shadows, "lira")
    assert scores.members.size == scores.nonmembers.size == SIDE
    assert np.median(scores.members) > 0 > np.median(scores.nonmembers)


def test_other_examples_than_those_of_the_store_are_refused(tmp_path):
    target, shadows = shadows_in(tmp_path, gain=0.3)
    with pytest.raises(InputError, match="299 members and 300 non-members, but the shadow models were scored on 300"):
        LIRA(shadows)(target, members=rows(0, SIDE - 1), nonmembers=rows(SIDE, SIDE))
    with pytest.raises(InputError, match="800 examples, but 600 are attacked"):
        replace(shadows, population=rows(2 * SIDE, POPULATION).take([]))


def test_too_few_shadow_models_are_refused(tmp_path):
    _, shadows = shadows_in(tmp_path, gain=0.3, models=2)
    with pytest.raises(InputError, match="LiRA, online needs at least 4 shadow models, and 2 were trained"):
        LIRA(shadows)


def test_rmia_without_a_population_is_refused(tmp_path):
    target, shadows = shadows_in(tmp_path, gain=0.3)
    store = ScoreStore.open_or_create(
        tmp_path / "none", data_hash="toy", settings={}, examples=2 * SIDE, models=2, signals=("loss",), seed=3
    )
    for model in range(2):
        store.write(model, shadows.store.block(0, 2 * SIDE, "loss")[:, model])
    alone = replace(shadows, store=store, population=rows(0, 1).take([]))
    with pytest.raises(InputError, match="validation part"):
        RMIA(alone)(target, members=rows(0, SIDE), nonmembers=rows(SIDE, SIDE))


def test_the_classifier_wants_the_same_signals_of_both(tmp_path):
    target, shadows = shadows_in(tmp_path, gain=0.3, names=("loss",))
    with pytest.raises(InputError, match="does not give just these"):
        scored(target, shadows, "shadow-classifier")


def test_losses_that_are_not_finite_are_refused(tmp_path):
    target, shadows = shadows_in(tmp_path, gain=0.3)
    target.values[5] = np.inf
    with pytest.raises(InputError, match="not finite"):
        scored(target, shadows, "lira")


def test_a_store_that_is_not_complete_is_refused(tmp_path):
    target, shadows = shadows_in(tmp_path, gain=0.3)
    more = ScoreStore.open_or_create(
        tmp_path, data_hash="toy", settings={}, examples=2 * SIDE + POPULATION, models=MODELS + 2, signals=NAMES, seed=3
    )
    with pytest.raises(Exception, match="32 of 34 models are trained"):
        scored(target, replace(shadows, store=more), "lira")
