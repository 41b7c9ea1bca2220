"""Effect sizes of tests of association: how far two sets of target words differ in what they stand near."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.core.evidence import Estimate
from holdfast.report.fairness.dots import Block, Panel, dot, drawn
from holdfast.report.fairness.reading import Fair, metric_of, p_value, place, places, shared, spoken, title_of
from holdfast.report.figures import Figure

Shared = dict[tuple[tuple[str, str], ...], dict[int, Estimate]]


def association_chart(found: Sequence[Fair]) -> Figure | None:
    """A panel for each metric, a block for each test; None where nothing was tested."""
    panels, parts = [], []
    for metric, name in tests(found):
        made = of_test(found, metric, name)
        panels.append(_panel(found, metric, made))
        parts.append(_told(found, metric, made))
    if not panels:
        return None
    caption = (
        "Dotted: no association. To the right, the first set of target words stands nearer to the first set of attribute words than the "
        "second does. An effect size is at most about 2, whatever the words. The p-value says whether another split of the same target "
        "words would do as much; it says nothing of other words."
    )
    if any("p_adjusted" in one.conditions for run in found for one in run.of("association")):
        caption += " It is adjusted for the number of tests."
    title = "What words stand near, inside the model"
    several, alternative = len(found) > 1, " ".join(parts)
    return drawn("fair-association", title=title, caption=caption, alternative=alternative, panels=panels, several=several, columns=1)


def tests(found: Sequence[Fair]) -> tuple[tuple[str, str], ...]:
    """Metric and quantity of each panel, in the order of the evidence."""
    own = (one for run in found for one in run.of("association") if one.unit != "probability")  # p-values as published: in the table
    return tuple(dict.fromkeys((metric_of(one), one.name) for one in own))


def of_test(found: Sequence[Fair], metric: str, name: str) -> Shared:
    """The numbers of one metric, by test and run."""
    return shared(found, lambda _, one: metric_of(one) == metric and one.name == name)


def _panel(found: Sequence[Fair], metric: str, made: Shared) -> Panel:
    firsts, blocks = [next(iter(runs.values())) for runs in made.values()], []
    for name, runs in zip(places(firsts), made.values(), strict=True):
        dots = tuple(dot(found[at], one, note=p_value(one)) for at, one in runs.items())
        blocks.append(Block(name=name, dots=dots, strong=len(found) > 1))
    first = firsts[0]
    return Panel(heading=title_of(found, metric), blocks=tuple(blocks), axis="plain", rule=(0.0, "none"), title=f"{first.unit}")


def _told(found: Sequence[Fair], metric: str, made: Shared) -> str:
    parts = []
    for runs in made.values():
        first = next(iter(runs.values()))
        said = [", ".join(filter(None, (spoken(one), p_value(one)))) for one in runs.values()]
        figures = [f"{found[at].name} {words}" if len(found) > 1 else words for at, words in zip(runs, said, strict=True)]
        parts.append(f"{place(first)}: {'; '.join(figures)}")
    return f"{title_of(found, metric)}. {'. '.join(parts)}."
