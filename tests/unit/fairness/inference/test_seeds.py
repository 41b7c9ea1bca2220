"""Several seeds: both sources of chance are in the replicates, in the size that a simulation gives them."""

import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.inference import hierarchical, max_t_band

STREAMS = Streams.from_seed(8)


def test_one_seed_keeps_its_replicates_and_does_not_know_what_seeds_add():
    replicates = STREAMS.generator("one").normal(size=(1, 100, 3))
    found = hierarchical([[0.1, 0.2, 0.3]], replicates, generator=STREAMS.generator("seeds"))
    assert np.array_equal(found.replicates_RG, replicates[0])
    assert np.isnan(found.from_seeds_G).all()
    assert found.seeds == 1


def test_the_two_errors_stand_apart_and_add_up():
    rng = STREAMS.generator("many")
    values = rng.normal(0, 0.3, size=(30, 2))
    units = rng.normal(0, 0.1, size=(20000, 2))
    found = hierarchical(values, values[:, None] + units, generator=STREAMS.generator("seeds"))
    assert found.values_G == pytest.approx(values.mean(0))
    assert found.from_seeds_G == pytest.approx(values.std(0, ddof=1) / math.sqrt(30))
    assert found.from_units_G == pytest.approx([0.1, 0.1], rel=0.03)
    heavy = found.from_seeds_G * math.sqrt(29 / 27)
    assert found.replicates_RG.std(0) == pytest.approx(np.hypot(heavy, 0.1), rel=0.03)


def test_two_seeds_are_as_much_in_doubt_as_student_says():
    found = hierarchical([[0.0], [0.2]], np.broadcast_to([[[0.0]], [[0.2]]], (2, 40000, 1)), generator=STREAMS.generator("two"))
    band = max_t_band(found.values_G, found.replicates_RG, level=0.9)
    assert band.high[0] - 0.1 == pytest.approx(0.1 * stats.t.isf(0.05, 1), rel=0.06)


@pytest.mark.parametrize("seeds", [3, 8])
def test_intervals_over_seeds_cover_and_those_of_one_seed_do_not(seeds: int):
    rng, both, alone = STREAMS.generator("cover", seeds), [], []
    for repeat in range(600):
        of_units, of_seeds = rng.normal(0, 0.05), rng.normal(0, 0.1, size=(seeds, 1))
        replicates = of_units + of_seeds[:, None] + rng.normal(0, 0.05, size=(400, 1))
        found = hierarchical(of_units + of_seeds, replicates, generator=STREAMS.generator("draw", seeds, repeat))
        bands = [max_t_band(found.values_G, found.replicates_RG, level=0.95)]
        bands.append(max_t_band(of_units + of_seeds[0], replicates[0], level=0.95))
        for kept, band in zip((both, alone), bands, strict=True):
            kept.append(band.low[0] <= 0 <= band.high[0])
    assert np.mean(both) == pytest.approx(0.95, abs=0.03)
    assert np.mean(alone) < 0.7


def test_shapes_that_do_not_fit_are_refused():
    for values, shape in (([[0.1]], (2, 9, 1)), ([0.1], (1, 9, 1)), (np.empty((0, 1)), (0, 9, 1)), ([[0.1]], (1, 9, 2))):
        with pytest.raises(InputError, match=r"give \(S, G\) and \(S, R, G\)"):
            hierarchical(values, np.zeros(shape), generator=STREAMS.generator("x"))
