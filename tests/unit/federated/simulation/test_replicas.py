"""Several processes share the cohorts of a simulation, and give the result of one."""

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from holdfast.core.errors import InputError
from holdfast.federated import Simulation
from holdfast.federated.simulation.replicas import Replicas
from holdfast.runs import RunFolder
from holdfast.study.federation import parse_federated_plan, run_federated
from holdfast.training.distributed import Group

from . import shared_rounds

ROOT = Path(__file__).resolve().parents[4]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
QUIET = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
COUNTS = st.lists(st.integers(0, 50), max_size=20)


@settings(max_examples=100, deadline=None)
@given(counts=COUNTS, size=st.integers(1, 5))
def test_every_place_is_trained_by_one_process(counts, size):
    shares = [Replicas(Group(rank, size)).share(counts) for rank in range(size)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(counts)))
    assert all((np.diff(share) > 0).all() for share in shares)


@settings(max_examples=100, deadline=None)
@given(counts=COUNTS, size=st.integers(1, 5))
def test_no_process_has_more_to_do_than_another_by_more_than_one_client(counts, size):
    work = np.array(counts) + 1
    loads = [int(work[Replicas(Group(rank, size)).share(counts)].sum()) for rank in range(size)]
    assert max(loads) - min(loads) <= work.max(initial=0)


def test_the_largest_clients_are_spread():
    shares = [Replicas(Group(rank, 2)).share([1, 40, 1, 40, 1, 1]).tolist() for rank in range(2)]
    assert [len(share) for share in shares] == [3, 3]
    assert {1, 3} & set(shares[0]) != {1, 3}
    assert Replicas(Group(0, 2)).share([40, 10, 10, 10]).tolist() == [0]


def test_alone_nothing_is_added_and_nothing_is_shared_with_the_caller():
    total, numbers = {"w": torch.ones(2)}, [np.array([1, 2]), np.array([True, False])]
    found, (first, second) = Replicas(Group()).add_up(total, numbers)
    assert torch.equal(found["w"], torch.ones(2))
    assert (first.tolist(), second.tolist()) == ([1, 2], [1, 0])
    first[0] = 9
    assert numbers[0][0] == 1


@pytest.mark.parametrize("name", shared_rounds.refused())
def test_what_needs_single_updates_is_refused_by_several_processes(name, monkeypatch):
    monkeypatch.setattr(Group, "current", classmethod(lambda cls: Group(0, 2)))
    monkeypatch.setattr(Group, "same_streams", lambda self, streams: streams)
    algo, options = shared_rounds.refused()[name]
    words = {"scaffold": "keeps state of clients", "rule": "needs single updates", "feedback": "a memory of clients"}[name]
    with pytest.raises(InputError, match=rf"cannot be shared by 2 processes \(.*{words}.*\); start one process"):
        shared_rounds.run(algo, options)


