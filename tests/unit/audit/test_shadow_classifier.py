"""The shadow classifier: the area of the best attack where that is known, one half where there is nothing, and its refusals."""

import math
import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import special

from holdfast.audit.attacks import shadow_classifier
from holdfast.audit.attacks.shadow_classifiers import FEWEST_IN_CLASS, FEWEST_ON_SIDE
from holdfast.audit.intervals import Area
from holdfast.core.errors import InputError

KINDS = pytest.mark.parametrize("kind", ["logistic", "boosted trees"])
SHIFT = np.array([0.8, 0.0, -0.6])  # of length 1
STRETCH = np.array([1.0, 100.0, 0.01])
BEST = special.ndtr(1 / math.sqrt(2))
"""Area of the likelihood ratio of two normal laws one apart, .7602; its standard error is .0075 for 4,000 examples."""


@dataclass(frozen=True)
class Toy:
    """Features of a target and of shadow models: noise, a shift for members, and a stretch of each feature."""

    target: np.ndarray
    shadow: np.ndarray
    included: np.ndarray
    member: np.ndarray
    classes: np.ndarray

    def scores(self, **options: object) -> np.ndarray:
        return shadow_classifier(self.target, self.shadow, **{"included": self.included, "seed": 1, **options})

    def auc(self, scores: np.ndarray) -> float:
        return Area.between(scores[self.member], scores[~self.member]).value

    def take(self, examples: np.ndarray, models: np.ndarray) -> "Toy":
        inner = {"shadow": self.shadow[examples][:, models], "included": self.included[examples][:, models]}
        return Toy(target=self.target[examples], member=self.member[examples], classes=self.classes[examples], **inner)


def toy(examples: int, models: int, *, shift: np.ndarray = SHIFT, turned: bool = False) -> Toy:
    """Where it is turned, the shift goes the other way in classes 1 and 3 of four."""
    rng = np.random.default_rng(1)
    trained = rng.random((examples, models + 1)) < 0.5
    classes = rng.integers(0, 4, size=examples)
    sign = np.where(classes % 2, -1.0, 1.0) if turned else np.ones(examples)
    noise = rng.normal(size=(examples, models + 1, 3))
    features = 5 + STRETCH * (noise + trained[:, :, None] * sign[:, None, None] * shift)
    return Toy(features[:, 0], features[:, 1:].astype(np.float32), trained[:, 1:], trained[:, 0], classes)


@KINDS
def test_finds_a_shift_as_well_as_anyone_can(kind: str):
    world = toy(4_000, 8)
    scores = world.scores(kind=kind)
    assert scores.shape == (4_000,)
    assert world.auc(scores) == pytest.approx(BEST, abs=0.02)
    assert max(world.auc(world.target[:, 0]), world.auc(-world.target[:, 2])) < BEST - 0.03, "one feature alone would do"


def test_scores_are_log_odds():
    """Half of the rows are inside, so by the law of the toy they are shift · noise - |shift|² / 2."""
    world = toy(4_000, 8)
    truth = (world.target - 5) / STRETCH @ SHIFT - 1 / 2
    assert world.scores() == pytest.approx(truth, abs=0.25)
    assert np.mean(world.scores() - truth) == pytest.approx(0, abs=0.05)


@KINDS
def test_finds_nothing_where_there_is_nothing(kind: str):
    world = toy(4_000, 4, shift=np.zeros(3))
    assert world.auc(world.scores(kind=kind)) == pytest.approx(0.5, abs=0.03)
    leaking = toy(4_000, 4)
    permuted = replace(leaking, member=np.random.default_rng(2).permutation(leaking.member))
    assert permuted.auc(permuted.scores(kind=kind)) == pytest.approx(0.5, abs=0.03)


def test_a_design_that_belongs_to_other_examples_teaches_nothing():
    """Planted faults: the design is shifted by one example, then turned inside out."""
    world = toy(4_000, 8)
    assert np.std(world.scores()) > 0.9
    assert np.std(world.scores(included=np.roll(world.included, 1, axis=0))) < 0.1
    assert world.auc(world.scores(included=~world.included)) == pytest.approx(1 - BEST, abs=0.02)


def test_one_shadow_model_is_enough():
    world = toy(4_000, 1)
    assert world.auc(world.scores()) == pytest.approx(BEST, abs=0.02)


@KINDS
def test_the_order_of_examples_and_models_means_nothing(kind: str):
    world, rng = toy(300, 4), np.random.default_rng(3)
    examples, models = rng.permutation(300), rng.permutation(4)
    assert world.take(examples, models).scores(kind=kind) == pytest.approx(world.scores(kind=kind)[examples], abs=1e-4)


@KINDS
def test_an_example_is_scored_by_its_own_features_alone(kind: str):
    world = toy(300, 4)
    other = world.target.copy()
    other[1:] *= 7
    moved = replace(world, target=other).scores(kind=kind)
    assert moved[0] == world.scores(kind=kind)[0]
    assert not np.array_equal(moved, world.scores(kind=kind))


def test_units_of_the_features_mean_nothing():
    world = toy(300, 4)
    stretched = replace(world, target=1e3 * world.target - 7, shadow=1e3 * world.shadow.astype(np.float64) - 7)
    assert stretched.scores() == pytest.approx(world.scores(), abs=1e-5)
    constant = replace(world, target=np.insert(world.target, 1, 3.0, axis=1), shadow=np.insert(world.shadow, 1, 3.0, axis=2))
    assert constant.scores() == pytest.approx(world.scores(), abs=1e-5)


