"""The summary of client selection: known gains from records that are given, with Student's intervals over pairs of one seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from holdfast.core.evidence import Curve, Estimate, Evidence
from holdfast.runs import RunRecord
from holdfast.study.reproductions.client_selection import summarise, trimmed

SHIFTS = (0.00, 0.10, -0.05, 0.02, 0.30)  # of seeds: much larger than any gain below
ACCURACY = ("accuracy", "share", "higher is better")
PERPLEXITY = ("perplexity", "words", "lower is better")
ROUNDS = (0.0, 10.0, 20.0, 30.0)


def record(
    strategy: str,
    seed: int,
    score: float | None,
    *,
    weighting: str = "examples",
    schedule: str = "static",
    deciles: Mapping[int, tuple[float | None, int]] | None = None,
    curve: Sequence[float] = (0.1, 0.4, 0.6, 0.7),
    scale: tuple[str, str, str] = ACCURACY,
    named: bool = True,
    **told: float,
) -> RunRecord:
    """A run: its score, its deciles as (score, clients), its curve, and further estimates."""
    measure, unit, direction = scale
    name = f"{schedule}-{weighting}-{strategy}-{seed}"

    def one(what: str, value: float | None, **fields: Any) -> Estimate:
        missing = "nobody was tested" if value is None else None
        return Estimate(name=what, subject=name, value=value, missing=missing, **{"unit": unit, "direction": direction, **fields})

    given = dict.fromkeys(range(1, 11), (score, 2)) if deciles is None else deciles
    estimates = [one(measure, score)] if named else []
    for decile, (value, clients) in given.items():
        estimates.append(one("client_score_decile", value, conditions={"decile": decile, "measure": measure, "clients": clients}))
    for what, value in told.items():
        estimates.append(one(what, value, unit="index", direction="neither"))
    line = Curve(
        name="convergence_score",
        subject=name,
        x=ROUNDS[: len(curve)],
        y=tuple(curve),
        x_label="round",
        y_label=measure,
        conditions={"measure": measure},
    )
    return RunRecord(
        name=name,
        status="finished",
        created="2026-11-22T17:04:55+00:00",
        settings={"seed": seed, "run": {"cell": {"strategy": strategy, "weighting": weighting, "schedule": schedule}}},
        environment={},
        data={},
        model={},
        mechanism={},
        evidence=Evidence(estimates=tuple(estimates), curves=(line,)),
    )


def of(found: Evidence, name: str, strategy: str, weighting: str = "examples", schedule: str = "static") -> Estimate | None:
    return found.estimate(name, f"{strategy}, {weighting} weights, {schedule}")


def pairs(gains: Sequence[float], **options: Any) -> list[RunRecord]:
    """Uniform and activity for each seed; seeds shift both, and activity gains so much."""
    found = []
    for seed, (shift, gain) in enumerate(zip(SHIFTS, gains, strict=False), start=1):
        found += [record("uniform", seed, 0.5 + shift, **options), record("activity^1", seed, 0.5 + shift + gain, **options)]
    return found


GAINS = (0.03, 0.01, 0.02, 0.02, 0.04)


def student(values: Sequence[float]) -> tuple[float, float]:
    return stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))


def test_a_known_gain_has_its_mean_and_students_interval():
    found = of(summarise(pairs(GAINS)), "gain_over_uniform", "activity^1")
    assert found.value == pytest.approx(np.mean(GAINS))
    assert (found.interval.low, found.interval.high) == pytest.approx(student(GAINS))
    assert (found.n, found.interval.level, found.interval.method) == (5, 0.95, "Student's t over 5 seeds")
    assert found.conditions == {"select": "activity^1", "weighting": "examples", "schedule": "static", "seeds": 5, "measure": "accuracy"}
    assert found.interval.low > 0  # which the spread of the seeds, ten times as wide, would hide


def test_pairs_are_of_one_seed_whatever_the_order():
    records = pairs(GAINS)
    moved = [records[place] for place in np.random.default_rng(3).permutation(len(records))]
    assert of(summarise(moved), "gain_over_uniform", "activity^1").value == pytest.approx(np.mean(GAINS))
    low, high = student(GAINS)
    interval = of(summarise(moved), "gain_over_uniform", "activity^1").interval
    assert (interval.low, interval.high) == pytest.approx((low, high))


def test_a_seed_without_a_partner_makes_no_pair():
    records = [one for one in pairs(GAINS) if one.name != "static-examples-uniform-5"]
    found = of(summarise(records), "gain_over_uniform", "activity^1")
    assert found.value == pytest.approx(np.mean(GAINS[:4]))
    assert found.n == 4


def test_one_seed_has_a_gain_and_no_interval():
    found = of(summarise(pairs(GAINS[:1])), "gain_over_uniform", "activity^1")
    assert (found.value, found.interval, found.n) == (pytest.approx(0.03), None, 1)


def test_the_mean_of_a_cell_is_over_its_seeds():
    found = of(summarise(pairs(GAINS)), "mean_score", "activity^1")
    scores = [0.5 + shift + gain for shift, gain in zip(SHIFTS, GAINS, strict=True)]
    assert found.value == pytest.approx(np.mean(scores))
    assert (found.interval.low, found.interval.high) == pytest.approx(student(scores))
    assert (found.unit, found.direction) == ("share", "higher is better")


def test_uniform_gains_nothing_over_itself():
    found = summarise(pairs(GAINS))
    for name in ("gain_over_uniform", "gain_light", "gain_heavy", "gain_over_fedavg"):
        assert of(found, name, "uniform") is None


def test_a_gain_is_over_the_same_weights_and_the_same_clock():
    records = []
    for seed in (1, 2):
        for weighting, shift in (("examples", 0.0), ("uniform", 0.2)):
            for schedule, more in (("static", 0.0), ("continual", -0.1)):
                options = {"weighting": weighting, "schedule": schedule}
                records.append(record("uniform", seed, 0.5 + shift + more, **options))
                records.append(record("activity^1", seed, 0.5 + shift + more + 0.01 * seed, **options))
    found = summarise(records)
    for weighting in ("examples", "uniform"):
        for schedule in ("static", "continual"):
            assert of(found, "gain_over_uniform", "activity^1", weighting, schedule).value == pytest.approx(0.015)
    usual = of(found, "gain_over_fedavg", "activity^1", "uniform")
    assert usual.value == pytest.approx(0.2 + 0.015)
    assert of(found, "gain_over_fedavg", "uniform", "uniform").value == pytest.approx(0.2)
    assert of(found, "gain_over_fedavg", "uniform", "examples") is None


def test_where_lower_is_better_a_gain_turns_its_sign():
    """A perplexity that falls by 30 is a gain of 30."""
    found = summarise(
        [record("uniform", seed, 100.0 + seed, scale=PERPLEXITY) for seed in (1, 2, 3)]
        + [record("activity^1", seed, 70.0 + 2 * seed, scale=PERPLEXITY) for seed in (1, 2, 3)]
    )
    gain = of(found, "gain_over_uniform", "activity^1")
    assert gain.value == pytest.approx(28)
    assert (gain.unit, gain.direction) == ("words", "higher is better")
    assert (gain.interval.low, gain.interval.high) == pytest.approx(student([29, 28, 27]))
    assert of(found, "gain_light", "activity^1").value == pytest.approx(28)
    assert of(found, "mean_score", "activity^1").direction == "lower is better"


def test_the_worst_decile_is_the_lowest_or_the_highest():
    deciles = {decile: (0.1 * decile, 3) for decile in range(1, 11)}
    found = summarise([record("uniform", 1, 0.5, deciles=deciles)])
    assert of(found, "worst_decile", "uniform").value == pytest.approx(0.1)
    found = summarise([record("uniform", 1, 50.0, deciles=deciles, scale=PERPLEXITY)])
    assert of(found, "worst_decile", "uniform").value == pytest.approx(1.0)


def test_light_and_heavy_clients_are_weighed_by_their_number():
    deciles = {1: (0.2, 1), 2: (0.4, 3), 5: (0.0, 9), 8: (0.9, 1), 10: (0.6, 2)}
    found = summarise([record("uniform", 1, 0.5, deciles=deciles)])
    assert of(found, "mean_score_light", "uniform").value == pytest.approx((0.2 + 3 * 0.4) / 4)
    assert of(found, "mean_score_heavy", "uniform").value == pytest.approx((0.9 + 2 * 0.6) / 3)


def test_gains_of_light_and_heavy_clients_are_apart():
    def deciles(light: float, heavy: float) -> dict[int, tuple[float, int]]:
        return {decile: (light if decile <= 3 else heavy if decile >= 8 else 0.5, 2) for decile in range(1, 11)}

    records = []
    for seed in (1, 2, 3):
        records.append(record("uniform", seed, 0.5, deciles=deciles(0.4, 0.6)))
        records.append(record("activity^1", seed, 0.5, deciles=deciles(0.4 - 0.01 * seed, 0.6 + 0.03 * seed)))
    found = summarise(records)
    assert of(found, "gain_light", "activity^1").value == pytest.approx(-0.02)
    assert of(found, "gain_heavy", "activity^1").value == pytest.approx(0.06)
    assert of(found, "gain_over_uniform", "activity^1").value == pytest.approx(0)


def test_missing_deciles_are_left_out_and_said_to_be():
    full = dict.fromkeys(range(1, 11), (0.5, 2))
    without = {decile: found for decile, found in full.items() if decile > 3}
    records = [record("uniform", 1, 0.5, deciles=full), record("uniform", 2, 0.5, deciles=without)]
    found = of(summarise(records), "mean_score_light", "uniform")
    assert (found.value, found.n, found.interval) == (0.5, 1, None)
    assert "1 of 2 seeds have none and are left out" in found.method
    assert of(summarise(records), "mean_score_heavy", "uniform").n == 2


def test_without_any_decile_nothing_is_said_of_light_clients():
    found = summarise([record("uniform", 1, 0.5, deciles={}), record("activity^1", 1, 0.6, deciles={})])
    for name in ("mean_score_light", "mean_score_heavy", "worst_decile"):
        assert of(found, name, "uniform") is None
    assert of(found, "gain_light", "activity^1") is None
    assert of(found, "gain_over_uniform", "activity^1").value == pytest.approx(0.1)


def test_a_decile_without_a_value_counts_for_nothing():
    found = summarise([record("uniform", 1, 0.5, deciles={1: (0.4, 2), 2: (None, 5), 3: (0.8, 2)})])
    assert of(found, "mean_score_light", "uniform").value == pytest.approx(0.6)
    assert of(found, "worst_decile", "uniform").value == pytest.approx(0.4)


def test_a_task_that_calls_its_score_otherwise_is_read_from_the_curve():
    found = summarise([record("uniform", 1, 0.9, named=False), record("activity^1", 1, 0.9, curve=(0.1, 0.5, 0.75), named=False)])
    assert of(found, "mean_score", "uniform").value == 0.7
    assert of(found, "gain_over_uniform", "activity^1").value == pytest.approx(0.05)


def test_a_score_that_is_missing_makes_no_pair():
    found = summarise(
        [record("uniform", seed, 0.5) for seed in (1, 2)] + [record("activity^1", 1, 0.6), record("activity^1", 2, None, deciles={})]
    )
    gain = of(found, "gain_over_uniform", "activity^1")
    assert (gain.value, gain.n) == (pytest.approx(0.1), 1)
    assert "1 of 2 seeds have none" in gain.method


def test_rounds_are_counted_to_nine_tenths_of_the_way_of_uniform_selection():
    slow, fast, never = (0.1, 0.4, 0.6, 0.7), (0.1, 0.66, 0.7, 0.8), (0.1, 0.2, 0.3, 0.5)
    records = [record("uniform", 1, 0.7, curve=slow), record("activity^1", 1, 0.8, curve=fast), record("top-k", 1, 0.5, curve=never)]
    found = summarise(records)  # 0.1 + 0.9 * (0.7 - 0.1) = 0.64
    assert of(found, "rounds_to_score", "uniform").value == 30
    assert of(found, "rounds_to_score", "activity^1").value == 10
    reached = of(found, "rounds_to_score", "top-k")
    assert (reached.value, reached.missing) == (None, "no seed reached it")
    assert "0.64" in reached.method


def test_of_a_perplexity_the_way_goes_down():
    slow, fast = (100.0, 80.0, 60.0, 50.0), (100.0, 54.0, 50.0, 40.0)
    records = [record("uniform", 1, 50.0, curve=slow, scale=PERPLEXITY), record("activity^1", 1, 40.0, curve=fast, scale=PERPLEXITY)]
    found = summarise(records)  # 100 - 0.9 * 50 = 55
    assert of(found, "rounds_to_score", "uniform").value == 30
    assert of(found, "rounds_to_score", "activity^1").value == 10


def test_further_figures_are_means_over_seeds():
    told = [{"participation_gini": 0.1 * seed, "prequential_score": 0.2, "local_steps": 100.0 * seed} for seed in (1, 3)]
    records = [record("uniform", seed, 0.5, **one) for seed, one in zip((1, 3), told, strict=True)]
    found = summarise(records)
    assert of(found, "participation_gini", "uniform").value == pytest.approx(0.2)
    assert of(found, "prequential_score", "uniform").value == pytest.approx(0.2)
    steps = of(found, "local_steps", "uniform")
    assert (steps.value, steps.unit) == (pytest.approx(200), "steps")


def test_the_mean_curve_has_students_band():
    curves = (0.1, 0.4, 0.6, 0.7), (0.1, 0.5, 0.6, 0.8), (0.1, 0.3, 0.6, 0.9)
    found = summarise([record("uniform", seed, 0.5, curve=curve) for seed, curve in enumerate(curves)])
    (line,) = found.curves
    assert line.name == "mean_convergence"
    assert line.x == ROUNDS
    np.testing.assert_allclose(line.y, np.mean(curves, axis=0))
    low, high = student([0.4, 0.5, 0.3])
    assert (line.low[1], line.high[1]) == pytest.approx((low, high))
    assert (line.low[0], line.high[0]) == pytest.approx((0.1, 0.1))
    (alone,) = summarise([record("uniform", 1, 0.5)]).curves
    assert (alone.low, alone.high) == ((), ())


def test_every_cell_is_named_by_what_holds_in_it():
    found = summarise(pairs(GAINS))
    assert {one.subject for one in found.estimates} == {"uniform, examples weights, static", "activity^1, examples weights, static"}
    assert all(one.reference.startswith("after Dupuy") for one in found.estimates)
    assert len(found.notes) == 2


@pytest.mark.parametrize("gain", [0.0, 0.01])
def test_the_interval_holds_the_truth_as_often_as_it_says(gain: float):
    """Over 400 grids of five seeds; 95% of them, give or take four standard errors."""
    draw = np.random.default_rng(int(100 * gain))
    held = 0
    for _ in range(400):
        found = of(summarise(pairs((gain + 0.02 * draw.normal(size=5)).tolist(), deciles={})), "gain_over_uniform", "activity^1")
        held += found.interval.low <= gain <= found.interval.high
    assert abs(held / 400 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 400)


def test_a_record_is_trimmed_to_what_the_page_shows():
    whole = record("uniform", 1, 0.5, participation_gini=0.1, bytes_up=3.0, update_norm_decile=0.2)
    fields = {"unit": "share", "direction": "higher is better", "conditions": {"percentile": 0}}
    percentile = Estimate(name="client_score_percentile", subject=whole.name, value=0.1, **fields)
    found = trimmed(replace(whole, evidence=whole.evidence + Evidence(estimates=(percentile,))))
    assert {one.name for one in found.evidence.estimates} == {"accuracy", "client_score_decile", "participation_gini"}
    assert found.evidence.curves == ()
    assert (found.name, found.settings) == (whole.name, whole.settings)


def test_a_trimmed_record_keeps_the_score_of_a_language_model():
    found = trimmed(record("uniform", 1, 80.0, scale=PERPLEXITY))
    assert found.evidence.estimate("perplexity", found.name).value == 80


def test_a_summary_of_what_a_grid_leaves_is_one_of_its_cells():
    """The cells of records come in the order in which they were met, and seeds in their own."""
    records = pairs(GAINS)
    subjects = list(dict.fromkeys(one.subject for one in summarise(records).estimates))
    assert subjects == ["uniform, examples weights, static", "activity^1, examples weights, static"]
    backwards = list(dict.fromkeys(one.subject for one in summarise(records[::-1]).estimates))
    assert backwards == subjects[::-1]
