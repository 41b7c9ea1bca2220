"""What the metrics of association share: choosing tests from a file, and turning a family of results into evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from holdfast.core.errors import InputError, nearest
from holdfast.core.evidence import Condition, Estimate
from holdfast.data.benchmarks import WordTest, read_weat
from holdfast.fairness.association.associations import Association
from holdfast.fairness.association.sets import OutOfVocabulary, Resolved, Sets, WordSet
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference import Inference, Measured, holm
from holdfast.fairness.inference.permutation import Alternative
from holdfast.fairness.language.access import EncodingAccess, ReadsText

INTRINSIC = (
    "Goldfarb-Tarrant et al. 2021 found no reliable correlation of intrinsic association with the fairness of applications; do not "
    "decide on a model by it.",
    "Delobelle et al. 2022 found that such numbers depend highly on templates, on words and on the choice of embeddings.",
    "The word lists hold stereotypes of the United States, two genders, and first names as a stand-in for ethnicity.",
)
REMARK = (
    "An association of vectors says what the text that they were made of associates, not how an application treats anybody, and a "
    "small one is no proof of absence."
)
BOTH = (
    "The permutation test holds the attribute words fixed and asks whether the target words could be shared out otherwise; the interval "
    "lets all four sets of words vary, so it may hold 0 where the test rejects."
)


@dataclass(frozen=True)
class Row:
    """One number of a family.

    Args:
        measured: The number.
        conditions: What it was measured under.
    """

    measured: Measured
    conditions: Mapping[str, Condition] = field(default_factory=dict)


def sets_of(test: WordTest) -> Sets:
    """A test as it is read from a file, with its sets looked at: no two may share a word."""
    words = (test.targets_x, test.targets_y, test.attributes_a, test.attributes_b)
    return Sets(test.name, *(WordSet(name, one) for name, one in zip(test.names, words, strict=True)))


def chosen_tests(stimuli: str | Path, tests: Sequence[str] | None) -> list[Sets]:
    """The tests of a file, or those named.

    Raises:
        InputError: For a name that is not among them.
        DataError: For a file that cannot be read as word sets.
    """
    read = read_weat(stimuli)
    return [sets_of(test) for test in read] if tests is None else [sets_of(read[name]) for name in tests]


def checked_options(
    metric: str,
    *,
    alternative: Alternative,
    out_of_vocabulary: OutOfVocabulary = "warn",
    most_missing: float = 0.2,
    choices: Mapping[str, tuple[str, Sequence[str]]] | None = None,
) -> None:
    """Refuses options that there are none of.

    Args:
        metric: Name of the metric, for the error.
        alternative: Of the permutation test.
        out_of_vocabulary: What becomes of missing words.
        most_missing: Share of a set that may be missing.
        choices: Further options, each with what was given and what there is.

    Raises:
        InputError: For a value that is none of the choices, or a share outside [0, 1).
    """
    given = {
        "alternative": (alternative, get_args(Alternative)),
        "out_of_vocabulary": (out_of_vocabulary, get_args(OutOfVocabulary)),
        **(choices or {}),
    }
    for name, (value, valid) in given.items():
        if value not in valid:
            raise InputError(f"{metric}: {name} {value!r} is unknown; {nearest(str(value), valid)}")
    if not 0 <= most_missing < 1:
        raise InputError(f"{metric}: most_missing {most_missing} is outside [0, 1); .2 is usual")


def known_words(encoder: EncodingAccess, words: Iterable[str]) -> frozenset[str]:
    """The words of which a model knows at least a piece; all of them for a model that does not show how it cuts text.

    A word without a known piece is read as "unknown word", like every other such word, so its vector says nothing of it.
    """
    asked = tuple(dict.fromkeys(words))
    if not isinstance(encoder, ReadsText):
        return frozenset(asked)
    return frozenset(word for word, cut in zip(asked, encoder.pieces(asked), strict=True) if bool((cut.known & ~cut.special).any()))


def described(resolved: Resolved) -> dict[str, Condition]:
    """The conditions that tell which words a number rests on."""
    sets = resolved.sets
    told: dict[str, Condition] = {"of": sets.of, "x": sets.x.name, "y": sets.y.name, "a": sets.a.name, "b": sets.b.name}
    if resolved.missing:
        told["missing_words"] = ", ".join(word for word, _ in resolved.missing)
    if resolved.trimmed:
        told["left_out_to_balance"] = ", ".join(resolved.trimmed)
    return told


def sizes(sets: Sets) -> dict[str, int]:
    """How many words each set has, by name."""
    return {one.name: len(one.words) for one in sets.all}


def found_conditions(found: Association) -> dict[str, Condition]:
    """The bound of an effect size, and the word that matters most."""
    told: dict[str, Condition] = {}
    if found.bound is not None:
        told["largest_possible"] = found.bound
    if found.influence is not None:
        told |= {"most_influential_word": found.influence.word, "effect_size_without_it": found.influence.without}
    return told


def family(rows: Sequence[Row], *, card: MetricCard, name: str, subject: str, inference: Inference, method: str) -> tuple[Estimate, ...]:
    """Estimates of a family of tests, with p-values adjusted so that the chance of any false alarm is that of the whole family."""
    raw = [np.nan if row.measured.p_value is None else row.measured.p_value for row in rows]
    adjusted = holm(np.array(raw, dtype=np.float64))
    estimates = []
    for row, p in zip(rows, adjusted, strict=True):
        told = dict(row.conditions)
        if np.isfinite(p):
            told |= {"p_adjusted": float(p), "adjustment": f"Holm, {int(np.isfinite(adjusted).sum())} tests"}
        estimates.append(
            row.measured.estimate(
                name,
                subject=subject,
                metric=card.name,
                unit=card.unit,
                direction=card.direction,
                level=inference.level,
                method=method,
                reference=card.reference,
                conditions=told,
            )
        )
    return tuple(estimates)


def published_p(rows: Sequence[Row], *, card: MetricCard, name: str, subject: str, method: str) -> tuple[Estimate, ...]:
    """P-values as they were published, as numbers of their own: known to be wrong, and wanted for comparison only."""
    return tuple(
        row.measured.estimate(
            name,
            subject=subject,
            metric=card.name,
            unit="probability",
            direction="neither",
            level=0.95,
            method=f"{method}; no interval: it is a p-value",
            reference=card.reference,
            conditions=row.conditions,
        )
        for row in rows
    )
