"""Checks before any budget is spent: a model or a loss that would void the promise is refused, with reason and cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from holdfast.core.errors import HoldfastError, PreflightError
from holdfast.privacy.clipping import Execution, Indices, LossesOf, MicroBatchClipping
from holdfast.privacy.engine import trainable
from holdfast.privacy.mechanism import Mechanism
from holdfast.privacy.sums import squared_norms

TOLERANCE = 1e-3  # relative, of float32 losses and norms; a coupled loss or a wrong norm is off by far more
PROBES = 3


def preflight(model: nn.Module, losses_of: LossesOf, probes: Indices, mechanism: Mechanism, *, execution: Execution) -> None:
    """Refuses what cannot be trained with this mechanism. Costs a few forward and backward passes on single examples.

    Checked: something is trainable; losses come one for each example. For private mechanisms also: no batch statistics;
    the loss of one example does not move when the others change; every layer has a rule; the engine's per-example
    norms equal those of examples run alone.

    Args:
        model: The model, whose mode, weights and gradients are left as they were.
        losses_of: Gives one loss for each of the indices it is handed.
        probes: Indices of a few examples, at least one; three are enough, of different lengths if possible.
        mechanism: What it is to be trained with.
        execution: How the work will be done.

    Raises:
        PreflightError: With every reason found, each with its cure.
    """
    if not trainable(model):
        raise PreflightError(["every parameter is frozen: nothing would be trained; set requires_grad_(True) on some"])
    probes = probes[:PROBES]
    reasons = _batch_statistics(model) if mechanism.private else []
    if not reasons:
        with _without_chance(model, losses_of, probes, training=mechanism.private):
            reasons = list(_shape(losses_of, probes))
            if mechanism.private and not reasons:
                reasons += _coupling(losses_of, probes)
                if not isinstance(mechanism.clipper, MicroBatchClipping) and execution.engine == "book-keeping":
                    reasons += _norms(model, losses_of, probes)
    if reasons:
        raise PreflightError(reasons)


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


def _norms(model: nn.Module, losses_of: LossesOf, probes: Indices) -> Iterator[str]:
    """Compares the engine's norms with examples run alone: the failures that peers report most are silent ones."""
    try:
        engine = squared_norms(model, losses_of, probes).sqrt()
    except PreflightError as error:
        yield from error.reasons
        return
    except (HoldfastError, RuntimeError) as error:
        yield f"a pass over {len(probes)} examples failed: {error}"
        return
    parameters = list(trainable(model).values())
    alone = torch.stack([_norm(losses_of(probes[i : i + 1]).sum(), parameters) for i in range(len(probes))])
    if not torch.allclose(engine, alone.to(engine), rtol=TOLERANCE, atol=TOLERANCE * float(alone.mean())):
        yield (
            f"per-example gradient norms by book-keeping {_words(engine)} differ from those of examples run alone {_words(alone)}; "
            "a layer sees examples in another order than the batch, or is reused in a way that has no rule; set engine='loop'"
        )


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
