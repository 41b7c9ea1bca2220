"""How the losses of all fills of a secret are spread, with the secret drawn in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.core.evidence import Curve
from holdfast.report.document import Document
from holdfast.report.extraction.reading import Planted, planted
from holdfast.report.figures.labels import shortened, text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role
from holdfast.report.numbers import written

LEFT = 40  # room for the labels of the y axis


def drawable(document: Document) -> tuple[Planted, ...]:
    """One secret in each run that has its histogram: of several the one that most runs have, then the one that is exposed most."""
    found: dict[str, dict[int, Planted]] = {}
    for secret in planted(document):
        if secret.fills is not None and truth(secret.fills) is not None:
            found.setdefault(secret.name, {}).setdefault(secret.run, secret)
    if not found:
        return ()
    best = max(found.values(), key=lambda runs: (len(runs), max(secret.exposure or 0.0 for secret in runs.values())))
    return tuple(best.values())


def truth(curve: Curve) -> float | None:
    """The loss of the secret itself."""
    value = curve.conditions.get("truth")
    return float(value) if isinstance(value, int | float) else None


def describe(document: Document) -> str:
    """The histograms in words, for whoever does not see them."""
    parts = []
    for secret in drawable(document):
        curve = secret.fills
        assert curve is not None
        fullest = curve.x[curve.y.index(max(curve.y))]
        parts.append(f"{document.names[secret.run]}: most fills have a loss near {fullest:.3g}, the secret one of {truth(curve):.3g}")
    return f"Losses of all fills of the secret {drawable(document)[0].name}. {'. '.join(parts)}."


def chart(document: Document, *, width: int, height: int, columns: int) -> Any:
    """A panel for each run: the histogram of the losses of all fills, and a line at the loss of the secret.

    Args:
        document: What to draw; at least one histogram.
        width: Of the inside of a panel, in pixels.
        height: Of the inside of a panel.
        columns: Panels in a row.
    """
    import altair as alt

    drawn = drawable(document)
    panels = [
        _panel(document.names[secret.run], secret, width=width, height=height, last=index >= len(drawn) - columns)
        for index, secret in enumerate(drawn)
    ]
    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": LEFT + 20, "row": 84})


def _panel(name: str, secret: Planted, *, width: int, height: int, last: bool) -> Any:
    import altair as alt

    curve = secret.fills
    assert curve is not None
    mark, step = truth(curve) or 0.0, _step(curve)
    low, high = min(curve.x[0] - step / 2, mark), max(curve.x[-1] + step / 2, mark)
    margin = 0.03 * (high - low)
    title = curve.x_label if last else None
    bottom = alt.Axis(title=title, grid=False, ticks=False, tickCount=max(2, width // 70), labelFlush=True)
    up = alt.Axis(
        title=None,
        tickCount=4,
        labelExpr="format(datum.value * 100, '~r') + '%'",
        domain=False,
        ticks=False,
        minExtent=LEFT,
        maxExtent=LEFT,
    )
    x = alt.X("x:Q", scale=alt.Scale(domain=[low - margin, high + margin], nice=False), axis=bottom)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, 1.02 * max(curve.y) or 1.0], nice=False), axis=up)
    rows = over(_steps(curve, step))
    layers: list[Any] = [
        rows.mark_area(color=role("muted"), opacity=0.22, interpolate="step-after", line=False).encode(x=x, y=y),
        rows.mark_line(color=role("muted"), strokeWidth=1.4, interpolate="step-after").encode(x=x, y=y),
    ]
    place = width * (mark - low + margin) / (high - low + 2 * margin)
    layers += _secret(secret, mark, x, place, width)
    layers.append(text(shortened(name), x=-LEFT, y=-34, size=13, bold=True, ink=colour(secret.run)))
    return alt.layer(*layers, width=width, height=height)


def _secret(secret: Planted, mark: float, x: Any, place: float, width: int) -> Iterator[Any]:
    """The line of the secret in the colour of its run, and its rank above it."""
    rule = over([{"x": mark}]).mark_rule(color=colour(secret.run), strokeWidth=2.2)
    yield rule.encode(x=x)
    rank = secret.figures.get("secret_rank")
    words = "the secret" if rank is None or rank.value is None else f"the secret, rank {written(rank).value}"
    half = text_width(words) / 2
    middle = min(max(place, half - LEFT), width - half)
    yield text(words, x=middle, y=-11, align="center", ink=colour(secret.run))


def _steps(curve: Curve, step: float) -> list[dict[str, float]]:
    """A point at the left edge of each bin, and one that closes the last bin."""
    rows = [{"x": x - step / 2, "y": y} for x, y in zip(curve.x, curve.y, strict=True)]
    return [*rows, {"x": curve.x[-1] + step / 2, "y": curve.y[-1]}]


def _step(curve: Curve) -> float:
    width = curve.conditions.get("bin_width")
    if isinstance(width, float | int) and width > 0:
        return float(width)
    return curve.x[1] - curve.x[0] if len(curve.x) > 1 else 1.0
