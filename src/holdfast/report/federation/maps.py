"""Heat maps: how far clients lie apart from each other, and what is forgotten of each period."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.report.federation.lines import brief, figure
from holdfast.report.federation.reading import Federated, largest_distance, measure_label
from holdfast.report.figures import NARROW, WIDE, Figure
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role
from holdfast.report.numbers import fixed, share, significant, written

MOST = 4  # maps that are drawn
SIDE = 40  # clients along a side at most; more are taken together, some at a time
STEPS = 8  # of the scale: fewer than an eye tells apart, so that a map can be read off
LEFT = 34  # room for the labels of the y axis
_DEEPEST = 0.92  # opacity at the largest distance
_LEGIBLE = 0.5  # opacity at which a number can be read on its cell


@dataclass(frozen=True, kw_only=True)
class Map:
    """The distances of clients from each other.

    Args:
        name: Whose they are, or empty where there is one map.
        rows: Distances, as many in a row as there are rows.
        most: The largest distance that there is.
        clients: How many clients the map has.
        of: Of how many.
        mean: The mean over pairs, as it is written, or empty.
    """

    name: str
    rows: tuple[tuple[float, ...], ...]
    most: float
    clients: int
    of: int
    mean: str


def maps(found: Sequence[Federated]) -> list[Map]:
    """The maps to draw: each that is not the same as one before it."""
    known: dict[tuple[float, ...], Map] = {}
    for one in found:
        curve = one.curve("js_map")
        side = 0 if curve is None else math.isqrt(len(curve.y))
        if curve is None or side * side != len(curve.y):
            continue
        mean = one.estimate("mean_js_distance")
        told = curve if mean is None or "log" in curve.conditions else mean
        rows = tuple(tuple(curve.y[place * side : (place + 1) * side]) for place in range(side))
        made = Map(
            name=one.name,
            rows=rows,
            most=max(largest_distance(told), *curve.y),
            clients=side,
            of=int(curve.conditions.get("shown_of", side)),
            mean="" if mean is None else written(mean).full,
        )
        known.setdefault(curve.y, made)
    return list(known.values())


def distances(found: Sequence[Federated]) -> Figure | None:
    """How far clients lie apart in what they have; None without a map."""
    drawn = maps(found)
    if not drawn:
        return None
    first, kept = drawn[0], drawn[:MOST]
    among = f"{first.clients:,} of {first.of:,} clients" if first.of > first.clients else f"{first.clients:,} clients"
    grouped = f" {_group(first)} neighbours are taken together." if _group(first) > 1 else ""
    caption = (
        f"Each cell is a pair of {among}: the stronger the colour, the further apart; at {significant(first.most, 2)}, the strongest, two "
        f"clients share nothing.{grouped}"
    )
    if len(drawn) > len(kept):
        caption += f" {len(drawn) - len(kept)} more maps are in evidence.json."
    alternative = f"Jensen-Shannon distance of pairs of clients. {' '.join(map(_spoken, drawn))}"
    several = len(drawn) > 1
    columns = min(2, len(kept))
    wide = _maps(kept, side=270, columns=columns, named=several)
    narrow = _maps(kept, side=250, columns=1, named=several)
    return figure("js-map", title="How different the clients are", caption=caption, alternative=alternative, wide=wide, narrow=narrow)


def forgetting(found: Sequence[Federated]) -> Figure | None:
    """The score on the texts of each period after each later one; None without such curves."""
    tables = [(one, table) for one in found if (table := periods(one))]
    if not tables:
        return None
    measure = measure_label(tables[0][0].measure)
    scores = [value for _, table in tables for row in table.values() for value in row.values()]
    shares, low, high = all(0 <= value <= 1 for value in scores), min(scores), max(scores)
    caption = (
        f"A row is a period, a column the moment after a later one: the {measure} on the texts of that period. Read along a row: where "
        "the colour fades, the score falls."
    )
    alternative = (
        f"{measure[:1].upper()}{measure[1:]} on the texts of each period. {' '.join(_remembered(one, table) for one, table in tables)}"
    )
    drawn = {}
    for size, width, columns in (("wide", (WIDE - 60) // 2, 2), ("narrow", NARROW - 50, 1)):
        panels = [_periods(one, table, (low, high), width=width - LEFT, shares=shares) for one, table in tables[:MOST]]
        drawn[size] = _rows_of(panels, columns=min(columns, len(panels)))
    title = "What is remembered of each period"
    return figure("forgetting", title=title, caption=caption, alternative=alternative, wide=drawn["wide"], narrow=drawn["narrow"])


def periods(one: Federated) -> dict[int, dict[int, float]]:
    """For each period the score on its texts after each later period."""
    found: dict[int, dict[int, float]] = {}
    for curve in one.evidence.curves:
        if curve.name == "period_scores" and "period" in curve.conditions:
            found[int(curve.conditions["period"])] = {round(x): y for x, y in zip(curve.x, curve.y, strict=True)}
    return dict(sorted((period, row) for period, row in found.items() if row))


def _rows_of(panels: Sequence[Any], *, columns: int) -> Any:
    import altair as alt

    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": LEFT + 24, "row": 76})


def _maps(drawn: Sequence[Map], *, side: int, columns: int, named: bool) -> Any:
    names = brief([one.name for one in drawn], 24)
    return _rows_of([_map(one, name if named else "", side=side) for one, name in zip(drawn, names, strict=True)], columns=columns)


def _map(one: Map, name: str, *, side: int) -> Any:
    import altair as alt

    rows = _grouped(one)
    cell = side / len(rows)
    scale = alt.Scale(domain=[0.5, one.clients + 0.5], nice=False)
    axis = {"domain": False, "ticks": False, "grid": False, "values": _ticks(one.clients)}
    x = alt.X("x:Q", scale=scale, axis=alt.Axis(title="client", **axis))
    down = alt.Scale(domain=[0.5, one.clients + 0.5], nice=False, reverse=True)
    y = alt.Y("y:Q", scale=down, axis=alt.Axis(title=None, minExtent=LEFT, maxExtent=LEFT, **axis))
    layers: list[Any] = [over([{"x": 1, "y": 1}]).mark_point(opacity=0, color=role("page")).encode(x=x, y=y)]
    for step in range(STEPS):
        path = _path(rows, one.most, step, cell)
        if path:  # all cells of a step are one mark: a map of a thousand cells would be a heavy page
            mark = over([{}]).mark_point(shape=path, size=4, filled=True, color=role("link"), opacity=_DEEPEST * (step + 0.5) / STEPS)
            layers.append(mark.encode(x=alt.value(0), y=alt.value(0)))
    outline = over([{}]).mark_rect(filled=False, stroke=role("rule"), strokeWidth=1)
    layers.append(outline.encode(x=alt.value(0), x2=alt.value(side), y=alt.value(0), y2=alt.value(side)))
    mean = f"mean distance {one.mean}" if one.mean else "distance"
    heading = f"{name}, {mean}" if name else f"{mean[:1].upper()}{mean[1:]}"
    layers.append(text(heading, x=-LEFT, y=-14, size=13, bold=True))
    layers += _scale(one.most, side)
    return alt.layer(*layers, width=side, height=side)


def _scale(most: float, side: int) -> Iterator[Any]:
    """What each darkness stands for, to the right of a map."""
    import altair as alt

    block = side / 2 / STEPS
    rows = [
        {"top": side - block * (step + 1), "end": side - block * step, "depth": _DEEPEST * (step + 0.5) / STEPS} for step in range(STEPS)
    ]
    bar = over(rows).mark_rect(color=role("link"))
    yield bar.encode(x=alt.value(side + 12), x2=alt.value(side + 24), y=pixels("top"), y2="end:Q", opacity=depth())
    for value, place in ((0.0, side - 4), (most, side / 2 + 4)):
        yield text(significant(value, 2), x=side + 30, y=place, ink="muted")


def pixels(field: str, *, across: bool = False) -> Any:
    """A place in pixels that a row names, from above or, across, from the left."""
    import altair as alt

    return alt.X(f"{field}:Q", scale=None, axis=None) if across else alt.Y(f"{field}:Q", scale=None, axis=None)


def depth() -> Any:
    """The opacity that a row names."""
    import altair as alt

    return alt.Opacity("depth:Q", scale=None, legend=None)


def _path(rows: Sequence[Sequence[float]], most: float, step: int, cell: float) -> str:
    """The outline of all cells of one step, neighbours in a row taken together; in pixels."""
    parts = []
    for down, row in enumerate(rows):
        steps = [min(STEPS - 1, int(STEPS * value / most)) for value in row]
        start = 0
        for place in range(1, len(row) + 1):
            if place == len(row) or steps[place] != steps[start]:
                if steps[start] == step:
                    left, right, top = start * cell, place * cell, down * cell
                    parts.append(f"M{left:.1f},{top:.1f}L{right:.1f},{top:.1f}L{right:.1f},{top + cell:.1f}L{left:.1f},{top + cell:.1f}Z")
                start = place
    return "".join(parts)


def _group(one: Map) -> int:
    """How many neighbouring clients are taken together."""
    return math.ceil(one.clients / SIDE)


def _grouped(one: Map) -> list[list[float]]:
    """The map with neighbours taken together by their mean, so that it has at most `SIDE` rows."""
    step = _group(one)
    if step == 1:
        return [list(row) for row in one.rows]
    starts = range(0, one.clients, step)
    blocks = [[[value for row in one.rows[top : top + step] for value in row[left : left + step]] for left in starts] for top in starts]
    return [[math.fsum(block) / len(block) for block in row] for row in blocks]


def _ticks(count: int) -> list[int]:
    step = max(1, 5 * math.ceil(count / 30))
    return [1, *range(step, count + 1, step)] if step > 1 else list(range(1, count + 1))


def _spoken(one: Map) -> str:
    pairs = [value for down, row in enumerate(one.rows) for across, value in enumerate(row) if down != across]
    ends = f"from {significant(min(pairs), 2)} to {significant(max(pairs), 2)}" if pairs else "of a single client"
    mean = f", mean over all pairs {one.mean}" if one.mean else ""
    return f"{one.name}: {one.clients} of {one.of:,} clients, distances {ends}{mean}."


def _periods(one: Federated, table: dict[int, dict[int, float]], ends: tuple[float, float], *, width: int, shares: bool) -> Any:
    """A cell for each period and moment, with its score where there is room."""
    import altair as alt

    moments = sorted({moment for row in table.values() for moment in row})
    cell = width / len(moments)
    tall = min(34.0, max(14.0, cell))
    roomy = cell >= 34
    cells, names = [], []
    for down, (period, row) in enumerate(table.items()):
        for moment, value in row.items():
            left, top = moments.index(moment) * cell, down * tall
            strength = 1.0 if ends[1] == ends[0] else 0.12 + 0.88 * (value - ends[0]) / (ends[1] - ends[0])
            cells.append(
                {
                    **{"left": left + 1, "right": left + cell - 1, "top": top + 1, "end": top + tall - 1, "x": left + cell / 2},
                    **{"y": top + tall / 2, "depth": round((_LEGIBLE if roomy else _DEEPEST) * strength, 3)},
                    "word": fixed(100 * value, 0) if shares else significant(value, 2),
                }
            )
        names.append({"x": -12.0, "y": (down + 0.5) * tall, "word": f"{period}"})
    height, every = tall * len(table), math.ceil(24 / cell)
    names += [{"x": (place + 0.5) * cell, "y": height + 12, "word": f"{moment}"} for place, moment in list(enumerate(moments))[::every]]
    across, down_ = pixels("left", across=True), pixels("top")
    layers = [over(cells).mark_rect(color=role("link")).encode(x=across, x2="right:Q", y=down_, y2="end:Q", opacity=depth())]
    for rows, ink in ((cells if roomy else [], "ink"), (names, "muted")):
        if rows:
            words = over(rows).mark_text(align="center", color=role(ink))
            layers.append(words.encode(x=pixels("x", across=True), y=pixels("y"), text="word:N"))
    layers.append(text("after period", x=width / 2, y=height + 30, align="center", ink="muted"))
    layers.append(text(brief([one.name], 30)[0], x=-LEFT, y=-34, size=13, bold=True, ink=colour(one.run)))
    layers.append(text(f"texts of period{', score in %' if shares and roomy else ''}", x=-LEFT, y=-14, ink="muted"))
    return alt.layer(*layers, width=width, height=height)


def _remembered(one: Federated, table: dict[int, dict[int, float]]) -> str:
    parts = []
    for period, row in table.items():
        first, last = min(row), max(row)
        parts.append(f"period {period} {_figure(row[first])} after period {first}, {_figure(row[last])} after {last}")
    return f"{one.name}: {'; '.join(parts)}."


def _figure(value: float) -> str:
    return share(value) if 0 <= value <= 1 else significant(value)
