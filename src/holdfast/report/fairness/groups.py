"""Each group beside the others: its rates with simultaneous intervals, the rate of all, and the worst of them named."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from holdfast.core.evidence import Estimate
from holdfast.report import words
from holdfast.report.fairness.dots import Block, Panel, dot, drawn, room
from holdfast.report.fairness.names import style_of
from holdfast.report.fairness.reading import ALL, Fair, by_people, is_ratio, is_row, spaced, spoken, told, value_of, worst_of
from holdfast.report.figures import Figure
from holdfast.report.numbers import label_of

PANELS = 6  # of one attribute for three runs; the table holds all
GROUPS, FEWEST = 8, 4  # of an attribute that has more groups and more rates: so many of each are drawn, or the page would be very long
_RATES = (  # shares of rows, so that those of several groups can be put together by their sizes
    *("selection_rate", "true_positive_rate", "false_positive_rate", "true_negative_rate", "false_negative_rate", "precision", "accuracy"),
)
_FIRST = (
    *("selection_rate", "true_positive_rate", "false_positive_rate", "false_negative_rate", "accuracy", "precision"),
    *("subgroup_auc", "bpsn_auc", "bnsp_auc"),
)
Rows = dict[str, dict[int, Estimate]]  # by group, then by place of the run


def group_charts(found: Sequence[Fair]) -> tuple[Figure, ...]:
    """A chart for each attribute that rows were grouped by; nothing where no group has a number."""
    made = []
    for number, attribute in enumerate(attributes(found)):  # attributes are a user's text, which is no id
        rates, most = quantities(found, attribute), extent(found, attribute)[1]
        panels = [_panel(found, attribute, *rate) for rate in rates[:most]]
        caption = _caption(found, attribute, rates)
        alternative = " ".join(_told(found, attribute, *rate) for rate in rates[:most])
        title = f"Each group, by {attribute}"
        several = len(found) > 1
        made.append(drawn(f"fair-groups-{number}", title=title, caption=caption, alternative=alternative, panels=panels, several=several))
    return tuple(made)


def panels_of(runs: int) -> int:
    """How many rates are drawn: of many runs fewer, so that the page stays light.

    >>> panels_of(1), panels_of(3), panels_of(9), panels_of(99)
    (12, 6, 2, 2)
    """
    return max(2, min(2 * PANELS, 3 * PANELS // runs))


def extent(found: Sequence[Fair], attribute: str) -> tuple[int, int]:
    """How many groups of a rate are drawn, 0 for as many as there is room for, and how many rates."""
    groups = {told(one, "group") for run in found for one in run.estimates if _of(one, attribute)} - {*ALL}
    panels = panels_of(len(found))
    if len(groups) <= GROUPS or len(quantities(found, attribute)) <= FEWEST:
        return 0, panels
    return min(GROUPS, room(len(found))), min(FEWEST, panels)


def attributes(found: Sequence[Fair]) -> tuple[str, ...]:
    """What rows were grouped by, in the order of the evidence."""
    return tuple(dict.fromkeys(told(one, "groups") for run in found for one in run.estimates if _of(one)))


def quantities(found: Sequence[Fair], attribute: str) -> list[tuple[str, str]]:
    """The rates of an attribute to draw, those that say most first, each with the class where it differs most between groups."""
    names = dict.fromkeys(one.name for run in found for one in run.estimates if _of(one, attribute))
    ordered = sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    return [(name, _widest(found, attribute, name)) for name in ordered]


def rows_of(found: Sequence[Fair], attribute: str, name: str, class_: str) -> Rows:
    """One rate of each group, in the order of the evidence; of metrics that share it, the first speaks."""
    return _rows(found, attribute, name, class_, people=False)


def _rows(found: Sequence[Fair], attribute: str, name: str, class_: str, *, people: bool) -> Rows:
    made: Rows = {}
    for place, run in enumerate(found):
        for one in run.estimates:
            if _of(one, attribute, people=people) and one.name == name and told(one, "class") == class_:
                made.setdefault(told(one, "group"), {}).setdefault(place, one)
    return made


def worst_groups(found: Sequence[Fair], rows: Rows) -> dict[int, str]:
    """The worst group of each run that has one, by place of the run."""
    made = {}
    for place, run in enumerate(found):
        own = [runs[place] for group, runs in rows.items() if place in runs and group not in ALL]
        worst = worst_of(own, run.estimates)
        if worst and len([one for one in own if one.value is not None]) > 1:
            made[place] = worst
    return made


def _of(estimate: Estimate, attribute: str | None = None, *, people: bool = False) -> bool:
    """Whether a number is a rate of a group, by an attribute or by any, of what the model does or of what people wrote."""
    own = is_row(estimate) and not is_ratio(estimate) and by_people(estimate) == people
    return own and attribute in (None, told(estimate, "groups"))


def _widest(found: Sequence[Fair], attribute: str, name: str) -> str:
    """The class whose groups lie furthest apart in some run; empty for a rate without classes."""
    spread: dict[str, float] = {}
    for class_ in dict.fromkeys(told(one, "class") for run in found for one in run.estimates if _of(one, attribute) and one.name == name):
        rows = rows_of(found, attribute, name, class_)
        for place in range(len(found)):
            values = [runs[place].value for runs in rows.values() if place in runs]
            known = [value for value in values if value is not None]
            spread[class_] = max(spread.get(class_, 0.0), max(known) - min(known) if known else 0.0)
    return max(spread, key=lambda class_: (class_ == "", spread[class_]), default="")


def _panel(found: Sequence[Fair], attribute: str, name: str, class_: str) -> Panel:
    rows = rows_of(found, attribute, name, class_)
    worst = worst_groups(found, rows)
    whole = {place: pooled(rows, place) for place in range(len(found))}
    people = _rows(found, attribute, name, class_, people=True)
    most = max(extent(found, attribute)[0] or room(max(map(len, rows.values()))), len({*worst.values()}))
    blocks = []
    for group, runs in _kept(rows, most, {*worst.values()}):
        dots = []
        for place, one in runs.items():
            other = people.get(group, {}).get(place)
            beside = None if other is None else other.value
            dots.append(dot(found[place], one, ringed=worst.get(place) == group, beside=beside, tick=whole[place]))
        blocks.append(Block(name=spaced(group), dots=tuple(dots), strong=group in worst.values()))
    first = next(one for runs in rows.values() for one in runs.values())
    axis = style_of(first.name, first.unit, told(first, "statistic"))
    bounded = (first.unit == "share" or name.endswith("_auc")) and axis in ("percent", "plain") and not _negative(rows)
    shares = (0.0, 1.0) if bounded else (None, None)
    named = list(dict.fromkeys(map(spaced, worst.values())))
    heading = ", ".join([label_of(name), *([f"class {class_}"] if class_ else []), *([f"worst: {words.listed(named)}"] if named else [])])
    return Panel(heading=heading, blocks=tuple(blocks), axis=axis, within=shares, most=most)


def pooled(rows: Rows, place: int) -> float | None:
    """The rate of all groups together: as measured, else from the rates and sizes of the groups; None where these are not known.

    A row that is in two groups counts in both.
    """
    measured = next((runs[place].value for group, runs in rows.items() if group in ALL and place in runs), None)
    own = [(group, runs[place]) for group, runs in rows.items() if place in runs]
    known = [(one.value, value_of(one, f"n {group}")) for group, one in own if one.value is not None]
    total = sum(size or 0.0 for _, size in known)
    if measured is not None or not total or own[0][1].name not in _RATES or any(size is None for _, size in known):
        return measured
    return sum(value * (size or 0.0) for value, size in known) / total


def _negative(rows: Rows) -> bool:
    """Whether a share is one that may be below nought, as a difference is."""
    return any((one.value or 0.0) < 0 for runs in rows.values() for one in runs.values())


def _kept(rows: Rows, most: int, worst: Set[str]) -> list[tuple[str, dict[int, Estimate]]]:
    """The groups to draw in the order of the evidence, then the others.

    Of many, these are the worst of each run, then those that lie furthest from the middle in some run.
    """
    groups = {group: runs for group, runs in rows.items() if group not in ALL}
    values = sorted(one.value for runs in groups.values() for one in runs.values() if one.value is not None)
    middle = values[len(values) // 2] if values else 0.0
    away = {
        group: max((abs(one.value - middle) for one in runs.values() if one.value is not None), default=-1.0)
        for group, runs in groups.items()
    }
    kept = sorted(groups, key=lambda group: (group not in worst, -away[group]))[:most]
    return [*((group, runs) for group, runs in groups.items() if group in kept), *((g, r) for g, r in groups.items() if g not in kept)]


def _caption(found: Sequence[Fair], attribute: str, rates: Sequence[tuple[str, str]]) -> str:
    few, most = extent(found, attribute)
    shown = [rows_of(found, attribute, *rate) for rate in rates[:most]]
    rows = [one for made in shown for runs in made.values() for one in runs.values()]
    parts = [_holding(rows)]
    parts.append("Ringed, with the name in bold: the worst group of a run, which chance alone makes look worse than it is.")
    if any(pooled(one, place) is not None for one in shown for place in range(len(found))):
        parts.append("Upright strokes: all groups together.")
    if few:
        parts.append("Of many groups, the worst and those with the lowest and highest rates are drawn.")
    if any(_of(one, attribute, people=True) for run in found for one in run.estimates):
        parts.append("Hollow and grey: what people wrote, for reference.")
    if any(one.value is None for one in rows):
        parts.append("Hollow, at the edge: there is no number; the table says why.")
    if any(class_ for _, class_ in rates):
        parts.append("Of many classes, the one with the largest gap is drawn.")
    if len(rates) > most:
        parts.append("1 more rate is in the table." if len(rates) == most + 1 else f"{len(rates) - most} more rates are in the table.")
    return " ".join(parts)


def _holding(rows: Sequence[Estimate]) -> str:
    """For how much the intervals that are drawn hold together."""
    alone = [one.name for one in rows if one.interval is not None and not re.search("simultaneous|max-T", one.interval.method)]
    if not alone:
        return "Intervals hold for all groups of a run and rate at once."
    if len(alone) == len([one for one in rows if one.interval is not None]):
        return "Each interval holds for its group alone."
    names = words.listed([label_of(name).lower() for name in dict.fromkeys(alone)])
    return f"Intervals hold for all groups of a run and rate at once, but those of {names} for their group alone."


def _told(found: Sequence[Fair], attribute: str, name: str, class_: str) -> str:
    """One panel in words."""
    rows, people = rows_of(found, attribute, name, class_), _rows(found, attribute, name, class_, people=True)
    parts = []
    for group, runs in rows.items():
        figures = [f"{found[place].name} {spoken(one)}" if len(found) > 1 else spoken(one) for place, one in runs.items()]
        figures += [f"people, for reference, {spoken(one)}" for one in [*people.get(group, {}).values()][:1]]
        parts.append(f"{spaced(group)}: {', '.join(figures)}")
    worst = [f"{spaced(group)} in {found[place].name}" for place, group in worst_groups(found, rows).items()]
    ending = f" Worst: {words.listed(worst)}." if worst else ""
    return f"{label_of(name)}{f', class {class_}' if class_ else ''}, by {attribute}. {'; '.join(parts)}.{ending}"
