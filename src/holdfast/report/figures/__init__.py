"""The charts of a report, each in a wide and a narrow drawing, with a text alternative and a word for the case of no data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from holdfast.report.document import Document
from holdfast.report.extraction.rounds import sweeps
from holdfast.report.figures import cost, exposure, fills, gradients, leakage, roc, tradeoff
from holdfast.report.figures.svg import render

WIDE, NARROW = 736, 346  # pixels, about


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart of the page.

    Args:
        name: Its id on the page.
        title: What it shows, in a phrase.
        caption: How to read it, in sentences.
        empty: What to say in place of the drawings where there is nothing to draw, or empty.
        wide: An `<svg>` element for wide screens and print.
        narrow: The same for narrow screens.
    """

    name: str
    title: str
    caption: str
    empty: str = ""
    wide: str = ""
    narrow: str = ""


def trade_off(document: Document) -> Figure:
    """Usefulness against promise."""
    caption = "Lines are the intervals of the scores."
    if any(document.estimate("epsilon_naive", name) for name in document.private):
        caption += (
            " A hollow mark stands where naive accounting would put a run that clips micro-batches; the filled mark is what is proved."
        )
    if not tradeoff.scores(document):
        return Figure(name="tradeoff", title=_TRADE_OFF, caption="", empty="The usefulness of the runs was not measured.")
    wide = tradeoff.chart(document, width=318, height=230, columns=2)
    narrow = tradeoff.chart(document, width=292, height=200, columns=1)
    return _figure("tradeoff", _TRADE_OFF, caption, tradeoff.describe(document), wide, narrow)


def times(document: Document) -> Figure:
    """Time for an epoch against the baseline."""
    title = f"Time for one epoch, as a multiple of {document.baseline}"
    if not cost.times(document):
        return Figure(name="times", title=title, caption="", empty="The time of the runs was not measured.")
    if len(cost.times(document)) == 1:
        return Figure(name="times", title="Time for one epoch", caption="", empty="Only one run was timed, so there is nothing to compare.")
    caption = "The median epoch; lines span the fastest and the slowest."
    wide, narrow = (cost.time_chart(document, width=width) for width in (WIDE, NARROW))
    return _figure("times", title, caption, cost.describe_times(document), wide, narrow)


def losses(document: Document) -> Figure:
    """Training curves."""
    title = "How the loss went down"
    if not cost.losses(document):
        return Figure(name="losses", title=title, caption="", empty="No training curve was recorded.")
    wide, narrow = cost.loss_chart(document, width=700, height=210), cost.loss_chart(document, width=310, height=190)
    return _figure("losses", title, "Each line carries its run's name at the end.", cost.describe_losses(document), wide, narrow)


def attack(document: Document) -> Figure:
    """ROC of the attack with the cap of each promise."""
    title = "Members found against non-members accused"
    if not roc.has_any(document):
        return Figure(name="roc", title=title, caption="", empty="No run was attacked, so no ROC was measured.")
    caption = (
        "Both axes are logarithmic: an attack that is right about few people is still an attack. Coloured: the run and its pointwise "
        f"interval. Grey: the other runs. Dotted: guessing. {_caps(document)}To the left of the upright line fewer than "
        f"{roc.FEWEST} wrongly accused non-members stand behind the curve."
    )
    wide, narrow = roc.chart(document, width=302, height=190, columns=2), roc.chart(document, width=276, height=170, columns=1)
    return _figure("roc", title, caption, roc.describe(document), wide, narrow)


def score_histograms(document: Document) -> tuple[Figure, ...]:
    """How the scores of both sides are spread; nothing where no scores were kept."""
    if not leakage.histograms(document):
        return ()
    caption = "Coloured: members. Grey: non-members. The bins at both ends are open: they hold what lies beyond. Bands are pointwise."
    wide = leakage.histogram_chart(document, width=302, height=190, columns=2)
    narrow = leakage.histogram_chart(document, width=280, height=170, columns=1)
    alternative = leakage.describe_histograms(document)
    return (_figure("histograms", "How the attack's scores of both sides are spread", caption, alternative, wide, narrow),)


