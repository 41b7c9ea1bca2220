"""Membership scores that ask whether the audited model fits an example better than it should, had it never seen it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from holdfast.audit.attacks.shadow_signals import Reals, ShadowSignals, Truths, signals_of_target
from holdfast.audit.intervals import Floats, Integers
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams

FEWEST_ABOVE = 10
"""Non-members that must be expected above a quantile before it is fitted: beyond, there is nothing to see."""

FEWEST_IN_LEAF = 20
"""Non-members in each leaf of a tree, at least."""

TREES = 100
"""Trees that are boosted, each correcting the sum of those before by a tenth."""

LEAVES = 4
"""Leaves of a tree, at most: with the usual 31 a rate of .05 became .09 on 4,000 simulated non-members, with 4 it became .06."""


def difficulty_calibrated(target: ArrayLike, shadow: Reals, *, included: Truths, configured: int | None = None) -> Floats:
    """The signal less its mean over models that were not trained on the example: ``phi - mean_out``.

    What makes an example easy for every model cancels. One reference model is enough, a few are better.

    Args:
        target: Signals of the audited model (N,), finite; higher = the model fits the example better. Minus the loss will do.
        shadow: The same signals of the shadow or reference models (N, M), of any float type; an `np.memmap` is read in blocks.
        included: Whether model m was trained on example n, (N, M) booleans. Reference models that saw none of the examples have
            False throughout.
        configured: How many shadow models a study was to train; fewer are refused.

    Returns:
        Scores (N,) in the unit of the signals; higher = more likely a member.

    Raises:
        InputError: For shapes that do not fit, values that are not finite, an example that every model was trained on, or
            fewer models than configured.

    Edge cases:
        Signals of models that were trained on the example are not used, however many there are.

    References:
        Watson, Guo, Cormode, Sablayrolles 2022, "On the importance of difficulty calibration in membership inference attacks",
        arXiv 2111.08440.

    >>> included = np.array([[False, False, True]])
    >>> difficulty_calibrated([2.0], np.array([[0.5, 1.5, 9.0]]), included=included)
    array([1.])
    """
    signals = signals_of_target(target)
    references = ShadowSignals.beside(signals, shadow, included, configured=configured)
    references.need("difficulty calibration", inside=0, outside=1)
    return signals - references.moments().outside.mean


def attack_r(target: ArrayLike, shadow: Reals, *, included: Truths, configured: int | None = None) -> Floats:
    """The share of reference models not trained on the example that fit it worse than the audited model does.

    A threshold of 1 - alpha on this score is the attack whose threshold for each example is the alpha-quantile of the losses
    of its reference models.

    Args:
        target: As in `difficulty_calibrated`.
        shadow: As there.
        included: As there.
        configured: As there.

    Returns:
        Scores (N,) in [0, 1], ties counting half; higher = more likely a member. A non-member takes each rank
        among its m + 1 models with equal chance, however hard it is.

    Raises:
        InputError: As in `difficulty_calibrated`.

    Edge cases:
        With m reference models there are m + 1 values, and members that all of them fit worse tie at 1: false positive rates
        below 1 / (m + 1) cannot be told apart. `lira_offline` extrapolates there, at the price of a normal law. Signals tie only
        where they agree to the last bit, so give target and shadow in one precision.

    References:
        Ye, Maddi, Murakonda, Bindschaedler, Shokri 2022, "Enhanced membership inference attacks against machine learning models",
        arXiv 2111.09679, attack R.

    >>> included = np.array([[False, False, True, False, False]])
    >>> attack_r([2.0], np.array([[0.5, 2.0, 1.0, 1.5, 3.0]]), included=included)
    array([0.625])
    """
    signals = signals_of_target(target)
    references = ShadowSignals.beside(signals, shadow, included, configured=configured)
    references.need("attack R", inside=0, outside=1)
    score = np.empty_like(signals)
    for block in references.blocks():
        own, outside_BM = signals[block.rows, None], ~block.included_BM
        worse = np.count_nonzero((block.values_BM < own) & outside_BM, axis=1)
        equal = np.count_nonzero((block.values_BM == own) & outside_BM, axis=1)
        score[block.rows] = (worse + equal / 2) / np.count_nonzero(outside_BM, axis=1)
    return score


def quantile_regression(
    features: NDArray[np.floating], target: ArrayLike, *, nonmember_rows: ArrayLike, audited_rows: ArrayLike, fpr: float
) -> Floats:
    """The signal less the value that only a share `fpr` of non-members with such features exceeds: ``phi - q(x)``.

    Needs no second model of the audited kind: boosted trees are fitted by the pinball loss on examples that are known to be
    non-members, and asked about others. Nothing is cross-fitted, because no example is both.

    Args:
        features: What is known of the examples without the audited model (N, D), finite, such as an embedding and the label.
        target: Signals of the audited model (N,), finite; higher = the model fits the example better.
        nonmember_rows: Rows that the model was not trained on, integers: the fit sees these alone.
        audited_rows: Rows to be scored, integers, none of them among the non-members above.
        fpr: False positive rate in (0, 1) at which the attack is to be strong; accusing scores above 0 aims at it.

    Returns:
        Scores of the audited rows, in their order and in the unit of the signals; higher = more likely a member.

    Raises:
        InputError: For shapes that do not fit, values that are not finite, rows outside the array, a row on both sides, an fpr
            outside (0, 1), or too few non-members: `FEWEST_ABOVE` must be expected above the quantile.

    Edge cases:
        The false positive rate at a threshold of 0 is *about* fpr, and rather above it where non-members are few (.06 for .05 and
        .017 for .01, with 4,000 of them and 10 features); take the threshold from further non-members among the audited rows.
        Features that tell nothing leave nearly the order of the signals. The fit is deterministic.

    References:
        Bertran et al. 2023, "Scalable membership inference attacks via quantile regression", arXiv 2307.03694.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    signals = signals_of_target(target)
    known = np.asarray(features, dtype=np.float64)
    if known.ndim != 2 or len(known) != signals.size or known.shape[1] == 0 or not np.isfinite(known).all():
        raise InputError(f"features have shape {known.shape}; give ({signals.size}, D) finite numbers with D >= 1, a row for each signal")
    fitting, asked = _rows(nonmember_rows, signals.size, "nonmember_rows"), _rows(audited_rows, signals.size, "audited_rows")
    _check_split(fitting, asked, fpr)
    model = HistGradientBoostingRegressor(
        loss="quantile",
        quantile=1 - fpr,
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=max(FEWEST_IN_LEAF, math.ceil(2 / fpr)),
        early_stopping=False,
        random_state=Streams(0).integer("audit quantile regression") % 2**32,
    )
    model.fit(known[fitting], signals[fitting])
    return np.asarray(signals[asked] - model.predict(known[asked]), dtype=np.float64)


