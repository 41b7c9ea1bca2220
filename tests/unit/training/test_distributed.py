"""Several processes give the result of one, count every step, and end together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from holdfast import privacy
from holdfast.core import processes
from holdfast.core.randomness import Streams
from holdfast.training.distributed import Group, joined

from . import shared_work

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
QUIET = {**os.environ, "OMP_NUM_THREADS": "1"}
STUDY = """\
title = "Shared work"
[data]
source = "assistant:train=160,validation=30,test=60,users=20"
[task]
name = "intent-slot"
unseen_labels = "count as wrong"
[model]
name = "bilstm"
embedding = 6
hidden = 5
characters = 4
character_width = 3
dropout = 0.0
word_dropout = 0.0
[training]
epochs = 12
batch_size = 20
[[run]]
name = "dp-sgd"
mechanism = "dp-sgd"
epsilon = 8
delta = 1e-4
clip_norm = 0.5
"""


def test_every_example_is_worked_on_once_and_micro_batches_stay_whole():
    indices, streams = np.arange(50), Streams(1)
    group = [Group(rank, 3) for rank in range(3)]
    flat = privacy.PerExampleClipping(clip_norm=1.0)
    shares = [one.share(indices, flat, streams=streams, step=0) for one in group]
    assert sorted(np.concatenate(shares).tolist()) == indices.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    clipper = privacy.MicroBatchClipping(clip_norm=1.0, micro_batches=7, micro_batch_size=8)
    shares = [one.share(indices, clipper, streams=streams, step=0) for one in group]
    assert sorted(np.concatenate(shares).tolist()) == indices.tolist()
    of = clipper.assignment(indices, streams=streams, step=0)
    homes = [{int(of[index]) for index in share} for share in shares]
    assert not homes[0] & homes[1] | homes[0] & homes[2] | homes[1] & homes[2]


def test_alone_nothing_travels_and_nothing_is_drawn_differently(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert processes.place() == processes.Place(0, 1)
    with joined() as group:
        assert group == Group.current() == Group()
    assert group.own == ()
    assert group.tell(b"x") == b"x"
    assert group.agree(True)
    assert group.same_streams(Streams(3, secret=True)) == Streams(3, secret=True)
    assert group.sum(lambda: {"w": torch.ones(2)}, torch.nn.Linear(1, 1), lambda: [1.0])[1] == [1.0]


def test_the_place_is_what_torchrun_says(monkeypatch):
    for name, value in {"MASTER_ADDR": "localhost", "RANK": "2", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert processes.place() == processes.Place(2, 4)
    assert not processes.place().first


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """What two processes leave behind."""
    folder = tmp_path_factory.mktemp("shared")
    script = str(Path(shared_work.__file__))
    done = subprocess.run([*TORCHRUN, script, str(folder)], capture_output=True, text=True, check=False, env=QUIET, timeout=280)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", shared_work.MECHANISMS)
def test_two_processes_give_the_result_of_one(shared, tmp_path, name):
    shared_work.run(name, tmp_path)
    want, got = (load_file(folder / name / "checkpoint.safetensors") for folder in (tmp_path, shared))
    assert want.keys() == got.keys()
    for key, value in want.items():
        torch.testing.assert_close(got[key], value, rtol=1e-5, atol=1e-5)
    one, two = (json.loads((folder / name / "ledger.json").read_text()) for folder in (tmp_path, shared))
    assert one == two
    assert one["steps_taken"] == shared_work.MECHANISMS[name].steps


@pytest.mark.slow
def test_most_batches_of_the_tiny_run_were_empty_somewhere(shared):
    """Or the test above would not show that an empty share neither hangs nor is skipped by the accountant."""
    plan = shared_work.MECHANISMS["tiny"]
    sizes = [len(plan.sampler.indices(step, Streams.from_seed(5))) for step in range(plan.steps)]
    assert min(sizes) == 0
    assert sum(size < 2 for size in sizes) > plan.steps / 2
    ledger = json.loads((shared / "tiny" / "ledger.json").read_text())
    assert privacy.Ledger.from_json(ledger["spent_at_most"]).steps == plan.steps


@pytest.mark.slow
def test_secret_randomness_is_that_of_the_first_process(shared):
    """With noise of their own the weights of the two would drift apart, which is looked at with every checkpoint."""
    assert (shared / "secret" / "dp-sgd" / "checkpoint.safetensors").exists()
    assert not (shared / "secret" / "dp-sgd" / "randomness.key").exists()


@pytest.mark.slow
def test_all_processes_run_out_of_patience_at_once_and_keep_the_same_weights(shared, tmp_path):
    """Only the first evaluates; the other hears when to stop, and which weights were the best."""
    alone = shared_work.run_patiently(tmp_path)
    told = [json.loads((shared / f"patient-{rank}.json").read_text()) for rank in (0, 1)]
    weights = [load_file(shared / f"patient-{rank}.safetensors") for rank in (0, 1)]
    assert told[0] == told[1]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    validation, kept, step = told[0]
    assert (kept, step) == (alone.history.kept, alone.history.step)
    assert step < alone.mechanism.steps
    np.testing.assert_allclose(validation, alone.history.validation, rtol=1e-5)
    for name, value in alone.module.state_dict().items():
        torch.testing.assert_close(weights[0][name], value, rtol=1e-5, atol=1e-5)
    ledgers = [json.loads((folder / "patient" / "ledger.json").read_text()) for folder in (tmp_path, shared)]
    assert ledgers[0] == ledgers[1]
    assert (ledgers[0]["steps_taken"], ledgers[0]["steps_reserved"]) == (step, alone.mechanism.steps)


@pytest.mark.slow
def test_a_failure_in_one_process_ends_all_of_them(shared):
    assert "losses are not finite" in (shared / "error-1").read_text()
    assert "another process of this training has ended" in (shared / "error-0").read_text()


def until(happened, *, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def rank_of(process: int) -> str | None:
    variables = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
    return next((line.removeprefix("RANK=") for line in variables if line.startswith("RANK=")), None)


def workers(agent: int) -> dict[str, int]:
    """Process numbers by rank."""
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    return {rank: int(child) for child in children if (rank := rank_of(int(child))) is not None}


@pytest.mark.slow
def test_a_killed_process_ends_the_run_with_a_clear_message_and_it_can_be_resumed(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    words = ["-m", "--", "holdfast", "train", "study.toml", "--run", "dp-sgd", "--out"]
    ledger = tmp_path / "killed" / "runs" / "dp-sgd" / "checkpoints" / "ledger.json"
    agent = subprocess.Popen([*TORCHRUN, *words, "killed"], cwd=tmp_path, text=True, stderr=subprocess.PIPE, env=QUIET)
    until(lambda: agent.poll() is not None or (ledger.exists() and json.loads(ledger.read_text())["steps_taken"] >= 8))
    os.kill(workers(agent.pid)["1"], signal.SIGKILL)
    _, said = agent.communicate(timeout=120)
    assert agent.returncode != 0
    assert "error: another process of this training has ended, so this one stops too" in said
    written = json.loads(ledger.read_text())
    assert 8 <= written["steps_taken"] < written["steps_reserved"] <= 96
    resumed = subprocess.run(
        [*TORCHRUN, *words, "killed", "--resume"], cwd=tmp_path, text=True, capture_output=True, env=QUIET, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("dp-sgd") == 1  # one table, from one process
    assert json.loads(ledger.read_text())["steps_taken"] == 96
