"""How the scores of members and non-members are spread, and the area under the ROC curve of each group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.core.evidence import Curve, Estimate
from holdfast.report.document import Document
from holdfast.report.figures.labels import Box, Label, place, shortened, text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import written

SIDES = {"score_histogram_members": "members", "score_histogram_nonmembers": "non-members"}
LEFT = 40  # room for the labels of the y axis
ROW = 38  # height of a group
MOST = 12  # groups that are drawn; the table holds all
GUESSING = 0.5


def histograms(document: Document) -> dict[int, tuple[Curve, Curve]]:
    """The runs whose scores were recorded, by their number, each with the curve of members and that of non-members."""
    found = {}
    for run, name in enumerate(document.names):
        inside, outside = (document.curve(quantity, name) for quantity in SIDES)
        if inside is not None and outside is not None and inside.x and inside.x == outside.x:
            found[run] = (inside, outside)
    return found


def describe_histograms(document: Document) -> str:
    """The histograms in words, for whoever does not see them."""
    drawn = histograms(document)
    parts = []
    for run, name in enumerate(document.names):
        if run not in drawn:
            parts.append(f"{name}: no scores recorded")
            continue
        shared = sum(min(pair) for pair in zip(*(curve.y for curve in drawn[run]), strict=True))
        modes = [f"most {word} near {_fullest(curve):.3g}" for curve, word in zip(drawn[run], SIDES.values(), strict=True)]
        parts.append(f"{name}: {' and '.join(modes)}; the two histograms share {shared:.0%} of their area")
    return f"Scores of members and of non-members. {'. '.join(parts)}."


def histogram_chart(document: Document, *, width: int, height: int, columns: int) -> Any:
    """A panel for each run: the histogram of its members over that of its non-members, each with its band.

    Args:
        document: What to draw; at least one run with both histograms.
        width: Of the inside of a panel, in pixels.
        height: Of the inside of a panel.
        columns: Panels in a row.
    """
    import altair as alt

    drawn = histograms(document)
    panels = [
        _histogram_panel(document.names[run], run, pair, width=width, height=height, last=index >= len(drawn) - columns)
        for index, (run, pair) in enumerate(drawn.items())
    ]
    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": LEFT + 20, "row": 78})


def _histogram_panel(name: str, run: int, pair: tuple[Curve, Curve], *, width: int, height: int, last: bool) -> Any:
    import altair as alt

    left, right = pair[0].x[0], pair[0].x[-1] + _bin_width(pair[0])
    top = max(max((*curve.y, *curve.high)) for curve in pair) or 1.0
    title = pair[0].x_label if last else None
    bottom = alt.Axis(title=title, grid=False, ticks=False, tickCount=max(2, width // 70), labelFlush=True)
    words = "format(datum.value * 100, '~r') + '%'"
    up = alt.Axis(title=None, tickCount=4, labelExpr=words, domain=False, ticks=False, minExtent=LEFT, maxExtent=LEFT)
    x = alt.X("x:Q", scale=alt.Scale(domain=[left, right], nice=False), axis=bottom)
    scale = alt.Scale(domain=[0, top], nice=False, clamp=True)
    layers: list[Any] = []
    for curve, ink, dash in zip(reversed(pair), (role("muted"), colour(run)), ([4, 3], [1, 0]), strict=True):
        data = over(_steps(curve))
        if curve.low:
            band = data.mark_area(color=ink, opacity=0.16, interpolate="step-after", line=False)
            layers.append(band.encode(x=x, y=alt.Y("low:Q", scale=scale, axis=up), y2="high:Q"))
        line = data.mark_line(color=ink, strokeWidth=2, strokeDash=dash, interpolate="step-after")
        layers.append(line.encode(x=x, y=alt.Y("y:Q", scale=scale, axis=up)))
    layers += _sides(pair, run, top, width=width, height=height)
    layers.append(text(shortened(name), x=-LEFT, y=-16, size=13, bold=True, ink=colour(run)))
    return alt.layer(*layers, width=width, height=height)


def _steps(curve: Curve) -> list[dict[str, float]]:
    """A point at the left edge of each bin, and one that closes the last bin."""
    low, high = curve.low or curve.y, curve.high or curve.y
    rows = [{"x": x, "y": y, "low": below, "high": above} for x, y, below, above in zip(curve.x, curve.y, low, high, strict=True)]
    return [*rows, {**rows[-1], "x": curve.x[-1] + _bin_width(curve)}]


def _sides(pair: tuple[Curve, Curve], run: int, top: float, *, width: int, height: int) -> Iterator[Any]:
    """The words "members" and "non-members", each beside the bin where its side exceeds the other most."""
    bins = len(pair[0].x)
    step = width / bins
    heights = [[height * (1 - min(1.0, share / top)) for share in curve.y] for curve in pair]
    obstacles = [
        Box(index * step, min(tops) - 2, (index + 1) * step, max(tops) + 2) for index, tops in enumerate(zip(*heights, strict=True))
    ]
    labels = []
    for own, other, word in ((0, 1, "members"), (1, 0, "non-members")):
        lead = max(range(bins), key=lambda index: (pair[own].y[index] - pair[other].y[index], pair[own].y[index]))
        labels.append(Label(word, (lead + 0.5) * step, heights[own][lead], max(3.0, step / 2)))
    for placed, ink in zip(
        place(labels, obstacles=obstacles, area=Box(4, 2, width - 4, height - 2)), (colour(run), role("muted")), strict=True
    ):
        yield text(placed.label.text, x=placed.x, y=placed.y, align=placed.align, ink=ink, bold=True)


def _fullest(curve: Curve) -> float:
    """Middle of the bin with the largest share."""
    return curve.x[curve.y.index(max(curve.y))] + _bin_width(curve) / 2


def _bin_width(curve: Curve) -> float:
    width = curve.conditions.get("bin_width")
    if isinstance(width, float | int) and width > 0:
        return float(width)
    return curve.x[1] - curve.x[0] if len(curve.x) > 1 else 1.0


def attributes(document: Document) -> tuple[str, ...]:
    """What rows were grouped by, in the order of the evidence: each is a chart of its own."""
    found = (str(e.conditions["attribute"]) for e in document.evidence.estimates if e.name == "group_auc" and "attribute" in e.conditions)
    return tuple(dict.fromkeys(found))


def areas(document: Document, attribute: str) -> dict[int, list[Estimate]]:
    """The areas by group of each run that has any, missing ones too, by the number of the run.

    Where several attacks were made, those of the one with the largest area of all rows: the largest of each group apart would
    be largest by chance, and no interval holds for it.
    """
    found: dict[int, list[Estimate]] = {}
    for estimate in document.evidence.estimates:
        drawn = (attribute, document.strongest(estimate.subject))
        if estimate.name == "group_auc" and (estimate.conditions.get("attribute"), estimate.conditions.get("attack")) == drawn:
            found.setdefault(document.names.index(estimate.subject), []).append(estimate)
    return {run: found[run] for run in sorted(found)}


def describe_areas(document: Document, attribute: str) -> str:
    """The chart of areas by group in words, for whoever does not see it."""
    parts = []
    for run, found in areas(document, attribute).items():
        figures = ", ".join(f"{_group(estimate)} {written(estimate).full}" for estimate in found)
        parts.append(f"{document.names[run]}: {figures}")
    return f"Attack AUC by {attribute}; one half is guessing. {'. '.join(parts)}."


def area_chart(document: Document, attribute: str, *, width: int, columns: int) -> Any:
    """A panel for each run: a dot with its interval for each group, the area of all rows, and the line of guessing.

    At most `MOST` groups are drawn, those in which some run leaks most; groups without a value are named and say so.

    Args:
        document: What to draw.
        attribute: What the rows are grouped by; at least one run has areas of it.
        width: Of the inside of a panel, in pixels.
        columns: Panels in a row.
    """
    import altair as alt

    found = areas(document, attribute)
    names, left_out = shown(found)
    domain = _domain(document, found)
    panels = []
    for index, (run, estimates) in enumerate(found.items()):
        own = [estimate for estimate in estimates if _group(estimate) in names]
        last = index >= len(found) - columns
        panels.append(_area_panel(document, run, own, domain, width=width, rows=len(names), last=last, left_out=left_out))
    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": 44, "row": 84 if left_out == 0 else 100})


def shown(found: dict[int, list[Estimate]]) -> tuple[tuple[str, ...], int]:
    """The groups to draw, in the order of the evidence, and how many are left to the table."""
    worst: dict[str, float] = {}
    for estimate in (estimate for estimates in found.values() for estimate in estimates):
        worst[_group(estimate)] = max(worst.get(_group(estimate), -1.0), -1.0 if estimate.value is None else estimate.value)
    kept = sorted(worst, key=lambda name: worst[name], reverse=True)[:MOST]
    return tuple(name for name in worst if name in kept), len(worst) - len(kept)


def _area_panel(
    document: Document,
    run: int,
    found: Sequence[Estimate],
    domain: tuple[float, float],
    *,
    width: int,
    rows: int,
    last: bool,
    left_out: int,
) -> Any:
    import altair as alt

    height = ROW * rows + 6
    scale = alt.Scale(domain=list(domain), nice=False)
    axis = alt.Axis(title="AUC" if last else None, domain=False, ticks=False, tickCount=max(3, width // 70), labelFlush=True, format="~r")
    whole = document.estimate("membership_auc", document.names[run])
    layers: list[Any] = [
        over([{"value": GUESSING}]).mark_rule(color=role("page"), opacity=0).encode(x=alt.X("value:Q", scale=scale, axis=axis))
    ]
    for index in (index for index, estimate in enumerate(found) if estimate.value is not None):  # so that no line runs through a name
        layers.append(_upright(GUESSING, scale, index, color=role("muted"), strokeDash=[1, 3], strokeWidth=1.6))
        if whole is not None and whole.value is not None:
            layers.append(_upright(whole.value, scale, index, color=colour(run), opacity=0.6, strokeWidth=1.2))
    for index, estimate in enumerate(found):
        layers += _area_row(estimate, run, index * ROW, scale, width)
    layers.append(text(shortened(document.names[run]), x=0, y=-30, size=13, bold=True, ink=colour(run)))
    if whole is not None and whole.value is not None:
        layers.append(text(f"all rows {written(whole).full}", x=width, y=-30, align="right", ink="muted"))
    guess = width * (GUESSING - domain[0]) / (domain[1] - domain[0])
    layers.append(text("guessing", x=max(guess, text_width("guessing") / 2), y=-9, align="center", ink="muted"))
    if left_out and last:
        layers.append(text(f"and {left_out} more group{'s' if left_out > 1 else ''}, in the table", x=0, y=height + 46, ink="muted"))
    return alt.layer(*layers, width=width, height=height)


def _upright(value: float, scale: Any, index: int, **look: Any) -> Any:
    """A line across the interval of one group."""
    import altair as alt

    ends = {"y": alt.value(index * ROW + 20), "y2": alt.value(index * ROW + 37)}
    return over([{"value": value}]).mark_rule(**look).encode(x=alt.X("value:Q", scale=scale), **ends)


def _area_row(estimate: Estimate, run: int, top: float, scale: Any, width: int) -> Iterator[Any]:
    """Name and figures of a group above its dot and interval."""
    import altair as alt

    figures = written(estimate)
    words = figures.full if estimate.value is not None else "too few rows" if figures.missing.startswith("too few") else figures.value
    room = int((width - text_width(words) - 10) / text_width("m"))
    yield text(shortened(_group(estimate), max(4, room)), x=0, y=top + 12)
    yield text(words, x=width, y=top + 12, align="right", ink="muted")
    if estimate.value is None:
        return
    middle = alt.value(top + 28)
    if estimate.interval is not None:
        ends = over([{"low": estimate.interval.low, "high": estimate.interval.high}])
        yield ends.mark_rule(color=colour(run), strokeWidth=2, opacity=0.55).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=middle)
    dot = over([{"value": estimate.value}]).mark_point(filled=True, size=80, opacity=1, color=colour(run), shape=shape(run))
    yield dot.encode(x=alt.X("value:Q", scale=scale), y=middle)


def _domain(document: Document, found: dict[int, list[Estimate]]) -> tuple[float, float]:
    """Ends of the common axis: every interval that is drawn, one half, and a margin."""
    names, _ = shown(found)
    ends = [GUESSING]
    for run, estimates in found.items():
        whole = document.estimate("membership_auc", document.names[run])
        ends += [whole.value] if whole is not None and whole.value is not None else []
        for estimate in estimates:
            if estimate.value is not None and _group(estimate) in names:
                ends += [estimate.interval.low, estimate.interval.high] if estimate.interval else [estimate.value]
    margin = max(0.02, 0.04 * (max(ends) - min(ends)))
    return max(0.0, min(ends) - margin), min(1.0, max(ends) + margin)


def _group(estimate: Estimate) -> str:
    return str(estimate.conditions.get("group", ""))
