"""From a chart to an inline drawing: ids of its own, colours as CSS variables, a text alternative, no fixed size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from holdfast.report.figures.theme import FONT, ROLES, as_variables, role

_SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"[^>]*>')
_TAG = re.compile(r"<[^>]*>")
_ID = re.compile(r'\bid="([^"]+)"')
_DESCRIBED = re.compile(r' (?:aria-[a-z]+|role|class|pointer-events|font-family)="[^"]*"')
_DECIMALS = re.compile(r"(\d+\.\d{2})\d+")
_DRAWN = re.compile(r' (?:d|transform)="[^"]*"')


def render(chart: Any, *, name: str, alternative: str) -> str:
    """Draws an altair chart.

    Args:
        chart: An altair chart without a configuration.
        name: Prefix of the drawing's ids, unique on the page.
        alternative: What the drawing shows, in words, for whoever does not see it.

    Returns:
        An `<svg>` element. The same chart gives the same text on the same machine.
    """
    import vl_convert

    return polish(vl_convert.vegalite_to_svg(configured(chart).to_dict(validate=False)), name=name, alternative=alternative)


def configured(chart: Any) -> Any:
    """The chart in the look of the page."""
    muted = role("muted")
    axis: dict[str, Any] = {"domainColor": role("rule"), "gridColor": role("grid"), "tickColor": role("rule"), "labelColor": muted}
    axis |= {"titleColor": muted, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8}
    return chart.configure(
        aria=False,
        font=FONT,
        background="transparent",
        padding=2,
        axis=axis,
        text={"fontSize": 12, "color": role("ink"), "baseline": "middle"},
        view={"stroke": None},
    )


def over(rows: Iterable[Mapping[str, Any]]) -> Any:
    """An altair chart over rows of data, to which a mark is to be given."""
    import altair as alt

    return alt.Chart(alt.InlineData(values=tuple(rows)))  # lists are copied whole each time a chart becomes part of another


def written(
    text: str, *, x: float, y: float, align: str = "left", ink: str = "ink", size: int = 12, bold: bool = False, rim: bool = True
) -> Any:
    """A text at a place that is given in pixels from the upper left corner of the inside of a panel.

    Args:
        text: One line.
        x: Where it is anchored.
        y: Middle of the line; below 0 is above the panel.
        align: Which end stands at x: "left", "center" or "right".
        ink: A role of the theme, or the colour of a run.
        size: Of the letters, in pixels.
        bold: Whether it is a name or a heading.
        rim: Whether it has a rim in the colour of the page, which keeps lines from crossing the letters: the style sheet puts
            the rim behind them.
    """
    import altair as alt

    mark = over([{}]).mark_text(
        text=text,
        align=align,
        color=role(ink) if ink in ROLES else ink,
        fontSize=size,
        fontWeight=600 if bold else "normal",
        stroke=role("page"),
        strokeWidth=3 if rim else 0,
    )
    return mark.encode(x=alt.value(x), y=alt.value(y))


def polish(svg: str, *, name: str, alternative: str) -> str:
    """Makes a drawing fit to stand in a page among others.

    Args:
        svg: What vl-convert gives.
        name: Prefix of the drawing's ids.
        alternative: Text alternative.
    """
    size = _SIZE.search(svg)
    if size is None:
        raise ValueError("not a drawing of vl-convert: it has no size")
    width, height = (round(float(number)) for number in size.groups())
    body = _TAG.sub(_cleaned, svg[size.end() :])
    for number, old in enumerate(dict.fromkeys(_ID.findall(body)), start=1):
        body = body.replace(f'id="{old}"', f'id="{name}-{number}"').replace(f"url(#{old})", f"url(#{name}-{number})")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alternative)}" '
        f'style="max-width:{width}px">'
    )
    return head + body


def _cleaned(tag: re.Match[str]) -> str:
    """A tag without what vega says of it, with short numbers and with colours as variables; texts between tags are left alone."""
    plain = _DESCRIBED.sub("", tag[0])
    return as_variables(_DRAWN.sub(lambda match: _DECIMALS.sub(r"\1", match[0]), plain))
