"""Whole users in place of examples: which of a user's examples take part in a step, and one loss for each user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy.clipping import Indices, LossesOf
from holdfast.privacy.clipping.micro_batches import mixed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class UserGroups:
    """Whose each example is.

    Args:
        order: The examples, user by user, (n,).
        starts: Where each user begins in `order`, and where the last one ends, (users + 1,).
    """

    order: Indices
    starts: Indices

    @classmethod
    def of(cls, user_ids: Sequence[str]) -> UserGroups:
        """Groups examples by the name of their user; users are numbered in the alphabetical order of their names.

        Args:
            user_ids: One for each example.

        Raises:
            InputError: If an example has none.
        """
        names = np.asarray(user_ids, dtype=str)
        without = np.flatnonzero(np.char.str_len(np.char.strip(names)) == 0) if len(names) else np.zeros(0, np.int64)
        if len(without):
            raise InputError(
                f"{len(without)} of {len(names)} examples have no user_id (the first is example {without[0]}); whose they are decides what "
                "is protected, so give each its user or leave it out"
            )
        _, user_of = np.unique(names, return_inverse=True)
        counts = np.bincount(user_of) if len(names) else np.zeros(0, np.int64)
        return cls(np.argsort(user_of, kind="stable").astype(np.int64), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @property
    def users(self) -> int:
        """How many users there are."""
        return len(self.starts) - 1

    def examples(self, user: int) -> Indices:
        """All examples of a user."""
        return self.order[self.starts[user] : self.starts[user + 1]]

    def chosen(self, users: Indices, limit: int, *, streams: Streams, step: int) -> tuple[Indices, NDArray[np.float32]]:
        """Draws at most `limit` examples of each user.

        Which ones depends on the key of the step and on the examples' own positions: no user has a say in another's.

        Args:
            users: Numbers of users, (U,).
            limit: k, at least 1.
            streams: The randomness of the run.
            step: The step.

        Returns:
            Examples (U, k) and weights (U, k). A user's weights add up to one; a place without an example has weight zero and
            repeats the user's first.
        """
        key = np.uint64(streams.integer("examples of users", step))
        rows_UK, weights_UK = np.empty((len(users), limit), np.int64), np.zeros((len(users), limit), np.float32)
        for row, user in enumerate(users):
            own = self.examples(int(user))
            if len(own) > limit:
                own = own[np.argsort(mixed(mixed(own.astype(np.uint64)) ^ key), kind="stable")[:limit]]
            rows_UK[row, : len(own)], rows_UK[row, len(own) :] = own, own[0]
            weights_UK[row, : len(own)] = 1 / len(own)
        return rows_UK, weights_UK


@dataclass(frozen=True, eq=False)
class UserLosses:
    """One loss for each user: the mean over at most k of the user's examples, drawn anew in each step.

    The mean is over the user's own examples in the step, not over k, so that everybody weighs the same before clipping,
    however much they said. Clipped to C, a user's gradient moves the sum by at most C either way: the bound holds for any
    function of one user's examples.

    Args:
        losses_of: Gives one loss for each of the examples it is handed.
        groups: Whose each example is.
        examples_per_user: k, at least 1.
        streams: The randomness of the run.
        step: The step whose draw is used; `at` gives those of others.
    """

    losses_of: LossesOf
    groups: UserGroups
    examples_per_user: int
    streams: Streams
    step: int = 0

    def at(self, step: int) -> UserLosses:
        """The losses of another step."""
        return UserLosses(self.losses_of, self.groups, self.examples_per_user, self.streams, step)

    def __call__(self, users: Indices) -> Tensor:
        """One loss for each of these users, (U,), with its graph; the model sees U k rows, those of one user together."""
        import torch

        rows_UK, weights_UK = self.groups.chosen(users, self.examples_per_user, streams=self.streams, step=self.step)
        losses_UK = self.losses_of(rows_UK.reshape(-1)).view(rows_UK.shape)
        weights = torch.from_numpy(weights_UK).to(losses_UK)
        return (losses_UK * weights).sum(1)