def started(what: str, folder: Path) -> subprocess.CompletedProcess:
    words = ["-m", "tests.unit.federated.simulation.shared_rounds", what, str(folder)]
    try:
        return subprocess.run([*TORCHRUN, *words], capture_output=True, text=True, check=False, env=QUIET, cwd=ROOT, timeout=200)
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"the processes wait for each other: {error}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """What two processes leave behind."""
    folder = tmp_path_factory.mktemp("shared")
    done = started("cases", folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@lru_cache
def of_one(name: str) -> Simulation:
    """The same in one process."""
    algo, options = shared_rounds.cases()[name]
    return shared_rounds.run(algo, options)


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", shared_rounds.cases())
def test_two_processes_give_the_weights_of_one(shared, name):
    alone = of_one(name)
    both = [load_file(shared / f"{name}-{rank}.safetensors") for rank in (0, 1)]
    close(both[0], alone.state.server.weights)
    assert all(torch.equal(both[0][key], value) for key, value in both[1].items())
    first = alone.population.module(shared_rounds.Streams(5))
    parameters = dict(first.named_parameters())
    moved = [float((value - parameters[key].detach()).abs().max()) for key, value in both[0].items() if key in parameters]
    assert name == "lora" or max(moved) > 1e-3  # or equal weights would show nothing


NUMBERS = ("convergence", "periods", "norms")
COUNTED = ("trained", "counted", "steps", "cohorts", "vain", "left_out", "times", "bytes_down", "kernel")


@pytest.mark.slow
@pytest.mark.parametrize("name", shared_rounds.cases())
def test_two_processes_measure_what_one_measures(shared, name):
    alone = json.loads(json.dumps(shared_rounds.left(of_one(name))))
    told = [json.loads((shared / f"{name}-{rank}.json").read_text()) for rank in (0, 1)]
    for one in told:
        assert {key: one[key] for key in COUNTED} == {key: alone[key] for key in COUNTED}
        for key in NUMBERS:
            np.testing.assert_allclose(np.array(one[key], dtype=float), np.array(alone[key], dtype=float), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", shared_rounds.cases())
def test_bytes_are_those_of_all_clients_and_not_of_the_share_of_one_process(shared, name):
    told = [json.loads((shared / f"{name}-{rank}.json").read_text())["bytes_up"] for rank in (0, 1)]
    assert told == [of_one(name).state.history.bytes_up] * 2


@pytest.mark.slow
def test_the_first_process_alone_writes(shared):
    """One checkpoint, of the last round; the other process would have overwritten it with the same name."""
    for name in shared_rounds.cases():
        assert [path.name for path in (shared / name).iterdir()] == ["federated.safetensors"]
        first = load_file(shared / f"{name}-0.safetensors")
        kept = load_file(shared / name / "federated.safetensors")
        assert all(torch.equal(kept[f"weights/{key}"], value) for key, value in first.items())


@pytest.mark.slow
def test_secret_randomness_is_that_of_the_first_process(shared):
    both = [load_file(shared / f"secret-{rank}.safetensors") for rank in (0, 1)]
    assert all(torch.equal(both[0][key], value) for key, value in both[1].items())
    fedavg = load_file(shared / "fedavg-0.safetensors")
    assert any(not torch.equal(fedavg[key], value) for key, value in both[0].items())
    assert not (shared / "secret" / "randomness.key").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", shared_rounds.refused())
def test_both_processes_say_what_they_cannot_share(shared, name):
    told = {(shared / f"{name}-{rank}.txt").read_text() for rank in (0, 1)}
    assert len(told) == 1
    assert told.pop().startswith("InputError: ")


@pytest.mark.slow
def test_killed_together_they_go_on_together(tmp_path):
    """The first process alone has the checkpoint; the others must begin where it stands."""
    done = started("resume", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    alone = shared_rounds.run(shared_rounds.FEDAVG, {})
    for rank in (0, 1):
        close(load_file(tmp_path / f"killed-{rank}.safetensors"), alone.state.server.weights)
        assert json.loads((tmp_path / f"killed-{rank}.json").read_text())["trained"] == alone.state.history.trained


STUDY = """\
title = "Shared rounds"
[data]
source = "assistant:train=200,validation=20,test=60,users=12"
[task]
name = "classification"
[model]
name = "bag"
embedding = 4
hidden = 5
[federation]
local = { learning_rate = 0.5, batch_size = 8 }
cohort = 5
rounds = 3
kernel = "sequential"
seed = 1
[[run]]
name = "plain"
"""


def commanded(folder: Path, *words: str) -> subprocess.CompletedProcess:
    """`holdfast federate` in two processes."""
    command = [*TORCHRUN, "-m", "--", "holdfast", "federate", "study.toml", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=QUIET, cwd=folder, timeout=200)


@pytest.mark.slow
def test_the_command_in_two_processes_leaves_what_it_leaves_in_one(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    done = commanded(tmp_path, "--out", "both")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("plain") == 1  # one table, from one process
    both = RunFolder(tmp_path / "both" / "runs" / "plain").read()
    plan = parse_federated_plan(STUDY, origin="study.toml", folder=tmp_path)
    (alone,) = run_federated(plan, tmp_path / "alone", text=STUDY, page=False).records
    assert (both.status, both.settings) == (alone.status, alone.settings)
    for mine, theirs in zip(both.evidence.estimates, alone.evidence.estimates, strict=True):
        assert (mine.name, mine.n) == (theirs.name, theirs.n)
        assert mine.name == "round_seconds" or mine.value == pytest.approx(theirs.value, rel=1e-4)
    assert both.evidence.estimate("round_seconds", "plain").conditions["processes"] == 2


@pytest.mark.slow
def test_what_the_first_process_finds_wrong_ends_the_other_too(tmp_path):
    """It alone looks at the folder and at all runs; the other waits for it."""
    (tmp_path / "study.toml").write_text(STUDY.replace("cohort = 5", "cohort = 50"))
    done = commanded(tmp_path, "--out", "both")
    assert done.returncode != 0
    assert "error: federation: a cohort of 50 clients" in done.stderr
    assert done.stdout == ""
