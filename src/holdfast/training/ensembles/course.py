"""What each model of an ensemble sees at each step, and the batches of several models as one.

Shapes: M models, R rows of one model in a batch, N examples of the data set, T pieces, W words, L characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.randomness import Streams
from holdfast.models import Features
from holdfast.privacy import ShuffledSampler, non_private
from holdfast.privacy.clipping import Indices
from holdfast.tasks import Batch, EncodedDataset, Task

KEPT_BYTES = 1 << 28
"""The most that a data set may take as rectangles; a larger one is made into batches anew at each step."""


@dataclass(eq=False)
class Course:
    """Which examples one model sees at each step: the batches of `privacy.non_private`, cut from one order an epoch.

    Args:
        members: Which examples the model is trained on, ascending.
        batch_size: Size of every batch but the last of an epoch.
        epochs: Passes over the members.
        streams: The randomness of the model.
    """

    members: Indices
    batch_size: int
    epochs: float
    streams: Streams
    steps: int = field(init=False)
    _epoch: int = field(init=False, default=-1)

    def __post_init__(self) -> None:
        mechanism = non_private(examples=len(self.members), batch_size=self.batch_size, epochs=self.epochs)
        self.steps = mechanism.steps
        self._per_epoch = round(mechanism.sampler.steps_per_epoch)

    def batch(self, step: int) -> Indices:
        """The examples of this step, as the trainer would draw them from the same streams."""
        epoch, batch = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            whole = ShuffledSampler(len(self.members), len(self.members))  # all of an epoch as one batch: its order
            self._order, self._epoch = self.members[whole.indices(epoch, self.streams)], epoch
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]


@dataclass(frozen=True, eq=False)
class Rows:
    """The batch of one step for several models.

    Args:
        indices_MR: The examples; a model with fewer than the others repeats its first one.
        weights_MR: One over the batch size, 0 for a repeated one.
    """

    indices_MR: Indices
    weights_MR: NDArray[np.float64]


def rows_of(courses: Sequence[Course], step: int) -> Rows:
    """The batches of one step side by side."""
    batches = [course.batch(step) for course in courses]
    lengths = np.array([len(batch) for batch in batches])
    longest = int(lengths.max())
    indices_MR = np.empty((len(batches), longest), dtype=np.int64)
    for row, batch in zip(indices_MR, batches, strict=True):
        row[: len(batch)] = batch
        row[len(batch) :] = batch[0]
    return Rows(indices_MR, (np.arange(longest) < lengths[:, None]) / courses[0].batch_size)


class Batches:
    """Makes batches of a data set that is padded once instead of at every step.

    Args:
        task: What is learned.
        encoded: The data set.
        device: Where batches go.
    """

    def __init__(self, task: Task, encoded: EncodedDataset, device: torch.device) -> None:
        self._task, self._encoded, self._device = task, encoded, device
        self._whole = _padded(task, encoded, device)
        if self._whole is not None:
            features = self._whole.features
            self._lengths = features.mask_BT.sum(1).cpu().numpy()
            self._words = self._lengths if features.words_BW is None else _last(features.word_mask_BW)
            letters_BTL = features.characters_BTL
            self._letters = None if letters_BTL is None else (letters_BTL != 0).sum(2).amax(1).cpu().numpy()

    def __call__(self, indices: Indices) -> Batch:
        """A batch of these examples, (B,), as `task.collate` makes it."""
        if self._whole is None:
            return self._task.collate(self._encoded, indices).to(self._device)
        whole, features = self._whole, self._whole.features
        rows = torch.from_numpy(indices).to(self._device)
        pieces = max(1, int(self._lengths[indices].max(initial=0)))
        words = max(1, int(self._words[indices].max(initial=0)))
        letters = 0 if self._letters is None else max(1, int(self._letters[indices].max(initial=0)))

        def cut(tensor: Tensor | None, *sizes: int) -> Tensor | None:
            return None if tensor is None else tensor[(slice(None), *(slice(size) for size in sizes))].index_select(0, rows)

        mask_BT = features.mask_BT[:, :pieces].index_select(0, rows)
        taken = Features(
            ids_BT=features.ids_BT[:, :pieces].index_select(0, rows),
            mask_BT=mask_BT,
            characters_BTL=cut(features.characters_BTL, pieces, letters),
            words_BW=cut(features.words_BW, words),
            word_mask_BW=mask_BT if features.words_BW is None else features.word_mask_BW[:, :words].index_select(0, rows),
            states_BTD=cut(features.states_BTD, pieces),
        )
        return replace(
            whole,
            features=taken,
            words=whole.words[indices],
            sentence_B=cut(whole.sentence_B),
            tokens_BW=cut(whole.tokens_BW, words),
        )


def _last(mask_BW: Tensor) -> NDArray[np.int64]:
    """How many words reach to the last real one of each row."""
    places_W = torch.arange(1, mask_BW.shape[1] + 1, device=mask_BW.device)
    found: NDArray[np.int64] = (mask_BW * places_W).amax(1).cpu().numpy()
    return found


def _padded(task: Task, encoded: EncodedDataset, device: torch.device) -> Batch | None:
    """All examples as one batch, or None where it would be too large or is of a kind that we cannot cut."""
    longest = int(encoded.encoded.pieces.lengths.max(initial=1))
    spelled, states = encoded.encoded.spellings, encoded.encoded.states
    wide = 4 + (0 if spelled is None else spelled.shape[1]) + (0 if states is None else states.shape[1])
    if not len(encoded) or len(encoded) * longest * wide * 8 > KEPT_BYTES:
        return None
    whole = task.collate(encoded, np.arange(len(encoded)))
    if type(whole) is not Batch or type(whole.features) is not Features or not bool(whole.features.mask_BT.any(1).all()):
        return None
    return whole.to(device)
