"""One rule for each kind of layer: what to record in a pass, its exact per-example norms, its weighted gradient.

Shapes: B examples, T positions of one example (tokens, characters, ...), D inputs, P outputs, H hidden units, V rows.
A use records the input A_BTD and the gradient G_BTP of the loss with respect to the output. From these two alone
the gradient of every example follows, so the ordinary weight gradient is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.privacy.recurrence import LSTMWalk

Gradients = dict[str, Tensor]


@dataclass
class Use:
    """One use of one layer in one forward pass, completed when the backward pass reaches it.

    Args:
        layer: The layer.
        names: Trainable parameters of the layer: name in the layer -> name in the model.
        examples: B. The first axis of inputs and gradient is B, or a multiple that lists each example's rows together.
        inputs: What the rule needs of the input, detached.
        output_grad: G, set by the backward pass; None where the loss does not depend on the use.
    """

    layer: nn.Module
    names: Mapping[str, str]
    examples: int
    inputs: tuple[Tensor, ...]
    output_grad: Tensor | None = None
    versions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.versions = tuple(tensor._version for tensor in self.inputs)

    @property
    def unchanged(self) -> bool:
        """False where the model wrote into a recorded input after the layer had read it."""
        return self.versions == tuple(tensor._version for tensor in self.inputs)

    def grad_rows(self) -> Tensor:
        """G as (B, T, P)."""
        assert self.output_grad is not None, "the clipper keeps only uses that the backward pass reached"
        return _rows(self.output_grad, self.examples)


Watch = Callable[[Tensor, tuple[Tensor, ...]], Tensor]
"""Records (output, inputs) of a layer as a use and returns the output, watched for its gradient."""


class LayerRule(Protocol):
    """What the clipper must know of a kind of layer."""

    def forward(self, layer: Any, watch: Watch, examples: int, x: Tensor) -> Any:
        """Computes what the layer computes, with detached parameters, and has the output watched."""
        ...

    def squared_norms(self, use: Use) -> Tensor:
        """Squared gradient norm of each example over the trainable parameters of the use, (B,)."""
        ...

    def per_example(self, use: Use) -> Gradients:
        """Gradient of each example, by name in the layer, (B, *shape): the slow twin, and the way for reused weights."""
        ...

    def weighted_sum(self, use: Use, weights_B: Tensor) -> Gradients:
        """Sum over examples of weight times gradient, by name in the layer."""
        ...


def _rows(x: Tensor, examples: int) -> Tensor:
    """Views (B, ..., D) or (B*k, ..., D) as (B, T, D)."""
    return x.reshape(examples, -1, x.shape[-1])


def _detached(parameter: Tensor | None) -> Tensor | None:
    return None if parameter is None else parameter.detach()


def product_squared_norms(a_BTD: Tensor, g_BTP: Tensor, constant: float = 0.0) -> Tensor:
    """Squared norms of the per-example products A'G, plus `constant` times those of the column sums of G.

    By Gram matrices, sum_ts (<a_t, a_s> + constant) <g_t, g_s>, where they are the smaller object, else by the products.

    References:
        Li et al. 2022 (arXiv 2110.05679), section 4; Bu, Mao, Xu 2022 (arXiv 2205.10683).
    """
    length, width_in, width_out = a_BTD.shape[1], a_BTD.shape[2], g_BTP.shape[2]
    if length == 1:
        return (a_BTD.square().sum((1, 2)) + constant) * g_BTP.square().sum((1, 2))
    if 2 * length * length <= width_in * width_out:
        gram_BTT = torch.bmm(a_BTD, a_BTD.mT)
        return (gram_BTT.add_(constant)).mul_(torch.bmm(g_BTP, g_BTP.mT)).sum((1, 2))
    norms = torch.bmm(g_BTP.mT, a_BTD).square().sum((1, 2))
    return norms + constant * g_BTP.sum(1).square().sum(1) if constant else norms


def weighted_product(a_BTD: Tensor, g_BTP: Tensor, weights_B: Tensor) -> Tensor:
    """Sum over examples of weight times G'A, (P, D); the narrower of the two is scaled."""
    scale = weights_B[:, None, None]
    if a_BTD.shape[2] <= g_BTP.shape[2]:
        a_BTD = a_BTD * scale
    else:
        g_BTP = g_BTP * scale
    return g_BTP.flatten(0, 1).mT @ a_BTD.flatten(0, 1)


