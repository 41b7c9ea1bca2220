"""Planted bugs in algorithms, partitions and selectors: the checks must find each of them, and pass what ships."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from tests.oracles.federations import tiny_data

from holdfast import federated
from holdfast.federated import ALGORITHMS, LocalSolver, ServerOptimiser, algorithm, partitioned, selector
from holdfast.federated.algorithms import Averaging, Scaffold, ServerState
from holdfast.federated.population import Clients
from holdfast.federated.selection import Cohort
from holdfast.federated.selection.named import SELECTORS
from holdfast.testing import check_algorithm, check_partition, check_selector

LOCAL = LocalSolver(learning_rate=0.1)
ADAPTIVE = ("fedadam", "fedyogi", "fedadagrad")


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_every_algorithm_that_ships_keeps_its_contract(name: str, rate: float):
    made = algorithm(name, local=LOCAL, server={"learning_rate": rate})
    check_algorithm(made, averages=rate == 1.0 and name not in ADAPTIVE)


@pytest.mark.parametrize("name", ["fednova", "fedavg"])
def test_other_local_solvers_change_nothing(name: str):
    check_algorithm(algorithm(name, local=LocalSolver(learning_rate=0.05, optimizer="momentum", momentum=0.5)))


@pytest.mark.parametrize("name", ADAPTIVE)
def test_an_adaptive_server_does_not_average(name: str):
    with pytest.raises(AssertionError, match="an update that all clients share is off by"):
        check_algorithm(algorithm(name, local=LOCAL), averages=True)


def test_half_steps_do_not_average_either():
    with pytest.raises(AssertionError, match="is off by"):
        check_algorithm(algorithm("fedavg", local=LOCAL, server={"learning_rate": 0.5}), averages=True)


@dataclass(frozen=True, kw_only=True)
class Hidden(Averaging):
    """Keeps its momentum in itself, where no checkpoint finds it."""

    velocity: dict = field(default_factory=dict)

    def round(self, state, cohort):
        trained = cohort.train(state.weights)
        if trained.update is None:
            return state
        for name, value in trained.update.items():
            self.velocity[name] = 0.5 * self.velocity.get(name, torch.zeros_like(value)) + value
        return self.server.step(state, dict(self.velocity))


class Lost(Averaging):
    """Puts more into a state than is kept of it."""

    def round(self, state, cohort):
        trained = cohort.train(state.weights)
        if trained.update is None:
            return state
        before = getattr(state, "last", None)
        found = self.server.step(state, trained.update if before is None else before)
        found.last = trained.update
        return found


class MovesAlone(Averaging):
    """Goes on along its momentum where nobody trained."""

    def round(self, state, cohort):
        trained = cohort.train(state.weights)
        update = trained.update or {name: torch.full_like(value, 0.1) for name, value in state.weights.items()}
        return self.server.step(state, update)


class CountsNobody(Averaging):
    def round(self, state, cohort):
        trained = cohort.train(state.weights)
        if trained.update is None:
            state.rounds += 1
            return state
        return self.server.step(state, trained.update)


class NeverCounts(Averaging):
    def round(self, state, cohort):
        rounds, found = state.rounds, super().round(state, cohort)
        found.rounds = rounds
        return found


class LastOneWins(Averaging):
    messages = 2

    def round(self, state, cohort):
        heard: list = []
        trained = cohort.train(state.weights, each=lambda client, update, steps: heard.append(update))
        return state if trained.update is None else self.server.step(state, heard[-1])


class WeighsByHeads(Averaging):
    """The plain mean over the places of a cohort, whatever the weights say."""

    messages = 2

    def round(self, state, cohort):
        heard: list = []
        trained = cohort.train(state.weights, each=lambda client, update, steps: heard.append(update))
        if trained.update is None:
            return state
        return self.server.step(state, {name: sum(update[name] for update in heard) / len(heard) for name in state.weights})


class Normalises(Averaging):
    """Divides by what may be 0."""

    def round(self, state, cohort):
        trained = cohort.train(state.weights)
        if trained.update is None:
            return state
        return self.server.step(state, {name: value / value.norm() for name, value in trained.update.items()})


class Noisy(Averaging):
    def round(self, state, cohort):
        trained = cohort.train(state.weights)
        if trained.update is None:
            return state
        return self.server.step(state, {name: value + 1e-3 * torch.randn_like(value) for name, value in trained.update.items()})


class Shapeless(Averaging):
    def init(self, weights):
        return ServerState(weights, memory={"length": {"heads.bias": torch.zeros(3)}})


class Nameless(Averaging):
    def init(self, weights):
        return ServerState(weights, memory={"length": {"all": torch.zeros(())}})


class StartsElsewhere(Averaging):
    def init(self, weights):
        return ServerState({name: value * 0 for name, value in weights.items()})


class StartsLate(Averaging):
    def init(self, weights):
        return ServerState(weights, rounds=1)


class SaysOneMessage(Scaffold):
    messages = 1


class LooksAtSingles(Averaging):
    def round(self, state, cohort):
        trained = cohort.train(state.weights, each=lambda client, update, steps: None)
        return state if trained.update is None else self.server.step(state, trained.update)


class TellsItself(Averaging):
    def describe(self):
        return {"algorithm": "mine", "server": self.server}


class SaysNothing(Averaging):
    def describe(self):
        return {"local": self.local.describe()}


@pytest.mark.parametrize(
    ("made", "clause"),
    [
        (Hidden, "done again from the same state changes the weights"),
        (Lost, "done again from the same state changes the weights"),
        (Noisy, "done again from the same state changes the weights"),
        (MovesAlone, "nobody's update counted changes the number of server steps"),
        (CountsNobody, "nobody's update counted changes the number of server steps"),
        (NeverCounts, "a round counts 0 server steps"),
        (LastOneWins, "the order of the clients changes the weights"),
        (WeighsByHeads, "stands twice, with half its weight each time, changes the weights"),
        (Normalises, "of 'still' is not finite"),
        (Shapeless, r"memory 'length' holds 'heads.bias' of shape \(3,\)"),
        (Nameless, "memory 'length' holds 'all'"),
        (StartsElsewhere, "init changes the weights"),
        (StartsLate, "init counts 1 rounds"),
        (SaysOneMessage, "messages is 1, but it corrects gradients or looks at single clients"),
        (LooksAtSingles, "messages is 1"),
        (TellsItself, "the algorithm describes itself by what is no JSON"),
        (SaysNothing, "describe has no 'algorithm'"),
        (partial(Averaging, name=""), "the algorithm has no name"),
    ],
    ids=str,
)
def test_planted_bugs_of_algorithms_are_found(made: Any, clause: str):
    with pytest.raises(AssertionError, match=clause):
        check_algorithm(made(local=LOCAL, server=ServerOptimiser()))


def test_a_local_solver_is_one():
    made = algorithm("fedavg", local=LOCAL)
    with pytest.raises(AssertionError, match="local is dict"):
        check_algorithm(replace(made, local={"learning_rate": 0.1}))


DATA = tiny_data([9, 4, 7]).train
SCHEMES = {
    "iid": {},
    "label_dirichlet": {"alpha": 0.3},
    "label_dirichlet_by_label": {"alpha": 0.3},
    "quantity_dirichlet": {"beta": 1.0},
    "shards": {},
    "feature_clusters": {"clusters": 3},
    "temporal": {"by": "time"},
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_that_ships_keeps_its_contract(scheme: str):
    def make(seed: int = 3):
        return partitioned(scheme, DATA, SCHEMES[scheme], clients=4, seed=seed)

    check_partition(make(), DATA, again=make)


def test_natural_clients_are_a_partition_too():
    check_partition(partitioned("natural", DATA), DATA, again=lambda: partitioned("natural", DATA))


class TakesAnyData(federated.Partition):
    def check(self, dataset):
        pass


class Drops(federated.Partition):
    def clients_of(self):
        whole = super().clients_of()
        return Clients(np.minimum(whole.offsets, whole.total - 1), whole.examples[:-1])


class Doubles(federated.Partition):
    def clients_of(self):
        whole = super().clients_of()
        return Clients(whole.offsets, np.concatenate([whole.examples[:1], whole.examples[:-1]]))


class Swaps(federated.Partition):
    def clients_of(self):
        return Clients.of_assignment(self.assignment_n[::-1], self.clients)


class ForgetsTheEmpty(federated.Partition):
    def clients_of(self):
        return Clients.of_assignment(self.assignment_n, int(self.assignment_n.max()) + 1)


class SavesAnother(federated.Partition):
    def save(self, path):
        federated.Partition(
            self.scheme, self.parameters, self.seed, self.data_hash, np.roll(self.assignment_n, 1).astype(np.int32), self.clients
        ).save(path)


SOUND = partitioned("iid", DATA, clients=4, seed=3)
FIELDS = ("scheme", "parameters", "seed", "data_hash", "assignment_n", "clients")


def spoiled(kind: type, **changed: Any) -> federated.Partition:
    return kind(**{name: getattr(SOUND, name) for name in FIELDS} | changed)


@pytest.mark.parametrize(
    ("found", "clause"),
    [
        (spoiled(TakesAnyData), "other data are taken for those"),
        (spoiled(federated.Partition, data_hash="0" * 64), "was made for other data"),
        (spoiled(federated.Partition, assignment_n=SOUND.assignment_n[:-1]), "has 19 examples for 20"),
        (spoiled(Drops), "1 examples have no client"),
        (spoiled(Doubles), "has an example that is taken"),
        (spoiled(Swaps), "other clients their examples than the assignment says"),
        (spoiled(ForgetsTheEmpty, clients=5), "gives 4 clients of 5"),
        (spoiled(SavesAnother), "read from its file, the partition is another one"),
        (spoiled(federated.Partition, parameters={"alpha": np.float64("nan")}), "what is no JSON"),
        (spoiled(federated.Partition, parameters={"heavy": ["u1"]}), "describe tells of user 'u1'"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_planted_bugs_of_partitions_are_found(found: federated.Partition, clause: str):
    check_partition(SOUND, DATA)
    with pytest.raises(AssertionError, match=clause):
        check_partition(found, DATA)


def test_a_partition_that_comes_out_otherwise_is_found():
    with pytest.raises(AssertionError, match="made anew, the partition is another one"):
        check_partition(SOUND, DATA, again=lambda: partitioned("iid", DATA, clients=4, seed=4))


SAMPLINGS = ("without replacement", "with replacement", "poisson")
ALONE = ("top-k", "power-of-choice", "oort", "active")


@pytest.mark.parametrize("name", SELECTORS)
def test_every_selector_that_ships_keeps_its_contract(name: str):
    check_selector(selector(name, {"threshold": {"least": 2}, "mixture": {"tau": 2.0, "explore": 0.1}}.get(name, {})))


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS[1:])
@pytest.mark.parametrize("name", [name for name in SELECTORS if name not in ALONE])
def test_so_it_does_with_other_samplings(name: str, sampling: str):
    check_selector(selector(name, {"sampling": sampling, **({"least": 2} if name == "threshold" else {})}))


class Wrapped:
    """A selector around one that is sound; it states no chances before a draw."""

    name = "wrapped"
    inner = ("uniform", {})

    def __init__(self) -> None:
        self.sound = selector(*self.inner)

    def select(self, view, *, size, round, rounds, streams):
        return self.spoil(self.sound.select(view, size=size, round=round, rounds=rounds, streams=streams), view)

    def spoil(self, cohort, view):
        return cohort

    def describe(self):
        return {"strategy": self.name}


def test_a_selector_that_states_chances_only_of_whom_it_drew_passes_too():
    check_selector(Wrapped())


class DrawsTheEmpty(Wrapped):
    def spoil(self, cohort, view):
        return replace(cohort, clients=np.sort(np.concatenate([[0], cohort.clients[1:]])).astype(np.int64)) if len(cohort) else cohort


class IgnoresReach(Wrapped):
    def select(self, view, **call):
        return self.sound.select(replace(view, available=None), **call)


class DrawsSomebodyAnyway(Wrapped):
    def spoil(self, cohort, view):
        return cohort if len(cohort) else Cohort(np.array([1]), np.ones(1), cohort.sampling, "exact")


class Twice(Wrapped):
    def spoil(self, cohort, view):
        return replace(cohort, clients=np.sort(np.repeat(cohort.clients[: (len(cohort) + 1) // 2], 2)[: len(cohort)]))


class TooMany(Wrapped):
    def select(self, view, *, size, **call):
        return self.sound.select(view, size=size + 1, **call)


class Unsorted(Wrapped):
    def spoil(self, cohort, view):
        return replace(cohort, clients=cohort.clients[::-1], inclusion=cohort.inclusion[::-1])


class Percent(Wrapped):
    def spoil(self, cohort, view):
        return replace(cohort, inclusion=100 * cohort.inclusion)


class Zero(Wrapped):
    def spoil(self, cohort, view):
        return replace(cohort, inclusion=0 * cohort.inclusion)


class Unknown(Wrapped):
    def spoil(self, cohort, view):
        return replace(cohort, exactness="roughly")


class Advances(Wrapped):
    """Has a generator of its own, which goes on from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = np.random.default_rng(0)

    def select(self, view, *, round, rounds, **call):
        return self.sound.select(view, round=int(self.generator.integers(rounds)), rounds=rounds, **call)


