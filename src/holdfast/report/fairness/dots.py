"""A panel of dots with intervals: a block for each group, test or category, and in it a line for each run."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from holdfast.core.evidence import Estimate
from holdfast.report.fairness.reading import Fair
from holdfast.report.federation.lines import brief, figure, ink, marks
from holdfast.report.figures import NARROW, WIDE, Figure
from holdfast.report.figures.labels import text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import written

LINE, HEAD, TALL = 20, 24, 36  # height of a line, of the name above several, and of a line whose words stand above its track
GAP = 6  # between blocks
MOST = 12  # blocks that are drawn; the table holds all
_LINES = 30  # of a panel, so that many runs are given fewer blocks
LEAST = 110  # pixels of a track that has words beside it
_LETTERS = 24  # of a name beside a track at most
_AXES: dict[str, str] = {  # how an axis writes its numbers
    "percent": "format(datum.value * 100, '~r') + '%'",
    "points": "format(datum.value * 100, '~r')",
    "plain": "format(datum.value, '~r')",
    "whole percent": "format(datum.value, '~r') + '%'",
}


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One number of one run.

    Args:
        run: Number of its colour and mark.
        name: Of the run.
        value: None where it is missing, which is drawn as a hollow mark at the edge.
        ends: Of the interval, or None.
        words: Value and interval, and short: the value alone.
        note: What follows the words, such as a verdict.
        ringed: Whether it stands out.
        beside: What the texts of people have, for reference, as a hollow grey mark, or None.
        tick: Where a short upright stroke in the colour of the run stands, or None.
    """

    run: int
    name: str
    value: float | None
    ends: tuple[float, float] | None
    words: tuple[str, str]
    note: str = ""
    ringed: bool = False
    beside: float | None = None
    tick: float | None = None

    def told(self, *, full: bool) -> str:
        """What stands beside or above the track."""
        return ", ".join(filter(None, (self.words[0] if full else self.words[1], self.note)))


