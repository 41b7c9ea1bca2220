"""What one writes without a library for it: partitions, replicates and masked pieces one by one, with numpy, scikit-learn and torch."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measuring.jobs import Arrays, Job, Work, rates_of
from measuring.line import serve

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]


def weat(job: Job) -> Work:
    """Associations once, then partition after partition: in order where there are few, shuffled where there are many."""
    unit = {side: rows / np.linalg.norm(rows, axis=1, keepdims=True) for side, rows in job.arrays.items()}
    targets = np.concatenate([unit["x"], unit["y"]])
    half, exact = len(unit["x"]), job.case == "weat-exact-12870"

    def run() -> tuple[float, float]:
        scores_n = (targets @ unit["a"].T).mean(1) - (targets @ unit["b"].T).mean(1)
        seen, total, further = float(scores_n[:half].sum()), float(scores_n.sum()), 0
        if exact:
            for chosen in islice(combinations(range(2 * half), half), job.amount):
                further += scores_n[list(chosen)].sum() >= seen
        else:
            rng = np.random.default_rng(0)
            for _ in range(job.amount):
                further += scores_n[rng.permutation(2 * half)[:half]].sum() >= seen
        return 2 * seen - total, further / job.amount

    note = f"numpy, {job.amount:,} {'of the' if exact else 'random'} partitions"
    return Work(run=run, values=lambda found: [found[0]], amount=job.amount, note=note)


def rates(job: Job) -> Work:
    """Rows drawn with replacement, and a mean for each rate of each group."""
    arrays = job.arrays
    count = int(arrays["group"].max()) + 1

    def table(rows: NDArray[Any]) -> list[list[float]]:
        group_n, true_n, pred_n = (arrays[name][rows] for name in ("group", "y_true", "y_pred"))
        return [rates_of(true_n[group_n == group], pred_n[group_n == group]) for group in range(count)]

    def run() -> list[list[float]]:
        rng, rows = np.random.default_rng(0), len(arrays["group"])
        for _ in range(job.amount - 1):
            table(rng.integers(0, rows, rows))
        return table(np.arange(rows))

    return Work(run=run, values=lambda found: np.array(found).T, amount=job.amount, note=f"numpy, {job.amount} tables")


def areas(job: Job) -> Work:
    """`roc_auc_score` three times a group, on the data as they are: what one replicate takes without its draw."""
    from sklearn.metrics import roc_auc_score

    group_n, true_n, score_n = (job.arrays[name] for name in ("group", "y_true", "score"))

    def run() -> list[list[float]]:
        found: list[list[float]] = [[], [], []]
        for group in range(int(group_n.max()) + 1):
            inside = group_n == group
            parts = (inside, (true_n & ~inside) | (~true_n & inside), (true_n & inside) | (~true_n & ~inside))
            for place, part in enumerate(parts):
                found[place].append(float(roc_auc_score(true_n[part], score_n[part])))
        return found

    return Work(run=run, values=np.array, amount=job.amount, note="scikit-learn, three areas of each group, the data as they are")


def crows_pairs(job: Job) -> Work:
    """As the published script does: one sentence at a time, once for each piece that both share, all pieces scored at all places."""
    import torch

    model = fitted(job.arrays)
    rows = [model.featuriser.encode([text.split() for text in job.arrays[side][: job.amount]]).pieces for side in ("more", "less")]

    def score(ids: Ids, places: list[int]) -> float:
        total = 0.0
        for place in places:
            ids_BT = torch.from_numpy(ids.astype(np.int64))[None]
            hidden_BT = torch.zeros_like(ids_BT, dtype=torch.bool)
            hidden_BT[0, place] = True
            states_BTD = model.module.states(ids_BT, torch.ones_like(hidden_BT), hidden_BT)
            total += float(model.module.scores(states_BTD)[0, place].log_softmax(0)[ids[place]])
        return round(total, 3)

    def run() -> list[list[float]]:
        found: list[list[float]] = [[], []]
        with torch.no_grad():
            for pair in zip(*rows, strict=True):
                blocks = difflib.SequenceMatcher(None, *(ids.tolist() for ids in pair)).get_matching_blocks()
                for side, ids in enumerate(pair):
                    starts = [(block.a, block.b)[side] for block in blocks]
                    shared = [start + step for start, block in zip(starts, blocks, strict=True) for step in range(block.size)]
                    found[side].append(score(ids, [place for place in shared if place < len(ids) - 1]))  # the end marker is no word
        return found

    return Work(
        run=run, values=lambda found: np.array(found).T, amount=job.amount, note=f"torch, {job.amount} pairs, one sentence at a time"
    )


@dataclass(frozen=True, eq=False)
class Fitted:
    """As much of a trained model as scoring looks at."""

    name: str
    module: Any
    featuriser: Any
    device: str = "cpu"


def fitted(arrays: Arrays) -> Fitted:
    """An encoder of 4 layers of width 256 with random weights, and a vocabulary of the words of the pairs, cut at blanks."""
    from holdfast.core.randomness import Streams
    from holdfast.models import Labels, MaskedEncoder

    shape = MaskedEncoder(width=256, layers=4, heads=4, feedforward=1024, dropout=0.0, min_count=1, max_length=512)
    featuriser = shape.featuriser([str(text).split() for side in ("more", "less") for text in arrays[side]])
    module = shape.build(featuriser, Labels(next_words=True), Streams.from_seed(1)).eval()
    return Fitted("random", module, featuriser)


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
