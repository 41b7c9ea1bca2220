"""Recording what per-example clipping needs in one ordinary backward pass, by intercepting functions, not modules.

A model is never wrapped or changed. While the block runs, every torch function that meets a trainable parameter goes
through here: those with a rule record, views and the like of parameters alone are followed, anything else is refused by
name. What slips past torch's function protocol leaves a `.grad` behind, on a parameter or on what stands in for something
computed from one, and is refused too: nothing is dropped in silence.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, resolve_name

from holdfast.core.errors import InputError, PreflightError
from holdfast.privacy.engine.derived import lasting_graph
from holdfast.privacy.engine.meeting import Meeting, replaced
from holdfast.privacy.engine.modules import patched
from holdfast.privacy.engine.rules import BROADCASTING, RULES, VIEWS
from holdfast.privacy.engine.tape import Tape, paused


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name, a tied one once."""
    return _trainable(_walk(model))


def _walk(model: nn.Module) -> dict[str, nn.Module]:
    """All modules by name, each once, in the order of `named_modules`, which takes several times as long."""
    found, seen, open_ends = {}, set(), [("", model)]
    while open_ends:
        prefix, module = open_ends.pop()
        if id(module) not in seen:
            seen.add(id(module))
            found[prefix] = module
            dotted = prefix + "." if prefix else ""
            open_ends += [(dotted + name, child) for name, child in reversed(module._modules.items()) if child is not None]
    return found


