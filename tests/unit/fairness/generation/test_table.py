import math
from itertools import permutations

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.fairness.generation.table import Quantity, group_table, permutation_p
from holdfast.fairness.inference import Inference, Units

STREAMS = Streams.from_seed(11)


def share(hits) -> Quantity:
    return Quantity.share("bad_share", hits, direction="lower is better", says="share")


def test_values_gap_and_worst_group(quick):
    hits = np.array([1, 1, 1, 0] * 25 + [1, 0, 0, 0] * 25)
    groups = np.repeat([0, 1], 100)
    table = group_table(share(hits), groups, ("a", "b"), Units.rows(200, what="prompts"), inference=quick, streams=STREAMS)
    assert table.values.tolist() == [0.75, 0.25]
    assert (table.gap.value, table.ends) == (0.5, (0, 1))
    assert 0.3 < table.gap.low < 0.5 < table.gap.high < 0.7
    assert table.gap.p_value == pytest.approx(1 / 201)
    assert (table.worst.value, table.worst.worst) == (0.75, 0)
    assert table.gap.sizes == {"a": 100, "b": 100}
    assert (table.band.low < table.values).all()
    assert (table.values < table.band.high).all()


def test_a_group_without_rows_or_denominator_or_sight_has_no_value(quick):
    quantity = Quantity(
        name="x",
        unit="share",
        direction="neither",
        above=np.array([1.0, 0, 0, 0, 1, 0] * 10),
        below=np.array([1.0, 1, 0, 0, 1, 1] * 10),
        bounds=(0, 1),
        says="",
        seen=np.array([1.0, 1, 1, 1, 0, 0] * 10),
    )
    groups = np.tile([0, 0, 1, 1, 2, 2], 10)
    table = group_table(quantity, groups, ("a", "b", "c", "d"), Units.rows(60), inference=quick, streams=STREAMS)
    assert table.values[0] == 0.5
    assert np.isnan(table.values[1:]).all()
    assert np.isnan(table.band.low[1:]).all()
    assert table.rows.tolist() == [20, 20, 20, 0]
    assert table.counted.tolist() == [0]
    assert table.gap is None
    assert table.worst is None


def test_no_rows_at_all(quick):
    table = group_table(share([]), np.zeros(0, dtype=np.int64), ("a", "b"), Units.rows(0), inference=quick, streams=STREAMS)
    assert np.isnan(table.values).all()
    assert table.gap is None


def test_gaps_are_between_the_groups_that_have_a_value(quick):
    groups = np.repeat([0, 2], 50)
    table = group_table(share(np.tile([1, 0], 50)), groups, ("a", "none", "c"), Units.rows(100), inference=quick, streams=STREAMS)
    assert table.counted.tolist() == [0, 2]
    assert table.gap.value == 0
    assert table.gap.low == 0
    assert table.gap.p_value > 0.5
    assert set(table.gap.sizes) == {"a", "c"}


def test_units_are_resampled_whole(quick):
    """Ten copies of each text must not make intervals narrower."""
    hits, groups = np.tile([1, 0, 0, 1, 1], 16), np.repeat([0, 1], 40)
    few = group_table(share(hits), groups, ("a", "b"), Units.rows(80), inference=quick, streams=STREAMS)
    units = Units(np.repeat(np.arange(80), 10), 80, "prompts")
    many = group_table(share(np.repeat(hits, 10)), np.repeat(groups, 10), ("a", "b"), units, inference=quick, streams=STREAMS)
    naive = group_table(share(np.repeat(hits, 10)), np.repeat(groups, 10), ("a", "b"), Units.rows(800), inference=quick, streams=STREAMS)
    width = [float((table.band.high - table.band.low)[0]) for table in (few, many, naive)]
    assert width[1] == pytest.approx(width[0], rel=0.25)
    assert width[2] < width[1] / 2


def slow_p(sums, groups, count):
    """Every way to deal the units out."""

    def statistic(order):
        overall = sums[:, 0].sum() / sums[:, 1].sum()
        found = 0.0
        for group in range(count):
            above, below = sums[np.array(order)][groups == group].sum(0)
            found += below * (above / below - overall) ** 2 if below else 0
        return found

    seen = statistic(range(len(sums)))
    every = [statistic(order) for order in permutations(range(len(sums)))]
    return float(np.mean([value >= seen - 1e-12 for value in every]))


@pytest.mark.parametrize("kind", ["shares", "means", "clusters", "with units that count nowhere"])
def test_the_permutation_test_agrees_with_all_permutations(kind):
    draw = np.random.Generator(np.random.PCG64(5))
    groups = np.array([0, 0, 0, 1, 1, 2, 2])
    below = np.ones(7) if kind in ("shares", "means") else draw.integers(1, 4, 7).astype(float)
    above = draw.random(7) * below if kind == "means" else np.floor(draw.random(7) * (below + 1))
    sums = np.stack([above, below], axis=1)
    inference = Inference(permutations=20_000)
    p = permutation_p(sums, groups, 3, inference=inference, generator=STREAMS.generator(kind))
    if kind == "with units that count nowhere":
        padded = np.concatenate([sums, np.zeros((5, 2))])
        p = permutation_p(padded, np.concatenate([groups, [0, 0, 1, 1, 2]]), 3, inference=inference, generator=STREAMS.generator(kind))
    assert p == pytest.approx(slow_p(sums, groups, 3), abs=0.015)


def test_a_p_value_is_never_0_and_is_1_where_all_are_alike(quick):
    ones = np.ones((10, 2))
    groups = np.repeat([0, 1], 5)
    assert permutation_p(ones, groups, 2, inference=quick, generator=STREAMS.generator("ones")) == 1
    apart = np.stack([np.repeat([0.0, 1.0], 500), np.ones(1000)], axis=1)
    p = permutation_p(apart, np.repeat([0, 1], 500), 2, inference=quick, generator=STREAMS.generator("apart"))
    assert p == pytest.approx(1 / 201)


def test_a_seed_gives_one_result(quick):
    hits, groups = np.tile([1, 0, 0], 30), np.repeat([0, 1, 2], 30)
    tables = [group_table(share(hits), groups, ("a", "b", "c"), Units.rows(90), inference=quick, streams=STREAMS) for _ in range(2)]
    assert np.array_equal(tables[0].band.low, tables[1].band.low)
    assert tables[0].gap == tables[1].gap
    assert not math.isnan(tables[0].gap.value)
