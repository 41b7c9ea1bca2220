"""Where two algorithms must be one: a whole simulation of each ends at the same weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.oracles.federations import tiny_population

from holdfast.federated import LocalSolver, algorithm, simulate

SIZES = [7, 1, 12, 5, 3, 9]
EQUAL = [8, 8, 8, 8]
LOCAL = LocalSolver(learning_rate=0.3, batch_size=4, epochs=2)


def ends(algo, *, sizes=SIZES, rounds=3, cohort=4, **options) -> dict[str, np.ndarray]:
    population = tiny_population(sizes)
    found = simulate(algo, population, cohort=cohort, rounds=rounds, seed=5, kernel=options.pop("kernel", "sequential"), **options)
    return {name: value.numpy() for name, value in found.state.server.weights.items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], *, atol: float = 1e-6) -> None:
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=atol, err_msg=name)


def apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def test_fedprox_without_a_pull_is_fedavg():
    average = ends(algorithm("fedavg", local=LOCAL))
    same(ends(algorithm("fedprox", local=replace(LOCAL, proximal=0.0))), average)
    assert apart(ends(algorithm("fedprox", local=replace(LOCAL, proximal=0.5))), average) > 1e-3


def test_the_first_round_of_scaffold_is_fedavg_and_the_second_is_not():
    plain = replace(LOCAL, optimizer="sgd")
    same(ends(algorithm("scaffold", local=plain), rounds=1), ends(algorithm("fedavg", local=plain), rounds=1))
    assert apart(ends(algorithm("scaffold", local=plain), rounds=3), ends(algorithm("fedavg", local=plain), rounds=3)) > 1e-3


def test_fednova_is_fedavg_where_all_take_as_many_steps():
    same(ends(algorithm("fednova", local=LOCAL), sizes=EQUAL, cohort=3), ends(algorithm("fedavg", local=LOCAL), sizes=EQUAL, cohort=3))
    assert apart(ends(algorithm("fednova", local=LOCAL)), ends(algorithm("fedavg", local=LOCAL))) > 1e-4


def test_fedavgm_without_momentum_is_fedavg():
    same(ends(algorithm("fedavgm", local=LOCAL, server={"momentum": 0.0})), ends(algorithm("fedavg", local=LOCAL)))


def test_one_full_batch_step_of_all_clients_is_central_gradient_descent():
    population, rate = tiny_population(SIZES), 0.4
    found = simulate(
        algorithm("fedsgd", local=LocalSolver(learning_rate=rate)), population, cohort=len(SIZES), rounds=3, seed=5, kernel="sequential"
    )
    from holdfast.core.randomness import Streams

    module = population.module(Streams.from_seed(5))
    everything = np.arange(len(population.encoded))
    for _ in range(3):
        loss = population.task.per_example_loss(module, population.task.collate(population.encoded, everything)).mean()
        for parameter, gradient in zip(module.parameters(), torch.autograd.grad(loss, list(module.parameters())), strict=True):
            with torch.no_grad():
                parameter -= rate * gradient
    central = {name: value.detach().numpy() for name, value in module.named_parameters()}
    same({name: value.numpy() for name, value in found.state.server.weights.items()}, central, atol=1e-5)


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "scaffold", "fednova", "fedadam"])
@pytest.mark.parametrize("kernel", ["stacked", "closed form"])
def test_kernels_agree_over_whole_simulations(name: str, kernel: str):
    local = replace(LOCAL, proximal=0.1) if name == "fedprox" else LOCAL
    server = {"learning_rate": 0.05} if name == "fedadam" else None
    same(
        ends(algorithm(name, local=local, server=server), kernel=kernel),
        ends(algorithm(name, local=local, server=server), kernel="sequential"),
        atol=1e-4,
    )
