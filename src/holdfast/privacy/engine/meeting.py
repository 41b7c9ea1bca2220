"""What is known of the tensors of one pass, and how a parameter is handed to each example where it is broadcast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from holdfast.core.errors import PreflightError
from holdfast.privacy.engine import functions
from holdfast.privacy.engine.tape import Tape

_TRANSPOSES = {torch.t, Tensor.t, *(getattr(Tensor, name).__get__ for name in ("T", "mT"))}
_MADE_OF_NOTHING = {
    *(torch.arange, torch.zeros, torch.ones, torch.full, torch.empty, torch.eye, torch.linspace, torch.logspace),
    *(torch.tril_indices, torch.triu_indices, Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_empty),
}
"""Functions whose result depends on shapes alone."""

_IN_THE_FORM_OF = {Tensor.to, Tensor.type_as, Tensor.expand_as, Tensor.view_as, Tensor.reshape_as}
"""Functions that look at the type or shape alone of any other tensor."""


@dataclass(frozen=True, eq=False)
class LookedUp:
    """Rows of a table at ids that may belong to examples or to positions: what they are broadcast against decides.

    Args:
        rows: (*ids.shape, D), computed from the table alone.
        ids: Integers in [0, V).
        weight: The table, (V, D).
        padding_idx: A row that never learns, or None.
        unclear: Whether the first axis of the ids may list examples, by its origin; its size says nothing.
    """

    rows: Tensor
    ids: Tensor
    weight: Tensor
    padding_idx: int | None
    unclear: bool


class Meeting:
    """What is known of the tensors of the pass: parameters, what was computed from them alone, and constants.

    Attribution rests on one fact: in a result that lists the examples on its first axis, row i belongs to example i. A
    parameter that is broadcast into such a result has one copy for each row; a tensor that was computed from parameters
    and lines up with it row by row belongs to the examples row by row. Nothing is read off a size that happens to fit.

    Args:
        tape: Where meetings are recorded.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._constants: dict[int, Tensor] = {}
        self._transposed: dict[int, tuple[Tensor, Tensor]] = {}
        self._looked_up: dict[int, LookedUp] = {}
        self._repeated: dict[int, tuple[Tensor, Tensor]] = {}
        self.unsettled = False

    def count_as_constant(self, tensor: Tensor) -> None:
        """Counts a tensor as independent of the data."""
        self._constants[id(tensor)] = tensor

    def is_constant(self, tensor: Tensor) -> bool:
        """Whether the tensor is known to be independent of the data, or is a single number that does not learn."""
        return id(tensor) in self._constants or (tensor.dim() == 0 and not tensor.requires_grad)

    def is_data(self, x: Any) -> bool:
        """Whether this is a tensor that may depend on the data."""
        return isinstance(x, Tensor) and not self.knows(x) and not self.is_constant(x)

    def fits(self, x: Any) -> bool:
        """Whether this is an operand that lists the examples on its first axis."""
        return self.is_data(x) and x.dim() > 1 and x.shape[0] % self.tape.rows == 0

    def meets_parameter(self, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
        """Whether a trainable parameter is among the arguments."""
        wants, transposed = self.tape.wants, self._transposed  # this runs at every function of the forward pass
        return any(wants(tensor) or id(tensor) in transposed for tensor in tensors_of(args, options))

    def knows(self, tensor: Any) -> bool:
        """Whether this is a trainable parameter or derived from such alone."""
        return isinstance(tensor, Tensor) and (self.tape.wants(tensor) or id(tensor) in self._transposed)

    def owns(self, *tensors: Tensor | None) -> bool:
        """Whether none of these learns without being known, as the output of another network would."""
        return all(tensor is None or self.knows(tensor) or not tensor.requires_grad for tensor in tensors)

    def all_known(self, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
        """Whether every tensor argument is a parameter, derived from parameters, frozen or constant."""
        return not any(self.is_data(tensor) for tensor in tensors_of(args, options))

    def follow_constants(self, func: Any, args: Sequence[Any], options: Mapping[str, Any], result: Any) -> None:
        """Keeps track of tensors that depend on no data: ranges, and what is computed from them and the model's buffers."""
        if func in _MADE_OF_NOTHING:
            self.count_as_constant(result)
            return
        given = tensors_of(args[:1], {}) if func in _IN_THE_FORM_OF else tensors_of(args, options)
        known = [id(tensor) in self._constants for tensor in given]
        if True not in known:
            return
        if all(known):
            for one in result if isinstance(result, list | tuple) else [result]:
                if isinstance(one, Tensor):
                    self.count_as_constant(one)
        else:  # data were perhaps written into one of them
            for target in (given[0], options.get("out")):
                if target is not None and id(target) in self._constants and (result is target or func is Tensor.__setitem__):
                    del self._constants[id(target)]

    def derive(self, result: Tensor, func: Any, args: Sequence[Any]) -> Tensor:
        """Notes what was computed from parameters alone, and returns what stands in for it; a transposed matrix stays its parameter."""
        if self.knows(result):
            return result
        source = args[0] if args else None
        matrix = isinstance(source, Tensor) and source.dim() == 2 and self.tape.is_parameter(source)
        if isinstance(source, Tensor) and matrix and (func in _TRANSPOSES or _swaps_two(func, args)):
            self._transposed[id(result)] = (result, source)
            return result
        return self.tape.derive(result, names=[self.name(one) for one in tensors_of(args, {}) if self.knows(one)])

    def name(self, tensor: Tensor) -> str:
        """Name of the parameter behind a tensor."""
        kept = self._transposed.get(id(tensor))
        return self.tape.name(tensor if kept is None else kept[1])

    def refusal(self, function: str, args: Sequence[Any], options: Mapping[str, Any]) -> str:
        """Says which parameter met which function without a rule, and what to do."""
        names = sorted({self.name(tensor) for tensor in tensors_of(args, options) if self.knows(tensor)})
        return (
            f"{' and '.join(names)} meets {function}, for which there is no clipping rule; freeze it, use a supported layer, "
            "or set engine='loop' (exact for any model, one example at a time)"
        )

    def matrix(self, weight: Tensor) -> tuple[Tensor, bool]:
        """The parameter behind a matrix, and whether it was transposed on the way."""
        kept = self._transposed.get(id(weight))
        return (weight, False) if kept is None else (kept[1], True)

    def plain(self, tensor: Tensor) -> Tensor:
        """A transposed parameter as a derived tensor; anything else as it is."""
        return self.tape.derive(tensor, names=[self.name(tensor)]) if id(tensor) in self._transposed else tensor

    def looked_up(self, rows: Tensor, ids: Tensor, weight: Tensor, padding_idx: int | None) -> Tensor:
        """Counts rows of a table as known, so that what they meet decides to whom they belong."""
        rows = self.tape.derive(rows, names=[self.tape.name(weight)])
        unclear = not self.is_constant(ids) and ids.dim() > 0 and ids.shape[0] != 1
        self._looked_up[id(rows)] = LookedUp(rows, ids, weight, padding_idx, unclear)
        self.unsettled |= unclear
        return rows

    def rows_of(self, tensor: Any) -> LookedUp | None:
        """What is known of looked-up rows."""
        return self._looked_up.get(id(tensor))

    def settled(self, value: Any) -> Any:
        """An argument whose looked-up rows, if they may belong to examples, now do.

        Raises:
            PreflightError: If they cannot.
        """
        if isinstance(value, list | tuple) and any(self.rows_of(one) for one in value):
            return type(value)(self.settled(one) for one in value)
        found = self.rows_of(value)
        if found is None or not found.unclear:
            return value
        if found.ids.shape[0] % self.tape.rows:
            raise PreflightError(
                [
                    f"{self.name(value)} is looked up at {tuple(found.ids.shape)} ids, and it is not clear whether they list examples or "
                    "positions; make them in the forward pass (torch.arange), register them as a buffer, or add an axis of one in front"
                ]
            )
        return self._row_each(found, found.ids)

    def repeat(self, result: Tensor, source: Tensor) -> Tensor:
        """Counts a tensor as copies of another one along the first axis."""
        result = self.tape.derive(result, names=[self.name(source)])
        self._repeated[id(result)] = (result, source)
        return result

    def copies(self, tensor: Tensor, other: Tensor) -> Tensor:
        """What each row of the operand `other` sees of a known tensor that is broadcast with it; NotImplemented if that is unclear."""
        rows, axes = other.shape[0] if other.dim() else 0, other.dim() - tensor.dim()
        if not rows or rows % (self.tape.examples if other.dim() == 1 else self.tape.rows) or axes < 0:  # one axis: losses by example
            return NotImplemented  # type: ignore[no-any-return]
        if axes:
            return self.expanded(tensor, (rows, *[1] * (axes - 1), *tensor.shape))
        if tensor.shape[0] == 1:
            return self.expanded(tensor, (rows, *tensor.shape[1:]))
        return self._by_row(tensor) if tensor.shape[0] == rows else NotImplemented

    def expanded(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """The tensor expanded to a shape whose first axis lists the rows."""
        found = self.rows_of(tensor)
        if found is not None:
            return self._row_each(found, found.ids.expand(shape[:-1]))
        return functions.PerExample.apply(self.tape, self.plain(tensor), tuple(shape))  # type: ignore[no-any-return]

    def _row_each(self, found: LookedUp, ids: Tensor) -> Tensor:
        return functions.Embedding.apply(self.tape, ids, found.weight, found.padding_idx)  # type: ignore[no-any-return]

    def _by_row(self, tensor: Tensor) -> Tensor:
        """A known tensor whose first axis lines up with the rows."""
        found, repeated = self.rows_of(tensor), self._repeated.get(id(tensor))
        if found is not None:
            return self._row_each(found, found.ids)
        if repeated is not None:
            return self.expanded(repeated[1], tensor.shape)
        if tensor.stride(0) == 0 and not self.tape.is_parameter(tensor):  # expanded: one slice for all rows
            return self.expanded(self.derive(tensor.narrow(0, 0, 1), torch.narrow, (tensor,)), tensor.shape)
        return functions.ByRow.apply(self.tape, self.plain(tensor), 0)  # type: ignore[no-any-return]


def tensors_of(args: Sequence[Any], options: Mapping[str, Any]) -> list[Tensor]:
    """The tensors among the arguments of a function, those in lists included."""
    found: list[Tensor] = []
    for value in (*args, *options.values()) if options else args:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):  # faster than a union
            found += [one for one in value if isinstance(one, Tensor)]
    return found


def replaced(change: Callable[[Any], Any], args: Sequence[Any], options: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a function, each changed."""
    return [change(value) for value in args], {name: change(value) for name, value in options.items()}


def _swaps_two(func: Any, args: Sequence[Any]) -> bool:
    return func in (torch.transpose, Tensor.transpose) and {axis % 2 for axis in args[1:3]} == {0, 1}