def _trainable(modules: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    found, seen = {}, set()
    for prefix, module in modules.items():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                found[f"{prefix}.{name}" if prefix else name] = parameter
    return found


@contextmanager
def recording(model: nn.Module, examples: int, *, groups: Mapping[str, int] | None = None, rows_per_example: int = 1) -> Iterator[Tape]:
    """Has the model's trainable parameters record what they meet, in forward and backward pass, while the block runs.

    The model is not wrapped: type, state-dict keys and methods stay. Passes without gradients go through untouched.

    Args:
        model: The model.
        examples: B, the number of examples in the coming batch, at least 1.
        groups: Parameter name to group, for norms by group; None for one group.
        rows_per_example: Rows of the model's first axis that belong to one example, at least 1.

    Raises:
        InputError: For a number below 1.
        PreflightError: For a use of a parameter that has no rule, naming it; for gradients that went past the tape; for a
            parameter that has a gradient hook, or is exchanged meanwhile; and inside another recording.
    """
    if examples < 1 or rows_per_example < 1:
        raise InputError(f"examples is {examples} and rows_per_example is {rows_per_example}; each must be at least 1")
    if any(isinstance(mode, _Interceptor) for mode in _get_current_function_mode_stack()):
        raise PreflightError(["a pass is being recorded already; leave that block before another one begins"])
    named = _walk(model)
    modules, parameters = list(named.values()), _trainable(named)
    held = _held(modules)
    _refuse_hooks(parameters)
    _refuse_complex(parameters)
    tape = Tape(examples, parameters, groups=groups, rows_per_example=rows_per_example)
    before = {name: parameter.grad for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = None
    try:
        with _uncompiled(), patched(modules, tape), _Interceptor(tape, modules):
            yield tape
        escaped = [*(name for name, parameter in parameters.items() if parameter.grad is not None), *tape.derived.leaks()]
    finally:
        tape.derived.close()
        for name, parameter in parameters.items():
            parameter.grad = before[name]
    if escaped:
        raise PreflightError([f"{name} {_UNSEEN}" for name in dict.fromkeys(escaped)])
    _refuse_hooks(parameters)
    if held == _held(modules):
        return
    now = trainable(model)
    changed = sorted(name for name in {**parameters, **now} if parameters.get(name) is not now.get(name))
    if changed:
        raise PreflightError([f"{name} was exchanged, frozen or thawed by the pass itself; do that between steps" for name in changed])


def _held(modules: Iterable[nn.Module]) -> list[tuple[int, bool]]:
    """Which parameters the modules hold, and which of them learn."""
    return [(id(p), p is not None and p.requires_grad) for module in modules for p in module._parameters.values()]


_UNSEEN = "is used in a way that cannot be seen from Python (a scripted or compiled part, another thread?); set engine='loop'"


def _uncompiled() -> AbstractContextManager[Any]:
    """Has compiled parts run as they were written: what they do inside could not be seen."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def _refuse_hooks(parameters: Mapping[str, nn.Parameter]) -> None:
    hooked = [name for name, parameter in parameters.items() if parameter._backward_hooks]
    if hooked:
        raise PreflightError(
            [
                f"{name} has a gradient hook, which would never see a gradient of the batch; remove it, or set engine='loop'"
                for name in hooked
            ]
        )


def _refuse_complex(parameters: Mapping[str, nn.Parameter]) -> None:
    unreal = [name for name, parameter in parameters.items() if parameter.is_complex()]
    if unreal:
        raise PreflightError([f"{name} is complex; keep torch.view_as_real of it as the parameter" for name in unreal])


class _Interceptor(TorchFunctionMode):
    """Sends functions that meet a trainable parameter to their rules, and follows what is known not to depend on the data."""

    def __init__(self, tape: Tape, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self._meeting = Meeting(tape)
        self._runs_again = False
        for module in modules:
            for tensor in (*module._buffers.values(), *module._parameters.values()):
                if tensor is not None and not tensor.requires_grad:
                    self._meeting.count_as_constant(tensor)

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        options = kwargs or {}
        meeting = self._meeting
        if not torch.is_grad_enabled():
            self._runs_again |= meeting.meets_parameter(args, options)
            return self._without_parameters(func, args, options)
        if func in _DERIVATIVES:
            return self._derivative(func, args, options)
        if not meeting.meets_parameter(args, options):
            return self._without_parameters(func, args, options)
        self._look_around(func, args, options)
        result = self._by_rule(func, args, options) if not meeting.unsettled or func in BROADCASTING else NotImplemented
        if result is NotImplemented and meeting.unsettled:
            args, options = (args, options) if func in VIEWS else replaced(meeting.settled, args, options)
            if not meeting.meets_parameter(args, options):
                return self._without_parameters(func, args, options)
            result = self._by_rule(func, args, options)
        return self._alone(func, args, options) if result is NotImplemented else result

    def _without_parameters(self, func: Any, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        result = func(*args, **options)
        self._meeting.follow_constants(func, args, options, result)
        return result

    def _by_rule(self, func: Any, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        rule: Callable[..., Any] | None = RULES.get(func)
        return NotImplemented if rule is None else rule(self._meeting, *args, **options)

    def _look_around(self, func: Any, args: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Refuses to meet a parameter inside `torch.func`; notes whether the forward pass may run again in the backward pass."""
        if torch._C._functorch.peek_interpreter_stack() is not None:
            raise PreflightError([self._meeting.refusal("torch.vmap or another transform of torch.func", args, options)])
        self._runs_again = self._runs_again or torch._C._autograd._top_saved_tensors_default_hooks(True) is not None

    def _alone(self, func: Any, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Runs a function that may see parameters and constants alone."""
        meeting = self._meeting
        name = resolve_name(func) or str(func)
        if _writes(func) and (meeting.knows(args[0]) or not meeting.all_known(args, options)):
            raise PreflightError([meeting.refusal(f"{name}, which writes in place", args, options)])
        with lasting_graph():
            result = func(*args, **options)
        if not any(_learns(one) for one in (result if isinstance(result, list | tuple) else [result])):
            if isinstance(result, Tensor) and meeting.all_known(args, options):
                meeting.count_as_constant(result)
            return result
        if not meeting.all_known(args, options):
            raise PreflightError([meeting.refusal(name, args, options)])
        if isinstance(result, Tensor):
            return meeting.derive(result, func, args)
        return type(result)(meeting.derive(one, func, args) if _learns(one) else one for one in result)

    def _derivative(self, func: Any, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """Runs a backward pass; one for derivatives with respect to something else, such as inputs, records nothing."""
        meeting, given = self._meeting, inspect.signature(func).bind(*args, **options).arguments
        if given.get("create_graph"):
            raise PreflightError(["the loss is made of gradients (create_graph=True), which have no clipping rule; set engine='loop'"])
        if meeting.meets_parameter(list(given.values()), {}):
            raise PreflightError([meeting.refusal("a backward pass of its own", list(given.values()), {})])
        if func is torch.autograd.grad:
            with paused(meeting.tape):
                return func(*args, **options)
        roots, seeds = (_listed(given.get(one, given.get(other))) for one, other in (("self", "tensors"), ("gradient", "grad_tensors")))
        with torch.autocast(roots[0].device.type, enabled=False):  # it would round norms
            if not self._runs_again:
                return func(*args, **options)
            seeds = seeds or tuple(torch.ones_like(root) for root in roots)
            return self._backward_with_recording(roots, seeds, keep=bool(given.get("retain_graph")))

    def _backward_with_recording(self, roots: Sequence[Tensor], seeds: Sequence[Tensor], *, keep: bool) -> None:
        with self:  # parts of the forward pass that run again meet the parameters again
            engine = torch.autograd.Variable._execution_engine  # `backward` itself would come back here
            engine.run_backward(roots, seeds, keep, False, (), allow_unreachable=True, accumulate_grad=True)


_DERIVATIVES = {torch.autograd.grad, torch.autograd.backward, Tensor.backward}


def _listed(tensors: Tensor | Sequence[Tensor] | None) -> tuple[Tensor, ...]:
    return () if tensors is None else (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


def _learns(result: Any) -> bool:
    return isinstance(result, Tensor) and result.requires_grad


def _writes(func: Any) -> bool:
    """Whether a function changes its first argument."""
    name = getattr(func, "__name__", "")
    return (
        name == "__setitem__"
        or (name.startswith("__i") and name not in ("__init__", "__invert__", "__iter__", "__index__", "__int__"))
        or (name.endswith("_") and not name.endswith("__"))
    )
