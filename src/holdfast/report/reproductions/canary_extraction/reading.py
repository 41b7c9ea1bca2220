"""What the numbers of planted secrets say, in sentences made from the evidence: each is true of the figures beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report.numbers import DIFFERENCE, significant, written
from holdfast.report.reproductions.canary_extraction.grid import (
    ACCURACY,
    AGREEMENT,
    BASE,
    COMBINED,
    EVERYWHERE,
    EXPOSURE,
    HIDDEN,
    KNOWS,
    NEVER,
    NULL,
    SecretCell,
    defences,
    is_defence,
    label_of,
)
from holdfast.report.reproductions.presentation import Reading

ALPHA = 0.05
MARGIN = 1.0
"""An exposure that is not a bit above chance, by its interval, is called none: a bit halves the fills that an attacker has to try."""

TOGETHER = "p_value_together"

Outcome = Literal["no", "cannot be told", "yes", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Whether the combination of defences removes the risk.

    Args:
        outcome: "no", "cannot be told", "yes" as far as this study can see, or "not measured".
        figures: What was found, by accuracy and by exposure.
        verdict: The answer, in one sentence.
    """

    outcome: Outcome
    figures: str
    verdict: str

    @property
    def text(self) -> str:
        """Figures and verdict."""
        return f"{self.figures} {self.verdict}".strip()


def answer(evidence: Evidence, defence: str = COMBINED) -> Answer:
    """Whether a defence, by default all three together, removes the risk.

    It does not where a model that knows nothing would hardly ever rank its secrets so well. It does, as far as this can see, where
    that is no rare thing and the interval of the mean exposure ends less than a bit above chance. Else it cannot be told.

    Args:
        evidence: The summary.
        defence: One that was tested over all its cells.
    """
    exposure, nothing = evidence.estimate(EXPOSURE, defence), evidence.estimate(KNOWS, defence)
    if exposure is None or exposure.value is None or exposure.interval is None or nothing is None or nothing.value is None:
        return Answer(outcome="not measured", figures="", verdict=f"{label_of(defence)} was not tested.")
    over = exposure.interval.high - NULL
    known = f"{p_of(nothing.value)} if the models knew nothing"
    figures = f"By accuracy: {found_of(evidence, defence)}. By exposure: {above_chance(exposure)}; {known}."
    if nothing.value < ALPHA:
        return Answer(outcome="no", figures=figures, verdict=f"No: {_called(defence)} does not remove the risk.")
    if over < MARGIN:
        ends = f"at most {significant(max(over, 0.0), 2)} bits above chance are left open"
        return Answer(outcome="yes", figures=figures, verdict=f"Yes, as far as this can see: {ends}.")
    ends = f"such ranks come by chance too, and up to {significant(over, 2)} bits above chance are left open"
    return Answer(outcome="cannot be told", figures=figures, verdict=f"It cannot be told: {ends}.")


def readings(evidence: Evidence) -> list[Reading]:
    """Says what the combination does, each defence against none, how accuracy and exposure agree, and what was never planted."""
    found = [Reading(lead="Does the combination of defences remove the risk?", text=answer(evidence).text)]
    if evidence.estimate(EXPOSURE, BASE) is not None:
        found.append(Reading(lead=f"{label_of(BASE)}:", text=undefended(evidence), colour=0))
    for cell in defences(evidence):
        if cell.defence != BASE:
            found.append(Reading(lead=f"{label_of(cell.defence)}:", text=against_none(evidence, cell), colour=cell.colour))
    found.append(Reading(lead="Accuracy and exposure:", text=agreement(evidence)))
    never = never_planted(evidence)
    return [*found, Reading(lead="Never planted:", text=never)] if never else found


def undefended(evidence: Evidence) -> str:
    """What the attacks found where nothing was done against them."""
    exposure = evidence.estimate(EXPOSURE, BASE)
    random = _guessed(evidence)
    return "" if exposure is None else f"{_upper(found_of(evidence, BASE))}{random}; {above_chance(exposure)}."


def against_none(evidence: Evidence, cell: SecretCell) -> str:
    """What a defence left to the attacks, and whether that is less than without one.

    Args:
        evidence: The summary.
        cell: A defence over all its cells.
    """
    exposure = evidence.estimate(EXPOSURE, cell.subject)
    if exposure is None:
        return ""
    sentences = [f"{_upper(found_of(evidence, cell.subject))}; {above_chance(exposure)}."]
    for name, what, less, more in ((EXPOSURE, "Exposure", "lower", "higher"), (ACCURACY, "Secrets found", "fewer", "more")):
        change = evidence.estimate(name + DIFFERENCE, cell.subject)
        if change is not None and change.value is not None:
            p = float(change.conditions.get(TOGETHER, change.conditions["p_value"]))
            told = (less if change.value < 0 else more) if p < ALPHA else "not to be told apart"
            sentences.append(f"{what} against no defence: {told}, {changed(change)}, {_held(change, p)}.")
    nothing = evidence.estimate(KNOWS, cell.subject)
    if nothing is not None and nothing.value is not None and is_defence(cell.defence):
        p = float(nothing.conditions.get(TOGETHER, nothing.value))
        knows = (
            "The models know something of their secrets" if p < ALPHA else "That the models know nothing of their secrets is not refuted"
        )
        sentences.append(f"{knows} ({_held(nothing, p)}).")
    return " ".join(sentences)


