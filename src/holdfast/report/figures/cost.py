"""What a run costs in time, and how its loss went down."""

from __future__ import annotations

from typing import Any

from holdfast.core.evidence import Curve, Estimate
from holdfast.report.comparison import ratio
from holdfast.report.document import Document
from holdfast.report.figures.labels import shortened, spread, text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import written

LOSSES = ("training_loss", "validation_loss")
ROW = 46  # height of a run in the chart of times
LEFT = 36  # room for the labels of the y axis


def times(document: Document) -> list[tuple[int, Estimate, Estimate]]:
    """For each timed run its number, its time, and the ratio to the baseline; nothing where the baseline was not timed."""
    base = document.estimate("seconds_per_epoch", document.baseline)
    found = []
    for run, name in enumerate(document.names):
        own = document.estimate("seconds_per_epoch", name)
        times_as_long = None if own is None or base is None else ratio(own, base)
        if own is not None and times_as_long is not None:
            found.append((run, own, times_as_long))
    return found


def describe_times(document: Document) -> str:
    """The chart of times in words, for whoever does not see it."""
    parts = [f"{own.subject}: {written(ratio).value}, {written(own).value}" for _, own, ratio in times(document)]
    return f"Time for one epoch, as a multiple of {document.baseline}. {'; '.join(parts)}."


def time_chart(document: Document, *, width: int) -> Any:
    """A bar for each run, as long as its time over that of the baseline.

    Args:
        document: What to draw; at least one timed run.
        width: Of the chart, in pixels.
    """
    import altair as alt

    found = times(document)
    longest = max(estimate.interval.high if estimate.interval else estimate.value or 0 for _, _, estimate in found)
    room = max(text_width(_figures(own, estimate)) for _, own, estimate in found) + 14
    scale = alt.Scale(domain=[0, max(longest, 1.0) * width / max(60.0, width - room)], nice=False)
    x = alt.X(
        "value:Q",
        scale=scale,
        axis=alt.Axis(title=None, labelExpr="format(datum.value, '~r') + '×'", tickCount=5, domain=False, ticks=False),
    )
    layers: list[Any] = []
    for row, (run, own, estimate) in enumerate(found):
        assert estimate.value is not None
        middle, top = row * ROW + 31, row * ROW + 11
        data = over([{"value": estimate.value, "zero": 0}])
        layers.append(data.mark_bar(color=colour(run), height=14, cornerRadiusEnd=2).encode(x=x, x2="zero:Q", y=alt.value(middle)))
        reach = estimate.value
        if estimate.interval is not None:
            ends = over([{"low": estimate.interval.low, "high": estimate.interval.high}])
            for rim, thickness in (("page", 4.0), ("ink", 1.5)):  # seen on a dark bar and on a light page alike
                rule = ends.mark_rule(color=role(rim), strokeWidth=thickness)
                layers.append(rule.encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=alt.value(middle)))
            reach = estimate.interval.high
        layers.append(text(shortened(own.subject, 40), x=0, y=top, bold=True, ink=colour(run)))
        layers.append(text(_figures(own, estimate), x=width * reach / scale.domain[1] + 8, y=middle))
    same = over([{"value": 1}]).mark_rule(color=role("rule"), strokeDash=[4, 4])
    return alt.layer(same.encode(x=x), *layers, width=width, height=ROW * len(found) + 4)


def losses(document: Document) -> list[tuple[str, list[tuple[int, Curve]]]]:
    """The loss curves that any run has, by their name, each with the runs that have it."""
    found = []
    for quantity in LOSSES:
        curves = [(run, document.curve(quantity, name)) for run, name in enumerate(document.names)]
        drawn = [(run, curve) for run, curve in curves if curve is not None and curve.x]
        if drawn:
            found.append((quantity, drawn))
    return found


def describe_losses(document: Document) -> str:
    """The chart of losses in words, for whoever does not see it."""
    parts = []
    for quantity, curves in losses(document):
        ends = "; ".join(
            f"{curve.subject} from {curve.y[0]:.2f} at epoch {curve.x[0]:g} to {curve.y[-1]:.2f} at epoch {curve.x[-1]:g}"
            for _, curve in curves
        )
        parts.append(f"{quantity.replace('_', ' ').capitalize()} by epoch: {ends}.")
    return " ".join(parts)


def loss_chart(document: Document, *, width: int, height: int) -> Any:
    """A line for each run with its name at the end; a panel for each kind of loss.

    Args:
        document: What to draw; at least one curve.
        width: Of the chart without the labels of the y axis, in pixels.
        height: Of the inside of a panel.
    """
    import altair as alt

    names = [shortened(curve.subject, 16) for _, curves in losses(document) for _, curve in curves]
    inside = width - round(max(map(text_width, names))) - 12
    panels = [_panel(curves, inside, height) for _, curves in losses(document)]
    return alt.concat(*panels, columns=1, bounds="flush", spacing={"row": 76})


def _panel(curves: list[tuple[int, Curve]], width: int, height: int) -> Any:
    import altair as alt

    floor = min(0.0, *(min(curve.y) for _, curve in curves))
    highest = max(max(curve.y) for _, curve in curves)
    top = highest + 0.05 * (highest - floor) if highest > floor else floor + 1.0
    last = max(max(curve.x) for _, curve in curves)
    first = min(min(curve.x) for _, curve in curves)
    bottom = alt.Axis(title=curves[0][1].x_label, grid=False, tickMinStep=1, tickCount=max(2, width // 60))
    left = alt.Axis(title=None, tickCount=5, domain=False, ticks=False, minExtent=LEFT, maxExtent=LEFT)
    x = alt.X("x:Q", scale=alt.Scale(domain=[first, max(last, first + 1)], nice=False), axis=bottom)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[floor, top], nice=False), axis=left)
    layers: list[Any] = []
    for run, curve in curves:
        data = over([{"x": a, "y": b} for a, b in zip(curve.x, curve.y, strict=True)])
        layers.append(data.mark_line(color=colour(run), strokeWidth=2).encode(x=x, y=y))
        end = over([{"x": curve.x[-1], "y": curve.y[-1]}])
        layers.append(end.mark_point(filled=True, size=50, opacity=1, color=colour(run), shape=shape(run)).encode(x=x, y=y))
    wishes = [height * (top - curve.y[-1]) / (top - floor) for _, curve in curves]
    for (run, curve), place in zip(curves, spread(wishes, gap=15, low=7, high=height - 7), strict=True):
        name = shortened(curve.subject, 16)
        layers.append(text(name, x=width + 10, y=place, bold=True, ink=colour(run)))
    heading = curves[0][1].y_label
    layers.append(text(heading[:1].upper() + heading[1:], x=-LEFT, y=-16, size=13, bold=True))
    return alt.layer(*layers, width=width, height=height)


def _figures(own: Estimate, estimate: Estimate) -> str:
    return f"{written(estimate).value}  ({written(own).value})"