def _rows(values: ArrayLike, examples: int, name: str) -> Integers:
    rows = np.asarray(values)
    if rows.ndim != 1 or rows.size == 0 or rows.dtype.kind not in "iu":
        raise InputError(f"{name} has shape {rows.shape} and type {rows.dtype}; give row numbers, such as np.flatnonzero(mask)")
    if rows.min() < 0 or rows.max() >= examples:
        raise InputError(f"{name} run from {rows.min()} to {rows.max()}, but there are {examples} examples: 0 to {examples - 1}")
    return rows.astype(np.int64)


def _check_split(fitting: Integers, asked: Integers, fpr: float) -> None:
    """Refuses a row on both sides, and quantiles beyond the reach of the non-members."""
    if not 0 < fpr < 1:
        raise InputError(f"fpr is {fpr}; a false positive rate lies strictly between 0 and 1, such as .01")
    both = np.intersect1d(fitting, asked).size
    if both:
        raise InputError(f"{both} rows are fitted on and audited; audit only rows that the quantiles were not fitted on")
    distinct = np.unique(fitting).size
    if fpr * distinct < FEWEST_ABOVE - 1e-9:
        raise InputError(
            f"{distinct} non-members give {fpr * distinct:.3g} expected above the quantile at an fpr of {fpr:g}; "
            f"{FEWEST_ABOVE} are needed: give at least {math.ceil(FEWEST_ABOVE / fpr - 1e-9):,} non-members, or a larger fpr"
        )
