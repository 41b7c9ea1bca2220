"""How the scores of single clients are spread in each run: the worst, the lowest tenth, the middle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.core.evidence import Estimate
from holdfast.report.federation.lines import MOST, brief, figure
from holdfast.report.federation.reading import Federated, measure_label
from holdfast.report.figures import NARROW, WIDE, Figure
from holdfast.report.figures.labels import text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import written

ROW = 46  # height of a run
WORST, TENTH, MIDDLE = 0, 10, 50


def spread_of_clients(found: Sequence[Federated]) -> Figure | None:
    """The score of the worst client and at percentiles, for each run; None where none was measured."""
    drawn = [(one, known) for one in found if (known := one.percentiles())]
    if not drawn:
        return None
    first = next(iter(drawn[0][1].values()))
    least = first.conditions.get("least_examples")
    enough = f" with at least {least} test examples" if least is not None else ""
    counted = first.conditions.get("clients")
    over_ = f" Over {int(counted):,} clients{enough}." if isinstance(counted, int | float) else ""
    caption = (
        f"Hollow: the worst client. Filled: the client that a tenth of all fall behind. Strokes: the median and, where the line ends, "
        f"the 90th percentile.{over_} The worst of many small clients is low by chance alone."
    )
    title = f"The {measure_label(drawn[0][0].measure)} of single clients"
    alternative = f"{title}. {'; '.join(f'{one.name}: {in_words(known)}' for one, known in drawn)}."
    wide, narrow = _chart(drawn, width=WIDE - 16), _chart(drawn, width=NARROW - 20)
    return figure("client-spread", title=title, caption=caption, alternative=alternative, wide=wide, narrow=narrow)


def in_words(known: Mapping[int, Estimate]) -> str:
    """The percentiles of one run in a few words."""
    return ", ".join(f"{named(percentile)} {written(one).value}" for percentile, one in known.items())


def named(percentile: int) -> str:
    """What to call a percentile.

    >>> named(0), named(10), named(50), named(90)
    ('worst', '10th percentile', 'median', '90th percentile')
    """
    return {WORST: "worst", MIDDLE: "median"}.get(percentile, f"{percentile}th percentile")


def _chart(drawn: Sequence[tuple[Federated, Mapping[int, Estimate]]], *, width: int) -> Any:
    import altair as alt

    kept = drawn[:MOST]
    values = [one.value or 0.0 for _, known in kept for one in known.values()]
    shares = all(one.unit == "share" for _, known in kept for one in known.values())
    low, high = (0.0, 1.0) if shares else (min(values), max(values))
    margin = 0.0 if shares else 0.05 * (high - low) or 1.0
    label = {"labelExpr": "format(datum.value * 100, '~r') + '%'"} if shares else {}
    axis = alt.Axis(title=None, domain=False, ticks=False, tickCount=max(3, width // 90), labelFlush=True, **label)
    scale = alt.Scale(domain=[low - margin, high + margin], nice=False)
    x = alt.X("value:Q", scale=scale, axis=axis)
    layers: list[Any] = [over([{"value": low}]).mark_rule(color=role("page"), opacity=0).encode(x=x)]
    room = int((width - max(text_width(_figures(known)) for _, known in kept) - 10) / text_width("m"))
    names = brief([one.name for one, _ in kept], max(8, room))
    for row, ((one, known), name) in enumerate(zip(kept, names, strict=True)):
        layers.append(text(name, x=0, y=row * ROW + 14, bold=True, ink=colour(one.run)))
        layers += _row(one, known, scale, row * ROW, width)
    if len(drawn) > len(kept):
        layers.append(text(f"and {len(drawn) - len(kept)} more in the table", x=width, y=-9, align="right", ink="muted"))
    return alt.layer(*layers, width=width, height=ROW * len(kept) + 6)


def _row(one: Federated, known: Mapping[int, Estimate], scale: Any, top: float, width: int) -> Iterator[Any]:
    """The figures of a run above its marks."""
    import altair as alt

    ink, at = colour(one.run), alt.value(top + 33)
    yield text(_figures(known), x=width, y=top + 14, align="right", ink="muted")
    values = {percentile: estimate.value or 0.0 for percentile, estimate in known.items()}
    ends = over([{"value": min(values.values()), "high": max(values.values())}])
    yield ends.mark_rule(color=ink, strokeWidth=2, opacity=0.45).encode(x=alt.X("value:Q", scale=scale), x2="high:Q", y=at)
    for percentile, value in values.items():
        point, place = over([{"value": value}]), alt.X("value:Q", scale=scale)
        if percentile in (WORST, TENTH):
            look = {"fill": role("page"), "stroke": ink, "strokeWidth": 1.8} if percentile == WORST else {"color": ink}
            yield point.mark_point(filled=True, size=80, opacity=1, shape=shape(one.run), **look).encode(x=place, y=at)
        else:
            half = 7 if percentile == MIDDLE else 4
            yield point.mark_rule(color=ink, strokeWidth=2).encode(x=place, y=alt.value(top + 33 - half), y2=alt.value(top + 33 + half))


def _figures(known: Mapping[int, Estimate]) -> str:
    return ", ".join(f"{word} {written(known[place]).value}" for place, word in ((WORST, "worst"), (TENTH, "10th")) if place in known)
