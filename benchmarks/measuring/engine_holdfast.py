"""Ours: a whole metric from data to evidence, or the part of it alone that the others do."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.fairness.association import WEAT, Cosines, WordVectors
from holdfast.fairness.groups import DemographicParity, EqualisedOdds, EqualOpportunity, UnintendedBiasAUC
from holdfast.fairness.groups.areas import RankedScores
from holdfast.fairness.groups.rates import RateTable
from holdfast.fairness.inference import Inference, Units, partition_test, ratio_replicates
from holdfast.fairness.predictions import Groups, Predictions
from measuring.jobs import Arrays, Job, Work
from measuring.line import serve

Floats = NDArray[np.float64]
RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")
AREAS = ("subgroup_auc", "bpsn_auc", "bnsp_auc")


def settings(job: Job) -> Inference:
    """Replicates are those of the case; all else is as users get it."""
    return Inference(replicates=job.amount)


def weat(job: Job) -> Work:
    """One test, exact where there are few enough partitions: all of WEAT, or its test from the vectors on."""
    names = {side: tuple(f"{side}{place}" for place in range(len(vectors))) for side, vectors in job.arrays.items()}
    sides = [job.arrays[side] for side in "xyab"]
    exact = job.case == "weat-exact-12870"
    inference = Inference(permutations=max(100, job.amount), exact_up_to=job.amount if exact else 0)

    def cosines() -> Cosines:
        return Cosines.of_words(*sides, words=tuple(names[side] for side in "xyab"))

    def sums(_: object) -> list[float]:
        found = cosines()
        return [float(found.scores[found.first].sum() - found.scores[~found.first].sum())]

    def alone() -> object:
        found = cosines()
        return partition_test(found.scores, found.first, inference=inference, generator=Streams.from_seed(0).generator("partitions"))

    if job.variant == "alone":
        return Work(run=alone, values=sums, amount=job.amount, note="cosines and test")
    sets = dict(zip(("target_x", "target_y", "attribute_a", "attribute_b"), (list(names[side]) for side in "xyab"), strict=True))
    folder = tempfile.TemporaryDirectory(prefix="weat")
    path = Path(folder.name) / "tests.json"
    path.write_text(json.dumps({"tests": {"drawn": sets}}))
    vectors = WordVectors(tuple(name for side in "xyab" for name in names[side]), np.concatenate(sides), "drawn", None, "exact")

    def metric() -> object:  # its folder lives as long as it does
        return WEAT(stimuli=Path(folder.name) / path.name).measure(vectors, subject="benchmark", inference=inference)

    return Work(run=metric, values=sums, amount=job.amount, note="effect size, test, interval by 1,000 replicates, evidence")


def predictions_of(arrays: Arrays) -> Predictions:
    """The rows of a job; probabilities by a logistic curve, which leaves the order of scores as it is."""
    group_n, score_n = arrays["group"], 1 / (1 + np.exp(-arrays["score"]))
    count = int(group_n.max()) + 1
    groups = Groups("group", tuple(f"group {place}" for place in range(count)), np.eye(count, dtype=bool)[group_n])
    y_true, y_pred = (arrays[name].astype(np.int64) for name in ("y_true", "y_pred"))
    return Predictions(y_true, y_pred, ("no", "yes"), groups, Units.rows(len(group_n)), np.stack([1 - score_n, score_n], axis=1), ("yes",))


def rates(job: Job) -> Work:
    """Three rates of each group: as three metrics with their tests, or their replicates alone."""
    given, inference = predictions_of(job.arrays), settings(job)
    table = RateTable.of(given, RATES)

    def values(_: object) -> Floats:
        return table.values

    def alone() -> object:
        counted = RateTable.of(given, RATES)
        members = counted.groups.members[:, None, :]
        above, below = ((side[:, :, None] & members).reshape(len(given), -1) for side in (counted.above_nQ, counted.below_nQ))
        generator = Streams.from_seed(0).generator("bootstrap")
        return counted.values, ratio_replicates(above, below, given.units, replicates=job.amount, generator=generator)

    def metric() -> object:
        metrics = (DemographicParity(), EqualOpportunity(), EqualisedOdds())
        return [one.measure(given, subject="benchmark", inference=inference) for one in metrics]

    if job.variant == "alone":
        return Work(run=alone, values=values, amount=job.amount, note="rates and their replicates")
    told = f"differences, ratios, intervals, {inference.permutations:,} permutations for each of 4 tests, evidence"
    return Work(run=metric, values=values, amount=job.amount, note=told)


def areas(job: Job) -> Work:
    """Areas of each group: as a metric, or their replicates alone."""
    given, inference = predictions_of(job.arrays), settings(job)
    assert given.scores is not None
    ranked = (given.scores[:, 1], given.y_true == 1, given.groups.members)

    def values(_: object) -> Floats:
        seen = RankedScores.of(*ranked).areas().by_group
        return np.stack([seen[area][0] for area in AREAS])

    def alone() -> object:
        generator = Streams.from_seed(0).generator("bootstrap")
        return RankedScores.of(*ranked).replicates(given.units, replicates=job.amount, generator=generator)

    def metric() -> object:
        return UnintendedBiasAUC().measure(given, subject="benchmark", inference=inference)

    if job.variant == "alone":
        return Work(run=alone, values=values, amount=job.amount, note="five areas of each group")
    return Work(run=metric, values=values, amount=job.amount, note="five areas of each group, means, intervals, evidence")


def crows_pairs(job: Job) -> Work:
    """The published way of scoring, from a file of pairs to evidence."""
    from holdfast.data.benchmarks import read_crows_pairs
    from holdfast.fairness.language import of_run
    from holdfast.fairness.likelihood.crows_pairs import CrowsPairsNangia, score_pairs
    from measuring.engine_loop import fitted

    folder = tempfile.TemporaryDirectory(prefix="pairs")
    path = Path(folder.name) / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("sent_more", "sent_less", "stereo_antistereo", "bias_type"))
        table.writerows((more, less, "stereo", kind) for more, less, kind in zip(*job.arrays.values(), strict=True))
    access = of_run(fitted(job.arrays))  # type: ignore[arg-type]  # as much of a run as is looked at

    def metric() -> object:  # its folder lives as long as it does
        return CrowsPairsNangia(data=Path(folder.name) / path.name).measure(access, subject="benchmark", inference=Inference())

    def values(_: object) -> Floats:
        found = score_pairs(access, read_crows_pairs(path)[:COMPARED], variant="nangia").preferences
        return np.stack([found.more_n, found.less_n], axis=1)  # pair by pair: others may do fewer

    return Work(run=metric, values=values, amount=job.amount, note=f"{access.module.pieces:,} pieces in the vocabulary")


COMPARED = 10
MAKERS: dict[str, Callable[[Job], Work]] = {
    "weat-exact-12870": weat,
    "weat-1e6": weat,
    "rates-bootstrap": rates,
    "auc-bootstrap": areas,
    "crows-pairs": crows_pairs,
}


def maker(job: Job) -> Work:
    """The work of a case."""
    return MAKERS[job.case](job)


if __name__ == "__main__":
    serve(maker, *sys.argv[1:])
