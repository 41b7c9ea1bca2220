"""Layer-wise clipping: thresholds that share one bound, and the clipper that holds every layer of an example to its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.privacy.clipping.contract import ClippingState, ExampleRule, check_clip_norm
from holdfast.privacy.clipping.examples import ExampleClipper, counting

if TYPE_CHECKING:
    from torch import Tensor, nn


LayerScaling = Literal["uniform", "dimension"]


def check_scaling(layer_scaling: LayerScaling | Mapping[str, float]) -> None:
    """Refuses the name of a scaling that there is not.

    Raises:
        InputError: If so.
    """
    if isinstance(layer_scaling, str) and layer_scaling not in get_args(LayerScaling):
        raise InputError(f"layer_scaling is {layer_scaling!r}; choose one of {get_args(LayerScaling)} or give a weight for each layer")


def layer_thresholds(clip_norm: float, layer_scaling: LayerScaling | Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    """Threshold of each layer; their squares add up to that of the clip norm.

    Args:
        clip_norm: C > 0, over all layers together.
        layer_scaling: "uniform", "dimension" or a weight for each layer.
        sizes: Number of trainable parameters of each layer, by the layer's name.

    Raises:
        InputError: If given weights do not name exactly these layers, or are not positive.
    """
    if layer_scaling == "uniform":
        squares = dict.fromkeys(sizes, 1.0)
    elif layer_scaling == "dimension":
        squares = {layer: float(size) for layer, size in sizes.items()}
    else:
        given = dict(layer_scaling)
        if given.keys() != sizes.keys() or not all(math.isfinite(weight) and weight > 0 for weight in given.values()):
            raise InputError(f"layer_scaling must give a weight > 0 for each of {sorted(sizes)}, got {given}")
        squares = {layer: weight * weight for layer, weight in given.items()}
    whole = sum(squares.values())
    return {layer: clip_norm * math.sqrt(square / whole) for layer, square in squares.items()}


@dataclass(frozen=True, kw_only=True)
class PerLayerClipping(ExampleClipper):
    """Each layer's part of every example's gradient is scaled down to the layer's own threshold, then they are summed.

    A layer is what comes before the last dot of a parameter's name, such as ``encoder.layer.0.output.dense``.

    Args:
        clip_norm: C > 0, over all layers together.
        layer_scaling: Thresholds ``C_l = C s_l`` with ``sum s_l^2 = 1``: "uniform" (``s_l = 1/sqrt(L)``), "dimension"
            (``s_l = sqrt(d_l / d)``), or positive weights by the layer's name, scaled to that sum.

    Guarantee:
        A clipped gradient is at most ``sqrt(sum C_l^2) = C`` long, so adding, removing or zeroing out one example changes the
        sum by at most C; replacing one by at most 2C.

    Edge cases:
        As in flat clipping, layer by layer. A norm that is not finite in one layer takes the whole example out.

    References:
        McMahan, Ramage, Talwar, Zhang 2018 (arXiv 1710.06963), section 2.3; He et al. 2023 (arXiv 2212.01539).
    """

    clip_norm: float
    layer_scaling: LayerScaling | Mapping[str, float] = "uniform"

    def __post_init__(self) -> None:
        check_clip_norm(self.clip_norm)
        check_scaling(self.layer_scaling)

    def thresholds(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """Threshold of each layer by its name, from the number of trainable parameters of each."""
        return layer_thresholds(self.clip_norm, self.layer_scaling, sizes)

    def rule(self, model: nn.Module, *, streams: Streams, step: int, state: ClippingState | None = None) -> ExampleRule:
        """What this step does with the norms of the layers; the same in every step."""
        import torch

        from holdfast.privacy import sums
        from holdfast.privacy.engine import trainable

        thresholds = self.thresholds(sums.layer_sizes(model))
        number = {layer: position for position, layer in enumerate(thresholds)}
        bounds_L1 = torch.tensor(list(thresholds.values()), dtype=torch.float64)[:, None]

        def weigh(squared_LB: Tensor) -> Tensor:
            bounds = bounds_L1.to(squared_LB)
            norms_LB = squared_LB.clamp_min(0).sqrt()
            weights_LB = bounds / torch.maximum(norms_LB, bounds)
            return torch.where(torch.isfinite(norms_LB).all(0), weights_LB, 0.0)

        return counting(weigh, state, {name: number[sums.layer_of(name)] for name in trainable(model)})
