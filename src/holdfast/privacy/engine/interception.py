"""Recording what per-example clipping needs in one ordinary backward pass, by intercepting functions, not modules.

A model is never wrapped or changed. While the block runs, every torch function that meets a trainable parameter goes
through here: those with a rule record, views and the like of parameters alone are followed, anything else is refused by
name. What slips past torch's function protocol leaves a `.grad` behind, which is refused too: nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from holdfast.core.errors import PreflightError
from holdfast.privacy.engine.modules import patched
from holdfast.privacy.engine.rules import RULES, Meeting
from holdfast.privacy.engine.tape import Tape


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name, a tied one once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@contextmanager
def recording(model: nn.Module, examples: int, *, groups: Mapping[str, int] | None = None, rows_per_example: int = 1) -> Iterator[Tape]:
    """Has the model's trainable parameters record what they meet, in forward and backward pass, while the block runs.

    The model is not wrapped: type, state-dict keys and methods stay. Passes without gradients go through untouched.

    Args:
        model: The model.
        examples: B, the number of examples in the coming batch.
        groups: Parameter name to group, for norms by group; None for one group.
        rows_per_example: Rows of the model's first axis that belong to one example.

    Raises:
        PreflightError: For a use of a parameter that has no rule, naming it, and for gradients that went past the tape.
    """
    parameters = trainable(model)
    tape = Tape(examples, parameters, groups=groups, rows_per_example=rows_per_example)
    before = {name: parameter.grad for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = None
    try:
        with patched(model, tape), _Interceptor(tape, model):
            yield tape
        escaped = [name for name, parameter in parameters.items() if parameter.grad is not None]
    finally:
        for name, parameter in parameters.items():
            parameter.grad = before[name]
    if escaped:
        raise PreflightError(
            [
                f"{name} is used in a way that cannot be seen from Python (a scripted or compiled part?); set engine='loop'"
                for name in escaped
            ]
        )


class _Interceptor(TorchFunctionMode):
    """Sends functions that meet a trainable parameter to their rules, and follows what is known not to depend on the data."""

    def __init__(self, tape: Tape, model: nn.Module) -> None:
        super().__init__()
        self._meeting = Meeting(tape)
        for tensor in (*model.buffers(), *model.parameters()):
            if not tensor.requires_grad:
                self._meeting.count_as_constant(tensor)

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        options = dict(kwargs or {})
        if not torch.is_grad_enabled():
            return func(*args, **options)
        meeting = self._meeting
        if not meeting.meets_parameter(args, options):
            result = func(*args, **options)
            meeting.follow_constants(func, args, result)
            return result
        rule: Callable[..., Any] | None = RULES.get(func)
        if rule is not None:
            result = rule(meeting, *args, **options)
            if result is not NotImplemented:
                return result
        return self._alone(func, args, options)

    def _alone(self, func: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Runs a function that may see parameters and constants alone."""
        result = func(*args, **options)
        learning = [one for one in (result if isinstance(result, list | tuple) else [result]) if _learns(one)]
        if not learning:
            return result
        if not self._meeting.all_known(args, options):
            raise PreflightError([self._meeting.refusal(resolve_name(func) or str(func), args, options)])
        if isinstance(result, Tensor):
            return self._meeting.derive(result, func, args)
        return type(result)(self._meeting.derive(one, func, args) if _learns(one) else one for one in result)


def _learns(result: Any) -> bool:
    return isinstance(result, Tensor) and result.requires_grad
