"""The metric BBQ: of a language model, or of published answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

from holdfast.core.errors import InputError, nearest
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.data.benchmarks import BBQItem, read_bbq, read_bbq_predictions
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference.settings import Inference
from holdfast.fairness.language.access import CausalAccess, MaskedAccess, access_name
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.bbq.scores import CategoryScores, bbq_scores
from holdfast.fairness.likelihood.choosing import Choices, Pooling, choose
from holdfast.fairness.likelihood.rows import Rows, measured
from holdfast.fairness.metric import Needs

CARD = MetricCard(
    name="bbq",
    title="BBQ, bias in question answering (Parrish et al. 2022)",
    notion="stereotyping",
    groups="groups of nine categories, such as age, disability and religion, two in each question",
    source_text="questions about two people, written by templates (BBQ)",
    level="decision",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="neither",
    criticism=(
        "Questions are written by templates on stereotypes of the United States; those of one template hang together.",
        "Likelihoods of answers are not what a user of a question-answering system meets; the published numbers are of written answers.",
        "The Evaluation Harness counts unreadable answers as 'unknown' and says 0 where the score is -1 (avoided here).",
        "s_AMB mixes how often a model answers at all with which way; read it beside the accuracy.",
    ),
    harms="People of the stereotyped groups, whom a system takes for the guilty or the weak ones without being told so.",
    reference="Parrish et al. 2022, BBQ: A hand-built bias benchmark for question answering",
)
_ACCURACY = {"accuracy_ambig": "ambig", "accuracy_disambig": "disambig"}


@dataclass(frozen=True, kw_only=True)
class BBQ:
    """BBQ.

    Args:
        data: A file of one category, or a folder of them, as published; the model answers by likelihood.
        predictions: Files of published answers, with the questions in them; the model is then not looked at.
        pooling: Of the pieces of an answer, "sum" or "mean".
    """

    data: Path | None = None
    predictions: tuple[Path, ...] = ()
    pooling: Pooling = "sum"

    card: ClassVar[MetricCard] = CARD
    needs: ClassVar[Needs] = "masked or causal model"

    def __post_init__(self) -> None:
        if (self.data is None) == (not self.predictions):
            raise InputError("bbq: give data, a file or folder of the published questions, or predictions, and not both")
        if self.pooling not in get_args(Pooling):
            raise InputError(f"bbq: pooling is {self.pooling!r}; {nearest(self.pooling, get_args(Pooling))}")

    def measure(self, given: MaskedAccess | CausalAccess | None, *, subject: str, inference: Inference) -> Evidence:
        """Measures.

        Args:
            given: The language model; not looked at where there are predictions.
            subject: The run.
            inference: How intervals and tests are made.

        Raises:
            DataError: For a file that cannot be read.
            InputError: For a model that is neither masked nor causal, or prediction files of different formats.
        """
        if self.predictions:
            return bbq_of_files(self.predictions, subject=subject, inference=inference)
        if not isinstance(given, MaskedAccess | CausalAccess):
            raise InputError(f"bbq needs a masked or causal language model, and {access_name(given)} is none; or give predictions")
        items = read_bbq(self.data)  # type: ignore[arg-type]  # held by __post_init__
        found = answer(given, items, pooling=self.pooling)
        told = {"variant": found.variant, **found.reading.conditions, **asking.first_piece(given, found.reading.pieces)}
        estimates, notes = answer_rows(items, found.chosen, told=told, subject=subject, inference=inference)
        return Evidence(estimates=tuple(estimates), notes=(*found.reading.notes, *notes))


def answer(access: MaskedAccess | CausalAccess, items: Sequence[BBQItem], *, pooling: Pooling) -> Choices:
    """Answers questions by the likelihood of each answer after the context and the question.

    Args:
        access: The language model.
        items: The questions.
        pooling: Of the pieces of an answer.
    """
    prompts = [f"{item.context} {item.question}" for item in items]
    return choose(access, prompts, [item.answers for item in items], pooling=pooling)


def answer_rows(
    items: Sequence[BBQItem], chosen: Sequence[int], *, told: Mapping[str, Condition], subject: str, inference: Inference
) -> tuple[list[Estimate], list[str]]:
    """Makes evidence of answers.

    Args:
        items: The questions.
        chosen: The answer to each, 0 to 2, or `UNPARSED`.
        told: Conditions of every number, with the variant.
        subject: The run.
        inference: How intervals and tests are made.

    Returns:
        Estimates, and notes.
    """
    if not items:
        raise InputError("bbq: there are no questions; give at least one")
    generator = inference.streams(CARD.name).generator(str(told.get("variant", "answers")))
    rows = Rows(card=CARD, subject=subject, inference=inference, method="ratio of counts of answers", conditions=told)
    scores = bbq_scores(items, chosen, inference=inference, generator=generator)
    estimates = [estimate for score in scores for estimate in _rows(score, rows)]
    unscored = sum(not item.scored for item in items)
    notes = ["bbq: accuracy counts an answer that is none of the three as wrong; bias scores leave it out, and bbq_unparsed says how many."]
    if unscored:
        notes.append(f"bbq: {unscored} questions have no target by the published rules; they are in no bias score.")
    return estimates, notes


def _rows(score: CategoryScores, rows: Rows) -> list[Estimate]:
    found = []
    for key, number in score.numbers.items():
        conditions: dict[str, Condition] = {"category": score.category, "terms": score.terms, "n_items": number.rows}
        if key in _ACCURACY:
            conditions["condition"] = _ACCURACY[key]
        if math.isfinite(number.p_adjusted):
            conditions |= {"p_adjusted": number.p_adjusted, "adjustment": "Holm"}
        tested = math.isfinite(number.p_value)
        one = measured(
            number.value,
            number.low,
            number.high,
            method=number.interval,
            units=number.templates,
            resampled="question templates",
            missing=number.missing,
            p_value=number.p_value if tested else None,
            test="sign flips of question templates, two-sided" if tested else "",
        )
        name = "bbq_accuracy" if key in _ACCURACY else f"bbq_{key}"
        better = {"bbq_accuracy": "higher is better", "bbq_unparsed": "lower is better"}
        found.append(rows.row(name, one, conditions=conditions, direction=better.get(name, "neither")))  # type: ignore[arg-type]  # a Direction
    return found


def bbq_of_files(predictions: Sequence[Path], *, subject: str, inference: Inference) -> Evidence:
    """Scores published answers, without a model; each format of the question is a variant.

    Args:
        predictions: Files of questions with answers in fields "..._pred_FORMAT".
        subject: What the numbers speak of.
        inference: How intervals and tests are made.

    Raises:
        InputError: For files whose formats differ.
    """
    files = [read_bbq_predictions(path) for path in predictions]
    formats = list(files[0].texts)
    for path, file in zip(predictions, files, strict=True):
        if set(file.texts) != set(formats):
            raise InputError(
                f"bbq: {path} has answers in formats {sorted(file.texts)}, {predictions[0]} in {sorted(formats)}; score them apart"
            )
    items = [item for file in files for item in file.items]
    estimates: list[Estimate] = []
    notes: list[str] = []
    for wording in formats:
        chosen = [one for file in files for one in file.chosen(wording)]
        told: dict[str, Condition] = {"variant": f"published answers, {wording}"}
        more, remarks = answer_rows(items, chosen, told=told, subject=subject, inference=inference)
        estimates += more
        notes += remarks
    return Evidence(estimates=tuple(estimates), notes=tuple(dict.fromkeys(notes)))
