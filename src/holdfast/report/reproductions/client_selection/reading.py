"""What the numbers of client selection say, in sentences made from the evidence: each is true of the figures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report import words
from holdfast.report.comparison import difference
from holdfast.report.numbers import significant, written
from holdfast.report.reproductions.client_selection.grid import (
    CONTINUAL,
    GAIN,
    GAIN_HEAVY,
    GAIN_LIGHT,
    GAIN_USUAL,
    GINI,
    ROUNDS,
    STATIC,
    UNIFORM,
    SelectionCell,
    cells,
    compared,
    estimate,
    place_words,
    sign,
)
from holdfast.report.reproductions.presentation import Reading

WHOSE = {GAIN: "all clients", GAIN_LIGHT: "light users", GAIN_HEAVY: "heavy users"}
"""For whom a gain was measured."""

NO_DIFFERENCE = "no difference can be seen"
_WAYS = ("helps", "hurts")


@dataclass(frozen=True, kw_only=True)
class Tally:
    """In which cells choosing by activity helps, as the intervals of a gain decide it.

    Args:
        helps: Cells whose interval lies above 0.
        hurts: Cells whose interval lies below 0.
        same: Cells whose interval holds 0.
    """

    helps: Sequence[SelectionCell]
    hurts: Sequence[SelectionCell]
    same: Sequence[SelectionCell]

    @property
    def total(self) -> int:
        """How many cells were compared."""
        return len(self.helps) + len(self.hurts) + len(self.same)


def tally(evidence: Evidence, quantity: str = GAIN) -> Tally:
    """Sorts the cells that choose by activity by what a gain of theirs says.

    Args:
        evidence: The summary.
        quantity: A gain over uniform selection.
    """
    found = {cell.subject: (cell, sign(estimate(evidence, quantity, cell))) for cell in compared(evidence)}
    helps, hurts, same = ([cell for cell, said in found.values() if said == wanted] for wanted in (1, -1, 0))
    return Tally(helps=helps, hurts=hurts, same=same)


def answer(evidence: Evidence) -> str:
    """Whom choosing by activity helps and whom it hurts, and in how many cells, in one sentence.

    Args:
        evidence: The summary.
    """
    tallies = {WHOSE[quantity]: tally(evidence, quantity) for quantity in WHOSE}
    total = max(found.total for found in tallies.values())
    if not total:
        return "Nothing was compared with choosing uniformly."
    helps, hurts = ([f"{whose} in {len(seen)}" for whose, found in tallies.items() if (seen := getattr(found, way))] for way in _WAYS)
    among = f"of {total} cell{'s' * (total > 1)}"
    if not helps and not hurts:
        return f"Choosing by activity makes no difference that can be seen, for light, heavy or all clients, in any {among}."
    told = [f"{way} {words.listed(counts)}" for way, counts in zip(_WAYS, (helps, hurts), strict=True) if counts]
    return f"Choosing by activity, against choosing uniformly, {told[0]} {among}{f'; it {told[1]}' if len(told) > 1 else ''}."


def verdict(evidence: Evidence, quantity: str = GAIN) -> str:
    """In how many cells choosing by activity helps or hurts some clients, and where it does so most.

    Args:
        evidence: The summary.
        quantity: A gain over uniform selection.
    """
    found = tally(evidence, quantity)
    if not found.total:
        return f"For {WHOSE[quantity]} nothing was compared."
    counts = [f"better in {len(found.helps)}" if found.helps else "", f"worse in {len(found.hurts)}" if found.hurts else ""]
    counts.append(f"{NO_DIFFERENCE} in {len(found.same)}" if found.same else "")
    told = ", ".join(count for count in counts if count)
    return f"{told[:1].upper()}{told[1:]} of {found.total} cell{'s' * (found.total > 1)}.{_largest(evidence, quantity, found)}"


def readings(evidence: Evidence) -> list[Reading]:
    """Says where choosing by activity helps and hurts, for whom, whether more so period by period, and then each cell."""
    found = [
        Reading(lead="All clients:", text=verdict(evidence, GAIN)),
        Reading(lead="Light users:", text=verdict(evidence, GAIN_LIGHT)),
        Reading(lead="Heavy users:", text=verdict(evidence, GAIN_HEAVY)),
    ]
    usual = against_usual(evidence)
    if usual:
        found.append(Reading(lead="Against FedAvg as usual:", text=usual))
    widened = continual(evidence)
    if widened:
        found.append(Reading(lead="Static and continual:", text=widened))
    told = [Reading(lead=f"{cell.subject}:", text=against_uniform(evidence, cell), colour=cell.colour) for cell in _others(evidence)]
    return [*found, *(one for one in told if one.text)]


def against_usual(evidence: Evidence) -> str:
    """What is left of the gains beside uniform selection with weights by examples, whatever the weights of a cell are.

    A gain over uniform selection with the same weights may tell of the weights alone: where uniform selection is slow with them, all else
    looks fast.
    """
    chosen = compared(evidence)
    known = [(cell, one, sign(one)) for cell in chosen if (one := estimate(evidence, GAIN_USUAL, cell)) is not None]
    if not known:
        return ""
    counts = {word: sum(said == wanted for _, _, said in known) for word, wanted in (("better", 1), ("worse", -1))}
    cell, best, said = max(known, key=lambda one: one[1].value or 0.0)
    told = ", ".join(f"{word} in {count}" for word, count in counts.items() if count) or NO_DIFFERENCE
    most = f"The largest: {written(best).full} by {cell.strategy} ({place_words(cell.place)})"
    most += "." if said == 1 else f", where {NO_DIFFERENCE}."
    return f"Uniform selection with weights by examples, at the same schedule: {told} of {len(known)} cells. {most}"


def against_uniform(evidence: Evidence, cell: SelectionCell) -> str:
    """What a cell gains for all, for light and for heavy clients, and how fast and how evenly it goes about it.

    Args:
        evidence: The summary.
        cell: Of it; not a uniform one.
    """
    sentences = []
    for quantity, whose in WHOSE.items():
        found = estimate(evidence, quantity, cell)
        if found is not None:
            verdict = {1: "better", -1: "worse", 0: NO_DIFFERENCE, None: "no interval"}[sign(found)]
            sentences.append(f"{whose[:1].upper()}{whose[1:]}: {written(found).full}, {verdict}.")
    base = _uniform_beside(evidence, cell)
    rounds, usual = (None if one is None else estimate(evidence, ROUNDS, one) for one in (cell, base))
    if rounds is not None:
        beside = "" if usual is None else f", against {significant(usual.value or 0.0)} by uniform selection"
        sentences.append(f"The target was reached after {significant(rounds.value or 0.0)} rounds{beside}.")
    gini = estimate(evidence, GINI, cell)
    if gini is not None:
        sentences.append(f"Gini index of participation {written(gini).value}.")
    return " ".join(sentences)


def pairs(evidence: Evidence) -> list[tuple[SelectionCell, Estimate]]:
    """For each strategy and weighting that was run both ways how much more it gains period by period than at once."""
    found = []
    by_key = {(cell.strategy, cell.weighting, cell.schedule): cell for cell in compared(evidence)}
    for (strategy, weighting, schedule), cell in by_key.items():
        other = by_key.get((strategy, weighting, STATIC))
        if schedule != CONTINUAL or other is None:
            continue
        new, old = estimate(evidence, GAIN, cell), estimate(evidence, GAIN, other)
        change = None if new is None or old is None else difference(new, old)
        if change is not None:
            found.append((cell, change))
    return found


def continual(evidence: Evidence) -> str:
    """Whether the gain is larger where data come period by period."""
    known = [(cell, change, said) for cell, change in pairs(evidence) if (said := sign(change)) is not None]
    if not known:
        return ""
    larger, smaller = ([one for one in known if one[2] == wanted] for wanted in (1, -1))
    same = len(known) - len(larger) - len(smaller)
    parts = [f"larger in {len(larger)}" if larger else "", f"smaller in {len(smaller)}" if smaller else ""]
    parts.append(f"not to be told apart in {same}" if same else "")
    told = words.listed([part for part in parts if part])
    most = max(known, key=lambda one: (one[2], one[1].value or 0.0))
    shown = f" The largest change: {written(most[1]).full}, {most[0].strategy}, {most[0].weighting} weights." if larger else ""
    pair = "pair" if len(known) == 1 else "pairs"
    return f"The gain period by period, beside that of training at once, is {told} of {len(known)} {pair} of cells.{shown}"


def chance(evidence: Evidence) -> str:
    """That some intervals miss 0 by chance where many are looked at."""
    known = [found for cell in compared(evidence) for name in WHOSE if (found := estimate(evidence, name, cell)) and found.interval]
    if len(known) < 2:
        return ""
    level = known[0].interval.level if known[0].interval is not None else 0.95
    expected = significant(len(known) * (1 - level), 2)
    return (
        f"Each interval holds for itself: if nothing differed, about {expected} of these {len(known)} would miss 0 by chance, so a single "
        "cell proves little."
    )


def _largest(evidence: Evidence, quantity: str, found: Tally) -> str:
    """The cell where it helps most, and the one where it hurts most."""
    parts = []
    for word, chosen in (("best", found.helps), ("worst", found.hurts)):
        figures = [(cell, one) for cell in chosen if (one := estimate(evidence, quantity, cell)) is not None]
        if figures:
            cell, one = max(figures, key=lambda pair: abs(pair[1].value or 0.0))
            parts.append(f"{word}: {written(one).full} by {cell.strategy} ({place_words(cell.place)})")
    told = "; ".join(parts)
    return f" {told[:1].upper()}{told[1:]}." if told else ""


def _others(evidence: Evidence) -> list[SelectionCell]:
    return [cell for cell in cells(evidence) if cell.select != UNIFORM]


def _uniform_beside(evidence: Evidence, cell: SelectionCell) -> SelectionCell | None:
    """The uniform cell of the same weights and schedule."""
    return next((one for one in cells(evidence) if one.select == UNIFORM and one.place == cell.place), None)
