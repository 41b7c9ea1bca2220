"""How far planted secrets stand out: the exposure of each, and its rank beside what a search made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.core.evidence import Estimate
from holdfast.report.document import Document
from holdfast.report.extraction.reading import CHANCE, Planted, planted
from holdfast.report.figures.labels import shortened, text_width
from holdfast.report.figures.svg import over
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape
from holdfast.report.numbers import written

ROW = 38  # height of a secret in the chart of exposures
LINE, HEAD = 22, 26  # height of a run below the name of its secret, and of that name
MOST = 12  # secrets that are drawn; the table holds all
PAD = 1.35  # of the axis of ranks, beyond both ends, so that a mark at rank 1 is seen whole


def exposed(document: Document) -> dict[int, list[Planted]]:
    """The secrets of each run whose exposure was asked for, by the number of the run; those without a value too."""
    found: dict[int, list[Planted]] = {}
    for secret in planted(document):
        if "secret_exposure" in secret.figures:
            found.setdefault(secret.run, []).append(secret)
    return found


def ranked(document: Document) -> dict[str, list[Planted]]:
    """The secrets whose rank is known, of all runs, by what they are called."""
    found: dict[str, list[Planted]] = {}
    for secret in planted(document):
        if secret.rank is not None and secret.space is not None:
            found.setdefault(secret.name, []).append(secret)
    return found


def capped(document: Document) -> bool:
    """True where the promise of some run keeps an exposure below its largest value."""
    return any(secret.binding is not None for secrets in exposed(document).values() for secret in secrets)


def rarely(document: Document) -> str:
    """How seldom an exposure is beyond its cap if the promise holds."""
    secrets = [secret for own in exposed(document).values() for secret in own if secret.binding is not None]
    chances = {f"{100 * secret.cap_chance:.2g}%" for secret in secrets if secret.cap_chance is not None}
    chance = f"a chance of at most {chances.pop()}" if len(chances) == 1 else "a small chance"
    return f"a secret lies with {chance} if the promise holds"


def describe_exposures(document: Document) -> str:
    """The chart of exposures in words, for whoever does not see it."""
    parts = []
    for run, secrets in exposed(document).items():
        figures = []
        for secret in secrets:
            most, cap = secret.most, secret.binding
            limits = f" of at most {most:.3g}" if most else ""
            allowed = "" if cap is None else f", the promise allows {cap:.3g}"
            figures.append(f"{secret.name}: {written(secret.figures['secret_exposure']).full}{limits}{allowed}")
        parts.append(f"{document.names[run]}: {'; '.join(figures)}")
    return f"Exposure of each planted secret in bits; a model that knows nothing gives {CHANCE:.3g}. {'. '.join(parts)}."


def exposure_chart(document: Document, *, width: int, columns: int) -> Any:
    """A panel for each run: a dot for each secret, between nothing and the most that is possible.

    At most `MOST` secrets of a run are drawn, those that are exposed most.

    Args:
        document: What to draw; at least one exposure.
        width: Of the inside of a panel, in pixels.
        columns: Panels in a row.
    """
    import altair as alt

    found = exposed(document)
    end = max((secret.most or secret.exposure or 0.0 for secrets in found.values() for secret in secrets), default=0.0) or 1.0
    rows = max(min(MOST, len(secrets)) for secrets in found.values())
    panels = [
        _exposure_panel(document.names[run], secrets, end, width=width, rows=rows, last=index >= len(found) - columns)
        for index, (run, secrets) in enumerate(found.items())
    ]
    return alt.concat(*panels, columns=columns, bounds="flush", spacing={"column": 44, "row": 84})


def kept(secrets: Sequence[Planted], limit: int = MOST) -> tuple[list[Planted], int]:
    """The secrets to draw, in the order of the evidence, and how many are left to the table."""
    worst = sorted(range(len(secrets)), key=lambda place: secrets[place].exposure or 0.0, reverse=True)[:limit]
    return [secrets[place] for place in sorted(worst)], len(secrets) - len(worst)


def _exposure_panel(name: str, secrets: Sequence[Planted], end: float, *, width: int, rows: int, last: bool) -> Any:
    import altair as alt

    drawn, left_out = kept(secrets)
    run, height = drawn[0].run, ROW * rows + 6
    scale = alt.Scale(domain=[0, end], nice=False)
    axis = alt.Axis(
        title="exposure (bits)" if last else None, domain=False, ticks=False, tickCount=max(3, width // 60), labelFlush=True, format="~r"
    )
    layers: list[Any] = [over([{"value": 0}]).mark_rule(color=role("page"), opacity=0).encode(x=alt.X("value:Q", scale=scale, axis=axis))]
    for index, secret in enumerate(drawn):
        layers += _exposure_row(secret, index * ROW, scale, width)
    layers.append(text(shortened(name), x=0, y=-30, size=13, bold=True, ink=colour(run)))
    guess = width * min(drawn[0].expected, end) / end
    layers.append(text("by chance", x=max(guess, text_width("by chance") / 2), y=-9, align="center", ink="muted"))
    if left_out:
        layers.append(text(f"and {left_out} more in the table", x=width, y=-30, align="right", ink="muted"))
    return alt.layer(*layers, width=width, height=height)


def _exposure_row(secret: Planted, top: float, scale: Any, width: int) -> Iterator[Any]:
    """Name and figures of a secret above its track, its cap, its interval and its dot."""
    import altair as alt

    estimate, run = secret.figures["secret_exposure"], secret.run
    words = written(estimate).full
    room = int((width - text_width(words) - 10) / text_width("m"))
    yield text(shortened(secret.name, max(4, room)), x=0, y=top + 12)
    yield text(words, x=width, y=top + 12, align="right", ink="muted")
    if estimate.value is None:
        return
    middle, x = alt.value(top + 28), alt.X("low:Q", scale=scale)
    track = over([{"low": 0, "high": secret.most or estimate.value}]).mark_rule(color=role("faint"), strokeWidth=1)
    yield track.encode(x=x, x2="high:Q", y=middle)
    cap = secret.binding
    if cap is not None:
        edge = over([{"low": cap, "high": secret.most}])
        yield edge.mark_rect(color=role("muted"), opacity=0.16).encode(x=x, x2="high:Q", y=alt.value(top + 21), y2=alt.value(top + 36))
        yield _upright(cap, scale, top, color=colour(run), strokeDash=[4, 3], strokeWidth=1.6)
    yield _upright(min(secret.expected, secret.most or CHANCE), scale, top, color=role("muted"), strokeDash=[1, 3], strokeWidth=1.6)
    yield from _dot(estimate, run, scale, top + 28)


def _dot(estimate: Estimate, run: int, scale: Any, middle: float, *, hollow: bool = False) -> Iterator[Any]:
    """A mark in the colour of the run, with its interval."""
    import altair as alt

    if estimate.interval is not None:
        ends = over([{"low": estimate.interval.low, "high": estimate.interval.high}])
        rule = ends.mark_rule(color=colour(run), strokeWidth=2, opacity=0.55, clip=True)
        yield rule.encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=alt.value(middle))
    look = {"fill": role("page"), "stroke": colour(run), "strokeWidth": 1.8} if hollow else {"color": colour(run)}
    mark = over([{"value": estimate.value}]).mark_point(filled=True, size=80, opacity=1, shape=shape(run), **look)
    yield mark.encode(x=alt.X("value:Q", scale=scale), y=alt.value(middle))


def _upright(value: float, scale: Any, top: float, **look: Any) -> Any:
    """A line across the track of one secret."""
    import altair as alt

    ends = {"y": alt.value(top + 20), "y2": alt.value(top + 37)}
    return over([{"value": value}]).mark_rule(**look).encode(x=alt.X("value:Q", scale=scale), **ends)


def describe_ranks(document: Document) -> str:
    """The chart of ranks in words, for whoever does not see it."""
    parts = []
    for name, secrets in ranked(document).items():
        figures = [
            f"{document.names[secret.run]} rank {written(secret.figures['secret_rank']).value} of {secret.space:,.0f}, {outcome(secret)}"
            for secret in secrets
        ]
        parts.append(f"{name}: {'; '.join(figures)}")
    return f"Rank of each planted secret among all fills, and what a search found. {'. '.join(parts)}."


def outcome(secret: Planted) -> str:
    """What the searches for a secret came to, in a few words."""
    if secret.whole is None:
        return "not searched for"
    if secret.whole:
        return "found whole"
    wrong = min((search.wrong for search in secret.searches if search.wrong is not None), default=None)
    length = secret.conditions.get("length")
    if wrong is None or not isinstance(length, int):
        return "not found"
    return f"{round((1 - wrong) * length)} of {length} words found"


def rank_chart(document: Document, *, width: int, wordy: bool) -> Any:
    """A block for each secret with a line for each run: a mark at its rank, filled where a search found it whole.

    Args:
        document: What to draw; at least one rank.
        width: Of the chart, in pixels.
        wordy: Whether there is room to say beside each mark what the search found.
    """
    import altair as alt

    found = ranked(document)
    names = sorted(found, key=lambda name: min(secret.rank or 0.0 for secret in found[name]))[:MOST]
    drawn = {name: secrets for name, secrets in found.items() if name in names}
    end = max(secret.space or 1.0 for secrets in drawn.values() for secret in secrets)
    scale = alt.Scale(type="log", domain=[1 / PAD, end * PAD], nice=False)
    tens = [10.0**power for power in range(math.ceil(math.log10(end) + 1e-9) + 1) if 10**power <= end * PAD]
    axis = alt.Axis(
        values=tens[:: -(-len(tens) // max(2, width // 60))],
        title="rank among all fills (logarithmic; 1 is the likeliest)",
        labelExpr="format(datum.value, ',')",
        domain=False,
        ticks=False,
        grid=True,
        labelOverlap=False,
    )
    first = over([{"value": 1}]).mark_rule(color=role("page"), opacity=0).encode(x=alt.X("value:Q", scale=scale, axis=axis))
    layers: list[Any] = [first]
    top = 0.0
    for name, secrets in drawn.items():
        layers.append(text(shortened(name, int(width / text_width("m"))), x=0, y=top + 13))
        layers += _half(secrets, scale, top)
        for line, secret in enumerate(secrets):
            layers += _rank_line(document, secret, scale, top + HEAD + line * LINE + 9, end, width=width, wordy=wordy)
        top += HEAD + LINE * len(secrets) + 6
    if len(found) > len(drawn):
        layers.append(text(f"and {len(found) - len(drawn)} more in the table", x=width, y=-9, align="right", ink="muted"))
    return alt.layer(*layers, width=width, height=top)


def _half(secrets: Sequence[Planted], scale: Any, top: float) -> Iterator[Any]:
    """Where a secret stands that the model knows nothing of: half of the times before this line."""
    import altair as alt

    ends = {"y": alt.value(top + HEAD), "y2": alt.value(top + HEAD + LINE * len(secrets))}
    rule = over([{"value": (secrets[0].space or 1.0) / 2}]).mark_rule(color=role("muted"), strokeDash=[1, 3], strokeWidth=1.6)
    yield rule.encode(x=alt.X("value:Q", scale=scale), **ends)


def _rank_line(document: Document, secret: Planted, scale: Any, middle: float, end: float, *, width: int, wordy: bool) -> Iterator[Any]:
    """The mark of a run at the rank of its secret, with its name on the side where there is room."""
    import altair as alt

    estimate, ink = secret.figures["secret_rank"], colour(secret.run)
    assert estimate.value is not None
    track = over([{"low": 1, "high": secret.space}]).mark_rule(color=role("faint"), strokeWidth=1)
    yield track.encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=alt.value(middle))
    if secret.whole is None:
        tick = over([{"value": estimate.value}]).mark_rule(color=ink, strokeWidth=2.4)
        yield tick.encode(x=alt.X("value:Q", scale=scale), y=alt.value(middle - 6), y2=alt.value(middle + 6))
    else:
        yield from _dot(estimate, secret.run, scale, middle, hollow=not secret.whole)
    where = width * math.log(max(1.0, estimate.value) * PAD) / math.log(end * PAD * PAD)
    right = where < width / 2
    room = int(((width - where) if right else where) / text_width("m")) - 2
    words = f"{written(estimate).value}, {outcome(secret)}" if wordy else written(estimate).value
    name = shortened(document.names[secret.run], max(3, room - len(words) - 2))
    yield text(f"{name}: {words}", x=where + (11 if right else -11), y=middle, align="left" if right else "right", ink=ink, bold=True)
