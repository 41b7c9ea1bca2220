"""Tables of rows of several models, of which a step moves only the rows that it meets, and what the others missed when they are met.

A row that no example of a batch uses has a zero gradient, and yet its momentum moves it. What it goes through until it is
met again has a closed form, so the cost of a step is that of the rows it meets and not that of the vocabulary.

Shapes: M models, V rows of a table, D their width, N ids of one model, L lists of T ids, U distinct rows at most.
"""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.privacy import kernels
from holdfast.privacy.kernels import native


@dataclass(frozen=True)
class Move:
    """How a step moves a row by its gradient.

    With momentum alone ``first = first_decay * first + grad; values -= rate * first``. Else, as Adam does,
    ``values -= rate * first / (sqrt(second) * second_scale + floor)`` after both moments decayed towards the gradient and its square.

    Args:
        rates_M: The rate of each model; of Adam, over what corrects the first moment.
        first_decay: Of momentum, or of the first moment.
        second_decay: Of the second moment; unused without.
        second_scale: What corrects the root of the second moment; unused without.
        floor: What is added to it; unused without.
    """

    rates_M: Tensor
    first_decay: float
    second_decay: float = 0.0
    second_scale: float = 1.0
    floor: float = 0.0


@dataclass(frozen=True)
class Missed:
    """What a row goes through in all steps since the one that moved it last, by that step, counted from 1.

    ``values -= move * first``, or with second moments ``values -= move * first / (sqrt(second) + floor)``; then
    ``first *= first_decay`` and ``second *= second_decay``. Each (M, S), or (1, S) where all models share it.
    """

    move: Tensor
    floor: Tensor
    first_decay: Tensor
    second_decay: Tensor


class Rows(ABC):
    """The tables, their moments, and which rows the present step has met.

    Args:
        values_MVD: The tables; they are moved in place. Contiguous.
        second: Whether rows have a second moment.

    Guarantee:
        Once `meet` has seen the ids, the rows that they name hold what a step over all rows would have given them. The others
        do once `settle` was called.

    Edge cases:
        `shrink` leaves out the last models, whose rows then stay as they are.
    """

    def __init__(self, values_MVD: Tensor, *, second: bool) -> None:
        self.values_MVD = values_MVD
        self.first_MVD = torch.zeros_like(values_MVD)
        self.second_MVD = torch.zeros_like(values_MVD) if second else None
        self.last_MV = torch.zeros(values_MVD.shape[:2], dtype=torch.int32, device=values_MVD.device)
        self.step = 0

    def shrink(self, models: int) -> None:
        """Goes on with the first models alone."""
        self.values_MVD, self.first_MVD, self.last_MV = self.values_MVD[:models], self.first_MVD[:models], self.last_MV[:models]
        self.second_MVD = None if self.second_MVD is None else self.second_MVD[:models]

    def begin(self, step: int) -> None:
        """Begins a step, counted from 1, and forgets what the one before met."""
        self.step = step

    def settle(self, missed: Missed) -> None:
        """Brings every row up to the present step, as after the last one."""
        every = torch.arange(self.values_MVD[0].shape[0], device=self.values_MVD.device)
        step, self.step = self.step, self.step + 1
        for model in range(len(self.values_MVD)):
            self._catch_up(every + model * len(every), missed)
        self.step = step

    @abstractmethod
    def meet(self, ids_MN: Tensor, missed: Missed) -> None:
        """Brings the rows of these ids up to date, and counts them among those that the step moves."""

    @abstractmethod
    def mean(self, ids_MLT: Tensor, marked_MLT: Tensor) -> Tensor:
        """The mean over the marked rows of each list, (M, L, D); NaN for a list without."""

    @abstractmethod
    def add(self, ids_MN: Tensor, grads_MND: Tensor) -> None:
        """Takes the gradients of rows that the step has met, one for each id; those of one row add up."""

    @abstractmethod
    def add_mean(self, ids_MLT: Tensor, marked_MLT: Tensor, grads_MLD: Tensor) -> None:
        """Takes the gradients of what `mean` gave."""

    @abstractmethod
    def move(self, how: Move) -> None:
        """Moves the rows that the step has met."""

    def _catch_up(self, rows_U: Tensor, missed: Missed) -> None:
        """What distinct rows, numbered through all tables, went through before this step."""
        last_U = self.last_MV.view(-1)[rows_U]
        late_U = (last_U > 0) & (last_U < self.step - 1)
        rows_U, last_U = rows_U[late_U], last_U[late_U].long()
        model_U = rows_U // self.values_MVD.shape[1] if len(missed.move) > 1 else torch.zeros_like(rows_U)
        move_U1, floor_U1, first_U1, second_U1 = (
            one[model_U, last_U][:, None] for one in (missed.move, missed.floor, missed.first_decay, missed.second_decay)
        )
        values, first = self.values_MVD.view(-1, self.values_MVD.shape[2]), self.first_MVD.view(-1, self.values_MVD.shape[2])
        moved_UD = move_U1 * first[rows_U]
        if self.second_MVD is not None:
            second = self.second_MVD.view_as(values)
            moved_UD = moved_UD / (second[rows_U].sqrt() + floor_U1)
            second[rows_U] *= second_U1
        values[rows_U] -= moved_UD
        first[rows_U] *= first_U1
        self.last_MV.view(-1)[rows_U] = self.step - 1


