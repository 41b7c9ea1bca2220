"""Checks before any budget is spent: a model or a loss that would void the promise is refused, with reason and cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from holdfast.core.errors import HoldfastError, PreflightError
from holdfast.core.randomness import Streams
from holdfast.privacy.clipping import Clipper, Execution, Indices, LossesOf, MicroBatchClipping, PerLayerClipping
from holdfast.privacy.engine import Gradients, Tape, recording, trainable
from holdfast.privacy.mechanism import Mechanism
from holdfast.privacy.sums import finite, layer_sizes

TOLERANCE = 1e-3  # relative, of float32 losses and norms; a coupled loss or a wrong norm is off by far more
PROBES = 16
COMPARED = 3  # of the probes, with examples run alone
MOVED_AFTER = 20  # steps after which every trainable tensor must have moved


def preflight(model: nn.Module, losses_of: LossesOf, probes: Indices, mechanism: Mechanism, *, execution: Execution) -> None:
    """Refuses what cannot be trained with this mechanism. Costs a few forward and backward passes on single examples.

    Checked: something is trainable; losses come one for each example. For private mechanisms also: no batch statistics;
    the loss of one example does not move when the others change; every layer has a rule; the engine's per-example
    norms equal those of examples run alone; nothing of one half of the probes arrives at the other.

    Args:
        model: The model, whose mode, weights and gradients are left as they were.
        losses_of: Gives one loss for each of the indices it is handed.
        probes: Indices of a few examples, at least one, of different lengths if possible; up to `PROBES` are looked at.
        mechanism: What it is to be trained with.
        execution: How the work will be done.

    Raises:
        PreflightError: With every reason found, each with its cure.
        InputError: If layer-wise thresholds name other layers than the model has.
    """
    check_model(model, private=mechanism.private)
    check_layers(model, mechanism.clipper)
    probes, many = probes[np.linspace(0, len(probes) - 1, min(len(probes), COMPARED)).astype(np.int64)], probes[:PROBES]
    with _without_chance(model, losses_of, probes, training=mechanism.private):
        kept = Kept.of(model)
        reasons = list(_shape(losses_of, probes)) + (kept.changes(model) if mechanism.private else [])
        if mechanism.private and not reasons:
            reasons += _coupling(losses_of, probes)
            if not isinstance(mechanism.clipper, MicroBatchClipping) and execution.engine == "book-keeping":
                reasons += _norms(model, losses_of, probes, rows=execution.rows_per_example)
                if not reasons:
                    reasons += _apart(model, losses_of, next(iter(execution.parts(many))), rows=execution.rows_per_example)
    if reasons:
        raise PreflightError(reasons)


def check_model(model: nn.Module, *, private: bool) -> None:
    """Refuses a model that cannot be trained whatever its loss.

    Args:
        model: The model.
        private: Whether examples may not mix.

    Raises:
        PreflightError: If everything is frozen, or, for private training, a module keeps statistics of the batch.
    """
    if not trainable(model):
        raise PreflightError(["every parameter is frozen: nothing would be trained; set requires_grad_(True) on some"])
    reasons = _batch_statistics(model) if private else []
    if reasons:
        raise PreflightError(reasons)


def check_layers(model: nn.Module, clipper: Clipper) -> None:
    """Refuses layer-wise thresholds for other layers than the model has, before anything is reserved.

    Args:
        model: The model, frozen where it is to stay frozen.
        clipper: Of any style.

    Raises:
        InputError: If its weights do not name exactly the layers that are trained.
    """
    if isinstance(clipper, PerLayerClipping | MicroBatchClipping):
        clipper.thresholds(layer_sizes(model))


def _shape(losses_of: LossesOf, probes: Indices) -> Iterator[str]:
    losses = losses_of(probes)
    if losses.shape != (len(probes),):
        yield f"the loss has shape {tuple(losses.shape)} for {len(probes)} examples; return one loss for each example (reduction='none')"
    elif not losses.requires_grad:
        yield "the loss does not depend on any trainable parameter; unfreeze a layer that it uses"


def _batch_statistics(model: nn.Module) -> list[str]:
    return [
        f"{path} ({type(module).__name__}) mixes examples through batch statistics, so no per-example bound holds; use nn.LayerNorm instead"
        for path, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        or (isinstance(module, nn.modules.instancenorm._InstanceNorm) and module.track_running_stats)
    ]


def _coupling(losses_of: LossesOf, probes: Indices) -> list[str]:
    """Compares each example's loss alone with its loss among others: nothing of example i may move when j changes."""
    with torch.no_grad():
        alone = torch.cat([losses_of(probes[i : i + 1]) for i in range(len(probes))])
        together = losses_of(probes)
        doubled = losses_of(np.concatenate([probes, probes[:1], probes[:1]]))[: len(probes)]
    for other in (together, doubled):
        if not torch.allclose(alone, other, rtol=TOLERANCE, atol=TOLERANCE * float(alone.abs().mean())):
            worst = int((alone - other).abs().argmax())
            return [
                f"the loss couples examples: that of one is {float(alone[worst]):.6g} alone and {float(other[worst]):.6g} among others; "
                "normalise by the example's own tokens, mask padding, and drop losses over pairs in the batch"
            ]
    return []


