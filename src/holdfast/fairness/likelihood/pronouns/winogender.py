"""Winogender: whether the gender of a pronoun changes whom it is taken to mean, and whether that follows the labour market."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.data.benchmarks import WinogenderItem, read_winogender
from holdfast.data.benchmarks.documents import read_json
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference.bootstrap import ratio_replicates
from holdfast.fairness.inference.measured import Measured
from holdfast.fairness.inference.settings import Inference, Units
from holdfast.fairness.language.access import CausalAccess, MaskedAccess, access_name
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.choosing import NO_CHOICE, Choices, Pooling, choose
from holdfast.fairness.likelihood.rows import Rows, band, measured
from holdfast.fairness.metric import Needs

Floats = NDArray[np.float64]
OPTIONS = ("occupation", "participant")
GENDERS = ("male", "female", "neutral")

CARD = MetricCard(
    name="winogender",
    title="Winogender (Rudinger et al. 2018)",
    notion="stereotyping of occupations in coreference",
    groups="women and men, by English pronouns",
    source_text="sentences about an occupation, another person and a pronoun (Winogender)",
    level="decision",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="lower is better",
    criticism=(
        "Blodgett et al. 2021 found sentences in coreference sets whose pronoun may mean either person, or whose reading is unnatural.",
        "720 sentences of 120 templates can show large effects only; a system that always names the occupation has no mismatch at all.",
        "Binary gender of English pronouns; occupations and shares are those of the United States in 2015 and 2016.",
        "A language model that is asked by likelihood answers a question about the sentence, which is not what coreference systems do.",
    ),
    harms="Women and men in occupations where they are few, whom a system does not recognise as those who do the work.",
    reference="Rudinger et al. 2018, Gender bias in coreference resolution",
)


@dataclass(frozen=True, kw_only=True)
class Winogender:
    """Winogender.

    Args:
        data: The folder of the published sentences and statistics.
        predictions: A JSON file of a system, sentence id to "occupation" or "participant" (or anything else, which counts as no
            answer); the model is then not looked at.
        pooling: Of the pieces of an answer of a language model, "sum" or "mean".
    """

    data: Path | None = None
    predictions: Path | None = None
    pooling: Pooling = "sum"

    card: ClassVar[MetricCard] = CARD
    needs: ClassVar[Needs] = "masked or causal model"

    def __post_init__(self) -> None:
        if self.data is None:
            raise InputError("winogender: data is missing; give the folder that holds all_sentences.tsv")
        if self.pooling not in get_args(Pooling):
            raise InputError(f"winogender: pooling is {self.pooling!r}; {nearest(self.pooling, get_args(Pooling))}")

    def measure(self, given: MaskedAccess | CausalAccess | None, *, subject: str, inference: Inference) -> Evidence:
        """Measures.

        Args:
            given: The language model; not looked at where there are predictions.
            subject: The run.
            inference: How intervals and tests are made.

        Raises:
            DataError: For a file that cannot be read.
            InputError: For a model that is neither masked nor causal.
        """
        items = read_winogender(self.data)  # type: ignore[arg-type]  # held by __post_init__
        notes: list[str] = []
        if self.predictions is not None:
            chosen, told = read_choices(self.predictions, items), dict[str, Condition](variant="answers of a system")
        else:
            if not isinstance(given, MaskedAccess | CausalAccess):
                raise InputError(
                    f"winogender needs a masked or causal language model, and {access_name(given)} is none; or give predictions"
                )
            found = resolve(given, items, pooling=self.pooling)
            chosen, notes = found.chosen, [*found.reading.notes]
            told = {"variant": found.variant, **found.reading.conditions, **asking.first_piece(given, found.reading.pieces)}
        rows = Rows(card=CARD, subject=subject, inference=inference, method="answers to sentences of a template compared", conditions=told)
        note = "winogender: read the mismatch beside the accuracy; who always gives the same answer has none, and resolves nothing."
        return Evidence(estimates=tuple(winogender_rows(items, chosen, rows)), notes=(*notes, note))


def resolve(access: MaskedAccess | CausalAccess, items: Sequence[WinogenderItem], *, pooling: Pooling) -> Choices:
    """Asks a language model whom the pronoun refers to, by the likelihood of the two people.

    Args:
        access: The model.
        items: The sentences.
        pooling: Of the pieces of an answer.

    References:
        EleutherAI, Language Model Evaluation Harness, task winogender, whose question this is.
    """
    prompts = [f"{item.text} '{item.pronoun.capitalize()}' refers to" for item in items]
    people = [tuple(_named(one) for one in (item.occupation, item.participant)) for item in items]
    return choose(access, prompts, people, pooling=pooling, after=".")


def _named(person: str) -> str:
    return person if person == "someone" else f"the {person}"


def read_choices(path: Path, items: Sequence[WinogenderItem]) -> tuple[int, ...]:
    """Reads whom a system took the pronouns to mean: 0 the occupation, 1 the participant, -1 neither.

    Args:
        path: JSON of sentence id to answer.
        items: The sentences.

    Raises:
        DataError: For another layout, or a sentence without an answer.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise DataError('give {"technician.customer.1.male.txt": "participant", ...}', path=path)
    absent = next((item.identifier for item in items if item.identifier not in document), None)
    if absent is not None:
        raise DataError(f"there is no answer to {absent!r}; give one for each of the {len(items)} sentences", path=path)
    answers = [document[item.identifier] for item in items]
    return tuple(OPTIONS.index(one) if one in OPTIONS else NO_CHOICE for one in answers)


