"""Charts show what the evidence holds: positions, caps, bands, words; and say so where there is nothing to show."""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.reporting import RUNS, leakage, record_of, training, usefulness

from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Curve, Evidence
from holdfast.report import Document, gather
from holdfast.report.figures import FIGURES, cost, roc, svg, theme, tradeoff

Make = Callable[..., Document]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn(four: Document) -> dict[str, str]:
    return {
        f"{name}-{size}": getattr(figure, size) for name, draw in FIGURES.items() for figure in [draw(four)] for size in ("wide", "narrow")
    }


def letters(drawing: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(drawing).iter(f"{SVG}text")]


def curve(x: list[float], y: list[float], **fields: object) -> Curve:
    return Curve(name="roc", subject="a", x=tuple(x), y=tuple(y), x_label="fpr", y_label="tpr", **fields)


def test_drawings_are_well_formed_and_have_a_text_alternative(drawn: dict[str, str]):
    for drawing in drawn.values():
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img"
        assert len(root.get("aria-label") or "") > 60
        assert root.get("width") is None
        assert re.fullmatch(r"max-width:\d+px", root.get("style") or "")


def test_ids_are_unique_over_the_whole_page(drawn: dict[str, str]):
    ids = [found for drawing in drawn.values() for found in re.findall(r'\bid="([^"]+)"', drawing)]
    used = {found for drawing in drawn.values() for found in re.findall(r"url\(#([^)]+)\)", drawing)}
    assert len(set(ids)) == len(ids)
    assert used <= set(ids)


def test_no_colour_is_left_that_does_not_follow_the_scheme(drawn: dict[str, str]):
    for drawing in drawn.values():
        painted = set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawing))
        assert {colour for colour in painted if not colour.startswith("var(--")} <= {"none", "transparent"}


def test_wide_and_narrow_drawings_fit_their_screens(drawn: dict[str, str]):
    for name, drawing in drawn.items():
        width = int(re.search(r'viewBox="0 0 (\d+) ', drawing)[1])
        assert width <= (768 if name.endswith("wide") else 360), name
        assert width >= (660 if name.endswith("wide") else 310), name


def test_the_same_document_gives_the_same_drawing(four: Document):
    assert cost.time_chart(four, width=700).to_dict() == cost.time_chart(four, width=700).to_dict()
    assert FIGURES["losses"](four) == FIGURES["losses"](four)


def test_charts_are_valid_vega_lite(four: Document):
    """Drawing skips the check because it is slow, so it is made here."""
    for chart in (
        tradeoff.chart(four, width=300, height=200, columns=1),
        roc.chart(four, width=300, height=200, columns=2),
        cost.time_chart(four, width=300),
        cost.loss_chart(four, width=300, height=200),
    ):
        assert svg.configured(chart).to_dict(validate=True)


def test_empty_states_are_told():
    bare = gather([replace(record_of(RUNS[0]), evidence=Evidence())], title="t")
    for draw in FIGURES.values():
        figure = draw(bare)
        assert figure.empty.endswith(".")
        assert (figure.wide, figure.narrow) == ("", "")


def test_one_timed_run_has_nothing_to_compare_with(alone: Document):
    assert FIGURES["times"](alone).empty == "Only one run was timed, so there is nothing to compare."


def test_the_trade_off_names_runs_axes_and_the_naive_account(drawn: dict[str, str]):
    words = letters(drawn["tradeoff-wide"])
    assert words.count("dp-sgd-eps-2") == words.count("naive: 5.83") == words.count("no promise") == 2
    assert {"Intent accuracy", "Slot F1", "promised ε (logarithmic; smaller is stronger)"} <= set(words)
    assert letters(drawn["tradeoff-narrow"]).count("promised ε (logarithmic; smaller is stronger)") == 1


def test_points_stand_at_what_is_proved_not_at_what_is_naive(four: Document):
    found = {point.name: point for point in tradeoff.points(four, "intent_accuracy")}
    assert (found["edp-sgd"].epsilon, found["edp-sgd"].naive) == (31.7, 5.83)
    assert found["non-private"].epsilon is None
    assert found["dp-sgd"].naive is None
    assert found["dp-sgd"].value == pytest.approx(95.7)
    assert found["dp-sgd"].low < 95.7 < found["dp-sgd"].high


