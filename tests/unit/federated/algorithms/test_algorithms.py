"""Server steps against their formulas, and the bounds of what each algorithm takes."""

import numpy as np
import pytest
import torch
from tests.oracles.federations import OneByOne

from holdfast.core.errors import InputError
from holdfast.federated.algorithms import ALGORITHMS, FederatedAlgorithm, FedNova, Scaffold, ServerOptimiser, ServerState, algorithm
from holdfast.federated.local import LocalSolver

LOCAL = LocalSolver(learning_rate=0.5)
UPDATES = [{"w": torch.tensor([0.3, -0.2, 0.0])}, {"w": torch.tensor([-0.1, 0.4, 0.5])}, {"w": torch.tensor([0.2, 0.1, -0.6])}]


def after(server: ServerOptimiser) -> np.ndarray:
    state = ServerState({"w": torch.zeros(3)})
    for update in UPDATES:
        state = server.step(state, update)
    assert state.rounds == len(UPDATES)
    return state.weights["w"].double().numpy()


def by_hand(kind: str, rate: float, beta: float, second: float, floor: float) -> np.ndarray:
    x, m, v = np.zeros(3), np.zeros(3), np.full(3, floor**2)
    for update in UPDATES:
        d = update["w"].double().numpy()
        if kind == "sgd":
            x = x + rate * d
        elif kind == "momentum":
            m = beta * m + d
            x = x + rate * m
        else:
            m = beta * m + (1 - beta) * d
            if kind == "adagrad":
                v = v + d**2
            elif kind == "adam":
                v = second * v + (1 - second) * d**2
            else:
                v = v - (1 - second) * d**2 * np.sign(v - d**2)
            x = x + rate * m / (np.sqrt(v) + floor)
    return x


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam", "yogi", "adagrad"])
def test_server_steps_follow_the_paper(kind: str):
    server = ServerOptimiser(optimizer=kind, learning_rate=0.7, momentum=0.6, second=0.8, floor=0.05)
    np.testing.assert_allclose(after(server), by_hand(kind, 0.7, 0.6, 0.8, 0.05), rtol=1e-5)
    assert not np.allclose(after(server), by_hand(kind, 0.7, 0.6, 0.8, 0.05) * 1.01), "the comparison would see another formula"


def test_yogi_and_adam_differ_only_in_the_second_moment():
    assert not np.allclose(by_hand("adam", 0.7, 0.6, 0.8, 0.05), by_hand("yogi", 0.7, 0.6, 0.8, 0.05))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_is_a_pair_of_init_and_round(name: str):
    made = algorithm(name, local=LOCAL)
    assert isinstance(made, FederatedAlgorithm)
    assert made.describe()["algorithm"] == made.name == name
    assert made.messages == (2 if name == "scaffold" else 1)


def test_a_round_without_anybody_changes_nothing():
    class Nobody(OneByOne):
        def train(self, weights, **_):
            from holdfast.federated.algorithms import Trained

            return Trained(None, self.clients, self.clients, np.zeros(0))

    for name in ALGORITHMS:
        made = algorithm(name, local=LOCAL)
        state = made.round(made.init({"w": torch.ones(2)}), Nobody({}, 1, 3))
        assert state.weights["w"].tolist() == [1.0, 1.0]
        assert state.rounds == 0


def test_fedsgd_takes_one_step_over_all_examples():
    local = algorithm("fedsgd", local=LocalSolver(learning_rate=0.1, batch_size=4, epochs=3, optimizer="momentum")).local
    assert (local.batch_size, local.epochs, local.optimizer) == (None, 1, "sgd")
    assert local.steps_of(np.array([1, 500])).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: algorithm("fedagv", local=LOCAL), "did you mean 'fedavg'"),
        (lambda: algorithm("fedavg", local=LOCAL, server={"rate": 1}), "unknown option 'rate'"),
        (lambda: algorithm("fedadam", local=LOCAL, server={"optimizer": "yogi"}), "its server is 'adam'"),
        (lambda: algorithm("fedavg", local=LocalSolver(learning_rate=0.1, proximal=0.1)), "call the algorithm fedprox"),
        (lambda: Scaffold(local=LocalSolver(learning_rate=0.1, optimizer="momentum")), "give optimizer 'sgd'"),
        (lambda: FedNova(local=LocalSolver(learning_rate=0.1, optimizer="adamw")), "give 'sgd'"),
        (lambda: FedNova(local=LocalSolver(learning_rate=2, proximal=0.5)), "lower one"),
        (lambda: ServerOptimiser(learning_rate=0), "give a number above 0"),
        (lambda: ServerOptimiser(momentum=1.0), r"\[0, 1\)"),
    ],
)
def test_bad_settings_name_the_cure(call, words: str):
    with pytest.raises(InputError, match=words):
        call()