class PortableRows(Rows):
    """The same in torch, for any device and precision: what the compiled core is held to."""

    def begin(self, step: int) -> None:
        """Begins a step."""
        super().begin(step)
        self._grads_UD: Tensor | None = None
        self._met_U = torch.empty(0, dtype=torch.int64, device=self.values_MVD.device)

    def meet(self, ids_MN: Tensor, missed: Missed) -> None:
        """Brings the rows of these ids up to date."""
        self._catch_up(self._numbered(ids_MN).unique(), missed)
        self._met_U = torch.cat([self._met_U, self._numbered(ids_MN)]).unique()

    def mean(self, ids_MLT: Tensor, marked_MLT: Tensor) -> Tensor:
        """The mean over the marked rows of each list."""
        rows_MLTD = self.values_MVD.flatten(0, 1)[self._numbered(ids_MLT).view(ids_MLT.shape)]
        marks_MLT1 = marked_MLT[..., None].to(rows_MLTD.dtype)
        return (rows_MLTD * marks_MLT1).sum(2) / marks_MLT1.sum(2)

    def add(self, ids_MN: Tensor, grads_MND: Tensor) -> None:
        """Takes the gradients of rows."""
        if self._grads_UD is None:
            self._grads_UD = grads_MND.new_zeros(len(self._met_U), grads_MND.shape[-1])
        self._grads_UD.index_add_(0, torch.searchsorted(self._met_U, self._numbered(ids_MN)), grads_MND.flatten(0, 1))

    def add_mean(self, ids_MLT: Tensor, marked_MLT: Tensor, grads_MLD: Tensor) -> None:
        """Takes the gradients of means."""
        shares_MLT = marked_MLT.to(grads_MLD.dtype) / marked_MLT.sum(2, keepdim=True)
        self.add(ids_MLT.flatten(1), (shares_MLT[..., None] * grads_MLD[:, :, None]).flatten(1, 2))

    def move(self, how: Move) -> None:
        """Moves the rows that the step has met."""
        rows_U, width = self._met_U, self.values_MVD.shape[2]
        if not len(rows_U):
            return
        grads_UD = self.values_MVD.new_zeros(len(rows_U), width) if self._grads_UD is None else self._grads_UD
        rates_U1 = how.rates_M.to(grads_UD)[rows_U // self.values_MVD.shape[1]][:, None]
        values, first = self.values_MVD.view(-1, width), self.first_MVD.view(-1, width)
        if self.second_MVD is None:
            first[rows_U] = first[rows_U] * how.first_decay + grads_UD
            values[rows_U] -= rates_U1 * first[rows_U]
        else:
            second = self.second_MVD.view(-1, width)
            first[rows_U] += (1 - how.first_decay) * (grads_UD - first[rows_U])
            second[rows_U] = second[rows_U] * how.second_decay + (1 - how.second_decay) * grads_UD.square()
            values[rows_U] -= rates_U1 * first[rows_U] / (second[rows_U].sqrt() * how.second_scale + how.floor)
        self.last_MV.view(-1)[rows_U] = self.step

    def _numbered(self, ids_MX: Tensor) -> Tensor:
        """The ids of all models, numbered through all tables, flat."""
        firsts_M = torch.arange(len(ids_MX), device=ids_MX.device) * self.values_MVD.shape[1]
        return (ids_MX.flatten(1) + firsts_M[:, None]).flatten()


class CompiledRows(Rows):
    """The same by the compiled core, for float32 on the CPU."""

    def __init__(self, values_MVD: Tensor, *, second: bool, core: native.Core) -> None:
        super().__init__(values_MVD, second=second)
        self._core = core
        self._met_MV, self._slot_MV = torch.zeros_like(self.last_MV), torch.zeros_like(self.last_MV)
        self._counts_M = torch.zeros(len(values_MVD), dtype=torch.int32)
        self._distinct_MU = torch.zeros(len(values_MVD), 0, dtype=torch.int32)
        self._grads_MUD = values_MVD.new_zeros(len(values_MVD), 0, values_MVD.shape[2])  # kept: fresh memory would cost more than the sums

    def begin(self, step: int) -> None:
        """Begins a step."""
        super().begin(step)
        self._counts_M.zero_()

    def meet(self, ids_MN: Tensor, missed: Missed) -> None:
        """Brings the rows of these ids up to date."""
        ids_MN = ids_MN.contiguous()
        self._make_room(ids_MN.shape[1])
        lists = [one.contiguous() for one in (missed.move, missed.floor, missed.first_decay, missed.second_decay)]
        stride = lists[0].shape[1] if len(lists[0]) > 1 else 0
        steps = native.MissedSteps(*(one.data_ptr() for one in lists), stride)
        self._core.table.rows_meet(
            *(self._table(), ids_MN.data_ptr(), ids_MN.shape[1], self.step, ctypes.byref(steps), self._distinct_MU.data_ptr()),
            *(self._grads_MUD.data_ptr(), self._distinct_MU.shape[1], self._counts_M.data_ptr(), torch.get_num_threads()),
        )

    def mean(self, ids_MLT: Tensor, marked_MLT: Tensor) -> Tensor:
        """The mean over the marked rows of each list."""
        ids_MLT, marked_MLT = ids_MLT.contiguous(), marked_MLT.contiguous()
        models, lists, length = ids_MLT.shape
        means_MLD = self.values_MVD.new_empty(models, lists, self.values_MVD.shape[2])
        self._core.table.rows_mean(
            *(self._table(), ids_MLT.data_ptr(), marked_MLT.data_ptr(), lists, length, means_MLD.data_ptr(), torch.get_num_threads())
        )
        return means_MLD

    def add(self, ids_MN: Tensor, grads_MND: Tensor) -> None:
        """Takes the gradients of rows."""
        ids_MN, grads_MND, grads = ids_MN.contiguous(), grads_MND.contiguous(), self._grads_MUD
        self._core.table.rows_add(
            *(self._table(), ids_MN.data_ptr(), ids_MN.shape[1], grads_MND.data_ptr()),
            *(grads.shape[1], grads.data_ptr(), torch.get_num_threads()),
        )

    def add_mean(self, ids_MLT: Tensor, marked_MLT: Tensor, grads_MLD: Tensor) -> None:
        """Takes the gradients of means."""
        ids_MLT, marked_MLT, grads_MLD, grads = ids_MLT.contiguous(), marked_MLT.contiguous(), grads_MLD.contiguous(), self._grads_MUD
        self._core.table.rows_mean_add(
            *(self._table(), ids_MLT.data_ptr(), marked_MLT.data_ptr(), *ids_MLT.shape[1:], grads_MLD.data_ptr()),
            *(grads.shape[1], grads.data_ptr(), torch.get_num_threads()),
        )

    def move(self, how: Move) -> None:
        """Moves the rows that the step has met."""
        grads, rates_M = self._grads_MUD, how.rates_M.to(torch.float32).contiguous()
        self._core.table.rows_move(
            *(self._table(), self._distinct_MU.data_ptr(), self._distinct_MU.shape[1], self._counts_M.data_ptr(), grads.data_ptr()),
            *(self.step, rates_M.data_ptr(), how.first_decay, how.second_decay, how.second_scale, how.floor, torch.get_num_threads()),
        )

    def _table(self) -> ctypes._CArgObject:
        tensors = (self.values_MVD, self.first_MVD, self.second_MVD, self.last_MV, self._met_MV, self._slot_MV)
        return ctypes.byref(native.TableOfRows(*(None if x is None else x.data_ptr() for x in tensors), *self.values_MVD.shape))

    def _make_room(self, more: int) -> None:
        """Room for the distinct rows of so many ids more; there are never more than the table has."""
        held = int(self._counts_M.max()) if len(self._counts_M) else 0
        needed = min(held + more, self.values_MVD.shape[1])
        if needed > self._distinct_MU.shape[1]:
            models, before = self._distinct_MU.shape
            distinct_MU = torch.zeros(models, needed, dtype=torch.int32)
            grads_MUD = torch.zeros(models, needed, self._grads_MUD.shape[2])
            distinct_MU[:, :before], grads_MUD[:, :before] = self._distinct_MU, self._grads_MUD
            self._distinct_MU, self._grads_MUD = distinct_MU, grads_MUD


def rows(values_MVD: Tensor, *, second: bool) -> Rows:
    """Tables of rows, by the compiled core where it takes them.

    Args:
        values_MVD: One table for each model; contiguous.
        second: Whether rows have a second moment, as Adam's have.
    """
    core = kernels._core()
    if core is None or not native.takes((values_MVD,), torch.float32):
        return PortableRows(values_MVD, second=second)
    return CompiledRows(values_MVD, second=second, core=core)
