"""The page of client selection: where choosing clients by their activity helps, where it hurts, and whom."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report.document import Document
from holdfast.report.figures.tradeoff import scores
from holdfast.report.numbers import label_of, share, significant, written
from holdfast.report.reproductions.client_selection.charts import convergence, gains, light_and_heavy
from holdfast.report.reproductions.client_selection.grid import (
    AHEAD,
    GAIN,
    GAIN_HEAVY,
    GAIN_LIGHT,
    GINI,
    HEAVY,
    LIGHT,
    QUANTITIES,
    ROUNDS,
    SCORE,
    STATEMENT,
    UNIFORM,
    WORK,
    WORST,
    SelectionCell,
    cells,
    estimate,
    measured,
    sign,
)
from holdfast.report.reproductions.client_selection.reading import NO_DIFFERENCE, answer, chance, continual, pairs, readings, tally, verdict
from holdfast.report.reproductions.parts import Study, every_run, framed, recorded
from holdfast.report.view import NOT_MEASURED, Cell, Point, Section, Table, Tile, Tone, cell
from holdfast.report.view import methods as how

_MEANING = (
    "A gain is the score less that of choosing clients uniformly, with the same weights, the same schedule and the same seed; where its "
    "interval over seeds holds 0, no difference can be seen. Light users are the clients of the three deciles with the fewest examples."
)


def render(document: Document) -> str:
    """Draws the page of client selection.

    Args:
        document: The runs, and the summary among their evidence; the page shows nothing else.

    Returns:
        HTML. The same document gives the same text on the same machine.
    """
    found = document.evidence
    own = Study(
        statement=STATEMENT,
        cells=len(cells(found)),
        lead=f"Does it help to choose clients by their activity? {answer(found)}",
        meaning=_MEANING,
        tiles=[_tile(found, GAIN), _tile(found, GAIN_LIGHT), _tile(found, GAIN_HEAVY), _continual(found)],
        overview=overview(found),
        sections=[_gains(found), _speed(found), _every_cell(found), _every_run(document)],
    )
    return framed(document, own)


def overview(evidence: Evidence) -> Table:
    """A row for each cell: its score, and what it gains for all, for light and for heavy users."""
    rows = [
        (
            Cell(text=one.subject, run=one.colour),
            cell(estimate(evidence, SCORE, one)),
            *(_gain(evidence, name, one) for name in (GAIN, GAIN_LIGHT, GAIN_HEAVY)),
            cell(estimate(evidence, WORST, one)),
        )
        for one in cells(evidence)
    ]
    seeds = max((one.seeds for one in cells(evidence)), default=0)
    columns = ("Selection", "Score", "Gain", "Gain, light users", "Gain, heavy users", "Worst decile")
    text = f"Each row is the mean of {seeds} seeds; intervals run over seeds. {chance(evidence)}".strip()
    return Table(title="Every way to choose", columns=columns, rows=tuple(rows), text=text)


def _gain(evidence: Evidence, quantity: str, one: SelectionCell) -> Cell:
    """A gain in the colour of what its interval says."""
    if one.select == UNIFORM:
        return Cell(text="–")
    found = estimate(evidence, quantity, one)
    shown, said = cell(found), sign(found)
    tones: dict[int | None, Tone] = {1: "good", -1: "bad", 0: "plain", None: shown.tone}
    return Cell(text=shown.text, hint=shown.hint, notes=shown.notes, tone=tones[said])


_TITLES = {GAIN: "For all clients", GAIN_LIGHT: "For light users", GAIN_HEAVY: "For heavy users"}


def _tile(evidence: Evidence, quantity: str) -> Tile:
    """In how many cells choosing by activity helps and hurts, and by how much at most."""
    title, found = _TITLES[quantity], tally(evidence, quantity)
    if not found.total:
        text = "Nothing was compared with uniform selection."
        return Tile(title=title, headline=NOT_MEASURED, text=text, status="no evidence", tone="missing")
    helps, hurts = len(found.helps), len(found.hurts)
    headline, status, tone = _said(helps, hurts)
    return Tile(title=title, headline=headline, text=verdict(evidence, quantity), status=status, tone=tone)


def _said(helps: int, hurts: int) -> tuple[str, str, Tone]:
    """Headline, status and tone."""
    if helps and hurts:
        return "Helps and hurts", "it depends on how it is done", "caution"
    if helps:
        return "Helps", "in some cells" if helps > 1 else "in one cell", "good"
    if hurts:
        return "Hurts", "in some cells" if hurts > 1 else "in one cell", "bad"
    return "No difference seen", "every interval holds 0", "missing"


def _continual(evidence: Evidence) -> Tile:
    """Whether the gain is larger where data come period by period."""
    title, told = "More so in the continual setting?", continual(evidence)
    if not told:
        text = "No strategy was run both at once and period by period."
        return Tile(title=title, headline=NOT_MEASURED, text=text, status="no evidence", tone="missing")
    signs = [said for _, change in pairs(evidence) if (said := sign(change)) is not None]
    larger, smaller = signs.count(1), signs.count(-1)
    headline = "Yes, in part" if larger and not smaller else "Rather less" if smaller and not larger else "Mixed"
    headline = "Yes" if larger == len(signs) else "Cannot be told" if not larger and not smaller else headline
    status = f"larger in {larger} of {len(signs)}" if larger or smaller else "every interval holds 0"
    return Tile(title=title, headline=headline, text=told, status=status, tone="plain" if larger or smaller else "missing")


def _gains(evidence: Evidence) -> Section:
    names = [name for name in (GAIN, GAIN_LIGHT, GAIN_HEAVY) if name in measured(evidence)]
    rows = [
        (Cell(text=one.subject, run=one.colour), *(_gain(evidence, name, one) for name in names), Cell(text=_verdict(evidence, one)))
        for one in cells(evidence)
        if one.select != UNIFORM
    ]
    table = Table(
        title="Every gain", columns=("Selection", *map(label_of, names), "For all clients"), rows=tuple(rows), text=chance(evidence)
    )
    shown = _shown(evidence, names)
    return Section(
        name="gains",
        title="Whom choosing by activity helps, and whom it hurts",
        finding=answer(evidence),
        figures=(gains(evidence), light_and_heavy(evidence)),
        points=tuple(Point(lead=one.lead, text=one.text, run=one.colour) for one in readings(evidence) if one.colour is None),
        points_title="Read plainly",
        tables=(table, how("How the gains were measured", shown)) if shown else (table,),
    )


def _verdict(evidence: Evidence, one: SelectionCell) -> str:
    return {1: "better", -1: "worse", 0: NO_DIFFERENCE, None: "–"}[sign(estimate(evidence, GAIN, one))]


def _speed(evidence: Evidence) -> Section:
    known = [(one, found) for one in cells(evidence) if (found := estimate(evidence, ROUNDS, one)) is not None]
    finding = "How fast each strategy reaches a given score was not measured."
    if known:
        fastest, least = min(known, key=lambda pair: pair[1].value or 0.0)
        slowest, most = max(known, key=lambda pair: pair[1].value or 0.0)
        aim = _aim(evidence, least, fastest)
        finding = f"{fastest.subject} reaches {aim} after {written(least).full} rounds, {slowest.subject}, the slowest, after "
        finding += f"{written(most).full}."
        if fastest is slowest:
            finding = f"{fastest.subject} reaches {aim} after {written(least).full} rounds; no other was measured."
        if "target" not in least.conditions and least.method:  # the method says how far is counted
            finding += f" Counted is the {least.method}."
    shown = _shown(evidence, [ROUNDS])
    tables = (how("How these numbers were measured", shown),) if shown else ()
    return Section(name="speed", title="How fast they learn", finding=finding, figures=(convergence(evidence),), tables=tables)


def _aim(evidence: Evidence, found: Estimate, one: SelectionCell) -> str:
    """The score that was to be reached, in the unit of scores."""
    target, scored = found.conditions.get("target"), estimate(evidence, SCORE, one)
    if not isinstance(target, int | float):
        return "the target"
    return f"a score of {share(target) if scored is not None and scored.unit == 'share' else significant(target)}"


def _every_cell(evidence: Evidence) -> Section:
    """A row for each cell with all that was measured of it."""
    names = [name for name in (SCORE, LIGHT, HEAVY, WORST, ROUNDS, WORK, GINI, AHEAD) if name in measured(evidence)]
    rows = []
    for one in cells(evidence):
        told = (one.strategy, one.weighting, one.schedule)
        places = (Cell(text=told[0], run=one.colour), *(Cell(text=text) for text in told[1:]))
        rows.append((*places, *(_figure(evidence, name, one) for name in names), Cell(text=str(one.seeds))))
    columns = ("Strategy", "Weights", "Schedule", *map(label_of, names), "Seeds")
    shown = _shown(evidence, [name for name in names if name in QUANTITIES and name != ROUNDS])
    table = Table(title="The cells one by one", columns=columns, rows=tuple(rows))
    tables = (table, how("How the cells were measured", shown)) if shown else (table,)
    finding = f"{len(rows)} cells, each with a strategy, weights and a schedule."
    return Section(name="cells", title="Every cell", finding=finding, tables=tables)


def _figure(evidence: Evidence, name: str, one: SelectionCell) -> Cell:
    """A figure of a cell; a target that no seed reached is said not to be."""
    lost = evidence.estimate(name, one.subject)
    if name == ROUNDS and lost is not None and lost.missing:
        return Cell(text="not reached", hint=lost.missing, tone="missing")
    return _or_dash(estimate(evidence, name, one))


def _every_run(document: Document) -> Section:
    """One row for each training, folded."""
    names = [*scores(document), *(name for name in (AHEAD, GINI) if _of_runs(document, name))]
    rows = [(Cell(text=run), *(_or_dash(document.estimate(name, run)) for name in names)) for run in recorded(document)]
    return every_run(document, columns=("Run", *map(label_of, names)), rows=rows, done="trained")


def _of_runs(document: Document, name: str) -> bool:
    return any(document.estimate(name, run) is not None for run in recorded(document))


def _or_dash(found: Estimate | None) -> Cell:
    return Cell(text="–") if found is None else cell(found)


def _shown(evidence: Evidence, names: Sequence[str]) -> list[tuple[str, Estimate]]:
    """The figures of the cells, for a table of methods."""
    return [(label_of(name), found) for name in names for one in cells(evidence) if (found := estimate(evidence, name, one)) is not None]
