"""Areas by group against counting every pair, weighted and not, with ties."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from holdfast.fairness.groups.areas import AREAS, RankedScores
from holdfast.fairness.inference import Units, unit_weights


def by_pairs(high: np.ndarray, low: np.ndarray, high_weights: np.ndarray, low_weights: np.ndarray) -> float:
    """How often the first side lies above the second, ties half: each pair looked at."""
    above = total = 0.0
    for score, weight in zip(high, high_weights, strict=True):
        for other, other_weight in zip(low, low_weights, strict=True):
            above += weight * other_weight * (1.0 if score > other else 0.5 if score == other else 0.0)
            total += weight * other_weight
    return above / total if total else np.nan


def slow(scores: np.ndarray, positive: np.ndarray, member: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """The five areas of one group, as they are defined."""

    def area(high: np.ndarray, low: np.ndarray) -> float:
        return by_pairs(scores[high], scores[low], weights[high], weights[low])

    return {
        "subgroup_auc": area(member & positive, member & ~positive),
        "bpsn_auc": area(~member & positive, member & ~positive),
        "bnsp_auc": area(member & positive, ~member & ~positive),
        "positive_aeg": 0.5 - area(~member & positive, member & positive),
        "negative_aeg": 0.5 - area(~member & ~positive, member & ~positive),
    }


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_areas_agree_with_pair_counting(data):
    n, groups, weightings = data.draw(st.integers(0, 14)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    scores = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]), min_size=n, max_size=n)), dtype=float)
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    members = np.array(data.draw(st.lists(st.booleans(), min_size=n * groups, max_size=n * groups)), dtype=bool).reshape(n, groups)
    counts = data.draw(st.lists(st.integers(0, 3), min_size=n * weightings, max_size=n * weightings))
    weights = np.array(counts, dtype=float).reshape(weightings, n)
    found = RankedScores.of(scores, positive, members).areas(weights)
    for row in range(weightings):
        overall = by_pairs(scores[positive], scores[~positive], weights[row][positive], weights[row][~positive])
        assert found.overall[row] == pytest.approx(overall, abs=1e-12, nan_ok=True)
        for group in range(groups):
            for name, value in slow(scores, positive, members[:, group], weights[row]).items():
                assert found.by_group[name][row, group] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_they_are_what_other_libraries_call_auc_and_mann_whitney():
    rng = np.random.default_rng(0)
    scores, positive, member = np.round(rng.random(400), 2), rng.random(400) < 0.4, rng.random(400) < 0.3
    found = RankedScores.of(scores, positive, member[:, None]).areas()
    assert found.overall[0] == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    for name, rows in (
        ("subgroup_auc", member),
        ("bpsn_auc", (member & ~positive) | (~member & positive)),
        ("bnsp_auc", (member & positive) | (~member & ~positive)),
    ):
        assert found.by_group[name][0, 0] == pytest.approx(roc_auc_score(positive[rows], scores[rows]), abs=1e-12)
    for name, side in (("positive_aeg", positive), ("negative_aeg", ~positive)):
        u = stats.mannwhitneyu(scores[~member & side], scores[member & side]).statistic
        expected = 0.5 - u / ((~member & side).sum() * (member & side).sum())
        assert found.by_group[name][0, 0] == pytest.approx(expected, abs=1e-12)


def test_higher_scores_of_a_group_show_in_the_sign_of_its_gaps():
    rng = np.random.default_rng(1)
    positive, member = rng.random(2000) < 0.5, rng.random(2000) < 0.5
    found = RankedScores.of(positive + rng.normal(size=2000) + 0.7 * member, positive, member[:, None]).areas().by_group
    assert found["positive_aeg"][0, 0] > 0.1
    assert found["negative_aeg"][0, 0] > 0.1
    assert found["bpsn_auc"][0, 0] < found["subgroup_auc"][0, 0] < found["bnsp_auc"][0, 0]  # harmless rows of the group rank too high


def test_where_scores_know_nothing_of_the_group_all_areas_are_one():
    """Borkan's identity: subgroup, BPSN and BNSP areas equal the area of all rows where scores are independent of the group."""
    rng, found = np.random.default_rng(2), []
    for _ in range(200):
        positive, member = rng.random(300) < 0.4, rng.random(300) < 0.3
        areas = RankedScores.of(positive + rng.normal(size=300), positive, member[:, None]).areas()
        found.append([areas.overall[0], *(areas.by_group[name][0, 0] for name in AREAS)])
    away = np.array(found)[:, 1:4] - np.array(found)[:, :1]
    gaps = np.array(found)[:, 4:]
    for column in (*away.T, *gaps.T):
        assert abs(column.mean()) < 4 * column.std() / np.sqrt(200)
        assert column.std() > 0.01


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare_is_missing(n):
    found = RankedScores.of(np.zeros(n), np.ones(n, dtype=bool), np.ones((n, 2), dtype=bool)).areas()
    assert np.isnan(found.overall).all()
    assert all(np.isnan(found.by_group[name]).all() for name in AREAS)


def test_replicates_weigh_whole_units_by_whole_numbers():
    rng = np.random.default_rng(3)
    of = np.repeat(np.arange(40), 3)
    rng.shuffle(of)
    scores, positive, members = rng.random(120), rng.random(120) < 0.5, rng.random((120, 2)) < 0.5
    ranked = RankedScores.of(scores, positive, members)
    units = Units(of, 40, "users")
    drawn = ranked.replicates(units, replicates=9, generator=np.random.default_rng(7))
    weights = np.concatenate(list(unit_weights(units, replicates=9, generator=np.random.default_rng(7))))
    for row, counts in enumerate(weights):
        copied = np.repeat(np.arange(120), counts[of])  # the rows of a drawn unit, as often as it was drawn
        assert drawn.overall[row] == pytest.approx(roc_auc_score(positive[copied], scores[copied]), abs=1e-12)
        slowly = slow(scores, positive, members[:, 1], counts[of].astype(float))
        assert drawn.by_group["bpsn_auc"][row, 1] == pytest.approx(slowly["bpsn_auc"], abs=1e-12)


@pytest.mark.slow
def test_a_thousand_replicates_of_a_hundred_thousand_rows_take_seconds():
    rng, n = np.random.default_rng(4), 100_000
    ranked = RankedScores.of(rng.random(n), rng.random(n) < 0.3, np.eye(10, dtype=bool)[rng.integers(0, 10, n)])
    start = time.process_time()
    ranked.replicates(Units.rows(n), replicates=100, generator=rng)
    assert time.process_time() - start < 2  # a tenth of ten seconds, and room for a busy machine
