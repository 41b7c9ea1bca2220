"""WinoBias of a coreference system: how much better it resolves the pronouns that a stereotype expects, from its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError
from holdfast.core.evidence import Condition, Estimate
from holdfast.data.benchmarks.documents import read_json
from holdfast.fairness.inference.bootstrap import unit_weights
from holdfast.fairness.inference.settings import Inference, Units
from holdfast.fairness.likelihood.rows import Rows, band, measured

Floats = NDArray[np.float64]
Outcome = bool | tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SystemPairs:
    """What a system made of the pairs of sentences of one type.

    Args:
        pro_n3: For the pro-stereotyped sentence of each pair its correct, predicted and true links, (n, 3).
        anti_n3: For the anti-stereotyped one, (n, 3).
        score: "accuracy" where sentences are right or wrong, "F1" where links were counted.
    """

    pro_n3: Floats
    anti_n3: Floats
    score: str


def read_system(path: Path) -> dict[str, SystemPairs]:
    """Reads what a system resolved.

    Args:
        path: JSON of ``{"1": {"pro": {NUMBER: OUTCOME}, "anti": {NUMBER: OUTCOME}}, "2": ...}``, by type of sentence. NUMBER is that
            of the published files; OUTCOME is true or false, or [correct, predicted, true] links of the sentence.

    Raises:
        DataError: For another layout, or a sentence without a partner.
    """
    document = read_json(path)
    if not isinstance(document, dict) or not document or set(document) - {"1", "2"}:
        raise DataError('give {"1": {"pro": {...}, "anti": {...}}, "2": ...}, by type of sentence', path=path)
    found = {}
    for kind, sides in sorted(document.items()):
        if not isinstance(sides, dict) or set(sides) != {"pro", "anti"} or not all(isinstance(side, dict) for side in sides.values()):
            raise DataError(f'type {kind}: give "pro" and "anti", each of sentence numbers', path=path)
        pro, anti = ({number: _outcome(value, kind, number, path) for number, value in sides[side].items()} for side in ("pro", "anti"))
        try:
            found[kind] = system_pairs(pro, anti)
        except InputError as error:
            raise DataError(f"type {kind}: {error}", path=path) from error
    return found


def _outcome(value: Any, kind: str, number: str, path: Path) -> Outcome:
    if isinstance(value, bool):
        return value
    counted = isinstance(value, list) and len(value) == 3 and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
    if counted and 0 <= value[0] <= min(value[1], value[2]):
        return (float(value[0]), float(value[1]), float(value[2]))
    raise DataError(f"type {kind}, sentence {number}: {value!r}; give true, false or [correct, predicted, true] links", path=path)


def system_pairs(pro: Mapping[str, Outcome], anti: Mapping[str, Outcome]) -> SystemPairs:
    """Pairs what a system made of the two versions of each sentence.

    Args:
        pro: Sentence number to whether it was resolved rightly, or to its correct, predicted and true links.
        anti: The same for the other version.

    Raises:
        InputError: For a sentence without a partner, no sentence, or outcomes of both kinds.
    """
    lonely = sorted(set(pro) ^ set(anti))
    if lonely or not pro:
        raise InputError(
            f"sentence {lonely[0]} stands on one side only; give both" if lonely else "there is no sentence; give at least one"
        )
    kinds = {isinstance(value, bool) for value in (*pro.values(), *anti.values())}
    if len(kinds) > 1:
        raise InputError("some sentences are right or wrong and others count links; give one kind for all")
    plain = kinds == {True}
    columns = [np.array([(float(side[n]), 1.0, 1.0) if plain else side[n] for n in sorted(pro)], dtype=np.float64) for side in (pro, anti)]  # type: ignore[arg-type]  # bool where plain
    return SystemPairs(columns[0], columns[1], "accuracy" if plain else "F1")


def f1(sums: Floats) -> Floats:
    """F1 of correct, predicted and true links; for sentences that are right or wrong, the accuracy.

    Args:
        sums: (..., 3).

    Returns:
        (...,); NaN without any link.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * sums[..., 0] / (sums[..., 1] + sums[..., 2]))


def randomisation_test(found: SystemPairs, *, inference: Inference, generator: np.random.Generator) -> float:
    """Tests whether it matters which version of a sentence is the stereotyped one, by swapping the two of random pairs.

    Args:
        found: The pairs.
        inference: How many random swaps are drawn.
        generator: The source of randomness.

    Returns:
        Two-sided p, (1 + swaps with a difference at least as large) / (1 + swaps).

    References:
        Yeh 2000, "More accurate tests for the statistical significance of result differences"; used by Zhao et al. 2018.
    """
    seen = abs(float(f1(found.pro_n3.sum(0)) - f1(found.anti_n3.sum(0))))
    swapped = generator.integers(0, 2, size=(inference.permutations, len(found.pro_n3))).astype(np.float64)
    moved = swapped @ (found.anti_n3 - found.pro_n3)
    gaps = np.abs(f1(found.pro_n3.sum(0) + moved) - f1(found.anti_n3.sum(0) - moved))
    return (1 + int((gaps >= seen - 1e-12).sum())) / (1 + len(gaps))


def system_rows(found: Mapping[str, SystemPairs], rows: Rows) -> list[Estimate]:
    """Makes evidence of what a system resolved: pro, anti and their difference, for each type of sentence.

    Args:
        found: Type to pairs.
        rows: What all rows have in common.
    """
    inference = rows.inference
    estimates = []
    for kind, pairs in found.items():
        generator = inference.streams(rows.card.name).generator(f"system, type {kind}")
        units = Units.rows(len(pairs.pro_n3), what="sentence pairs")
        drawn = np.concatenate(
            [
                np.stack([f1(weights @ pairs.pro_n3), f1(weights @ pairs.anti_n3)], axis=1)
                for weights in unit_weights(units, replicates=inference.replicates, generator=generator)
            ]
        )
        seen = np.array([float(f1(pairs.pro_n3.sum(0))), float(f1(pairs.anti_n3.sum(0)))])
        both = band(seen, drawn, level=inference.level, bounds=(0, 1), what=units.what)
        gap = band(seen[:1] - seen[1:], drawn[:, :1] - drawn[:, 1:], level=inference.level, bounds=(-1, 1), what=units.what)
        told: dict[str, Condition] = {"type": kind, "score": pairs.score}
        count = {"units": units.count, "resampled": units.what, "missing": "there is no link at all"}
        for at, side in enumerate(("pro", "anti")):
            one = measured(float(seen[at]), float(both.low[at]), float(both.high[at]), method=both.method, **count)  # type: ignore[arg-type]
            estimates.append(rows.row("winobias_score", one, conditions={**told, "stereotyped": side}, direction="higher is better"))
        p_value = randomisation_test(pairs, inference=inference, generator=generator)
        test = f"approximate randomisation, {inference.permutations} swaps, two-sided"
        ends = (float(gap.low[0]), float(gap.high[0]))
        difference = measured(float(seen[0] - seen[1]), *ends, method=gap.method, p_value=p_value, test=test, **count)  # type: ignore[arg-type]
        estimates.append(rows.row("winobias_difference", difference, conditions=told))
    return estimates