class LinearRule:
    """`nn.Linear`, and the product inside every other rule."""

    def forward(self, layer: Any, watch: Watch, examples: int, x: Tensor) -> Tensor:
        """Computes x W' + b."""
        return watch(F.linear(x, layer.weight.detach(), _detached(layer.bias)), (x,))

    def matrices(self, use: Use) -> tuple[Tensor, Tensor]:
        """A_BTD and G_BTP."""
        return _rows(use.inputs[0], use.examples), use.grad_rows()

    def squared_norms(self, use: Use) -> Tensor:
        """By Gram matrices or by products, whichever is smaller, with the bias folded in."""
        a_BTD, g_BTP = self.matrices(use)
        if "weight" not in use.names:
            return g_BTP.sum(1).square().sum(1)
        return product_squared_norms(a_BTD, g_BTP, float("bias" in use.names))

    def per_example(self, use: Use) -> Gradients:
        """G'A and the sum of G."""
        a_BTD, g_BTP = self.matrices(use)
        return _kept(use, weight=lambda: torch.bmm(g_BTP.mT, a_BTD), bias=lambda: g_BTP.sum(1))

    def weighted_sum(self, use: Use, weights_B: Tensor) -> Gradients:
        """One product over all rows."""
        a_BTD, g_BTP = self.matrices(use)
        return _kept(use, weight=lambda: weighted_product(a_BTD, g_BTP, weights_B), bias=lambda: weights_B @ g_BTP.sum(1))


class Conv1DRule(LinearRule):
    """The transposed linear layer of GPT-2 (`transformers.pytorch_utils.Conv1D`)."""

    def forward(self, layer: Any, watch: Watch, examples: int, x: Tensor) -> Tensor:
        """Computes x W + b."""
        return watch(F.linear(x, layer.weight.detach().mT, _detached(layer.bias)), (x,))

    def per_example(self, use: Use) -> Gradients:
        """As the linear rule, transposed."""
        return _transposed(super().per_example(use))

    def weighted_sum(self, use: Use, weights_B: Tensor) -> Gradients:
        """As the linear rule, transposed."""
        return _transposed(super().weighted_sum(use, weights_B))


def _transposed(gradients: Gradients) -> Gradients:
    return {name: gradient.mT if name == "weight" else gradient for name, gradient in gradients.items()}