def agreement(evidence: Evidence) -> str:
    """Whether accuracy and exposure order the cells alike, and how often accuracy hides what exposure shows."""
    found = evidence.estimate(AGREEMENT, EVERYWHERE)
    sentences = []
    if found is not None and found.value is not None:
        sentences.append(f"{_ordering(found)}: rank correlation {written(found).full} over {found.n} cells.")
    elif found is not None:
        sentences.append(f"Whether they order the cells alike was not found: {(found.missing or '').removeprefix('not resolvable: ')}.")
    return " ".join([*sentences, hidden(evidence)]).strip()


def hidden(evidence: Evidence) -> str:
    """In how many of the cells where nothing was found the exposure lies above chance all the same."""
    found = evidence.estimate(HIDDEN, EVERYWHERE)
    if found is None or found.value is None:
        return ""
    count, silent, cells = int(found.value), int(found.conditions["silent"]), int(found.conditions["cells"])
    if silent == 0:
        return f"In each of the {cells} cells at least one secret was found whole."
    opening = f"In {silent} of {cells} cells the search found not one secret whole; the interval of the exposure"
    if count == 0:
        return f"{opening} lies above chance in none of them."
    return f"{opening} lies above chance all the same in {count} of them: accuracy hides the leak."


def never_planted(evidence: Evidence) -> str:
    """What the measure shows where there is nothing to show."""
    found, nothing = evidence.estimate(EXPOSURE, NEVER), evidence.estimate(KNOWS, NEVER)
    if found is None or found.value is None:
        return ""
    p = "" if nothing is None or nothing.value is None else f" ({p_of(nothing.value)})"
    return f"{found.conditions['secrets']} secrets of the same form that were in no training data: {above_chance(found)}{p}."


def found_of(evidence: Evidence, subject: str) -> str:
    """How many secrets the search found whole."""
    accuracy = evidence.estimate(ACCURACY, subject)
    if accuracy is None or accuracy.value is None:
        return "no search was made"
    return f"{accuracy.conditions['found']} of {accuracy.conditions['secrets']} secrets found whole"


def above_chance(exposure: Estimate) -> str:
    """A mean exposure, and how far it is from that of a model that knows nothing."""
    gap = (exposure.value or 0.0) - NULL
    apart = f"{abs(gap):.1f} bits {'above' if gap > 0 else 'below'}" if abs(gap) >= 0.05 else "level with"
    return f"{written(exposure).full}, {apart} the {NULL:.2f} of chance"


def changed(change: Estimate) -> str:
    """A difference with its interval and its unit."""
    shown = written(change)
    unit = " bits" if change.unit == "bits" and not shown.value.endswith("bits") else ""
    return f"{shown.value}{unit} ({shown.interval})" if shown.interval else f"{shown.value}{unit}"


def p_of(p: float) -> str:
    """A p-value as it is written, which no line break parts.

    >>> p_of(0.031).split(), p_of(0.0).split(), p_of(1.0).split()
    (['p', '=', '0.031'], ['p', '<', '0.0001'], ['p', '=', '1'])
    """
    return ("p < 0.0001" if p < 1e-4 else f"p = {significant(p, 2)}").replace(" ", "\N{NO-BREAK SPACE}")


def _held(tested: Estimate, p: float) -> str:
    """A p-value, and whether it holds for all defences together."""
    return f"{p_of(p)} after Holm" if TOGETHER in tested.conditions else p_of(p)


def _ordering(found: Estimate) -> str:
    interval = found.interval
    if interval is None or interval.low <= 0 <= interval.high:
        return "Whether accuracy and exposure order the cells alike cannot be told"
    if interval.low < 0:
        return "Accuracy and exposure order the cells against each other"
    return "Cells with a higher exposure tend to a higher accuracy"


def _guessed(evidence: Evidence) -> str:
    random = evidence.estimate("random_search_accuracy", BASE)
    return "" if random is None else f" (as many random fills: {written(random).full})"


def _called(defence: str) -> str:
    return "the combination of defences" if defence == COMBINED else label_of(defence)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
