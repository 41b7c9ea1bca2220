"""How far a continual run lies behind the one that had all data at once, on records that are given."""

from dataclasses import replace

import pytest

from holdfast.core.evidence import Curve, Estimate, Evidence
from holdfast.runs import RunRecord
from holdfast.study.federation.gaps import with_gaps


def record(name: str, score: float | None, *, schedule: str = "static", rounds: int = 6, measure: str = "accuracy", **asked) -> RunRecord:
    lower = measure == "perplexity"
    estimate = Estimate(
        name=measure,
        subject=name,
        value=score,
        missing=None if score is not None else "nothing was scored",
        unit="words" if lower else "share",
        direction="lower is better" if lower else "higher is better",
    )
    curve = Curve(name="convergence_score", subject=name, x=(0.0,), y=(0.5,), x_label="round", y_label="s", conditions={"measure": measure})
    settings = {
        "asked": {"cohort": 4, "schedule": {"name": schedule}, **({"rounds": rounds} if schedule == "static" else {}), **asked},
        **{"data": {"source": "x"}, "task": {}, "model": {}},
        "federation": {"schedule": schedule, "rounds": rounds},
    }
    rest = {"environment": {}, "data": {}, "model": {}, "mechanism": {}}
    evidence = Evidence(estimates=(estimate,), curves=(curve,))
    return RunRecord(name=name, status="finished", created="2026-11-22T12:00:00+00:00", settings=settings, evidence=evidence, **rest)


def gap_of(*records: RunRecord, name: str = "live") -> Estimate | None:
    (found,) = [one for one in with_gaps(records) if one.name == name]
    return found.evidence.estimate("static_gap", name)


def test_it_is_the_score_of_the_static_run_less_that_of_the_continual_one():
    found = gap_of(record("still", 0.8), record("live", 0.7, schedule="continual"))
    assert found.value == pytest.approx(0.1)
    assert (found.unit, found.direction) == ("share", "lower is better")
    assert found.conditions == {"measure": "accuracy", "static": "still"}


def test_where_lower_is_better_the_sign_turns():
    both = record("still", 80.0, measure="perplexity"), record("live", 100.0, schedule="continual", measure="perplexity")
    assert gap_of(*both).value == pytest.approx(20)


def test_the_static_run_stays_as_it_is():
    still, live = record("still", 0.8), record("live", 0.7, schedule="continual")
    assert with_gaps([still, live])[0] is still


@pytest.mark.parametrize(
    "still",
    [
        record("still", 0.8, rounds=7),
        record("still", 0.8, cohort=5),
        record("still", 0.8, select="activity"),
        record("still", 0.8, seed=3),
        record("still", None),
        record("still", 0.8, schedule="continual"),
    ],
    ids=["rounds", "cohort", "select", "seed", "no score", "no static run"],
)
def test_only_a_run_that_differs_in_its_clock_alone_is_a_partner(still: RunRecord):
    live = record("live", 0.7, schedule="continual")
    assert with_gaps([still, live])[1] is live


def test_other_data_and_models_are_no_partners():
    live = record("live", 0.7, schedule="continual")
    for key in ("data", "task", "model"):
        still = record("still", 0.8)
        still = replace(still, settings={**still.settings, key: {"other": True}})
        assert with_gaps([still, live])[1] is live


def test_a_gap_that_is_told_is_not_told_twice():
    records = record("still", 0.8), record("live", 0.7, schedule="continual")
    once = with_gaps(records)
    assert with_gaps(once) == once
    assert all(after is before for before, after in zip(once, with_gaps(once), strict=True))


def test_partners_are_found_by_seed():
    records = [
        record(f"{kind}-{seed}", score, schedule=schedule, seed=seed)
        for seed, scores in ((1, (0.8, 0.7)), (2, (0.9, 0.5)))
        for (kind, schedule), score in zip((("still", "static"), ("live", "continual")), scores, strict=True)
    ]
    assert gap_of(*records, name="live-1").value == pytest.approx(0.1)
    assert gap_of(*records, name="live-2").value == pytest.approx(0.4)


def test_a_task_that_calls_its_score_otherwise_is_compared_by_the_curves():
    still, live = record("still", 0.8), record("live", 0.7, schedule="continual")

    def renamed(one: RunRecord, last: float) -> RunRecord:
        (score,), (curve,) = one.evidence.estimates, one.evidence.curves
        return replace(
            one,
            evidence=Evidence(estimates=(replace(score, name="intent_accuracy"),), curves=(replace(curve, x=(0.0, 6.0), y=(0.1, last)),)),
        )

    assert gap_of(renamed(still, 0.75), renamed(live, 0.5)).value == pytest.approx(0.25)
