"""Robust rules: each against a plain twin in numpy, known answers by hand, what all of them owe, and what they refuse."""

import json
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.local import TableRows, Updates
from holdfast.federated.robust import RULES, GeometricMedian, Krum, MultiKrum, NormBound, Rule, contract, finite, rule
from holdfast.federated.robust.distances import squared_distances

OPTIONS: dict[str, dict[str, Any]] = {
    "norm-bound": {"bound": 2.0},
    "median": {},
    "trimmed-mean": {"share": 0.2},
    "krum": {"attackers": 2},
    "multi-krum": {"attackers": 2},
    "geometric-median": {},
}
every = pytest.mark.parametrize("made", [rule(name, options) for name, options in OPTIONS.items()], ids=list(OPTIONS))


def updates(clients: int, numbers: int = 30, seed: int = 1) -> np.ndarray:
    return Streams.from_seed(seed).generator("updates", clients).normal(size=(clients, numbers))


def krum_scores(deltas: np.ndarray, attackers: int) -> np.ndarray:
    """As the paper writes it, one pair after the other."""
    scores = []
    for i, one in enumerate(deltas):
        distances = sorted(float(((one - other) ** 2).sum()) for j, other in enumerate(deltas) if j != i)
        scores.append(sum(distances[: len(deltas) - attackers - 2]))
    return np.array(scores)


def weiszfeld(deltas: np.ndarray, weights: np.ndarray) -> np.ndarray:
    middle = weights @ deltas / weights.sum()
    for _ in range(500):
        pull = weights / np.maximum(np.linalg.norm(deltas - middle, axis=1), 1e-9)
        middle = pull @ deltas / pull.sum()
    return middle


def twin(made: Rule, deltas: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    if isinstance(made, NormBound):
        return sum(w * d * min(1, made.bound / np.linalg.norm(d)) for w, d in zip(weights, deltas, strict=True))
    if made.name == "median":
        return total * np.median(deltas, axis=0)
    if made.name == "trimmed-mean":
        cut = int(made.share * len(deltas))
        return total * np.sort(deltas, axis=0)[cut : len(deltas) - cut].mean(0)
    if isinstance(made, Krum):
        return total * deltas[np.argmin(krum_scores(deltas, made.attackers))]
    if isinstance(made, MultiKrum):
        return total * deltas[np.argsort(krum_scores(deltas, made.attackers))[: len(deltas) - made.attackers]].mean(0)
    return total * weiszfeld(deltas, weights)


@pytest.mark.parametrize("clients", [7, 10, 15])
@every
def test_each_is_its_plain_twin(made, clients):
    deltas = updates(clients)
    weights = np.linspace(0.5, 2.0, clients) / clients
    found = made(torch.from_numpy(deltas), weights)
    np.testing.assert_allclose(found.numpy(), twin(made, deltas, weights), atol=1e-4 if made.name == "geometric-median" else 1e-12)


def test_steps_without_an_end_are_those_of_the_twin():
    """Within the tolerance above they stop early, where the summed distance no longer falls."""
    deltas, weights = updates(10), np.linspace(0.5, 2.0, 10)
    found = GeometricMedian(iterations=500, tolerance=0.0)(torch.from_numpy(deltas), weights)
    np.testing.assert_allclose(found.numpy(), weights.sum() * weiszfeld(deltas, weights), atol=1e-6)


@every
def test_windows_change_nothing(made, monkeypatch):
    deltas, weights = torch.from_numpy(updates(9)), np.full(9, 1 / 9)
    whole = made(deltas, weights)
    for module in ("contract", "coordinates", "distances"):
        monkeypatch.setattr(f"holdfast.federated.robust.{module}.WINDOW", 7)
    torch.testing.assert_close(made(deltas, weights), whole)


@every
def test_where_all_are_equal_it_is_their_weighted_sum(made):
    same = torch.full((8, 3), 0.25)
    weights = np.linspace(0.1, 0.8, 8)
    torch.testing.assert_close(made(same, weights), torch.full((3,), 0.25 * float(weights.sum())))


@every
def test_a_client_of_weight_0_has_no_part(made):
    deltas = torch.from_numpy(updates(10)).float()
    bad = torch.cat([deltas[:4], torch.full((1, 30), 1e6), torch.full((1, 30), torch.nan), deltas[4:]])
    weights = np.ones(12)
    weights[4:6] = 0
    found = made(bad, weights)
    assert torch.equal(found, made(deltas, np.ones(10)))
    assert found.dtype == torch.float32


@every
def test_the_order_of_clients_does_not_matter(made):
    deltas, weights = torch.from_numpy(updates(11)), np.linspace(1, 2, 11)
    turn = Streams.from_seed(2).generator("order").permutation(11)
    torch.testing.assert_close(made(deltas[turn], weights[turn]), made(deltas, weights))


@every
def test_narrow_types_are_taken_and_given_back(made):
    deltas, weights = torch.from_numpy(updates(9)).bfloat16(), np.full(9, 1 / 9)
    found = made(deltas, weights)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), made(deltas.double(), weights), atol=0.02, rtol=0.02)