# Classes


def test_classes_of_their_own_find_what_they_hide_from_one_another():
    world = toy(4_000, 8, turned=True)
    assert world.auc(world.scores(labels=world.classes)) == pytest.approx(0.5, abs=0.03), "per_class is off unless asked for"
    for labels in (world.classes, np.array(["a", "b", "c", "d"])[world.classes]):
        assert world.auc(world.scores(labels=labels, per_class=True)) == pytest.approx(BEST, abs=0.02)


def test_a_class_of_few_rows_shares_the_classifier_of_all():
    world = toy(4_000, 2, turned=True)
    classes = world.classes.copy()
    smallest = np.flatnonzero(classes == 3)
    classes[smallest[FEWEST_IN_CLASS // 2 :]] = 1  # two models leave about FEWEST_IN_CLASS rows, half of them on either side
    own, shared = world.scores(labels=classes, per_class=True), world.scores()
    assert np.array_equal(own[classes == 3], shared[classes == 3])
    assert all(np.std((own - shared)[classes == place]) > 0.5 for place in range(3)), "large classes have their own"


# Rows


def test_more_rows_than_may_be_are_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch):
    world = toy(4_000, 8)
    everything = world.scores(seed=2)
    assert np.array_equal(everything, world.scores(seed=3)), "all rows are used, and none drawn"
    monkeypatch.setattr("holdfast.audit.attacks.shadow_classifiers.MOST_ROWS", 4_000)
    one, again, other = (world.scores(seed=seed) for seed in (2, 2, 3))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert world.auc(one) == pytest.approx(BEST, abs=0.02)


def test_memory_is_that_of_the_rows_in_use(monkeypatch: pytest.MonkeyPatch):
    """The features of all pairs would take 819 MB."""
    monkeypatch.setattr("holdfast.audit.attacks.shadow_classifiers.MOST_ROWS", 20_000)
    included = np.broadcast_to(np.arange(200_000)[:, None] % 2 == 0, (200_000, 64))
    shadow = np.broadcast_to(included[:, :1, None] + np.float32(0.5), (200_000, 64, 8))
    target = np.ones((200_000, 8))
    tracemalloc.start()
    shadow_classifier(target, shadow, included=included, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6, "the target and its copies take 38 MB"


# Refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "logistics"}, "kind is 'logistics'; did you mean 'logistic'?"),
        ({"seed": -1}, "seed is -1"),
        ({"per_class": True}, "per_class needs the labels"),
        ({"labels": np.zeros(99, dtype=int)}, r"labels have shape \(99,\) and type int64; give 100 integers or texts"),
        ({"labels": np.zeros(100), "per_class": True}, "type float64"),
        ({"configured": 5}, "4 shadow models have signals, but 5 are configured"),
        ({"included": np.zeros((100, 4), dtype=int)}, r"included has shape \(100, 4\) and type int64"),
        ({"included": np.zeros((100, 3), dtype=bool)}, r"included has shape \(100, 3\)"),
        ({"included": np.ones((100, 4), dtype=bool)}, "trained on 400 of 400 pairs .* at least 20 must be inside and as many outside"),
        ({"included": np.zeros((100, 4), dtype=bool)}, "trained on 0 of 400 pairs"),
    ],
)
def test_refuses_what_cannot_be_learnt_from(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        toy(100, 4).scores(**options)


def test_a_side_needs_so_many_rows_and_no_more():
    world, included = toy(100, 4), np.zeros((100, 4), dtype=bool)
    included[:FEWEST_ON_SIDE, 2] = True
    assert np.isfinite(world.scores(included=included)).all()
    included[0, 2] = False
    with pytest.raises(InputError, match="trained on 19 of 400"):
        world.scores(included=included)


@pytest.mark.parametrize(
    ("target", "shadow", "message"),
    [
        (np.zeros(100), np.zeros((100, 4, 3)), r"target model have shape \(100,\), 0 of them not finite; give \(N examples, F features\)"),
        (np.zeros((100, 0)), np.zeros((100, 4, 0)), r"target model have shape \(100, 0\)"),
        (np.zeros((100, 3)), np.zeros((100, 4)), r"shadow models have shape \(100, 4\); give \(N examples, M models, 3 features\)"),
        (np.zeros((100, 3)), np.zeros((100, 4, 2)), r"shadow models have shape \(100, 4, 2\)"),
        (np.zeros((100, 3)), np.zeros((100, 0, 3)), r"shadow models have shape \(100, 0\)"),
        (np.zeros((99, 3)), np.zeros((100, 4, 3)), "cover 100 examples, but the target model 99"),
        (np.full((100, 3), np.nan), np.zeros((100, 4, 3)), "300 of them not finite"),
    ],
)
def test_refuses_features_that_do_not_fit(target: np.ndarray, shadow: np.ndarray, message: str):
    included = np.zeros(shadow.shape[:2], dtype=bool)
    with pytest.raises(InputError, match=message):
        shadow_classifier(target, shadow, included=included, seed=1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_shadow_features_that_are_not_finite_and_says_where(value: float):
    world = toy(100, 4)
    world.shadow[[17, 30], 2, 1] = value
    with pytest.raises(InputError, match=r"not finite for 2 of 100 examples, the first example 17, model 2"):
        world.scores()
