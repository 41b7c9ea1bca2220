"""What a simulation leaves behind: the model, and evidence about how it was trained and whom it serves."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.federated.algorithms import FederatedAlgorithm
from holdfast.federated.findings.clients import ClientsFound
from holdfast.federated.findings.periods import periods_found
from holdfast.federated.findings.spread import spread_found
from holdfast.federated.selection import counted_twice
from holdfast.federated.simulation.conditions import Conditions
from holdfast.federated.simulation.evaluating import Evaluator
from holdfast.federated.simulation.population import Population
from holdfast.federated.simulation.state import SimulationState
from holdfast.federated.updates import label

NOTES = (
    "A federated run without noise promises nothing: updates of clients tell of their words. Nothing here bounds what leaves a client.",
    "The population was simulated in one place: availability, speed and failures are models of it, and nothing was sent anywhere.",
)
VOCABULARY = (
    "The model's words were read off the text of all clients, which no server of a federation sees; a vocabulary that is public (hashed, "
    "or of bytes) needs none of it."
)


@dataclass(frozen=True, eq=False)
class Simulation:
    """What `simulate` returns.

    Args:
        name: Of the run.
        algorithm: What clients and server did.
        population: Who there was.
        conditions: How it was run.
        state: Where it ended: weights, signals, history.
        module: The model with the last weights.
        evaluator: Evaluates it.
        kernel: What trained the clients.
        processes: How many processes shared the work.
    """

    name: str
    algorithm: FederatedAlgorithm
    population: Population
    conditions: Conditions
    state: SimulationState
    module: nn.Module
    evaluator: Evaluator
    kernel: str
    processes: int

    @property
    def settings(self) -> dict[str, Any]:
        """Algorithm and conditions as plain data."""
        told = self.algorithm.describe() | self.conditions.describe()
        return told | {
            "schedule": "static" if self.conditions.schedule.periods == 1 else "continual",
            "clock": told["schedule"],
            "population": dict(self.population.described),
        }

    def evidence(self) -> Evidence:
        """Scores on the test set, the clients, the traffic, the periods, and what this does not show."""
        found = ClientsFound(self.name, self.population, self.state.signals, self.state.norms)
        scores, own = self.evaluator.final(self.name)
        periods = periods_found(self.name, self.state.history, self.evaluator.measured, periods=self.conditions.schedule.periods)
        spread = spread_found(self.name, self.population)
        estimates = (
            *scores,
            *found.activity(),
            *(() if own is None else found.served(own)),
            *self._traffic(),
            *self._left_out(),
            self._steps(),
            *self._seconds(),
        )
        mine = Evidence(estimates=estimates, curves=(*self._convergence(), *found.curves()), notes=self._notes())
        return mine + periods + spread

    def _notes(self) -> tuple[str, ...]:
        twice = counted_twice(self.conditions.select, self.conditions.weighting)
        rule = None if self.conditions.rule is None else self.conditions.rule.note
        known = None if self.population.featuriser.vocabulary_is_public else VOCABULARY
        return tuple(note for note in (*NOTES, known, twice, rule) if note)

    def _traffic(self) -> Iterator[Estimate]:
        history, compressor = self.state.history, self.conditions.compressor
        conditions = {"trainable": label(self.conditions.trainable), "compression": "none" if compressor is None else compressor.name}
        for way, total in (("up", history.bytes_up), ("down", history.bytes_down)):
            method = "counted over all messages as they would be sent (safetensors; moved rows of tables where that is shorter)"
            fields: dict[str, Any] = {
                "subject": self.name,
                "unit": "bytes",
                "direction": "lower is better",
                "conditions": conditions,
                "method": method,
            }
            yield Estimate(name=f"bytes_{way}", value=float(total), **fields)
            if history.trained:
                yield Estimate(name=f"bytes_{way}_per_client", value=total / history.trained, n=history.trained, **fields)

    def _left_out(self) -> Iterator[Estimate]:
        for reason, count in sorted(self.state.history.left_out.items()):
            if count:
                yield Estimate(
                    name="clients_left_out",
                    subject=self.name,
                    value=float(count),
                    unit="rounds" if reason == "nobody drawn" else "clients",
                    direction="lower is better",
                    conditions={"reason": reason},
                    method="counted over all rounds; a client that is left out twice counts twice",
                )

    def _steps(self) -> Estimate:
        return Estimate(
            name="local_steps",
            subject=self.name,
            value=float(self.state.history.steps),
            unit="steps",
            direction="lower is better",
            method="counted over all clients and rounds: a strategy that draws clients with more examples does more work in a round",
        )

    def _seconds(self) -> Iterator[Estimate]:
        seconds = self.state.history.seconds
        span = Interval(low=min(seconds), high=max(seconds), level=0.95, method="fastest and slowest round, no coverage promised")
        yield Estimate(
            name="round_seconds",
            subject=self.name,
            value=statistics.median(seconds),
            unit="seconds",
            direction="lower is better",
            interval=span,
            n=len(seconds),
            conditions={
                "kernel": self.kernel,
                "cohort": self.conditions.cohort,
                "threads": torch.get_num_threads(),
                "processes": self.processes,
            },
            method="median over rounds, selection and server step included, evaluations not",
        )

    def _convergence(self) -> Iterator[Curve]:
        points = self.state.history.convergence
        most = self.conditions.test_examples
        method = "on the test set" if most is None else f"on {most:,} test examples at most, the same in every round"
        rounds = tuple(float(number) for number, _, _ in points)
        losses = tuple(loss for _, loss, _ in points)
        labels: dict[str, Any] = {"subject": self.name, "x_label": "round", "method": method}
        yield Curve(name="convergence", x=rounds, y=losses, y_label="loss on the test set (nats)", **labels)
        scored = [(float(number), score) for number, _, score in points if score is not None]
        if scored:
            x, y = zip(*scored, strict=True)
            measure = self.evaluator.measured.measure
            yield Curve(name="convergence_score", x=x, y=y, y_label=measure.replace("_", " "), conditions={"measure": measure}, **labels)
