"""The charts of client selection: what each strategy gains, for whom, and how fast it converges."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report.federation.lines import LEFT, Frame, Line, figure, ink, marks, panel, room_for, stacked
from holdfast.report.federation.reading import measure_label
from holdfast.report.figures import NARROW, WIDE, Figure
from holdfast.report.figures.labels import shortened, text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import significant, written
from holdfast.report.reproductions.client_selection.grid import (
    CONVERGENCE,
    GAIN,
    GAIN_HEAVY,
    GAIN_LIGHT,
    UNIFORM,
    SelectionCell,
    cells,
    estimate,
    measure,
    place_words,
    places,
)

ROW = 36  # height of a strategy
GAP = 26  # between two panels
MARK = 70  # area
_NAME = 14  # letters of a name beside a small panel


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is drawn of a cell.

    Args:
        quantity: A gain.
        word: What to call it.
        hollow: Whether its mark is.
    """

    quantity: str
    word: str
    hollow: bool = False


ALL = (Track(quantity=GAIN, word="all clients"),)
ENDS = (Track(quantity=GAIN_LIGHT, word="light users", hollow=True), Track(quantity=GAIN_HEAVY, word="heavy users"))


def gains(evidence: Evidence) -> Figure:
    """What each strategy gains over uniform selection, for all clients."""
    caption = "Right of the line: better than choosing uniformly, with the same weights, schedule and seeds."
    return _gains(evidence, ALL, name="gains", title="What choosing clients gains over choosing uniformly", caption=caption)


def light_and_heavy(evidence: Evidence) -> Figure:
    """The same for light and for heavy users."""
    caption = (
        "Hollow, above: the clients of the three lightest deciles. Filled, below: those of the three heaviest. Left of the line a strategy "
        "serves them worse than choosing uniformly."
    )
    return _gains(evidence, ENDS, name="light-heavy", title="Who gains and who loses", caption=caption)


def convergence(evidence: Evidence) -> Figure:
    """The mean score of each strategy by round, with its band over seeds."""
    name, title = "mean-convergence", "How fast each strategy learns"
    panels: list[tuple[Frame, list[Line]]] = []
    for place in places(evidence):
        lines = [line for cell in cells(evidence) if cell.place == place and (line := _line(evidence, cell)) is not None]
        if lines:
            shares = all(0 <= value <= 1 for line in lines for value in (*line.y, *line.low, *line.high))
            panels.append((Frame(heading=_heading(place), bottom="round", percent=shares), lines))
    if not panels:
        return Figure(name=name, title=title, caption="", empty="No score was recorded by round.")
    whole = measure_label(measure(evidence))
    caption = f"Mean {whole} over seeds; bands are its interval at each round. Each line carries its strategy's name at the end."
    alternative = f"Mean {whole} by round. {' '.join(f'{frame.heading}: {_ends(lines)}.' for frame, lines in panels)}"
    room = room_for([line.name for _, lines in panels for line in lines], _NAME)
    columns = min(2, len(panels))
    inside = (WIDE - columns * (LEFT + room) - 22) // columns
    wide = stacked([panel(lines, frame, width=inside, height=180, room=room) for frame, lines in panels], columns=columns, room=room)
    inside = NARROW - LEFT - 4 - room
    narrow = stacked([panel(lines, frame, width=inside, height=160, room=room) for frame, lines in panels], columns=1, room=room)
    return figure(name, title=title, caption=caption, alternative=alternative, wide=wide, narrow=narrow)


def _gains(evidence: Evidence, tracks: Sequence[Track], *, name: str, title: str, caption: str) -> Figure:
    groups = [group for place in places(evidence) if (group := _group(evidence, place, tracks))]
    if not groups:
        return Figure(name=name, title=title, caption="", empty="Nothing was compared with uniform selection.")
    parts = [f"{cell.subject}: {_figures(evidence, cell, tracks)}" for group in groups for cell in group]
    columns = min(2, len(groups))
    width = math.floor((WIDE - 12 - (columns - 1) * GAP) / columns)
    wide = _panels(evidence, groups, tracks, width=width, columns=columns)
    narrow = _panels(evidence, groups, tracks, width=NARROW - 20, columns=1)
    return figure(
        name,
        title=title,
        caption=f"{caption} Lines are intervals over seeds.",
        alternative=f"{title}. {'; '.join(parts)}.",
        wide=wide,
        narrow=narrow,
    )


def _group(evidence: Evidence, place: tuple[str, str], tracks: Sequence[Track]) -> list[SelectionCell]:
    """The cells of one panel: those with something to draw."""
    there = [cell for cell in cells(evidence) if cell.place == place and cell.select != UNIFORM]
    return [cell for cell in there if any(estimate(evidence, track.quantity, cell) is not None for track in tracks)]


def _panels(evidence: Evidence, groups: Sequence[Sequence[SelectionCell]], tracks: Sequence[Track], *, width: int, columns: int) -> Any:
    import altair as alt

    known = [one for group in groups for cell in group for track in tracks if (one := estimate(evidence, track.quantity, cell)) is not None]
    ends = [abs(end) for one in known for end in (_span(one))]
    shares = all(one.unit == "share" for one in known)
    reach = 1.06 * (max(ends) or 0.01)
    rows = max(map(len, groups))
    panels = [
        _panel(evidence, group, tracks, reach, width=width, rows=rows if columns > 1 else len(group), shares=shares) for group in groups
    ]
    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": GAP, "row": 84})


