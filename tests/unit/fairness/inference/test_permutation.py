"""Permutation tests against lists of all permutations, and what they refuse."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.inference import Inference, Units, group_label_test, partition_test, rate_label_test, sign_flip_test
from holdfast.fairness.inference.permutation import _kinds, _null_hits

MANY = Inference(permutations=20_000, exact_up_to=0)


def generator(counter: int = 0) -> np.random.Generator:
    return Streams.from_seed(3).generator("permutation", counter)


def listed(scores: np.ndarray, size: int) -> np.ndarray:
    return np.array([scores[list(chosen)].sum() for chosen in itertools.combinations(range(len(scores)), size)])


def tail(sums: np.ndarray, seen: float, alternative: str) -> float:
    centre = sums.mean()
    extreme = {
        "greater": sums >= seen - 1e-9,
        "less": sums <= seen + 1e-9,
        "two-sided": np.abs(sums - centre) >= abs(seen - centre) - 1e-9,
    }
    return float(extreme[alternative].mean())


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
@pytest.mark.parametrize(("n", "size"), [(2, 1), (7, 3), (10, 5), (9, 8), (11, 2)])
@pytest.mark.parametrize("rounded", [False, True])
def test_exact_counts_equal_the_list_of_all_partitions(n, size, alternative, rounded):
    scores = generator(n).normal(size=n)
    scores = np.round(scores) if rounded else scores  # with many ties
    first = np.arange(n) < size
    found = partition_test(scores, first, inference=Inference(), generator=generator(), alternative=alternative)
    assert found.p_value == pytest.approx(tail(listed(scores, size), scores[first].sum(), alternative), abs=1e-12)
    assert (found.partitions, found.exact) == (math.comb(n, size), True)


def test_the_extreme_partition_of_two_times_eight_words_has_a_p_of_1_in_12870():
    scores = np.arange(16.0)
    found = partition_test(scores, scores >= 8, inference=Inference(), generator=generator())
    assert found == (1 / 12870, 12870, True)
    assert found.test == "exact permutation, 12870 partitions"
    both = partition_test(scores, scores < 8, inference=Inference(), generator=generator(), alternative="two-sided")
    assert both.p_value == 2 / 12870  # and not 1, as where the sign of what was seen is forgotten


def test_drawn_partitions_agree_with_the_count_also_across_several_tables():
    scores = generator(1).normal(size=40)
    first = np.isin(np.arange(40), np.argsort(scores)[8:28])
    exact = partition_test(scores, first, inference=MANY, generator=generator(), exact=True)
    assert (exact.partitions, exact.exact) == (math.comb(40, 20), True)
    for alternative in ("greater", "less", "two-sided"):
        counted = partition_test(scores, first, inference=MANY, generator=generator(), exact=True, alternative=alternative)
        drawn = partition_test(scores, first, inference=MANY, generator=generator(2), alternative=alternative)
        assert (drawn.partitions, drawn.exact) == (20_000, False)
        assert drawn.p_value == pytest.approx(counted.p_value, abs=4 * math.sqrt(counted.p_value * (1 - counted.p_value) / 20_000) + 1e-4)


def test_a_drawn_p_value_is_never_0_and_its_words_are_drawn_without_replacement():
    scores = np.r_[np.full(30, 1.0), np.zeros(30)]
    first = scores > 0
    found = partition_test(scores, first, inference=MANY, generator=generator())
    assert found.p_value == 1 / 20_001
    few = partition_test(np.r_[100.0, np.zeros(59)], np.arange(60) < 30, inference=MANY, generator=generator())
    assert few.p_value == pytest.approx(0.5, abs=0.02)  # the one word is in the first half, once, in every second partition


def test_one_address_gives_one_p_value():
    scores = generator(4).normal(size=50)
    draws = [partition_test(scores, np.arange(50) < 25, inference=MANY, generator=generator(c)).p_value for c in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    ("scores", "first", "exact", "match"),
    [
        ([1.0, math.nan], [True, False], None, "finite"),
        ([1.0, 2.0], [True, True], None, "some in and some out"),
        ([1.0, 2.0, 3.0], [True, False], None, r"give \(n,\)"),
        (np.arange(50.0), np.arange(50) < 25, True, "at most 44"),
    ],
)
def test_what_cannot_be_partitioned_is_refused(scores, first, exact, match):
    with pytest.raises(InputError, match=match):
        partition_test(scores, first, inference=MANY, generator=generator(), exact=exact)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_sign_flips_equal_the_list_of_all_signs_and_draws_agree(alternative):
    differences = np.round(generator(5).normal(0.4, 1, size=14), 1)
    signs = np.array(list(itertools.product((-1, 1), repeat=14)))
    sums, seen = signs @ differences, differences.sum()
    wanted = tail(sums, seen, alternative)
    assert sign_flip_test(differences, inference=Inference(), generator=generator(), alternative=alternative) == pytest.approx(wanted)
    drawn = sign_flip_test(differences, inference=MANY, generator=generator(), alternative=alternative)
    assert drawn == pytest.approx(wanted, abs=0.015)


def test_sign_flips_at_their_edges():
    def flip(differences, **given):
        return sign_flip_test(differences, inference=Inference(**given), generator=generator())

    assert flip([0.0, 0.0]) == 1.0
    assert math.isnan(flip([]))
    assert flip([1.0] * 6) == 2 / 64
    assert flip([1.0] * 6 + [0.0] * 80) == 2 / 64  # zeros do not make it random
    assert flip(np.ones(100), permutations=999) == 1 / 1000
    with pytest.raises(InputError, match="not all finite"):
        flip([1.0, math.inf])


def gap(hits: np.ndarray):
    """The slow twin: each pair of groups by itself."""

    def statistic(members: np.ndarray) -> float:
        sizes = members.sum(0)
        rates = (hits.astype(float) @ members) / sizes
        pairs = itertools.combinations(range(len(sizes)), 2)
        return max(float(abs(rates[i] - rates[j]) / math.sqrt(1 / sizes[i] + 1 / sizes[j])) for i, j in pairs)

    return statistic


def designs() -> dict[str, tuple[np.ndarray, Units]]:
    eye, row = np.eye(3, dtype=bool), np.arange(120)
    overlapping = eye[row % 3]
    overlapping[::4, 0] = True
    return {
        "single rows": (eye[row % 3], Units.rows(120)),
        "rows in two groups": (overlapping, Units.rows(120)),
        "whole units": (eye[(row // 6) % 3], Units(row // 6, 20, "users")),
        "within units": (eye[row % 3], Units(row // 6, 20, "templates")),
        "uneven whole units": (
            eye[np.repeat(np.arange(20), np.r_[np.full(19, 3), 63]) % 3],
            Units.named([str(unit) for unit in np.repeat(np.arange(20), np.r_[np.full(19, 3), 63])], what="users"),
        ),
    }


@pytest.mark.parametrize("design", designs())
def test_the_fast_rate_test_agrees_with_labels_permuted_one_by_one(design):
    members, units = designs()[design]
    hits = generator(6).random(120) < np.where(members[:, 0], 0.6, 0.4)
    slow = group_label_test(gap(hits), members, units, inference=Inference(permutations=4000), generator=generator())
    fast = rate_label_test(hits, members, units, inference=Inference(permutations=20_000), generator=generator())
    assert 0.001 < slow < 0.999
    assert fast == pytest.approx(slow, abs=0.035)


def test_two_groups_of_single_rows_have_the_p_value_of_the_plain_difference():
    """All permutations are tables of fixed margins: Fisher's, by the distance of the two rates."""
    members, hits = np.eye(2, dtype=bool)[np.r_[np.zeros(30, int), np.ones(10, int)]], np.r_[np.arange(30) < 20, np.arange(10) < 3]
    first = np.arange(13, 24)  # hits of the first group, of 23 in all
    away = np.abs(first / 30 - (23 - first) / 10)
    wanted = stats.hypergeom.pmf(first, 40, 23, 30)[away >= abs(20 / 30 - 3 / 10) - 1e-12].sum()
    found = rate_label_test(hits, members, Units.rows(40), inference=Inference(permutations=100_000), generator=generator())
    assert found == pytest.approx(wanted, abs=0.004)


