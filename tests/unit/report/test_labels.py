"""Labels find places where they hide nothing."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.report.figures.labels import HEIGHT, Box, Label, place, shortened, spread, text_width

AREA = Box(0, 0, 300, 200)


def overlaps(boxes: list[Box]) -> float:
    return sum(one.overlap(other) for one, other in itertools.combinations(boxes, 2))


def test_boxes_know_what_they_share():
    assert Box(0, 0, 10, 10).overlap(Box(5, 5, 20, 20)) == 25
    assert Box(0, 0, 10, 10).overlap(Box(10, 0, 20, 10)) == 0
    assert Box(-5, 0, 5, 10).outside(Box(0, 0, 100, 100)) == 50


def test_a_lone_label_stands_to_the_right():
    (placed,) = place([Label("dp-sgd", 100, 100)], obstacles=[], area=AREA)
    assert (placed.align, placed.y) == ("left", 100)
    assert placed.x > 105


@pytest.mark.parametrize(("x", "y"), [(298, 100), (2, 100), (150, 2), (150, 198), (298, 2), (2, 198)])
def test_a_label_stays_inside_and_off_its_own_mark(x: float, y: float):
    label = Label("dp-sgd-eps-2", x, y)
    mark = Box(x - 5, y - 5, x + 5, y + 5)
    (placed,) = place([label], obstacles=[mark], area=Box(-60, -20, 360, 220))
    assert placed.box.overlap(mark) == 0
    (inside,) = place([label], obstacles=[mark], area=AREA)
    assert inside.box.left >= -1
    assert inside.box.right <= 301


def test_a_label_goes_round_an_interval():
    whisker = Box(148, 60, 152, 140)
    blocked = Box(160, 80, 300, 120)
    (placed,) = place([Label("dp-sgd", 150, 100, above=40, below=40)], obstacles=[whisker, blocked], area=AREA)
    assert placed.box.overlap(whisker) == placed.box.overlap(blocked) == 0


def test_neighbours_make_room_for_each_other():
    labels = [Label(f"run-{number}", 100 + 12 * number, 100 + 3 * number) for number in range(4)]
    marks = [Box(label.x - 5, label.y - 5, label.x + 5, label.y + 5) for label in labels]
    placed = place(labels, obstacles=marks, area=AREA)
    assert overlaps([one.box for one in placed]) == 0


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200)), min_size=1, max_size=8))
def test_any_crowd_gets_one_place_each_and_always_the_same(points: list[tuple[float, float]]):
    labels = [Label(f"r{number}", x, y) for number, (x, y) in enumerate(points)]
    placed = place(labels, obstacles=[], area=AREA)
    assert [one.label for one in placed] == labels
    assert placed == place(labels, obstacles=[], area=AREA)


@given(st.lists(st.floats(0, 200), min_size=1, max_size=10))
def test_spread_positions_keep_their_order_and_their_distance(wishes: list[float]):
    found = spread(wishes, gap=15, low=0, high=200)
    ordered = [found[index] for index in sorted(range(len(wishes)), key=lambda index: wishes[index])]
    assert all(later - earlier >= 15 - 1e-6 for earlier, later in itertools.pairwise(ordered))
    assert all(-1e-6 <= position <= 200 + 1e-6 for position in found)


def test_positions_that_are_far_enough_apart_stay():
    assert spread([50.0, 10.0, 90.0], gap=15, low=0, high=100) == [50.0, 10.0, 90.0]


def test_more_labels_than_room_go_beyond_the_end_and_not_over_each_other():
    assert spread([0.0, 0.0, 0.0], gap=15, low=0, high=20) == [0.0, 15.0, 30.0]


def test_widths_are_rather_too_wide():
    assert text_width("dp-sgd-eps-2") > 6.5 * 12 * 0.9
    assert text_width("声声") > 24
    assert HEIGHT > 12


def test_long_names_are_cut_with_a_sign():
    assert shortened("dp-sgd") == "dp-sgd"
    assert shortened("a" * 30, 10) == "a" * 9 + "…"
