"""The charts of planted secrets: exposure by defence, and what accuracy says beside the rank."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.core.evidence import Evidence
from holdfast.report.figures import Figure
from holdfast.report.figures.labels import shortened, text_width
from holdfast.report.figures.svg import over, render
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import significant, written
from holdfast.report.reproductions.canary_extraction.grid import (
    ACCURACY,
    EXPOSURE,
    NULL,
    RANK,
    SecretCell,
    cells,
    estimate,
    label_of,
    places,
    value,
)

ROW, GAP = 36, 18  # height of a defence, and between two panels
LEFT = 40  # room for the labels of the y axis
MARK = 80  # area
LINE = 19  # height of a line of the legend
EDGE = 1.6  # of the axis of ranks, beyond both ends


def exposures(evidence: Evidence) -> Figure:
    """A panel for each length and number of repetitions: a dot and its interval for each defence."""
    name, title = "exposures", "How far the secrets stand out, by defence"
    shown = places(evidence)
    if not shown:
        return Figure(name=name, title=title, caption="", empty="No secret was ranked.")
    trainings = max(cell.trainings for cell in cells(evidence))
    caption = (
        f"Mean exposure over {trainings} trainings and its interval. The dotted line is a model that knows nothing ({NULL:.2f} bits); "
        "the panel ends at the most that there is, where every secret ranks first. A bit more halves the fills that an attacker has to try."
    )
    alternative = f"Mean exposure by defence. {'; '.join(_described(evidence, cell) for cell in cells(evidence))}."
    across = min(3, len(shown))
    room = (736 - 8 - (across - 1) * GAP) / across
    wide = _panels(evidence, width=math.floor(room), columns=across)
    narrow = _panels(evidence, width=326, columns=1)
    return _figure(name, title, caption, alternative, wide, narrow)


def accuracies(evidence: Evidence) -> Figure:
    """A mark for each cell: how many of its secrets were found whole, over their median rank."""
    name, title = "accuracies", "What accuracy says, and what the rank says"
    drawn = [cell for cell in cells(evidence) if value(evidence, RANK, cell) is not None and value(evidence, ACCURACY, cell) is not None]
    if not drawn:
        return Figure(name=name, title=title, caption="", empty="No secret was both ranked and searched for.")
    caption = (
        "Each mark is a cell. Left: secrets that rank first among all fills. The dotted line is the rank by chance. A mark at the "
        "bottom and far left of it is a leak that accuracy does not show."
    )
    alternative = f"Share of secrets found whole over their median rank. {'; '.join(_compared(evidence, cell) for cell in drawn)}."
    wide, narrow = (_scatter(evidence, drawn, width=width, height=height) for width, height in ((660, 260), (280, 230)))
    return _figure(name, title, caption, alternative, wide, narrow)


def _panels(evidence: Evidence, *, width: int, columns: int) -> Any:
    import altair as alt

    shown = places(evidence)
    groups = [[cell for cell in cells(evidence) if cell.place == place] for place in shown]
    rows = max(map(len, groups))
    most = [_most(evidence, group) for group in groups]
    panels = [
        _panel(evidence, group, end, width=width, rows=rows if columns > 1 else len(group)) for group, end in zip(groups, most, strict=True)
    ]
    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": GAP, "row": 84})


def _most(evidence: Evidence, group: Sequence[SecretCell]) -> float:
    """The largest mean exposure that there is; where a record does not say, the largest that is drawn."""
    found = [one for cell in group if (one := estimate(evidence, EXPOSURE, cell)) is not None]
    ends = [one.interval.high for one in found if one.interval is not None]
    return max([float(one.conditions["most"]) for one in found if "most" in one.conditions] + ends + [2 * NULL])


def _panel(evidence: Evidence, group: Sequence[SecretCell], end: float, *, width: int, rows: int) -> Any:
    import altair as alt

    height = ROW * rows + 6
    axis = alt.Axis(title="exposure (bits)", domain=False, ticks=False, tickCount=max(3, width // 60), labelFlush=True, format="~r")
    x = alt.X("value:Q", scale=alt.Scale(domain=[0, end], nice=False), axis=axis)
    edge = over([{"value": end}]).mark_rule(color=role("faint"), strokeWidth=1.6).encode(x=x, y=alt.value(2), y2=alt.value(height))
    names = text(_placed(group[0]), x=0, y=-24, size=13, bold=True)
    chance = text("by chance", x=max(width * NULL / end, text_width("by chance") / 2), y=-7, align="center", ink="muted")
    return alt.layer(edge, *_tracks(evidence, group, x, height), names, chance, width=width, height=height)


def _tracks(evidence: Evidence, group: Sequence[SecretCell], x: Any, height: int) -> Iterator[Any]:
    """For each defence its name, and below it what chance gives, its interval and its dot: a layer for each of these, for all."""
    import altair as alt

    labels, chances, rules, dots = [], [], [], []
    for index, cell in enumerate(group):
        found, look = estimate(evidence, EXPOSURE, cell), {"ink": colour(cell.colour), "shape": shape(cell.colour)}
        labels.append({"at": index * ROW + 11, "label": shortened(label_of(cell.defence), 26), **look})
        if found is None or found.value is None:
            continue
        at = index * ROW + 26
        chances.append({"value": NULL, "at": at - 8, "to": at + 9})  # so that it crosses no name
        dots.append({"value": found.value, "at": at, **look})
        if found.interval is not None:
            rules.append({"value": found.interval.low, "high": found.interval.high, "at": at, **look})
    y = alt.Y("at:Q", scale=alt.Scale(domain=[0, height], reverse=True, nice=False), axis=None)
    yield _names(labels, x=alt.value(0), y=y)
    yield over(chances).mark_rule(color=role("muted"), strokeDash=[1, 3], strokeWidth=1.6).encode(x=x, y=y, y2="to:Q")
    yield over(rules).mark_rule(strokeWidth=2.5, opacity=0.55).encode(x=x, x2="high:Q", y=y, color=_ink())
    yield _dots(dots, x=x, y=y, opacity=1.0)


def _scatter(evidence: Evidence, drawn: Sequence[SecretCell], *, width: int, height: int) -> Any:
    import altair as alt

    ranks = [value(evidence, RANK, cell) or 1.0 for cell in drawn]
    space = max([2 ** _most(evidence, drawn), *ranks])
    tens = [10.0**power for power in range(math.floor(math.log10(space)) + 1)]
    bottom = alt.Axis(
        values=tens[:: -(-len(tens) // max(2, width // 55))],
        title="median rank among all fills (logarithmic)",
        labelExpr="format(datum.value, ',~r')",
        grid=False,
        labelOverlap=False,
    )
    left = alt.Axis(title=None, tickCount=5, domain=False, ticks=False, minExtent=LEFT, maxExtent=LEFT, labelExpr="datum.label + '%'")
    x = alt.X("rank:Q", scale=alt.Scale(type="log", domain=[1 / EDGE, space * EDGE], nice=False), axis=bottom)
    y = alt.Y("found:Q", scale=alt.Scale(domain=[-4, 104], nice=False), axis=left)
    rows = [
        {"rank": rank, "found": 100 * (value(evidence, ACCURACY, cell) or 0.0), "ink": colour(cell.colour), "shape": shape(cell.colour)}
        for cell, rank in zip(drawn, ranks, strict=True)
    ]
    chance = over([{"rank": space / 2}]).mark_rule(color=role("muted"), strokeDash=[1, 3], strokeWidth=1.6).encode(x=x)
    guess = width * math.log(space / 2 * EDGE) / math.log(space * EDGE * EDGE)
    word = text("by chance", x=guess - 6, y=8, align="right", ink="muted")
    names, lines = _legend(drawn, width)
    heading = text("Secrets found whole", x=-LEFT, y=-LINE * lines - 22, size=13, bold=True)
    return alt.layer(chance, _dots(rows, x=x, y=y, opacity=0.8), *names, word, heading, width=width, height=height)


def _legend(drawn: Sequence[SecretCell], width: int) -> tuple[list[Any], int]:
    """Names with their marks above the chart, in as many lines as they need."""
    import altair as alt

    shown = sorted({cell.defence: cell.colour for cell in drawn}.items(), key=lambda pair: pair[1])
    rows: list[dict[str, Any]] = []
    across, line = float(-LEFT), 0
    for defence, number in shown:
        needed = 14 + text_width(label_of(defence)) + 12
        if across > -LEFT and across + needed > width:
            across, line = float(-LEFT), line + 1
        look = {"ink": colour(number), "shape": shape(number)}
        rows.append({"mark": across + 6, "across": across + 15, "line": line, "label": label_of(defence), **look})
        across += math.ceil(needed)
    placed = [{**row, "at": -LINE * (line + 1 - row["line"]) + 4} for row in rows]
    y = alt.Y("at:Q", scale=None, axis=None)
    marks = _dots(placed, x=alt.X("mark:Q", scale=None, axis=None), y=y, opacity=1.0)
    return [marks, _names(placed, x=alt.X("across:Q", scale=None, axis=None), y=y)], line + 1


def _dots(rows: Sequence[Mapping[str, Any]], *, x: Any, y: Any, opacity: float) -> Any:
    """Marks in the colour and the shape of their defence."""
    import altair as alt

    points = over(rows).mark_point(filled=True, size=MARK, opacity=opacity)
    return points.encode(x=x, y=y, color=_ink(), shape=alt.Shape("shape:N", scale=None, legend=None))


def _names(rows: Sequence[Mapping[str, Any]], *, x: Any, y: Any) -> Any:
    """Names in the colour of their defence, with the rim of all texts."""
    return over(rows).mark_text(align="left", stroke=role("page"), strokeWidth=3).encode(x=x, y=y, text="label:N", color=_ink())


def _ink() -> Any:
    import altair as alt

    return alt.Color("ink:N", scale=None, legend=None)


def _placed(cell: SecretCell) -> str:
    copies = "1 copy" if cell.repetitions == 1 else f"{cell.repetitions:,} copies"
    return f"{cell.length} unknown words, {copies}"


def _described(evidence: Evidence, cell: SecretCell) -> str:
    found = estimate(evidence, EXPOSURE, cell)
    figure = "not measured" if found is None else written(found).full
    return f"{label_of(cell.defence)}, {_placed(cell)}: {figure}"


def _compared(evidence: Evidence, cell: SecretCell) -> str:
    rank, accuracy = value(evidence, RANK, cell) or 0.0, value(evidence, ACCURACY, cell) or 0.0
    return f"{label_of(cell.defence)}, {_placed(cell)}: {significant(100 * accuracy)}% at rank {significant(rank)}"


def _figure(name: str, title: str, caption: str, alternative: str, wide: Any, narrow: Any) -> Figure:
    drawings = {size: render(chart, name=f"{name}-{size}", alternative=alternative) for size, chart in (("wide", wide), ("narrow", narrow))}
    return Figure(name=name, title=title, caption=caption, **drawings)
