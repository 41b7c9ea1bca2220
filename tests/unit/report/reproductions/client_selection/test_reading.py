"""The words about client selection are made from the numbers, and turn when the numbers turn."""

from dataclasses import replace

import pytest
from tests.reporting_selection import GRID, Place, mixed, nothing, summary

from holdfast.core.evidence import Estimate, Evidence, Interval
from holdfast.report.reproductions.client_selection import PRESENTATION, STATEMENT, answer, cells, readings, tally
from holdfast.report.reproductions.client_selection.grid import (
    GAIN,
    GAIN_HEAVY,
    GAIN_LIGHT,
    GAIN_USUAL,
    compared,
    measure,
    measured,
    place_words,
    places,
    sign,
)
from holdfast.report.reproductions.client_selection.reading import against_uniform, against_usual, chance, continual, pairs, verdict


@pytest.fixture(scope="module")
def found() -> Evidence:
    return summary()


def gain(value: float, half: float | None, *, direction: str = "higher is better") -> Estimate:
    interval = None if half is None else Interval(low=value - half, high=value + half, level=0.95, method="m")
    return Estimate(name=GAIN, subject="a", value=value, unit="share", direction=direction, interval=interval)


def three(whole: float, light: float, heavy: float) -> Evidence:
    """One cell beside a uniform one, with these gains and intervals of .01 on either side."""
    return summary(lambda place: (whole, light, heavy), grid=GRID[:2], half=0.01)


def test_cells_come_in_order_with_one_colour_for_each_strategy(found: Evidence):
    made = cells(found)
    assert [cell.strategy for cell in made[:4]] == ["uniform", "activity^0.5", "activity^1", "top-k"]
    assert [cell.colour for cell in made] == [0, 1, 2, 3] * 4
    assert places(found) == [("static", "examples"), ("static", "uniform"), ("continual", "examples"), ("continual", "uniform")]
    assert {cell.seeds for cell in made} == {5}


def test_a_clock_of_its_own_stands_between_static_and_continual():
    grid = [("uniform", None, "examples", schedule) for schedule in ("continual", "equal-steps", "static")]
    assert [schedule for schedule, _ in places(summary(grid=grid))] == ["static", "equal-steps", "continual"]


def test_a_lonely_strategy_keeps_the_colours_of_its_grid_only():
    made = cells(summary(grid=GRID[1:3]))
    assert [(cell.strategy, cell.colour) for cell in made] == [("activity^0.5", 0), ("activity^1", 1)]


def test_what_looks_at_no_activity_is_not_counted_with_it():
    grid = (*GRID[:2], ("power-of-choice", None, "examples", "static"))
    evidence = summary(nothing, grid=grid)
    assert [cell.select for cell in compared(evidence)] == ["activity"]
    assert [cell.select for cell in cells(evidence)] == ["uniform", "activity", "power-of-choice"]
    assert tally(evidence).total == 1
    assert any(one.lead.startswith("power-of-choice") for one in readings(evidence))


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (gain(0.02, 0.01), 1),
        (gain(-0.02, 0.01), -1),
        (gain(0.02, 0.03), 0),
        (gain(0.0, 0.0), 0),
        (gain(0.01, 0.01), 0),
        (gain(0.02, 0.01, direction="lower is better"), -1),
        (gain(0.02, None), None),
        (None, None),
    ],
)
def test_the_interval_alone_decides(one: Estimate | None, said: int | None):
    assert sign(one) == said


def test_the_answer_counts_where_it_helps_and_where_it_hurts(found: Evidence):
    assert answer(found) == (
        "Choosing by activity, against choosing uniformly, helps all clients in 4 and heavy users in 12 of 12 cells; it hurts light users "
        "in 8."
    )


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (three(0.05, 0.05, 0.05), "helps all clients in 1, light users in 1 and heavy users in 1 of 1 cell."),
        (three(-0.05, -0.05, 0.0), "hurts all clients in 1 and light users in 1 of 1 cell."),
        (three(0.05, -0.05, 0.0), "helps all clients in 1 of 1 cell; it hurts light users in 1."),
        (three(0.0, 0.005, -0.005), "makes no difference that can be seen, for light, heavy or all clients, in any of 1 cell."),
        (summary(nothing), "makes no difference that can be seen, for light, heavy or all clients, in any of 12 cells."),
        (Evidence(), "Nothing was compared with choosing uniformly."),
        (summary(grid=GRID[:1]), "Nothing was compared with choosing uniformly."),
    ],
)
def test_the_answer_turns_with_the_numbers(evidence: Evidence, words: str):
    assert answer(evidence).endswith(words)


def test_light_users_have_a_verdict_of_their_own(found: Evidence):
    assert verdict(found, GAIN_LIGHT) == (
        "Worse in 8, no difference can be seen in 4 of 12 cells. Worst: −4.0 points (−5.2 to −2.8) by top-k (static, examples weights)."
    )
    assert verdict(found, GAIN_HEAVY).startswith("Better in 12 of 12 cells. Best: +6.0 points (+4.8 to +7.2) by top-k")
    assert verdict(summary(nothing), GAIN) == "No difference can be seen in 12 of 12 cells."
    assert verdict(Evidence(), GAIN_LIGHT) == "For light users nothing was compared."


