"""Generated text: how often it speaks of each gender, beside what parity would give, and what is said of each group."""

from __future__ import annotations

import math
from collections.abc import Sequence

from holdfast.core.evidence import Estimate
from holdfast.report.fairness.dots import Block, Panel, dot, drawn
from holdfast.report.fairness.groups import GROUPS
from holdfast.report.fairness.names import style_of
from holdfast.report.fairness.reading import (
    Fair,
    by_people,
    is_gap,
    is_ratio,
    is_row,
    metric_of,
    null_of,
    place,
    shared,
    spaced,
    spoken,
    told,
    writer,
)
from holdfast.report.figures import Figure
from holdfast.report.numbers import label_of, significant

Shared = dict[tuple[tuple[str, str], ...], dict[int, Estimate]]


def generation_chart(found: Sequence[Fair]) -> Figure | None:
    """A panel for each quantity that is no rate of a group and no gap; None without one."""
    names = quantities(found)
    if not names:
        return None
    panels, parts = [], []
    for metric, name in names:
        made = of_quantity(found, metric, name)
        panels.append(_panel(found, metric, name, made))
        parts.append(_told(found, metric, name, made))
    caption = "The shares of single groups stand in the charts of groups above."
    if any(null_of(one) is not None for run in found for one in run.of("generation")):
        caption = (
            "Upright strokes: what parity itself would give with so little text. A ratio of the smaller share to the larger is below 1 by "
            f"chance alone, so judge it by its stroke and not by 1. {caption}"
        )
    if any(by_people(one) for run in found for one in run.of("generation") if _own(one)):
        caption = f"{caption} Hollow and grey: what people wrote, for reference."
    several, alternative = len(found) > 1, " ".join(parts)
    return drawn("fair-generation", title="What the model writes", caption=caption, alternative=alternative, panels=panels, several=several)


def quantities(found: Sequence[Fair]) -> tuple[tuple[str, str], ...]:
    """Metric and quantity of each panel, in the order of the evidence."""
    own = (one for run in found for one in run.of("generation") if _own(one))
    return tuple(dict.fromkeys((metric_of(one), one.name) for one in own))


def of_quantity(found: Sequence[Fair], metric: str, name: str) -> Shared:
    """The numbers of one panel, by what they speak of and by run."""
    return shared(found, lambda _, one: (metric_of(one), one.name) == (metric, name) and _own(one))


def _beside(made: Shared) -> tuple[Shared, Shared]:
    """The numbers that have a line, and by the same keys those of people that are drawn on it; one without a twin has a line too."""
    lines, people = dict(made), {}
    for key, runs in made.items():
        first = next(iter(runs.values()))
        twin = tuple(("written_by", "model") if part[0] == "written_by" else part for part in key)
        if is_row(first) and by_people(first) and twin in made:
            people[twin] = lines.pop(key)
    return lines, people


def _own(estimate: Estimate) -> bool:
    """Whether a number stands here rather than among the groups or the gaps."""
    return not is_gap(estimate) and (is_ratio(estimate) or not is_row(estimate))


def _panel(found: Sequence[Fair], metric: str, name: str, made: Shared) -> Panel:
    blocks = []
    lines, people = _beside(made)
    lines, most = _ordered(lines)
    names = _labels(lines)
    for key, runs in lines.items():
        first, own = next(iter(runs.values())), people.get(key, {})
        dots = tuple(dot(found[at], one, tick=null_of(one), beside=own[at].value if at in own else None) for at, one in runs.items())
        blocks.append(Block(name=names[key], dots=dots, strong=len(found) > 1))
    first = next(one for runs in made.values() for one in runs.values())
    axis = style_of(first.name, first.unit, told(first, "statistic"))
    rule = (1.0, "equal") if is_ratio(first) else None
    return Panel(heading=f"{label_of(name)} ({metric})", blocks=tuple(blocks), axis=axis, rule=rule, most=most)


def _label(estimate: Estimate, *, attribute: bool = True) -> str:
    where, whose = told(estimate, "groups") if attribute else "", writer(estimate)
    if is_row(estimate):
        return ", ".join(filter(None, (spaced(told(estimate, "group")), whose if by_people(estimate) else "")))
    parts = [told(estimate, "statistic"), place(estimate) if place(estimate) != "all" else "", where, whose]
    return ", ".join(filter(None, parts)) or "all"


def _ordered(lines: Shared) -> tuple[Shared, int]:
    """The summaries, then the groups, of many those first that lie furthest below parity; and how many lines are drawn."""
    rows = {key: runs for key, runs in lines.items() if is_row(next(iter(runs.values())))}
    least = {key: min((one.value for one in runs.values() if one.value is not None), default=math.inf) for key, runs in rows.items()}
    first = sorted(rows, key=lambda key: least[key])[:GROUPS]
    whole = [key for key in lines if key not in rows]
    order = [*whole, *(key for key in rows if key in first), *(key for key in rows if key not in first)]
    return {key: lines[key] for key in order}, len(whole) + GROUPS if len(rows) > GROUPS else 0


def _labels(lines: Shared) -> dict[tuple[tuple[str, str], ...], str]:
    """What each line is called: by which attribute only where there are several."""
    firsts = {key: next(iter(runs.values())) for key, runs in lines.items()}
    several = len({told(one, "groups") for one in firsts.values()}) > 1
    return {key: _label(one, attribute=several) for key, one in firsts.items()}


def _told(found: Sequence[Fair], metric: str, name: str, made: Shared) -> str:
    parts = []
    for runs in made.values():
        first = next(iter(runs.values()))
        figures = []
        for at, one in runs.items():
            null = null_of(one)
            beside = "" if null is None else f", where parity gives {significant(null)}"
            figures.append(f"{f'{found[at].name} ' if len(found) > 1 else ''}{spoken(one)}{beside}")
        parts.append(f"{_label(first)}: {'; '.join(figures)}")
    return f"{label_of(name)} ({metric}). {'. '.join(parts)}."
