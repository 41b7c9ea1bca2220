"""Charts of federated runs over rounds, deciles and periods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.core.evidence import Curve, Estimate
from holdfast.report.federation.lines import LEFT, Frame, Line, figure, panel, room_for, stacked
from holdfast.report.federation.reading import Federated, measure_label
from holdfast.report.figures import NARROW, WIDE, Figure
from holdfast.report.numbers import significant

BY_DECILE = "decile of clients by activity (1 light, 10 heavy)"
_NAME = 14  # letters of a name beside a small panel

Panels = Sequence[tuple[Frame, Sequence[Line]]]


def convergence(found: Sequence[Federated]) -> Figure | None:
    """Score and loss by round; None where no run has either."""
    scores = [(one, curve) for one in found if (curve := one.curve("convergence_score")) is not None]
    losses = [(one, curve) for one in found if (curve := one.curve("convergence")) is not None]
    panels = []
    if scores:
        first = scores[0][1]
        heading = _upper(measure_label(scores[0][0].measure)) + " on the test set"
        panels.append((Frame(heading=heading, bottom="" if losses else first.x_label, percent=_shares(scores)), _lines(scores)))
    if losses:
        heading = _upper(losses[0][1].y_label)
        panels.append((Frame(heading=heading, bottom=losses[0][1].x_label, floor=None), _lines(losses)))
    if not panels:
        return None
    alternative = " ".join(f"{frame.heading}, by round: {'; '.join(map(_travelled, lines))}." for frame, lines in panels)
    return _full(
        "convergence",
        title="How each run converges",
        caption="The line of each run carries its name at the end. Rounds are alike only where cohorts and what is trained are.",
        alternative=alternative,
        panels=panels,
    )


def participation(found: Sequence[Federated]) -> Figure | None:
    """Rounds taken part in, and share of the norm of all updates, by decile of activity."""
    panels: list[tuple[Frame, list[Line]]] = []
    for quantity, heading, percent in (
        ("participation_decile", "Rounds that a client took part in", False),
        ("update_norm_decile", "Share of the norm of all updates", True),
    ):
        lines = _decile_lines(found, quantity)
        if lines:
            panels.append((Frame(heading=heading, bottom=BY_DECILE, percent=percent, marked=True, ticks=_ticks(lines)), lines))
    if not panels:
        return None
    alternative = " ".join(f"{frame.heading}, by decile of activity: {'; '.join(map(_by_decile, lines))}." for frame, lines in panels)
    caption = (
        "Clients are sorted by the number of their examples and cut into ten equal parts. A run that draws clients uniformly and weights "
        "them alike is level in both panels, as far as updates are of one size."
    )
    return _paired("participation", title="Who takes part", caption=caption, alternative=alternative, panels=panels)


def scores_by_decile(found: Sequence[Federated]) -> Figure | None:
    """The mean score of the clients of each decile, with its interval."""
    lines = _decile_lines(found, "client_score_decile")
    if not lines:
        return None
    measure = next((one.measure for one in found if one.deciles("client_score_decile")), "")
    known = [one for run in found for one in run.deciles("client_score_decile").values()]
    heading = f"Mean {measure_label(measure)} of the clients of a decile"
    frame = Frame(heading=heading, bottom=BY_DECILE, percent=_of_shares(known), marked=True, floor=None, ticks=_ticks(lines))
    alternative = f"{heading}: {'; '.join(_by_decile(line, percent=frame.percent) for line in lines)}."
    caption = "Each client counts alike within its decile, however many examples it has. The axis need not begin at nought."
    if any(line.low for line in lines):
        caption += " Upright lines are intervals; runs are set apart a little so that they can be seen."
    title = "Whom the model serves: the score from light users to heavy ones"
    return _full("score-deciles", title=title, caption=caption, alternative=alternative, panels=[(frame, lines)])


def prequential(found: Sequence[Federated]) -> Figure | None:
    """The score on each period before the model has trained on it."""
    drawn = [(one, curve) for one in found if (curve := one.curve("prequential")) is not None]
    if not drawn:
        return None
    lines = _lines(drawn)
    heading = f"{_upper(measure_label(drawn[0][0].measure))} on a period before it was trained on"
    frame = Frame(heading=heading, bottom=drawn[0][1].x_label, percent=_shares(drawn), marked=True, floor=None, ticks=_ticks(lines))
    caption = "Each model is asked about the texts of the next period, then trained on them. The axis need not begin at nought."
    alternative = f"{heading}: {'; '.join(map(_travelled, lines))}."
    return _full("prequential", title="Ahead of time", caption=caption, alternative=alternative, panels=[(frame, lines)])


def _full(name: str, *, title: str, caption: str, alternative: str, panels: Panels) -> Figure:
    """Panels below each other, as wide as the page."""
    names = [line.name for _, lines in panels for line in lines]
    rooms = room_for(names, 22), room_for(names, _NAME)
    wide = _laid(panels, inside=WIDE - LEFT - 4 - rooms[0], height=190, room=rooms[0], columns=1)
    narrow = _laid(panels, inside=NARROW - LEFT - 4 - rooms[1], height=170, room=rooms[1], columns=1)
    return figure(name, title=title, caption=caption, alternative=alternative, wide=wide, narrow=narrow)


def _paired(name: str, *, title: str, caption: str, alternative: str, panels: Panels) -> Figure:
    """Two panels side by side, or below each other on a narrow screen."""
    room = room_for([line.name for _, lines in panels for line in lines], _NAME)
    wide = _laid(panels, inside=(WIDE - 2 * (LEFT + room) - 22) // 2, height=170, room=room, columns=2)
    narrow = _laid(panels, inside=NARROW - LEFT - 4 - room, height=160, room=room, columns=1)
    return figure(name, title=title, caption=caption, alternative=alternative, wide=wide, narrow=narrow)


def _laid(panels: Panels, *, inside: int, height: int, room: int, columns: int) -> Any:
    drawn = [panel(lines, frame, width=inside, height=height, room=room) for frame, lines in panels]
    return stacked(drawn, columns=columns, room=room)


def _lines(drawn: Sequence[tuple[Federated, Curve]]) -> list[Line]:
    return [Line(run=one.run, name=one.name, x=curve.x, y=curve.y, low=curve.low, high=curve.high) for one, curve in drawn]


def _decile_lines(found: Sequence[Federated], quantity: str) -> list[Line]:
    """A line for each run over the deciles that were measured."""
    lines = []
    for one in found:
        known = one.deciles(quantity)
        if known:
            ends = [estimate.interval for estimate in known.values()]
            low = tuple(end.low for end in ends if end is not None)
            high = tuple(end.high for end in ends if end is not None)
            whole = len(low) == len(known)  # a band needs every interval
            y = tuple(estimate.value or 0.0 for estimate in known.values())
            x = tuple(map(float, known))
            lines.append(Line(run=one.run, name=one.name, x=x, y=y, low=low if whole else (), high=high if whole else ()))
    return lines


def _ticks(lines: Sequence[Line]) -> tuple[tuple[float, str], ...]:
    return tuple((value, f"{value:g}") for value in sorted({value for line in lines for value in line.x}))


def _shares(drawn: Sequence[tuple[Federated, Curve]]) -> bool:
    """Whether the curves of a score are shares: a curve has no unit, so their values tell."""
    return all(0 <= value <= 1 for _, curve in drawn for value in curve.y)


def _of_shares(known: Sequence[Estimate]) -> bool:
    return all(one.unit == "share" for one in known)


def _travelled(line: Line) -> str:
    return f"{line.name} from {significant(line.y[0])} at {line.x[0]:g} to {significant(line.y[-1])} at {line.x[-1]:g}"


def _by_decile(line: Line, *, percent: bool = False) -> str:
    scale, sign = (100, "%") if percent else (1, "")
    figures = ", ".join(f"{significant(scale * y)}{sign} in {x:g}" for x, y in zip(line.x, line.y, strict=True))
    return f"{line.name} {figures}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