def test_a_handful_of_rows_does_not_hide_what_many_show():
    """200 rows in each of two groups differ by .2; the third has 4 rows, whose rate is anything under permuted labels."""
    members = np.eye(3, dtype=bool)[np.repeat([0, 1, 2], [200, 200, 4])]
    hits = np.r_[np.arange(200) < 120, np.arange(200) < 80, np.arange(4) < 2]
    given = {"inference": Inference(permutations=9999), "generator": generator()}
    assert rate_label_test(hits, members, Units.rows(404), **given) < 0.001
    above = _null_hits(hits, members, Units.rows(404), 9999, generator())[0]
    assert np.mean(np.ptp(above / [200, 200, 4], axis=1) >= 0.2) > 0.5  # the plain difference sees nothing


def test_units_exchange_labels_whole_or_within_themselves():
    for design, (members, units) in designs().items():
        seen = []
        group_label_test(
            lambda m, kept=seen: kept.append(m) or 0.0, members, units, inference=Inference(permutations=100), generator=generator()
        )
        for permuted in seen[1:]:
            if design == "within units":
                sums = [np.add.reduceat(m, np.arange(0, 120, 6)).tolist() for m in (members.astype(int), permuted.astype(int))]
                assert sums[0] == sums[1]
            elif "whole" in design:
                assert all(len(np.unique(permuted[units.of == unit], axis=0)) == 1 for unit in range(units.count))
            else:
                assert permuted.sum(0).tolist() == members.sum(0).tolist()
        assert any((permuted != members).any() for permuted in seen[1:])


