"""The page of planted secrets: what an attacker completes, what the exposure says, and which defence stops what."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report.document import Document
from holdfast.report.numbers import DIFFERENCE, fixed, label_of, named, significant, written
from holdfast.report.reproductions.canary_extraction.charts import accuracies, exposures
from holdfast.report.reproductions.canary_extraction.grid import (
    ACCURACY,
    AGREEMENT,
    BASE,
    COMBINED,
    EVERYWHERE,
    EXPOSURE,
    GAP,
    HAMMING,
    HIDDEN,
    KNOWS,
    NULL,
    PROMISE,
    RANDOM,
    RANK,
    STATEMENT,
    STOPPED,
    SecretCell,
    cells,
    defences,
    estimate,
    is_defence,
    leaks,
    places,
    secrets,
    usefulness,
    value,
)
from holdfast.report.reproductions.canary_extraction.grid import label_of as defence_label
from holdfast.report.reproductions.canary_extraction.reading import (
    TOGETHER,
    Outcome,
    above_chance,
    agreement,
    answer,
    found_of,
    hidden,
    p_of,
    readings,
    undefended,
)
from holdfast.report.reproductions.parts import Study, every_run, framed, recorded
from holdfast.report.view import Cell, Point, Section, Table, Tile, Tone, cell, hint
from holdfast.report.view import methods as how

_HEADLINES: dict[Outcome, str] = {"no": "No", "cannot be told": "Cannot be told", "yes": "Yes, so far", "not measured": "Not tested"}
_STATUS: dict[Outcome, str] = {
    "no": "the models know something of their secrets",
    "cannot be told": "too few trainings to tell",
    "yes": "as far as this study can see",
    "not measured": "no evidence",
}
_TONES: dict[Outcome, Tone] = {"no": "bad", "cannot be told": "caution", "yes": "good", "not measured": "missing"}

_MEANING = (
    f"Exposure says how far a secret ranks ahead among all fills of the same form: {NULL:.2f} bits on average where a model knows "
    "nothing of it, and the more the fewer fills an attacker has to try. Accuracy says only whether one search found it whole."
)


def render(document: Document) -> str:
    """Draws the page of planted secrets.

    Args:
        document: The runs, and the summary among their evidence; the page shows nothing else.

    Returns:
        HTML. The same document gives the same text on the same machine.
    """
    found = document.evidence
    own = Study(
        statement=STATEMENT,
        cells=len(cells(found)),
        lead=_lead(found),
        meaning=_MEANING,
        tiles=[_combination(found), _undefended(found), _lowest(found), _agreement(found)],
        overview=overview(found),
        sections=[_exposure(found), _accuracy(found), _every_cell(found), _every_run(document)],
    )
    return framed(document, own)


def _lead(evidence: Evidence) -> str:
    found = answer(evidence)
    return f"Does the combination of defences remove the risk? {found.verdict} {found.figures}".strip()


def overview(evidence: Evidence) -> Table:
    """A row for each defence over all its cells."""
    measures = usefulness(evidence)
    rows = [
        (
            Cell(text=defence_label(one.defence), run=one.colour),
            _count(evidence, one),
            cell(estimate(evidence, EXPOSURE, one)),
            _change(evidence, one),
            _ignorance(evidence, one),
            *(cell(estimate(evidence, measure, one)) for measure in measures),
        )
        for one in defences(evidence)
    ]
    columns = ("Defence", "Found whole", "Exposure", "Against none", "Knows nothing?", *map(label_of, measures))
    over = len(places(evidence))
    pooled = f"Each row is over all {over} lengths and numbers of repetitions that it was tried at. " if over > 1 else ""
    text = f"{pooled}Intervals run over seeds. P-values hold for all defences together (Holm)."
    return Table(title="Every defence", columns=columns, rows=tuple(rows), text=text)


def _count(evidence: Evidence, one: SecretCell) -> Cell:
    found = estimate(evidence, ACCURACY, one)
    if found is None or found.value is None:
        return cell(None)
    shown = written(found)
    return Cell(text=f"{found.conditions['found']} of {found.conditions['secrets']}", hint=hint(found), notes=(shown.value, shown.interval))


def _change(evidence: Evidence, one: SecretCell) -> Cell:
    found = evidence.estimate(EXPOSURE + DIFFERENCE, one.subject)
    if found is None:
        return Cell(text="–")
    return cell(found, note=p_of(float(found.conditions.get(TOGETHER, found.conditions["p_value"]))))


def _ignorance(evidence: Evidence, one: SecretCell) -> Cell:
    """Whether ranks like these come about where a model knows nothing."""
    found = estimate(evidence, KNOWS, one)
    if found is None or found.value is None:
        return cell(None)
    p = float(found.conditions.get(TOGETHER, found.value))
    said = "no" if p < 0.05 else "not refuted"
    return Cell(text=said, hint=hint(found), tone="bad" if p < 0.05 else "plain", notes=(p_of(p),))


def _combination(evidence: Evidence) -> Tile:
    title, found = "Does the combination remove the risk?", answer(evidence)
    exposure = evidence.estimate(EXPOSURE, COMBINED)
    text = found.verdict if exposure is None else f"Exposure {above_chance(exposure)}."
    return Tile(title=title, headline=_HEADLINES[found.outcome], text=text, status=_STATUS[found.outcome], tone=_TONES[found.outcome])


def _undefended(evidence: Evidence) -> Tile:
    title, exposure = "Without a defence", evidence.estimate(EXPOSURE, BASE)
    if exposure is None:
        text = "No model was trained without a defence."
        return Tile(title=title, headline="Not trained", text=text, status="no evidence", tone="missing")
    bad = leaks(exposure)
    status = "the interval lies above chance" if bad else "the interval reaches down to chance"
    text = f"{found_of(evidence, BASE).capitalize()}; exposure {above_chance(exposure)}."
    return Tile(title=title, headline=written(exposure).value, text=text, status=status, tone="bad" if bad else "plain")


def _lowest(evidence: Evidence) -> Tile:
    title = "The lowest exposure"
    tried = [one for one in defences(evidence) if is_defence(one.defence) and value(evidence, EXPOSURE, one) is not None]
    if not tried:
        return Tile(title=title, headline="Not tested", text="No defence was tested.", status="no evidence", tone="missing")
    best = min(tried, key=lambda one: value(evidence, EXPOSURE, one) or 0.0)
    found = estimate(evidence, EXPOSURE, best)
    assert found is not None
    text = f"{defence_label(best.defence)}: {found_of(evidence, best.subject)}; exposure {above_chance(found)}.{_worth(evidence, best)}"
    bad = leaks(found)
    status = "the interval lies above chance" if bad else "the interval reaches down to chance"
    among = f"the lowest of {len(tried)}, and so biased downwards; {status}" if len(tried) > 1 else status
    return Tile(title=title, headline=written(found).value, text=text, status=among, tone="bad" if bad else "plain")


def _worth(evidence: Evidence, one: SecretCell) -> str:
    """How useful a model is, beside one without a defence: a model that learnt nothing gives nothing away either."""
    measure = next(iter(usefulness(evidence)), "")
    here, base = evidence.estimate(measure, one.subject), evidence.estimate(measure, BASE)
    if here is None or base is None:
        return ""
    return f" {label_of(measure)} {written(here).value}, against {written(base).value} without a defence."


def _agreement(evidence: Evidence) -> Tile:
    title, found = "Does accuracy say the same?", evidence.estimate(HIDDEN, EVERYWHERE)
    if found is None or found.value is None:
        return Tile(title=title, headline="Not found", text="No search was made.", status="no evidence", tone="missing")
    count = int(found.value)
    headline = f"{count} hidden leak{'s' if count > 1 else ''}" if count else "No hidden leak"
    status = "accuracy hides what exposure shows" if count else "no cell is seen to leak that accuracy calls safe"
    return Tile(title=title, headline=headline, text=hidden(evidence), status=status, tone="caution" if count else "plain")


def _exposure(evidence: Evidence) -> Section:
    rows = []
    for secret in secrets(evidence):
        for one in cells(evidence, secret=secret):
            rows.append((Cell(text=defence_label(one.defence), run=one.colour), *_place(one), Cell(text=secret), *_searched(evidence, one)))
    columns = ("Defence", "Unknown words", "Copies", "Pattern", "Found whole", "Wrong words", "Exposure", "Median rank")
    table = Table(title="Every pattern", columns=columns, rows=tuple(rows), text="Each row is over its trainings, one secret in each.")
    names = (EXPOSURE, RANK, KNOWS)
    return Section(
        name="exposure",
        title="What the models know of their secrets",
        finding=f"Without a defence: {undefended(evidence)}" if undefended(evidence) else answer(evidence).text,
        figures=(exposures(evidence),),
        points=tuple(Point(lead=one.lead, text=one.text, run=one.colour) for one in readings(evidence)[1:]),
        points_title="Read plainly",
        tables=(table, how("How these numbers were measured", _shown(evidence, names))),
    )


def _accuracy(evidence: Evidence) -> Section:
    found = evidence.estimate(AGREEMENT, EVERYWHERE)
    shown = [*_shown(evidence, (ACCURACY, HAMMING, RANDOM, GAP)), *([] if found is None else [("Accuracy and exposure", found)])]
    return Section(
        name="accuracy",
        title="What accuracy says of it",
        finding=agreement(evidence),
        figures=(accuracies(evidence),),
        tables=(how("How these numbers were measured", shown),),
    )


def _every_cell(evidence: Evidence) -> Section:
    """A row for each cell: both attacks, and what the defence costs."""
    measures, shown = usefulness(evidence), cells(evidence)
    rows = []
    for one in shown:
        useful = (cell(estimate(evidence, measure, one)) for measure in measures)
        ended = estimate(evidence, STOPPED, one)
        rest = (
            cell(estimate(evidence, RANDOM, one)),
            cell(estimate(evidence, GAP, one)),
            *useful,
            Cell(text="–") if ended is None else Cell(text=fixed(ended.value or 0.0, 1), hint=hint(ended)),
            _promise(evidence, one),
        )
        rows.append((Cell(text=defence_label(one.defence), run=one.colour), *_place(one), *_searched(evidence, one), *rest))
    heads = ("Defence", "Unknown words", "Copies", "Found whole", "Wrong words", "Exposure", "Median rank", "Random fills", "Optimiser gap")
    columns = (*heads, *map(label_of, measures), "Ended after epoch", "Promise")
    text = "Found whole, wrong words, exposure and rank are over all patterns. Random fills: as many as the search asked for."
    table = Table(title="The cells one by one", columns=columns, rows=tuple(rows), text=text)
    finding = f"{len(shown)} cells, each with a defence, a length and a number of copies of every secret."
    shown_measures = _shown(evidence, (*measures, STOPPED))
    tables = (table, how("How usefulness was measured", shown_measures)) if shown_measures else (table,)
    return Section(name="cells", title="Every cell", finding=finding, tables=tables)


def _place(one: SecretCell) -> tuple[Cell, Cell]:
    return Cell(text=str(one.length)), Cell(text=f"{one.repetitions:,}")


def _searched(evidence: Evidence, one: SecretCell) -> tuple[Cell, ...]:
    rank = estimate(evidence, RANK, one)
    median = cell(None)
    if rank is not None and rank.value is not None:
        ends = rank.interval
        notes = () if ends is None else (f"{significant(ends.low)}–{significant(ends.high)}",)
        median = Cell(text=significant(rank.value), hint=hint(rank), notes=notes)
    return _count(evidence, one), cell(estimate(evidence, HAMMING, one)), cell(estimate(evidence, EXPOSURE, one)), median


def _promise(evidence: Evidence, one: SecretCell) -> Cell:
    """What is promised to an example, and to the group that the copies of a secret are."""
    found = estimate(evidence, PROMISE, one)
    if found is None or found.value is None:
        return Cell(text="none", tone="missing")
    copies = one.repetitions or 1
    notes = (f"{named('ε', copies * found.value)} for {copies:,} copies",) if copies > 1 else ()
    return Cell(text=f"{named('ε', found.value)} for one", hint=hint(found), notes=notes)


def _every_run(document: Document) -> Section:
    """One row for each training, folded."""
    names, measures = recorded(document), usefulness(document.evidence)
    rows = []
    for name in names:
        verdict = document.verdict(name)
        measured = [cell(document.estimate(quantity, name)) for quantity in (ACCURACY, EXPOSURE, *measures)]
        rows.append((Cell(text=name), *measured, Cell(text="–" if verdict is None else verdict.outcome)))
    columns = ("Run", "Found whole", "Exposure", *map(label_of, measures), "The promise")
    return every_run(document, columns=columns, rows=rows, done="trained and attacked")


def _shown(evidence: Evidence, names: Sequence[str]) -> list[tuple[str, Estimate]]:
    """The figures of the cells, for the table of methods."""
    labels = {KNOWS: "Chance of such ranks if nothing were known", RANK: "Median rank", STOPPED: "Ended after epoch"}
    return [
        (labels.get(name, label_of(name)), found) for name in names for one in cells(evidence) if (found := estimate(evidence, name, one))
    ]
