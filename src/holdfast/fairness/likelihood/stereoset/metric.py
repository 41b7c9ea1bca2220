"""The metric StereoSet: of a language model, or of published predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.data.benchmarks import StereoSetItem, read_stereoset, read_stereoset_predictions
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference.settings import Inference
from holdfast.fairness.language.access import CausalAccess, MaskedAccess, access_name
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.leaving_out import bad_items
from holdfast.fairness.likelihood.rows import Rows, measured
from holdfast.fairness.likelihood.stereoset.scores import DomainScore, Triplets, domain_scores
from holdfast.fairness.likelihood.stereoset.scoring import (
    Filling,
    SentenceScores,
    degenerate,
    doubtful,
    score_intersentence,
    score_intrasentence,
)
from holdfast.fairness.metric import Needs

Floats = NDArray[np.float64]
Doubtful = Literal["keep", "leave out"]
KINDS = ("intrasentence", "intersentence")

CARD = MetricCard(
    name="stereoset",
    title="StereoSet (Nadeem et al. 2021)",
    notion="stereotyping",
    groups="target terms of four domains: gender, profession, race, religion",
    source_text="crowdsourced contexts with three continuations (StereoSet)",
    level="language model",
    kind="intrinsic",
    unit="points",
    ideal=50.0,
    direction="neither",
    criticism=(
        "Blodgett et al. 2021 found items without a clear construct, with wrong grammar, or whose anti-stereotype is no counterpart.",
        "A mean over target terms of few items each: religion has three terms, so that its score may be anything between far apart ends.",
        "Scores of masked models depend on how a word of several pieces is filled in; the published code has two such traps.",
        "ICAT mixes how good a language model is with how it stereotypes; a bad model and a stereotyping one may have the same score.",
        "Goldfarb-Tarrant et al. 2021 found no reliable correlation of intrinsic measures with what a system does.",
    ),
    harms="People of the target groups, whom a model far above 50 describes by the stereotype where it has a choice.",
    reference="Nadeem et al. 2021, StereoSet: measuring stereotypical bias in pretrained language models",
)
_NAMES = {"lms": "stereoset_lms", "ss": "stereoset_ss", "icat": "stereoset_icat"}


@dataclass(frozen=True, kw_only=True)
class StereoSet:
    """StereoSet.

    Args:
        data: The published JSON (``dev.json``, or its items in a list), or the compact CSV; for predictions the JSON, which has the ids.
        predictions: Published scores of sentences by id; the model is then not looked at.
        kinds: "intrasentence", "intersentence" or both; those that the data has.
        filling: How a masked model scores a filler, see `score_intrasentence`.
        doubtful: What becomes of items that are malformed: "leave out" tells the scores without them beside those of all.
        leave_out: A file of further items that are known to be bad, one number a line, counted from 0 in the order of the data.
    """

    data: Path | None = None
    predictions: Path | None = None
    kinds: tuple[str, ...] = KINDS
    filling: Filling = "left to right"
    doubtful: Doubtful = "keep"
    leave_out: Path | None = None

    card: ClassVar[MetricCard] = CARD
    needs: ClassVar[Needs] = "masked or causal model"

    def __post_init__(self) -> None:
        if self.data is None:
            raise InputError("stereoset: data is missing; give the path of the published file, such as dev.json")
        for name, value, valid in (("filling", self.filling, get_args(Filling)), ("doubtful", self.doubtful, get_args(Doubtful))):
            if value not in valid:
                raise InputError(f"stereoset: {name} is {value!r}; {nearest(value, valid)}")
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise InputError(f"stereoset: kinds {self.kinds}; give some of {', '.join(KINDS)}")

    def measure(self, given: MaskedAccess | CausalAccess | None, *, subject: str, inference: Inference) -> Evidence:
        """Measures.

        Args:
            given: The language model; not looked at where there are predictions.
            subject: The run.
            inference: How intervals and tests are made.

        Raises:
            DataError: For a file that cannot be read, or predictions without a score for a sentence.
            InputError: For a model that is neither masked nor causal.
        """
        if self.predictions is None and not isinstance(given, MaskedAccess | CausalAccess):
            raise InputError(f"stereoset needs a masked or causal language model, and {access_name(given)} is none; or give predictions")
        items = read_stereoset(self.data)  # type: ignore[arg-type]  # held by __post_init__
        bad = set() if self.leave_out is None else bad_items(self.leave_out, count=len(items))
        if self.doubtful == "leave out":
            bad |= {at for at, item in enumerate(items) if doubtful(item)}
        estimates: list[Estimate] = []
        notes: list[str] = [
            "stereoset: SS says how often a model finds the stereotype likelier than its contrary, not what it does to people; read it "
            "beside LMS, for a model that knows no language has SS 50 too."
        ]
        for kind in self.kinds:
            places = [at for at, item in enumerate(items) if item.kind == kind and not degenerate(item)]
            if not places:
                continue
            skipped = sum(item.kind == kind and degenerate(item) for item in items)
            found = self._scored(given, [items[at] for at in places])
            part = _Part(
                kind, [items[at] for at in places], found, skipped, np.array([at in bad for at in places]), self._told(given, found)
            )
            more, remarks = _evidence(part, subject=subject, inference=inference)
            estimates += more
            notes += remarks
        if not estimates:
            raise InputError(f"stereoset: {self.data} has no item of kind {' or '.join(self.kinds)} that can be scored; name another kind")
        return Evidence(estimates=tuple(estimates), notes=tuple(dict.fromkeys(notes)))

    def _scored(self, given: MaskedAccess | CausalAccess | None, items: Sequence[StereoSetItem]) -> SentenceScores | Floats:
        if self.predictions is not None:
            return predicted_scores(items, read_stereoset_predictions(self.predictions), path=self.predictions)
        assert given is not None
        if items[0].kind == "intersentence":
            return score_intersentence(given, items)
        return score_intrasentence(given, items, filling=self.filling)

    def _told(self, given: MaskedAccess | CausalAccess | None, found: SentenceScores | Floats) -> Mapping[str, Condition]:
        if not isinstance(found, SentenceScores) or given is None:
            return {"variant": "published predictions"}
        return {"variant": found.variant, **found.reading.conditions, **asking.first_piece(given, found.reading.pieces)}


def predicted_scores(items: Sequence[StereoSetItem], scores: Mapping[str, float], *, path: Path | None = None) -> Floats:
    """Puts published scores in the order of items, (n, 3).

    Args:
        items: With the ids of their sentences.
        scores: Sentence id to score.
        path: Where the scores stand, for messages.

    Raises:
        DataError: For an item without ids, or a sentence without a score.
    """
    found = np.empty((len(items), 3))
    for at, item in enumerate(items):
        if item.identifiers is None:
            raise DataError(f"item {at}, {item.context!r}, has no sentence ids; give the gold file as JSON, whose sentences have them")
        for side, identifier in enumerate(item.identifiers):
            if identifier not in scores:
                raise DataError(f"there is no score of sentence {identifier!r} of {item.context!r}; give predictions for all", path=path)
            found[at, side] = scores[identifier]
    return found


@dataclass(frozen=True, eq=False)
class _Part:
    """What was scored of one kind of items: `bad` says which are known to be bad, (n,)."""

    kind: str
    items: Sequence[StereoSetItem]
    found: SentenceScores | Floats
    skipped: int
    bad: NDArray[np.bool_]
    told: Mapping[str, Condition]


def _evidence(part: _Part, *, subject: str, inference: Inference) -> tuple[list[Estimate], list[str]]:
    scores = part.found.scores_n3 if isinstance(part.found, SentenceScores) else part.found
    known = np.asarray(np.isfinite(scores).all(axis=1))
    notes = list(part.found.reading.notes) if isinstance(part.found, SentenceScores) else []
    if part.skipped:
        notes.append(f"stereoset: {part.skipped} {part.kind} items were skipped, because their context has not exactly one blank.")
    if not known.all():
        notes.append(
            f"stereoset: {int((~known).sum())} {part.kind} items are undefined: the model does not know or cannot tell their texts."
        )
    told = {**part.told, "kind": part.kind, "ties": "count as anti-stereotype", "skipped": part.skipped, "undefined": int((~known).sum())}
    terms, domains = tuple(item.target for item in part.items), tuple(item.bias_type for item in part.items)
    chosen: list[tuple[str, NDArray[np.bool_], bool]] = [("all", known, not part.bad.any())]
    if part.bad.any():
        chosen.insert(0, ("without those known to be bad", known & ~part.bad, True))
    estimates: list[Estimate] = []
    for name, kept, apart in chosen:
        rows = Rows(card=CARD, subject=subject, inference=inference, method="mean over target terms", conditions={**told, "items": name})
        if not kept.any():
            reason = "no item of this kind can be scored"
            nothing = measured(np.nan, np.nan, np.nan, method="", units=0, resampled="target terms", missing=reason)
            estimates += [rows.row(key, nothing, conditions={"category": "all"}) for key in _NAMES.values()]
            continue
        triplets = Triplets(np.where(known[:, None], scores, 0.0), terms, domains).where(kept)
        generator = inference.streams(CARD.name).generator(f"{part.kind}, {name}")
        for score in domain_scores(triplets, inference=inference, generator=generator):
            if apart or score.domain == "all":
                estimates += _rows(score, rows)
    return estimates, notes


def _rows(score: DomainScore, rows: Rows) -> list[Estimate]:
    found = []
    for key, name in _NAMES.items():
        test = key == "ss"
        conditions: dict[str, Condition] = {"category": score.domain, "n_items": score.items}
        if test and np.isfinite(score.p_adjusted):
            conditions |= {"p_adjusted": score.p_adjusted, "adjustment": "Holm"}
        number = measured(
            score.values[key],
            score.lows[key],
            score.highs[key],
            method=score.interval,
            units=score.terms,
            resampled="target terms",
            p_value=score.p_value if test else None,
            test="sign flips of target terms against 50, two-sided" if test else "",
        )
        found.append(rows.row(name, number, conditions=conditions, direction="neither" if test else "higher is better"))
    return found


def stereoset_of_files(predictions: Path, gold: Path, *, subject: str, inference: Inference) -> Evidence:
    """Scores published predictions, without a model.

    Args:
        predictions: Scores of sentences by id.
        gold: The items, with ids.
        subject: What the numbers speak of.
        inference: How intervals and tests are made.
    """
    return StereoSet(data=gold, predictions=predictions).measure(None, subject=subject, inference=inference)
