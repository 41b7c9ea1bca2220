"""Canaries whose gradient is the same at any weights, and what the training loop makes of them under somebody's mechanism."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.core.claim import Neighbouring
from holdfast.core.progress import silent
from holdfast.core.randomness import Streams
from holdfast.privacy import Mechanism, PrivacyEvent, Sampler
from holdfast.privacy.clipping import Indices, LossesOf
from holdfast.privacy.users import UserGroups, UserLosses
from holdfast.training.settings import TrainingSettings
from holdfast.training.trainer import Trainer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]

LOUD = 1000.0
"""Norm of a gradient that is to be clipped, in clip norms."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the gradient of each example points, and how long it is. N examples, or users.

    The gradient of example i is nothing but ``lengths[i] / sqrt(2)`` at the weight ``[rows[i], columns[i]]`` of the embedding and
    the same in the dense layer: a clipper that forgets either layer, or counts one for the other, is told on by every example.

    Args:
        rows: (N,).
        columns: (N,).
        lengths: Negative for a gradient that points the other way, (N,).
    """

    rows: Integers
    columns: Integers
    lengths: Floats

    @classmethod
    def orthogonal(cls, count: int, *, norm: float) -> Placement:
        """Every example at weights of its own.

        Args:
            count: N.
            norm: Of each gradient.
        """
        rows, columns = np.divmod(np.arange(count), math.ceil(math.sqrt(count)))
        return cls(rows, columns, np.full(count, norm))

    @classmethod
    def opposed(cls, count: int, *, norm: float, others: float) -> Placement:
        """All at the same weights: the first example points one way, all others the other way.

        Args:
            count: N.
            norm: Of the first example's gradient.
            others: Norm of each of the others'.
        """
        nowhere = np.zeros(count, dtype=np.int64)
        return cls(nowhere, nowhere, np.where(np.arange(count) == 0, norm, -others))


class _CanaryModel(nn.Module):
    """An embedding and a dense layer, both zero at first, with a loss that is linear in their weights."""

    def __init__(self, placement: Placement) -> None:
        super().__init__()
        height, width = int(placement.rows.max()) + 1, int(placement.columns.max()) + 1
        with torch.random.fork_rng(devices=[]):  # layers draw weights when they are made, which are not wanted here
            self.words, self.head = nn.Embedding(height, width), nn.Linear(width, height, bias=False)
        for weight in self.parameters():
            nn.init.zeros_(weight)
        self.rows_N, self.columns_N = torch.from_numpy(placement.rows), torch.from_numpy(placement.columns)
        self.lengths_N = torch.from_numpy(placement.lengths).float()

    def losses_of(self, indices: Indices) -> Tensor:
        """The loss of each example, (B,): the inner product of the weights with the example's own gradient."""
        chosen = torch.from_numpy(np.asarray(indices, dtype=np.int64))
        rows_B, columns_B = self.rows_N[chosen], self.columns_N[chosen]
        in_words_B: Tensor = self.words(rows_B).gather(1, columns_B[:, None])[:, 0]
        inputs_BW = F.one_hot(columns_B, self.head.in_features).to(self.head.weight.dtype)
        in_head_B: Tensor = self.head(inputs_BW).gather(1, rows_B[:, None])[:, 0]
        return self.lengths_N[chosen] * (in_words_B + in_head_B) / math.sqrt(2)

    @torch.no_grad()
    def scores(self) -> Floats:
        """How far the weights have gone against the gradient of each example, (N,)."""
        weights = sum(layer.weight[self.rows_N, self.columns_N].double() for layer in (self.words, self.head))
        assert isinstance(weights, Tensor)
        found: Floats = (-weights * self.lengths_N.sign() / math.sqrt(2)).numpy()
        return found


@dataclass(frozen=True, eq=False)
class _Present:
    """A sampler whose draws lose the examples that are not in the data: what removing them or zeroing them out comes to.

    Args:
        drawn_by: The sampler under audit.
        present_N: Which examples are in the data, (N,).
    """

    drawn_by: Sampler
    present_N: Truths

    @property
    def examples(self) -> int:
        return self.drawn_by.examples

    @property
    def batch_size(self) -> int:
        return self.drawn_by.batch_size

    @property
    def neighbouring(self) -> Neighbouring:
        return self.drawn_by.neighbouring

    @property
    def steps_per_epoch(self) -> float:
        return self.drawn_by.steps_per_epoch

    def indices(self, step: int, streams: Streams) -> Indices:
        drawn = self.drawn_by.indices(step, streams)
        return drawn[self.present_N[drawn]]

    def begins_event(self, step: int) -> bool:
        return self.drawn_by.begins_event(step)

    def event(self, noise_multiplier: float) -> PrivacyEvent | None:
        return self.drawn_by.event(noise_multiplier)

    def __str__(self) -> str:
        return str(self.drawn_by)


class _PlainSteps(TrainingSettings):
    """Gradient descent without momentum at rate 1, so that the last weights are the sum of all updates."""

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD([{"params": list(model.parameters()), "factor": 1.0}], lr=self.learning_rate)


def trained(mechanism: Mechanism, placement: Placement, present: Truths, *, streams: Streams) -> Floats:
    """Trains on those examples that are present, by the one training loop, and scores every example.

    Under replace-one neighbouring an example that is absent is in the data too, with its gradient turned round.

    Args:
        mechanism: Draws, clips and blurs.
        placement: Where the gradients of all its examples, or users, point.
        present: Which of them are in the data, (N,).
        streams: All randomness of the training.

    Returns:
        Scores (N,), higher = more likely present: minus what the sum of all updates has in the direction of the example's gradient.
    """
    if mechanism.sampler.neighbouring == "replace-one":
        signs = np.where(present, 1.0, -1.0)
        seen = replace(placement, lengths=placement.lengths * signs)
        present = np.ones_like(present)
    else:
        seen, signs = placement, np.ones(present.size)
    model = _CanaryModel(seen)
    trainer = Trainer(
        name="canaries",
        model=model,
        losses_of=_losses_of(model, mechanism, streams),
        mechanism=replace(mechanism, sampler=_Present(mechanism.sampler, present)),
        settings=_PlainSteps(learning_rate=1.0, physical_batch_size=1024, checkpoint_every=mechanism.steps, evaluate_every=0),
        streams=streams,
        validate=lambda: 0.0,
        fingerprint={},
        folder=None,
        on_progress=silent,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*have not moved")  # without noise or canary nothing moves
        trainer.run(resume=False)
    return model.scores() * signs


def _losses_of(model: _CanaryModel, mechanism: Mechanism, streams: Streams) -> LossesOf:
    """The losses of examples; those of users where the mechanism protects users, each of whom has one example."""
    if mechanism.examples_per_user is None:
        return model.losses_of
    names = [f"{user:012d}" for user in range(mechanism.sampler.examples)]  # so that their alphabetical order is that of the numbers
    return UserLosses(model.losses_of, UserGroups.of(names), mechanism.examples_per_user, streams)
