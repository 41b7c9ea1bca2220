"""What an audit costs beside the losses themselves: the AUC interval, the evidence of a set of scores, a whole attack."""

from __future__ import annotations

import functools

import numpy as np
from harness import Row, interleaved, options, report, timed_rows
from sklearn.metrics import roc_auc_score

from holdfast.audit import MembershipGame, Scores, loss_threshold
from holdfast.data import Dataset, load_data

RESAMPLES = 200


class Lengths:
    """A stand-in for a model: the loss of an utterance is its number of words, which costs next to nothing."""

    def losses(self, data: Dataset) -> np.ndarray:
        """One number for each utterance, (n,)."""
        return np.array([len(tokens) for tokens in data.tokens()], dtype=float)


def by_bootstrap(members: np.ndarray, nonmembers: np.ndarray) -> tuple[float, float]:
    """What is often done instead of DeLong: a percentile bootstrap over both sides."""
    rng = np.random.default_rng(0)
    truth = np.repeat([1, 0], [members.size, nonmembers.size])
    areas = [
        roc_auc_score(truth, np.concatenate([rng.choice(members, members.size), rng.choice(nonmembers, nonmembers.size)]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(areas, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    arguments = options(__doc__)
    size, repeats = (500, 1) if arguments.quick else (10_000, 5)
    rng = np.random.default_rng(0)
    scores = Scores(members=rng.normal(0.5, 1, size), nonmembers=rng.normal(0, 1, size), attack="toy", access="none", reference="none")
    data = load_data(f"assistant:train={size},validation=1,test={size}")
    bootstrap = f"scikit-learn, {RESAMPLES} bootstrap samples"
    auc = {"holdfast": scores.auc, bootstrap: functools.partial(by_bootstrap, scores.members, scores.nonmembers)}
    steps = {
        "evidence of the scores": functools.partial(scores.evidence, subject="toy"),
        "copies and blind classifier": functools.partial(MembershipGame.between, data.train, data.test),
        "whole attack without the model": functools.partial(loss_threshold, Lengths(), members=data.train, nonmembers=data.test),
    }
    rows: list[Row] = timed_rows(
        "membership",
        f"AUC with interval, {size:,} members and as many non-members",
        interleaved(auc, repeats=repeats),
        ratio_to=bootstrap,
    )
    for name, call in steps.items():
        timings = interleaved({"holdfast": call}, repeats=repeats)
        rows += timed_rows("membership", f"{name}, {size:,} members and as many non-members", timings, ratio_to="")
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