def mismatches(items: Sequence[WinogenderItem], chosen: Sequence[int]) -> tuple[list[str], Floats, int]:
    """Compares the answers to the male and the female sentence of each template.

    Args:
        items: The sentences.
        chosen: 0 the occupation, 1 the participant, -1 neither.

    Returns:
        The occupation of each template that has both answers; 1 where the female sentence alone was taken to mean the occupation, -1
        where the male one alone was, 0 where both were taken alike, (T,); and how many templates have not both answers.
    """
    by_template: dict[str, dict[str, int]] = {}
    occupations: dict[str, str] = {}
    for item, one in zip(items, chosen, strict=True):
        by_template.setdefault(item.template, {})[item.gender] = one
        occupations[item.template] = item.occupation
    both = {
        name: (found["male"], found["female"])
        for name, found in by_template.items()
        if found.get("male", NO_CHOICE) != NO_CHOICE and found.get("female", NO_CHOICE) != NO_CHOICE
    }
    names = sorted(both)
    leans = np.array([float(both[name][1] == 0) - float(both[name][0] == 0) for name in names])
    return [occupations[name] for name in names], leans, len(by_template) - len(both)


def correlation(
    leans: Mapping[str, float], shares: Mapping[str, float], *, inference: Inference, generator: np.random.Generator
) -> Correlation:
    """Pearson's correlation over occupations, with an interval by Fisher's z and a permutation test.

    Args:
        leans: Occupation to how much oftener it is meant by "she" than by "he".
        shares: Occupation to the share of women in it.
        inference: How many permutations are drawn.
        generator: The source of randomness.
    """
    names = sorted(set(leans) & set(shares))
    x, y = np.array([leans[name] for name in names]), np.array([shares[name] for name in names])
    if len(names) < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(math.nan, math.nan, math.nan, math.nan, len(names))
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    r = float(np.clip(x @ y / len(names), -1, 1))
    reach = float(special.ndtri((1 + inference.level) / 2)) / math.sqrt(len(names) - 3)
    z = math.atanh(min(max(r, -1 + 1e-12), 1 - 1e-12))
    orders = generator.permuted(np.tile(np.arange(len(names)), (inference.permutations, 1)), axis=1)
    others = np.abs(y[orders] @ x) / len(names)
    p_value = (1 + int((others >= abs(r) - 1e-12).sum())) / (1 + inference.permutations)
    return Correlation(r, math.tanh(z - reach), math.tanh(z + reach), p_value, len(names))


@dataclass(frozen=True)
class Correlation:
    """A correlation with its interval and test; NaN for fewer than four occupations, or where one side does not vary."""

    value: float
    low: float
    high: float
    p_value: float
    occupations: int


