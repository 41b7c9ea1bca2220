"""A panel of lines with the name of each at its end: scores by round, by decile of clients, by period."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.report.figures import Figure
from holdfast.report.figures.labels import spread, text_width
from holdfast.report.figures.svg import over, render
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape

LEFT = 40  # room for the labels of the y axis
LINE = 15  # height of a name
MOST = 24  # lines that are drawn; the table holds all
POINTS = 200  # of a line at most; a longer one is thinned, its last point kept
_BAND = 0.13  # opacity


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line.

    Args:
        run: Number of its colour and mark.
        name: What stands at its end.
        x: Ascending.
        y: As many; shares in [0, 1] where the panel is in percent.
        low: Lower ends of intervals, as many, or empty.
        high: Upper ends, likewise.
    """

    run: int
    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What stands around the lines.

    Args:
        heading: Above the panel.
        bottom: Title of the x axis, or empty.
        percent: Whether y are shares, to be shown in percent.
        marked: Whether each point has its mark and its interval as a rule, else only the end has a mark and intervals are a band.
        floor: What the y axis must reach down to; None leaves it to the lines.
        ticks: Names of the x values, where they are no numbers.
    """

    heading: str
    bottom: str
    percent: bool = False
    marked: bool = False
    floor: float | None = 0.0
    ticks: tuple[tuple[float, str], ...] = ()


def panel(lines: Sequence[Line], frame: Frame, *, width: int, height: int, room: int) -> Any:
    """One panel.

    Args:
        lines: At least one.
        frame: What stands around them.
        width: Of the inside, in pixels.
        height: Of the inside; more where the names need it.
        room: For the names, to the right of the inside.
    """
    import altair as alt

    drawn = lines[:MOST]
    height = max(height, LINE * len(drawn) + 8)
    low, high = _ends(drawn, frame)
    first, last = min(line.x[0] for line in drawn), max(line.x[-1] for line in drawn)
    pad = 0.04 * (last - first) if frame.marked else 0.0
    span = [first - pad, last + pad] if last > first else [first - 1, first + 1]
    x = alt.X("x:Q", scale=alt.Scale(domain=span, nice=False), axis=_bottom(frame, width))
    scale, left = alt.Scale(domain=[low, high], nice=False), _left(frame)
    y, ends = alt.Y("y:Q", scale=scale, axis=left), alt.Y("low:Q", scale=scale, axis=left)  # else the ends would reach down to nought
    layers = [*_drawn(drawn, frame, x, y, ends), *_names(drawn, (low, high), width=width, height=height, room=room)]
    heading = frame.heading if len(lines) == len(drawn) else f"{frame.heading} (and {len(lines) - len(drawn)} more in the table)"
    layers.append(text(heading, x=-LEFT, y=-18, size=13, bold=True))
    return alt.layer(*layers, width=width, height=height)


def stacked(panels: Sequence[Any], *, columns: int, room: int) -> Any:
    """Panels in rows, each with room for its names."""
    import altair as alt

    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": room + LEFT + 14, "row": 84})


def figure(name: str, *, title: str, caption: str, alternative: str, wide: Any, narrow: Any) -> Figure:
    """A chart in its two drawings.

    Args:
        name: Its id on the page.
        title: What it shows.
        caption: How to read it.
        alternative: What it shows, in words.
        wide: The chart for wide screens and print.
        narrow: The same for narrow screens.
    """
    drawings = {size: render(chart, name=f"{name}-{size}", alternative=alternative) for size, chart in (("wide", wide), ("narrow", narrow))}
    return Figure(name=name, title=title, caption=caption, **drawings)


def brief(names: Sequence[str], limit: int) -> list[str]:
    """Names that fit into a chart; where cutting off their ends would make two alike, what they have in common is left out instead.

    >>> brief(["activity^1, seed 1", "activity^1, seed 2", "short"], 12)
    ['act…seed 1', 'act…seed 2', 'short']
    >>> brief(["a very long name", "another"], 8)
    ['a very …', 'another']
    """
    cut = [_cut(name, limit) for name in names]
    found = []
    for name, short in zip(names, cut, strict=True):
        alike = sorted({full for full, other in zip(names, cut, strict=True) if other == short})
        common = next((place for place, signs in enumerate(zip(*alike, strict=False)) if len(set(signs)) > 1), min(map(len, alike)))
        words = [place for place in range(3, common + 1) if not name[place - 1].isalnum()]  # where a word begins before they part
        whole = [place for place in words if len(name) - place <= limit - 4]
        if len(alike) == 1 or not words:
            found.append(short)
        else:
            found.append(f"{name[:3]}…{_cut(name[min(whole, default=words[-1]) :].lstrip(), limit - 4)}")
    return found


def _cut(name: str, limit: int) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def room_for(names: Sequence[str], limit: int) -> int:
    """How wide the longest of the shortened names is, with its mark, in pixels."""
    return 20 + math.ceil(max((text_width(name) for name in brief(names, limit)), default=0.0))


def thinned(count: int) -> list[int]:
    """Places of the points of a curve that are drawn, at most about `POINTS`; the last is among them."""
    step = math.ceil(count / POINTS)
    return sorted({*range(0, count, step), count - 1})


def _drawn(lines: Sequence[Line], frame: Frame, x: Any, y: Any, ends: Any) -> Iterator[Any]:
    """All intervals, then all lines, then all marks: a layer for each kind, since layers are what drawing takes time for."""
    rows = [row for place, line in enumerate(lines) for row in _rows(line, frame, place, len(lines))]
    spans = [row for row in rows if "low" in row]
    if spans:
        base = over(spans)
        mark = base.mark_rule(strokeWidth=1.6, opacity=0.45) if frame.marked else base.mark_area(opacity=_BAND, line=False)
        yield mark.encode(x=x, y=ends, y2="high:Q", color=ink(), detail="line:N")
    yield over(rows).mark_line(strokeWidth=1.8).encode(x=x, y=y, color=ink(), detail="line:N")
    yield marks([row for row in rows if frame.marked or row["last"]], x=x, y=y, size=46)


def _rows(line: Line, frame: Frame, place: int, count: int) -> Iterator[dict[str, Any]]:
    """The points of a line that are drawn; where points have intervals, runs stand a little apart."""
    shift = (place - (count - 1) / 2) * min(0.16, 0.6 / count) if frame.marked and line.low else 0.0
    kept = thinned(len(line.x))
    for point in kept:
        row: dict[str, Any] = {"x": line.x[point] + shift, "y": line.y[point], "line": place, "last": point == kept[-1]}
        row |= {"ink": colour(line.run), "shape": shape(line.run)}
        yield row | ({"low": line.low[point], "high": line.high[point]} if line.low else {})


def _names(lines: Sequence[Line], ends: tuple[float, float], *, width: int, height: int, room: int) -> Iterator[Any]:
    """Mark and name of each line to the right of its end."""
    low, high = ends
    wishes = [height * (high - line.y[-1]) / (high - low) for line in lines]
    shortened = brief([line.name for line in lines], int((room - 20) / text_width("m")))
    places = spread(wishes, gap=LINE, low=4, high=height - 4)
    rows = [
        {"name": name, "at": at, "ink": colour(line.run), "shape": shape(line.run)}
        for line, name, at in zip(lines, shortened, places, strict=True)
    ]
    yield from named(rows, mark=width + 10, name=width + 18)


def named(rows: Sequence[Mapping[str, Any]], *, mark: float, name: float) -> Iterator[Any]:
    """Marks with names beside them, in the colours of their runs.

    Args:
        rows: Each with "name", "at" (its middle in pixels from above), "ink" and "shape".
        mark: Where the marks stand, in pixels from the left.
        name: Where the names begin.
    """
    import altair as alt

    y = alt.Y("at:Q", scale=None, axis=None)
    yield marks(rows, x=alt.value(mark), y=y, size=40)
    words = over(rows).mark_text(align="left", fontWeight=600, stroke=role("page"), strokeWidth=3)
    yield words.encode(x=alt.value(name), y=y, text="name:N", color=ink())


def marks(rows: Sequence[Mapping[str, Any]], *, x: Any, y: Any, size: int) -> Any:
    """Marks in the colour and the shape of their runs, each row with "ink" and "shape"."""
    import altair as alt

    points = over(rows).mark_point(filled=True, size=size, opacity=1)
    return points.encode(x=x, y=y, color=ink(), shape=alt.Shape("shape:N", scale=None, legend=None))


def ink() -> Any:
    """The colour that a row names."""
    import altair as alt

    return alt.Color("ink:N", scale=None, legend=None)


def _ends(lines: Sequence[Line], frame: Frame) -> tuple[float, float]:
    """Least and largest y of the panel, with a margin; shares stay within 0 and 1."""
    values = [value for line in lines for value in (*line.y, *line.low, *line.high)]
    least, most = min(values), max(values)
    if frame.floor is not None:
        least = min(least, frame.floor)
    margin = 0.06 * (most - least) or 0.05 * abs(most) or 1.0
    grounded = frame.floor is not None and least == frame.floor
    if grounded and frame.marked:
        return least - 0.75 * margin, most + margin  # so that marks on the ground do not hide the names below it
    low, high = least if grounded else least - margin, most + margin
    return (max(0.0, low), min(1.0, high)) if frame.percent and least >= 0 and most <= 1 and least < 1 else (low, high)


def _bottom(frame: Frame, width: int) -> Any:
    """The axis of rounds, deciles or periods."""
    import altair as alt

    if not frame.ticks:
        return alt.Axis(title=frame.bottom or None, grid=False, tickMinStep=1, tickCount=max(2, width // 60), labelFlush=True)
    step = math.ceil(sum(text_width(name) + 8 for _, name in frame.ticks) / width)
    names = {f"{value:g}": name for value, name in frame.ticks}
    return alt.Axis(
        title=frame.bottom or None,
        grid=False,
        ticks=False,
        values=[value for value, _ in frame.ticks[::step]],
        labelExpr=f"{json.dumps(names)}[format(datum.value, '~g')]",
        labelOverlap=False,
    )


def _left(frame: Frame) -> Any:
    import altair as alt

    shares = {"labelExpr": "format(datum.value * 100, '~r') + '%'"} if frame.percent else {}
    return alt.Axis(title=None, tickCount=5, domain=False, ticks=False, minExtent=LEFT, maxExtent=LEFT, **shares)
