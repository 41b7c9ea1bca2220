"""What each run sends: up and down for one client and round, and in all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.core.evidence import Condition
from holdfast.report.federation.lines import LINE, MOST, figure
from holdfast.report.federation.reading import Federated
from holdfast.report.figures import NARROW, WIDE, Figure
from holdfast.report.figures.labels import shortened, text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour
from holdfast.report.numbers import in_bytes

ROW, BAR = 64, 11  # height of a run, and of a bar
UP, DOWN = "bytes_up_per_client", "bytes_down_per_client"


def traffic(found: Sequence[Federated]) -> Figure | None:
    """Bytes for one client and round; None where nothing was counted."""
    drawn = [one for one in found if one.value(UP) is not None or one.value(DOWN) is not None]
    if not drawn:
        return None
    caption = "For one client and round, as serialised. Full: up to the server. Pale: down to the client. In brackets: the whole run."
    parts = [f"{one.name} ({sent(one)}): up {_words(one, UP)}, down {_words(one, DOWN)}" for one in drawn]
    alternative = f"Bytes for one client and round. {'; '.join(parts)}."
    wide, narrow = _chart(drawn, width=WIDE - 16), _chart(drawn, width=NARROW - 20)
    return figure("traffic", title="What is sent", caption=caption, alternative=alternative, wide=wide, narrow=narrow)


def sent(one: Federated) -> str:
    """Which part of the model is sent, and how it is packed."""
    told: dict[str, Condition] = {}
    for name in (UP, DOWN):
        found = one.estimate(name)
        told |= {} if found is None else found.conditions
    part, packed = str(told.get("trainable", "")), str(told.get("compression", ""))
    whole = {"": "", "all": "whole model"}.get(part, f"trained part: {part}")
    return ", ".join(filter(None, (whole, {"": "", "none": "not compressed"}.get(packed, f"compressed: {packed}"))))


def _words(one: Federated, quantity: str) -> str:
    value, whole = one.value(quantity), one.value(quantity.removesuffix("_per_client"))
    if value is None:
        return "not counted"
    return in_bytes(value) + ("" if whole is None else f" ({in_bytes(whole)})")


def _chart(drawn: Sequence[Federated], *, width: int) -> Any:
    import altair as alt

    kept = drawn[:MOST]
    longest = max((value for one in kept for name in (UP, DOWN) if (value := one.value(name)) is not None), default=0.0) or 1.0
    room = max(text_width(f"down {_words(one, name)}") for one in kept for name in (UP, DOWN)) + 12
    scale = (width - room) / longest
    beside = all(text_width(f"{one.name}   {sent(one)}") <= width for one in kept)
    row = ROW if beside or not any(map(sent, kept)) else ROW + LINE
    layers = [layer for place, one in enumerate(kept) for layer in _row(one, place * row, scale, width, beside=beside)]
    if len(drawn) > len(kept):
        layers.append(text(f"and {len(drawn) - len(kept)} more in the table", x=width, y=-9, align="right", ink="muted"))
    return alt.layer(*layers, width=width, height=row * len(kept))


def _row(one: Federated, top: float, scale: float, width: int, *, beside: bool) -> Iterator[Any]:
    """Name of a run, beside or above how it packs, and its two bars with their figures."""
    import altair as alt

    how, letters = sent(one), int(width / text_width("m"))
    yield text(shortened(one.name, letters), x=0, y=top + 10, bold=True, ink=colour(one.run))
    if how and beside:
        yield text(how, x=width, y=top + 10, align="right", ink="muted")
    elif how:
        top += LINE
        yield text(shortened(how, letters), x=0, y=top + 10, ink="muted")
    for place, (quantity, word, opacity) in enumerate(((UP, "up", 1.0), (DOWN, "down", 0.45))):
        length, middle = scale * (one.value(quantity) or 0.0), top + 27 + 17 * place
        bar = over([{}]).mark_rect(color=colour(one.run), opacity=opacity)
        ends = {"x": alt.value(0), "x2": alt.value(max(1.5, length))}
        yield bar.encode(**ends, y=alt.value(middle - BAR / 2), y2=alt.value(middle + BAR / 2))
        yield text(f"{word} {_words(one, quantity)}", x=max(1.5, length) + 7, y=middle)
