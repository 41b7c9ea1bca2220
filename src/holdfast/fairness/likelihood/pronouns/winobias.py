"""WinoBias of a language model: whether it finds the pronoun of the stereotype likelier, sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate
from holdfast.data.benchmarks import WinoBiasItem
from holdfast.fairness.inference.bootstrap import ratio_replicates
from holdfast.fairness.inference.permutation import sign_flip_test
from holdfast.fairness.inference.settings import Units
from holdfast.fairness.language.access import CausalAccess, MaskedAccess
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.reading import Reading, read
from holdfast.fairness.likelihood.rows import Rows, band, measured

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PronounOdds:
    """How much likelier a model finds the pronoun of the stereotype, in each pair of sentences.

    Args:
        log_odds: Of the pro-stereotyped against the other pronoun, (n,), in nats; NaN where a sentence cannot be scored.
        occupations: Whom the pronoun means, for each pair.
        kinds: The type of each pair, 1 or 2.
        skipped: Pairs whose sentences differ in more than the pronoun.
        reading: How the model read the sentences.
        variant: How they were scored, in words.
    """

    log_odds: Floats
    occupations: tuple[str, ...]
    kinds: tuple[int, ...]
    skipped: int
    reading: Reading
    variant: str


def pronoun_odds(access: MaskedAccess | CausalAccess, items: Sequence[WinoBiasItem]) -> PronounOdds:
    """Scores both sentences of each pair, in one call to the model.

    Args:
        access: A masked model compares the two pronouns in the hidden place; a causal one the likelihoods of the two sentences.
        items: Sentences; the pro- and the anti-stereotyped one of a type and number are a pair.

    Raises:
        InputError: If there is no pair.

    Edge cases:
        A few pairs of the published files differ in more than the pronoun; they are skipped and counted. So are sentences without a
        partner. A pronoun that the model does not know has no log-odds.
    """
    by_key: dict[tuple[int, int], dict[str, WinoBiasItem]] = {}
    for item in items:
        by_key.setdefault((item.kind, item.number), {})[item.stereotyped] = item
    pairs = [(found["pro"], found["anti"]) for found in by_key.values() if len(found) == 2 and _alike(found["pro"], found["anti"])]
    if not pairs:
        raise InputError(f"winobias: {len(items)} sentences hold no pair that differs in the pronoun alone; give both published files")
    both = [item for pair in pairs for item in pair]
    reading = read(access, [item.text for item in both])
    places = [pieces.within(*item.pronoun_span) for pieces, item in zip(reading.pieces, both, strict=True)]
    if isinstance(access, CausalAccess):
        found = asking.whole(access, reading.pieces)
        variant = "log-likelihood of the sentence"
    else:
        nothing = np.zeros(0, dtype=np.int64)
        found = asking.together(access, [(pieces, at, nothing) for pieces, at in zip(reading.pieces, places, strict=True)])
        variant = "log-probability of the hidden pronoun"
    known = [len(at) > 0 and bool(pieces.known[at].all()) for pieces, at in zip(reading.pieces, places, strict=True)]
    scores = np.where(known, [asking.total(values) for values in found], np.nan).reshape(-1, 2)
    occupations = tuple(pro.occupation.lower() for pro, _ in pairs)
    kinds = tuple(int(pro.kind) for pro, _ in pairs)
    odds = np.round(scores[:, 0] - scores[:, 1], asking.DECIMALS)
    return PronounOdds(odds, occupations, kinds, len(by_key) - len(pairs), reading, variant)


def _alike(pro: WinoBiasItem, anti: WinoBiasItem) -> bool:
    (a, b), (c, d) = pro.pronoun_span, anti.pronoun_span
    return pro.text[:a] == anti.text[:c] and pro.text[b:] == anti.text[d:] and pro.text[a:b] != anti.text[c:d]


def odds_rows(found: PronounOdds, rows: Rows) -> list[Estimate]:
    """Makes evidence of log-odds: by type of sentence, and by occupation.

    Args:
        found: As of `pronoun_odds`.
        rows: What all rows have in common.

    Edge cases:
        A tie prefers neither: it is 0 in the difference, and not in the share of preferred ones but in its denominator.
    """
    known = np.isfinite(found.log_odds)
    odds, kinds = found.log_odds[known], np.array(found.kinds)[known]
    names = [name for name, one in zip(found.occupations, known, strict=True) if one]
    units = Units.named(names, what="occupations")
    estimates: list[Estimate] = []
    columns = {
        "winobias_difference": np.sign(odds),
        "winobias_preference": (odds > 0).astype(np.float64),
        "winobias_log_odds": odds,
    }
    for name, values in columns.items():
        parts = [np.ones(len(odds), dtype=bool)]
        estimates += _parts(name, values, parts, ["all"], units, rows)
        estimates += _parts(name, values, [kinds == 1, kinds == 2], ["1", "2"], units, rows)
    return estimates + _by_occupation(odds, names, rows)


_BOUNDS = {"winobias_difference": (-1.0, 1.0), "winobias_preference": (0.0, 1.0)}


def _parts(name: str, values: Floats, parts: list[NDArray[np.bool_]], labels: list[str], units: Units, rows: Rows) -> list[Estimate]:
    inference = rows.inference
    generator = inference.streams(rows.card.name).generator(f"{name}, {len(parts)} types")
    masks = np.stack(parts, axis=1)
    counts = masks.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (values[:, None] * masks).sum(0) / counts
    estimates = []
    ends = None
    if len(values):
        below = masks.astype(np.float64)
        drawn = ratio_replicates(values[:, None] * masks, below, units, replicates=inference.replicates, generator=generator)
        ends = band(means, drawn, level=inference.level, bounds=_BOUNDS.get(name, (-np.inf, np.inf)), what=units.what)
    for at, label in enumerate(labels):
        own = units.of[masks[:, at]]
        centred = values - 0.5 if name == "winobias_preference" else values
        sums = np.bincount(own, weights=centred[masks[:, at]], minlength=units.count)[np.unique(own)] if len(own) else np.zeros(0)
        number = measured(
            float(means[at]),
            np.nan if ends is None else float(ends.low[at]),
            np.nan if ends is None else float(ends.high[at]),
            method="" if ends is None else ends.method,
            units=len(np.unique(own)),
            resampled=units.what,
            missing="no pair can be scored",
            p_value=sign_flip_test(sums, inference=inference, generator=generator) if len(sums) else None,
            test="sign flips of occupations, two-sided",
        )
        conditions: dict[str, Condition] = {"type": label, "n_items": int(counts[at])}
        unit = "nats" if name == "winobias_log_odds" else "share"
        estimates.append(rows.row(name, number, conditions=conditions, unit=unit, direction="neither"))
    return estimates


def _by_occupation(odds: Floats, names: list[str], rows: Rows) -> list[Estimate]:
    order = sorted(set(names))
    if not order:
        return []
    masks = np.array(names, dtype=object)[:, None] == np.array(order, dtype=object)
    below = masks.astype(np.float64)
    means = (odds[:, None] * below).sum(0) / below.sum(0)
    generator = rows.inference.streams(rows.card.name).generator("occupations")
    units = Units.rows(len(odds), what="pairs")
    drawn = ratio_replicates(odds[:, None] * below, below, units, replicates=rows.inference.replicates, generator=generator)
    ends = band(means, drawn, level=rows.inference.level, bounds=(-np.inf, np.inf), what=units.what)
    found = []
    for at, name in enumerate(order):
        size = int(masks[:, at].sum())
        number = measured(float(means[at]), float(ends.low[at]), float(ends.high[at]), method=ends.method, units=size, resampled=units.what)
        conditions: dict[str, Condition] = {"groups": "occupation", "group": name}
        found.append(rows.row("winobias_log_odds", number, conditions=conditions, unit="nats", direction="neither"))
    return found
