"""The trade-off: how useful each run is against how much it promises."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.report.document import Document
from holdfast.report.figures.labels import Box, Label, place, shortened
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import in_percent, label_of, significant, written

SCORES = ("intent_accuracy", "accuracy", "slot_f1", "macro_f1", "reply_auc", "perplexity", "next_word_accuracy", "tag_accuracy")
_BESIDE = {"perplexity": "unknown_words"}  # the more words are unknown, the lower is a perplexity
_TICKS = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_DECADES = (0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000)
SMALLEST = 1e-3  # a logarithm has no place for an epsilon of nought
RADIUS = 5.0
LEFT = 36  # room for the labels of the y axis
PROMISED, DIVIDER, UNBOUNDED = 0.7, 0.72, 0.87  # shares of the x axis: where the promises end, and where "no promise" stands


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run in one panel; shares are in percent."""

    run: int
    name: str
    epsilon: float | None
    naive: float | None
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The logarithmic axis of epsilon, with a place of its own for runs without a promise.

    Args:
        low: Epsilon at the left end.
        high: What stands at the right end; beyond the largest epsilon.
        divider: Where the promises end.
        unbounded: Where the runs without a promise stand.
        ticks: Epsilons to name.
    """

    low: float
    high: float
    divider: float
    unbounded: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, epsilons: Sequence[float]) -> Axis:
        """An axis that shows these epsilons, each above nought; the last part is left to runs without a promise."""
        least, most = (min(epsilons), max(epsilons)) if epsilons else (1.0, 8.0)
        low, top = math.log(least) - 0.7, math.log(most) + 0.7
        span = (top - low) / PROMISED
        named = [tick for tick in _TICKS if low <= math.log(tick) <= top]
        if not 2 <= len(named) <= 7:
            named = [tick for tick in _DECADES if low <= math.log(tick) <= top] or [float(f"{least:.2g}")]
        low, high, divider, unbounded = (math.exp(low + share * span) for share in (0, 1, DIVIDER, UNBOUNDED))
        return cls(low=low, high=high, divider=divider, unbounded=unbounded, ticks=tuple(named))

    def pixel(self, epsilon: float | None, width: float) -> float:
        """Distance from the left end."""
        where = self.unbounded if epsilon is None else epsilon
        return width * math.log(where / self.low) / math.log(self.high / self.low)


def scores(document: Document) -> tuple[str, ...]:
    """The measures of usefulness that any run has, at most two."""
    names = document.names
    return tuple(score for score in SCORES if any(_value(document, score, name) is not None for name in names))[:2]


def beside(document: Document) -> tuple[str, ...]:
    """What is no measure of usefulness, and has to be read with one that a run has."""
    return tuple(other for score, other in _BESIDE.items() if score in scores(document))


def points(document: Document, score: str) -> list[Point]:
    """The runs that have this score."""
    found, scale = [], 100 if in_percent(score) else 1
    for run, name in enumerate(document.names):
        estimate = document.estimate(score, name)
        if estimate is None or estimate.value is None:
            continue
        claim, naive = document.claim(name), document.estimate("epsilon_naive", name)
        ends = (estimate.interval.low, estimate.interval.high) if estimate.interval else (estimate.value, estimate.value)
        found.append(
            Point(
                run=run,
                name=name,
                epsilon=None if claim is None else max(claim.epsilon, SMALLEST),
                naive=None if naive is None or naive.value is None or claim is None else max(naive.value, SMALLEST),
                value=scale * estimate.value,
                low=scale * ends[0],
                high=scale * ends[1],
            )
        )
    return found


def describe(document: Document) -> str:
    """The chart in words, for whoever does not see it."""
    parts = []
    for name in document.names:
        claim = document.claim(name)
        promise = "no promise" if claim is None else f"ε = {significant(claim.epsilon)}"
        estimates = [(score, document.estimate(score, name)) for score in scores(document)]
        figures = ", ".join(f"{label_of(score)} {written(estimate).full}" for score, estimate in estimates if estimate is not None)
        parts.append(f"{name}: {promise}, {figures or 'no score'}")
    return "Usefulness against promise. " + "; ".join(parts) + "."


def chart(document: Document, *, width: int, height: int, columns: int) -> Any:
    """A panel for each score, side by side or one below the other.

    Args:
        document: What to draw; at least one score.
        width: Of the inside of a panel, in pixels.
        height: Of the inside of a panel.
        columns: Panels in a row.
    """
    import altair as alt

    panels = [(score, points(document, score)) for score in scores(document)]
    epsilons = [value for _, found in panels for point in found for value in (point.epsilon, point.naive) if value is not None]
    axis = Axis.over(epsilons)
    drawn = [
        _panel(score, found, axis, width=width, height=height, last=index >= len(panels) - columns)
        for index, (score, found) in enumerate(panels)
    ]
    return alt.concat(*drawn, columns=columns, bounds="flush", spacing={"column": LEFT + 24, "row": 66})


def _panel(score: str, found: Sequence[Point], axis: Axis, *, width: int, height: int, last: bool) -> Any:
    import altair as alt

    unit = "%" if in_percent(score) else ""
    low, high = _limits(found, percent=bool(unit))
    ticks = [*axis.ticks, axis.unbounded]
    bottom = alt.Axis(
        values=ticks,
        grid=False,
        title="promised ε (logarithmic; smaller is stronger)" if last else None,
        labelExpr=f"datum.value > {axis.divider} ? 'no promise' : format(datum.value, '~r')",
        labelOverlap=False,
    )
    x = alt.X("epsilon:Q", scale=alt.Scale(type="log", domain=[axis.low, axis.high], nice=False), axis=bottom)
    left = alt.Axis(title=None, labelExpr=f"datum.label + '{unit}'", tickCount=5, domain=False, ticks=False, minExtent=LEFT, maxExtent=LEFT)
    y = alt.Y("value:Q", scale=alt.Scale(domain=[low, high], nice=False, zero=False), axis=left)
    rows = [_row(point, axis) for point in found]
    base = over(rows)
    fill = alt.Color("colour:N", scale=None, legend=None)
    mark = alt.Shape("shape:N", scale=None, legend=None)
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.55).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q", color=fill),
        base.mark_point(filled=True, size=4 * RADIUS * RADIUS, opacity=1).encode(x=x, y=y, color=fill, shape=mark),
        *_naive(found, x, y),
        _divider(axis, x),
        *_texts(found, axis, (low, high), width=width, height=height),
    ]
    heading = text(label_of(score) + (", lower is better" if score == "perplexity" else ""), x=-LEFT, y=-16, size=13, bold=True)
    return alt.layer(*layers, heading, width=width, height=height)


def _row(point: Point, axis: Axis) -> dict[str, Any]:
    where = axis.unbounded if point.epsilon is None else point.epsilon
    fields = {"value": point.value, "low": point.low, "high": point.high, "colour": colour(point.run), "shape": shape(point.run)}
    return {"epsilon": where, **fields}


def _limits(found: Sequence[Point], *, percent: bool) -> tuple[float, float]:
    """Ends of the y axis: the intervals and a margin, not beyond 0, nor 100 of a percentage."""
    low, high = min(point.low for point in found), max(point.high for point in found)
    margin = max(1.0 if percent else 0.02 * high, 0.14 * (high - low))
    return max(0.0, low - margin), min(100.0 if percent else math.inf, high + margin)


def _naive(found: Sequence[Point], x: Any, y: Any) -> Iterator[Any]:
    """A hollow mark where naive accounting would put the run, tied to the run's own mark."""
    for point in found:
        if point.naive is None:
            continue
        ends: list[dict[str, Any]] = [{"epsilon": point.naive, "value": point.value}, {"epsilon": point.epsilon, "value": point.value}]
        tie = over(ends).mark_line(color=colour(point.run), strokeDash=[2, 3], strokeWidth=1.5)
        yield tie.encode(x=x, y=y)
        hollow = over(ends[:1]).mark_point(
            filled=True,
            fill=role("page"),
            stroke=colour(point.run),
            strokeWidth=1.8,
            size=4 * RADIUS * RADIUS,
            shape=shape(point.run),
            opacity=1,
        )
        yield hollow.encode(x=x, y=y)


