"""Published sets of sentences and questions: how likely the model finds stereotypes, by category, and what would be parity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.core.evidence import Estimate
from holdfast.report import words
from holdfast.report.fairness.dots import Block, Panel, dot, drawn
from holdfast.report.fairness.names import distance, style_of
from holdfast.report.fairness.reading import Fair, is_row, metric_of, place, places, shared, spoken, title_of, told, variant
from holdfast.report.figures import Figure
from holdfast.report.numbers import label_of, significant

Shared = dict[tuple[tuple[str, str], ...], dict[int, Estimate]]


@dataclass(frozen=True, kw_only=True)
class _Set:
    """One chart: the metrics whose names begin so."""

    name: str
    beginnings: tuple[str, ...]
    title: str
    caption: str


_SETS = (
    _Set(
        name="fair-stereoset",
        beginnings=("stereoset",),
        title="StereoSet: does the model prefer stereotypes, and does it prefer sense?",
        caption="The stereotype score is 50 where stereotypes and their opposites are preferred as often. ICAT joins it with the language "
        "modelling score, so that a model that guesses has no good one.",
    ),
    _Set(
        name="fair-crows",
        beginnings=("crows-pairs",),
        title="CrowS-Pairs: how often the more stereotyped sentence is the likelier",
        caption="50 is parity. Variants score sentences in different ways, so their numbers are not comparable. Many of the pairs have "
        "been found to be no valid comparison.",
    ),
    _Set(
        name="fair-bbq",
        beginnings=("bbq",),
        title="BBQ: which way answers lean",
        caption="At nought, answers that name a person lean neither way. To the right they follow the stereotype, to the left they run "
        "against it. Where no answer names a person there is no number.",
    ),
    _Set(
        name="fair-sentences",
        beginnings=("winobias", "winogender", "log-probability-bias", "likelihood-gap", ""),
        title="Other sets of sentences",
        caption="Dotted: parity.",
    ),
)
_IDEALS = {
    "stereoset_ss": 50.0,
    "stereoset_lms": 100.0,
    "stereoset_icat": 100.0,
    "crows_pairs_score": 50.0,
    "bbq_s_amb": 0.0,
    "bbq_s_dis": 0.0,
}
_ORDER = ("stereoset_icat", "stereoset_ss", "stereoset_lms", "bbq_s_amb", "bbq_s_dis", "bbq_accuracy", "bbq_unparsed")


def benchmark_charts(found: Sequence[Fair]) -> tuple[Figure, ...]:
    """A chart for each set that was scored."""
    made, left = [], quantities(found)
    for one in _SETS:
        own = [pair for pair in left if pair[0].startswith(one.beginnings)]
        left = [pair for pair in left if pair not in own]
        if own:
            panels = [_panel(found, *pair) for pair in own]
            alternative = " ".join(_told(found, *pair) for pair in own)
            caption = " ".join(filter(None, (one.caption, _ways(found, own), _ends(found, own))))
            several = len(found) > 1
            made.append(drawn(one.name, title=one.title, caption=caption, alternative=alternative, panels=panels, several=several))
    return tuple(made)


def quantities(found: Sequence[Fair]) -> list[tuple[str, str]]:
    """Metric and quantity of each panel, those of one metric in a set order."""
    pairs = list(dict.fromkeys((metric_of(one), one.name) for run in found for one in run.of("likelihood") if not is_row(one)))
    metrics = list(dict.fromkeys(metric for metric, _ in pairs))
    rank = {name: number for number, name in enumerate(_ORDER)}
    return sorted(pairs, key=lambda pair: (metrics.index(pair[0]), rank.get(pair[1], len(rank)), pairs.index(pair)))


def of_set(found: Sequence[Fair], metric: str, name: str) -> Shared:
    """The numbers of one panel, by category and run, that of everything first."""
    made = shared(found, lambda _, one: metric_of(one) == metric and one.name == name and not is_row(one))
    return dict(sorted(made.items(), key=lambda pair: place(next(iter(pair[1].values()))) != "all"))


def ideal(found: Sequence[Fair], metric: str, name: str) -> float | None:
    """The value at parity, as the quantity or the card tells."""
    if name in _IDEALS:
        first = next(one for run in found for one in run.estimates if metric_of(one) == metric and one.name == name)
        return _IDEALS[name] / 100 if first.unit == "share" and _IDEALS[name] else _IDEALS[name]
    if distance(name, ""):
        return 0.0
    told_ = [run.card(metric).get("ideal") for run in found]
    alone = len({pair[1] for pair in quantities(found) if pair[0] == metric}) == 1  # the card speaks of the main number
    return next((float(value) for value in told_ if alone and isinstance(value, int | float)), None)


def _panel(found: Sequence[Fair], metric: str, name: str) -> Panel:
    made, several = of_set(found, metric, name), len(found) > 1
    firsts, blocks = [next(iter(runs.values())) for runs in made.values()], []
    for name_, first, runs in zip(places(firsts), firsts, made.values(), strict=True):
        counted = "" if first.n is None or len({one.n for one in runs.values()}) > 1 else f" (n = {first.n:,})"
        dots = tuple(dot(found[at], one) for at, one in runs.items())
        blocks.append(Block(name=f"{name_}{counted}", dots=dots, strong=several))
    first = firsts[0]
    at = ideal(found, metric, name)
    variants = {other for other, own in quantities(found) if own == name}
    heading = title_of(found, metric) if len(variants) > 1 else label_of(name)
    axis = style_of(first.name, first.unit, told(first, "statistic"))
    word = "best" if name in ("stereoset_lms", "stereoset_icat") else "parity"
    return Panel(heading=heading, blocks=tuple(blocks), axis=axis, rule=None if at is None else (at, word))


def _ways(found: Sequence[Fair], own: Sequence[tuple[str, str]]) -> str:
    """The variants of what stands in the panels, once: with the kinds that each belongs to, where they differ by kind."""
    rows = [one for run in found for one in run.of("likelihood") if (metric_of(one), one.name) in own and not is_row(one)]
    kinds: dict[str, dict[str, None]] = {}
    for one in rows:
        if variant(one):
            kinds.setdefault(variant(one), {})[told(one, "kind")] = None
    if not kinds:
        return ""
    if len(kinds) == 1:
        return f"Variant: {next(iter(kinds))}."
    parts = [f"{words.listed(list(named))}: {way}" if all(named := kinds[way]) else way for way in kinds]
    return f"Variants: {'; '.join(parts)}."


def _ends(found: Sequence[Fair], own: Sequence[tuple[str, str]]) -> str:
    """What else stands in the panels."""
    rows = [one for run in found for one in run.estimates if (metric_of(one), one.name) in own]
    parts = ["n counts what an interval rests on, such as pairs or target words."] if any(one.n is not None for one in rows) else []
    if any(one.value is None for one in rows):
        parts.append("Hollow, at the edge: there is no number; the table says why.")
    return " ".join(parts)


def _told(found: Sequence[Fair], metric: str, name: str) -> str:
    parts = []
    made = of_set(found, metric, name)
    for name_, runs in zip(places([next(iter(runs.values())) for runs in made.values()]), made.values(), strict=True):
        figures = [f"{found[at].name} {spoken(one)}" if len(found) > 1 else spoken(one) for at, one in runs.items()]
        parts.append(f"{name_}: {'; '.join(figures)}")
    at = ideal(found, metric, name)
    return f"{label_of(name)} ({metric}){'' if at is None else f', best at {significant(at)}'}. {'. '.join(parts)}."