def _norms(model: nn.Module, losses_of: LossesOf, probes: Indices, *, rows: int) -> Iterator[str]:
    """Compares the engine's norms with examples run alone: the failures that peers report most are silent ones.

    Both ways round, because a model that sorts its batch leaves one order as it is.
    """
    try:
        engine, turned = (_measured(model, losses_of, order, rows=rows) for order in (probes, probes[::-1].copy()))
    except PreflightError as error:
        yield from error.reasons
        return
    except (HoldfastError, RuntimeError) as error:
        yield f"a pass over {len(probes)} examples failed: {error}"
        return
    parameters = list(trainable(model).values())
    alone = torch.stack([_norm(losses_of(probes[i : i + 1]).sum(), parameters) for i in range(len(probes))])
    for found, margin in (engine, turned.flip(1)):
        alone = alone.to(found)
        if not bool(((found == alone) | ((found - alone).abs() <= TOLERANCE * (alone + alone.mean()) + margin)).all()):
            yield (
                f"per-example gradient norms by book-keeping {_words(found)} differ from those of examples run alone {_words(alone)}; "
                "a layer sees examples in another order than the batch, or is reused in a way that has no rule; set engine='loop'"
            )
            return


def _measured(model: nn.Module, losses_of: LossesOf, indices: Indices, *, rows: int) -> Tensor:
    """Norms by the engine, and how far they may lie from the rounded ones of single examples where much cancels, (2, B)."""
    with recording(model, len(indices), rows_per_example=rows) as tape:
        finite(losses_of(indices)).sum().backward()
    with torch.no_grad():
        return torch.stack([tape.squared_norms()[0].sqrt(), 2 * tape.margins()[0]])


@dataclass(frozen=True)
class Kept:
    """The buffers that a saved model holds: what a forward pass writes there leaves with the model, without noise.

    Args:
        versions: Name to identity and version of every floating-point buffer of the state dict.
    """

    versions: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, model: nn.Module) -> Kept:
        """The buffers as they are now."""
        found = {}
        for path, module in model.named_modules():
            for name, buffer in module.named_buffers(recurse=False):
                if name not in module._non_persistent_buffers_set and buffer.is_floating_point():
                    found[f"{path}.{name}" if path else name] = (id(buffer), buffer._version)
        return cls(found)

    def changes(self, model: nn.Module) -> list[str]:
        """What a forward pass wrote since, each as a reason to refuse the model."""
        changed = sorted(name for name, found in Kept.of(model).versions.items() if self.versions.get(name, found) != found)
        return [
            f"the forward pass changes the buffer {name}, which is saved with the model without clipping and noise; freeze it, or "
            "register it with persistent=False"
            for name in changed
        ]


def _apart(model: nn.Module, losses_of: LossesOf, probes: Indices, *, rows: int) -> list[str]:
    """Looks for what reaches other examples, however little: a layer that takes positions for examples, or sorts them."""
    for start in range(min(2, len(probes) - 1)):
        with recording(model, len(probes), rows_per_example=rows) as tape:
            losses_B = losses_of(probes)
            half_B = torch.arange(len(probes), device=losses_B.device) % 2 == start
            losses_B[half_B].sum().backward()
        reasons = list(_of_one_half(tape, half_B))
        if reasons:
            return reasons
    return []