@every
def test_what_is_not_finite_is_refused_and_named(made):
    deltas = torch.zeros(8, 3)
    deltas[5, 1] = torch.inf
    with pytest.raises(InputError, match=r"in place 5 is not finite; leave out what robust\.finite finds"):
        made(deltas, np.ones(8))
    shifted = torch.cat([torch.zeros(1, 3), deltas])
    with pytest.raises(InputError, match="in place 6"):
        made(shifted, np.array([0.0] + [1.0] * 8))


@pytest.mark.parametrize("weights", [np.zeros(8), np.full(8, -1.0), np.array([np.nan] * 8), np.ones(7), np.ones((8, 1))])
@every
def test_bad_weights_are_refused(made, weights):
    with pytest.raises(InputError, match=f"{made.name}: "):
        made(torch.zeros(8, 3), weights)


@every
def test_each_says_what_it_needs_and_what_it_costs(made):
    assert isinstance(made, Rule)
    assert made.needs_single_updates == (made.name != "norm-bound")
    assert "rare language" in made.note
    assert "rare language" in " ".join(type(made).__doc__.split())
    described = made.describe()
    assert described["rule"] == made.name
    assert {**OPTIONS[made.name]}.items() <= described.items()
    assert json.loads(json.dumps(described)) == described


def test_all_rules_have_names():
    assert set(RULES) == set(OPTIONS)


def test_krum_picks_the_known_answer():
    """Points on a line, m = 7, f = 2, so three nearest count: scores are 14, 6, 6 and more; of equal ones the first wins."""
    points = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.5], [100.0], [-90.0]])
    found = krum_scores(points.numpy(), 2)
    assert found[:4].tolist() == [1 + 4 + 9, 1 + 1 + 4, 1 + 1 + 4, 1 + 2.25 + 4]
    assert Krum(attackers=2).chosen(points).tolist() == [1]
    assert Krum(attackers=2)(points, np.full(7, 1 / 7)).tolist() == [1.0]
    assert MultiKrum(attackers=2, keep=3).chosen(points).tolist() == [1, 2, 3]
    assert MultiKrum(attackers=2, keep=3)(points, np.full(7, 1 / 7)).tolist() == pytest.approx([2.0])
    assert sorted(MultiKrum(attackers=2).chosen(points).tolist()) == [0, 1, 2, 3, 4]


def test_krum_needs_enough_clients():
    Krum(attackers=2)(torch.zeros(7, 1), np.ones(7))
    for made in (Krum(attackers=2), MultiKrum(attackers=2)):
        with pytest.raises(InputError, match="6 clients, 2 of them bad; it needs at least 2 x 2 \\+ 3 = 7: select a larger cohort"):
            made(torch.zeros(6, 1), np.ones(6))
    with pytest.raises(InputError, match="keep is 6 of 7 clients, 2 bad; keep at most 5"):
        MultiKrum(attackers=2, keep=6)(torch.zeros(7, 1), np.ones(7))
    with pytest.raises(InputError, match="needs at least"):
        Krum(attackers=2)(torch.zeros(7, 1), np.array([0.0] + [1.0] * 6))  # a client of weight 0 does not count


def test_distances_are_right_beside_a_very_large_update():
    deltas = updates(6, 50)
    deltas[3] *= 1e9
    found = squared_distances(torch.from_numpy(deltas))
    for i in range(6):
        for j in range(6):
            assert found[i, j] == pytest.approx(((deltas[i] - deltas[j]) ** 2).sum(), rel=1e-9)


def test_the_geometric_median_is_where_the_summed_distance_is_least():
    deltas, weights = updates(9, 4), np.linspace(1, 3, 9)

    def summed(middle):
        return float(weights @ np.linalg.norm(deltas - middle, axis=1))

    least = scipy.optimize.minimize(summed, deltas.mean(0), method="BFGS").fun
    found = GeometricMedian()(torch.from_numpy(deltas), weights).numpy() / weights.sum()
    assert summed(found) == pytest.approx(least, rel=1e-6)
    assert summed(weights @ deltas / weights.sum()) > least * 1.001
    few = GeometricMedian(iterations=1)(torch.from_numpy(deltas), weights).numpy() / weights.sum()
    assert summed(found) < summed(few) < summed(weights @ deltas / weights.sum())


