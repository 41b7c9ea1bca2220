"""Replicates: whole units are drawn, ratios move together, and nothing that cannot be told gets a spread."""

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.inference import Units, ratio_replicates, unit_weights
from holdfast.fairness.inference.bootstrap import BLOCK


def generator(counter: int = 0) -> np.random.Generator:
    return Streams.from_seed(5).generator("bootstrap", counter)


def rates(members, hits, units, *, replicates=4000, counter=0, pseudo=4.0):
    members = np.asarray(members, dtype=bool)
    above = members & np.asarray(hits, dtype=bool)[:, None]
    return ratio_replicates(above, members, units, replicates=replicates, generator=generator(counter), pseudo=pseudo)


def test_unit_weights_count_as_many_draws_as_there_are_units_in_every_block():
    units = Units(np.arange(BLOCK // 4) % 1000, BLOCK // 4, "users")
    blocks = list(unit_weights(units, replicates=9, generator=generator()))
    assert [len(block) for block in blocks] == [4, 4, 1]
    assert all((block.sum(1) == units.count).all() for block in blocks)


def test_unit_weights_have_the_moments_of_draws_with_replacement():
    (weights,) = unit_weights(Units.rows(50), replicates=4000, generator=generator())
    assert weights.mean(0) == pytest.approx(np.ones(50), abs=0.06)
    assert weights.var() == pytest.approx(1 - 1 / 50, rel=0.02)
    assert np.cov(weights[:, 0], weights[:, 1])[0, 1] == pytest.approx(-1 / 50, abs=0.04)


@pytest.mark.parametrize(("units", "replicates"), [(Units.rows(0), 5), (Units.rows(5), 0)])
def test_no_unit_or_no_replicate_is_refused(units: Units, replicates: int):
    with pytest.raises(InputError, match="give at least one of each"):
        list(unit_weights(units, replicates=replicates, generator=generator()))
    ones = np.ones((len(units), 1))
    with pytest.raises(InputError, match="give at least one of each"):
        ratio_replicates(ones, ones, units, replicates=replicates, generator=generator())


def test_a_share_of_single_rows_has_the_law_of_the_smoothed_share():
    hits = np.arange(40) < 12
    found = rates(np.ones((40, 1)), hits, Units.rows(40), replicates=20000)[:, 0]
    share = 14 / 44
    assert found.mean() == pytest.approx(share, abs=0.002)
    assert found.std() == pytest.approx(np.sqrt(share * (1 - share) / 45), rel=0.02)  # Beta(14, 30)
    plain = rates(np.ones((40, 1)), hits, Units.rows(40), replicates=20000, pseudo=0.0)[:, 0]
    assert plain.mean() == pytest.approx(0.3, abs=0.002)


def test_no_hit_at_all_still_has_a_spread_and_the_plain_bootstrap_has_none():
    nothing = np.zeros(20, dtype=bool)
    assert rates(np.ones((20, 1)), nothing, Units.rows(20)).std() > 0.04
    assert rates(np.ones((20, 1)), nothing, Units.rows(20), pseudo=0.0).std() == 0


def test_several_alike_groups_are_drawn_to_their_pooled_share_and_groups_apart_are_not():
    groups = np.repeat(np.eye(10, dtype=bool), 50, axis=0)
    place = np.tile(np.arange(50), 10)
    alike = rates(groups, place < 10, Units.rows(500))
    assert alike.mean(0) == pytest.approx(np.full(10, (10 + 2 + 3.88 * 0.204) / 57.88), abs=0.004)
    hits = np.where(np.repeat(np.arange(10), 50) < 5, place < 2, place < 48)
    apart = rates(groups, hits, Units.rows(500))
    assert apart.mean(0)[[0, 9]] == pytest.approx([4 / 54, 50 / 54], abs=0.008)


def test_rows_in_two_groups_move_both():
    members = np.zeros((300, 3), dtype=bool)
    members[:200, 0], members[:200, 1], members[200:, 2] = True, True, True
    found = rates(members, np.arange(300) % 3 == 0, Units.rows(300))
    correlation = np.corrcoef(found.T)
    assert correlation[0, 1] > 0.9
    assert abs(correlation[0, 2]) < 0.06


def test_many_rows_of_few_kinds_agree_with_rows_weighed_one_by_one():
    """The fast path against its slow twin: real numbers next to it keep rows apart."""
    rng = generator(1)
    members = np.eye(2, dtype=bool)[rng.integers(0, 2, 400)]
    hits = rng.random(400) < 0.4
    fast = rates(members, hits, Units.rows(400))
    above = np.column_stack([members & hits[:, None], rng.normal(size=400)])
    below = np.column_stack([members, np.ones(400)])
    slow = ratio_replicates(above, below, Units.rows(400), replicates=4000, generator=generator(2))
    assert slow[:, :2].mean(0) == pytest.approx(fast.mean(0), abs=0.003)
    assert slow[:, :2].std(0) == pytest.approx(fast.std(0), rel=0.06)


def test_a_mean_has_the_standard_error_of_the_textbook():
    scores = generator(3).normal(size=(60, 1))
    found = ratio_replicates(scores, np.ones((60, 1)), Units.rows(60), replicates=20000, generator=generator())[:, 0]
    wider = np.sqrt(59 / 57)  # Student's t with 59 degrees has that spread
    assert found.mean() == pytest.approx(scores.mean(), abs=0.004)
    assert found.std() == pytest.approx(scores.std(ddof=1) / np.sqrt(60) * wider, rel=0.02)


def test_rows_of_a_unit_that_agree_widen_the_spread_by_the_root_of_their_number():
    of = np.repeat(np.arange(100), 9)
    hits = (np.arange(100) % 2 == 0)[of]
    together = rates(np.ones((900, 1)), hits, Units(of, 100, "users")).std()
    apart = rates(np.ones((900, 1)), hits, Units.rows(900)).std()
    assert together / apart == pytest.approx(3.0, rel=0.06)


def test_what_cannot_be_told_is_nan_and_stays_in_its_place():
    members = np.zeros((10, 3), dtype=bool)
    members[:9, 0], members[9, 1] = True, True
    shares = rates(members, np.arange(10) % 2 == 0, Units.rows(10))
    assert np.isnan(shares).all(0).tolist() == [False, False, True]
    assert ((shares[:, :2] >= 0) & (shares[:, :2] <= 1)).all()
    scores = np.where(members, np.arange(10)[:, None], 0) + 0.5 * members
    means = ratio_replicates(scores, members, Units.rows(10), replicates=100, generator=generator())
    assert np.isnan(means).all(0).tolist() == [False, True, True]


def test_one_address_of_the_streams_gives_one_result_and_another_gives_another():
    members, hits = np.ones((30, 1)), np.arange(30) < 9
    first, again, other = (rates(members, hits, Units.rows(30), replicates=20, counter=c) for c in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shapes_that_do_not_fit_and_pseudo_rows_below_0_are_refused():
    with pytest.raises(InputError, match=r"give \(n, G\) twice"):
        ratio_replicates(np.ones((4, 2)), np.ones((4, 1)), Units.rows(4), replicates=5, generator=generator())
    with pytest.raises(InputError, match="-1 pseudo-rows"):
        rates(np.ones((4, 1)), np.ones(4), Units.rows(4), pseudo=-1)