class ConvolutionRule(LinearRule):
    """`nn.Conv1d` with one group: the windows of the input are the rows of a linear layer."""

    def forward(self, layer: Any, watch: Watch, examples: int, x: Tensor) -> Tensor:
        """Computes the convolution; what is recorded are the padded input's windows, (N, T, D * kernel)."""
        output = F.conv1d(x, layer.weight.detach(), _detached(layer.bias), layer.stride, layer.padding, layer.dilation)
        padding = layer._reversed_padding_repeated_twice
        padded_NDL = F.pad(x.detach(), padding)
        kernel, dilation, stride = layer.kernel_size[0], layer.dilation[0], layer.stride[0]
        windows_NDTK = padded_NDL.unfold(2, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
        windows_NTD = windows_NDTK.transpose(1, 2).flatten(2)
        return watch(output, (windows_NTD,))

    def matrices(self, use: Use) -> tuple[Tensor, Tensor]:
        """Windows and output gradients as rows; the gradient arrives as (N, P, T)."""
        assert use.output_grad is not None
        return _rows(use.inputs[0], use.examples), _rows(use.output_grad.mT, use.examples)

    def per_example(self, use: Use) -> Gradients:
        """As the linear rule, in the shape of the kernel."""
        return self._shaped(use, super().per_example(use))

    def weighted_sum(self, use: Use, weights_B: Tensor) -> Gradients:
        """As the linear rule, in the shape of the kernel."""
        return self._shaped(use, super().weighted_sum(use, weights_B))

    @staticmethod
    def _shaped(use: Use, gradients: Gradients) -> Gradients:
        shape = use.layer.get_parameter("weight").shape
        return {name: g.reshape(*g.shape[:-2], *shape) if name == "weight" else g for name, g in gradients.items()}


class EmbeddingRule:
    """`nn.Embedding`; rows at `padding_idx` have no gradient. Ids of one row, (1, T), serve all examples."""

    def forward(self, layer: nn.Embedding, watch: Watch, examples: int, x: Tensor) -> Tensor:
        """Looks the rows up."""
        ids = x.expand(examples, *x.shape[1:]) if x.dim() > 1 and x.shape[0] == 1 else x
        return watch(F.embedding(ids, layer.weight.detach(), layer.padding_idx), (ids,))

    @staticmethod
    def _matrices(use: Use) -> tuple[Tensor, Tensor]:
        ids_BT, g_BTD = use.inputs[0].reshape(use.examples, -1), use.grad_rows()
        padding = cast("nn.Embedding", use.layer).padding_idx
        return ids_BT, g_BTD if padding is None else g_BTD * (ids_BT != padding)[..., None]

    def squared_norms(self, use: Use) -> Tensor:
        """Sums the gradient over equal ids of an example, then squares: memory of one row for each (example, id)."""
        ids_BT, g_BTD = self._matrices(use)
        examples, width = g_BTD.shape[0], g_BTD.shape[-1]
        rows = use.layer.get_parameter("weight").shape[0]
        keys = ids_BT + rows * torch.arange(examples, device=ids_BT.device)[:, None]
        unique, segments = keys.flatten().unique(return_inverse=True)
        sums = g_BTD.new_zeros(len(unique), width).index_add_(0, segments, g_BTD.flatten(0, 1))
        return g_BTD.new_zeros(examples).index_add_(0, unique // rows, sums.square().sum(1))

    def per_example(self, use: Use) -> Gradients:
        """A whole table for each example."""
        ids_BT, g_BTD = self._matrices(use)
        table_BVD = g_BTD.new_zeros(len(g_BTD), *use.layer.get_parameter("weight").shape)
        table_BVD.scatter_add_(1, ids_BT[..., None].expand_as(g_BTD), g_BTD)
        return {"weight": table_BVD}

    def weighted_sum(self, use: Use, weights_B: Tensor) -> Gradients:
        """One indexed sum over all rows."""
        ids_BT, g_BTD = self._matrices(use)
        table_VD = torch.zeros_like(use.layer.get_parameter("weight"), dtype=g_BTD.dtype)
        return {"weight": table_VD.index_add_(0, ids_BT.flatten(), (g_BTD * weights_B[:, None, None]).flatten(0, 1))}


class LayerNormRule:
    """`nn.LayerNorm`: gradients are as small as one row, so they are formed for each example."""

    def forward(self, layer: nn.LayerNorm, watch: Watch, examples: int, x: Tensor) -> Tensor:
        """Normalises, then scales and shifts; what is recorded is the normalised input."""
        normal = F.layer_norm(x, layer.normalized_shape, eps=layer.eps)
        output = normal * layer.weight.detach()
        return watch(output if layer.bias is None else output + layer.bias.detach(), (normal,))

    def squared_norms(self, use: Use) -> Tensor:
        """From the gradients themselves."""
        return sum(g.flatten(1).square().sum(1) for g in self.per_example(use).values())  # type: ignore[return-value]  # never empty

    def per_example(self, use: Use) -> Gradients:
        """The sums over positions of G times the normalised input, and of G."""
        assert use.output_grad is not None
        g, shape = use.output_grad, use.layer.get_parameter("weight").shape
        flat = (use.examples, -1, *shape)
        normal = use.inputs[0]
        return _kept(use, weight=lambda: (g * normal.reshape_as(g)).reshape(flat).sum(1), bias=lambda: g.reshape(flat).sum(1))

    def weighted_sum(self, use: Use, weights_B: Tensor) -> Gradients:
        """Weighted sum of the per-example gradients."""
        return {name: torch.tensordot(weights_B, g, 1) for name, g in self.per_example(use).items()}


class LSTMRule:
    """`nn.LSTM`: one layer, one direction, batch first, called on a padded (B, T, D) tensor alone.

    The gradient of the gates' pre-activation, D_BTG with G = 4H, is the output gradient of both matrices, so one Gram
    matrix serves the whole cell: sum_ts (<x_t, x_s> + <h_t-1, h_s-1> + 2) <d_t, d_s>.
    """

    def forward(self, layer: Any, watch: Watch, examples: int, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Computes the outputs (B, T, H) and the final states (1, B, H), from zero initial states."""
        bias = layer.bias_ih_l0.detach() + layer.bias_hh_l0.detach() if layer.bias else None
        gates = F.linear(x, layer.weight_ih_l0.detach(), bias)
        previous = x.new_zeros(*x.shape[:2], layer.hidden_size)  # h_t-1; filled below, once the outputs are known
        gates = watch(gates, (x, previous))
        output, cell = LSTMWalk.apply(gates, layer.weight_hh_l0.detach())
        previous.data[:, 1:] = output.detach()[:, :-1]
        return output, (output[:, -1][None], cell[None])

    @staticmethod
    def _matrices(use: Use) -> tuple[Tensor, Tensor, Tensor]:
        return use.inputs[0], use.inputs[1], use.grad_rows()

    def squared_norms(self, use: Use) -> Tensor:
        """One Gram matrix or two products for the cell."""
        x_BTD, h_BTH, d_BTG = self._matrices(use)
        biases = float(sum(name.startswith("bias") for name in use.names))
        parts = [part for part, name in ((x_BTD, "weight_ih_l0"), (h_BTH, "weight_hh_l0")) if name in use.names]
        if not parts:
            return biases * d_BTG.sum(1).square().sum(1)
        return product_squared_norms(torch.cat(parts, 2), d_BTG, biases)

    def per_example(self, use: Use) -> Gradients:
        """D'X, D'H and the sum of D, once for each bias."""
        x_BTD, h_BTH, d_BTG = self._matrices(use)
        return _kept(
            use,
            weight_ih_l0=lambda: torch.bmm(d_BTG.mT, x_BTD),
            weight_hh_l0=lambda: torch.bmm(d_BTG.mT, h_BTH),
            bias_ih_l0=lambda: d_BTG.sum(1),
            bias_hh_l0=lambda: d_BTG.sum(1),
        )

    def weighted_sum(self, use: Use, weights_B: Tensor) -> Gradients:
        """Two products over all rows."""
        x_BTD, h_BTH, d_BTG = self._matrices(use)
        scaled_BTG = d_BTG * weights_B[:, None, None]
        flat = scaled_BTG.flatten(0, 1)
        bias = flat.sum(0)
        return _kept(
            use,
            weight_ih_l0=lambda: flat.mT @ x_BTD.flatten(0, 1),
            weight_hh_l0=lambda: flat.mT @ h_BTH.flatten(0, 1),
            bias_ih_l0=lambda: bias,
            bias_hh_l0=lambda: bias,
        )


def _kept(use: Use, **gradients: Callable[[], Tensor]) -> Gradients:
    """Computes the gradients of the trainable parameters alone."""
    return {name: gradient() for name, gradient in gradients.items() if name in use.names}


_LINEAR, _CONV1D = LinearRule(), Conv1DRule()
_RULES: dict[type[nn.Module], LayerRule] = {
    nn.Linear: _LINEAR,
    nn.Conv1d: ConvolutionRule(),
    nn.Embedding: EmbeddingRule(),
    nn.LayerNorm: LayerNormRule(),
    nn.LSTM: LSTMRule(),
}


def rule_for(layer: nn.Module) -> LayerRule | None:
    """The rule of a layer with parameters of its own, or None where there is none: exact type, never a subclass.

    A subclass may compute something else in its forward; it is served by the loop over examples instead.
    """
    if type(layer).__name__ == "Conv1D" and type(layer).__module__ == "transformers.pytorch_utils":
        return _CONV1D
    if not _supported(layer):
        return None
    return _RULES.get(type(layer))


def _supported(layer: nn.Module) -> bool:
    if isinstance(layer, nn.LSTM):
        return layer.num_layers == 1 and not layer.bidirectional and layer.batch_first and layer.proj_size == 0
    if isinstance(layer, nn.Embedding):
        return layer.max_norm is None and not layer.scale_grad_by_freq
    if isinstance(layer, nn.Conv1d):
        return layer.groups == 1 and layer.padding_mode == "zeros"
    return not isinstance(layer, nn.LayerNorm) or layer.elementwise_affine