def test_rows_that_do_not_count_exchange_nothing():
    members = np.eye(2, dtype=bool)[np.r_[np.zeros(30, int), np.ones(30, int), np.zeros(500, int)]]
    hits = np.r_[np.ones(15), np.zeros(15), np.ones(15), np.zeros(15), np.zeros(500)].astype(bool)
    counted = np.arange(560) < 60
    inside = rate_label_test(hits, members, Units.rows(560), inference=Inference(), generator=generator(), counted_n=counted)
    assert inside == 1.0  # the rates are equal among those that count
    assert rate_label_test(hits, members, Units.rows(560), inference=Inference(), generator=generator()) < 0.001


def test_an_undefined_statistic_has_no_p_value_and_undefined_permutations_count_as_extreme():
    members, units = np.eye(2, dtype=bool)[np.arange(20) % 2], Units.rows(20)
    given = {"inference": Inference(permutations=100), "generator": generator()}
    assert math.isnan(group_label_test(lambda m: math.nan, members, units, **given))
    answers = iter([1.0] + [math.nan] * 100)
    assert group_label_test(lambda m: next(answers), members, units, **given) == 1.0
    empty = np.c_[members, np.zeros(20, dtype=bool)]
    assert math.isnan(rate_label_test(np.ones(20, dtype=bool), empty, units, **given))
    with pytest.raises(InputError, match="20 rows"):
        group_label_test(lambda m: 0.0, members[:5], units, **given)


@pytest.mark.parametrize("groups", [1, 3, 62, 63])
def test_memberships_are_told_apart_as_by_whole_rows(groups):
    members = np.random.default_rng(groups).random((200, groups)) < 0.3
    members[100:] = members[:100]
    kinds, of = _kinds(members)
    slow_kinds, slow_of = np.unique(members, axis=0, return_inverse=True)
    assert (kinds == slow_kinds).all()
    assert (of == slow_of.reshape(-1)).all()
