"""Membership inference by loss: whoever the model predicts well was probably trained on."""

from __future__ import annotations

import numpy as np

from holdfast.audit.attacks import logit_of_loss, quantile_regression, text_features
from holdfast.audit.games import MembershipGame
from holdfast.audit.intervals import Floats
from holdfast.audit.scores import Scores
from holdfast.core.access import Losses, min_count_of
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data.dataset import Dataset

QUANTILE = 0.1
"""Share of non-members above the quantile that `quantile_threshold` learns; smaller ones need more non-members."""

WIDTH = 24
"""Features of an utterance that it learns from."""

PROBE = 8
"""Examples whose loss is asked for several times, to see whether it is a function of the example alone."""


def loss_threshold(fitted: Losses, *, members: Dataset, nonmembers: Dataset) -> Scores:
    """Attacks a model by its losses: the score of an example is minus its loss.

    Needs no training and no second model. It is the weakest attack in common use: what it finds is there, what it does not find
    may be there all the same.

    Args:
        fitted: Whatever gives one loss for each example, in evaluation mode.
        members: Examples that the model was trained on.
        nonmembers: Examples that it never saw, drawn from the same population: a random hold-out, not a later week.

    Returns:
        Scores with what is known of the rows: copies, overlap, and whether the two sides can be told apart without the model.

    Raises:
        InputError: For losses that change from call to call or with the other rows of the call, losses that are not finite or
            not one for each example, fewer than two examples on a side, or non-members that are all members.

    References:
        Yeom, Giacomelli, Fredrikson, Jha 2018, "Privacy risk in machine learning: analyzing the connection to overfitting",
        arXiv 1709.01604, the adversary that thresholds the loss.
    """
    game = MembershipGame.between(members, nonmembers, min_count=min_count_of(fitted))
    losses = checked_losses(fitted, members, what="members")
    return Scores(
        members=-losses,
        nonmembers=-checked_losses(fitted, nonmembers, what="non-members"),
        attack="loss threshold",
        access="black-box: losses",
        reference="Yeom et al. 2018, arXiv 1709.01604",
        game=game,
    )


def quantile_threshold(fitted: Losses, *, members: Dataset, nonmembers: Dataset) -> Scores:
    """Attacks a model by its losses, each against what a non-member with such words would have: no shadow models needed.

    Boosted trees learn from half of the non-members what signal only a share of `QUANTILE` of utterances like this one exceeds;
    the score is the signal less that. The halves then change places. A fixed half of the members is scored by the trees of either
    half, so that a member meets the same trees as a non-member that they were not fitted on.

    Args:
        fitted: As in `loss_threshold`.
        members: As there.
        nonmembers: As there; at least 200, better thousands.

    Returns:
        Scores with what is known of the rows.

    Raises:
        InputError: As `loss_threshold`, and for too few non-members.

    References:
        Bertran et al. 2023, "Scalable membership inference attacks via quantile regression", arXiv 2307.03694; after it, because
        their quantile models are pretrained networks.
    """
    game = MembershipGame.between(members, nonmembers, min_count=min_count_of(fitted))
    sides = {"members": members, "nonmembers": nonmembers}
    signals = {name: logit_of_loss(checked_losses(fitted, data, what=name)) for name, data in sides.items()}
    halves = {name: Streams(0).generator("audit quantiles " + name, len(data)).permutation(len(data)) % 2 for name, data in sides.items()}
    found = {name: np.empty(len(data)) for name, data in sides.items()}
    for half in (0, 1):
        known = np.flatnonzero(halves["nonmembers"] != half)
        asked = {name: np.flatnonzero(halves[name] == half) for name in sides}
        parts = [nonmembers.take(known), *(sides[name].take(rows) for name, rows in asked.items())]
        scores = quantile_regression(
            np.concatenate([text_features(part, fitted_on=parts[0], width=WIDTH) for part in parts]),
            np.concatenate([signals["nonmembers"][known], *(signals[name][rows] for name, rows in asked.items())]),
            nonmember_rows=np.arange(len(known)),
            audited_rows=np.arange(len(known), sum(map(len, parts))),
            fpr=QUANTILE,
        )
        found["members"][asked["members"]], found["nonmembers"][asked["nonmembers"]] = np.split(scores, [len(asked["members"])])
    return Scores(
        members=found["members"],
        nonmembers=found["nonmembers"],
        attack="quantile regression",
        access="black-box: losses",
        reference="after Bertran et al. 2023, arXiv 2307.03694",
        game=game,
    )


def checked_losses(fitted: Losses, data: Dataset, *, what: str) -> Floats:
    """The loss of each example, (n,), refused where it cannot be a score.

    The losses of the first `PROBE` examples are asked for twice more, by themselves: a model whose answers differ was left in
    training mode, or lets the loss of an example depend on the others of the call.

    Args:
        fitted: Whatever gives losses in evaluation mode.
        data: The examples, at least one.
        what: What they are called in an error, such as "members".

    Raises:
        InputError: For losses that change, are not finite, or are not one for each example.
    """
    probe = _probe(fitted, data, what)
    losses = _losses(fitted, data, what)
    if not np.allclose(losses[: probe.size], probe, rtol=1e-3, atol=1e-4):
        raise InputError(
            f"the loss of an example changes with the examples beside it, by up to {np.max(np.abs(losses[: probe.size] - probe)):.3g}; "
            "put batch normalisation in evaluation mode and mask the padding"
        )
    return losses


def _probe(fitted: Losses, data: Dataset, what: str) -> Floats:
    """Losses of a few examples; refused where asking twice gives two answers, as a model with dropout in training mode does."""
    few = data.take(np.arange(min(PROBE, len(data))))
    first, second = _losses(fitted, few, what), _losses(fitted, few, what)
    if not np.allclose(first, second, rtol=1e-4, atol=1e-6):
        raise InputError(
            f"two identical calls give losses that differ by up to {np.max(np.abs(first - second)):.3g}; the model seems to be in training "
            "mode (dropout): call model.eval() before the losses are computed"
        )
    return first


def _losses(fitted: Losses, data: Dataset, what: str) -> Floats:
    losses = np.asarray(fitted.losses(data), dtype=np.float64)
    if losses.shape != (len(data),):
        raise InputError(f"losses of the {what} have shape {losses.shape}, expected ({len(data)},): one loss for each example")
    broken = int(np.sum(~np.isfinite(losses)))
    if broken:
        raise InputError(f"{broken} of {len(data)} losses of the {what} are not finite; the model is broken, or its loss overflows on them")
    return losses
