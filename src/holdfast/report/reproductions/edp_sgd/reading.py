"""What the numbers of a grid say, in sentences made from the evidence: each is true of the figures beside it, whatever they are."""

from __future__ import annotations

import math

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report.comparison import difference
from holdfast.report.numbers import named, significant, written
from holdfast.report.reproductions.edp_sgd.grid import (
    BOTH,
    CORRELATION,
    LABELS,
    LEAKAGE,
    NAIVE,
    PROMISE,
    GridCell,
    cells,
    estimate,
    methods,
    of_method,
    value,
)
from holdfast.report.reproductions.presentation import Reading

_SAME = 0.01  # promises that differ by less, relatively, count as the same


def readings(evidence: Evidence) -> list[Reading]:
    """Says for each private method how far promises and leakage range, and how they go together; then the same for all."""
    found = []
    for method in methods(evidence):
        sentences = [range_of(evidence, method), together(evidence, method), loosest(evidence, method), unproved(evidence, method)]
        text = " ".join(sentence for sentence in sentences if sentence)
        found.append(Reading(lead=f"{LABELS[method]}:", text=text, colour=of_method(evidence, method)[0].colour))
    if evidence.estimate(CORRELATION, BOTH) is not None:
        text = f"{together(evidence, BOTH)} {at_one_promise(evidence)}".strip()
        found.append(Reading(lead="Both methods:", text=text))
    return found


def range_of(evidence: Evidence, method: str) -> str:
    """How far apart the promises of a method are, and what the attack found at both ends.

    Args:
        evidence: The summary.
        method: A private method of it.
    """
    known = of_method(evidence, method)
    loose, tight = known[0], known[-1]
    most, least = value(evidence, PROMISE, loose), value(evidence, PROMISE, tight)
    if most is None or least is None or least <= 0 or most <= least:
        return ""
    ends = [written(found).value for cell in (loose, tight) if (found := estimate(evidence, LEAKAGE, cell)) is not None]
    if len(ends) < 2:
        return ""
    times = significant(float(f"{most / least:.2g}"))
    promised = f"A promised ε of {significant(most)} and one of {significant(least)} differ {times}-fold"
    return f"{promised}; the attack's AUC was {ends[0]} and {ends[1]}, where 0.5 is guessing."


def together(evidence: Evidence, subject: str) -> str:
    """Whether a smaller promise went with less leakage, as far as the interval tells.

    Args:
        evidence: The summary.
        subject: A private method, or both together.
    """
    found = evidence.estimate(CORRELATION, subject)
    if found is None:
        return ""
    if found.value is None or found.interval is None:
        reason = (found.missing or "it has no interval").removeprefix("not resolvable: ")
        return f"How promise and measurement go together was not found: {reason}."
    figure = f"rank correlation {written(found).full}"
    match sign(found):
        case 1:
            return f"A smaller promised ε went with a smaller AUC: {figure}."
        case -1:
            return f"A smaller promised ε went with a larger AUC, against what a promise would lead one to expect: {figure}."
        case _:
            return f"Whether a smaller promised ε went with a smaller AUC cannot be told: {figure}, an interval that holds 0."


def sign(correlation: Estimate) -> int:
    """1 or -1 where the interval lies on one side of 0, else 0."""
    interval = correlation.interval
    if interval is None or interval.low <= 0 <= interval.high:
        return 0
    return 1 if interval.low > 0 else -1


def loosest(evidence: Evidence, method: str) -> str:
    """What the loosest promise of a method left to the attack, held against no privacy at all."""
    base = next((cell for cell in cells(evidence) if cell.method == "none"), None)
    cell = of_method(evidence, method)[0]
    if base is None:
        return ""
    private, open_ = estimate(evidence, LEAKAGE, cell), estimate(evidence, LEAKAGE, base)
    change = None if private is None or open_ is None else difference(private, open_)
    if private is None or open_ is None or change is None or change.interval is None:
        return ""
    opening = f"At its loosest promise ({_promise(evidence, cell)}) the AUC was {written(private).full}"
    against = f"the {written(open_).full} without privacy"
    if change.interval.high < 0:
        return f"{opening}, below {against}."
    if change.interval.low > 0:
        return f"{opening}, above {against}."
    return f"{opening}, not to be told from {against}."


def at_one_promise(evidence: Evidence) -> str:
    """What the attack found of two methods at the loosest promise that both make; nothing where they make none in common."""
    private = methods(evidence)
    if len(private) != 2:
        return ""
    for one in of_method(evidence, private[0]):
        for other in of_method(evidence, private[1]):
            ends = value(evidence, PROMISE, one), value(evidence, PROMISE, other)
            found = estimate(evidence, LEAKAGE, one), estimate(evidence, LEAKAGE, other)
            if None in ends or None in found or not math.isclose(ends[0] or 0.0, ends[1] or 0.0, rel_tol=_SAME):
                continue
            first, second = (item for item in found if item is not None)
            figures = f"{written(first).full} with {LABELS[one.method]} and {written(second).full} with {LABELS[other.method]}"
            change = difference(first, second)
            apart = change is not None and change.interval is not None and not change.interval.low <= 0 <= change.interval.high
            ending = ": one promise of two methods is not one leakage" if apart else ""
            return f"At the same promise ({_promise(evidence, one)}) the AUC was {figures}{ending}."
    return ""


def unproved(evidence: Evidence, method: str) -> str:
    """That another account would have promised more, and is none."""
    pairs = [(value(evidence, NAIVE, cell), value(evidence, PROMISE, cell)) for cell in of_method(evidence, method)]
    known = [(naive, proved) for naive, proved in pairs if naive is not None and proved is not None and naive > 0]
    if not known:
        return ""
    times = sorted(proved / naive for naive, proved in known)
    span = significant(times[0], 2) if times[0] == times[-1] else f"{significant(times[0], 2)} to {significant(times[-1], 2)}"
    return f"Naive accounting, which is unproved, would have claimed an ε {span} times smaller."


def _promise(evidence: Evidence, cell: GridCell) -> str:
    promise = value(evidence, PROMISE, cell)
    return "no figure" if promise is None else named("ε", promise)