def test_the_geometric_median_of_a_majority_in_one_place_is_that_place():
    points = torch.tensor([[1.0, 1.0]] * 4 + [[50.0, -3.0], [0.0, 900.0], [7.0, 7.0]])
    torch.testing.assert_close(GeometricMedian()(points, np.full(7, 1 / 7)), torch.tensor([1.0, 1.0]), atol=1e-3, rtol=0)
    alone = np.array([1.0] * 4 + [9.0, 1.0, 1.0])  # more than half of all weight decides
    torch.testing.assert_close(GeometricMedian()(points, alone / alone.sum()), torch.tensor([50.0, -3.0]), atol=1e-2, rtol=0)


def test_a_small_cohort_is_never_a_plain_mean_unawares():
    points = torch.tensor([[0.0], [1.0], [1000.0]])
    assert rule("trimmed-mean", {"share": 0.1})(points, np.ones(3) / 3).tolist() == [1.0]
    assert rule("trimmed-mean", {"share": 0.0})(points, np.ones(3) / 3).tolist() == pytest.approx([1001 / 3])
    with pytest.raises(InputError, match="nothing is left of 2 clients"):
        rule("trimmed-mean", {"share": 0.1})(points[:2], np.ones(2))
    many = torch.arange(100.0)[:, None] ** 2
    trimmed = rule("trimmed-mean", {"share": 0.29})(many, np.full(100, 0.01))
    assert trimmed.item() == pytest.approx((np.arange(29, 71) ** 2.0).mean())  # 0.29 * 100 is a bit less than 29


def test_the_bound_fits_a_sum():
    """Its factors, given as weights to a sum that sees no single update, are the rule."""
    deltas, weights = torch.from_numpy(updates(6)).float(), np.linspace(0.1, 0.3, 6)
    made = NormBound(bound=4.0)
    block = Updates(np.arange(6), {"a": deltas}, {}, np.ones(6, dtype=np.int64), np.zeros(6))
    total = {"a": torch.zeros(30)}
    block.add_to(total, weights * made.factors(block.norms()))
    torch.testing.assert_close(total["a"], made(deltas, weights))
    assert (made.factors(block.norms()) < 1).any()
    lengths = (deltas * torch.from_numpy(made.factors(block.norms())).float()[:, None]).norm(dim=1)
    assert lengths.max() <= 4.0 * (1 + 1e-6)


def test_clients_that_are_not_finite_are_found_in_whole_tensors_and_in_rows():
    values = torch.zeros(3, 2, 2)
    values[2, 1, 1] = -torch.inf
    dense = torch.zeros(3, 5)
    dense[0, 2] = torch.nan
    table = TableRows(torch.tensor([[0, 1]] * 3), values, 4)
    block = Updates(np.arange(3), {"a": dense}, {"t": table}, np.ones(3, dtype=np.int64), np.zeros(3))
    assert finite(block).tolist() == [False, True, False]
    assert finite(dense).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("medain", {}, "did you mean 'median'"),
        ("median", {"share": 0.1}, "unknown option 'share'"),
        ("trimmed-mean", {}, "'share'; give it among the options"),
        ("trimmed-mean", {"share": 0.5}, r"share is 0.5; give a number in \[0, 0.5\)"),
        ("trimmed-mean", {"share": -0.1}, "share is -0.1"),
        ("krum", {}, "'attackers'; give it among the options"),
        ("krum", {"attackers": -1}, "attackers is -1"),
        ("multi-krum", {"attackers": 1.5}, "attackers is 1.5"),
        ("multi-krum", {"attackers": 1, "keep": 0}, "keep is 0"),
        ("norm-bound", {"bound": 0}, "bound is 0; give a number above 0"),
        ("norm-bound", {"bound": float("inf")}, "bound is inf"),
        ("geometric-median", {"smoothing": 0}, "smoothing is 0"),
        ("geometric-median", {"iteration": 3}, "did you mean 'iterations'"),
        ("geometric-median", {"iterations": 0}, "iterations is 0"),
    ],
)
def test_bad_options_are_refused(name, options, words):
    with pytest.raises(InputError, match=words):
        rule(name, options)


def test_the_note_names_the_pitfall():
    assert "drops or damps" in contract.NOTE
