"""A run that is killed or interrupted anywhere goes on to the same weights, and never spends more than its ledger says."""

import json
import multiprocessing
import os
import random
import resource
import signal
import stat
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from holdfast.core.errors import Interrupted, RunError, TrainingStopped
from holdfast.training import TrainingSettings, train
from holdfast.training.checkpoints import read_ledger

from .conftest import TASK, make_mechanism

SETTINGS = TrainingSettings(checkpoint_every=3, averaging=0.5, schedule="linear")
FORK = multiprocessing.get_context("fork")  # the child starts with everything imported


def run(data, model, folder, *, name="dp-sgd", seed=1, resume=True, settings=SETTINGS, **more):
    mechanism = make_mechanism(name, data)
    return train(TASK, data, model=model, mechanism=mechanism, seed=seed, folder=folder, resume=resume, settings=settings, **more)


def outcome(folder) -> tuple[dict[str, torch.Tensor], dict]:
    """Final tensors (model, optimiser, average) and the event log."""
    return load_file(folder / "checkpoint.safetensors"), json.loads((folder / "ledger.json").read_text())


def assert_same(one, two):
    assert one[0].keys() == two[0].keys()
    assert all(torch.equal(one[0][name], two[0][name]) for name in one[0])
    assert one[1] == two[1]


def spent_before_its_time(folder, told: int) -> bool:
    """True where more steps were shown than the ledger on disk accounts for."""
    return told > json.loads((folder / "ledger.json").read_text())["steps_reserved"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dp-sgd", "edp-sgd"])
def test_kill_at_random_points_and_resume(data, model, tmp_path, name):
    run(data, model, tmp_path / "whole", name=name)
    want = outcome(tmp_path / "whole")
    chance, killed = random.Random(5), 0
    for trial in range(40):  # on a fast machine some runs are over before they are killed
        folder = tmp_path / str(trial)
        told = FORK.Value("i", 0)

        def note(progress, told=told):
            told.value = progress.done

        child = FORK.Process(target=run, args=(data, model, folder), kwargs={"name": name, "on_progress": note})
        child.start()
        step = chance.randrange(21)
        while told.value < step:
            time.sleep(1e-3)
        time.sleep(chance.uniform(0, 0.05))  # anywhere in a step, a checkpoint or a validation
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        killed += child.exitcode == -signal.SIGKILL
        if told.value:
            assert not spent_before_its_time(folder, told.value)
        run(data, model, folder, name=name)
        assert_same(outcome(folder), want)
        if killed == 10:
            return
    pytest.fail(f"only {killed} of 40 runs were killed before their end")


@pytest.mark.parametrize("step", [1, 3, 4, 11, 23])
def test_a_kill_between_two_steps_loses_no_finished_checkpoint(data, model, tmp_path, step):
    def die(progress):
        if progress.done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    child = FORK.Process(target=run, args=(data, model, tmp_path / "killed"), kwargs={"on_progress": die})
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    ledger = json.loads((tmp_path / "killed" / "ledger.json").read_text())
    assert ledger["steps_taken"] == (step - 1) // 3 * 3
    assert ledger["steps_reserved"] >= step
    run(data, model, tmp_path / "killed")
    run(data, model, tmp_path / "whole")
    assert_same(outcome(tmp_path / "killed"), outcome(tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_writes_a_checkpoint_first(data, model, tmp_path, number):
    def stop(progress):
        if progress.done == 5:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="stopped after step 5 of 24; resume") as caught:
        run(data, model, tmp_path / "stopped", on_progress=stop)
    assert caught.value.exit_code == 130
    assert signal.getsignal(number) is before
    assert json.loads((tmp_path / "stopped" / "ledger.json").read_text())["steps_taken"] == 5
    fitted = run(data, model, tmp_path / "stopped")
    whole = run(data, model, tmp_path / "whole")
    assert_same(outcome(tmp_path / "stopped"), outcome(tmp_path / "whole"))
    assert fitted.claim == whole.claim
    assert [epoch for epoch, _ in fitted.history.validation] == [epoch for epoch, _ in whole.history.validation]


def test_resuming_a_finished_run_trains_no_further(data, model, tmp_path):
    first = run(data, model, tmp_path)
    told = []
    again = run(data, model, tmp_path, on_progress=told.append)
    assert not told
    assert all(torch.equal(value, again.module.state_dict()[name]) for name, value in first.module.state_dict().items())


def test_secret_randomness_is_kept_for_the_owner_alone_until_the_end(data, model, tmp_path):
    seen = []

    def stop(progress):
        seen.append(stat.S_IMODE((tmp_path / "randomness.key").stat().st_mode))
        if progress.done == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run(data, model, tmp_path, seed=None, on_progress=stop)
    assert set(seen) == {0o600}
    key = (tmp_path / "randomness.key").read_text()
    run(data, model, tmp_path, seed=None, on_progress=lambda progress: seen.append((tmp_path / "randomness.key").read_text() == key))
    assert seen[-1] is True  # the resumed run drew from the same secret, so no noise was drawn twice for one step
    assert not (tmp_path / "randomness.key").exists()


def test_other_settings_data_or_seed_are_refused(data, model, tmp_path):
    with pytest.raises(Interrupted):
        run(data, model, tmp_path, on_progress=lambda progress: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(RunError, match="seed was 1 and is now 2"):
        run(data, model, tmp_path, seed=2)
    with pytest.raises(RunError, match="mechanism was"):
        run(data, model, tmp_path, name="edp-sgd")
    with pytest.raises(RunError, match="training was"):
        run(data, model, tmp_path, settings=replace(SETTINGS, learning_rate=0.5))


def test_a_run_is_not_started_over_by_accident(data, model, tmp_path):
    run(data, model, tmp_path, resume=False)
    before = (tmp_path / "ledger.json").read_bytes()
    with pytest.raises(RunError, match="already holds a run with its account of what was spent"):
        run(data, model, tmp_path, resume=False)
    assert (tmp_path / "ledger.json").read_bytes() == before


def test_a_damaged_ledger_is_named(tmp_path):
    assert read_ledger(tmp_path) is None
    (tmp_path / "ledger.json").write_text("{")
    with pytest.raises(RunError, match=r"ledger.json: the privacy ledger cannot be read"):
        read_ledger(tmp_path)


def test_a_damaged_checkpoint_is_named(data, model, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(RunError, match=r"checkpoint.safetensors: the checkpoint cannot be read"):
        run(data, model, tmp_path)


def _train_on_a_full_disk(data, model, folder, verdict):
    """In a process whose files may not grow past a limit, which is how a full disk looks from inside."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        run(data, model, folder)
    except TrainingStopped as error:
        verdict.put(str(error))


def test_a_full_disk_stops_with_a_clear_error_and_keeps_what_was_there(data, model, tmp_path):
    def stop(progress):
        if progress.done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run(data, model, tmp_path, on_progress=stop)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    verdict = FORK.Queue()
    child = FORK.Process(target=_train_on_a_full_disk, args=(data, model, tmp_path, verdict))
    child.start()
    child.join()
    assert "checkpoint.safetensors" in verdict.get(timeout=5)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    run(data, model, tmp_path)
    assert json.loads((tmp_path / "ledger.json").read_text())["steps_taken"] == 24
