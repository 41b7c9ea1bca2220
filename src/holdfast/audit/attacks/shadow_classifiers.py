"""Membership scores of a classifier that learns from shadow models what a model says of its own training examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.audit.attacks.shadow_signals import Reals, ShadowSignals, Truths
from holdfast.audit.intervals import Floats, Integers
from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams

KINDS = ("logistic", "boosted trees")

MOST_ROWS = 200_000
"""Pairs of an example and a shadow model that are learnt from, at most; with F = 11 they take 18 MB."""

FEWEST_ON_SIDE = 20
"""Pairs inside, and pairs outside, that a classifier needs at least."""

FEWEST_IN_CLASS = 200
"""Pairs inside, and pairs outside, that a class needs for a classifier of its own."""

TREES = 100
"""Trees that are boosted, each correcting the sum of those before by a tenth."""

LEAVES = 8
"""Leaves of a tree, at most, with `FEWEST_ON_SIDE` pairs in each at least."""

_NAME = "features of shadow models"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pairs:
    """Pairs of an example and a shadow model: P rows to learn from.

    Args:
        example: Number of the example, (P,).
        features: What the shadow model says of it, (P, F), in float64.
        inside: Whether the shadow model was trained on it, (P,).
    """

    example: Integers
    features: Floats
    inside: Truths

    def fewest(self) -> int:
        """Pairs on the smaller side."""
        return int(min(np.count_nonzero(self.inside), np.count_nonzero(~self.inside)))

    def where(self, chosen: Truths) -> _Pairs:
        """Some of the pairs."""
        return _Pairs(example=self.example[chosen], features=self.features[chosen], inside=self.inside[chosen])


def shadow_classifier(
    target: ArrayLike,
    shadow: Reals,
    *,
    included: Truths,
    seed: int,
    labels: ArrayLike | None = None,
    per_class: bool = False,
    kind: str = "logistic",
    configured: int | None = None,
) -> Floats:
    """The log-odds of membership, by a classifier that was shown shadow models on both sides of their training sets.

    Each pair of an example and a shadow model is a row: what that model says of the example, and whether it was trained on it.
    A classifier of the rows is then asked about what the audited model says.

    Args:
        target: What the audited model says of each example, such as sorted posteriors, entropies and losses, (N, F), finite.
        shadow: The same under the shadow models, (N, M, F), of any float type; of an `np.memmap` the rows in use are read, and
            no others. The audited model is none of them.
        included: Whether shadow model m was trained on example n, (N, M) booleans.
        seed: Of the choice of rows where there are more than `MOST_ROWS`, an integer >= 0.
        labels: The class of each example, such as its intent, (N,) integers or texts; needed for `per_class`, else not used.
        per_class: Give a class a classifier of its own where at least `FEWEST_IN_CLASS` of its rows lie on either side, as the
            paper does; the other classes share one that has seen the rows of all. Off by default, because most classes of a
            language understanding corpus are small: few would have one of their own, learnt from little.
        kind: "logistic" (regression, linear in the features) or "boosted trees".
        configured: How many shadow models a study was to train; fewer are refused.

    Returns:
        Log-odds (N,); higher = more likely a member. The base rate is that of the rows: 1/2 where half of the shadow models have
        an example.

    Raises:
        InputError: For shapes that do not fit, values that are not finite among those in use, an unknown kind, fewer than
            `FEWEST_ON_SIDE` rows on a side, per_class without labels, or fewer models than configured.

    Guarantee:
        Who is a member of the audited model is not used. Features are standardised by the rows of shadow models alone.

    Edge cases:
        Up to `MOST_ROWS` rows all are used and the order of examples and models means nothing, but for rounding. With more,
        every shadow model gives equally many, of examples drawn by the seed. One shadow model is enough. Difficulty that is
        not in the features stays: `lira_online` compares an example with itself and is stronger where models are many.

    References:
        Shokri, Stronati, Song, Shmatikov 2017, "Membership inference attacks against machine learning models", arXiv 1610.05820.
        There shadow models are trained on other data than the audited model, here on random halves of the same.

    >>> included = np.tile([[True, False], [False, True]], (50, 1))
    >>> shadow = np.linspace(-2, 2, 200).reshape(100, 2, 1) + included[:, :, None]
    >>> likely, unlikely, *_ = shadow_classifier([[2.0], [-1.0]] + [[0.0]] * 98, shadow, included=included, seed=1)
    >>> bool(likely > 0 > unlikely)
    True
    """
    if kind not in KINDS:
        raise InputError(f"kind is {kind!r}; {nearest(str(kind), KINDS)}")
    asked = _of_target(target)
    streams = Streams.from_seed(seed).child("audit shadow classifier")
    pairs = _pairs(asked, np.asarray(shadow), np.asarray(included), streams, configured=configured)
    if pairs.fewest() < FEWEST_ON_SIDE:
        raise InputError(
            f"shadow models were trained on {np.count_nonzero(pairs.inside)} of {pairs.inside.size} pairs of an example and a model; at "
            f"least {FEWEST_ON_SIDE} must be inside and as many outside: train each shadow model on a random half of the examples"
        )
    classes = _classes(labels, len(asked), per_class=per_class)
    middle, spread = pairs.features.mean(axis=0), pairs.features.std(axis=0)
    spread[spread == 0] = 1.0  # a feature that never moves tells nothing
    known = _Pairs(example=pairs.example, features=(pairs.features - middle) / spread, inside=pairs.inside)
    return _log_odds(known, (asked - middle) / spread, classes, kind, streams)


def _log_odds(pairs: _Pairs, asked: Floats, classes: Integers | None, kind: str, streams: Streams) -> Floats:
    """By the shared classifier, and by those of the classes that have enough rows."""
    scores = np.empty(len(asked))
    waiting = np.ones(len(asked), dtype=np.bool_)
    for place in () if classes is None else np.unique(classes):
        own = classes == place
        rows = pairs.where(own[pairs.example])
        if rows.fewest() >= FEWEST_IN_CLASS:
            scores[own] = _fitted(rows, kind, streams).decision_function(asked[own])
            waiting[own] = False
    if waiting.any():
        scores[waiting] = _fitted(pairs, kind, streams).decision_function(asked[waiting])
    return scores


def _fitted(pairs: _Pairs, kind: str, streams: Streams) -> Any:
    if kind == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1_000, tol=1e-8).fit(pairs.features, pairs.inside)
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=FEWEST_ON_SIDE,
        early_stopping=False,
        random_state=streams.integer("trees") % 2**32,
    )
    return trees.fit(pairs.features, pairs.inside)


def _of_target(values: ArrayLike) -> Floats:
    features = np.asarray(values, dtype=np.float64)
    if features.ndim != 2 or 0 in features.shape or not np.isfinite(features).all():
        broken = int(np.sum(~np.isfinite(features)))
        raise InputError(
            f"features of the target model have shape {features.shape}, {broken} of them not finite; give (N examples, F features), all "
            "finite, N and F >= 1: mend the model, or leave that example out by a rule that does not look at it"
        )
    return features


def _pairs(asked: Floats, shadow: NDArray[Any], included: Truths, streams: Streams, *, configured: int | None) -> _Pairs:
    """At most `MOST_ROWS` pairs, equally many of each shadow model, read one model at a time."""
    examples, features = asked.shape
    if shadow.ndim != 3 or shadow.shape[2] != features:
        raise InputError(f"{_NAME} have shape {shadow.shape}; give (N examples, M models, {features} features), those of the target model")
    first = ShadowSignals(values_NM=shadow[:, :, 0], included_NM=included, what=_NAME, configured=configured)  # looks at sizes
    first.must_match(asked[:, 0])
    models = shadow.shape[1]
    share = min(examples, max(1, MOST_ROWS // models))
    example, inside = np.empty((models, share), dtype=np.int64), np.empty((models, share), dtype=np.bool_)
    rows = np.empty((models, share, features))
    for model in range(models):
        chosen = np.arange(examples)
        if share < examples:
            chosen = np.sort(streams.generator("rows", model).choice(examples, size=share, replace=False))
        example[model], inside[model], rows[model] = chosen, included[chosen, model], shadow[chosen, model]
        if not np.isfinite(rows[model]).all():
            broken = chosen[~np.isfinite(rows[model]).all(axis=1)]
            raise InputError(
                f"{_NAME} are not finite for {broken.size} of {share} examples, the first example {broken[0]}, model {model}; they must "
                "be finite: mend that model, or leave the example out by a rule that does not look at it"
            )
    return _Pairs(example=example.ravel(), features=rows.reshape(-1, features), inside=inside.ravel())


def _classes(labels: ArrayLike | None, examples: int, *, per_class: bool) -> Integers | None:
    """The class of each example as a number, or None where there is but one classifier."""
    if labels is None:
        if per_class:
            raise InputError("per_class needs the labels of the examples; give one for each, or leave per_class off")
        return None
    given = np.asarray(labels)
    if given.shape != (examples,) or given.dtype.kind not in "iuU":
        raise InputError(f"labels have shape {given.shape} and type {given.dtype}; give {examples} integers or texts, one for each example")
    return np.unique(given, return_inverse=True)[1].astype(np.int64) if per_class else None
