"""Private training in a loop of your own: three lines around it, and the model stays what it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.privacy.mechanism import Mechanism

if TYPE_CHECKING:
    from torch import nn

    from holdfast.privacy.own_loop.loop import PrivateLoop

__all__ = ["attach"]


@contextmanager
def attach(model: nn.Module, mechanism: Mechanism, *, seed: int | None = None, ledger: Path | None = None) -> Iterator[PrivateLoop]:
    """Makes a training loop of your own private, for as long as the block runs.

    The mechanism draws the batches, and `step` takes the place of ``backward``, ``optimizer.step`` and ``zero_grad``:

        with privacy.attach(model, mechanism) as private:
            for batch in private.batches(dataset, collate_fn=collate):
                losses = ...                     # one for each example of the batch, (B,)
                private.step(losses, optimizer)
        print(private.claim())

    The model is not wrapped: its type, its state-dict keys and its methods stay what they are.

    Args:
        model: The bare model, in one process; every parameter that is to learn has `requires_grad` already.
        mechanism: From `privacy.dp_sgd`, `privacy.edp_sgd` or `privacy.non_private`, made for the number of training examples.
        seed: Makes batches and noise reproducible: keep such a seed secret or do not release the model. None draws secret
            randomness from the operating system, new at each attaching.
        ledger: A file that says what may have been spent, written before it is spent. None keeps none.

    Yields:
        What draws the batches and takes the steps.

    Raises:
        InputError: If the model is wrapped, is attached already, or the clipper cannot serve a loop of your own.
        PreflightError: If the model would void the promise.
        RunError: If the ledger is damaged.

    Guarantee:
        The weights after k calls of `step` that updated them carry the mechanism's promise for k steps, if each loss
        depends on its own example alone and nothing but `step` changes the weights. `PrivateLoop.claim` says so.
    """
    from holdfast.privacy.own_loop.loop import PrivateLoop

    private = PrivateLoop(model, mechanism, seed=seed, ledger=ledger)
    try:
        yield private
    finally:
        private.detach()
