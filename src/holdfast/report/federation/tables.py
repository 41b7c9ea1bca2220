"""The numbers behind the charts of federated runs, folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.core.evidence import Curve, Estimate
from holdfast.report.federation.lorenz import shares
from holdfast.report.federation.maps import maps, periods
from holdfast.report.federation.percentiles import named
from holdfast.report.federation.reading import PERCENTILES, QUANTITIES, Federated, measure_label, selection, weighting
from holdfast.report.federation.traffic import sent
from holdfast.report.numbers import label, label_of, share, significant
from holdfast.report.view import Cell, Table, cell, hint, methods, plain

SETTINGS = "The federation of each run"
SHOWN = 12  # rounds of the table of convergence
_KNOWN = ("algorithm", "select", "weighting", "cohort", "rounds", "schedule")
_HALVES = (0.1, 0.25, 0.5, 0.75, 0.9)


def tables(found: Sequence[Federated]) -> tuple[Table, ...]:
    """Every table that has a row, then how its numbers were measured."""
    made = (
        _settings(found),
        _rounds(found),
        _lorenz(found),
        _deciles(found),
        _percentiles(found),
        _distances(found),
        _traffic(found),
        _continual(found),
        _periods(found),
    )
    told = [(label(one), one) for name in QUANTITIES for run in found for one in run.evidence.estimates if one.name == name]
    sources = methods("How these numbers were measured", told)
    return (*(table for table in made if table is not None and table.rows), *([sources] if sources.rows else []))


def _settings(found: Sequence[Federated]) -> Table:
    """What was trained by whom, and how."""
    rows = []
    for one in found:
        told, sizes = one.settings, [one.estimate(name) for name in ("clients", "examples")]
        partition = next((str(size.conditions["partition"]) for size in sizes if size is not None and "partition" in size.conditions), "")
        others = ", ".join(
            f"{key.replace('_', ' ')} {plain(value)}" for key, value in told.items() if key not in _KNOWN and value is not None
        )
        texts = (
            *(_told(told, "algorithm"), selection(told), weighting(told)),
            *(_told(told, key) for key in ("cohort", "rounds", "schedule")),
        )
        rows.append(
            (
                _name(one),
                *map(_word, texts),
                *map(cell, sizes),
                _word(partition),
                *map(_or_dash, (one.estimate("local_steps"), one.estimate("round_seconds"))),
                _word(others),
            )
        )
    columns = ("Run", "Algorithm", "Selection", "Weights", "Cohort", "Rounds", "Schedule", "Clients", "Examples", "Split by")
    return Table(title=SETTINGS, columns=(*columns, label_of("local_steps"), label_of("round_seconds"), "Other settings"), rows=tuple(rows))


def _rounds(found: Sequence[Federated]) -> Table | None:
    """Score and loss at about a dozen rounds; evidence.json holds them all."""
    curves = [(one, curve, kind) for kind in ("convergence_score", "convergence") for one in found if (curve := one.curve(kind))]
    if not curves:
        return None
    rounds = sorted({round_ for _, curve, _ in curves for round_ in curve.x})
    step = -(-len(rounds) // SHOWN)
    kept = sorted({*rounds[::step], rounds[-1]})
    heads = [f"{one.name}, {'loss' if kind == 'convergence' else measure_label(one.measure)}" for one, _, kind in curves]
    percents = [kind == "convergence_score" and all(0 <= value <= 1 for value in curve.y) for _, curve, kind in curves]
    rows = tuple(
        (Cell(text=f"{at:g}"), *(_at(curve, at, percent) for (_, curve, _), percent in zip(curves, percents, strict=True))) for at in kept
    )
    return Table(title="Score and loss by round", columns=("Round", *heads), rows=rows)


def _lorenz(found: Sequence[Federated]) -> Table:
    rows = tuple(
        (
            Cell(text=one.name, run=one.run),
            *(Cell(text=share(one.at(part))) for part in _HALVES),
            Cell(text="–" if one.gini is None else significant(one.gini)),
        )
        for one in shares(found)
    )
    heads = (f"Lowest {share(part)} of clients hold" for part in _HALVES)
    return Table(title="Activity and participation", columns=("Of", *heads, "Gini index"), rows=rows)


def _deciles(found: Sequence[Federated]) -> Table:
    """A row for each run and decile."""
    rows = []
    for one in found:
        columns = [one.deciles(name) for name in ("participation_decile", "update_norm_decile", "client_score_decile")]
        for decile in sorted({decile for column in columns for decile in column}):
            known = [column.get(decile) for column in columns]
            sizes = [next((plain(e.conditions[key]) for e in known if e is not None and key in e.conditions), "") for key in _SIZES]
            rows.append((_name(one), Cell(text=str(decile)), *map(_word, sizes), *map(_or_dash, known)))
    measure = measure_label(next((one.measure for one in found if one.measure), ""))
    columns_ = ("Run", "Decile", "Clients", "Test examples", "Rounds taken part in", "Share of the norm of all updates", f"Mean {measure}")
    text = "Decile 1 holds the clients with the fewest examples, decile 10 those with the most."
    return Table(title="By decile of activity", columns=columns_, rows=tuple(rows), text=text)


def _percentiles(found: Sequence[Federated]) -> Table | None:
    known = [(one, one.percentiles()) for one in found if one.percentiles()]
    if not known:
        return None
    places = sorted({place for _, own in known for place in own})
    rows = []
    for one, own in known:
        told = next(iter(own.values())).conditions
        counts = (_told(told, key) for key in ("clients", "least_examples"))
        rows.append((_name(one), *(_or_dash(own.get(place)) for place in places), *map(_word, counts)))
    heads = [named(place)[:1].upper() + named(place)[1:] for place in places]
    columns = ("Run", *heads, "Clients", "Each with at least so many examples")
    return Table(title=f"{label_of(PERCENTILES)}", columns=columns, rows=tuple(rows))


def _distances(found: Sequence[Federated]) -> Table | None:
    """For each client of a map how far the others are."""
    drawn = maps(found)
    rows = []
    for one in drawn:
        for place, row in enumerate(one.rows):
            others = [value for other, value in enumerate(row) if other != place]
            if others:
                figures = (min(others), sum(others) / len(others), max(others))
                rows.append(
                    (
                        Cell(text=f"{place + 1}"),
                        *(Cell(text=significant(value, 2)) for value in figures),
                        *([] if len(drawn) == 1 else [Cell(text=one.name)]),
                    )
                )
    means = [estimate for run in found if (estimate := run.estimate("mean_js_distance")) is not None]
    if not rows and not means:
        return None
    if means:
        first = means[0]
        pairs = f" of {plain(first.conditions['pairs'])} pairs" if "pairs" in first.conditions else ""
        text = f"Mean{pairs} over all clients: {significant(first.value or 0.0)}, by {plain(first.conditions.get('of', 'labels'))}."
    else:
        text = ""
    columns = ("Client of the map", "To the nearest", "Mean", "To the farthest", *([] if len(drawn) <= 1 else ["Split of"]))
    return Table(title="Distances between clients", columns=columns, rows=tuple(rows), text=text)


def _traffic(found: Sequence[Federated]) -> Table:
    names = ("bytes_up_per_client", "bytes_down_per_client", "bytes_up", "bytes_down")
    rows = []
    for one in found:
        known = [one.estimate(name) for name in names]
        lost = [estimate for estimate in one.evidence.estimates if estimate.name == "clients_left_out" and estimate.value]
        if any(estimate is not None for estimate in known) or lost:
            gone = Cell(text="; ".join(map(left_out, lost)) or "none", hint=hint(lost[0]) if lost else "")
            rows.append((_name(one), _word(sent(one)), *map(_or_dash, known), gone))
    columns = ("Run", "What is sent", *map(label_of, names), label_of("clients_left_out"))
    return Table(title="What is sent, and what was left out", columns=columns, rows=tuple(rows))


def left_out(estimate: Estimate) -> str:
    """How many updates were left out of the sums, and why."""
    reason, unit = estimate.conditions.get("reason", ""), "" if estimate.unit == "clients" else f" {estimate.unit}"
    return f"{significant(estimate.value or 0.0)}{unit}{f' ({reason})' if reason else ''}"


def _continual(found: Sequence[Federated]) -> Table:
    names = ("prequential_score", "forgetting", "static_gap")
    rows = tuple((_name(one), *map(_or_dash, known)) for one in found if any(known := [one.estimate(name) for name in names]))
    return Table(title="Period by period, in short", columns=("Run", *map(label_of, names)), rows=rows)


def _periods(found: Sequence[Federated]) -> Table | None:
    """The score ahead of each period, and on the texts of each period after each later one."""
    rows: list[tuple[Cell, ...]] = []
    for one in found:
        ahead = one.curve("prequential")
        if ahead is not None:
            rows += [(_name(one), Cell(text="before it"), Cell(text=f"{x:g}"), _score(y)) for x, y in zip(ahead.x, ahead.y, strict=True)]
        for period, row in periods(one).items():
            rows += [
                (_name(one), Cell(text=f"after period {moment}"), Cell(text=str(period)), _score(value)) for moment, value in row.items()
            ]
    measure = measure_label(next((one.measure for one in found if one.measure), ""))
    columns = ("Run", "When", "Texts of period", f"{measure[:1].upper()}{measure[1:]}")
    return Table(title="The score on the texts of each period", columns=columns, rows=tuple(rows)) if rows else None


_SIZES = ("clients", "examples")


def _name(one: Federated) -> Cell:
    return Cell(text=one.name, run=one.run)


def _told(settings: Mapping[str, object], key: str) -> str:
    return plain(settings[key]) if key in settings else ""


def _word(text: str) -> Cell:
    return Cell(text=text or "–")


def _or_dash(estimate: Estimate | None) -> Cell:
    return Cell(text="–") if estimate is None else cell(estimate)


def _at(curve: Curve, x: float, percent: bool) -> Cell:
    if x not in curve.x:
        return Cell(text="–")
    value = curve.y[curve.x.index(x)]
    return Cell(text=share(value) if percent else significant(value))


def _score(value: float) -> Cell:
    return Cell(text=share(value) if 0 <= value <= 1 else significant(value))
