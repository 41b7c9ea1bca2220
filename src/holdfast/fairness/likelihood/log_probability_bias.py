"""The metric of increased log-probability: how much likelier attribute words make the words for one group than for another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.data.benchmarks.documents import read_json
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference.bootstrap import unit_weights
from holdfast.fairness.inference.families import holm
from holdfast.fairness.inference.permutation import partition_test
from holdfast.fairness.inference.settings import Inference, Units
from holdfast.fairness.language.access import CausalAccess, MaskedAccess, access_name
from holdfast.fairness.likelihood.associations import Associations, SeveralPieces, associations, fill
from holdfast.fairness.likelihood.rows import Rows, band, measured
from holdfast.fairness.likelihood.word_lists import (
    CAUSAL_TEMPLATES,
    FEMALE_TERMS,
    MALE_TERMS,
    MASKED_TEMPLATES,
    PROFESSIONS,
    looks_english,
)
from holdfast.fairness.metric import Needs

Floats = NDArray[np.float64]

CARD = MetricCard(
    name="log-probability-bias",
    title="Increased log-probability (after Kurita et al. 2019)",
    notion="association of words for people with professions or other attributes",
    groups="any two lists of words for people; men and women by default",
    source_text="templates",
    level="language model",
    kind="intrinsic",
    unit="nats",
    ideal=0.0,
    direction="neither",
    criticism=(
        "Delobelle et al. 2022 found that such numbers depend highly on templates and on words.",
        "Goldfarb-Tarrant et al. 2021 found no reliable correlation of intrinsic measures with what a system does.",
        "Cao et al. 2022 found that it and metrics of what applications do need not correlate, over 19 models.",
        "Two lists of gendered English words encode a binary gender.",
    ),
    harms="People of the one group, whom a model does not expect in the professions or with the qualities of the list.",
    reference="Kurita et al. 2019, Measuring bias in contextualized word representations",
)
NAME = "log_probability_bias"


@dataclass(frozen=True, kw_only=True)
class LogProbabilityBias:
    """Increased log-probability.

    Args:
        data: JSON of any of the five lists below, by their names; what it names is taken from it.
        templates: Hold TARGET and ATTRIBUTE once each; short English ones for the kind of model where there are none.
        targets_x: Words for one group, in the singular.
        targets_y: Words for the other one.
        attributes: Words for professions or qualities.
        attributes_other: Words to contrast them with; the mean over these is then taken off.
        several_pieces: What becomes of words that the model cuts into several pieces: "joint", "refuse" or "skip", see `associations`.
        neutral: The word that stands for the attribute in the prior of a causal model.
    """

    data: Path | None = None
    templates: tuple[str, ...] = ()
    targets_x: tuple[str, ...] = MALE_TERMS
    targets_y: tuple[str, ...] = FEMALE_TERMS
    attributes: tuple[str, ...] = PROFESSIONS
    attributes_other: tuple[str, ...] = ()
    several_pieces: SeveralPieces = "joint"
    neutral: str = "person"

    card: ClassVar[MetricCard] = CARD
    needs: ClassVar[Needs] = "masked or causal model"

    def __post_init__(self) -> None:
        if self.several_pieces not in get_args(SeveralPieces):
            raise InputError(
                f"{CARD.name}: several_pieces is {self.several_pieces!r}; {nearest(self.several_pieces, get_args(SeveralPieces))}"
            )
        _check_lists(self.targets_x, self.targets_y, self.attributes, self.attributes_other)
        for template in self.templates:
            fill(template, target="person", attribute=self.neutral)

    def measure(self, given: MaskedAccess | CausalAccess, *, subject: str, inference: Inference) -> Evidence:
        """Measures.

        Args:
            given: The language model.
            subject: The run.
            inference: How intervals and tests are made.

        Raises:
            DataError: For word lists that cannot be read.
            InputError: For a model that is neither masked nor causal, or whatever `associations` refuses.
        """
        if not isinstance(given, MaskedAccess | CausalAccess):
            raise InputError(f"{CARD.name} needs a masked or causal language model, and {access_name(given)} is none")
        lists = self if self.data is None else replace(self, data=None, **_read_lists(self.data))  # type: ignore[arg-type]
        templates = lists.templates or (CAUSAL_TEMPLATES if isinstance(given, CausalAccess) else MASKED_TEMPLATES)
        found = associations(
            given,
            templates,
            (*lists.targets_x, *lists.targets_y),
            (*lists.attributes, *lists.attributes_other),
            several_pieces=lists.several_pieces,
            neutral=lists.neutral,
        )
        in_x = np.array([word in lists.targets_x for word in found.targets], dtype=bool)
        in_a = np.array([word in lists.attributes for word in found.attributes], dtype=bool)
        if in_x.all() or not in_x.any() or not in_a.any() or (lists.attributes_other and in_a.all()):
            left = ", ".join((*found.unknown, *found.several))
            raise InputError(
                f"{CARD.name}: nothing is left of one list; the model does not know, or cuts, {left}: give words that it knows"
            )
        told: dict[str, Condition] = {"variant": f"{found.variant}, {lists.several_pieces}", **found.reading.conditions}
        told |= {"unknown_list_words": len(found.unknown), "skipped": len(found.several), "joint": len(found.jointly)}
        rows = Rows(card=CARD, subject=subject, inference=inference, method="mean over templates and target words", conditions=told)
        english = set(lists.targets_x) <= set(MALE_TERMS) and set(lists.targets_y) <= set(FEMALE_TERMS)
        notes = _notes(found, english=english, templates=templates)
        return Evidence(estimates=tuple(bias_rows(found, in_x, in_a, rows)), notes=(*found.reading.notes, *notes))


def _check_lists(x: Sequence[str], y: Sequence[str], a: Sequence[str], b: Sequence[str]) -> None:
    for name, words in (("targets_x", x), ("targets_y", y), ("attributes", a)):
        if not words:
            raise InputError(f"{CARD.name}: {name} is empty; give at least one word")
    for first, second, names in ((x, y, "targets_x and targets_y"), (a, b, "attributes and attributes_other")):
        twice = sorted(set(first) & set(second))
        if twice:
            raise InputError(f"{CARD.name}: {twice[0]!r} stands in {names}; a word belongs to one list")
    for name, words in (("targets", (*x, *y)), ("attributes", (*a, *b))):
        if len(set(words)) < len(words):
            raise InputError(f"{CARD.name}: a word stands twice in the {name}; give each once")


def _read_lists(path: Path) -> dict[str, tuple[str, ...]]:
    names = ("templates", "targets_x", "targets_y", "attributes", "attributes_other")
    document = read_json(path)
    if not isinstance(document, dict) or not document:
        raise DataError(f"give a mapping of {', '.join(names)} to words", path=path)
    for name, words in document.items():
        if name not in names:
            raise DataError(f"unknown list {name!r}; {nearest(name, names)}", path=path)
        if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
            raise DataError(f"{name}: give a list of words", path=path)
    return {name: tuple(words) for name, words in document.items()}


def _notes(found: Associations, *, english: bool, templates: Sequence[str]) -> list[str]:
    notes = [f"{CARD.name}: the numbers speak of these templates and words alone, and not of what a system does with them."]
    if found.unknown:
        notes.append(f"{CARD.name}: the model does not know {', '.join(found.unknown)}; these words are in no number.")
    if found.several:
        notes.append(f"{CARD.name}: the model cuts {', '.join(found.several)} into several pieces; these words were skipped.")
    if found.jointly:
        notes.append(f"{CARD.name}: {len(found.jointly)} words are cut into several pieces, which were scored together.")
    if english and not looks_english(tuple(templates)):
        notes.append(f"{CARD.name}: the target words are English, and the templates do not look so; give words of the same language.")
    return notes


def contrast_weights(in_first: NDArray[np.bool_]) -> Floats:
    """Weights that make a mean of the first words less a mean of the others; of the first alone where there are no others.

    Args:
        in_first: Which words are in the first list, (n,).
    """
    others = max(int((~in_first).sum()), 1)
    return np.where(in_first, 1 / int(in_first.sum()), -1 / others)


def bias_replicates(scores_MTA: Floats, in_x: NDArray[np.bool_], *, replicates: int, generator: np.random.Generator) -> Floats:
    """Bootstrap replicates of the bias of each attribute word, in two ways: templates and target words are drawn anew.

    Args:
        scores_MTA: (M templates, T target words, A attribute words).
        in_x: Which target words are of the first list, (T,).
        replicates: R.
        generator: The source of randomness.

    Returns:
        (R, A).
    """
    templates, words, count = scores_MTA.shape
    drawn = [
        np.concatenate(list(unit_weights(Units.rows(size), replicates=replicates, generator=generator)))
        for size in (templates, int(in_x.sum()), int((~in_x).sum()))
    ]
    signed = np.zeros((replicates, words))
    signed[:, in_x], signed[:, ~in_x] = drawn[1] / in_x.sum(), -drawn[2] / (~in_x).sum()
    by_template = (drawn[0] / templates) @ scores_MTA.reshape(templates, words * count)
    return np.asarray(np.einsum("rta,rt->ra", by_template.reshape(replicates, words, count), signed))


def bias_rows(found: Associations, in_x: NDArray[np.bool_], in_a: NDArray[np.bool_], rows: Rows) -> list[Estimate]:
    """Makes evidence of associations: over all attribute words, and by attribute word.

    Args:
        found: As of `associations`.
        in_x: Which target words are of the first list, (T,).
        in_a: Which attribute words are of the first list, (A,).
        rows: What all rows have in common.

    Edge cases:
        The standard deviation over attribute words is above 0 even where none differs, by what templates and words leave to chance.
    """
    inference = rows.inference
    generator = inference.streams(CARD.name).generator("templates and words")
    drawn = bias_replicates(found.scores_MTA, in_x, replicates=inference.replicates, generator=generator)
    by_target = found.scores_MTA.mean(0)
    bias = contrast_weights(in_x) @ by_target
    across = contrast_weights(in_a)
    what = f"{len(found.scores_MTA)} templates and {len(in_x)} target words"
    test = partition_test(by_target @ across, in_x, inference=inference, generator=generator, alternative="two-sided")
    statistic = "mean difference of differences" if not in_a.all() else "mean difference"
    mean = _one(float(bias @ across), drawn @ across, what, len(in_x), rows, p_value=test.p_value, test=test.test)
    estimates = [rows.row(NAME, mean, conditions={"category": "all", "statistic": statistic})]
    if len(bias) > 1:
        spread = _one(float(bias.std(ddof=1)), drawn.std(axis=1, ddof=1), what, len(in_x), rows)
        told: dict[str, Condition] = {"category": "all", "statistic": "standard deviation over attribute words"}
        estimates.append(rows.row(NAME, spread, conditions=told, direction="lower is better"))
    ends = band(bias, drawn, level=inference.level, bounds=(-math.inf, math.inf), what=what)
    tests = [partition_test(column, in_x, inference=inference, generator=generator, alternative="two-sided") for column in by_target.T]
    adjusted = holm([one.p_value for one in tests])
    for at, word in enumerate(found.attributes):
        number = measured(
            float(bias[at]),
            float(ends.low[at]),
            float(ends.high[at]),
            method=ends.method,
            units=len(in_x),
            resampled="target words",
            p_value=tests[at].p_value,
            test=f"{tests[at].test} of the target words, two-sided",
        )
        told = {"category": word, "statistic": "difference", "p_adjusted": float(adjusted[at]), "adjustment": "Holm"}
        estimates.append(rows.row(NAME, number, conditions=told))
    return estimates


def _one(value: float, drawn: Floats, what: str, units: int, rows: Rows, *, p_value: float | None = None, test: str = "") -> Any:
    ends = band(np.array([value]), drawn[:, None], level=rows.inference.level, bounds=(-math.inf, math.inf), what=what)
    told: Mapping[str, Any] = {"units": units, "resampled": "target words", "p_value": p_value}
    named = f"{test} of the target words, two-sided" if test else ""
    return measured(value, float(ends.low[0]), float(ends.high[0]), method=ends.method, test=named, **told)
