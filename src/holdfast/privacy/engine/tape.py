"""The tape of one backward pass: which parameter met what, exact squared norms with cross terms, weighted sums.

Shapes: B examples, T positions of one example, D inputs, P outputs, L groups of parameters that are clipped together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.errors import PreflightError
from holdfast.privacy.engine import cancellation
from holdfast.privacy.engine.derived import Derived
from holdfast.privacy.engine.grams import BiasSums, Grams, same
from holdfast.privacy.engine.occurrences import Gradients, Lookup, Occurrence, Product, inner_product, inner_product_with_dense

_SMALL = 4096  # numbers of one example's gradient that are worth a copy


class Tape:
    """What the trainable parameters of a model met in one forward and backward pass.

    Each record is one *occurrence* of one parameter. A parameter that occurs several times (tied or reused weights) gets
    its cross terms: ``|g1 + g2|^2 = |g1|^2 + |g2|^2 + 2 <g1, g2>``.

    Args:
        examples: B, at least 1.
        parameters: Trainable parameters by name, a tied one once.
        groups: Name to group in ``0..L-1``; parameters of a group are clipped together. None puts all into one.
        rows_per_example: Rows of the model's first axis that belong to one example.
    """

    def __init__(
        self,
        examples: int,
        parameters: Mapping[str, nn.Parameter],
        *,
        groups: Mapping[str, int] | None = None,
        rows_per_example: int = 1,
    ) -> None:
        self.examples = examples
        self.rows = examples * rows_per_example
        self._names = {id(parameter): name for name, parameter in parameters.items()}
        self._parameters = {id(parameter): parameter for parameter in parameters.values()}
        self._groups = {key: 0 if groups is None else groups[name] for key, name in self._names.items()}
        self.groups = 1 + max(self._groups.values(), default=0)
        self.clear()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(iter(self._parameters.values())).device

    def clear(self) -> None:
        """Forgets every record."""
        self.rewind()
        self.derived = Derived()

    def rewind(self) -> None:
        """Forgets what a backward pass recorded; another one may follow over the same forward pass."""
        self._grams = Grams()
        self._occurrences: list[Occurrence] = []
        self._by_parameter: dict[int, list[Occurrence]] = {}
        self._dense: dict[int, Tensor] = {}
        self._norms: Tensor | None = None
        self._margins: Tensor | None = None

    def is_parameter(self, tensor: Tensor) -> bool:
        """Whether this is a trainable parameter itself."""
        return id(tensor) in self._names

    def derive(self, result: Tensor, *, names: Iterable[str]) -> Tensor:
        """Counts a tensor, with its graph, as computed from these parameters alone.

        Returns:
            A stand-in, cut off from the graph: its gradients come by example and are carried back through the graph at the end.
        """
        return result if self.is_parameter(result) else self.derived.add(result, names)

    def wants(self, parameter: Tensor | None) -> bool:
        """Whether this is a trainable parameter of the model, or was computed from such alone."""
        return parameter is not None and (id(parameter) in self._names or id(parameter) in self.derived)

    def name(self, parameter: Tensor) -> str:
        """The name in the model of a parameter, or of those that a tensor was computed from."""
        key = id(parameter)
        return self._names[key] if key in self._names else self.derived.name(key)

    def product(
        self, weight: Tensor, inputs: Tensor, output_grads: Tensor, *, bias: Tensor | None = None, transposed: bool = False
    ) -> None:
        """Notes that ``weight`` turned inputs into outputs, row by row.

        Args:
            weight: (P, D), or (D, P) where `transposed`.
            inputs: A, (rows, ..., D), detached; rows of one example lie together.
            output_grads: G, (rows, ..., P), detached.
            bias: (P,), whose gradient is the column sum of G.
            transposed: The outputs are A W instead of A W'.
        """
        a_BTD, g_BTP = self.by_example(inputs), self.by_example(output_grads)
        biases = [bias] if bias is not None and self.wants(bias) else []
        if self.wants(weight):
            left, right = (a_BTD, g_BTP) if transposed else (g_BTP, a_BTD)
            if id(weight) in self._names and not _smaller_instantiated(a_BTD, g_BTP):
                self._collect_biases(self._grams.queue(self._groups[id(weight)], a_BTD, None, g_BTP, biases))
                self._note(Product(weight, left, right))
                return
            self.dense(weight, torch.bmm(left.mT, right))
        for parameter in biases:
            self.dense(parameter, g_BTP.sum(1))

    def lookup(self, weight: Tensor, ids: Tensor, output_grads: Tensor, *, padding_idx: int | None = None) -> None:
        """Notes that rows of ``weight`` were looked up.

        Args:
            weight: (V, D).
            ids: (rows, ...), integers in [0, V).
            output_grads: G, (rows, ..., D), detached.
            padding_idx: A row that never learns, or None.
        """
        if not self.wants(weight):
            return
        ids_BT, g_BTD = ids.reshape(self.examples, -1), self.by_example(output_grads)
        if padding_idx is not None:
            padding_BT = ids_BT == padding_idx
            if padding_BT.is_cuda or bool(padding_BT.any()):
                g_BTD = g_BTD.masked_fill(padding_BT[..., None], 0)
        self._collect_biases(self._grams.queue(self._groups[id(weight)], None, ids_BT, g_BTD, []))
        self._note(Lookup(weight, ids_BT, g_BTD))

    def dense(self, parameter: Tensor, gradients_B: Tensor) -> None:
        """Notes the gradient of every example outright.

        Args:
            parameter: Of any shape.
            gradients_B: (B, *shape), or anything that can be viewed so.
        """
        if self.wants(parameter):
            self.derived.refuse_if_over(self.name(parameter))
            self._collect(parameter, gradients_B)

    def _collect(self, parameter: Tensor, gradients_B: Tensor) -> None:
        gradients_B = _wide(gradients_B).reshape(self.examples, *parameter.shape)
        key = id(parameter)
        self._dense[key] = self._dense[key] + gradients_B if key in self._dense else gradients_B

    def _collect_biases(self, sums: BiasSums) -> None:
        for bias, sum_BP in sums:
            self._collect(bias, sum_BP)

    def by_example(self, tensor: Tensor) -> Tensor:
        """Views (rows, ..., D) as (B, T, D), in single precision or better.

        Raises:
            PreflightError: If the first axis does not list the examples.
        """
        if tensor.shape[0] % self.rows:
            raise PreflightError(
                [f"a layer saw {tensor.shape[0]} rows, no multiple of {self.rows} examples; put the examples on the first axis"]
            )
        return _wide(tensor.reshape(self.examples, -1, tensor.shape[-1]))

    def _note(self, new: Occurrence) -> None:
        earlier = self._by_parameter.setdefault(id(new.parameter), [])
        for old in earlier:
            self._grams.add(self._groups[id(new.parameter)], 2 * inner_product(new, old))
        earlier.append(new)
        self._occurrences.append(new)

    def squared_norms(self) -> Tensor:
        """Squared gradient norm of each example over each group of parameters, (L, B), in float32 or better.

        Where large parts of a gradient cancel, it is the square of an upper bound on what the example will add to a sum, rounding
        included. Exact norms of single examples are private data.
        """
        if self._norms is not None:
            return self._norms
        self._collect_biases(self._grams.flush())
        self._pull_back()
        for keys, flat_BX in self._packed():
            squares_B = flat_BX.square().sum(1)
            self._grams.add(self._groups[keys[0]], squares_B, apart_B=squares_B)
        for key in self._dense.keys() & self._by_parameter.keys():
            for other in self._by_parameter[key]:
                self._grams.add(self._groups[key], 2 * inner_product_with_dense(other, self._dense[key]))
        totals = self._grams.totals(self.groups)
        if totals is None:
            raise PreflightError(["the loss does not depend on any trainable parameter; unfreeze a layer that it uses"])
        squares_LB, apart_LB = totals
        doubtful_LB = cancellation.doubtful(squares_LB, apart_LB)
        if bool(doubtful_LB.any()):
            squares_LB, self._margins = cancellation.bounded(squares_LB, doubtful_LB, self._uses(doubtful_LB.any(1).tolist()))
        self._norms = squares_LB.clamp_min(0)
        return self._norms

    def margins(self) -> Tensor:
        """How far above the exact norm each norm may lie, (L, B): zero unless large parts of the gradient cancel."""
        norms_LB = self.squared_norms()
        return torch.zeros_like(norms_LB) if self._margins is None else self._margins

    def _packed(self) -> Iterator[tuple[list[int], Tensor]]:
        """Gradients given outright as matrices (B, numbers), small ones of a group side by side: one operation serves them all."""
        together: dict[Any, list[int]] = {}
        for key, gradients_B in self._dense.items():
            small = gradients_B.numel() <= _SMALL * self.examples
            together.setdefault((self._groups[key], gradients_B.dtype, None if small else key), []).append(key)
        for keys in together.values():
            parts = [self._dense[key].reshape(self.examples, -1) for key in keys]
            yield keys, parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def _uses(self, wanted: Sequence[bool]) -> Iterator[cancellation.Use]:
        """What each parameter met, for the groups that are wanted."""
        for key, group in self._groups.items():
            occurrences, dense_B = self._by_parameter.get(key, ()), self._dense.get(key)
            if wanted[group] and (occurrences or dense_B is not None):
                yield cancellation.Use(group, occurrences, dense_B)

    def _pull_back(self) -> None:
        """Turns gradients of derived tensors into gradients of what they were computed from, last one first."""
        sources: list[Tensor] = [*self._parameters.values(), *self.derived.stand_ins()]
        for key, result in self.derived.last_first():
            gradients_B = self._dense.pop(key, None)
            if gradients_B is not None:
                for source, gradient_B in self.derived.pulled_back(result, gradients_B, sources):
                    self._collect(source, gradient_B)

    def add_weighted_sum(self, weights_LB: Tensor, *, into: Gradients) -> None:
        """Adds the sum over examples of weight times gradient, and forgets the records, so that memory is freed on the way.

        Args:
            weights_LB: One weight for each group and example; (B,) where there is one group.
            into: Gradients by name; a name that is absent is assigned, any other added to in place.
        """
        weights_LB = weights_LB.reshape(self.groups, self.examples)
        scaled: tuple[Tensor, int, Tensor] | None = None
        self._by_parameter.clear()  # else it would keep every record alive to the end
        self._occurrences.reverse()  # the order of the backward pass: the tables of embeddings come last, when little is held beside them
        while self._occurrences:
            one = self._occurrences.pop()
            group = self._groups[id(one.parameter)]
            side = one.narrower
            if scaled is None or scaled[1] != group or not same(scaled[0], side):
                scaled = (side, group, side * weights_LB[group][:, None, None])
            one.add_to(into, self._names[id(one.parameter)], scaled[2])
        for keys, flat_BX in self._packed():
            sum_X = weights_LB[self._groups[keys[0]]].to(flat_BX.dtype) @ flat_BX
            parts = sum_X.split([self._parameters[key].numel() for key in keys])
            add_into(into, ((self._names[key], part.view_as(self._parameters[key])) for key, part in zip(keys, parts, strict=True)))
        self.rewind()

    def forget(self, examples_B: Tensor) -> None:
        """Zeroes what was recorded of some examples: a weight of zero alone does not remove a NaN.

        Args:
            examples_B: True for the examples to forget.
        """
        self._occurrences = [one.without(examples_B) for one in self._occurrences]
        for key, gradients_B in self._dense.items():
            self._dense[key] = gradients_B.masked_fill(examples_B.reshape(-1, *[1] * (gradients_B.dim() - 1)), 0)

    def names_met(self) -> set[str]:
        """Names of the parameters that have a record."""
        return {self._names[key] for key in (*self._by_parameter, *self._dense)}


@contextmanager
def paused(tape: Tape) -> Iterator[None]:
    """Records nothing while the block runs: some other derivative is taken."""
    names, derived, tape._names, tape.derived = tape._names, tape.derived, {}, Derived()
    try:
        yield
    finally:
        tape._names, tape.derived = names, derived


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _smaller_instantiated(a_BTD: Tensor, g_BTP: Tensor) -> bool:
    """True where the products G'A of the examples hold far fewer numbers than A and G: LoRA, small heads, long texts."""
    length, width_in, width_out = a_BTD.shape[1], a_BTD.shape[2], g_BTP.shape[2]
    return 2 * width_in * width_out <= length * (width_in + width_out)


def add_into(total: Gradients, parts: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
    """Adds gradients into a running sum by name, in place where there is one already."""
    for name, gradient in parts.items() if isinstance(parts, Mapping) else parts:
        if name in total:
            total[name].add_(gradient)
        else:
            total[name] = gradient
