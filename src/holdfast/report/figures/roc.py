"""The ROC of the attack on each run, on logarithmic axes, with the most that the run's promise allows any attack."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Curve
from holdfast.report.document import Document
from holdfast.report.figures.labels import shortened, text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role
from holdfast.report.numbers import share, significant, written

FLOOR = 1e-4  # both axes run from here to 1
FEWEST = 10  # false positives that a rate must rest on to be resolved
LEFT = 46  # room for the labels of the y axis
_STEP = 0.004  # of an axis: corners nearer than this cannot be told apart


def has_any(document: Document) -> bool:
    """True where a ROC was measured for some run."""
    return bool(attacked(document))


def attacked(document: Document) -> dict[int, Curve]:
    """The runs with a ROC, by their number."""
    curves = {run: document.curve("roc", name) for run, name in enumerate(document.names)}
    return {run: curve for run, curve in curves.items() if curve is not None and curve.x}


def describe(document: Document) -> str:
    """The chart in words, for whoever does not see it."""
    parts, curves = [], attacked(document)
    for run, name in enumerate(document.names):
        auc, claim = document.estimate("membership_auc", name), document.claim(name)
        area = "area not measured" if auc is None else f"area {written(auc).full}"
        cap = (
            "no promise caps it"
            if claim is None
            else f"its promise caps the true positive rate at 1% false positives at {share(claim.cap(0.01))}"
        )
        parts.append(f"{name}: {area}; {cap}" if run in curves else f"{name}: not attacked")
    return f"True positive rate of the attack against its false positive rate, both from 0.01% to 100%. {'. '.join(parts)}."


def chart(document: Document, *, width: int, height: int, columns: int) -> Any:
    """A panel for each attacked run, with the curves of the others behind it.

    Args:
        document: What to draw; at least one ROC.
        width: Of the inside of a panel, in pixels.
        height: Of the inside of a panel.
        columns: Panels in a row.
    """
    import altair as alt

    curves = attacked(document)
    panels = []
    for place, (run, curve) in enumerate(curves.items()):
        others = [curves[other] for other in curves if other != run]
        frame = _frame(place % columns == 0, place >= len(curves) - columns)
        layers = [*frame, *_context(others), *_own(document, run, curve, width, height)]
        panels.append(alt.layer(*layers, width=width, height=height))
    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": LEFT, "row": 70})


def drawable(curve: Curve) -> list[dict[str, float]]:
    """The corners of a curve that can be told apart on logarithmic axes, from the floor to 1, with their band.

    The curve is level between two corners, so the first point stands at the floor with what was reached there.
    """
    low, high = curve.low or curve.y, curve.high or curve.y
    rows = [
        {"x": max(x, FLOOR), "y": max(y, FLOOR), "low": max(below, FLOOR), "high": max(above, FLOOR)}
        for x, y, below, above in zip(curve.x, curve.y, low, high, strict=True)
    ]
    rows.sort(key=lambda row: (row["x"], row["y"]))
    start = max((index for index, row in enumerate(rows) if row["x"] <= FLOOR), default=0)
    kept: list[dict[str, float]] = []
    for row in rows[start:]:
        if not kept or _far(kept[-1], row) or row is rows[-1]:
            kept.append(row)
    if kept and kept[0]["x"] > FLOOR:
        kept.insert(0, {**kept[0], "x": FLOOR})
    return kept


def _far(one: dict[str, float], other: dict[str, float]) -> bool:
    span = -math.log(FLOOR)
    return any(abs(math.log(one[key] / other[key])) > _STEP * span for key in ("x", "y"))


def capped(claim: PrivacyClaim) -> list[dict[str, float]]:
    """The most that a promise allows, from the floor to where it allows everything."""
    grid = [FLOOR ** (1 - step / 60) for step in range(61)]
    return [{"x": x, "cap": max(FLOOR, claim.cap(x))} for x in grid]


def elbow(claim: PrivacyClaim) -> float:
    """The least false positive rate at which the promise allows an attack to find every member."""
    return min(1.0, max(0.0, (1 - claim.delta) * math.exp(-claim.epsilon)))


def _axes() -> tuple[Any, Any]:
    import altair as alt

    scale = alt.Scale(type="log", domain=[FLOOR, 1], nice=False, clamp=True)
    return scale, "format(datum.value * 100, '~r') + '%'"


def _frame(first: bool, last: bool) -> Iterator[Any]:
    """Axes and the diagonal, where guessing would be."""
    import altair as alt

    scale, words = _axes()
    ticks = [1e-4, 1e-3, 1e-2, 1e-1, 1]
    shared: dict[str, Any] = {"values": ticks, "labelExpr": words, "domain": False, "ticks": False, "labelOverlap": False}
    bottom = alt.Axis(title="false positive rate" if last else None, labelFlush=True, **shared)
    left = alt.Axis(title="true positive rate" if first else None, labels=first, minExtent=LEFT, maxExtent=LEFT, **shared)
    rows = [{"x": FLOOR, "y": FLOOR}, {"x": 1.0, "y": 1.0}]
    line = over(rows).mark_line(color=role("muted"), strokeDash=[1, 3], strokeWidth=1.2)
    yield line.encode(x=alt.X("x:Q", scale=scale, axis=bottom), y=alt.Y("y:Q", scale=scale, axis=left))


def _context(others: list[Curve]) -> Iterator[Any]:
    import altair as alt

    scale, _ = _axes()
    for curve in others:
        rows = [{"x": row["x"], "y": row["y"]} for row in drawable(curve)]
        line = over(rows).mark_line(color=role("faint"), strokeWidth=1.2, interpolate="step-after")
        yield line.encode(x=alt.X("x:Q", scale=scale), y=alt.Y("y:Q", scale=scale))


def _own(document: Document, run: int, curve: Curve, width: int, height: int) -> Iterator[Any]:
    """The run's own curve, band, cap and heading."""
    import altair as alt

    name = document.names[run]
    claim, auc = document.claim(name), document.estimate("membership_auc", name)
    scale, _ = _axes()
    x, y = alt.X("x:Q", scale=scale), alt.Y("y:Q", scale=scale)
    data = over(drawable(curve))
    if claim is not None:
        yield from _cap(claim, run, width)
    if curve.low:
        band = data.mark_area(color=colour(run), opacity=0.18, interpolate="step-after", line=False)
        yield band.encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q")
    yield data.mark_line(color=colour(run), strokeWidth=2.2, interpolate="step-after").encode(x=x, y=y)
    yield from _unresolved(curve, width, height)
    heading = shortened(name)
    yield text(heading, x=0, y=-16, size=13, bold=True, ink=colour(run))
    if auc is not None and auc.value is not None:
        yield text(f"AUC {written(auc).full}", x=width, y=-16, align="right", ink="muted")