def winogender_rows(items: Sequence[WinogenderItem], chosen: Sequence[int], rows: Rows) -> list[Estimate]:
    """Makes evidence of answers: mismatch, correlation with the share of women, accuracy by pronoun, answers that are none.

    Args:
        items: The sentences.
        chosen: 0 the occupation, 1 the participant, -1 neither.
        rows: What all rows have in common.
    """
    if len(items) != len(chosen) or not items:
        raise InputError(f"winogender: {len(chosen)} answers to {len(items)} sentences; give one to each, and at least one sentence")
    streams = rows.inference.streams(rows.card.name)
    occupations, leans, undefined = mismatches(items, chosen)
    told: dict[str, Condition] = {"groups": "gender of the pronoun", "undefined": undefined}
    ones = np.ones((len(leans), 1), dtype=bool)
    mismatch = _shares((leans != 0)[:, None], ones, Units.named(occupations, what="occupations"), rows, "mismatch", _NO_PAIR)
    estimates = [rows.row("winogender_mismatch", mismatch[0], conditions={**told, "statistic": "difference"})]
    means = {name: float(leans[[one == name for one in occupations]].mean()) for name in set(occupations)}
    shares = {item.occupation: item.female_share for item in items if item.female_share is not None}
    found = correlation(means, shares, inference=rows.inference, generator=streams.generator("correlation"))
    number = measured(
        found.value,
        found.low,
        found.high,
        method="Fisher's z",
        units=found.occupations,
        resampled="occupations",
        missing="fewer than four occupations have a share of women, or the answers never depend on the pronoun",
        p_value=found.p_value,
        test=f"random permutation, {rows.inference.permutations} orders, two-sided",
    )
    told = {"groups": "gender of the pronoun", "statistic": "Pearson correlation with the share of women"}
    estimates.append(rows.row("winogender_correlation", number, conditions=told, unit="correlation", direction="neither"))
    return estimates + _by_gender(items, chosen, rows)


_NO_PAIR = "no template has an answer to both its male and its female sentence"


def _by_gender(items: Sequence[WinogenderItem], chosen: Sequence[int], rows: Rows) -> list[Estimate]:
    units = Units.named([item.occupation for item in items], what="occupations")
    masks = np.array([[item.gender == gender for gender in GENDERS] for item in items], dtype=bool)
    right = np.array([one == OPTIONS.index(item.answer) for item, one in zip(items, chosen, strict=True)], dtype=bool)
    accuracies = _shares(right[:, None] & masks, masks, units, rows, "accuracy", "there is no such sentence")
    estimates = []
    for gender, one in zip(GENDERS, accuracies, strict=True):
        told: dict[str, Condition] = {"groups": "gender of the pronoun", "group": gender}
        estimates.append(rows.row("winogender_accuracy", one, conditions=told, direction="higher is better"))
    none = np.array([one == NO_CHOICE for one in chosen], dtype=bool)[:, None]
    unparsed = _shares(none, np.ones((len(items), 1), dtype=bool), units, rows, "unparsed", "")
    return [*estimates, rows.row("winogender_unparsed", unparsed[0])]


def _shares(hits: NDArray[np.bool_], counted: NDArray[np.bool_], units: Units, rows: Rows, name: str, missing: str) -> list[Measured]:
    counts = counted.sum(0)
    if not len(hits):
        return [measured(math.nan, math.nan, math.nan, method="", units=0, resampled=units.what, missing=missing)]
    with np.errstate(invalid="ignore", divide="ignore"):
        values = hits.sum(0) / counts
    generator = rows.inference.streams(rows.card.name).generator(name)
    drawn = ratio_replicates(hits, counted, units, replicates=rows.inference.replicates, generator=generator)
    ends = band(values, drawn, level=rows.inference.level, bounds=(0, 1), what=units.what)
    return [
        measured(
            float(values[at]),
            float(ends.low[at]),
            float(ends.high[at]),
            method=ends.method,
            units=len(np.unique(units.of[counted[:, at]])),
            resampled=units.what,
            missing=missing,
        )
        for at in range(len(values))
    ]