def test_the_axis_of_epsilon_is_logarithmic_and_keeps_no_promise_apart():
    axis = tradeoff.Axis.over([2.0, 31.7, 5.83])
    assert axis.ticks == (1, 2, 4, 8, 16, 32)
    assert axis.low < 2 < 31.7 < axis.divider < axis.unbounded < axis.high
    steps = [axis.pixel(epsilon, 300) for epsilon in (2.0, 4.0, 8.0)]
    assert steps[2] - steps[1] == pytest.approx(steps[1] - steps[0])
    assert axis.pixel(None, 300) == pytest.approx(300 * tradeoff.UNBOUNDED)


@pytest.mark.parametrize("epsilons", [[], [8.0], [1e-3], [0.01, 1000.0], [500.0]])
def test_any_epsilons_get_an_axis_with_ticks_on_it(epsilons: list[float]):
    axis = tradeoff.Axis.over(epsilons)
    assert 1 <= len(axis.ticks) <= 7
    assert all(axis.low <= tick <= axis.divider for tick in axis.ticks)


def test_scores_without_intervals_and_promises_of_nought_are_drawn(named: Make):
    document = named({"name": "a", "epsilon": 0.0}, {"name": "b", "epsilon": 1e6})
    bare = tuple(replace(estimate, interval=None) for estimate in document.evidence.estimates)
    figure = FIGURES["tradeoff"](replace(document, evidence=replace(document.evidence, estimates=bare)))
    assert "a" in letters(figure.wide)


def test_the_roc_is_drawn_from_the_floor_to_the_end():
    found = roc.drawable(curve([0.0, 5e-5, 0.5, 1.0], [0.0, 0.2, 0.6, 1.0]))
    assert (found[0]["x"], found[0]["y"]) == (roc.FLOOR, 0.2), "what was reached before the floor stands at the floor"
    assert (found[-1]["x"], found[-1]["y"]) == (1.0, 1.0)
    late = roc.drawable(curve([0.01, 1.0], [0.0, 1.0]))
    assert [(row["x"], row["y"]) for row in late] == [(roc.FLOOR, roc.FLOOR), (0.01, roc.FLOOR), (1.0, 1.0)]


def test_corners_that_cannot_be_told_apart_are_dropped_and_no_others():
    fine = [count / 100_000 for count in range(1, 100_001, 3)]
    found = roc.drawable(curve([0.0, *fine, 1.0], [0.0, *fine, 1.0]))
    assert len(found) < 400
    gaps = [math.log(later["x"] / earlier["x"]) for earlier, later in itertools.pairwise(found[2:])]
    assert max(gaps) < 0.2


def test_the_band_is_drawn_with_the_curve():
    found = roc.drawable(curve([0.1, 1.0], [0.2, 1.0], low=(0.0, 0.9), high=(0.3, 1.0)))
    assert (found[1]["low"], found[1]["high"]) == (roc.FLOOR, 0.3)


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0, 31.7])
def test_the_cap_is_that_of_the_claim(claim: Callable[..., PrivacyClaim], epsilon: float):
    made = claim(epsilon)
    rows = roc.capped(made)
    assert rows[0]["x"] == roc.FLOOR
    assert rows[-1]["x"] == pytest.approx(1.0)
    for row in rows:
        assert row["cap"] == pytest.approx(max(roc.FLOOR, made.cap(row["x"])))
    assert made.cap(roc.elbow(made)) == pytest.approx(1.0, abs=math.exp(-epsilon) + 1e-9)
    assert made.cap(roc.elbow(made) / 2) < 1 - 1e-9 or epsilon > 30


def test_each_panel_says_what_its_promise_rules_out(drawn: dict[str, str]):
    words = [word.replace("\N{NO-BREAK SPACE}", " ") for word in letters(drawn["roc-wide"])]
    assert "ruled out by ε = 2" in words
    assert "cap of ε = 8" in words
    assert "ε = 31.7 rules out nothing here" in words
    assert words.count("not resolved") == 4
    assert "AUC 0.517 (0.484–0.549)" in words


def test_a_run_that_was_not_attacked_has_no_panel_but_a_word(four: Document):
    curves = tuple(found for found in four.evidence.curves if (found.name, found.subject) != ("roc", "dp-sgd"))
    document = replace(four, evidence=replace(four.evidence, curves=curves))
    assert list(roc.attacked(document)) == [0, 1, 3]
    assert "dp-sgd: not attacked" in roc.describe(document)


