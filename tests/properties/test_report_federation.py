"""Whatever the evidence holds: names stay short, maps are covered once, and the sentences follow the intervals."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reporting_selection import GRID, Place, summary

from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.report import gather
from holdfast.report.federation import lines, lorenz, maps, reading
from holdfast.report.federation.section import federation
from holdfast.report.numbers import in_bytes
from holdfast.report.reproductions.client_selection import answer, tally
from holdfast.report.reproductions.client_selection.reading import WHOSE

CORNERS = re.compile(r"M([\d.]+),([\d.]+)L([\d.]+),[\d.]+L[\d.]+,([\d.]+)L[\d.]+,[\d.]+Z")
names = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40), min_size=1, max_size=8, unique=True)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(lambda values: [0.0, *sorted(values), 1.0])


@given(names, st.integers(8, 24))
def test_names_are_never_longer_than_there_is_room(given_names: list[str], limit: int):
    short = lines.brief(given_names, limit)
    assert len(short) == len(given_names)
    assert max(map(len, short)) <= limit
    for name, made in zip(given_names, short, strict=True):
        assert made == name or "…" in made


@given(st.integers(1, 12), st.integers(8, 20))
def test_numbered_names_are_told_apart(count: int, limit: int):
    made = lines.brief([f"activity^0.5, examples, {number}" for number in range(count)], limit)
    assert len(set(made)) == count


@given(st.integers(1, 9).flatmap(lambda side: st.lists(st.floats(0, 0.83), min_size=side * side, max_size=side * side)))
def test_the_steps_of_a_map_cover_it_once(values: list[float]):
    side = int(len(values) ** 0.5)
    rows = [values[place * side : (place + 1) * side] for place in range(side)]
    covered = {}
    for step in range(maps.STEPS):
        for left, top, right, bottom in (map(float, found) for found in CORNERS.findall(maps._path(rows, 0.83, step, 10.0))):
            assert bottom - top == 10.0
            for place in range(int(left // 10), int(right // 10)):
                assert (int(top // 10), place) not in covered
                covered[int(top // 10), place] = step
    assert len(covered) == side * side
    for (down, across), step in covered.items():
        assert step == min(maps.STEPS - 1, int(maps.STEPS * rows[down][across] / 0.83))


@given(st.integers(1, 130))
def test_a_map_that_is_drawn_is_never_larger_than_its_side(clients: int):
    rows = tuple(tuple(0.5 for _ in range(clients)) for _ in range(clients))
    made = maps._grouped(maps.Map(name="", rows=rows, most=0.83, clients=clients, of=clients, mean=""))
    assert len(made) == len(made[0]) <= maps.SIDE
    assert {round(value, 9) for row in made for value in row} == {0.5}


@given(shares, st.floats(0, 1))
def test_a_lorenz_curve_is_read_within_its_ends_and_never_falls(ordinates: list[float], where: float):
    x = tuple(place / (len(ordinates) - 1) for place in range(len(ordinates)))
    curve = Curve(name="activity_lorenz", subject="a", x=x, y=tuple(ordinates), x_label="x", y_label="y")
    one = lorenz.Share(name="n", curve=curve, gini=None)
    assert -1e-12 <= one.at(where) <= 1 + 1e-12
    assert one.at(where) <= one.at(min(1.0, where + 0.1)) + 1e-12


@given(st.integers(1, 100_000))
def test_thinning_keeps_both_ends_and_the_order(count: int):
    kept = lines.thinned(count)
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert kept == sorted(set(kept))
    assert len(kept) <= lines.POINTS + 1


@given(st.floats(0, 1e15))
def test_bytes_are_written_with_a_unit_that_suits_them(count: float):
    number, unit = in_bytes(count).split(" ")
    size = {"bytes": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(number.replace(",", "")) * size == pytest.approx(count, rel=0.006, abs=1e-3)
    assert unit in ("TB", "bytes") or 1 <= float(number.replace(",", "")) < 1_000


@settings(max_examples=30)
@given(st.tuples(*(st.floats(-0.1, 0.1) for _ in range(3))), st.floats(0.001, 0.1))
def test_the_answer_is_true_of_the_intervals_whatever_they_are(values: tuple[float, float, float], half: float):
    evidence = summary(lambda place: values, grid=GRID[:4], half=half)
    said = answer(evidence)
    for value, (quantity, whose) in zip(values, WHOSE.items(), strict=True):
        made = tally(evidence, quantity)
        assert (len(made.helps), len(made.hurts)) == (3 * (value > half), 3 * (value < -half))
        helped = re.search(rf"helps[^;]*{whose} in 3", said) is not None
        hurt = re.search(rf"hurts[^;]*{whose} in 3", said) is not None
        assert (helped, hurt) == (value > half, value < -half)
    assert ("no difference that can be seen" in said) == all(abs(value) <= half for value in values)


def test_a_cell_that_gains_nothing_is_neither_helped_nor_hurt():
    def even(place: Place) -> tuple[float, float, float]:
        return 0.0, 0.0, 0.0

    made = tally(summary(even))
    assert (len(made.helps), len(made.hurts), len(made.same)) == (0, 0, 12)


@settings(max_examples=40)
@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.001, 0.2))
def test_light_and_heavy_are_called_alike_only_where_their_intervals_are(light: float, heavy: float, half: float):
    def decile(number: int, value: float) -> Estimate:
        ends = Interval(low=value - half, high=value + half, level=0.95, method="m")
        told = {"decile": number, "measure": "accuracy"}
        fields = {"unit": "share", "direction": "higher is better", "interval": ends, "conditions": told}
        return Estimate(name="client_score_decile", subject="a", value=value, **fields)

    document = gather([Evidence(estimates=(decile(1, light), decile(10, heavy)))], title="t")
    made = federation(document, drawn=False)
    assert made is not None
    assert ("no difference can be seen" in made.finding) == (abs(light - heavy) <= half * 2**0.5)
    assert len(reading.runs(document)) == 1
