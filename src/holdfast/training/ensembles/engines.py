"""Three ways to train some models: stacked into one module, by `torch.func`, or one by one. All give the same models.

Shapes: M models, R rows of one model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from holdfast.core.randomness import Streams
from holdfast.models import Features
from holdfast.privacy.kernels.rows import rows as rows_of_tables
from holdfast.tasks import Batch, EncodedDataset, Task
from holdfast.training.ensembles.course import Batches, Course, Rows, rows_of
from holdfast.training.ensembles.lateness import Lateness
from holdfast.training.ensembles.randomness import CannotStackError, OwnDraws, keys_of
from holdfast.training.ensembles.stacking import Stack
from holdfast.training.ensembles.updates import Rates, Updates, factor_of
from holdfast.training.settings import TrainingSettings

MANY_ROWS = 1024
"""Rows of a table from which on a step moves only those that it meets; a smaller table is moved as a whole."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be trained, apart from which models.

    Args:
        task: What is learned.
        encoded: The data set that members are drawn from.
        batches: Makes its batches.
        settings: Optimiser and the like.
        device: Where to.
        make: Makes a model with its first weights.
        stop: Set when the work is to end early.
        tell: Called after each step with how many models took one.
    """

    task: Task
    encoded: EncodedDataset
    batches: Batches
    settings: TrainingSettings
    device: torch.device
    make: Callable[[Streams], nn.Module]
    stop: threading.Event
    tell: Callable[[int], None]

    def modules(self, courses: Sequence[Course]) -> Iterator[nn.Module]:
        """The models, one after the other, with their first weights."""
        return (self.make(course.streams).to(self.device) for course in courses)


@dataclass(frozen=True, eq=False)
class Trained:
    """What an engine leaves of some models.

    Args:
        states: The trained parameters by name, (M, ...) each, in the order of the courses.
    """

    states: dict[str, Tensor]


def stacked(plan: Plan, courses: Sequence[Course]) -> Trained:
    """Trains models as one module.

    Args:
        plan: What.
        courses: Those of the models, the longest first.

    Raises:
        CannotStackError: For a model that cannot share a batch.
    """
    stack = Stack(plan.modules(courses), len(courses))
    optimiser = _StackedOptimiser(plan, stack, courses)
    keys_M, module = keys_of([course.streams for course in courses]), stack.module
    draws, average = True, _Average(plan.settings, stack.parameters)
    module.train()
    for step, rows in _steps(plan, courses):
        models = len(rows.indices_MR)
        if models < stack.fold.models:
            optimiser.settle()  # those that have ended keep what they have now
            stack.show(models)
        batch = plan.batches(rows.indices_MR.reshape(-1))
        weights = torch.from_numpy(rows.weights_MR.reshape(-1)).to(plan.device)
        optimiser.begin(step)
        if draws:
            with OwnDraws(keys_M[:models], step) as own:
                losses = plan.task.per_example_loss(module, batch)
            draws = step < 1 or own.sites > 0  # what draws nothing in two steps is not asked again
        else:
            losses = plan.task.per_example_loss(module, batch)
        (losses * weights.to(losses.dtype)).sum().backward()
        optimiser.step(step, models)
        average.step(step, models)
        plan.tell(models)
    optimiser.settle()
    return Trained(average.states)


class _StackedOptimiser:
    """Moves whole parameters by `Updates`, and of large tables the rows that a step meets."""

    def __init__(self, plan: Plan, stack: Stack, courses: Sequence[Course]) -> None:
        self._stack, settings = stack, plan.settings
        self._rates = Rates(settings, [course.steps for course in courses])
        by_rows = {name for name in stack.parameters if self._moves_rows(plan, stack, name)}
        self._tables = {name: (stack.module_of(name), factor_of(settings, name)) for name in by_rows}
        self._lateness: dict[float, Lateness] = {}
        for name in sorted(by_rows):
            layer, factor = self._tables[name]
            stack.fold.tables[layer] = rows_of_tables(stack.parameters[name], second=settings.optimizer != "sgd")
            self._lateness[factor] = Lateness(
                second=settings.optimizer != "sgd",
                models=1 if self._rates.shared else len(courses),
                steps=courses[0].steps,
                dtype=stack.parameters[name].dtype,
            )
        whole = {name: value for name, value in stack.parameters.items() if name not in by_rows}
        self._updates = Updates(settings, whole, self._rates)

    @staticmethod
    def _moves_rows(plan: Plan, stack: Stack, name: str) -> bool:
        settings = plan.settings
        plain = settings.weight_decay == 0 and settings.averaging == 0 and plan.device.type == "cpu"
        return plain and type(stack.module_of(name)) is nn.Embedding and stack.parameters[name].shape[1] >= MANY_ROWS

    def begin(self, step: int) -> None:
        """Lets layers know what their rows have missed before this step."""
        missed = {factor: lateness.missed() for factor, lateness in self._lateness.items()}
        for layer, factor in self._tables.values():
            self._stack.fold.tables[layer].begin(step + 1)
            self._stack.fold.missed[layer] = missed[factor]

    def step(self, step: int, models: int) -> None:
        """Moves everything."""
        grads = self._stack.grads()
        self._updates.step({name: grads[name] for name in grads if name not in self._tables}, step, models)
        rates_M = self._rates.each(step, models)
        moves = {factor: lateness.took(rates_M * factor) for factor, lateness in self._lateness.items()}
        for layer, factor in self._tables.values():
            self._stack.fold.tables[layer].move(moves[factor])

    def settle(self) -> None:
        """Brings all rows of all tables up to the last step."""
        self._stack.fold.missed.clear()
        for layer, factor in self._tables.values():
            self._stack.fold.tables[layer].settle(self._lateness[factor].missed())


class _Average:
    """The parameters that are kept: the last ones, or their exponential average as the trainer takes it."""

    def __init__(self, settings: TrainingSettings, parameters: dict[str, Tensor]) -> None:
        self._averaging, self._parameters = settings.averaging, parameters
        self.states = parameters if not settings.averaging else {name: value.clone() for name, value in parameters.items()}

    @torch.no_grad()
    def step(self, step: int, models: int) -> None:
        """Takes the parameters of the first models after a step."""
        if not self._averaging:
            return
        decay = min(self._averaging, (1 + step) / (10 + step))
        for name, value in self._parameters.items():
            kept = self.states[name][:models]
            if step == 0:
                kept.copy_(value[:models])
            else:
                kept.lerp_(value[:models], 1 - decay)


def by_func(plan: Plan, courses: Sequence[Course]) -> Trained:
    """Trains models by `torch.func`: one model's gradient, vectorised over models. For models without dropout.

    Raises:
        CannotStackError: For a model that draws random numbers.
        RuntimeError: For a model that `torch.func.vmap` cannot vectorise.
    """
    modules = [module.train() for module in plan.modules(courses)]
    module = modules[0]
    named = [{name: value.detach() for name, value in each.named_parameters() if value.requires_grad} for each in modules]
    states = {name: torch.stack([each[name] for each in named]) for name in named[0]}
    others = [{name: value.detach() for name, value in each.state_dict().items() if name not in states} for each in modules]
    fixed = {name: torch.stack([each[name] for each in others]) for name in others[0]}
    del modules, named, others
    updates = Updates(plan.settings, states, Rates(plan.settings, [course.steps for course in courses]))
    average = _Average(plan.settings, states)
    keys_M = keys_of([course.streams for course in courses[:1]])
    for step, rows in _steps(plan, courses):
        models = len(rows.indices_MR)
        batch = plan.batches(rows.indices_MR.reshape(-1))
        tensors = _tensors(batch)
        folded = {name: value.unflatten(0, (models, -1)) for name, value in tensors.items()}
        weights_MR = torch.from_numpy(rows.weights_MR).to(plan.device)

        def loss(
            trained: dict[str, Tensor], kept: dict[str, Tensor], mine: dict[str, Tensor], weights_R: Tensor, batch: Batch = batch
        ) -> Tensor:
            one = _with_tensors(batch, mine)
            losses = plan.task.per_example_loss(_Called(module, {**trained, **kept}), one)
            return (losses * weights_R.to(losses.dtype)).sum()

        if step == 0:
            with OwnDraws(keys_M, 0) as own, torch.no_grad():
                plan.task.per_example_loss(module, plan.batches(rows.indices_MR[0]))
            if own.sites:
                raise CannotStackError("the model drops numbers, which torch.func cannot do model by model")
        shown = {name: value[:models] for name, value in states.items()}
        grads = vmap(grad(loss))(shown, {name: value[:models] for name, value in fixed.items()}, folded, weights_MR)
        updates.step(grads, step, models)
        average.step(step, models)
        plan.tell(models)
    return Trained(average.states)


class _Called(nn.Module):
    """A module with other parameters, for the task to call."""

    def __init__(self, module: nn.Module, state: dict[str, Tensor]) -> None:
        super().__init__()
        self._call = lambda *inputs: functional_call(module, state, inputs)

    def forward(self, *inputs: object) -> object:
        """Calls it."""
        return self._call(*inputs)  # type: ignore[no-untyped-call]


def one_by_one(plan: Plan, courses: Sequence[Course]) -> Trained:
    """Trains models in a plain loop, each with an optimiser of its own: for whatever the others cannot do."""
    states: dict[str, Tensor] = {}
    for number, (course, module) in enumerate(zip(courses, plan.modules(courses), strict=True)):
        module.train()
        parameters = {name: value for name, value in module.named_parameters() if value.requires_grad}
        optimizer, keys_M = plan.settings.build(module), keys_of([course.streams])
        floating = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
        average = _Average(plan.settings, {name: value[None] for name, value in floating.items()})
        for step, rows in _steps(plan, [course]):
            with OwnDraws(keys_M, step):
                losses = plan.task.per_example_loss(module, plan.batches(rows.indices_MR[0]))
            (losses.sum() / course.batch_size).backward()
            for group in optimizer.param_groups:
                group["lr"] = group["factor"] * plan.settings.rate_at(step, course.steps)
                group["noise_variance"] = 0.0
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.step(step, 1)
            plan.tell(1)
        kept = parameters if not plan.settings.averaging else average.states
        for name, value in module.state_dict().items():
            if number == 0:
                states[name] = value.new_empty(len(courses), *value.shape)
            states[name][number] = value.detach() if name not in kept or not plan.settings.averaging else average.states[name][0]
    return Trained(states)


def _steps(plan: Plan, courses: Sequence[Course]) -> Iterator[tuple[int, Rows]]:
    """Every step with the batches of the models that take it: the first ones, as the longest course comes first."""
    for step in range(courses[0].steps):
        if plan.stop.is_set():
            return
        active = sum(course.steps > step for course in courses)
        yield step, rows_of(courses[:active], step)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    """What tensors a batch holds, by name."""
    found = {name: value for name, value in vars(batch.features).items() if value is not None}
    return found | {name: value for name in ("sentence_B", "tokens_BW") if (value := getattr(batch, name)) is not None}


def _with_tensors(batch: Batch, tensors: dict[str, Tensor]) -> Batch:
    """The batch with other tensors."""
    features = {name: tensors.get(name) for name in vars(batch.features)}
    own = {name: tensors.get(name) for name in ("sentence_B", "tokens_BW")}
    words: NDArray[np.int64] = batch.words[: len(tensors["ids_BT"])]
    return replace(batch, features=Features(**features), words=words, **own)  # type: ignore[arg-type]