def _panel(
    evidence: Evidence, group: Sequence[SelectionCell], tracks: Sequence[Track], reach: float, *, width: int, rows: int, shares: bool
) -> Any:
    import altair as alt

    step = ROW + 15 * (len(tracks) - 1)
    height = step * rows + 6
    label = (
        {"labelExpr": "datum.value ? format(datum.value * 100, '+~r') : '0'"}
        if shares
        else {"labelExpr": "datum.value ? format(datum.value, '+~r') : '0'"}
    )
    axis = alt.Axis(
        title="points" if shares else "gain", domain=False, ticks=False, tickCount=max(3, width // 70), labelFlush=True, **label
    )
    scale = alt.Scale(domain=[-reach, reach], nice=False)
    x = alt.X("value:Q", scale=scale, axis=axis)
    nought = over([{"value": 0}]).mark_rule(color=role("rule"), strokeWidth=1.6)
    layers: list[Any] = [nought.encode(x=x, y=alt.value(2), y2=alt.value(height))]
    y = alt.Y("at:Q", scale=None, axis=None)
    layers += _names(evidence, group, tracks, y, step, width)
    layers += _dots(evidence, group, tracks, (x, alt.X("low:Q", scale=scale)), y, step)
    layers.append(text(_heading(group[0].place), x=0, y=-26, size=13, bold=True))
    layers.append(text("uniform", x=width / 2, y=-8, align="center", ink="muted"))
    return alt.layer(*layers, width=width, height=height)


def _names(evidence: Evidence, group: Sequence[SelectionCell], tracks: Sequence[Track], y: Any, step: int, width: int) -> Iterator[Any]:
    """The name of each strategy, and where there is one figure of it, that figure."""
    import altair as alt

    names, figures = [], []
    for row, cell in enumerate(group):
        first = estimate(evidence, tracks[0].quantity, cell)
        told = written(first).full if len(tracks) == 1 and first is not None else ""
        room = int((width - text_width(told) - 8) / text_width("m"))
        names.append({"at": row * step + 11, "word": shortened(cell.strategy, max(6, room)), "ink": colour(cell.colour)})
        figures.append({"at": row * step + 11, "word": told})
    rim = {"stroke": role("page"), "strokeWidth": 3}
    yield over(names).mark_text(align="left", fontWeight=600, **rim).encode(x=alt.value(0), y=y, text="word:N", color=ink())
    yield over(figures).mark_text(align="right", color=role("muted"), **rim).encode(x=alt.value(width), y=y, text="word:N")


def _dots(
    evidence: Evidence, group: Sequence[SelectionCell], tracks: Sequence[Track], across: tuple[Any, Any], y: Any, step: int
) -> Iterator[Any]:
    """Below the name of each strategy a mark with its interval for each track."""
    import altair as alt

    x, low_end = across
    for place, track in enumerate(tracks):
        rows = []
        for row, cell in enumerate(group):
            found = estimate(evidence, track.quantity, cell)
            if found is not None:
                low, high = _span(found)
                look = {"ink": colour(cell.colour), "shape": shape(cell.colour)}
                rows.append({"at": row * step + 26 + 15 * place, "value": found.value, "low": low, "high": high, **look})
        if not rows:
            continue
        base = over(rows)
        yield base.mark_rule(strokeWidth=2.2, opacity=0.5).encode(x=low_end, x2="high:Q", y=y, color=ink())
        if track.hollow:
            mark = base.mark_point(filled=True, size=MARK, opacity=1, fill=role("page"), strokeWidth=1.8)
            yield mark.encode(
                x=x, y=y, stroke=alt.Stroke("ink:N", scale=None, legend=None), shape=alt.Shape("shape:N", scale=None, legend=None)
            )
        else:
            yield marks(rows, x=x, y=y, size=MARK)


def _line(evidence: Evidence, cell: SelectionCell) -> Line | None:
    curve = evidence.curve(CONVERGENCE, cell.subject)
    if curve is None or not curve.x:
        return None
    return Line(run=cell.colour, name=cell.strategy, x=curve.x, y=curve.y, low=curve.low, high=curve.high)


def _span(found: Estimate) -> tuple[float, float]:
    value = found.value or 0.0
    return (value, value) if found.interval is None else (found.interval.low, found.interval.high)


def _figures(evidence: Evidence, cell: SelectionCell, tracks: Sequence[Track]) -> str:
    known = [(track.word, found) for track in tracks if (found := estimate(evidence, track.quantity, cell)) is not None]
    return ", ".join(f"{word} {written(found).full}" for word, found in known)


def _ends(lines: Sequence[Line]) -> str:
    return "; ".join(
        f"{line.name} from {significant(line.y[0])} at round {line.x[0]:g} to {significant(line.y[-1])} at {line.x[-1]:g}" for line in lines
    )


def _heading(place: tuple[str, str]) -> str:
    words = place_words(place)
    return words[:1].upper() + words[1:]
