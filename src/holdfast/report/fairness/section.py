"""The part of the page on fairness: the surest gap, every group, what was measured and what was not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.core.evidence import Estimate
from holdfast.report import words
from holdfast.report.document import Document
from holdfast.report.fairness.association import association_chart
from holdfast.report.fairness.benchmarks import benchmark_charts
from holdfast.report.fairness.cards import card_of, cards
from holdfast.report.fairness.gaps import gap_chart
from holdfast.report.fairness.generation import generation_chart
from holdfast.report.fairness.groups import group_charts
from holdfast.report.fairness.names import FAMILIES
from holdfast.report.fairness.reading import (
    Fair,
    headline,
    metric_of,
    nearest,
    outcome,
    p_value,
    runs,
    spaced,
    title_of,
    titled,
    told,
    value_of,
    verdict_of,
)
from holdfast.report.fairness.tables import tables
from holdfast.report.figures import Figure
from holdfast.report.numbers import significant, written
from holdfast.report.view import NOT_MEASURED, Cell, Point, Section, Tile, Tone

TITLE = "Fairness"
_POINTS = "What these numbers do not say"
_CRITICISED = 3  # metrics whose criticism is told before the tables
_NO_VERDICT = "no verdict applies to this figure"
_TONES: dict[str, Tone] = {"unfair": "bad", "not enough data": "caution", "fair within the margin": "good"}


def fairness(document: Document, *, drawn: bool = True) -> Section | None:
    """How far groups lie apart and what else was measured; None where nothing was.

    Args:
        document: What is known.
        drawn: False leaves the charts out.
    """
    found = runs(document)
    if not found:
        return None
    figures: tuple[Figure | None, ...] = ()
    if drawn:
        figures = (
            *group_charts(found),
            *(gap_chart(found), association_chart(found)),
            *benchmark_charts(found),
            generation_chart(found),
        )
    return Section(
        name="fairness",
        title=TITLE,
        finding=f"{_surest(document)}; {_measured(found)}.",
        points=tuple(_points(document, found)),
        points_title=_POINTS,
        figures=tuple(figure for figure in figures if figure is not None),
        tables=(*tables(document, found), *cards(found)),
    )


def tile(document: Document) -> Tile:
    """The surest gap on the first screen; grey where no gap was measured, and green only where every gap was found fair."""
    found, best = runs(document), headline(document)
    if best is None:
        only = f"Only {words.listed(_families(found))} were looked at, which is no gap between groups." if found else ""
        text = only or "No group was compared with another."
        return Tile(title=TITLE, headline=NOT_MEASURED, text=text, status="no evidence" if not found else "no gap", tone="missing")
    kept, run, gap = best
    shown, came, gaps = written(gap), outcome(kept), sum(len(each.gaps) for each in kept)
    among = f", {_rank(gap)} of {gaps} gaps" if gaps > 1 else ""
    interval = f" ({shown.interval})" if shown.interval else ""
    worst = f" Worst off: {spaced(told(gap, 'worst'))}." if told(gap, "worst") else ""
    unsure = f" {_opened(_sentence(_unsure(kept, gap)))}" if _unsure(kept, gap) else ""
    text = f"{titled(gap)}, of {run.name}{among}{interval}.{unsure}{worst}"
    return Tile(title=TITLE, headline=shown.value, text=text, status=_status(kept, came), tone=_TONES.get(came, "plain"))


def _status(kept: Sequence[Fair], came: str) -> str:
    """What the verdicts come to, and how many of each there are."""
    gaps = [one for each in kept for one in each.gaps]
    counts = verdict_of(gaps)
    if came == "not judged":
        return "no margin set, so no verdict" if all(one.margin is None for one in kept) else _NO_VERDICT
    if len(gaps) == 1 or counts.get(came) == len(gaps):
        return came if len(gaps) == 1 else f"{came}, all {len(gaps)}"
    rest = len(gaps) - sum(counts.values())
    said = [f"{count} {verdict}" for verdict, count in counts.items()] + ([f"{rest} without a verdict"] if rest else [])
    return f"of {len(gaps)} gaps {words.listed(said)}"


def overview_cell(document: Document, name: str) -> Cell:
    """The surest gap of one run, for the table of the first screen."""
    run = next((one for one in runs(document) if one.name == name), None)
    gap = None if run is None else run.surest
    if gap is None:
        return Cell(text=NOT_MEASURED, tone="missing")
    shown, verdict = written(gap), told(gap, "verdict")
    tone = _TONES[verdict] if verdict in ("unfair", "not enough data") else "plain"
    value = shown.value.replace(" ", "\N{NO-BREAK SPACE}")
    return Cell(text=value, notes=tuple(filter(None, (shown.interval, verdict))), hint=f"{titled(gap)}. {gap.method}", tone=tone)


def _rank(gap: Estimate) -> str:
    """What a headline is among the gaps: the one furthest from parity for sure, else the one that chance makes least easily."""
    if nearest(gap) > 0:
        return "the surest"
    return "the least unlikely" if gap.interval is not None or p_value(gap) else "the largest"


def _unsure(kept: Sequence[Fair], gap: Estimate) -> str:
    """That no gap could be told from none, where the headline could not; gaps in other units have no part in choosing it."""
    if nearest(gap) > 0:
        return ""
    known = [one for run in kept for one in run.known]
    if all(one.interval is None for one in known):
        return "no gap has an interval, so none is sure"
    others = sum(nearest(one) > 0 for one in known)
    return f"no gap in shares could be told from none ({others} in other units could)" if others else "no gap could be told from none"


def _surest(document: Document) -> str:
    """The surest gap, with its interval, its groups and its verdict."""
    best = headline(document)
    if best is None:
        return "No gap between groups was measured in what a user of the model meets"
    kept, run, gap = best
    worst = f", worst for {spaced(told(gap, 'worst'))}" if told(gap, "worst") else ""
    among = "the runs with a promise" if all(one.name in document.private for one in kept) else "all runs"
    unsure, rank, name = _unsure(kept, gap), _rank(gap), titled(gap)
    called = f"{name[0].lower()}{name[1:]}" if name[1:2].islower() else name
    value = f"{written(gap).full}{worst}"
    if unsure:
        start = f"Of {among}, {unsure}" if len(kept) > 1 else _opened(unsure)
        p = f", {p_value(gap)}" if p_value(gap) else ""
        return f"{start}; {rank} is that of {run.name}: {called}, is {value}{p}; {_judged(run, gap)}"
    start = f"Of {among}, {run.name} has the gap that is surest" if len(kept) > 1 else f"The gap that is surest was measured in {run.name}"
    return f"{start}: {called}, is {value}; {_judged(run, gap)}"


def _judged(run: Fair, gap: Estimate) -> str:
    """The verdict on a gap, in a sentence's middle."""
    verdict, margin = told(gap, "verdict"), run.margin
    if not verdict:
        return "no margin was set, so there is no verdict" if margin is None else _NO_VERDICT
    sized = "" if margin is None else f" of {significant(100 * margin)} points" if gap.unit == "share" else f" of {significant(margin)}"
    said = verdict if verdict.endswith("the margin") else f"{verdict} at the margin"
    return f"the verdict is {said}{sized}"


