"""The summary of a grid: cells averaged over seeds, times as ratios, correlations, and what is missing."""

import pytest
from tests.reproducing import NOISES, SEEDS, flat, promise, records, rising

from holdfast.core.evidence import Evidence
from holdfast.report.reproductions.edp_sgd import cells
from holdfast.study.reproductions.edp_sgd.summary import summarise, trimmed


@pytest.fixture(scope="module")
def rose() -> Evidence:
    return summarise(records(rising))


def test_every_cell_has_the_mean_over_its_seeds(rose: Evidence):
    found = rose.estimate("membership_auc", "dp-sgd-noise-0.5")
    assert found.value == pytest.approx(sum(rising("dp-sgd", 0.5, seed) for seed in SEEDS) / len(SEEDS))
    assert found.conditions == {"attack": "loss threshold", "method": "dp-sgd", "noise_multiplier": 0.5, "seeds": 5}
    assert {cell.subject for cell in cells(rose)} == {"non-private"} | {f"{m}-noise-{n:g}" for m in ("edp-sgd", "dp-sgd") for n in NOISES}


def test_the_interval_of_a_cell_is_never_narrower_than_that_of_one_run(rose: Evidence):
    interval = rose.estimate("membership_auc", "dp-sgd-noise-0.5").interval
    assert interval.high - interval.low > 0.04


def test_what_is_promised_is_neither_averaged_nor_given_an_interval(rose: Evidence):
    found, naive = (rose.estimate(name, "edp-sgd-noise-2") for name in ("epsilon", "epsilon_naive"))
    assert (found.value, found.interval, found.conditions["kind"]) == (promise(2.0, "edp-sgd"), None, "proved")
    assert (naive.value, naive.conditions["kind"]) == (promise(2.0, "edp-sgd") / 4, "unproved")
    assert rose.estimate("epsilon", "non-private") is None


def test_times_are_those_of_the_fastest_seed_and_multiples_of_the_time_without_privacy(rose: Evidence):
    assert rose.estimate("seconds_per_epoch", "dp-sgd-noise-1").value == pytest.approx(2 * 1.1)
    assert rose.estimate("seconds_per_epoch_ratio", "dp-sgd-noise-1").value == pytest.approx(2.0)
    assert rose.estimate("seconds_per_epoch_ratio", "non-private") is None


def test_leakage_that_rises_with_the_promise_correlates_within_and_across_methods(rose: Evidence):
    for subject in ("edp-sgd", "dp-sgd"):
        found = rose.estimate("promise_correlation", subject)
        assert (found.value, found.n, found.conditions) == (1, 20, {"levels": 4, "seeds": 5})
        assert found.interval.low > 0
    both = rose.estimate("promise_correlation", "both methods")
    assert 0 < both.value < 1, "the same noise leaks the same, and eDP-SGD promises four times less"
    assert (both.n, both.conditions["levels"]) == (40, 8)


def test_leakage_that_has_nothing_to_do_with_the_promise_gives_an_interval_that_holds_nought():
    interval = summarise(records(flat)).estimate("promise_correlation", "dp-sgd").interval
    assert interval.low < 0 < interval.high


def test_promises_that_differ_by_rounding_alone_are_ties():
    def above(method: str, noise: float, seed: int) -> float:
        return rising(method, noise, seed) + (0.1 if method == "edp-sgd" else 0.0)

    found = records(above, noises=(0.5, 1.0, 2.0, 4.0, 8.0))
    nudged = [_nudged(record) if record.settings["run"]["mechanism"] == "dp-sgd" else record for record in found]
    assert summarise(nudged).estimate("promise_correlation", "both methods").value == pytest.approx(
        summarise(found).estimate("promise_correlation", "both methods").value
    )


def _nudged(record):
    from dataclasses import replace

    def changed(estimate):
        return replace(estimate, value=estimate.value * (1 + 1e-10)) if estimate.name == "epsilon" else estimate

    return replace(record, evidence=replace(record.evidence, estimates=tuple(map(changed, record.evidence.estimates))))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (records(rising, seeds=(1,)), "at least 2 seeds"),
        (records(rising, noises=(1.0, 2.0)), "2 levels"),
        (records(lambda method, noise, seed: 0.5), "are equal"),
        (records(rising)[:-1], "not every level"),
    ],
)
def test_a_correlation_that_cannot_be_had_says_why(found: list, reason: str):
    missing = summarise(found).estimate("promise_correlation", "dp-sgd")
    assert missing.value is None
    assert reason in missing.missing


def test_one_method_alone_has_no_correlation_of_both():
    found = summarise(records(rising, methods=("none", "dp-sgd")))
    assert found.estimate("promise_correlation", "dp-sgd").value == 1
    assert found.estimate("promise_correlation", "both methods") is None


def test_the_summary_says_what_it_is_not(rose: Evidence):
    notes = " ".join(rose.notes)
    assert "their tables were not at hand, so this is no reproduction of their figures" in notes
    assert "naive epsilon of eDP-SGD is unproved" in notes
    assert "does not tell members from non-members (AUC 0.510 [0.480, 0.540])" in notes
    assert "40 promises were tested one by one, each with a chance of error of 5%" in notes
    assert "unproved" not in " ".join(summarise(records(rising, methods=("none", "dp-sgd"))).notes)


def test_a_trimmed_record_keeps_promises_and_verdicts_and_drops_curves():
    whole = records(rising)[-1]
    kept = trimmed(whole).evidence
    assert (kept.claims, kept.verdicts, kept.curves) == (whole.evidence.claims, whole.evidence.verdicts, ())
    assert kept.estimate("group_auc") is None
    assert kept.estimate("membership_auc") == whole.evidence.estimate("membership_auc")
