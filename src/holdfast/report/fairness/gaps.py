"""All gaps on one axis: how far groups lie apart by each metric, against parity and the margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from holdfast.core.evidence import Estimate
from holdfast.report.fairness.dots import Block, Panel, dot, drawn
from holdfast.report.fairness.names import style_of
from holdfast.report.fairness.reading import (
    Fair,
    by_people,
    is_gap,
    is_ratio,
    is_row,
    metric_of,
    partial,
    places,
    shared,
    spaced,
    spoken,
    titles,
    told,
    whole,
    writer,
)
from holdfast.report.figures import Figure
from holdfast.report.numbers import label_of, significant

Kind = Literal["points", "plain", "classes", "ratios", "levels"]
Shared = dict[tuple[tuple[str, str], ...], dict[int, Estimate]]
_HEADINGS: dict[Kind, str] = {
    "points": "Differences between groups, in points",
    "plain": "Sums of distances, and distances in other units",
    "ratios": "Ratios, where 1 is parity",
    "levels": "Other summaries over groups",
    "classes": "Differences within single classes, in points",
}


def gap_chart(found: Sequence[Fair]) -> Figure | None:
    """Every summary over groups with its interval; None where there is none."""
    kinds = {kind: made for kind in _HEADINGS if (made := summaries(found, kind))}
    if not kinds:
        return None
    margins = {run.margin for run in found}
    margin = margins.pop() if len(margins) == 1 else None
    panels = [one for kind, made in kinds.items() for one in _panels(found, kind, _drawn(made), margin)]
    caption = (
        "The gap between the best and the worst group is never below nought, so chance alone makes one: judge by interval and verdict."
    )
    if margin is None:
        several = any(run.margin is not None for run in found)
        caption += " Not all runs have one margin, so none is drawn." if several else " No margin was set, so there is no verdict."
    else:
        caption += (
            f" Grey: differences within the margin of {significant(100 * margin)} points. A verdict rests on two one-sided tests, so it "
            "may be firmer than the interval that is drawn."
        )
    if any(partial(one) for made in kinds.values() for runs in made.values() for one in runs.values()):
        caption += " *: without groups that have no number; over all groups the gap is not known, and so never found fair."
    if any(by_people(one) for made in kinds.values() for runs in made.values() for one in runs.values()):
        caption += " What people wrote is shown for reference; all else is of the model."
    alternative = " ".join(_told(found, kind, made) for kind, made in kinds.items())
    several = len(found) > 1
    return drawn(
        "fair-gaps", title="How far groups lie apart", caption=caption, alternative=alternative, panels=panels, several=several, columns=1
    )


def summaries(found: Sequence[Fair], kind: Kind) -> Shared:
    """The summaries of one kind, the largest distance of any run first, and what people wrote last."""
    made = shared(found, lambda run, one: kind_of(run, one) == kind)
    firsts = {key: by_people(next(iter(runs.values()))) for key, runs in made.items()}
    if kind in ("ratios", "levels"):
        return dict(sorted(made.items(), key=lambda pair: firsts[pair[0]]))
    return dict(sorted(made.items(), key=lambda pair: (firsts[pair[0]], -max(abs(one.value or 0.0) for one in pair[1].values()))))


def kind_of(run: Fair, estimate: Estimate) -> Kind | None:
    """In which panel a number stands; None for what is no summary over groups of what a user meets."""
    family = run.family(metric_of(estimate))
    if is_row(estimate) or family not in ("groups", "generation") or not (whole(estimate) or is_gap(estimate)):
        return None
    if is_gap(estimate):
        if not whole(estimate):
            return "classes" if estimate.unit == "share" else None
        return "points" if estimate.unit == "share" else "plain"
    if family == "generation":
        return None  # has a chart of its own
    if estimate.unit == "probability":
        return None  # a p-value as it was published stands in the table
    if is_ratio(estimate):
        return "ratios"
    return "levels"


def _drawn(made: Shared) -> Shared:
    """Without a number that is missing in every run where the same without what is undefined stands beside it."""
    there = {_loose(key) for key, runs in made.items() if any(partial(one) for one in runs.values())}
    return {key: runs for key, runs in made.items() if _loose(key) not in there or any(one.value is not None for one in runs.values())}


def _loose(key: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in key if pair[0] != "undefined")


def _panels(found: Sequence[Fair], kind: Kind, made: Shared, margin: float | None) -> Iterator[Panel]:
    """One panel, or, of numbers that have no axis in common, one for each quantity; what people wrote has a panel of its own."""
    apart = kind == "levels"
    names = dict.fromkeys(next(iter(runs.values())).name for runs in made.values()) if apart else [""]
    for name in names:
        for people in (False, True):
            own = {
                key: runs
                for key, runs in made.items()
                if by_people(first := next(iter(runs.values()))) == people and (not apart or first.name == name)
            }
            if own:
                yield _panel(found, kind, own, margin)


def _panel(found: Sequence[Fair], kind: Kind, made: Shared, margin: float | None) -> Panel:
    several = len(found) > 1
    firsts = [next(iter(runs.values())) for runs in made.values()]
    alike = kind == "classes" and len({(one.name, told(one, "groups")) for one in firsts}) == 1
    names = places(firsts) if alike else _named(firsts, kind)
    blocks = []
    for name, runs in zip(names, made.values(), strict=True):
        dots = tuple(dot(found[at], one, note=told(one, "verdict")) for at, one in runs.items())
        blocks.append(Block(name=name, dots=dots, strong=several))
    first = firsts[0]
    heading = f"{label_of(first.name)}, by {told(first, 'groups')}, of each class, in points" if alike else _HEADINGS[kind]
    heading = label_of(first.name) if kind == "levels" else heading
    heading = f"{heading}, {writer(first)}" if by_people(first) else heading
    style = style_of(first.name, first.unit, told(first, "statistic"))
    rule = {"ratios": (1.0, "parity"), "levels": None}.get(kind, (0.0, "parity"))
    return Panel(
        heading=heading,
        blocks=tuple(blocks),
        axis="plain" if kind in ("plain", "ratios") else style,
        rule=rule,
        band=(-margin, margin) if margin is not None and kind == "points" else None,
    )


def _named(estimates: Sequence[Estimate], kind: Kind) -> list[str]:
    """Summaries without what their heading says already."""
    made = []
    for name, one in zip(titles(estimates), estimates, strict=True):
        if kind == "levels":
            name = name.removeprefix(f"{label_of(one.name)}, ")
        elif "groups" in one.conditions:
            name = name.replace(" difference,", ",").replace(" ratio,", ",")
        name = name.replace(f", {writer(one)}", "") if writer(one) else name
        made.append(f"* {name.replace(', where defined', '')}" if partial(one) else name)
    return made


def _told(found: Sequence[Fair], kind: Kind, made: Shared) -> str:
    """One panel in words."""
    parts = []
    firsts = [next(iter(runs.values())) for runs in made.values()]
    for name, first, runs in zip(titles(firsts), firsts, made.values(), strict=True):
        figures = [f"{found[place].name} {spoken(one)}" if len(found) > 1 else spoken(one) for place, one in runs.items()]
        worst = told(first, "worst")
        parts.append(f"{name}: {'; '.join(figures)}{f' (worst: {spaced(worst)})' if worst and len(found) == 1 else ''}")
    return f"{_HEADINGS[kind]}. {'. '.join(parts)}."
