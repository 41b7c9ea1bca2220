"""Holding the parts of a federation to their contracts: an algorithm, a partition, a selector.

Shapes: m clients of a cohort, N clients in all, n examples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.core.errors import DataError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.federated.algorithms import FederatedAlgorithm, ServerState, Trained
from holdfast.federated.algorithms.contract import Each, Scale, Weights
from holdfast.federated.local import LocalSolver
from holdfast.federated.partition import Partition, read_partition
from holdfast.federated.selection import Selector
from holdfast.testing.selections import check_draws

CLOSE = 1e-4
"""How far two float32 results may be apart, relative to 1 + the larger one, where only the order of sums differs."""
ROUNDS = 4
STILL = "still"
"""A parameter that no client ever moves: a division by its change would not be finite."""


def check_algorithm(algorithm: FederatedAlgorithm, *, averages: bool = False) -> None:
    """Holds an algorithm to its contract, with a few made-up clients and no data.

    Looked at: a round in which nobody counted changes nothing and is no step; what a round makes of a state and a cohort is the same
    every time, whatever the algorithm did before, so that a resumed run is the same run; it does not hang on the order of the clients,
    and a client that stands twice with half the weight is that client; all tensors stay finite, also where nothing moves; what is
    remembered has the names and shapes of the weights; whoever corrects gradients or looks at single clients says that two messages
    travel.

    Args:
        algorithm: Yours, with its local solver.
        averages: Whether it promises, as FedAvg does, that in a first round an update that all clients share is the server's too.

    Raises:
        AssertionError: Naming the first clause that does not hold.

    >>> from holdfast import federated
    >>> local = federated.LocalSolver(learning_rate=0.1)
    >>> check_algorithm(federated.algorithm("fedavgm", local=local), averages=True)
    """
    _check_description(algorithm)
    state = _check_beginning(algorithm)
    _check_nobody(algorithm, state)
    for number in range(ROUNDS):
        cohort = _cohort(algorithm, number)
        state = _check_round(algorithm, state, cohort)
        _check_nobody(algorithm, state)
    if averages:
        _check_average(algorithm)


def check_partition(partition: Partition, data: Dataset, *, again: Callable[[], Partition] | None = None) -> None:
    """Holds a partition to its contract: every example has one client, and the file says no more and no less.

    Args:
        partition: Yours.
        data: The data set that it was made for, of at least two examples.
        again: Makes it anew, to see that the same seed gives the same; None leaves that out.

    Raises:
        AssertionError: Naming the first clause that does not hold.

    >>> from holdfast import federated
    >>> from holdfast.data import Example
    >>> data = Dataset.from_examples([Example(tokens=(word,)) for word in ("stop", "go", "on")], name="tiny", split="train")
    >>> check_partition(federated.partitioned("iid", data, clients=2, seed=1), data)
    """
    _check_own_data(partition, data)
    _check_clients(partition, data)
    told = _plain(partition.describe(), "the partition")
    users = set(data.user_ids()) if data.has("user_id") else set()
    leaked = sorted(users & set(_texts(told)))
    _holds(not leaked, f"describe tells of user {leaked[0] if leaked else ''!r}; a partition holds no user id")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "partition.bin"
        partition.save(path)
        read = read_partition(path)
    for what, other in (("read from its file", read), *((("made anew", again()),) if again is not None else ())):
        same = np.array_equal(other.assignment_n, partition.assignment_n) and other.describe() == partition.describe()
        _holds(same, f"{what}, the partition is another one")


def check_selector(selector: Selector, *, seed: int = 0) -> None:
    """Holds a selector to its contract on a small population, in a few seconds.

    Looked at: nobody is drawn who has no example or cannot be reached; a cohort is ascending, not larger than asked for, and holds a
    client twice only with replacement; inclusion is a probability, above 0 for whoever was drawn; the same round draws the same
    cohort, whatever was drawn before, and what the selector may look at is left as it was. Where it says how likely clients are, they
    are drawn so often over a thousand rounds.

    Args:
        selector: Yours.
        seed: Of all draws: the check says the same every time.

    Raises:
        AssertionError: Naming the first clause that does not hold.

    Guarantee:
        A selector whose clients are drawn by themselves in each round, as often as it says, is called wrong less than once in a hundred
        million. One that passes may still be wrong: probabilities that are off by less than .1 are not seen.

    >>> from holdfast import federated
    >>> check_selector(federated.selector("activity", {"tau": 0.5}))
    """
    _holds(bool(selector.name), "the selector has no name")
    _plain(selector.describe(), "the selector")
    check_draws(selector, Streams.from_seed(seed).child("check"))


class _Cohort:
    """Clients that walk towards points of their own, in steps that are never longer than the learning rate.

    Args:
        clients: Their numbers, (m,).
        steps: Local steps of each, (m,).
        shares: Aggregation weight of each, (m,).
        rate: Of their steps.
        counts: Whether their updates count; else nobody's does.
        shared: An update that all have; None for their own.
    """

    population = 12

    def __init__(
        self, clients: Sequence[int], steps: Sequence[int], shares: Sequence[float], *, rate: float, counts: bool = True, shared: Any = None
    ) -> None:
        self.clients = np.array(clients, dtype=np.int64)
        self.steps, self.shares = np.array(steps, dtype=np.int64), np.array(shares, dtype=np.float64)
        self.rate, self.counts, self.shared = rate, counts, shared
        self.singles = False
        """Whether the algorithm wanted more than the sum."""

    def train(self, weights: Weights, *, scale: Scale | None = None, corrections: Any = None, each: Each | None = None) -> Trained:
        """See `holdfast.federated.algorithms.CohortTraining`."""
        self.singles = self.singles or corrections is not None or each is not None
        if not self.counts:
            return Trained(None, self.clients[:0], self.steps[:0], self.shares[:0])
        scales = np.ones(len(self.clients)) if scale is None else scale(self.steps)
        total = {name: torch.zeros_like(value) for name, value in weights.items()}
        for place, client in enumerate(self.clients):
            own = None if corrections is None else {name: value[place] for name, value in corrections.items()}
            update = self.shared or self._walk(weights, int(client), int(self.steps[place]), own)
            if each is not None:
                each(int(client), update, int(self.steps[place]))
            for name, value in update.items():
                total[name] += value * float(self.shares[place] * scales[place])
        return Trained(total, self.clients, self.steps, self.shares)

    def reordered(self, order: Sequence[int]) -> _Cohort:
        """The same clients in another order."""
        clients, steps, shares = (values[list(order)].tolist() for values in (self.clients, self.steps, self.shares))
        return _Cohort(clients, steps, shares, rate=self.rate)

    def with_one_twice(self) -> _Cohort:
        """The same, but that the first client stands there twice with half its weight."""
        shares = [self.shares[0] / 2, self.shares[0] / 2, *self.shares[1:]]
        return _Cohort([self.clients[0], *self.clients], [self.steps[0], *self.steps], shares, rate=self.rate)

    def _walk(self, weights: Weights, client: int, steps: int, corrections: Weights | None) -> Weights:
        place = _cloned(weights)
        for _ in range(steps):
            for name, value in place.items():
                if name != STILL:
                    gradient = torch.tanh(value - _target(name, client, value))
                    value -= self.rate * (gradient if corrections is None else gradient + corrections[name])
        return {name: value - weights[name] for name, value in place.items()}


def _target(name: str, client: int, like: Tensor) -> Tensor:
    draws = Streams(0).generator(f"target of {name}", client).normal(size=tuple(like.shape))
    return torch.as_tensor(draws, dtype=like.dtype)


def _weights() -> Weights:
    shapes = {"words.weight": (5, 3), "heads.bias": (4,), "temperature": (), STILL: (2,)}
    return {name: _target(name, -1, torch.zeros(shape)) for name, shape in shapes.items()}


def _cohort(algorithm: FederatedAlgorithm, number: int, **options: Any) -> _Cohort:
    clients = [[7, 2, 5, 11], [2, 3], [11, 0, 7], [1]][number % 4]
    steps, shares = [3, 1, 2, 5][: len(clients)], np.arange(1.0, len(clients) + 1)
    return _Cohort(clients, steps, (shares / shares.sum()).tolist(), rate=algorithm.local.learning_rate, **options)


def _check_description(algorithm: FederatedAlgorithm) -> None:
    _holds(bool(algorithm.name), "the algorithm has no name")
    _holds(isinstance(algorithm.local, LocalSolver), f"local is {type(algorithm.local).__name__}; clients train by a LocalSolver")
    told = _plain(algorithm.describe(), "the algorithm")
    _holds("algorithm" in told, "describe has no 'algorithm': a run of it could not be told from that of another")


def _check_beginning(algorithm: FederatedAlgorithm) -> ServerState:
    given = _weights()
    state = algorithm.init(_cloned(given))
    gap = _gap(state.weights, given)
    _holds(gap == 0, "init changes the weights: a simulation would begin elsewhere than its model")
    _holds(state.rounds == 0, f"init counts {state.rounds} rounds before the first one")
    _check_tensors(state)
    return state


def _check_nobody(algorithm: FederatedAlgorithm, state: ServerState) -> None:
    before = _copy(state)
    after = algorithm.round(_copy(state), _cohort(algorithm, 0, counts=False))
    what = _difference(before, after, 0.0)
    _holds(what is None, f"a round in which nobody's update counted changes {what}")


def _check_round(algorithm: FederatedAlgorithm, state: ServerState, cohort: _Cohort) -> ServerState:
    """One round, done from a state that was never copied, and again from copies of it."""
    before = _copy(state)
    after = algorithm.round(state, cohort)
    _check_tensors(after)
    _holds(after.rounds == before.rounds + 1, f"a round counts {after.rounds - before.rounds} server steps; it is 1")
    holds_clients = bool(after.clients) or cohort.singles
    what = "it corrects gradients or looks at single clients"
    _holds(algorithm.messages > 1 or not holds_clients, f"messages is {algorithm.messages}, but {what}: half of the bytes are not counted")
    again = algorithm.round(_copy(before), cohort)
    what_differs = _difference(after, again, 0.0)
    _holds(what_differs is None, f"a round done again from the same state changes {what_differs}: a resumed run would be another run")
    order = list(range(len(cohort.clients)))[::-1]
    backwards = _difference(after, algorithm.round(_copy(before), cohort.reordered(order)), CLOSE)
    _holds(backwards is None, f"the order of the clients changes {backwards}")
    twice = _difference(after, algorithm.round(_copy(before), cohort.with_one_twice()), CLOSE)
    _holds(twice is None, f"a client that stands twice, with half its weight each time, changes {twice}")
    return after


def _check_average(algorithm: FederatedAlgorithm) -> None:
    weights = _weights()
    shared = {name: 0.1 * _target(f"shared {name}", 0, value) for name, value in weights.items()}
    equal = _Cohort([4, 1, 9], [2, 2, 2], [0.2, 0.3, 0.5], rate=algorithm.local.learning_rate, shared=shared)
    after = algorithm.round(algorithm.init(_cloned(weights)), equal)
    gap = _gap(after.weights, {name: value + shared[name] for name, value in weights.items()})
    _holds(gap <= CLOSE, f"an update that all clients share is off by {gap:.3g} in the server's weights")


def _check_tensors(state: ServerState) -> None:
    parts = {"weights": state.weights, **{f"memory {kind!r}": part for kind, part in state.memory.items()}}
    for what, part in (parts | {f"client {client}": part for client, part in state.clients.items()}).items():
        for name, value in part.items():
            fits = name in state.weights and value.shape == state.weights[name].shape
            _holds(fits, f"{what} holds {name!r} of shape {tuple(value.shape)}, which is the shape of no weight of that name")
            _holds(bool(torch.isfinite(value).all()), f"{what} of {name!r} is not finite after ordinary updates")


def _copy(state: ServerState) -> ServerState:
    """What a checkpoint keeps of a state."""
    memory = {kind: _cloned(part) for kind, part in state.memory.items()}
    clients = {client: _cloned(part) for client, part in state.clients.items()}
    return ServerState(_cloned(state.weights), memory, clients, state.rounds)


def _cloned(weights: Weights) -> Weights:
    return {name: value.clone() for name, value in weights.items()}


def _difference(one: ServerState, other: ServerState, close: float) -> str | None:
    """What differs between two states, in words."""
    if one.rounds != other.rounds:
        return "the number of server steps"
    if _gap(one.weights, other.weights) > close:
        return "the weights"
    if one.memory.keys() != other.memory.keys() or any(_gap(part, other.memory[kind]) > close for kind, part in one.memory.items()):
        return "memory"
    if one.clients.keys() != other.clients.keys() or any(_gap(part, other.clients[client]) > close for client, part in one.clients.items()):
        return "what is kept of clients"
    return None


def _gap(one: Weights, other: Weights) -> float:
    if one.keys() != other.keys():
        return float("inf")
    gaps = [float(((one[name] - other[name]).abs() / (1 + other[name].abs())).max()) for name in one]
    return max(gaps, default=0.0)


def _check_own_data(partition: Partition, data: Dataset) -> None:
    try:
        partition.check(data)
    except DataError as error:
        raise AssertionError(f"the partition was made for other data: {error}") from error
    try:
        partition.check(data.take(np.arange(len(data) - 1)))
    except DataError:
        return
    raise AssertionError("other data are taken for those that the partition was made for")


def _check_clients(partition: Partition, data: Dataset) -> None:
    found = partition.clients_of()
    _holds(len(partition) == len(data), f"the partition has {len(partition)} examples for {len(data)}")
    _holds(
        len(found) == partition.clients, f"clients_of gives {len(found)} clients of {partition.clients}; one without examples is one too"
    )
    owners_n: NDArray[np.int64] = np.full(len(data), -1)
    for client in range(len(found)):
        own = found.of(client)
        _holds(not len(own) or (own.min() >= 0 and own.max() < len(data)), f"client {client} has an example that the data have not")
        _holds(bool((owners_n[own] == -1).all()) and len(set(own.tolist())) == len(own), f"client {client} has an example that is taken")
        owners_n[own] = client
    _holds(bool((owners_n >= 0).all()), f"{int((owners_n < 0).sum())} examples have no client")
    _holds(np.array_equal(owners_n, partition.assignment_n), "clients_of gives other clients their examples than the assignment says")


def _plain(told: Any, owner: str) -> Any:
    try:
        return json.loads(json.dumps(told, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{owner} describes itself by what is no JSON: {error}") from error


def _texts(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for key, value in document.items() for text in (key, *_texts(value))]
    if isinstance(document, list):
        return [text for value in document for text in _texts(value)]
    return [document] if isinstance(document, str) else []


def _holds(clause: bool, otherwise: str) -> None:
    if not clause:
        raise AssertionError(otherwise)
