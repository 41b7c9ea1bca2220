"""The charts of a grid: leakage, and usefulness, over the promised epsilon."""

from __future__ import annotations

from holdfast.core.evidence import Evidence
from holdfast.report.figures import Figure, promised
from holdfast.report.figures.svg import render
from holdfast.report.numbers import label_of, significant, written
from holdfast.report.reproductions.edp_sgd.grid import LABELS, LEAKAGE, NAIVE, PROMISE, GridCell, cells, estimate, methods, of_method, value

_MARKS = "A filled mark stands at the ε that is proved"
_NAIVE = ", a hollow one where naive accounting, which is unproved, would put the same runs"


def over_promise(evidence: Evidence, quantity: str) -> Figure:
    """A quantity of the cells over what they promise.

    Args:
        evidence: The summary.
        quantity: Its name, such as "membership_auc".
    """
    title = f"{label_of(quantity)} over the promised ε"
    name = f"promised-{quantity.replace('_', '-')}"
    series = [one for method in methods(evidence) if (one := _series(evidence, method, quantity)) is not None]
    if not series:
        return Figure(name=name, title=title, caption="", empty="Nothing was both promised and measured.")
    naive = any(mark.naive is not None for one in series for mark in one.marks)
    seeds = max(cell.seeds for cell in cells(evidence))
    caption = f"{_MARKS}{_NAIVE if naive else ''}. Each mark is the mean of {seeds} seeds; lines up and down are its interval."
    alternative = _described(evidence, quantity)
    drawings = {}
    for size, width, height in (("wide", 670, 300), ("narrow", 286, 250)):
        drawn = promised.chart(
            series, _levels(evidence, quantity), title=label_of(quantity), percent=_percent(quantity), width=width, height=height
        )
        drawings[size] = render(drawn, name=f"{name}-{size}", alternative=alternative)
    return Figure(name=name, title=title, caption=caption, **drawings)


def _series(evidence: Evidence, method: str, quantity: str) -> promised.Series | None:
    marks = [mark for cell in of_method(evidence, method) if (mark := _mark(evidence, cell, quantity)) is not None]
    number = of_method(evidence, method)[0].colour
    return promised.Series(name=LABELS[method], number=number, marks=tuple(marks)) if marks else None


def _mark(evidence: Evidence, cell: GridCell, quantity: str) -> promised.Mark | None:
    epsilon, found = value(evidence, PROMISE, cell), estimate(evidence, quantity, cell)
    if epsilon is None or found is None or found.value is None:
        return None
    scale = 100 if _percent(quantity) else 1
    low, high = (found.interval.low, found.interval.high) if found.interval else (found.value, found.value)
    naive = value(evidence, NAIVE, cell)
    return promised.Mark(epsilon=epsilon, naive=naive, value=scale * found.value, low=scale * low, high=scale * high)


def _levels(evidence: Evidence, quantity: str) -> list[promised.Level]:
    """What the marks are compared with: no privacy, and guessing."""
    scale = 100 if _percent(quantity) else 1
    found = [promised.Level(name="guessing", value=0.5)] if quantity == LEAKAGE else []
    for cell in cells(evidence):
        known = value(evidence, quantity, cell)
        if cell.method == "none" and known is not None:
            found.append(promised.Level(name=LABELS["none"].lower(), value=scale * known, number=cell.colour))
    return found


def _percent(quantity: str) -> bool:
    return quantity != LEAKAGE


def _described(evidence: Evidence, quantity: str) -> str:
    """The chart in words, for whoever does not see it."""
    parts = []
    for cell in cells(evidence):
        epsilon, found = value(evidence, PROMISE, cell), estimate(evidence, quantity, cell)
        if found is not None:
            promise = "no promise" if epsilon is None else f"ε = {significant(epsilon)}"
            parts.append(f"{LABELS[cell.method]} at {promise}: {written(found).full}")
    return f"{label_of(quantity)} over the promised ε. {'; '.join(parts)}."
