"""From the plan to the parts of a simulation: who the clients are, and every condition that a run asks for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from holdfast.core.errors import DataError, InputError, RunError
from holdfast.core.progress import silent
from holdfast.data import load_data
from holdfast.federated import ErrorFeedback, Partition, partitioned, simulate
from holdfast.federated.simulation import Conditions, Simulator, finished
from holdfast.study.federation import FederatedPlan, parse_federated_plan
from holdfast.study.federation.parts import Populations, conditions_of

from .conftest import written


def parse(text: str, folder: Path) -> FederatedPlan:
    return parse_federated_plan(text, origin="study.toml", folder=folder)


def population(text: str, folder: Path):
    plan = parse(text, folder)
    return Populations(plan).of(plan.run[0])


def conditions(text: str, folder: Path) -> Conditions:
    plan = parse(text, folder)
    return conditions_of(plan, plan.run[0], Populations(plan).of(plan.run[0]))


@pytest.mark.parametrize("line", ["", 'clients = "users"'])
def test_users_are_clients(line: str, study: Callable, folder: Path):
    found = population(study(line) if line else study(), folder)
    assert found.described == {"clients": "users"}
    train = found.data.train
    assert found.clients.counts.sum() == len(train)
    assert len(found.clients) == len(set(train.user_ids()))


def test_a_scheme_makes_clients_and_holds_examples_out(study: Callable, folder: Path):
    found = population(study('clients = { scheme = "label_dirichlet", clients = 6, alpha = 0.3, seed = 4 }', "holdout = 0.25"), folder)
    assert len(found.clients) == 6
    assert found.described["clients"] == "label_dirichlet"
    assert found.described["holdout"] == 0.25
    assert found.described["partition"]["seed"] == 4
    assert found.described["partition"]["parameters"]["alpha"] == 0.3
    assert found.clients.total + len(found.own.data) == len(found.data.train)
    assert 0.1 < len(found.own.data) / len(found.data.train) <= 0.25


def test_a_name_alone_is_a_scheme(study: Callable, folder: Path):
    assert population(study('clients = "natural"'), folder).described["clients"] == "natural"


def saved(folder: Path, *, seed: int = 2, name: str = "partition.bin") -> Partition:
    train = load_data(f"jsonl:{folder / 'utterances.jsonl'}").train
    made = partitioned("iid", train, clients=5, seed=seed)
    made.save(folder / name)
    return made


def test_a_file_is_a_partition(study: Callable, folder: Path):
    made = saved(folder)
    found = population(study('clients = { file = "partition.bin" }', "holdout = 0.0"), folder)
    assert len(found.clients) == 5
    for client in range(5):
        np.testing.assert_array_equal(found.clients.of(client), made.clients_of().of(client))


def test_a_stale_file_is_refused_with_both_hashes(study: Callable, folder: Path):
    made = saved(folder)
    written(folder, seed=1)
    with pytest.raises(DataError, match=f"was made for data {made.data_hash[:12]}"):
        population(study('clients = { file = "partition.bin" }'), folder)


def test_a_missing_or_damaged_file_is_refused(study: Callable, folder: Path):
    with pytest.raises(RunError, match="make the partition and save it there"):
        population(study('clients = { file = "partition.bin" }'), folder)
    (folder / "partition.bin").write_bytes(b"none")
    with pytest.raises(RunError, match="not a partition"):
        population(study('clients = { file = "partition.bin" }'), folder)


def test_runs_share_a_population_where_they_can(study: Callable, folder: Path):
    iid = 'clients = { scheme = "iid", clients = 4 }'
    names = ["one", "two", "wide", "iid", "held"]
    lines = ["", 'select = "activity"', "model = { hidden = 9 }", iid, f"{iid}\nholdout = 0.3"]
    runs = "\n".join(f'[[run]]\nname = "{name}"\n{line}' for name, line in zip(names, lines, strict=True))
    plan = parse(study(runs=runs), folder)
    populations = Populations(plan)
    one, two, wide, four, held = (populations.of(run) for run in plan.run)
    assert one is two
    assert len({id(found) for found in (one, wide, four, held)}) == 4
    assert wide.settings.describe()["hidden"] == 9


def test_what_is_not_asked_for_is_left_to_the_simulator(study: Callable, folder: Path):
    found = conditions(study(), folder)
    assert (found.cohort, found.rounds, found.kernel, found.evaluate_every) == (4, 3, "sequential", 2)
    assert (found.select.name, found.weighting.name) == ("uniform", "examples")
    assert found.schedule.describe() == {"schedule": "static", "periods": 1, "rounds": 3}
    plain = Conditions(cohort=1, rounds=1, schedule=found.schedule)
    for key in ("availability", "stragglers", "compressor", "rule", "trainable", "lora", "test_examples", "checkpoint_every"):
        assert getattr(found, key) == getattr(plain, key)


def test_every_condition_arrives(study: Callable, folder: Path):
    lines = [
        'select = { name = "activity", tau = 0.5, sampling = "poisson" }',
        'weighting = { name = "capped", cap = 7 }',
        'compression = { name = "top-k", share = 0.25 }',
        'rule = { name = "trimmed-mean", share = 0.2 }',
        'availability = { name = "independent", least = 0.4, most = 0.6 }',
        "stragglers = { failure = 0.1 }",
        'lora = { rank = 2, alpha = 4.0, train = "b" }',
        'trainable = "lora"',
        "test_examples = 9",
        "checkpoint_every = 2",
    ]
    found = conditions(study(*lines), folder)
    assert found.select.describe() == {"strategy": "activity", "tau": 0.5, "sampling": "poisson"}
    assert found.weighting.describe() == {"weighting": "capped", "cap": 7}
    assert found.compressor.describe()["share"] == 0.25
    assert not isinstance(found.compressor, ErrorFeedback)
    assert found.rule.describe()["share"] == 0.2
    assert found.availability.describe()["least"] == 0.4
    assert found.stragglers.describe()["failure"] == 0.1
    assert found.lora == {"rank": 2, "alpha": 4.0, "train": "b"}
    assert (found.trainable, found.test_examples, found.checkpoint_every) == ("lora", 9, 2)


def test_error_feedback_stands_around_the_compressor_and_is_new_for_each_run(study: Callable, folder: Path):
    text = study('compression = { name = "top-k", share = 0.25 }', "error_feedback = true")
    first, second = conditions(text, folder).compressor, conditions(text, folder).compressor
    assert isinstance(first, ErrorFeedback)
    assert first.name == "top-k"
    assert first is not second


def test_a_clock_is_cut_by_the_times_of_the_clients(study: Callable, folder: Path):
    found = conditions(study('schedule = { name = "continual", periods = 3, retention = "latest", rounds_per_period = 2 }'), folder)
    clock = found.schedule
    assert (clock.periods, clock.rounds, clock.retention.name) == (3, 6, "latest")
    sizes = [len(clock.events(period)) for period in range(3)]
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == len(load_data(f"jsonl:{folder / 'utterances.jsonl'}").train)


def test_a_clock_by_days_has_as_many_periods_as_the_data(study: Callable, folder: Path):
    clock = conditions(study('schedule = { name = "continual", cut = "days", days = 5 }'), folder).schedule
    assert clock.periods == 2


def test_a_reservoir_is_drawn_anew_with_another_seed(study: Callable, folder: Path):
    line = 'schedule = { name = "continual", periods = 3, retention = { name = "cap", most = 3, rule = "reservoir" } }'
    views = [conditions(study(line, f"seed = {seed}"), folder).schedule.view(2).examples for seed in (1, 1, 2)]
    np.testing.assert_array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_a_clock_without_times_is_refused(study: Callable, tmp_path: Path):
    written(tmp_path, without="timestamp")
    text = study('schedule = { name = "continual", periods = 3 }')
    with pytest.raises(InputError, match="time"):
        conditions(text, tmp_path)
    assert conditions(study(), tmp_path).schedule.periods == 1


def test_data_without_users_are_refused_but_for_a_partition(study: Callable, tmp_path: Path):
    written(tmp_path, without="user_id")
    with pytest.raises(InputError, match="user_id"):
        population(study(), tmp_path)
    assert len(population(study('clients = { scheme = "iid", clients = 3 }'), tmp_path).clients) == 3


def test_the_conditions_are_those_of_the_public_call(study: Callable, folder: Path):
    """A study and a program say the same, so they come to the same weights."""
    text = study('select = "activity"', 'weighting = "uniform"')
    plan = parse(text, folder)
    run = plan.run[0]
    found = Populations(plan).of(run)
    conditions = conditions_of(plan, run, found)
    device = torch.device("cpu")
    simulator = Simulator("plain", plan.algorithm_of(run), found, conditions, seed=7, folder=None, device=device, on_progress=silent)
    asked = finished(simulator, simulator.run(resume=False))
    options = {"cohort": 4, "rounds": 3, "select": "activity", "weights": "uniform", "seed": 7, "kernel": "sequential"}
    said = simulate(plan.algorithm_of(run), found, **options, evaluate_every=2)
    assert all((asked.state.server.weights[name] == value).all() for name, value in said.state.server.weights.items())
    assert asked.settings == said.settings