def _measured(found: Sequence[Fair]) -> str:
    """How many metrics of how many families, and what was not looked at."""
    metrics = dict.fromkeys(metric for run in found for metric in run.metrics)
    there = _families(found)
    away = [name for name in FAMILIES.values() if name not in there]
    count = "1 metric was" if len(metrics) == 1 else f"{len(metrics)} metrics were"
    kinds = "1 family" if len(there) == 1 else f"{len(there)} families"
    told_ = f"{count} measured, of {kinds} ({words.listed(there)})"
    return f"{told_}, and nothing on {words.listed(away)}" if away else told_


def _families(found: Sequence[Fair]) -> list[str]:
    there = {run.family(metric) for run in found for metric in run.metrics}
    return [name for family, name in FAMILIES.items() if family in there]


def _points(document: Document, found: Sequence[Fair]) -> Iterator[Point]:
    """What the reader must not take from the numbers."""
    metrics = list(dict.fromkeys(metric for run in found for metric in run.metrics))
    yield Point(lead="", text="No number here makes a model fair. A small gap speaks of these groups, these texts and this metric alone.")
    inside = [metric for metric in metrics if any(run.intrinsic(metric) for run in found if metric in run.metrics)]
    if inside:
        named = words.listed([title_of(found, metric) for metric in inside])
        text = (
            f"{named} look{'s' * (len(inside) == 1)} inside the model. Such numbers have been found to say little of what a user meets: "
            "do not let a model go out, or hold it back, because of them."
        )
        yield Point(lead="Not for go or no-go:", text=text, tone="caution")
    yield from _verdicts(found)
    yield from _holes(found)
    bare = [metric for metric in metrics if not card_of(found, metric)]
    if bare:
        yield Point(lead="Without a card:", text=f"{words.listed(bare)}. What they measure and what is held against them is not on record.")
    yield from _criticism(document, found, metrics)


