"""The page: one file that opens from a mail, without a network or a script."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from holdfast.report import front
from holdfast.report.document import Document
from holdfast.report.figures.theme import colour, shape, variables
from holdfast.report.sections import sections
from holdfast.report.view import Page

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_POWER = re.compile(r"\b(e|10)\^(\d+(?:\.\d+)?)")
_MARKS = {  # outlines in a box of 12 by 12, the same shapes as in the charts
    "circle": '<circle cx="6" cy="6" r="5"/>',
    "square": '<path d="M1.5 1.5h9v9h-9z"/>',
    "triangle-up": '<path d="M6 1l5.5 9.5h-11z"/>',
    "diamond": '<path d="M6 0l5 6-5 6-5-6z"/>',
    "triangle-down": '<path d="M6 11l5.5-9.5h-11z"/>',
    "cross": '<path d="M4 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z"/>',
}


def render(document: Document) -> str:
    """Draws the page.

    Args:
        document: What stands beside the page as evidence.json; the page shows nothing else.

    Returns:
        HTML. The same document gives the same text on the same machine.
    """
    return page(
        Page(
            title=document.title,
            facts=front.facts(document),
            alerts=front.alerts(document),
            lead=front.lead(document),
            support=front.support(document),
            tiles=front.tiles(document),
            overview=front.overview(document),
            sections=sections(document),
            version=document.versions.get("holdfast", ""),
        )
    )


def page(content: Page) -> str:
    """Sets a page, whatever stands on it."""
    from markupsafe import Markup

    style = Markup(stylesheet())  # ours, and holds nothing of the user
    parts = {field.name: getattr(content, field.name) for field in fields(content)}
    return _environment().get_template("trust.html.jinja").render(style=style, **parts)


def stylesheet() -> str:
    """The style of the page, with every colour as a variable that follows the reader's choice of light or dark."""
    light = "".join(f"{name}:{pair[0]};" for name, pair in variables().items())
    dark = "".join(f"{name}:{pair[1]};" for name, pair in variables().items())
    text = resources.files("holdfast.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{text}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("holdfast.report", "templates"),
        autoescape=True,
        finalize=printable,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"powers": powers, "mark": mark, "drawing": drawing}
    return environment


def printable(value: object) -> object:
    """Replaces characters that are not seen but change how a text is read, such as controls and overrides of direction."""
    from markupsafe import Markup

    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def powers(text: str) -> Markup:
    """Sets powers such as e^8 as people write them; everything else is escaped."""
    from markupsafe import Markup, escape

    raised = _POWER.sub(r"\1<sup>\2</sup>", str(escape(printable(text))))
    return Markup(raised)  # escaped in the line above


def mark(run: int) -> Markup:
    """The mark of a run, as in the charts; its name stands beside it, so it is not read aloud."""
    from markupsafe import Markup

    name = colour_variable(run)
    return Markup(  # a number and a table of ours
        f'<svg class="mark" viewBox="0 0 12 12" aria-hidden="true" style="fill:var({name},{colour(run)})">{_MARKS[shape(run)]}</svg>'
    )


def colour_variable(run: int) -> str:
    """The CSS variable of a run's colour."""
    return next(name for name, pair in variables().items() if pair[0] == colour(run))


def drawing(svg: str) -> Markup:
    """A chart, whose texts were escaped when it was drawn."""
    from markupsafe import Markup

    return Markup(_CONTROL.sub("", svg))  # made by `figures.svg.render`
