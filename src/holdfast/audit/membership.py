"""Membership inference by loss: whoever the model predicts well was probably trained on."""

from __future__ import annotations

import numpy as np

from holdfast.audit.games import MembershipGame
from holdfast.audit.intervals import Floats
from holdfast.audit.scores import Scores
from holdfast.core.access import Losses, min_count_of
from holdfast.core.errors import InputError
from holdfast.data.dataset import Dataset

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
