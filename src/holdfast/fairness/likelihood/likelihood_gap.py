"""How much more surprising a model finds the first text of each pair than the second: a paired difference, tested as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.core.evidence import Condition, Estimate, Evidence
from holdfast.data.benchmarks import read_crows_pairs
from holdfast.data.benchmarks.documents import json_lines
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference.families import holm
from holdfast.fairness.inference.measured import Measured
from holdfast.fairness.inference.permutation import sign_flip_test
from holdfast.fairness.inference.settings import Inference
from holdfast.fairness.inference.verdicts import equivalence
from holdfast.fairness.language.access import CausalAccess, MaskedAccess, access_name
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.crows_pairs import align, scorable
from holdfast.fairness.likelihood.reading import Reading, read
from holdfast.fairness.likelihood.rows import Rows, student
from holdfast.fairness.metric import Needs

Floats = NDArray[np.float64]
Scale = Literal["log", "perplexity"]

CARD = MetricCard(
    name="likelihood-gap",
    title="Paired difference of perplexity (after Barikeri et al. 2021)",
    notion="unequal treatment of two versions of a text",
    groups="whoever the two texts of a pair are about",
    source_text="pairs of texts that differ in whom they are about",
    level="language model",
    kind="intrinsic",
    unit="nats",
    ideal=0.0,
    direction="neither",
    criticism=(
        "A name or a word that is rarer is more surprising whatever the sentence says, and the gap is not 0 then without any stereotype.",
        "The sentences of Barikeri et al. 2021 are pairs, which a test of two independent samples misses; they are tested as pairs here.",
        "Goldfarb-Tarrant et al. 2021 found no reliable correlation of intrinsic measures with what a system does.",
    ),
    harms="People of whom a model expects less: systems built on it rank, complete and accept texts about them worse.",
    reference="Barikeri et al. 2021, RedditBias: a real-world resource for bias evaluation of conversational language models",
)
NAME = "likelihood_gap"


@dataclass(frozen=True)
class TextPair:
    """Two versions of a text.

    Args:
        first: One of them, such as the text as it was written.
        second: The other one, such as the text with gendered words swapped.
        category: What they differ in.
    """

    first: str
    second: str
    category: str = "all"


def read_text_pairs(path: Path) -> list[TextPair]:
    """Reads pairs.

    Args:
        path: JSON lines of {"first", "second"} and, if wanted, "category"; or CrowS-Pairs as published, whose more stereotypical
            sentence is the first. Packed or not.

    Raises:
        DataError: For a file that cannot be read, or a line of another layout.
    """
    if path.name.removesuffix(".gz").endswith(".csv"):
        return [TextPair(pair.more, pair.less, pair.bias_type) for pair in read_crows_pairs(path)]
    found = []
    for number, record in json_lines(path):
        values = [record.get("first"), record.get("second"), record.get("category", "all")]
        texts = [one for one in values if isinstance(one, str) and one.strip()]
        if len(texts) != len(values):
            raise DataError('give {"first": TEXT, "second": TEXT}, and "category" where wanted', path=path, line=number)
        found.append(TextPair(*texts))
    if not found:
        raise DataError("there is no pair in it", path=path)
    return found


@dataclass(frozen=True, eq=False)
class Surprise:
    """How surprising a model finds both texts of each pair.

    Args:
        first_n: Mean negative log-probability by piece of the first texts, (n,), in nats; NaN where the pair cannot be scored.
        second_n: Of the second ones.
        categories: Of each pair.
        reading: How the model read the texts.
        variant: How they were scored, in words.
    """

    first_n: Floats
    second_n: Floats
    categories: tuple[str, ...]
    reading: Reading
    variant: str


def surprise(access: MaskedAccess | CausalAccess, pairs: Sequence[TextPair]) -> Surprise:
    """Scores both texts of each pair, in one call to the model.

    Args:
        access: A causal model scores log-likelihood, a masked one pseudo-log-likelihood; both by piece.
        pairs: At least one.

    Edge cases:
        Pairs that the model reads alike, and those whose differing pieces are all unknown to it on one side, cannot be scored.
    """
    if not pairs:
        raise InputError("likelihood-gap: there are no pairs; give at least one")
    reading = read(access, [text for pair in pairs for text in (pair.first, pair.second)])
    both = list(zip(reading.pieces[::2], reading.pieces[1::2], strict=True))
    kept = np.array([scorable(*pair, align(*pair)) for pair in both], dtype=bool)
    found = np.array([-asking.mean(values) for values in asking.whole(access, reading.pieces)]).reshape(-1, 2).round(asking.DECIMALS)
    found[~kept] = np.nan
    return Surprise(
        found[:, 0], found[:, 1], tuple(pair.category for pair in pairs), reading, f"{asking.scoring(access)}: mean over pieces"
    )


@dataclass(frozen=True, kw_only=True)
class LikelihoodGap:
    """Paired difference of perplexity.

    Args:
        data: Pairs, see `read_text_pairs`.
        scale: "log" compares log-perplexities, in nats; "perplexity" the perplexities themselves, whose mean a few odd texts decide.
    """

    data: Path | None = None
    scale: Scale = "log"

    card: ClassVar[MetricCard] = CARD
    needs: ClassVar[Needs] = "masked or causal model"

    def __post_init__(self) -> None:
        if self.data is None:
            raise InputError("likelihood-gap: data is missing; give a file of pairs, as CrowS-Pairs or as JSON lines of first and second")
        if self.scale not in get_args(Scale):
            raise InputError(f"likelihood-gap: scale is {self.scale!r}; {nearest(self.scale, get_args(Scale))}")

    def measure(self, given: MaskedAccess | CausalAccess, *, subject: str, inference: Inference) -> Evidence:
        """Measures.

        Args:
            given: The language model.
            subject: The run.
            inference: How intervals and tests are made.

        Raises:
            DataError: For a file that cannot be read.
            InputError: For a model that is neither masked nor causal.
        """
        if not isinstance(given, MaskedAccess | CausalAccess):
            raise InputError(f"likelihood-gap needs a masked or causal language model, and {access_name(given)} is none")
        found = surprise(given, read_text_pairs(self.data))  # type: ignore[arg-type]  # held by __post_init__
        told: dict[str, Condition] = {"variant": f"{found.variant}, {self.scale} scale", **found.reading.conditions}
        told |= asking.first_piece(given, found.reading.pieces)
        rows = Rows(card=CARD, subject=subject, inference=inference, method="first less second text of each pair", conditions=told)
        notes = ["likelihood-gap: the gap holds the rarity of the differing words themselves, and not only what is said of people."]
        undefined = int((~np.isfinite(found.first_n - found.second_n)).sum())
        if undefined:
            notes.append(f"likelihood-gap: {undefined} pairs are undefined: the model cannot tell their texts, or does not know them.")
        return Evidence(estimates=tuple(gap_rows(found, rows, scale=self.scale)), notes=(*found.reading.notes, *notes))


def gap_rows(found: Surprise, rows: Rows, *, scale: Scale) -> list[Estimate]:
    """Makes evidence of the differences: all pairs, and each category, with paired tests.

    Args:
        found: As of `surprise`.
        rows: What all rows have in common.
        scale: "log" or "perplexity".
    """
    first, second = (found.first_n, found.second_n) if scale == "log" else (np.exp(found.first_n), np.exp(found.second_n))
    gaps, categories = first - second, np.array(found.categories, dtype=object)
    known = np.isfinite(gaps)
    names = sorted(set(found.categories) - {"all"})
    unit = "nats" if scale == "log" else "perplexity"
    level = rows.inference.level
    apart = level ** (1 / max(len(names), 1))
    numbers = [_gap(gaps[known & (categories == name)], rows, f"gap {name}", apart) for name in names]
    adjusted = holm([math.nan if one.p_value is None else one.p_value for one in numbers]) if names else np.zeros(0)
    whole = _gap(gaps[known], rows, "gap", level)
    told: dict[str, Condition] = {"category": "all", "undefined": int((~known).sum())}
    estimates = [rows.row(NAME, whole, conditions={**told, "statistic": "difference"}, unit=unit)]
    if scale == "log" and whole.value is not None and whole.low is not None and whole.high is not None:
        value, low, high = (math.exp(one) for one in (whole.value, whole.low, whole.high))
        ratio = Measured(value=value, low=low, high=high, interval=whole.interval, units=whole.units, resampled="pairs")
        estimates.append(rows.row(NAME, ratio, conditions={**told, "statistic": "ratio"}, unit="ratio of perplexities"))
    for name, one, p in zip(names, numbers, adjusted, strict=True):
        told = {"category": name, "statistic": "difference", "undefined": int((~known & (categories == name)).sum())}
        if math.isfinite(p):
            told |= {"p_adjusted": float(p), "adjustment": "Holm"}
        estimates.append(rows.row(NAME, replace(one, interval=f"{one.interval}{_together(names)}"), conditions=told, unit=unit))
    return estimates


def _together(names: Sequence[str]) -> str:
    return f", simultaneous over {len(names)} categories (Sidak)" if len(names) > 1 else ""


def _gap(gaps: Floats, rows: Rows, name: str, level: float) -> Measured:
    inference = rows.inference
    generator = inference.streams(CARD.name).generator(name)
    p_value = sign_flip_test(gaps, inference=inference, generator=generator) if len(gaps) else None
    test = "sign flips of pairs, two-sided"
    found = student(gaps, level=level, resampled="pairs", p_value=p_value, test=test, missing="no pair can be scored")
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0
    if spread > 0:
        found = replace(found, effect_size=float(gaps.mean()) / spread, effect="Cohen's d of paired differences")
    if inference.margin is None:
        return found
    narrow = student(gaps, level=max(2 * level - 1, 0.01), resampled="pairs", missing="no pair can be scored")
    return replace(found, verdict=equivalence(narrow.low, narrow.high, margin=inference.margin))