class Writes(Wrapped):
    def select(self, view, **call):
        found = self.sound.select(view, **call)
        view.signals.times[found.clients] += 1
        return found


class SaysUniform(Wrapped):
    """Draws by activity and says that all are alike: inverse propensities would then weigh heavy clients twice."""

    inner = ("activity", {"tau": 0.5})

    def spoil(self, cohort, view):
        return replace(cohort, inclusion=np.full(len(cohort), len(cohort) / max(1, int((view.usable() > 0).sum()))))


class AlwaysTheSame(Wrapped):
    def select(self, view, *, round, **call):
        return self.sound.select(view, round=0, **call)


class StatesOthers(Wrapped):
    def chances(self, view, **call):
        found = self.sound.chances(view, **call)
        return replace(found, inclusion=found.inclusion / 2)


class NoJson(Wrapped):
    def describe(self):
        return {"strategy": self.sound}


class NoName(Wrapped):
    name = ""


@pytest.mark.parametrize(
    ("spoiler", "clause"),
    [
        (DrawsTheEmpty, "client 0 is drawn, which has no example"),
        (IgnoresReach, "is drawn, which cannot be reached"),
        (DrawsSomebodyAnyway, "1 clients are drawn where none can be reached"),
        (Twice, "a client stands twice in a cohort drawn 'without replacement'"),
        (TooMany, "a cohort of 2 clients where 1 were asked for"),
        (Unsorted, "the cohort is not ascending"),
        (Percent, "inclusion goes up to"),
        (Zero, "inclusion of clients that were drawn is"),
        (Unknown, "exactness is 'roughly'"),
        (Advances, "draws another cohort when it is drawn again"),
        (Writes, "select writes to times of the view"),
        (SaysUniform, "times in 1000 rounds; stated are"),
        (AlwaysTheSame, "was drawn 1000 times in 1000 rounds"),
        (StatesOthers, "a cohort states other probabilities than `chances`"),
        (NoJson, "the selector describes itself by what is no JSON"),
        (NoName, "the selector has no name"),
    ],
)
def test_planted_bugs_of_selectors_are_found(spoiler: type[Wrapped], clause: str):
    with pytest.raises(AssertionError, match=clause):
        check_selector(spoiler())


def test_chances_that_are_off_are_found_by_the_draws():
    """What `chances` and the cohorts state agrees here, and both are wrong."""

    class Both(SaysUniform):
        def chances(self, view, **call):
            found = self.sound.chances(view, **call)
            usable = view.usable() > 0
            inclusion = np.where(usable, min(call["size"], usable.sum()) / max(1, usable.sum()), 0.0)
            return replace(found, inclusion=inclusion)

    with pytest.raises(AssertionError, match=r"client 1 with 1 examples was drawn \d+ times in 1000 rounds; stated are 416.7"):
        check_selector(Both())


def test_what_a_selector_does_not_know_is_not_held_against_it():
    class Guesses(SaysUniform):
        def spoil(self, cohort, view):
            return replace(super().spoil(cohort, view), exactness="unknown")

    check_selector(Guesses())
