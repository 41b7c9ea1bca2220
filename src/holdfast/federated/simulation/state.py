"""Where a simulation stands, and its checkpoint: one safetensors file with a JSON header, replaced whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from holdfast.core.errors import RunError
from holdfast.federated.algorithms import ServerState
from holdfast.federated.selection import Signals
from holdfast.runs import atomic_write

CHECKPOINT = "federated.safetensors"
FORMAT = 1
_SIGNALS = ("last_loss", "rms_loss", "last_round", "times", "seconds")


@dataclass(eq=False)
class History:
    """What was measured on the way; plain data.

    Args:
        convergence: Triples of round, loss on the test set in nats, and score, which is None where there is none.
        periods: Triples of the period trained through, the period scored on, and the score; on period p after period p - 1 is the
            score before any of its events was trained on.
        left_out: Clients that did not count in a round, by reason.
        bytes_up: Bytes that all clients sent.
        bytes_down: Bytes that all clients were sent.
        trained: How often a client trained; a client of two rounds counts twice.
        counted: How often a client's update went into a sum.
        steps: Local steps of all clients in all rounds: the work that was done.
        cohorts: Cohorts that had a client at all.
        vain: Rounds in a row, up to now, in which clients trained and none of their updates was finite.
        seconds: Of each round, without evaluations.
    """

    convergence: list[tuple[int, float, float | None]] = field(default_factory=list)
    periods: list[tuple[int, int, float]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    bytes_up: int = 0
    bytes_down: int = 0
    trained: int = 0
    counted: int = 0
    steps: int = 0
    cohorts: int = 0
    vain: int = 0
    seconds: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {**vars(self), "left_out": dict(self.left_out)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> History:
        """Reads what `to_json` wrote."""
        rows = {name: [tuple(row) for row in document[name]] for name in ("convergence", "periods")}
        return cls(**{**document, **rows, "left_out": Counter(document["left_out"])})


@dataclass(eq=False)
class SimulationState:
    """Everything that the next round depends on.

    Args:
        server: Weights and what the algorithm remembers.
        signals: What is known of each client; what selection may look at.
        norms: Sum of the norms of each client's updates, (N,).
        memory: What compression still owes each client, by name; empty without error feedback.
        round: Rounds done.
        history: What was measured.
        kernel: What trains the clients; "auto" until one was chosen.
    """

    server: ServerState
    signals: Signals
    norms: np.ndarray[Any, np.dtype[np.float64]]
    memory: dict[str, Tensor] = field(default_factory=dict)
    round: int = 0
    history: History = field(default_factory=History)
    kernel: str = "auto"


def write_state(folder: Path, state: SimulationState, *, fingerprint: Mapping[str, Any]) -> None:
    """Writes the checkpoint; the one before stays until the new one is whole.

    Args:
        folder: Where to.
        state: What to keep.
        fingerprint: What a simulation that goes on from here must agree on.

    Raises:
        TrainingStopped: If the disk is full.
    """
    server = state.server
    tensors = {f"weights/{name}": value for name, value in server.weights.items()}
    tensors |= {f"memory/{kind}/{name}": value for kind, values in server.memory.items() for name, value in values.items()}
    tensors |= {f"clients/{client}/{name}": value for client, values in server.clients.items() for name, value in values.items()}
    tensors |= {f"owed/{name}": value for name, value in state.memory.items()}
    tensors |= {f"signals/{name}": torch.from_numpy(np.asarray(getattr(state.signals, name))) for name in _SIGNALS}
    tensors["norms"] = torch.from_numpy(state.norms)
    header = {"format": FORMAT, "round": state.round, "steps": server.rounds, "kernel": state.kernel, "fingerprint": fingerprint}
    header["history"] = state.history.to_json()
    kept = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    atomic_write(folder / CHECKPOINT, save(kept, metadata={"holdfast": json.dumps(header)}))


def read_state(content: bytes, path: Path, *, fingerprint: Mapping[str, Any]) -> SimulationState | None:
    """Reads the checkpoint of a simulation, or gives None where there is none.

    Args:
        content: What `write_state` wrote; empty where there is none.
        path: Where it stands, for messages.
        fingerprint: Of the simulation that is to go on.

    Raises:
        RunError: If it is damaged, or belongs to a simulation of other settings, data or seed; names the first difference.
    """
    if not content:
        return None
    try:
        tensors = load(content)
        header = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["holdfast"])
        if header["format"] != FORMAT:
            raise RunError(f"{path}: format {header['format']}, this holdfast reads {FORMAT}; use the version that wrote it")
        history = History.from_json(header["history"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: the checkpoint cannot be read ({error}); remove it to begin anew") from error
    _check_same(path, header["fingerprint"], fingerprint)
    return _state(tensors, header, history)


def _state(tensors: Mapping[str, Tensor], header: Mapping[str, Any], history: History) -> SimulationState:
    server = ServerState({}, rounds=header["steps"])
    memory: dict[str, Tensor] = {}
    for path, value in tensors.items():
        kind, _, rest = path.partition("/")
        first, _, name = rest.partition("/")
        if kind == "weights":
            server.weights[rest] = value
        elif kind == "memory":
            server.memory.setdefault(first, {})[name] = value
        elif kind == "clients":
            server.clients.setdefault(int(first), {})[name] = value
        elif kind == "owed":
            memory[rest] = value
    signals = Signals(**{name: tensors[f"signals/{name}"].numpy() for name in _SIGNALS})
    return SimulationState(server, signals, tensors["norms"].numpy(), memory, header["round"], history, header["kernel"])


def _check_same(path: Path, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    asked = json.loads(json.dumps(asked))
    for key in sorted({**kept, **asked}):
        if kept.get(key) != asked.get(key):
            was = f"{key} was {kept.get(key)!r} and now is {asked.get(key)!r}"
            raise RunError(f"{path} belongs to another simulation: {was}; give another folder")