def _criticism(document: Document, found: Sequence[Fair], metrics: Sequence[str]) -> Iterator[Point]:
    """What has been said against the metric of the surest gap, or else against the first ones; the cards hold the rest."""
    held = {metric: told_ for metric in metrics if (told_ := card_of(found, metric).get("criticism"))}
    best = headline(document)
    first = [] if best is None else [metric_of(best[2])]
    told_ = [*first, *(metric for metric in held if metric not in first)][:_CRITICISED]
    for metric in told_:
        if metric in held:
            yield Point(lead=f"{title_of(found, metric)}:", text=" ".join(map(_sentence, held[metric])))
    rest = len(set(held) - set(told_))
    if rest:
        text = "one more metric: its card holds it" if rest == 1 else f"{rest} more metrics: their cards hold it"
        yield Point(lead="Criticism", text=f"has been published of {text}, below.")


def _verdicts(found: Sequence[Fair]) -> Iterator[Point]:
    gaps = [one for run in found for one in run.gaps]
    counts = verdict_of(gaps)
    unsure = counts.get("not enough data", 0)
    if unsure:
        text = f"The intervals of {unsure} of {len(gaps)} gaps reach to both sides of the margin. That is no sign of fairness."
        yield Point(lead="Not enough data:", text=text, tone="caution")
    if gaps and not counts:
        bare = all(run.margin is None for run in found)
        text = "No margin was set, so nothing here was judged fair or unfair." if bare else "No verdict applies to the gaps measured here."
        yield Point(lead="No verdict:", text=text)


def _holes(found: Sequence[Fair]) -> Iterator[Point]:
    """What has no number, and what the model could not read."""
    empty = [one for run in found for one in run.estimates if one.value is None]
    if empty:
        named = list(dict.fromkeys(spaced(told(one, "group")) for one in empty if told(one, "group")))
        whose = f", among them of {words.listed(named[:6])}" if named else ""
        count = "1 number" if len(empty) == 1 else f"{len(empty)} numbers"
        yield Point(lead="Missing:", text=f"{count} could not be worked out{whose}; the tables say why.", tone="caution")
    unread = [one for run in found for one in run.estimates if value_of(one, "cut") or (value_of(one, "unknown_words") or 0.0) > 0]
    if unread:
        share = max((value_of(one, "unknown_words") or 0.0) for one in unread)
        most = f" Up to {significant(100 * share, 2)}% of the words of a set were unknown to the model." if share else ""
        yield Point(
            lead="Unread:", text=f"Some texts were cut off or hold words that the model does not know.{most} The tables count them."
        )


def _opened(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _sentence(text: object) -> str:
    said = str(text).strip()
    return said if said.endswith((".", "?", "!")) else f"{said}."
