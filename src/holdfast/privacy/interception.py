"""Recording what per-example clipping needs in one ordinary backward pass, without wrapping the user's model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.errors import PreflightError
from holdfast.privacy.layer_rules import Gradients, LayerRule, Use, rule_for


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name, a tied one once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@dataclass
class Layer:
    """A layer with trainable parameters of its own, and its rule."""

    path: str
    module: nn.Module
    rule: LayerRule | None
    names: dict[str, str]


def layers(model: nn.Module) -> list[Layer]:
    """All layers that hold trainable parameters directly; `rule` is None where no rule fits."""
    names = {id(parameter): name for name, parameter in trainable(model).items()}
    found = []
    for path, module in model.named_modules():
        own = {name: names[id(p)] for name, p in module.named_parameters(recurse=False) if id(p) in names}
        if own:
            found.append(Layer(path, module, rule_for(module), own))
    return found


@dataclass
class Tape:
    """What the layers recorded in one forward and backward pass over `examples` examples.

    Args:
        examples: B.
        uses: Uses with their rules, in the order of the forward pass.
    """

    examples: int
    uses: list[tuple[LayerRule, Use]] = field(default_factory=list)

    def watch(self, layer: Layer, rule: LayerRule, output: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """Notes a use, and its output gradient when the backward pass comes by."""
        rows = inputs[0].shape[0]
        if rows % self.examples or output.shape[0] % self.examples:
            reason = f"{layer.path}: its input has {rows} rows, no multiple of {self.examples} examples; put these on the first axis"
            raise PreflightError([reason])
        if not torch.is_grad_enabled():
            return output
        use = Use(layer.module, layer.names, self.examples, tuple(tensor.detach() for tensor in inputs))
        self.uses.append((rule, use))
        if not output.requires_grad:
            output.requires_grad_()

        def note(gradient: Tensor) -> None:
            use.output_grad = gradient.detach()

        output.register_hook(note)
        return output

    def finish(self) -> None:
        """Drops uses that the loss did not depend on, and checks the others.

        Raises:
            PreflightError: If the model overwrote a recorded input in place.
        """
        self.uses = [(rule, use) for rule, use in self.uses if use.output_grad is not None]
        changed = [type(use.layer).__name__ for _, use in self.uses if not use.unchanged]
        if changed:
            raise PreflightError(
                [f"{changed[0]}: its input was overwritten in place after it had been read; use the out-of-place operation"]
            )

    def squared_norms(self) -> Tensor:
        """Squared norm of each example's whole gradient, (B,), in float32 or better.

        A parameter that is used once goes through the fast rule. One that is used several times (tied or shared
        weights) has its per-example gradients added up over the uses first, cross terms included.
        """
        count = Counter(name for _, use in self.uses for name in use.names.values())
        total: Tensor | None = None
        shared: defaultdict[str, list[Tensor]] = defaultdict(list)
        for rule, use in self.uses:
            if all(count[name] == 1 for name in use.names.values()):
                total = _plus(total, rule.squared_norms(use))
                continue
            for name, gradient in rule.per_example(use).items():
                shared[use.names[name]].append(gradient)
        for gradients in shared.values():
            total = _plus(total, torch.stack(gradients).sum(0).flatten(1).square().sum(1))
        assert total is not None, "a backward pass that reached no layer was refused by preflight"
        return total

    def weighted_sum(self, weights_B: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Weighted sums of gradients by parameter name, last layer first, so that memory is freed on the way."""
        while self.uses:
            rule, use = self.uses.pop()
            for name, gradient in rule.weighted_sum(use, weights_B).items():
                yield use.names[name], gradient

    def forget(self, examples_B: Tensor) -> None:
        """Zeroes what was recorded of some examples: a weight of zero alone does not remove a NaN.

        Args:
            examples_B: True for the examples to forget.
        """
        for _, use in self.uses:
            assert use.output_grad is not None
            use.output_grad = _without(use.output_grad, examples_B)
            use.inputs = tuple(_without(tensor, examples_B) for tensor in use.inputs)


def _plus(total: Tensor | None, part: Tensor) -> Tensor:
    part = part.to(torch.promote_types(part.dtype, torch.float32))
    return part if total is None else total + part


def _without(tensor: Tensor, examples_B: Tensor) -> Tensor:
    rows = tensor.shape[0] // len(examples_B)
    gone = examples_B.repeat_interleave(rows).reshape(-1, *[1] * (tensor.dim() - 1))
    return tensor.masked_fill(gone, 0)


@contextmanager
def recording(model: nn.Module, examples: int) -> Iterator[Tape]:
    """Has every layer with trainable parameters record its uses while the block runs.

    The model is not wrapped: type, state-dict keys and methods stay; only the `forward` of single layers is
    replaced for the time of the block.

    Args:
        model: The model. Layers without a rule raise.
        examples: B, the number of examples in the coming batch.

    Raises:
        PreflightError: For a layer that has no rule.
    """
    tape = Tape(examples)
    attached = []
    try:
        for layer in layers(model):
            if layer.rule is None:
                raise PreflightError([f"{layer.path} ({type(layer.module).__name__}): no rule for this layer"])
            layer.module.forward = _forward(layer, layer.rule, tape)
            attached.append(layer.module)
        yield tape
    finally:
        for module in attached:
            del module.forward


def _forward(layer: Layer, rule: LayerRule, tape: Tape) -> Any:
    def watch(output: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        return tape.watch(layer, rule, output, inputs)

    def forward(x: Tensor) -> Any:
        return rule.forward(layer.module, watch, tape.examples, x)

    return forward


def add_into(total: Gradients, parts: Mapping[str, Tensor]) -> None:
    """Adds gradients into a running sum by name."""
    for name, gradient in parts.items():
        total[name] = total[name] + gradient if name in total else gradient
