"""What the cases are about: words with vectors, decisions and scores of groups, pairs of sentences. All are drawn but the real pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from holdfast.core.randomness import Streams
from holdfast.data.benchmarks import read_crows_pairs
from measuring.jobs import Arrays

STREAMS = Streams.from_seed(7).child("benchmark of fairness")
SHARED = Path(__file__).resolve().parents[3] / "shared"
"""The folder of real data, where there is one beside the checkout."""
GROUPS, WIDTH = 10, 300
ROWS, QUICK_ROWS, QUICK_PAIRS = 100_000, 2_000, 12
MADE_UP = (
    ("women", "men"),
    ("are", "were", "seem"),
    ("always", "never", "often"),
    ("late", "kind", "loud", "busy"),
    ("at", "after"),
    ("work",),
)


def words(size: int) -> Arrays:
    """Vectors of two sets of target and two of attribute words, of `size` words each; the first of each lean the same way."""
    rng = STREAMS.generator("words", size)
    lean = rng.normal(size=WIDTH)
    return {name: rng.normal(size=(size, WIDTH)) + side * 0.15 * lean for name, side in zip("xyab", (1, -1, 1, -1), strict=True)}


def decisions(rows: int) -> Arrays:
    """Labels, decisions, scores and the group of each row; rates of groups differ a little."""
    rng = STREAMS.generator("decisions", rows)
    group_n = rng.integers(0, GROUPS, rows)
    true_n = rng.random(rows) < 0.4
    score_n = rng.normal(size=rows) + 1.2 * true_n + 0.02 * group_n
    return {"group": group_n, "y_true": true_n, "y_pred": score_n > 0.6, "score": score_n}


def pairs(count: int) -> Arrays:
    """Pairs of sentences in shuffled order: those of CrowS-Pairs where it is at hand, else as many made up of few words."""
    path = SHARED / "data" / "crows_pairs" / "crows_pairs_anonymized.csv.gz"
    if path.exists():
        real = read_crows_pairs(path)
        chosen = STREAMS.generator("order").permutation(len(real))[:count]  # so that the first few are as long as all are
        found = [(real[place].more, real[place].less, real[place].bias_type) for place in chosen]
    else:
        rng = STREAMS.generator("pairs")
        found = []
        for _ in range(count):
            ends = [" ".join(str(rng.choice(part)) for part in MADE_UP[1:]) for _ in range(3)]
            more, less = (f"{who} {', '.join(ends)} ." for who in MADE_UP[0])
            found.append((more, less, "made up"))
    return {name: np.array(column) for name, column in zip(("more", "less", "kind"), zip(*found, strict=True), strict=True)}


INPUTS: dict[str, Callable[[bool], Arrays]] = {
    "weat-exact-12870": lambda quick: words(8),
    "weat-1e6": lambda quick: words(8 if quick else 25),
    "rates-bootstrap": lambda quick: decisions(QUICK_ROWS if quick else ROWS),
    "auc-bootstrap": lambda quick: decisions(QUICK_ROWS if quick else ROWS),
    "crows-pairs": lambda quick: pairs(QUICK_PAIRS if quick else 1_508),
}
"""By case, whether small or not."""


def are_made_up(arrays: Arrays) -> bool:
    """Whether the sentences of a job are not those of CrowS-Pairs."""
    return "kind" in arrays and bool((arrays["kind"] == "made up").all())