def _divider(axis: Axis, x: Any) -> Any:

    rule = over([{"epsilon": axis.divider}])
    return rule.mark_rule(color=role("rule"), strokeDash=[4, 4]).encode(x=x)


def _texts(found: Sequence[Point], axis: Axis, limits: tuple[float, float], *, width: int, height: int) -> Iterator[Any]:
    """The names of the runs beside their marks."""
    low, high = limits
    labels, colours, obstacles = [], [], [Box(width * DIVIDER - 2, 0, width * DIVIDER + 2, height)]

    def down(value: float) -> float:
        return height * (high - value) / (high - low)

    for point in found:
        across, middle = axis.pixel(point.epsilon, width), down(point.value)
        reach = {"above": middle - down(point.high), "below": down(point.low) - middle}
        labels.append(Label(shortened(point.name, 16), across, middle, RADIUS, **reach))
        colours.append(colour(point.run))
        obstacles += [
            Box(across - 2, down(point.high), across + 2, down(point.low)),
            Box(across - RADIUS, middle - RADIUS, across + RADIUS, middle + RADIUS),
        ]
        if point.naive is not None:
            hollow = axis.pixel(point.naive, width)
            labels.append(Label(f"naive: {significant(point.naive)}", hollow, middle, RADIUS))
            colours.append(colour(point.run))
            obstacles += [
                Box(hollow - RADIUS, middle - RADIUS, hollow + RADIUS, middle + RADIUS),
                Box(min(hollow, across), middle - 2, max(hollow, across), middle + 2),
            ]
    for placed, ink in zip(place(labels, obstacles=obstacles, area=Box(0, 0, width + 8, height)), colours, strict=True):
        yield text(placed.label.text, x=placed.x, y=placed.y, align=placed.align, ink=ink, bold=True)


def _value(document: Document, score: str, name: str) -> float | None:
    estimate = document.estimate(score, name)
    return None if estimate is None else estimate.value
