"""Low-rank pairs beside the linear layers of a small model, for clients that train and send little (hub models have peft).

Shapes: C clients, I inputs and O outputs of a layer, R rank.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.updates.prefixes import check, covered
from holdfast.models import checks

TRAIN = ("both", "b")
A, B = "lora_a", "lora_b"


class LoraLinear(nn.Linear):
    """A linear layer with a low-rank pair: y = x W' + b + (alpha / rank) x A' B'. Its weight keeps its name.

    Args:
        layer: The layer whose weight and bias it takes over, frozen.
        first_RI: The first A.
        alpha: Over the rank, the factor of the pair.
        train: "both", or "b" where A stays as it was drawn.
    """

    def __init__(self, layer: nn.Linear, first_RI: Tensor, *, alpha: float, train: str) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        for value in (layer.weight, layer.bias):
            if value is not None:
                value.requires_grad_(False)
        self.rank, self.alpha, self.train_factors = len(first_RI), alpha, train
        self.lora_a = nn.Parameter(first_RI.to(layer.weight), requires_grad=train == "both")
        self.lora_b = nn.Parameter(layer.weight.new_zeros(layer.out_features, self.rank))
        self.train(layer.training)

    @property
    def scale(self) -> float:
        """The factor of the pair."""
        return self.alpha / self.rank

    def forward(self, input: Tensor) -> Tensor:
        """Applies the layer and its pair."""
        return F.linear(input, self.weight, self.bias) + self.scale * F.linear(F.linear(input, self.lora_a), self.lora_b)


def with_lora(
    module: nn.Module,
    *,
    rank: int,
    alpha: float,
    streams: Streams,
    targets: Sequence[str] | None = None,
    train: str = "both",
    also: Sequence[str] = (),
) -> nn.Module:
    """Copies a model and puts a low-rank pair beside its linear layers; everything else of the copy is frozen.

    Pitfall: the mean of B times the mean of A is not the mean of BA, so a server that averages both factors (train "both") averages
    something else than what the clients learned; `averaging_gap` measures how far off it is. With train "b" (FFA-LoRA) A is drawn once
    and never trained, BA is linear in what is trained, and averaging is exact; a client also sends about half. `fold` is exact for both.

    Args:
        module: The model; it is left as it is.
        rank: R >= 1, at most the smaller side of each layer.
        alpha: > 0; the pair is multiplied by alpha / rank.
        streams: Draw A, by the name of its layer.
        targets: Prefixes of layers; None for every linear layer. Only plain `nn.Linear` layers are taken: neither an LSTM, nor a part of an
            attention of torch that reads the weight itself, nor a layer that shares its weight with another.
        train: "both" factors, or "b" alone.
        also: Prefixes of parameters that are trained whole beside the pairs, such as "heads"; layers under them get no pair.

    Returns:
        The copy. Names of parameters stay; `lora_a` (R, I) and `lora_b` (O, R) come beside the weight of each layer.

    Raises:
        InputError: For a bad setting, or if there is no such layer.

    Guarantee:
        B begins at 0, so the copy computes what the model computes, to the last bit but for the sign of a zero.

    References:
        Hu et al. 2021, arXiv 2106.09685 (LoRA); Sun et al. 2024, arXiv 2403.12313 (FFA-LoRA).
    """
    checks.integer("lora", least=1, rank=rank)
    checks.number("lora", least=0, alpha=alpha)
    checks.choice("lora", TRAIN, train=train)
    if alpha == 0:
        raise InputError("lora: alpha is 0, so nothing would be learned; give a number above 0")
    if next(layers(module), None) is not None:
        raise InputError("lora: the model has low-rank pairs already; merge them first")
    found = copy.deepcopy(module)
    chosen = _chosen(found, targets, also)
    for name, value in found.named_parameters():
        value.requires_grad_(value.requires_grad and covered(name, also))
    for name, layer in chosen.items():
        least = min(layer.in_features, layer.out_features)
        checks.integer(f"lora of {name}", least=1, most=least, rank=rank)
        pair = LoraLinear(layer, _first(streams, name, 0, rank, layer.in_features), alpha=alpha, train=train)
        _put(found, name, pair)
    return found


def merge(module: nn.Module) -> nn.Module:
    """Copies a model with its pairs folded into the weights: plain linear layers again, of the same function.

    Parameters stay frozen where they were; a copy that is to be trained further is unfrozen by its owner.
    """
    found = copy.deepcopy(module)
    for name, pair in list(layers(found)):
        layer = nn.Linear(pair.in_features, pair.out_features, bias=pair.bias is not None, device="meta")
        layer.weight, layer.bias = pair.weight, pair.bias
        with torch.no_grad():
            layer.weight.add_(pair.lora_b @ pair.lora_a, alpha=pair.scale)
        layer.train(pair.training)
        _put(found, name, layer)
    return found


@torch.no_grad()
def fold(
    module: nn.Module, factors: Mapping[str, Tensor], weights_C: NDArray[np.float64], *, streams: Streams, round: int
) -> dict[str, Tensor]:
    """Folds what the clients of a round have learned into the weights and begins new pairs (FLoRA): exact for both factors.

    The sum of p_i B_i A_i is the product of the p_i B_i side by side and the A_i one under the other, so no
    factor is averaged. It is paid for on the way down: what clients need of the next round is the changed weight, or the factors of the
    whole cohort.

    Args:
        module: A model of `with_lora`, as it was when the round began; changed.
        factors: The clients' trained factors themselves, not how far they moved: `lora_a` (C, R, I) and `lora_b` (C, O, R) by name. Clients
            of a smaller rank fill up with zeros. Where A is not trained it may be left out.
        weights_C: Aggregation weight of each client, (C,). Where they do not sum to 1, B must have begun the round at 0, as it does after
            a fold.
        streams: Draw the new A of each layer; not drawn anew where A is not trained.
        round: Counted from 0.

    Returns:
        The weights that changed, by name.

    Raises:
        InputError: For a model without pairs, or factors of other shapes.

    References:
        Wang et al. 2024, arXiv 2409.05976 (FLoRA).
    """
    changed = {}
    for name, pair, a_CRI, b_COR in _pairs(module, factors, weights_C):
        weights = torch.as_tensor(weights_C, dtype=b_COR.dtype, device=b_COR.device)
        side_by_side = (b_COR * weights[:, None, None]).movedim(0, 1).flatten(1)
        pair.weight.add_(side_by_side @ a_CRI.flatten(0, 1), alpha=pair.scale)
        if pair.train_factors == "both":
            pair.lora_a.copy_(_first(streams, name, round + 1, pair.rank, pair.in_features))
        pair.lora_b.zero_()
        changed[f"{name}.weight"] = pair.weight.detach().clone()
    return changed


def averaging_gap(module: nn.Module, factors: Mapping[str, Tensor], weights_C: NDArray[np.float64]) -> dict[str, float]:
    """How far the product of the averaged factors is from the average of the products, for each layer.

    Args:
        module: A model of `with_lora`.
        factors: As of `fold`.
        weights_C: Aggregation weights, (C,); made to sum to 1 here.

    Returns:
        By layer, |mean(BA) - mean(B) mean(A)| over |mean(BA)| in the Frobenius norm; 0 where mean(BA) is 0. Rounding alone for train "b".

    Raises:
        InputError: As of `fold`, or for weights that sum to 0.
    """
    if not np.sum(weights_C) > 0:
        raise InputError(f"lora: the weights sum to {float(np.sum(weights_C)):g}; give weights >= 0, one of them above")
    gaps = {}
    for name, _, a_CRI, b_COR in _pairs(module, factors, weights_C):
        share_C = torch.as_tensor(weights_C / np.sum(weights_C), dtype=torch.float64)
        a, b = a_CRI.detach().double().cpu(), b_COR.detach().double().cpu()
        right = torch.einsum("c,cor,cri->oi", share_C, b, a)
        wrong = torch.tensordot(share_C, b, dims=1) @ torch.tensordot(share_C, a, dims=1)
        size = float(right.norm())
        gaps[name] = float((right - wrong).norm()) / size if size else 0.0
    return gaps


def layers(module: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    """The layers with a pair, by name."""
    for name, layer in module.named_modules():
        if isinstance(layer, LoraLinear):
            yield name, layer


def is_factor(name: str) -> bool:
    """Whether a parameter is a factor of a pair."""
    return name.rpartition(".")[2] in (A, B)


def settings(module: nn.Module) -> dict[str, Any] | None:
    """What `with_lora` was told, as plain data; None for a model without pairs."""
    found = list(layers(module))
    if not found:
        return None
    pair = found[0][1]
    return {"rank": pair.rank, "alpha": pair.alpha, "train": pair.train_factors, "layers": len(found)}


def _chosen(module: nn.Module, targets: Sequence[str] | None, also: Sequence[str]) -> dict[str, nn.Linear]:
    owners = Counter(id(value) for layer in module.modules() for value in layer._parameters.values() if value is not None)
    plain = {name: layer for name, layer in module.named_modules() if type(layer) is nn.Linear and owners[id(layer.weight)] == 1}
    plain.pop("", None)
    if plain:
        check("lora", targets or (), list(plain), what="plain linear layer")
    check("lora", also, [name for name, _ in module.named_parameters()])
    found = {name: layer for name, layer in plain.items() if (targets is None or covered(name, targets)) and not covered(name, also)}
    if not found:
        raise InputError("lora: there is no plain linear layer inside the model to put a pair beside; train some of its parameters whole")
    return found


def _pairs(
    module: nn.Module, factors: Mapping[str, Tensor], weights_C: NDArray[np.float64]
) -> Iterator[tuple[str, LoraLinear, Tensor, Tensor]]:
    found = list(layers(module))
    if not found:
        raise InputError("lora: the model has no low-rank pairs; make it by with_lora")
    clients = len(weights_C)
    for name, pair in found:
        fixed = pair.lora_a.expand(clients, -1, -1) if pair.train_factors == "b" else None
        a_CRI, b_COR = factors.get(f"{name}.{A}", fixed), factors.get(f"{name}.{B}")
        for which, value, shape in ((A, a_CRI, pair.lora_a.shape), (B, b_COR, pair.lora_b.shape)):
            if value is None or value.shape != (clients, *shape):
                have = None if value is None else tuple(value.shape)
                raise InputError(f"lora: {name}.{which} has the shape {have}; give {(clients, *shape)}, a factor of each client")
        assert a_CRI is not None
        assert b_COR is not None
        yield name, pair, a_CRI, b_COR


def _first(streams: Streams, name: str, round: int, rank: int, inputs: int) -> Tensor:
    """A as the reference code of LoRA draws it: uniform up to one over the root of the inputs."""
    drawn = streams.generator(f"lora a of {name}", round).uniform(-1, 1, (rank, inputs)) / math.sqrt(inputs)
    return torch.from_numpy(drawn)


def _put(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    module.get_submodule(parent).register_module(last, layer)
