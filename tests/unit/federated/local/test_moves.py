"""Stacked steps against an optimiser of torch for each client alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.federated.local import LocalSolver
from holdfast.federated.local.moves import Moves

SHAPES = {"weight": (3, 2), "bias": (3,)}


def by_torch(solver: LocalSolver, start: dict, grads: list[dict], corrections: dict) -> dict[str, torch.Tensor]:
    """One client's way by torch's own optimiser."""
    values = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    rate, decay = solver.learning_rate, solver.weight_decay
    optimisers = {
        "sgd": lambda: torch.optim.SGD(values.values(), lr=rate, weight_decay=decay),
        "momentum": lambda: torch.optim.SGD(values.values(), lr=rate, weight_decay=decay, momentum=solver.momentum),
        "adam": lambda: torch.optim.Adam(values.values(), lr=rate, weight_decay=decay),
        "adamw": lambda: torch.optim.AdamW(values.values(), lr=rate, weight_decay=decay),
    }
    optimiser = optimisers[solver.optimizer]()
    for step in grads:
        for name, value in values.items():
            pull = solver.proximal * (value.detach() - start[name])
            value.grad = step[name] + pull + corrections.get(name, torch.zeros_like(pull))
        optimiser.step()
    return {name: value.detach() - start[name] for name, value in values.items()}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    optimizer=st.sampled_from(["sgd", "momentum", "adam", "adamw"]),
    decay=st.sampled_from([0.0, 0.1]),
    proximal=st.sampled_from([0.0, 0.4]),
    steps=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    corrected=st.sampled_from([(), ("bias",), ("weight", "bias")]),
    seed=st.integers(0, 99),
)
def test_every_client_moves_as_by_an_optimiser_of_its_own(optimizer, decay, proximal, steps, corrected, seed):
    solver = LocalSolver(learning_rate=0.1, optimizer=optimizer, weight_decay=decay, proximal=proximal, momentum=0.7)
    generator, steps = torch.Generator().manual_seed(seed), sorted(steps, reverse=True)
    clients = len(steps)

    def drawn(*first: int) -> dict[str, torch.Tensor]:
        return {name: torch.randn(*first, *shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()}

    start, corrections = drawn(), {name: value for name, value in drawn(clients).items() if name in corrected}
    grads = [drawn(clients) for _ in range(steps[0])]
    ways = {name: torch.zeros(clients, *shape, dtype=torch.float64) for name, shape in SHAPES.items()}
    moves = Moves(solver, ways, start, corrections)
    for step, given_ in enumerate(grads):
        active = sum(own > step for own in steps)
        moves.step({name: value[:active].clone() for name, value in given_.items()}, step, active)
    for client, own in enumerate(steps):
        slow = by_torch(
            solver,
            start,
            [{name: value[client] for name, value in step.items()} for step in grads[:own]],
            {name: value[client] for name, value in corrections.items()},
        )
        for name, way in slow.items():
            torch.testing.assert_close(ways[name][client], way, rtol=0, atol=1e-10)


def test_a_step_is_plain_where_nothing_but_the_gradient_moves():
    assert Moves.plain(LocalSolver(learning_rate=1), {})
    for more in ({"optimizer": "momentum"}, {"weight_decay": 0.1}, {"proximal": 0.1}):
        assert not Moves.plain(LocalSolver(learning_rate=1, **more), {})
    assert not Moves.plain(LocalSolver(learning_rate=1), {"bias": torch.zeros(1, 3)})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0; give a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"optimizer": "lion"}, "optimizer"),
        ({"batch_size": 0}, "batch_size"),
        ({"steps": 0}, "steps"),
        ({"epochs": 0}, "epochs"),
        ({"momentum": 1.0}, "momentum"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"proximal": -1.0}, "proximal"),
    ],
)
def test_a_solver_out_of_its_bounds_is_refused(wrong: dict, message: str):
    with pytest.raises(InputError, match=message):
        LocalSolver(**{"learning_rate": 0.1} | wrong)


def test_how_many_steps_clients_take():
    counts = np.array([1, 8, 9, 40])
    assert LocalSolver(learning_rate=1, batch_size=8, epochs=3).steps_of(counts).tolist() == [3, 3, 6, 15]
    assert LocalSolver(learning_rate=1, batch_size=8, epochs=3, steps=4).steps_of(counts).tolist() == [3, 3, 4, 4]
    assert LocalSolver(learning_rate=1, batch_size=None, epochs=2).steps_of(counts).tolist() == [2, 2, 2, 2]
