"""Promised against measured: a mark for each level of noise, filled where epsilon is proved and hollow where it is naive."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.report.figures.labels import text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape

LEFT = 40  # room for the labels of the y axis
RADIUS = 4.5
SMALLEST = 1e-3  # a logarithm has no place for an epsilon of nought


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One level of noise.

    Args:
        epsilon: What is proved.
        naive: What naive accounting would claim, or None.
        value: What was measured.
        low: Lower end of its interval.
        high: Upper end.
    """

    epsilon: float
    naive: float | None
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Series:
    """The marks of one method, in the order of their epsilon.

    Args:
        name: Written beside it.
        number: Of its colour and shape.
        marks: At least one.
    """

    name: str
    number: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line to compare with.

    Args:
        name: Written on it.
        value: Where it is.
        number: Of its colour; None for a thin dotted one.
    """

    name: str
    value: float
    number: int | None = None


def chart(series: Sequence[Series], levels: Sequence[Level], *, title: str, percent: bool, width: int, height: int) -> Any:
    """Draws what was measured over the promised epsilon.

    Args:
        series: One for each method.
        levels: Lines to compare with.
        title: Above the y axis.
        percent: Whether the values are in percent.
        width: Of the inside, in pixels.
        height: Of the inside.
    """
    import altair as alt

    epsilons = [max(SMALLEST, one) for each in series for mark in each.marks for one in (mark.epsilon, mark.naive) if one is not None]
    ends = [end for each in series for mark in each.marks for end in (mark.low, mark.high)] + [line.value for line in levels]
    margin = 0.08 * (max(ends) - min(ends)) or 0.05
    domain = [min(epsilons) / 1.7, max(epsilons) * 1.7]
    bottom = alt.Axis(
        values=_ticks(domain, most=max(3, width // 70)),
        title="promised ε (logarithmic; smaller is stronger)",
        labelExpr="format(datum.value, ',~r')",
        grid=False,
        labelOverlap=False,
    )
    left = alt.Axis(
        title=None, tickCount=5, domain=False, ticks=False, minExtent=LEFT, maxExtent=LEFT, labelExpr="datum.label" + " + '%'" * percent
    )
    x = alt.X("epsilon:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=bottom)
    y = alt.Y("value:Q", scale=alt.Scale(domain=[min(ends) - margin, max(ends) + margin], nice=False, zero=False), axis=left)
    layers = [*_lines(levels, y, width), *(layer for each in series for layer in _series(each, x, y))]
    names = _legend(series)
    heading = text(title, x=-LEFT, y=-34, size=13, bold=True)
    over_lines = _line_names(levels, low=min(ends) - margin, high=max(ends) + margin, width=width, height=height)
    return alt.layer(*layers, *names, *over_lines, heading, width=width, height=height)


def _series(series: Series, x: Any, y: Any) -> Iterator[Any]:
    import altair as alt

    ink = colour(series.number)
    rows = [{"epsilon": max(SMALLEST, mark.epsilon), "value": mark.value, "low": mark.low, "high": mark.high} for mark in series.marks]
    hollow = [{"epsilon": max(SMALLEST, mark.naive), "value": mark.value} for mark in series.marks if mark.naive is not None]
    size = 4 * RADIUS * RADIUS
    for row, mark in zip(rows, series.marks, strict=True):
        if mark.naive is not None:
            tie = over([row, {**row, "epsilon": max(SMALLEST, mark.naive)}])
            yield tie.mark_line(color=ink, strokeDash=[2, 3], strokeWidth=1, opacity=0.8).encode(x=x, y=y)
    base = over(rows)
    yield base.mark_line(color=ink, strokeWidth=1.5, opacity=0.5).encode(x=x, y=y)
    yield base.mark_rule(color=ink, strokeWidth=2, opacity=0.55).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q")
    yield base.mark_point(filled=True, color=ink, shape=shape(series.number), size=size, opacity=1).encode(x=x, y=y)
    if hollow:
        look = {"fill": role("page"), "stroke": ink, "strokeWidth": 1.6, "shape": shape(series.number), "size": size}
        yield over(hollow).mark_point(filled=True, opacity=1, **look).encode(x=x, y=y)


def _lines(levels: Sequence[Level], y: Any, width: int) -> Iterator[Any]:
    import altair as alt

    for line in levels:
        ink = role("rule") if line.number is None else colour(line.number)
        dash = [2, 3] if line.number is None else [6, 3]
        rule = over([{"value": line.value}]).mark_rule(color=ink, strokeDash=dash, strokeWidth=1.5)
        yield rule.encode(x=alt.value(0), x2=alt.value(width), y=y)


def _line_names(levels: Sequence[Level], *, low: float, high: float, width: int, height: int) -> Iterator[Any]:
    """No privacy is named on the left, where tight promises leave room at its height; guessing on the right and below."""
    for line in levels:
        middle = height * (high - line.value) / (high - low)
        if line.number is None:
            yield text(line.name, x=width, y=middle + 10, align="right", ink="muted")
        else:
            yield text(line.name, x=4, y=middle - 10 if middle > 20 else middle + 11, ink=colour(line.number), bold=True)


def _legend(series: Sequence[Series]) -> Iterator[Any]:
    """Names with their marks in a row above the chart."""
    import altair as alt

    across = 0.0
    for each in series:
        mark = over([{}]).mark_point(filled=True, color=colour(each.number), shape=shape(each.number), size=4 * RADIUS * RADIUS, opacity=1)
        yield mark.encode(x=alt.value(across + 5), y=alt.value(-14))
        yield text(each.name, x=across + 14, y=-14, ink=colour(each.number), bold=True)
        across += 14 + text_width(each.name) + 16


def _ticks(domain: Sequence[float], *, most: int) -> list[float]:
    """Powers of ten inside the domain, with their threefolds where there is room; both ends where it holds none."""
    low, high = domain
    tens = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    inside = [ten for ten in tens if low <= ten <= high]
    both = sorted([*inside, *(3 * ten for ten in tens if low <= 3 * ten <= high)])
    if len(both) <= most:
        return both or [float(f"{end:.2g}") for end in domain]
    return inside[:: -(-len(inside) // most)]
