"""The part of the page on gradients of federated rounds: which tokens they give away, and what keeps them from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from holdfast.report.document import Document
from holdfast.report.extraction.rounds import (
    PARAMETERS,
    PRIOR,
    QUANTITIES,
    Attempt,
    Sweep,
    Value,
    attempts,
    method_name,
    prior,
    setting_words,
    sweeps,
    value_words,
)
from holdfast.report.figures import gradient_panels
from holdfast.report.numbers import label, label_of, written
from holdfast.report.view import Cell, Point, Section, Table, cell, methods

_SHORT = {"token_f1_gain": "F1 above guessing", "sentences_recovered": "Sentences whole"}  # heads of narrow columns
_NEAR = 0.05  # a difference of F1 that is none, where no interval tells


def gradients(document: Document, *, drawn: bool = True) -> Section | None:
    """What gradients of federated rounds give away; None where nobody asked.

    Args:
        document: What is known.
        drawn: False leaves the chart out.
    """
    made = attempts(document)
    if not made:
        return None
    points = [*_effects(document), *_whole(document, made), *_missing(document, made)]
    told = [(label(one), one) for quantity in QUANTITIES for attempt in made if (one := attempt.figures.get(quantity)) is not None]
    told = [(name, one) for name, one in told if one.method or one.reference]
    tables = (_every(document, made), *([methods("How these numbers were measured", told)] if told else []))
    return Section(
        name="gradients",
        title="Gradients of federated rounds",
        finding=_finding(document, made),
        points=tuple(points),
        points_title="What hides tokens, and what does not" if any(True for _ in _effects(document)) else "",
        figures=(gradient_panels(document),) if drawn else (),
        tables=tables,
        tone="plain" if any(one.value is not None for attempt in made for one in attempt.figures.values()) else "missing",
    )


def _finding(document: Document, made: Sequence[Attempt]) -> str:
    """The most that any method reads, what guessing reads there, and the least that the strongest method reads anywhere."""
    read = [attempt for attempt in made if attempt.method != PRIOR and attempt.f1 is not None]
    if not read:
        reasons = list(dict.fromkeys(one.missing for attempt in made for one in attempt.figures.values() if one.missing))
        return f"No token was attacked with success on record: {reasons[0]}." if reasons else "No attack on gradients was measured."
    best = max(read, key=lambda one: (one.setting.get("target") != "cohort", _f1(one)))
    own = [one for one in made if one.run == best.run and one.setting.get("target") == best.setting.get("target")]
    guess = prior([one for one in own if one.method == PRIOR and one.f1 is not None], best.setting)
    place = f"of {document.names[best.run]} " if len({one.run for one in made}) > 1 else ""
    under = setting_words(best.setting)
    where = f" ({under})" if under else ""
    sentence = f"From a gradient {place}alone{where} tokens come back with an F1 of {_full(best)} by {best.name}"
    if guess is not None:
        sentence += f", where guessing without it reaches {_full(guess)}"
    least = _least([one for one in own if one in read and one.setting.get("cohort") == best.setting.get("cohort")])
    if least.setting == best.setting:
        return f"{sentence}."
    return f"{sentence}; at {setting_words(least.setting)}, no method goes beyond {_full(least)}."


def _least(read: Sequence[Attempt]) -> Attempt:
    """What the strongest method reads where the strongest reads least."""
    strongest: dict[tuple[tuple[str, Value], ...], Attempt] = {}
    for one in read:
        key = tuple(sorted(one.setting.items()))
        strongest[key] = max(strongest.get(key, one), one, key=_f1)
    return min(strongest.values(), key=_f1)


def _effects(document: Document) -> Iterator[Point]:
    """What each parameter did, from its least protection to its most."""
    several = len({sweep.run for sweep in sweeps(document)}) > 1
    for sweep in sweeps(document):
        first, last = sweep.values[0], sweep.values[-1]
        before, after = sweep.strongest(first), sweep.strongest(last)
        if before is None or after is None:
            continue
        ends = f"{_value(sweep, first)} to {_value(sweep, last)}"
        name = f"{document.names[sweep.run]}, {_lead(sweep).lower()}" if several else _lead(sweep)
        change = f"token F1 goes from {_full(before)} to {_full(after)} ({ends}; {setting_words(sweep.held)})"
        yield Point(lead=f"{name}:", text=f"{change}: {_effect(sweep)}{_whose(document, sweep)}.", run=sweep.run if several else None)


def _effect(sweep: Sweep) -> str:
    """What protection did, judged by intervals where there are any."""
    first, last = sweep.values[0], sweep.values[-1]
    before, after = sweep.strongest(first), sweep.strongest(last)
    assert before is not None
    assert after is not None
    if _as_guessed(before, sweep.guessed(first)):
        return "no better than guessing to begin with, so there was nothing to hide"
    if _as_guessed(after, sweep.guessed(last)):
        return "these attacks are left with what guessing gives"
    return "that hides a part of them" if _above(before, after) else "that does not hide the tokens"


def _as_guessed(attempt: Attempt, guess: Attempt | None) -> bool:
    """Whether an attack is no better than guessing; on the same trials where the evidence has their difference."""
    gain = attempt.figures.get("token_f1_gain")
    if gain is not None and gain.interval is not None:
        return gain.interval.low <= 0
    return guess is not None and not _above(attempt, guess)


def _whose(document: Document, sweep: Sweep) -> str:
    """In a crowd the words of all clients come back together: what that reaches, where it was measured."""
    if sweep.parameter != "cohort" or sweep.held.get("target") != "client":
        return ""
    crowd = {**sweep.held, "target": "cohort", "cohort": sweep.values[-1]}
    together = [one for one in attempts(document) if one.run == sweep.run and one.method != PRIOR and one.setting == crowd]
    best = max((one for one in together if one.f1 is not None), key=_f1, default=None)
    return (
        ""
        if best is None
        else f"; held against the words of all clients together it is {_full(best)}, since words come back without saying whose they are"
    )


def _above(one: Attempt, other: Attempt) -> bool:
    """Whether one F1 is higher by more than the intervals allow, or than `_NEAR` where one has none."""
    mine, theirs = one.figures["token_f1"].interval, other.figures["token_f1"].interval
    if mine is not None and theirs is not None:
        return mine.low > theirs.high
    return _f1(one) > _f1(other) + _NEAR


def _lead(sweep: Sweep) -> str:
    quiet = not sweep.held.get("noise_multiplier")
    return {
        "batch_size": "Larger batches",
        "cohort": "Larger cohorts",
        "clip_norm": "Clipping alone" if quiet else "Clipping under noise",
        "noise_multiplier": "Noise" if sweep.held.get("clip_norm") is None else "Noise and clipping",
    }[sweep.parameter]


def _value(sweep: Sweep, value: Value) -> str:
    return value_words(sweep.parameter, value, named=True)


def _whole(document: Document, made: Sequence[Attempt]) -> Iterator[Point]:
    """The most sentences that came back whole."""
    found = [attempt for attempt in made if attempt.method != PRIOR and _known(attempt, "sentences_recovered")]
    if found:
        best = max(found, key=lambda attempt: attempt.figures["sentences_recovered"].value or 0.0)
        shown = written(best.figures["sentences_recovered"]).full
        yield Point(lead="Whole sentences:", text=f"at most {shown} come back whole, by {best.name} at {setting_words(best.setting)}.")


def _missing(document: Document, made: Sequence[Attempt]) -> Iterator[Point]:
    """Why something could not be measured, once for each reason."""
    reasons = dict.fromkeys(one.missing for attempt in made for one in attempt.figures.values() if one.missing)
    if reasons:
        yield Point(lead="Not measured:", text=f"{'; '.join(map(str, reasons))}.")


def _every(document: Document, made: Sequence[Attempt]) -> Table:
    """A row for each method under each setting."""
    parameters = [key for key in PARAMETERS if any(key in attempt.setting for attempt in made)]
    others = list(dict.fromkeys(key for attempt in made for key in attempt.setting if key not in PARAMETERS))
    quantities = [name for name in QUANTITIES if any(name in attempt.figures for attempt in made)]
    rows = tuple(
        (
            Cell(text=document.names[attempt.run], run=attempt.run),
            Cell(text=attempt.name),
            *(Cell(text=value_words(key, attempt.setting[key]) if key in attempt.setting else "–") for key in (*parameters, *others)),
            *(_figure(attempt, name) for name in quantities),
        )
        for attempt in made
    )
    heads = [*(PARAMETERS[key] for key in parameters), *(key.replace("_", " ").capitalize() for key in others)]
    columns = ("Run", "Method", *heads, *(_SHORT.get(name, label_of(name)) for name in quantities))
    text = f"{method_name(PRIOR).capitalize()} never sees a gradient: it says what a guess from the language alone gives."
    if "target" in others:
        text += " The target says whose words count: those of one client, or those of all clients of the cohort together."
    return Table(title="Every method under every setting", columns=columns, rows=rows, text=text)


def _figure(attempt: Attempt, quantity: str) -> Cell:
    """A guess is never above itself."""
    return Cell(text="–") if (attempt.method, quantity) == (PRIOR, "token_f1_gain") else cell(attempt.figures.get(quantity))


def _known(attempt: Attempt, quantity: str) -> bool:
    estimate = attempt.figures.get(quantity)
    return estimate is not None and estimate.value is not None


def _f1(attempt: Attempt) -> float:
    return attempt.f1 if attempt.f1 is not None else -1.0


def _full(attempt: Attempt) -> str:
    return written(attempt.figures["token_f1"]).full