@pytest.mark.parametrize("half", [0.001, 0.012, 0.03, 0.2])
def test_the_tally_is_true_of_the_intervals_whatever_they_are(half: float):
    evidence = summary(half=half)
    for quantity in (GAIN, GAIN_LIGHT, GAIN_HEAVY):
        made = tally(evidence, quantity)
        known = {cell.subject: evidence.estimate(quantity, cell.subject).interval for cell in compared(evidence)}
        assert {cell.subject for cell in made.helps} == {subject for subject, ends in known.items() if ends.low > 0}
        assert {cell.subject for cell in made.hurts} == {subject for subject, ends in known.items() if ends.high < 0}
        assert made.total == len(known)
        text = verdict(evidence, quantity)
        assert (f"better in {len(made.helps)}" in text.lower()) == bool(made.helps)
        assert (f"worse in {len(made.hurts)}" in text.lower()) == bool(made.hurts)


def test_each_cell_is_read_plainly(found: Evidence):
    cell = next(cell for cell in cells(found) if cell.subject == "activity^1, examples weights, static")
    assert against_uniform(found, cell) == (
        "All clients: +0.4 points (−0.8 to +1.6), no difference can be seen. Light users: −2.0 points (−3.2 to −0.8), worse. Heavy users: "
        "+3.0 points (+1.8 to +4.2), better. The target was reached after 44 rounds, against 60 by uniform selection. Gini index of "
        "participation 0.370."
    )


def test_a_cell_with_no_uniform_one_beside_it_is_compared_with_none():
    evidence = summary(grid=GRID[1:2])
    (cell,) = cells(evidence)
    assert "The target was reached after 52 rounds." in against_uniform(evidence, cell)


def test_the_gain_of_the_continual_setting_is_held_against_the_static_one(found: Evidence):
    made = pairs(found)
    assert [(cell.strategy, cell.weighting) for cell, _ in made] == [
        (strategy, weighting) for weighting in ("examples", "uniform") for strategy in ("activity^0.5", "activity^1", "top-k")
    ]
    assert made[1][1].value == pytest.approx(0.031)
    assert made[1][1].interval.high - made[1][1].value == pytest.approx(0.012 * 2**0.5), "intervals are joined by square-and-add"
    assert continual(found) == (
        "The gain period by period, beside that of training at once, is larger in 4 and not to be told apart in 2 of 6 pairs of cells. "
        "The largest change: +3.1 points (+1.4 to +4.8), activity^1, examples weights."
    )


def test_the_continual_setting_may_gain_less_or_be_alone():
    def less(place: Place) -> tuple[float, float, float]:
        return (0.08, 0.0, 0.0) if place.schedule == "static" else (0.01, 0.0, 0.0)

    assert "is smaller in 6 of 6 pairs of cells." in continual(summary(less))
    assert "not to be told apart in 6 of 6" in continual(summary(nothing))
    assert continual(summary(grid=GRID[:8])) == ""
    assert continual(Evidence()) == ""


def test_many_intervals_are_said_to_miss_by_chance(found: Evidence):
    assert "about 1.8 of these 36 would miss 0 by chance" in chance(found)
    assert chance(Evidence()) == ""


def test_the_readings_begin_with_all_light_and_heavy(found: Evidence):
    made = readings(found)
    assert [one.lead for one in made[:4]] == ["All clients:", "Light users:", "Heavy users:", "Static and continual:"]
    assert {one.colour for one in made[:4]} == {None}
    assert len(made) == 4 + 12
    assert made[4].colour == 1


def test_the_statement_claims_no_reproduction():
    assert STATEMENT.startswith("After Dupuy et al. 2022 (arXiv 2202.03925)")
    assert "no reproduction" in STATEMENT
    assert "reproduces" not in STATEMENT
    assert PRESENTATION.statement == STATEMENT


def test_names_of_places_and_measures(found: Evidence):
    assert place_words(("static", "inverse-propensity")) == "static, inverse-propensity weights"
    assert (measure(found), measure(Evidence())) == ("accuracy", "")
    assert measured(found)[0] == "mean_score"
    assert "prequential_score" in measured(found)
    assert "prequential_score" not in measured(summary(grid=GRID[:4]))


def test_a_strategy_whose_name_has_its_power_is_not_given_it_twice():
    evidence = summary(grid=(("activity^0.5", 0.5, "examples", "static"),), gains=lambda place: mixed(replace(place, select="activity")))
    assert [cell.strategy for cell in cells(evidence)] == ["activity^0.5"]


def usual(*values: tuple[float, float]) -> Evidence:
    """The summary with gains over FedAvg as usual: a value and half an interval for each cell that chooses by activity."""
    base = summary()
    given = [
        replace(gain(value, half), name=GAIN_USUAL, subject=cell.subject, conditions={"measure": "accuracy"})
        for cell, (value, half) in zip(compared(base), values, strict=False)
    ]
    return Evidence(estimates=(*base.estimates, *given), curves=base.curves)


def test_what_is_left_beside_fedavg_as_usual():
    assert against_usual(summary()) == ""
    first = compared(summary())[1]
    told = against_usual(usual((-0.04, 0.01), (0.02, 0.01), (0.01, 0.03)))
    assert "better in 1, worse in 1 of 3 cells" in told
    assert f"+2 points (+1 to +3) by {first.strategy}" in told.replace(".0", "")
    assert told.endswith(".")
    assert "where no difference can be seen" in against_usual(usual((0.01, 0.03)))
    assert [one.lead for one in readings(usual((0.02, 0.01)))][3] == "Against FedAvg as usual:"
