"""The metric WinoBias: of a language model, or of the answers of a coreference system."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from holdfast.core.errors import InputError, nearest
from holdfast.core.evidence import Condition, Evidence
from holdfast.data.benchmarks import read_winobias
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference.settings import Inference
from holdfast.fairness.language.access import CausalAccess, MaskedAccess, access_name
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.pronouns.systems import read_system, system_rows
from holdfast.fairness.likelihood.pronouns.winobias import odds_rows, pronoun_odds
from holdfast.fairness.likelihood.rows import Rows
from holdfast.fairness.metric import Needs

Split = Literal["dev", "test"]

CARD = MetricCard(
    name="winobias",
    title="WinoBias (Zhao et al. 2018)",
    notion="stereotyping of occupations in coreference",
    groups="women and men, by English pronouns",
    source_text="sentences about two occupations and a pronoun (WinoBias)",
    level="decision",
    kind="extrinsic",
    unit="share",
    ideal=0.0,
    direction="neither",
    criticism=(
        "Blodgett et al. 2021 found sentences whose pronoun may mean either person, and pairs that are no counterparts.",
        "Ethayarajh 2020: to call a gap of 5 points at 95 % one would need 3.8 times as many sentences.",
        "Binary gender of English pronouns, and 40 occupations by statistics of the United States.",
        "What a language model finds likelier is not what a coreference system does; the two variants are different numbers.",
    ),
    harms="Women and men in occupations where they are few, whom a system does not recognise as those who do the work.",
    reference="Zhao et al. 2018, Gender bias in coreference resolution: evaluation and debiasing methods",
)


@dataclass(frozen=True, kw_only=True)
class WinoBias:
    """WinoBias.

    Args:
        data: The folder of the published files, for language models.
        split: "dev" or "test".
        predictions: A JSON file of what a coreference system resolved, see `read_system`; the model is then not looked at.
    """

    data: Path | None = None
    split: Split = "test"
    predictions: Path | None = None

    card: ClassVar[MetricCard] = CARD
    needs: ClassVar[Needs] = "masked or causal model"

    def __post_init__(self) -> None:
        if (self.data is None) == (self.predictions is None):
            raise InputError("winobias: give data, the folder of the published files, or predictions of a system, and not both")
        if self.split not in get_args(Split):
            raise InputError(f"winobias: split is {self.split!r}; {nearest(self.split, get_args(Split))}")

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
        if self.predictions is not None:
            told: dict[str, Condition] = {"variant": "answers of a coreference system"}
            rows = Rows(card=CARD, subject=subject, inference=inference, method="pro- less anti-stereotyped sentences", conditions=told)
            return Evidence(estimates=tuple(system_rows(read_system(self.predictions), rows)))
        if not isinstance(given, MaskedAccess | CausalAccess):
            raise InputError(f"winobias needs a masked or causal language model, and {access_name(given)} is none; or give predictions")
        found = pronoun_odds(given, read_winobias(self.data, self.split))  # type: ignore[arg-type]  # held by __post_init__
        undefined = int((~np.isfinite(found.log_odds)).sum())
        told = {"variant": found.variant, **found.reading.conditions, "skipped": found.skipped, "undefined": undefined}
        told |= asking.first_piece(given, found.reading.pieces)
        method = "pairs of sentences in which the pronoun of the stereotype is likelier, less those in which it is not"
        rows = Rows(card=CARD, subject=subject, inference=inference, method=method, conditions=told)
        notes = ["winobias: a language model is asked which pronoun it expects, not whom the pronoun means."]
        if found.skipped:
            notes.append(f"winobias: {found.skipped} sentences have no partner that differs in the pronoun alone; they were skipped.")
        if undefined:
            notes.append(f"winobias: {undefined} pairs are undefined, because the model does not know the pronoun, or gives it no chance.")
        return Evidence(estimates=tuple(odds_rows(found, rows)), notes=(*found.reading.notes, *notes))
