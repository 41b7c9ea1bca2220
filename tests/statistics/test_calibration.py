"""What ships raises false alarms no more often than it says, and careless rules beside it do: the rules of the benchmark, tried less often.

A rule is held to its nominal rate by the lower end of the Clopper-Pearson interval of what was seen. Seeds are fixed by name.
"""

from pathlib import Path

import pytest

from holdfast.audit.intervals import rate_at_least, rate_at_most

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
REPEATS = 150


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def alarms(row: object) -> int:
    return round(row.value * REPEATS)


def test_bounds_seldom_exceed_the_truth_where_they_are_valid():
    from audit_calibration.shipped import bound_rules

    valid = [rule for rule in bound_rules() if not rule.note]
    assert len(valid) == 5 + 3 * 3 + 3 * 2  # all five without leakage, three on Laplace, two on Gaussian
    for rule in valid:
        assert rate_at_least(alarms(rule.row(REPEATS)), REPEATS, alpha=0.025) <= rule.nominal, rule


def test_bounds_by_way_of_a_gaussian_law_fail_where_the_law_is_another():
    from audit_calibration.shipped import bound_rules

    invalid = [rule for rule in bound_rules() if "not Gaussian" in rule.note]
    assert len(invalid) == 3 * 2
    for rule in invalid:
        assert rate_at_least(alarms(rule.row(REPEATS)), REPEATS, alpha=0.025) > rule.nominal, rule


def test_verdicts_and_intervals_seldom_speak_where_nothing_leaks():
    from audit_calibration.shipped import blind_rule, verdict_rules

    for rule in (*verdict_rules(), blind_rule()):
        assert rate_at_least(alarms(rule.row(REPEATS)), REPEATS, alpha=0.025) <= rule.nominal, rule


def test_the_interval_of_an_area_covers_with_few_rows_with_ties_and_near_one():
    from audit_calibration.shipped import area_rules

    rules = list(area_rules())
    missed = {rule.world: alarms(rule.row(REPEATS)) for rule in rules}
    assert all(rate_at_least(count, REPEATS, alpha=0.025) <= 0.05 for count in missed.values()), missed
    large = sum(count for world, count in missed.items() if "1000 and 1000" in world)
    assert rate_at_most(large, REPEATS * 8, alpha=0.025) > 0.03  # with many rows it says no less than it could


def test_careless_rules_raise_more_alarms_than_they_say():
    from audit_calibration.careless import careless_rules

    careless = [rule for rule in careless_rules() if "one ratio" not in rule.name and "area 0.5" not in rule.world]
    assert len(careless) == 8
    for rule in careless:
        assert "not shipped" in rule.note
        found = alarms(rule.row(REPEATS))
        assert found / REPEATS > rule.nominal, rule
        assert "Clopper" in rule.name or rate_at_least(found, REPEATS, alpha=0.025) > rule.nominal, rule


def test_a_row_tells_rate_interval_and_what_was_promised():
    from audit_calibration.rules import Rule

    every_other = iter([True, False] * 20)
    row = Rule(world="a coin", name="heads", alarm=lambda rng: next(every_other)).row(40)
    assert (row.bench, row.case, row.engine, row.metric) == ("calibration", "a coin", "heads", "false alarms")
    assert (row.value, row.unit, row.ratio_to, row.ratio) == (0.5, "share", "nominal", pytest.approx(10))
    assert row.note == "[0.338, 0.662] of 40; nominal 0.05: ABOVE"
    assert Rule(world="a coin", name="tails", alarm=lambda rng: False).row(40).note == "[0.000, 0.088] of 40; nominal 0.05: holds"
