"""Simulates a federation in one process or a few: who is selected when, what they train on, and what the server makes of it."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdfast.core.errors import InputError, Interrupted, TrainingStopped
from holdfast.core.progress import OnProgress, Progress
from holdfast.core.randomness import Streams
from holdfast.federated.algorithms import FederatedAlgorithm
from holdfast.federated.local import Workload
from holdfast.federated.local.training import LocalTraining
from holdfast.federated.selection import Cohort, Signals, View
from holdfast.federated.simulation.conditions import Conditions
from holdfast.federated.simulation.evaluating import Evaluator
from holdfast.federated.simulation.population import Population
from holdfast.federated.simulation.replicas import Replicas
from holdfast.federated.simulation.rounds import Round
from holdfast.federated.simulation.sending import Sending
from holdfast.federated.simulation.state import CHECKPOINT, SimulationState, read_state, write_state
from holdfast.federated.updates import ErrorFeedback, trainable, with_lora
from holdfast.training.checkpoints import forget_key, keep_key
from holdfast.training.interrupts import stop_requests

IN_VAIN = 3
"""Rounds in a row without a finite update after which there is no point in going on."""


def trained_module(population: Population, conditions: Conditions, streams: Streams) -> tuple[nn.Module, tuple[str, ...]]:
    """The module with its first weights, and the names of the parameters that are trained.

    Raises:
        InputError: For low-rank pairs that do not fit the model, or parameters that it does not have.
    """
    module = population.module(streams)
    if conditions.lora is not None:
        module = with_lora(module, streams=streams.child("lora"), **conditions.lora)
    return module, trainable(module, conditions.trainable)


def check(population: Population, conditions: Conditions) -> None:
    """Has a simulation look at its parts before any work.

    Args:
        population: Who there is.
        conditions: How it is to be run.

    Raises:
        InputError: For a cohort that no round could fill, more rounds than the clock has, or parameters that the model does not have.
    """
    conditions.check_population(len(population.clients), int((population.clients.counts > 0).sum()))
    trained_module(population, conditions, Streams.from_seed(0))


class Simulator:
    """One simulation.

    Args:
        name: Of the run.
        algorithm: What clients and server do.
        population: Who there is.
        conditions: All else that decides the result.
        seed: Of the run; None for secret randomness.
        folder: For the checkpoint; None keeps nothing.
        device: Where to train.
        on_progress: Told after every round.
    """

    def __init__(
        self,
        name: str,
        algorithm: FederatedAlgorithm,
        population: Population,
        conditions: Conditions,
        *,
        seed: int | None,
        folder: Path | None,
        device: torch.device,
        on_progress: OnProgress,
    ) -> None:
        self.name, self.algorithm, self.conditions = name, algorithm, conditions
        self.replicas = Replicas()
        self.folder, self._on_progress = folder if self.replicas.group.first else None, on_progress
        streams = Streams.from_seed(seed)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            streams = keep_key(self.folder, streams)
        self.streams = self.replicas.group.same_streams(streams)
        module, names = trained_module(population, conditions, self.streams)
        self.population = population.seen_by(module)
        self.workload = Workload(population.task, module, self.population.encoded, trainable=names, device=device)
        self.evaluator = Evaluator(self.population, self.workload, conditions.test_examples, self.streams)
        self.fingerprint = self._fingerprint(seed)
        self._period, self._clients = -1, population.clients
        self._check_processes()

    def run(self, *, resume: bool) -> SimulationState:
        """Does all rounds, from the checkpoint if asked to resume and there is one.

        Raises:
            Interrupted: On Ctrl-C or SIGTERM, after a checkpoint.
            TrainingStopped: If the server's weights are no longer finite, or the disk is full.
            RunError: If the checkpoint belongs to another simulation.
        """
        state = (self._resumed() if resume else None) or self._fresh()
        # "auto" looks at the clock: a simulation that goes on keeps the kernel that it began with, to the same weights
        self.training = LocalTraining(self.workload, self.algorithm.local, kernel=state.kernel)
        feedback = self.conditions.compressor
        if isinstance(feedback, ErrorFeedback):  # it may have served another run
            feedback.load_state_dict(state.memory or ErrorFeedback(feedback.compressor).state_dict())
        self._sending = Sending(
            state.server.weights, messages=self.algorithm.messages, compressor=self.conditions.compressor, history=state.history
        )
        self.workload.load(state.server.weights)
        if state.round == 0:
            self._evaluate(state)
        with stop_requests(once=self.replicas.group.size == 1) as stop, torch.random.fork_rng(devices=[]):
            while state.round < self.conditions.rounds:
                self._step(state)
                if stop.is_set() and self.replicas.group.size == 1 and state.round < self.conditions.rounds:
                    self._save(state)
                    raise Interrupted(f"{self.name} stopped after round {state.round} of {self.conditions.rounds}; resume with --resume")
        if self.folder is not None:
            forget_key(self.folder)
        return state

    def _step(self, state: SimulationState) -> None:
        conditions, number = self.conditions, state.round
        self._enter_period(state, number)
        began = time.perf_counter()
        self._round(state, number)
        state.history.seconds.append(time.perf_counter() - began)
        state.round += 1
        finite = all(bool(torch.isfinite(value).all()) for value in state.server.weights.values())
        if not finite or state.history.vain >= IN_VAIN:
            what = f"no update was finite for {IN_VAIN} rounds" if finite else "the server's weights are not finite"
            raise TrainingStopped(
                f"{self.name}: after round {state.round} {what}; lower the learning rate of clients or "
                "server, or bound the norm of updates; the last checkpoint is kept"
            )
        self.workload.load(state.server.weights)
        last = state.round == conditions.rounds
        if last or (conditions.evaluate_every and state.round % conditions.evaluate_every == 0):
            self._evaluate(state)
        if last or conditions.schedule.period_of_round(state.round) != self._period:
            self._leave_period(state)
        if last or state.round % conditions.checkpoint_every == 0:
            self._save(state)
        self._tell(state)

    def _round(self, state: SimulationState, number: int) -> None:
        cohort, clients = self._selected(state, number), self._clients
        history, conditions = state.history, self.conditions
        if not len(cohort):
            history.left_out["nobody drawn"] += 1
            return
        counts = clients.counts_of(cohort.clients)
        shares = conditions.weighting.multipliers(counts, cohort, clients=int((clients.counts > 0).sum()), examples=int(clients.total))
        kept, seconds = self._in_time(cohort, counts, number, state)
        history.cohorts += 1
        if not len(kept):
            return
        chosen = cohort.clients[kept]
        work = Round(
            number=number,
            clients=chosen,
            examples=[clients.of(int(client)) for client in chosen],
            multipliers=shares[kept],
            normalised=conditions.normalised,
            population=len(clients),
            training=self.training,
            sending=self._sending,
            rule=conditions.rule,
            streams=self.streams,
            replicas=self.replicas,
        )
        state.server = self.algorithm.round(state.server, work)
        state.kernel = self.training.kernel
        self._note(state, work, number, seconds[kept])

    def _selected(self, state: SimulationState, number: int) -> Cohort:
        conditions, clients = self.conditions, self._clients
        available = None
        if conditions.availability is not None:
            available = conditions.availability.available(len(clients), round=number, streams=self.streams)
        view = View(clients.counts, available, state.signals, lambda chosen: self.evaluator.losses_of(clients, chosen))
        return conditions.select.select(view, size=conditions.cohort, round=number, rounds=conditions.rounds, streams=self.streams)

    def _in_time(
        self, cohort: Cohort, counts: NDArray[np.int64], number: int, state: SimulationState
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places of the clients that neither fail nor are too slow, and the seconds of all."""
        if self.conditions.stragglers is None:
            return np.arange(len(cohort)), np.full(len(cohort), np.nan)
        outcome = self.conditions.stragglers.outcome(cohort.clients, counts, round=number, streams=self.streams)
        for reason, out in outcome.left_out.items():
            state.history.left_out[reason] += int(out.sum())
        return np.flatnonzero(outcome.kept), outcome.seconds

    def _note(self, state: SimulationState, work: Round, number: int, seconds: NDArray[np.float64]) -> None:
        history = state.history
        history.left_out.update(work.left_out)
        history.trained += len(work.clients)
        history.counted += int(work.counted.sum())
        history.steps += int(work.steps.sum())
        history.vain = 0 if work.counted.any() else history.vain + 1
        good = np.flatnonzero(work.counted)
        _, first = np.unique(work.clients[good], return_index=True)
        once = good[first]
        state.signals.note(
            work.clients[once], round=number, loss=work.losses[once], seconds=None if np.isnan(seconds).all() else seconds[once]
        )
        np.add.at(state.norms, work.clients[good], work.norms[good])

    def _enter_period(self, state: SimulationState, number: int) -> None:
        schedule = self.conditions.schedule
        period = schedule.period_of_round(number)
        if period == self._period:
            return
        self._period, self._clients = period, schedule.view(period)
        if not (self._clients.counts > 0).any():
            raise InputError(f"{self.name}: in period {period} no client has an example; give fewer periods or a longer retention")
        begins = number == 0 or schedule.period_of_round(number - 1) != period
        if number > 0 and begins:
            score = self.evaluator.events(schedule.events(period))
            if score is not None:
                state.history.periods.append((period - 1, period, score))
            if schedule.resets_server:
                state.server.forget_memory()

    def _leave_period(self, state: SimulationState) -> None:
        schedule = self.conditions.schedule
        if schedule.periods == 1:
            return
        for period in range(self._period + 1):
            score = self.evaluator.events(schedule.events(period))
            if score is not None:
                state.history.periods.append((self._period, period, score))

    def _evaluate(self, state: SimulationState) -> None:
        loss, score = self.evaluator.test()
        if not math.isfinite(loss):
            raise TrainingStopped(
                f"{self.name}: after round {state.round} the loss on the test set is not finite; lower the learning rate of clients or "
                "server; the last checkpoint is kept"
            )
        state.history.convergence.append((state.round, loss, score))

    def _tell(self, state: SimulationState) -> None:
        _, loss, score = state.history.convergence[-1]
        note = f"test loss {loss:.3g}" + ("" if score is None else f", score {score:.3g}")
        if self.conditions.schedule.periods > 1:
            note = f"period {self._period + 1} of {self.conditions.schedule.periods}, {note}"
        self._on_progress(Progress(phase=f"federate {self.name}", done=state.round, total=self.conditions.rounds, note=note))

    def _save(self, state: SimulationState) -> None:
        if self.folder is None:
            return
        if isinstance(self.conditions.compressor, ErrorFeedback):
            state.memory = self.conditions.compressor.state_dict()
        write_state(self.folder, state, fingerprint=self.fingerprint)

    def _resumed(self) -> SimulationState | None:
        """The state in the checkpoint of the first process, in every process."""
        path = Path() if self.folder is None else self.folder / CHECKPOINT
        content = self.replicas.group.tell(path.read_bytes() if path.is_file() else b"")
        return read_state(content, path, fingerprint=self.fingerprint)

    def _fresh(self) -> SimulationState:
        clients = len(self.population.clients)
        server = self.algorithm.init(self.workload.weights())
        return SimulationState(server, Signals.nothing(clients), np.zeros(clients), kernel=self.conditions.kernel)

    def _fingerprint(self, seed: int | None) -> dict[str, Any]:
        return {
            "algorithm": self.algorithm.describe(),
            "conditions": self.conditions.describe(),
            "population": dict(self.population.described),
            "model": self.population.settings.describe(),
            "data": self.population.content_hash,
            "seed": seed,
        }

    def _check_processes(self) -> None:
        if self.replicas.group.size == 1:
            return
        single = {
            "the algorithm": f"{self.algorithm.name} keeps state of clients" if self.algorithm.messages > 1 else "",
            "the rule": "it needs single updates" if self.conditions.rule is not None else "",
            "compression": "error feedback is a memory of clients" if isinstance(self.conditions.compressor, ErrorFeedback) else "",
        }
        for what, why in single.items():
            if why:
                raise InputError(f"{self.name}: {what} cannot be shared by {self.replicas.group.size} processes ({why}); start one process")
