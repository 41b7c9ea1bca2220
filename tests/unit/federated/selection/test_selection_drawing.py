"""Draws against slow twins that read the same random numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.randomness import Streams
from holdfast.federated.selection import drawing
from holdfast.federated.selection.drawing import Stratum, addressed, draw
from holdfast.federated.selection.levels import Levels

RANDOM = addressed(Streams.from_seed(3), "selection", 0)


def drawn(counts: np.ndarray, size: float, sampling: str = "without replacement", tau: float = 1.0, random=RANDOM):
    levels = Levels.of(counts)
    return draw(counts, levels, [Stratum(tau * np.log(levels.counts), size)], sampling=sampling, random=random)


def gumbel_top_k(counts: np.ndarray, size: int, tau: float, random) -> list[int]:
    """The slow twin: a Gumbel number for every client, added to its log weight, and all of them sorted."""
    gumbel = -np.log(random().standard_exponential(len(counts)))
    with np.errstate(divide="ignore"):
        keys = np.where(counts > 0, tau * np.log(np.maximum(counts, 1)), -np.inf) + gumbel
    return sorted(np.argsort(-keys, kind="stable")[: min(size, (counts > 0).sum())].tolist())


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 60), max_size=80),
    size=st.integers(1, 90),
    tau=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 8.0]),
    seed=st.integers(0, 2**20),
)
def test_without_replacement_is_gumbel_top_k(counts, size, tau, seed):
    counts, random = np.array(counts, dtype=np.int64), addressed(Streams(seed), "selection", 1)
    cohort = drawn(counts, size, tau=tau, random=random)
    assert cohort.clients.tolist() == gumbel_top_k(counts, size, tau, random)
    assert len(cohort) == min(size, (counts > 0).sum())
    assert (counts[cohort.clients] > 0).all()


@pytest.mark.parametrize("size", [10, 400])
def test_large_populations_where_most_clocks_are_never_looked_at(size):
    counts = np.minimum(np.random.default_rng(0).zipf(1.5, 200_000), 10_000)
    assert drawn(counts, size).clients.tolist() == gumbel_top_k(counts, size, 1.0, RANDOM)


def test_a_time_that_was_too_early_is_doubled(monkeypatch):
    counts = np.minimum(np.random.default_rng(0).zipf(1.5, 20_000), 1000)
    wanted = drawn(counts, 50).clients
    seen, limits = [], drawing._limits

    def too_early(levels, stratum, slack):
        seen.append(slack)
        return limits(levels, stratum, slack) * (0.1 if len(seen) < 3 else 1)

    monkeypatch.setattr(drawing, "_limits", too_early)
    assert drawn(counts, 50).clients.tolist() == wanted.tolist()
    assert seen == [1, 2, 4]


@pytest.mark.parametrize("sampling", ["without replacement", "with replacement", "poisson"])
def test_the_size_of_the_blocks_changes_nothing(monkeypatch, sampling):
    counts = np.random.default_rng(0).integers(0, 9, 3000)
    whole = drawn(counts, 40, sampling)
    monkeypatch.setattr(drawing, "BLOCK", 7)
    blocks = drawn(counts, 40, sampling)
    assert blocks.clients.tolist() == whole.clients.tolist()
    assert blocks.inclusion.tolist() == whole.inclusion.tolist()


def test_with_replacement_is_the_inverse_of_running_sums():
    counts = np.array([0, 2, 0, 5, 1, 0])
    cohort = drawn(counts, 500, "with replacement")
    points = RANDOM().random(500) * 8
    assert cohort.clients.tolist() == sorted(1 if p < 2 else 3 if p < 7 else 4 for p in points)
    assert set(cohort.clients.tolist()) == {1, 3, 4}
    np.testing.assert_allclose(cohort.inclusion[[0, -1]], [500 * 2 / 8, 500 / 8])


def test_a_point_at_the_very_end_is_the_last_client_with_weight():
    class AtTheEnd:
        def random(self, size):
            return np.full(size, np.nextafter(1, 0))

    counts = np.array([3, 1, 0, 0])
    assert drawn(counts, 4, "with replacement", random=AtTheEnd).clients.tolist() == [1, 1, 1, 1]


def test_a_point_at_the_very_beginning_is_the_first_client_with_weight():
    class AtTheBeginning:
        def random(self, size):
            return np.zeros(size)

    counts = np.array([0, 0, 3, 1])
    assert drawn(counts, 4, "with replacement", random=AtTheBeginning).clients.tolist() == [2, 2, 2, 2]


def test_poisson_takes_whoever_is_below_its_probability():
    counts = np.array([1, 0, 5, 30, 2, 2])
    cohort = drawn(counts, 2, "poisson")
    chance = np.array([1 / 10, 0, 5 / 10, 1, 2 / 10, 2 / 10])
    assert cohort.clients.tolist() == np.flatnonzero(RANDOM().random(6) < chance).tolist()
    np.testing.assert_allclose(cohort.inclusion, chance[cohort.clients])


def test_a_poisson_cohort_may_be_empty_and_says_so():
    counts = np.ones(50, dtype=np.int64)
    sizes = [len(drawn(counts, 1, "poisson", random=addressed(Streams(0), "selection", round))) for round in range(40)]
    assert 0 in sizes
    assert max(sizes) > 1


@pytest.mark.parametrize("sampling", ["without replacement", "with replacement", "poisson"])
@pytest.mark.parametrize("counts", [[], [0, 0, 0]])
def test_where_nobody_can_be_drawn_the_cohort_is_empty(sampling, counts):
    cohort = drawn(np.array(counts, dtype=np.int64), 3, sampling)
    assert (len(cohort), cohort.never, cohort.inclusion.dtype) == (0, 0, np.float64)


@pytest.mark.parametrize("sampling", ["without replacement", "with replacement", "poisson"])
def test_strata_have_places_of_their_own(sampling):
    counts = np.repeat([1, 2, 3], 20)
    levels = Levels.of(counts)
    inside = [np.where(levels.counts == count, 0.0, -np.inf) for count in (1, 2)]
    strata = [Stratum(inside[0], 4), Stratum(inside[1], 6)]
    cohort = draw(counts, levels, strata, sampling=sampling, random=RANDOM)
    assert set(counts[cohort.clients]) <= {1, 2}
    assert cohort.never == 20
    assert {round(value, 12) for value in cohort.inclusion} <= {4 / 20, 6 / 20}
    if sampling != "poisson":
        assert np.bincount(counts[cohort.clients], minlength=3).tolist() == [0, 4, 6]


def test_the_clock_of_a_client_does_not_depend_on_the_others():
    """Who is drawn anyway stays drawn when a client that was not drawn goes away."""
    counts = np.random.default_rng(0).integers(1, 9, 300)
    first = drawn(counts, 30).clients
    without = counts.copy()
    without[np.setdiff1d(np.arange(300), first)[::2]] = 0
    assert drawn(without, 30).clients.tolist() == first.tolist()