def group_areas(document: Document) -> tuple[Figure, ...]:
    """How well the attack does on each group: a chart for each attribute."""
    caption = "Intervals hold for all groups of a run at once. Dotted: guessing. Thin line: all rows together."
    found = []
    for number, attribute in enumerate(leakage.attributes(document)):  # attributes are a user's text, which is no id
        wide = leakage.area_chart(document, attribute, width=326, columns=2)
        narrow = leakage.area_chart(document, attribute, width=310, columns=1)
        alternative = leakage.describe_areas(document, attribute)
        found.append(_figure(f"areas-{number}", f"The attack's AUC by {attribute}", caption, alternative, wide, narrow))
    return tuple(found)


def exposures(document: Document) -> Figure:
    """How far each planted secret stands out."""
    title = "How far each planted secret stands out"
    if not exposure.exposed(document):
        return Figure(name="exposure", title=title, caption="", empty="The exposure of the secrets was not measured.")
    caption = (
        "Exposure says how many bits of a secret its rank among all fills gives away; the thin line ends where the secret is the likeliest "
        "of all. Dotted: the mean for a model that knows nothing."
    )
    if exposure.capped(document):
        caption += f" Dashed: the most that the run's promise allows; beyond it, shaded, {exposure.rarely(document)}."
    wide = exposure.exposure_chart(document, width=326, columns=2)
    narrow = exposure.exposure_chart(document, width=310, columns=1)
    return _figure("exposure", title, caption, exposure.describe_exposures(document), wide, narrow)


def ranks(document: Document) -> Figure:
    """The rank of each secret beside what a search found."""
    title = "Where each secret ranks, and whether a search found it"
    if not exposure.ranked(document):
        return Figure(name="ranks", title=title, caption="", empty="The secrets were not ranked among all their fills.")
    caption = (
        "Filled: a search found every word. Hollow: it did not, which makes no secret safe: the rank says whether the model holds it. "
        "An upright stroke: no search was made. The dotted line halves the fills; a secret that the model knows nothing of stands on "
        "either side of it as often."
    )
    wide = exposure.rank_chart(document, width=WIDE - 20, wordy=True)
    narrow = exposure.rank_chart(document, width=NARROW - 20, wordy=False)
    return _figure("ranks", title, caption, exposure.describe_ranks(document), wide, narrow)


def fill_losses(document: Document) -> tuple[Figure, ...]:
    """Where one secret lies among the losses of all fills; nothing where none were kept."""
    drawn = fills.drawable(document)
    if not drawn:
        return ()
    caption = f"The secret {drawn[0].name}: grey are all fills of its unknown words, the line is the one that was planted."
    wide = fills.chart(document, width=302, height=150, columns=2)
    narrow = fills.chart(document, width=280, height=140, columns=1)
    return (_figure("fills", "One secret among all its fills", caption, fills.describe(document), wide, narrow),)


def gradient_panels(document: Document) -> Figure:
    """Tokens that gradients give away under each setting."""
    title = "Tokens that a gradient gives away"
    if not sweeps(document):
        return Figure(name="gradient-panels", title=title, caption="", empty="Only one setting was tried, so there is nothing to compare.")
    caption = (
        "Token F1: 100% is every token and no other. In each panel one thing varies, from the least protection on the left to the most; "
        "below its name stands what is held. Upright lines are intervals."
    )
    wide = gradients.chart(document, width=202, height=150, columns=2)
    narrow = gradients.chart(document, width=190, height=140, columns=1)
    return _figure("gradient-panels", title, caption, gradients.describe(document), wide, narrow)


FIGURES: dict[str, Callable[[Document], Figure]] = {"tradeoff": trade_off, "times": times, "losses": losses, "roc": attack}

_TRADE_OFF = "How useful each run is, and how much it promises"


def _caps(document: Document) -> str:
    return "Dashed: the most that the run's promise allows any attack; the shaded region is ruled out. " if document.private else ""


def _figure(name: str, title: str, caption: str, alternative: str, wide: Any, narrow: Any) -> Figure:
    drawings = {size: render(chart, name=f"{name}-{size}", alternative=alternative) for size, chart in (("wide", wide), ("narrow", narrow))}
    return Figure(name=name, title=title, caption=caption, **drawings)
