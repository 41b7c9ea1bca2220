"""Predictions that the tests of groups share."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from holdfast.core.evidence import Estimate, Evidence
from holdfast.fairness.inference import Inference, Units
from holdfast.fairness.predictions import Groups, Predictions

QUICK = Inference(replicates=200, permutations=200)

COUNTS = (  # group, truth, prediction, rows
    *(("a", 1, 1, 30), ("a", 1, 0, 10), ("a", 0, 1, 5), ("a", 0, 0, 55)),
    *(("b", 1, 1, 12), ("b", 1, 0, 18), ("b", 0, 1, 9), ("b", 0, 0, 21)),
    *(("c", 1, 1, 7), ("c", 1, 0, 3), ("c", 0, 1, 0), ("c", 0, 0, 15)),
)


@pytest.fixture
def quick() -> Inference:
    """Inference that takes no time."""
    return QUICK


@pytest.fixture
def counted() -> Callable[..., Predictions]:
    """Predictions of two classes by counts of (group, truth, prediction)."""

    def make(
        counts: Sequence[tuple[str, int, int, int]] = COUNTS, *, names: Sequence[str] | None = None, attribute: str = "g"
    ) -> Predictions:
        rows = [(group, truth, pred) for group, truth, pred, times in counts for _ in range(times)]
        groups = Groups.of_values([row[0] for row in rows], attribute=attribute, names=names)
        labels = ("no", "yes")
        return Predictions.of_names(
            [labels[row[1]] for row in rows], [labels[row[2]] for row in rows], groups=groups, classes=labels, positive=["yes"], text="toy"
        )

    return make


@pytest.fixture
def random_predictions() -> Callable[..., Predictions]:
    """Predictions of K classes with scores; groups are disjoint unless told otherwise."""

    def make(
        n: int = 300,
        *,
        seed: int = 0,
        classes: int = 3,
        groups: int = 3,
        overlapping: bool = False,
        users: int | None = None,
        positive: tuple[str, ...] | None = None,
        decimals: int = 6,
    ) -> Predictions:
        rng = np.random.default_rng(seed)
        scores = np.round(rng.dirichlet(np.ones(classes), n), decimals)
        truth = np.array([rng.choice(classes, p=row / row.sum()) for row in scores])
        members = rng.random((n, groups)) < 0.4 if overlapping else np.eye(groups, dtype=bool)[rng.integers(0, groups, n)]
        units = Units.rows(n) if users is None else Units(rng.integers(0, users, n), users, "users")
        names = tuple(f"c{place}" for place in range(classes))
        made = Groups("attribute", tuple(f"g{place}" for place in range(groups)), members)
        return Predictions(truth, scores.argmax(1), names, made, units, scores, positive, "random")

    return make


def found(evidence: Evidence, name: str, **conditions: object) -> Estimate:
    """The one estimate of that name and those conditions."""
    given = {key.replace("_", " ") if key.endswith("class") and key != "class" else key: value for key, value in conditions.items()}
    estimate = evidence.estimate(name, conditions=given)  # type: ignore[arg-type]
    assert estimate is not None, (name, conditions)
    return estimate


@pytest.fixture
def find() -> Callable[..., Estimate]:
    """`found`, for tests that cannot import it."""
    return found