def _cap(claim: PrivacyClaim, run: int, width: int) -> Iterator[Any]:
    """What the promise rules out: the region above a dashed line, which is empty for a large epsilon."""
    import altair as alt

    scale, _ = _axes()
    x = alt.X("x:Q", scale=scale)
    data = over({**row, "top": 1.0} for row in capped(claim))
    yield data.mark_area(color=role("muted"), opacity=0.13, line=False).encode(x=x, y=alt.Y("cap:Q", scale=scale), y2="top:Q")
    yield data.mark_line(color=colour(run), strokeDash=[6, 4], strokeWidth=1.6).encode(x=x, y=alt.Y("cap:Q", scale=scale))
    corner = width * (1 - math.log(max(elbow(claim), FLOOR)) / math.log(FLOOR))
    inside, epsilon = f"ruled out by ε = {significant(claim.epsilon)}", f"ε = {significant(claim.epsilon)}"
    if corner > 1.5 * text_width(inside):
        yield text(inside, x=6, y=12, ink="muted", rim=False)  # on the shaded region
    else:
        beside = f"cap of {epsilon}" if elbow(claim) > FLOOR else f"{epsilon} rules out nothing here"
        yield text(beside, x=max(6, corner + 6), y=12, ink="muted")


def _unresolved(curve: Curve, width: int, height: int) -> Iterator[Any]:
    """Where too few non-members stand behind a rate: a line, and what it means if there is room."""
    import altair as alt

    count = curve.conditions.get("nonmembers")
    if not isinstance(count, int) or not FLOOR < FEWEST / count < 1:
        return
    scale, _ = _axes()
    edge = FEWEST / count
    rule = over([{"x": edge}]).mark_rule(color=role("rule"), strokeWidth=1)
    yield rule.encode(x=alt.X("x:Q", scale=scale))
    words, where = "not resolved", width * (1 - math.log(edge) / math.log(FLOOR))
    if where > text_width(words) + 12:
        yield text(words, x=where - 5, y=height - 10, align="right", ink="muted")