def test_a_roc_without_a_band_a_claim_or_counts_is_drawn():
    bare = Evidence(curves=(curve([0.0, 0.1, 1.0], [0.0, 0.4, 1.0]),))
    figure = FIGURES["roc"](gather([bare], title="t"))
    assert "a" in letters(figure.wide)
    assert "Dashed" not in figure.caption


def test_times_are_multiples_of_the_baseline(four: Document, drawn: dict[str, str]):
    ratios = {own.subject: ratio.value for _, own, ratio in cost.times(four)}
    assert ratios == {"non-private": 1.0, "edp-sgd": 4.92 / 4.11, "dp-sgd": 6.87 / 4.11, "dp-sgd-eps-2": 6.79 / 4.11}
    assert "1.67×  (6.9 s)" in letters(drawn["times-wide"])


def test_runs_without_a_timed_baseline_are_not_compared():
    document = gather([usefulness(RUNS[0]), training(RUNS[1], None)], title="t")
    assert cost.times(document) == []


def test_losses_end_with_the_names_of_their_runs(drawn: dict[str, str]):
    words = letters(drawn["losses-narrow"])
    assert {"non-private", "edp-sgd", "dp-sgd", "dp-sgd-eps-2", "epoch", "Mean training loss (nats)"} <= set(words)


@pytest.mark.parametrize("y", [(0.0, 0.0), (-2.0, -1.0), (5.0, 5.0)])
def test_losses_of_any_size_and_kind_are_drawn(y: tuple[float, float]):
    fields = {"subject": "a", "x": (1.0, 2.0), "x_label": "epoch", "y_label": "loss"}
    document = gather(
        [Evidence(curves=(Curve(name="validation_loss", y=y, **fields), Curve(name="training_loss", y=y, **fields)))], title="t"
    )
    assert [name for name, _ in cost.losses(document)] == ["training_loss", "validation_loss"]
    assert letters(FIGURES["losses"](document).wide).count("Loss") == 2


def test_one_epoch_is_a_curve_too():
    only = Curve(name="training_loss", subject="a", x=(1.0,), y=(2.0,), x_label="epoch", y_label="loss")
    assert "a" in letters(FIGURES["losses"](gather([Evidence(curves=(only,))], title="t")).wide)


def test_words_of_charts_hold_their_figures(four: Document):
    spoken = tradeoff.describe(four)
    assert "dp-sgd: ε = 8, Intent accuracy 95.7% (93.9–97.0%), Slot F1 85.3% (82.5–87.7%)" in spoken
    assert "non-private: no promise" in spoken
    assert "dp-sgd-eps-2: area 0.506 (0.473–0.538); its promise caps the true positive rate at 1% false positives at 7.38%" in roc.describe(
        four
    )
    assert "dp-sgd: 1.67×, 6.9 s" in cost.describe_times(four)
    assert "non-private from 2.90 at epoch 1 to 0.21 at epoch 20" in cost.describe_losses(four)


def test_names_of_users_cannot_break_out_of_a_drawing(named: Make):
    document = named({"name": '</svg><script>alert("1")</script>'}, {"name": "\"' onload='alert(1)"})
    for draw in FIGURES.values():
        for drawing in (draw(document).wide, draw(document).narrow):
            root = ElementTree.fromstring(drawing)
            assert not list(root.iter(f"{SVG}script"))
            assert not [name for part in root.iter() for name in part.attrib if name.startswith("on")]


def test_what_is_no_drawing_is_refused():
    with pytest.raises(ValueError, match="not a drawing of vl-convert"):
        svg.polish("<p>", name="a", alternative="b")


def test_polishing_keeps_texts_as_they_are():
    words = 'a role="img" d="1.23456" "#c8480c"'
    drawing = f'<svg width="10.4" height="9.6"><text class="x" font-family="Y">{words}</text><path d="M1.23456,2"/></svg>'
    polished = svg.polish(drawing, name="a", alternative='say "b"')
    assert '<path d="M1.23,2"/>' in polished
    assert 'viewBox="0 0 10 10"' in polished
    assert "say &quot;b&quot;" in polished
    assert letters(polished) == [words]


def test_the_runs_keep_their_colours_in_every_chart(drawn: dict[str, str]):
    for drawing in drawn.values():
        for run in range(4):
            assert f"var(--run-{run + 1}, {theme.colour(run)})" in drawing


def test_evidence_of_an_attack_alone_is_enough_for_its_chart():
    assert roc.has_any(gather([leakage(RUNS[0], None)], title="t"))
    assert not roc.has_any(gather([usefulness(RUNS[0])], title="t"))
