"""Signals of shadow models: moments against plain loops, little memory, and every refusal by each attack that reads them."""

import statistics
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.oracles import shadows

from holdfast.audit.attacks import attack_r, difficulty_calibrated, lira_offline, lira_online, rmia_offline, rmia_online
from holdfast.audit.attacks.shadow_signals import ShadowSignals
from holdfast.core.errors import InputError

POPULATION = {"population_target": np.array([0.5, 0.25]), "population_shadow": np.full((2, 4), 0.5)}


def on_probabilities(attack: Callable) -> Callable:
    """RMIA with a population, under the names that the other attacks give to their arguments."""

    def attack_under(target: np.ndarray, shadow: np.ndarray, **rest) -> np.ndarray:
        return attack(target, shadow, **rest, **POPULATION)

    return attack_under


ATTACKS: dict[str, Callable] = {
    "lira_online": lira_online,
    "lira_offline": lira_offline,
    "difficulty_calibrated": difficulty_calibrated,
    "attack_r": attack_r,
    "rmia_online": on_probabilities(rmia_online),
    "rmia_offline": on_probabilities(rmia_offline),
}
each_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@pytest.fixture
def game() -> dict[str, np.ndarray]:
    """Three examples and four shadow models whose signals are probabilities too, so that every attack takes them."""
    rng = np.random.default_rng(0)
    included = np.array([[True, True, False, False], [False, True, False, True], [True, False, False, True]])
    return {"target": rng.uniform(size=3), "shadow": rng.uniform(size=(3, 4)), "included": included}


@given(seed=st.integers(0, 2**32 - 1), examples=st.integers(1, 7), models=st.integers(1, 6), block=st.integers(1, 20))
def test_moments_are_those_of_each_side(seed: int, examples: int, models: int, block: int):
    rng = np.random.default_rng(seed)
    values, included = 1e3 + rng.normal(size=(examples, models)), rng.random((examples, models)) < 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.audit.attacks.shadow_signals.BLOCK", block)
        moments = ShadowSignals(values_NM=values, included_NM=included).moments()
    for n in range(examples):
        for group, side in zip(shadows.sides(values[n], included[n]), (moments.inside, moments.outside), strict=True):
            mean = statistics.fmean(group) if group else 0.0
            assert side.count[n] == len(group)
            assert side.mean[n] == pytest.approx(mean, rel=1e-12)
            assert side.squares[n] == pytest.approx(sum((value - mean) ** 2 for value in group), abs=1e-8)


@each_attack
def test_takes_good_signals_of_any_width(game: dict[str, np.ndarray], attack: Callable):
    score = attack(**game)
    assert score.shape == (3,)
    assert score.dtype == np.float64
    assert np.isfinite(score).all()
    narrow = attack(game["target"], game["shadow"].astype(np.float32), included=game["included"])
    assert narrow == pytest.approx(score, rel=1e-4, abs=1e-4)


@each_attack
def test_examples_do_not_depend_on_their_order(game: dict[str, np.ndarray], attack: Callable):
    turned = {name: values[::-1] for name, values in game.items()}
    assert attack(**turned) == pytest.approx(attack(**game)[::-1], abs=1e-12)


@each_attack
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_signals_that_are_not_finite(game: dict[str, np.ndarray], attack: Callable, value: float):
    for name, place in (("target", 1), ("shadow", (2, 3))):
        broken = game[name].copy()
        broken[place] = value
        where = "example 1;" if name == "target" else "example 2, model 3"
        with pytest.raises(InputError, match=f"^1 .*{where}"):
            attack(**{**game, name: broken})


def test_a_broken_signal_is_found_in_later_blocks(monkeypatch: pytest.MonkeyPatch):
    toy = shadows.gaussian_toy(40, 4, shift=1, seed=0)
    toy.shadow[37, 2] = np.nan
    monkeypatch.setattr("holdfast.audit.attacks.shadow_signals.BLOCK", 12)
    with pytest.raises(InputError, match="example 37, model 2"):
        lira_online(toy.target, toy.shadow, included=toy.included)


@each_attack
def test_refuses_other_shapes(game: dict[str, np.ndarray], attack: Callable):
    for changed, words in (
        ({"target": game["target"][:2]}, "cover 3 examples, but the target model 2"),
        ({"target": game["target"][:, None]}, "one number for each"),
        ({"target": np.array([])}, "one number for each"),
        ({"shadow": game["shadow"][:, 0]}, "N examples, M models"),
        ({"shadow": game["shadow"][:, :0], "included": game["included"][:, :0]}, "N examples, M models"),
        ({"shadow": game["shadow"].astype(str)}, "N examples, M models"),
        ({"included": game["included"][:, :3]}, "one boolean for each"),
        ({"included": game["included"].T}, "one boolean for each"),
        ({"included": game["included"].astype(int)}, "one boolean for each"),
    ):
        with pytest.raises(InputError, match=words):
            attack(**{**game, **changed})


@each_attack
def test_refuses_fewer_models_than_configured(game: dict[str, np.ndarray], attack: Callable):
    with pytest.raises(InputError, match=r"4 shadow models have signals, but 254 are configured; train the other 250, or configure 4"):
        attack(**game, configured=254)
    assert np.array_equal(attack(**game, configured=4), attack(**game))


@each_attack
def test_refuses_examples_that_every_model_was_trained_on(game: dict[str, np.ndarray], attack: Callable):
    game["included"][:2] = True
    with pytest.raises(InputError, match=r"2 of 3 examples .* not trained on them \(OUT\), the fewest 0; .*random half"):
        attack(**game)


@pytest.mark.parametrize("attack", [lira_online, ATTACKS["rmia_online"]])
def test_online_attacks_refuse_examples_that_no_model_was_trained_on(game: dict[str, np.ndarray], attack: Callable):
    game["included"][0] = False
    with pytest.raises(InputError, match=r"1 of 3 examples .* trained on them \(IN\), the fewest 0"):
        attack(**game)


@pytest.mark.parametrize("attack", [lira_online, lira_offline, difficulty_calibrated, attack_r])
def test_a_memory_map_is_never_copied_whole(attack: Callable, tmp_path: Path):
    shape = (20_000, 256)
    shadow = np.memmap(tmp_path / "shadow", dtype=np.float32, mode="w+", shape=shape)
    included = np.memmap(tmp_path / "included", dtype=np.bool_, mode="w+", shape=shape)
    rng = np.random.default_rng(0)
    shadow[:] = rng.standard_normal(shape, dtype=np.float32)
    included[:] = rng.random(shape, dtype=np.float32) < 0.5
    target = rng.normal(size=shape[0])
    tracemalloc.start()
    try:
        attack(target, shadow, included=included)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.6 * shadow.nbytes  # 12 of 20 MiB; a float64 copy would take 40
