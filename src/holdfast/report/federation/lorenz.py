"""The Lorenz curve of activity, with that of the participation in each run: how unequal clients are, and how unequally they are asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from holdfast.core.evidence import Curve
from holdfast.report.federation.lines import LINE, MOST, brief, figure, ink, marks, named, thinned
from holdfast.report.federation.reading import Federated
from holdfast.report.figures import Figure
from holdfast.report.figures.labels import spread
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import significant

LEFT = 44  # room for the labels of the y axis
_AT = 0.75  # share of clients at which the curves carry their marks, where they lie far apart


@dataclass(frozen=True, kw_only=True)
class Share:
    """One Lorenz curve.

    Args:
        name: Whose it is.
        curve: From (0, 0) to (1, 1).
        gini: The index that belongs to it, or None.
        run: Number of the run; None for what belongs to no run.
    """

    name: str
    curve: Curve
    gini: float | None
    run: int | None = None

    @property
    def ink(self) -> str:
        """The colour of the run, or a quiet one."""
        return role("muted") if self.run is None else colour(self.run)

    @property
    def label(self) -> str:
        """Name and index."""
        return self.name if self.gini is None else f"{self.name}: {significant(self.gini, 2)}"

    def at(self, share: float) -> float:
        """The curve at a share of the clients, between its points on a straight line."""
        points = list(zip(self.curve.x, self.curve.y, strict=True))
        for (x0, y0), (x1, y1) in pairwise(points):
            if x0 <= share <= x1:
                return y0 if x1 == x0 else y0 + (y1 - y0) * (share - x0) / (x1 - x0)
        return points[-1][1]


def shares(found: Sequence[Federated]) -> list[Share]:
    """The curves to draw: activity once where it is the same for all runs, then the participation of each."""
    active = [(one, curve) for one in found if (curve := one.curve("activity_lorenz")) is not None]
    distinct: dict[tuple[tuple[float, ...], ...], tuple[Federated, Curve]] = {}
    for one, curve in active:
        distinct.setdefault((curve.x, curve.y), (one, curve))
    drawn = []
    for one, curve in distinct.values():
        name = "activity" if len(distinct) == 1 else f"activity, {one.name}"
        drawn.append(Share(name=name, curve=curve, gini=one.value("activity_gini")))
    for one in found:
        taken = one.curve("participation_lorenz")
        if taken is not None:
            drawn.append(Share(name=one.name, curve=taken, gini=one.value("participation_gini"), run=one.run))
    return drawn


def lorenz(found: Sequence[Federated]) -> Figure | None:
    """Lorenz curves of activity and participation; None where there are none."""
    drawn = shares(found)
    if not drawn:
        return None
    caption = (
        "Each curve has the clients in the order of what it counts, from the least to the most. Dashed grey: their examples. Coloured: how "
        "often they took part in a run. The straight line is equality; the number beside a name is the Gini index, twice the area between "
        "curve and line."
    )
    parts = [f"{one.label}; the lower half holds {significant(100 * one.at(0.5))}%" for one in drawn]
    alternative = f"Lorenz curves of activity and of participation, with the Gini index of each. {'. '.join(parts)}."
    wide = _chart(drawn, side=270, letters=34)
    narrow = _chart(drawn, side=180, letters=14)
    title = "How unequal clients are, and how unequally they are asked"
    return figure("lorenz", title=title, caption=caption, alternative=alternative, wide=wide, narrow=narrow)


def _chart(drawn: Sequence[Share], *, side: int, letters: int) -> Any:
    import altair as alt

    kept = drawn[:MOST]
    height = max(side, LINE * len(kept) + 10)
    axis = {"values": [0, 0.25, 0.5, 0.75, 1], "domain": False, "ticks": False}
    share = "format(datum.value * 100, '~r') + '%'"
    scale = alt.Scale(domain=[0, 1], nice=False)
    bottom = alt.Axis(title="share of clients, least to most", labelFlush=False, labelExpr=f"datum.value ? {share} : ''", **axis)
    x = alt.X("x:Q", scale=scale, axis=bottom)
    y = alt.Y("y:Q", scale=scale, axis=alt.Axis(title=None, minExtent=LEFT, maxExtent=LEFT, labelExpr=share, **axis))
    layers: list[Any] = [over([{"x": 0, "y": 0}, {"x": 1, "y": 1}]).mark_line(color=role("rule"), strokeWidth=1).encode(x=x, y=y)]
    for dash, group in ([5, 4], [one for one in kept if one.run is None]), ([1, 0], [one for one in kept if one.run is not None]):
        rows = [row for one in group for row in _rows(one)]
        base = over(rows).mark_line(strokeWidth=2, strokeDash=dash)
        layers.append(base.encode(x=x, y=y, color=ink(), detail="name:N"))
    dots = []
    for place, one in enumerate(kept):
        where = _AT - 0.04 * (place % 5)  # so that marks do not hide each other
        if one.run is not None:
            dots.append({"x": where, "y": one.at(where), "ink": one.ink, "shape": shape(one.run)})
    layers.append(marks(dots, x=x, y=y, size=46))
    layers += _names(kept, side=side, height=height, letters=letters)
    layers.append(text("Share held", x=-LEFT, y=-16, size=13, bold=True))
    if len(drawn) > len(kept):
        layers.append(text(f"and {len(drawn) - len(kept)} more in the table", x=side, y=-16, align="right", ink="muted"))
    return alt.layer(*layers, width=side, height=height)


def _rows(one: Share) -> list[dict[str, Any]]:
    return [{"x": one.curve.x[point], "y": one.curve.y[point], "ink": one.ink, "name": one.name} for point in thinned(len(one.curve.x))]


def _names(drawn: Sequence[Share], *, side: int, height: int, letters: int) -> Iterator[Any]:
    """The names to the right, in the order in which the curves lie, each with the mark or the dash of its curve."""
    import altair as alt

    figures = ["" if one.gini is None else f": {significant(one.gini, 2)}" for one in drawn]
    names = brief([one.name for one in drawn], letters - max(map(len, figures)))
    places = spread([height * (1 - one.at(_AT)) for one in drawn], gap=LINE + 1, low=6, high=height - 6)
    rows = []
    for one, name, index, at in zip(drawn, names, figures, places, strict=True):
        if one.run is not None:
            rows.append({"name": f"{name}{index}", "at": at, "ink": one.ink, "shape": shape(one.run)})
            continue
        rule = over([{}]).mark_rule(color=one.ink, strokeWidth=2, strokeDash=[4, 3])
        yield rule.encode(x=alt.value(side + 6), x2=alt.value(side + 18), y=alt.value(at))
        yield text(f"{name}{index}", x=side + 24, y=at, ink="muted")
    yield from named(rows, mark=side + 12, name=side + 24)