def check_first_batch(tape: Tape, losses_B: Tensor, streams: Streams) -> None:
    """Checks a recorded forward pass by two backward passes over it, each from the losses of one half of the examples.

    From the losses of one half nothing may arrive at the other; and what would be added to the sum for one example of each
    half must have the norm that was measured for it. The model is not run again, so a loss that couples examples by
    counting them, without derivatives, goes unnoticed here: `preflight` finds that one.

    Args:
        tape: Recorded the forward pass; is rewound at the end.
        losses_B: One loss for each example, at least two.
        streams: Chooses the halves.

    Raises:
        PreflightError: If an example reaches another, or a norm is wrong.
    """
    chosen_B = torch.zeros(len(losses_B), dtype=torch.bool)
    chosen_B[streams.generator("halves").permutation(len(losses_B))[: len(losses_B) // 2].copy()] = True
    for half_B in (chosen_B.to(losses_B.device), ~chosen_B.to(losses_B.device)):
        losses_B[half_B].sum().backward(retain_graph=True)
        reasons = list(_of_one_half(tape, half_B))
        tape.rewind()
        if reasons:
            raise PreflightError(reasons)


@torch.no_grad()
def _of_one_half(tape: Tape, half_B: Tensor) -> Iterator[str]:
    squared_LB = tape.squared_norms()
    squared_B = squared_LB.sum(0)
    largest = int(squared_B.where(half_B, -1).argmax())
    margin = 2 * float(tape.margins()[:, largest].sum())  # the bound lies above the exact norm, and what is added may lie below it
    if not bool(torch.isfinite(squared_B).all()):
        return  # such an example gets weight zero
    if bool((squared_B[~half_B] > 0).any()):  # where nothing arrives, all is zero exactly
        yield (
            "the losses couple examples: that of one depends on others of its batch, or a layer does not list the examples on its first "
            "axis in their order; drop losses over pairs in the batch, and put the examples first"
        )
        return
    alone: Gradients = {}
    tape.add_weighted_sum(torch.zeros_like(squared_LB).index_fill_(1, half_B.new_tensor([largest], dtype=torch.int64), 1), into=alone)
    added = torch.stack([gradient.float().square().sum() for gradient in alone.values()]).sum().sqrt()
    measured = squared_B[largest].sqrt()
    if float((added - measured).abs()) > TOLERANCE * float(measured) + margin:
        yield f"the gradient of one example has norm {float(added):.6g} and was measured as {float(measured):.6g}; please report this model"


class Movement:
    """Watches that training moves every trainable tensor: one that stays was left out of the optimiser, or replaced.

    Args:
        model: As it is before training goes on.
        since: Steps taken before.
    """

    def __init__(self, model: nn.Module, *, since: int = 0) -> None:
        self._since = since
        self._before = {name: _sketch(parameter) for name, parameter in trainable(model).items()}

    def unmoved(self, model: nn.Module, step: int, *, of: int) -> str | None:
        """Words a warning once, when enough steps are taken and some tensor has not moved.

        Args:
            model: As it is now.
            step: Steps taken.
            of: Steps in all.
        """
        if step != min(of, self._since + MOVED_AFTER):
            return None
        still = sorted(name for name, parameter in trainable(model).items() if self._before.get(name) == _sketch(parameter))
        if not still:
            return None
        return (
            f"after {step - self._since} steps {len(still)} of {len(self._before)} trainable tensors have not moved: {', '.join(still[:5])}"
            f"{' and more' if len(still) > 5 else ''}; are they in the optimiser, at a learning rate above zero?"
        )


@torch.no_grad()
def _sketch(parameter: Tensor) -> tuple[float, float]:
    """Two sums that a change of any coordinate changes."""
    return float(parameter.sum(dtype=torch.float64)), float(parameter.norm(dtype=torch.float64))


def _norm(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.stack([gradient.square().sum() for gradient in found if gradient is not None]).sum().sqrt()


def _words(values: Tensor) -> str:
    return "(" + ", ".join(f"{float(value):.4g}" for value in values) + ")"


class _NoDropout(TorchFunctionMode):
    """Makes dropout the identity, so that two passes in training mode compare."""

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        options = dict(kwargs or {})
        if func in (F.dropout, F.dropout1d, F.alpha_dropout, F.feature_alpha_dropout):
            return args[0] if args else options["input"]
        if func is F.scaled_dot_product_attention:
            options["dropout_p"] = 0.0
            args = args[:4]
        return func(*args, **options)


@contextmanager
def _without_chance(model: nn.Module, losses_of: LossesOf, probes: Indices, *, training: bool) -> Iterator[None]:
    """Training mode without dropout, if asked for; evaluation mode where chance plays a part beyond dropout.

    Whether it does is read off the generator, which moves when it is used: two equal losses could be luck.
    """
    modes = {module: module.training for module in model.modules()}
    state = torch.get_rng_state()
    model.train(training)
    try:
        with _NoDropout():
            with torch.no_grad():
                losses_of(probes)
            if not torch.equal(state, torch.get_rng_state()):
                model.eval()
            yield
    finally:
        torch.set_rng_state(state)
        for module, mode in modes.items():
            module.training = mode