@dataclass(frozen=True, kw_only=True)
class Block:
    """What belongs to one name.

    Args:
        name: Of the group, test or category.
        dots: One for each run that has it, at least one.
        strong: Whether the name stands out.
    """

    name: str
    dots: tuple[Dot, ...]
    strong: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Blocks on one axis.

    Args:
        heading: Above them.
        blocks: At least one.
        axis: How the axis writes its numbers.
        rule: An upright dotted line with its name, such as (0.0, "parity"), or None.
        band: Ends of a grey band, or None.
        within: What the axis must not leave, such as (0, 1).
        title: Of the axis.
        most: How many blocks are drawn; 0 for as many as there is room for.
    """

    heading: str
    blocks: tuple[Block, ...]
    axis: Literal["percent", "points", "plain", "whole percent"]
    rule: tuple[float, str] | None = None
    band: tuple[float, float] | None = None
    within: tuple[float | None, float | None] = (None, None)
    title: str = ""
    most: int = 0

    @property
    def shown(self) -> tuple[Block, ...]:
        """The blocks that there is room for."""
        return self.blocks[: self.most or room(max(len(block.dots) for block in self.blocks))]


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line with its places in pixels: name and words at `text`, the track at `track`."""

    dot: Dot
    label: str
    words: str
    head: bool  # whether the label is the name of a block, not of a run; empty where it stands above
    strong: bool
    text: float
    track: float


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Where everything of a panel goes."""

    left: float
    right: float
    half: float  # how far a track reaches up and down
    lines: tuple[_Line, ...]
    heads: tuple[tuple[str, float, bool], ...]
    height: float


def dot(
    run: Fair, estimate: Estimate, *, note: str = "", ringed: bool = False, beside: float | None = None, tick: float | None = None
) -> Dot:
    """A number as it is drawn."""
    shown, interval = written(estimate), estimate.interval
    return Dot(
        run=run.run,
        name=run.name,
        value=estimate.value,
        ends=None if interval is None else (interval.low, interval.high),
        words=(shown.full, shown.value),
        note=note,
        ringed=ringed,
        beside=beside,
        tick=tick,
    )


def room(runs: int) -> int:
    """How many blocks a panel has room for.

    >>> room(1), room(3), room(8), room(100)
    (12, 10, 3, 3)
    """
    return max(3, min(MOST, _LINES // max(1, runs)))


def drawn(name: str, *, title: str, caption: str, alternative: str, panels: Sequence[Panel], several: bool, columns: int = 2) -> Figure:
    """Panels as a figure of the page, in its two drawings.

    Args:
        name: Its id.
        title: What it shows.
        caption: How to read it.
        alternative: What it shows, in words.
        panels: At least one.
        several: Whether there are several runs.
        columns: Panels in a row on a wide screen.
    """
    columns = min(columns, len(panels))
    width = (WIDE - 16 - 44 * (columns - 1)) // columns
    wide = chart(panels, width=width, columns=columns, several=several)
    narrow = chart(panels, width=NARROW - 16, columns=1, several=several)
    return figure(name, title=title, caption=caption, alternative=alternative, wide=wide, narrow=narrow)


def chart(panels: Sequence[Panel], *, width: int, columns: int, several: bool) -> Any:
    """Panels in rows.

    Args:
        panels: At least one.
        width: Of the inside of a panel, in pixels.
        columns: Panels in a row.
        several: Whether there are several runs, so that lines carry their names.
    """
    import altair as alt

    heads = [_heading(one, width) for one in panels]
    most = max(map(len, heads))
    plan = _planner(panels, width, several=several)
    made = [_panel(one, head, plan(one.shown), width=width) for one, head in zip(panels, heads, strict=True)]
    row = 44 + 17 * most + (18 if any(one.title for one in panels) else 0) + (14 if any(one.rule for one in panels) else 0)
    return alt.concat(*made, columns=columns, bounds="flush", spacing={"column": 44, "row": row})


def _heading(one: Panel, width: int) -> list[str]:
    left_out = len(one.blocks) - len(one.shown)
    more = f" (and {left_out} more in the table)" if left_out > 0 else ""
    return textwrap.wrap(f"{one.heading}{more}", width=max(12, int(width / text_width("m", 13))))


def _panel(one: Panel, heading: Sequence[str], plan: _Plan, *, width: int) -> Any:
    import altair as alt

    low, high = _domain(one)
    scale = alt.Scale(domain=[low, high], range=[plan.left, plan.right], nice=False)
    long = plan.right - plan.left
    axis = alt.Axis(
        title=one.title or None,
        domain=False,
        ticks=False,
        tickCount=max(3, int(long / 70)),
        labelFlush=True,
        labelOverlap="greedy",
        labelSeparation=8,
        labelExpr=_AXES[one.axis],
        titleX=(plan.left + plan.right) / 2,
    )
    anchor = over([{"value": low}]).mark_rule(color=role("page"), opacity=0)
    layers = [anchor.encode(x=alt.X("value:Q", scale=scale, axis=axis))]
    layers += _grounds(one, plan, scale)
    layers += _dots(plan, scale, low)
    layers += _texts(plan, width)
    base = -12 - (14 if one.rule else 0)
    layers += [text(line, x=0, y=base - 17 * (len(heading) - 1 - place), size=13, bold=True) for place, line in enumerate(heading)]
    if one.rule is not None:
        value, name = one.rule
        half = text_width(name) / 2
        at = plan.left + long * (value - low) / (high - low)
        layers.append(text(name, x=min(max(at, half), width - half), y=-8, align="center", ink="muted"))
    return alt.layer(*layers, width=width, height=plan.height)


def _planner(panels: Sequence[Panel], width: int, *, several: bool) -> Callable[[Sequence[Block]], _Plan]:
    """Names to the left of the tracks and words to the right where both fit in every panel, else both above."""
    blocks = [block for one in panels for block in one.shown]
    dots = [dot for block in blocks for dot in block.dots]
    labels = brief(list(dict.fromkeys(dot.name for dot in dots)), _LETTERS) if several else [block.name for block in blocks]
    margin = 24 if several else 12  # a mark stands before the name of a run
    left = margin + max(map(text_width, labels))
    for full in (True, False):
        beside = 12 + max(text_width(dot.told(full=full)) for dot in dots)
        if width - left - beside >= LEAST:
            return partial(_beside, left=left, right=width - beside, width=width, several=several, full=full)
    return partial(_above, width=width, several=several)


def _beside(blocks: Sequence[Block], *, left: float, right: float, width: int, several: bool, full: bool) -> _Plan:
    whole = list(dict.fromkeys(dot.name for block in blocks for dot in block.dots))
    names = dict(zip(whole, brief(whole, _LETTERS), strict=True))
    apart = GAP if several else 4
    top, lines, heads = 0.0, [], []
    for block in blocks:
        if several:
            heads.append((brief([block.name], int(width / text_width("m")))[0], top + 13, block.strong))
            top += HEAD
        for dot in block.dots:
            label = names[dot.name] if several else block.name
            words = dot.told(full=full)
            at = top + LINE / 2
            lines.append(_Line(dot=dot, label=label, words=words, head=not several, strong=block.strong, text=at, track=at))
            top += LINE
        top += apart
    return _Plan(left=left, right=right, half=(LINE + (0 if several else apart)) / 2, lines=tuple(lines), heads=tuple(heads), height=top)


def _above(blocks: Sequence[Block], *, width: int, several: bool) -> _Plan:
    """Where a name and the words do not fit on one line, the name of the block gets a line of its own."""
    top, lines, heads = 0.0, [], []
    letter = text_width("m")
    apart = several or any(_needs(block.name, dot, full=True) > width for block in blocks for dot in block.dots)
    for block in blocks:
        if apart:
            heads.append((brief([block.name], int(width / letter))[0], top + 13, block.strong))
            top += HEAD
        for dot in block.dots:
            name = dot.name if several else "" if apart else block.name
            words = dot.told(full=_needs(name, dot, full=True) <= width)
            label = brief([name], max(6, int((width - text_width(words) - 34) / letter)))[0]
            lines.append(_Line(dot=dot, label=label, words=words, head=not several, strong=block.strong, text=top + 10, track=top + 25))
            top += TALL
        top += GAP if apart else 2
    return _Plan(left=6, right=width - 6, half=8, lines=tuple(lines), heads=tuple(heads), height=top)


def _needs(name: str, dot: Dot, *, full: bool) -> float:
    """Pixels of a line that holds a name, with its mark, and the words."""
    return text_width(name) + text_width(dot.told(full=full)) + (34 if name else 0)


def _domain(one: Panel) -> tuple[float, float]:
    """Ends of the axis: all values, intervals, ticks, the rule and the band, with a margin."""
    values = [end for block in one.shown for dot in block.dots for end in _ends(dot)]
    values += [] if one.rule is None else [one.rule[0]]
    if one.band is not None:  # its ends are seen only where something lies near them
        values += [end for end in one.band if values and min(values) <= end * 1.01 <= max(values) * 1.5]
    least, most = (min(values), max(values)) if values else (0.0, 1.0)
    margin = 0.05 * (most - least) or 0.05 * abs(most) or 0.5
    low, high = least - margin, most + margin
    floor, ceiling = one.within
    low = low if floor is None else max(low, floor - 0.3 * margin)  # so that a mark at the end is seen whole
    high = high if ceiling is None else min(high, ceiling + 0.3 * margin)
    return low, high


def _ends(dot: Dot) -> list[float]:
    return [end for end in (dot.value, *(dot.ends or ()), dot.beside, dot.tick) if end is not None]


def _grounds(one: Panel, plan: _Plan, scale: Any) -> Iterator[Any]:
    """The band and the rule, line by line, so that nothing runs through a name."""
    import altair as alt

    spans = [{"top": line.track - plan.half, "end": line.track + plan.half} for line in plan.lines]
    y = alt.Y("top:Q", scale=None, axis=None)
    if one.band is not None:
        rows = [span | {"value": one.band[0], "high": one.band[1]} for span in spans]
        rect = over(rows).mark_rect(color=role("muted"), opacity=0.18, clip=True)
        yield rect.encode(x=alt.X("value:Q", scale=_clamped(scale)), x2="high:Q", y=y, y2="end:Q")
    if one.rule is not None:
        rows = [span | {"value": one.rule[0]} for span in spans]
        rule = over(rows).mark_rule(color=role("muted"), strokeDash=[1, 3], strokeWidth=1.6)
        yield rule.encode(x=alt.X("value:Q", scale=scale), y=y, y2="end:Q")


def _clamped(scale: Any) -> Any:
    """The same scale, which keeps what lies outside at its ends."""
    copy = scale.copy()
    copy.clamp = True
    return copy


def _dots(plan: _Plan, scale: Any, low: float) -> Iterator[Any]:
    """Intervals, strokes, marks, rings, and hollow marks at the edge for what is missing: a layer for each kind."""
    import altair as alt

    x, y = alt.X("value:Q", scale=scale), alt.Y("at:Q", scale=None, axis=None)
    rows = [(line, {"at": line.track, "ink": colour(line.dot.run), "shape": shape(line.dot.run)}) for line in plan.lines]
    spans = [row | {"value": line.dot.ends[0], "high": line.dot.ends[1]} for line, row in rows if line.dot.ends is not None]
    if spans:
        yield over(spans).mark_rule(strokeWidth=2, opacity=0.55, clip=True).encode(x=x, x2="high:Q", y=y, color=ink())
    ticks = [
        row | {"value": line.dot.tick, "top": line.track - 8, "end": line.track + 8}
        for line, row in rows
        if line.dot.tick is not None and line.dot.value is not None
    ]
    if ticks:
        stroke = over(ticks).mark_rule(strokeWidth=1.4, opacity=0.75)
        yield stroke.encode(x=x, y=alt.Y("top:Q", scale=None, axis=None), y2="end:Q", color=ink())
    beside = [row | {"value": line.dot.beside} for line, row in rows if line.dot.beside is not None]
    if beside:
        yield over(beside).mark_point(filled=False, size=90, strokeWidth=1.4, opacity=1, color=role("muted")).encode(x=x, y=y)
    known = [row | {"value": line.dot.value} for line, row in rows if line.dot.value is not None]
    if known:
        yield marks(known, x=x, y=y, size=70)
    ringed = [row | {"value": line.dot.value} for line, row in rows if line.dot.value is not None and line.dot.ringed]
    if ringed:
        ring = over(ringed).mark_point(filled=False, size=230, strokeWidth=1.6, opacity=1, shape="circle")
        yield ring.encode(x=x, y=y, color=ink())
    missing = [row | {"value": low} for line, row in rows if line.dot.value is None]
    if missing:
        hollow = over(missing).mark_point(filled=False, size=70, strokeWidth=1.6, opacity=1)
        yield hollow.encode(x=x, y=y, color=ink(), shape=alt.Shape("shape:N", scale=None, legend=None))


def _texts(plan: _Plan, width: int) -> Iterator[Any]:
    """Names of blocks, names of runs with their marks, and words: a layer for each kind.

    Only what stands across the lines of the axis has a rim, which a page of many runs would be heavy with.
    """
    import altair as alt

    across = any(line.text != line.track for line in plan.lines)
    rows: dict[tuple[str, bool, bool], list[dict[str, Any]]] = {}
    for name, at, strong in plan.heads:
        rows.setdefault(("left", strong, True), []).append({"word": name, "x": 0.0, "at": at, "ink": role("ink")})
    named = []
    for line in plan.lines:
        tint = role("ink") if line.head else colour(line.dot.run)
        bold = line.strong if line.head else True
        if line.label:
            word = {"word": line.label, "x": 0.0 if line.head else 14.0, "at": line.text, "ink": tint}
            rows.setdefault(("left", bold, across), []).append(word)
        if not line.head:
            named.append({"at": line.text, "ink": tint, "shape": shape(line.dot.run)})
        faded = role("muted") if line.dot.value is None or line.head else colour(line.dot.run)
        rows.setdefault(("right", False, across), []).append({"word": line.words, "x": float(width), "at": line.text, "ink": faded})
    x, y = alt.X("x:Q", scale=None, axis=None), alt.Y("at:Q", scale=None, axis=None)
    for (align, bold, rim), words in rows.items():
        look = {"stroke": role("page"), "strokeWidth": 3} if rim else {}
        mark = over(words).mark_text(align=align, **look, **({"fontWeight": 600} if bold else {}))
        yield mark.encode(x=x, y=y, text="word:N", color=ink())
    if named:
        yield marks(named, x=alt.value(5), y=y, size=40)
