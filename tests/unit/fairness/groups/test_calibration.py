"""Calibration by group: bins against loops, the correction for noise, both errors as evidence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.groups import Calibration
from holdfast.fairness.groups.calibration import _folded_mean, binned_calibration
from holdfast.fairness.inference import Units
from holdfast.fairness.predictions import Groups, Predictions


class TestBins:
    def test_by_hand(self):
        found = binned_calibration(np.array([0.1, 0.2, 0.7, 0.9]), np.array([False, True, True, True]), bins=2)
        assert found.counts_B.tolist() == [2, 2]
        assert found.gaps_B == pytest.approx([0.15 - 0.5, 0.8 - 1.0])
        assert found.plug_in == pytest.approx(0.5 * 0.35 + 0.5 * 0.2)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 10_000))
    def test_bins_hold_equal_mass_and_keep_ties_together(self, n, bins, seed):
        rng = np.random.default_rng(seed)
        scores = np.round(rng.random(n), rng.integers(1, 4))
        found = binned_calibration(scores, rng.random(n) < scores, bins=bins)
        assert 1 <= len(found.counts_B) <= min(bins, n)
        assert found.counts_B.sum() == n
        for value in np.unique(scores):
            assert len(set(found.bin_of[scores == value])) == 1
        order = np.argsort(scores, kind="stable")
        assert np.all(np.diff(found.bin_of[order]) >= 0)
        if len(np.unique(scores)) == n:
            assert found.counts_B.max() - found.counts_B.min() <= 1

    def test_the_error_agrees_with_a_loop(self):
        rng = np.random.default_rng(0)
        scores = rng.random(500)
        positive = rng.random(500) < scores**2
        found, total = binned_calibration(scores, positive, bins=10), 0.0
        for rows in np.array_split(np.argsort(scores), 10):
            total += len(rows) / 500 * abs(scores[rows].mean() - positive[rows].mean())
        assert found.plug_in == pytest.approx(total, abs=1e-12)

    def test_perfect_and_hopeless_scores(self):
        truth = np.arange(40) % 2 == 0
        assert binned_calibration(truth.astype(float), truth, bins=5).plug_in == 0
        assert binned_calibration(1.0 - truth, truth, bins=5).plug_in == 1

    def test_the_correction_takes_noise_away(self):
        rng, plain, corrected = np.random.default_rng(1), [], []
        for _ in range(300):
            scores = rng.random(200)
            found = binned_calibration(scores, rng.random(200) < scores, bins=10)
            plain.append(found.plug_in)
            corrected.append(found.corrected)
        assert np.mean(plain) > 0.06  # truly 0
        assert np.mean(corrected) < 0.6 * np.mean(plain)
        assert min(corrected) >= 0

    @pytest.mark.parametrize(("centre", "deviation"), [(0.0, 1.0), (0.3, 0.2), (-2.0, 0.5), (0.1, 3.0)])
    def test_the_mean_of_a_folded_normal(self, centre, deviation):
        expected, _ = integrate.quad(lambda x: abs(x) * stats.norm.pdf(x, centre, deviation), -60, 60, limit=200, points=[0, centre])
        assert _folded_mean(np.array([centre]), np.array([deviation]))[0] == pytest.approx(expected, rel=1e-6)

    def test_without_noise_the_folded_mean_is_the_absolute_value(self):
        assert _folded_mean(np.array([-0.4, 0.0]), np.array([0.0, 0.0])).tolist() == [0.4, 0.0]


def shifted(n: int = 4000, *, shift: float = 0.2, seed: int = 0) -> Predictions:
    """Scores that are right for the first group and too high by `shift` for the second."""
    rng = np.random.default_rng(seed)
    second = np.arange(n) % 2 == 1
    chance = rng.random(n) * 0.7
    truth = rng.random(n) < chance
    score = chance + shift * second
    members = np.stack([~second, second], axis=1)
    return Predictions(
        truth.astype(np.int64), (score > 0.5).astype(np.int64), ("no", "yes"), Groups("g", ("right", "high"), members),
        Units.rows(n), np.stack([1 - score, score], axis=1), ("yes",),
    )  # fmt: skip


class TestEvidence:
    def test_scores_too_high_for_one_group_are_found(self, quick, find):
        evidence = Calibration().measure(shifted(), subject="run", inference=quick)
        large = find(evidence, "calibration_in_the_large_difference", statistic="difference")
        assert large.value == pytest.approx(0.2, abs=0.04)
        assert large.interval.low > 0.1
        assert large.conditions["worst"] == "high"
        assert find(evidence, "calibration_in_the_large", group="high").value == pytest.approx(0.2, abs=0.03)
        assert find(evidence, "calibration_in_the_large", group="right").interval.low < 0 < find(
            evidence, "calibration_in_the_large", group="right"
        ).interval.high  # fmt: skip
        for variant in ("plug-in", "bias-corrected"):
            worst = find(evidence, "calibration_error", statistic="worst group", variant=variant)
            assert worst.conditions["worst"] == "high"
            assert worst.value == find(evidence, "calibration_error", group="high", variant=variant).value
            assert worst.value == pytest.approx(0.2, abs=0.03)
            assert worst.interval.low > 0.1
        assert find(evidence, "calibration_error", group="right").conditions["p_value"] > 0.01
        assert find(evidence, "calibration_error", group="high").conditions["p_value"] < 0.01
        assert Evidence.from_json(evidence.to_json()) == evidence

    def test_bins_are_told_and_fewer_for_a_small_group(self, random_predictions, quick, find):
        given = random_predictions(100, positive=("c0",))
        evidence = Calibration(bins=4).measure(given, subject="run", inference=quick)
        for name, size in zip(given.groups.names, given.groups.sizes, strict=True):
            assert find(evidence, "calibration_error", group=name).conditions["bins"] == min(4, size // 10)

    def test_every_class_is_looked_at(self, random_predictions, quick, find):
        evidence = Calibration().measure(random_predictions(), subject="run", inference=quick)
        rows = [e for e in evidence.estimates if e.name == "calibration_error" and "group" in e.conditions]
        assert len(rows) == 2 * 3 * 3
        worst = find(evidence, "calibration_error", statistic="worst group", classes="worst", variant="plug-in")
        assert worst.value == max(row.value for row in rows if row.conditions["variant"] == "plug-in")

    def test_empty_groups_and_single_rows_stay_visible(self, random_predictions, quick, find):
        given = random_predictions(90, positive=("c0",), groups=4)
        members = given.groups.members
        members[:, 0] |= members[:, 2] | members[:, 3]
        members[:, 2:] = False
        members[0] = [False, False, True, False]
        evidence = Calibration().measure(given, subject="run", inference=quick)
        empty, lone = (find(evidence, "calibration_error", group=name) for name in ("g3", "g2"))
        assert empty.value is None
        assert empty.missing == "no row belongs to group 'g3'"
        assert lone.value is not None
        assert lone.interval is None
        worst = [e for e in evidence.estimates if e.conditions.get("statistic") == "worst group" and e.conditions["variant"] == "plug-in"]
        assert worst[0].value is None
        assert worst[1].value is not None
        assert "g3" in worst[1].conditions["left out"]
        large = [e for e in evidence.estimates if e.name == "calibration_in_the_large_difference"]
        assert large[0].value is None
        assert large[1].value is not None

    def test_refusals(self, counted, random_predictions, quick):
        with pytest.raises(InputError, match="calibration: it looks at scores"):
            Calibration().measure(counted(), subject="run", inference=quick)
        with pytest.raises(InputError, match=r"calibration: .* belong to more than one group"):
            Calibration().measure(random_predictions(overlapping=True), subject="run", inference=quick)
        for bins in (0, 2.5):
            with pytest.raises(InputError, match="bins"):
                Calibration(bins=bins)
