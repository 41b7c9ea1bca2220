"""The part of the page on training across clients: what was trained by how many, whom it serves, and what it cost to send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.core.evidence import Estimate
from holdfast.report import words
from holdfast.report.comparison import difference
from holdfast.report.document import Document
from holdfast.report.federation import curves, lorenz, maps, percentiles, traffic
from holdfast.report.federation.percentiles import TENTH, WORST
from holdfast.report.federation.reading import Federated, about_selection, across, main_score, measure_label, runs, selection, weighting
from holdfast.report.federation.tables import left_out, tables
from holdfast.report.figures import Figure
from holdfast.report.numbers import significant, written
from holdfast.report.view import Point, Section

TITLE = "Federation"
_CHARTS = (
    *(curves.convergence, lorenz.lorenz, curves.participation, curves.scores_by_decile, percentiles.spread_of_clients),
    *(maps.distances, traffic.traffic, curves.prequential, maps.forgetting),
)
_SAME = "which these test examples cannot tell from none"


def federation(document: Document, *, drawn: bool = True) -> Section | None:
    """What was trained across clients, who took part, and whom it serves; None where no run was.

    Args:
        document: What is known.
        drawn: False leaves the charts out.
    """
    found = runs(document)
    if not found:
        return None
    points = [point for one in found if (point := _point(one)) is not None]
    notes = [Point(lead="", text=note) for note in document.evidence.notes if about_selection(note)]
    figures: tuple[Figure | None, ...] = tuple(chart(found) for chart in _CHARTS) if drawn else ()
    return Section(
        name="federation",
        title=TITLE,
        finding=f"{_trained(document, found)}{_light_and_heavy(document, found)}.",
        points=(*points, *notes),
        points_title="Who took part in each run" if points else "",
        figures=tuple(figure for figure in figures if figure is not None),
        tables=tables(found),
    )


def score(document: Document, found: Sequence[Federated]) -> list[tuple[Federated, Estimate]]:
    """The runs with their main score on the test set, the best first."""
    measure = main_score(document, next((one.measure for one in found if one.measure), ""))
    known = [(one, estimate) for one in found if (estimate := one.estimate(measure)) is not None]
    return sorted(known, key=lambda pair: _goodness(pair[1]), reverse=True)


def _trained(document: Document, found: Sequence[Federated]) -> str:
    """How many runs, across how many clients, and how far the best and the worst lie apart."""
    who = found[0].name if len(found) == 1 else f"{len(found)} runs"
    opening = f"{who} {'was' if len(found) == 1 else 'were'} trained across {across(found) or 'clients'}"
    ranked = score(document, found)
    if not ranked:
        return f"{opening}; no score of the whole was measured"
    (best, most), (worst, least) = ranked[0], ranked[-1]
    measure = measure_label(most.name)
    if len(found) == 1:
        return f"{opening} and reaches {written(most).full} {measure}"
    if len(ranked) == 1:
        return f"{opening}: {best.name} reaches {written(most).full} {measure}, the others were not measured"
    apart = difference(most, least)
    told = f"{opening}: {best.name} reaches {written(most).full} {measure} and {worst.name} {written(least).full}"
    if apart is None or apart.interval is None:
        return told
    return f"{told}, a difference of {written(apart).full}{f', {_SAME}' if _holds_nought(apart) else ''}"


def _light_and_heavy(document: Document, found: Sequence[Federated]) -> str:
    """How the lightest tenth of the clients fares against the heaviest, where the gap is largest and where it is smallest."""
    gaps = {one.run: (one, low, high) for one in found for low, high in _ends(one)}
    if not gaps:
        return ""
    by_size = sorted(gaps.values(), key=lambda gap: abs((gap[2].value or 0.0) - (gap[1].value or 0.0)), reverse=True)
    one, low, high = by_size[0]
    under = f" under {one.name}" if len(gaps) > 1 else ""
    told = f"; from the lightest tenth of clients to the heaviest the mean {measure_label(one.measure)} goes {_from_to(low, high)}{under}"
    if len(gaps) == 1:
        return told
    other, low, high = by_size[-1]
    return f"{told}, and {_from_to(low, high)} under {other.name}"


def _ends(one: Federated) -> Iterator[tuple[Estimate, Estimate]]:
    """The score in the first and the last decile."""
    known = one.deciles("client_score_decile")
    if len(known) > 1:
        yield known[min(known)], known[max(known)]


def _from_to(low: Estimate, high: Estimate) -> str:
    apart = difference(high, low)
    same = apart is not None and apart.interval is not None and _holds_nought(apart)
    return f"from {written(low).value} to {written(high).value}{' (no difference can be seen)' if same else ''}"


def _point(one: Federated) -> Point | None:
    """What one run did, in a few sentences."""
    sentences = list(filter(None, (_how(one), _taken(one), _worst(one), _lost(one), *_ahead(one))))
    return Point(lead=f"{one.name}:", text=" ".join(sentences), run=one.run) if sentences else None


def _how(one: Federated) -> str:
    told = one.settings
    parts = []
    if "cohort" in told:
        among = f" of {one.clients:,}" if one.clients is not None else ""
        parts.append(f"{told['cohort']}{among} clients in a round")
    if selection(told):
        parts.append(f"selection: {selection(told)}")
    if weighting(told):
        parts.append(f"weights: {weighting(told)}")
    if "rounds" in told:
        by = f" of {told['algorithm']}" if "algorithm" in told else ""
        parts.append(f"{told['rounds']} rounds{by}{', period by period' if one.continual else ''}")
    return f"{'; '.join(parts)}." if parts else ""


def _taken(one: Federated) -> str:
    """How often light and heavy clients took part, and how unequal that is beside activity."""
    known, parts = one.deciles("participation_decile"), []
    if len(known) > 1:
        light, heavy = (significant(known[end(known)].value or 0.0, 2) for end in (min, max))
        parts.append(f"a client of the lightest tenth took part in {light} rounds on average, one of the heaviest in {heavy}")
    gini, active = one.value("participation_gini"), one.value("activity_gini")
    if gini is not None:
        beside = "" if active is None else f", that of activity {significant(active, 2)}"
        parts.append(f"the Gini index of participation is {significant(gini, 2)}{beside}")
    return _sentence("; ".join(parts))


def _worst(one: Federated) -> str:
    known = one.percentiles()
    told = [f"the worst-served client has {written(known[WORST]).value}"] if WORST in known else []
    told += [f"a tenth of all have {written(known[TENTH]).value} or worse"] if TENTH in known else []
    return f"By {measure_label(one.measure)} {' and '.join(told)}." if told else ""


def _lost(one: Federated) -> str:
    lost = [estimate for estimate in one.evidence.estimates if estimate.name == "clients_left_out" and estimate.value]
    return f"Updates left out: {words.listed([left_out(estimate) for estimate in lost])}." if lost else ""


def _ahead(one: Federated) -> Iterator[str]:
    """What training period by period came to."""
    ahead, forgotten, gap = (one.estimate(name) for name in ("prequential_score", "forgetting", "static_gap"))
    if ahead is not None:
        yield f"On texts of the next period it scores {written(ahead).full}."
    if forgotten is not None:
        yield f"Forgetting, the best past score less the present one, is {written(forgotten).full} on average over the periods."
    if gap is not None:
        same = gap.interval is not None and _holds_nought(gap)
        yield f"Training on all data at once differs by {written(gap).full}{', ' + _SAME if same else ''}."


def _holds_nought(apart: Estimate) -> bool:
    return apart.interval is not None and apart.interval.low <= 0 <= apart.interval.high


def _goodness(estimate: Estimate) -> float:
    value = estimate.value or 0.0
    return -value if estimate.direction == "lower is better" else value


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""