def test_scaffold_by_hand_over_two_rounds():
    """Two clients with gradients g_i(w) = w - t_i, one local step: the formulas of the paper, written out."""
    rate, targets = 0.5, {0: 1.0, 4: 3.0}
    made = Scaffold(local=LocalSolver(learning_rate=rate))
    state = made.init({"w": torch.tensor([0.0])})
    x, c, own = 0.0, 0.0, dict.fromkeys(targets, 0.0)

    def move(target: float, control: float):
        return lambda weights: {"w": -rate * (weights["w"] - target + control)}

    for _ in range(3):
        control = {client: c - own[client] for client in targets}
        cohort = OneByOne({client: move(targets[client], control[client]) for client in targets}, 1, population=10)
        state = made.round(state, cohort)
        np.testing.assert_allclose(cohort.corrections["w"][:, 0].numpy(), [control[0], control[4]], atol=1e-6)
        moves = {client: -rate * (x - targets[client] + control[client]) for client in targets}
        new = {client: own[client] - c - moves[client] / rate for client in targets}
        c += sum(new[client] - own[client] for client in targets) / 10
        x += sum(moves.values()) / 2
        own = new
        np.testing.assert_allclose(state.weights["w"].item(), x, rtol=1e-5)
        np.testing.assert_allclose(state.memory["control"]["w"].item(), c, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(state.clients[4]["w"].item(), own[4], rtol=1e-5)


def test_fednova_walks_are_those_of_the_paper():
    steps = np.array([1, 2, 5])
    assert FedNova(local=LocalSolver(learning_rate=0.1)).walked(steps).tolist() == [1, 2, 5]
    rho = 0.9
    momentum = FedNova(local=LocalSolver(learning_rate=0.1, optimizer="momentum", momentum=rho)).walked(steps)
    by_sum = [sum(sum(rho**k for k in range(tau - j)) for j in range(tau)) for tau in steps]  # each gradient lives on in the velocity
    np.testing.assert_allclose(momentum, by_sum)
    pull = 0.1 * 2.0
    proximal = FedNova(local=LocalSolver(learning_rate=0.1, proximal=2.0)).walked(steps)
    np.testing.assert_allclose(proximal, [sum((1 - pull) ** k for k in range(tau)) for tau in steps])


def test_fednova_gives_unequal_walks_equal_weight():
    """Two clients walk in opposite directions, one ten times as far: the mean of FedAvg goes with the longer, FedNova's stands still."""
    moves = {0: lambda w: {"w": torch.tensor([1.0])}, 1: lambda w: {"w": torch.tensor([-10.0])}}
    nova = FedNova(local=LOCAL)
    state = nova.round(nova.init({"w": torch.zeros(1)}), OneByOne(moves, [1, 10], 2))
    assert state.weights["w"].item() == pytest.approx(0.0, abs=1e-6)
    average = algorithm("fedavg", local=LOCAL)
    state = average.round(average.init({"w": torch.zeros(1)}), OneByOne(moves, [1, 10], 2))
    assert state.weights["w"].item() == pytest.approx(-4.5)


def test_memory_is_forgotten_and_weights_stay():
    server = ServerOptimiser(optimizer="momentum")
    state = server.step(ServerState({"w": torch.zeros(3)}), UPDATES[0])
    state.forget_memory()
    assert state.memory == {}
    np.testing.assert_allclose(state.weights["w"].numpy(), UPDATES[0]["w"].numpy())
