"""Early stopping: it ends where a slow twin says, keeps exactly the best weights, survives a kill, and charges the whole plan."""

import json
import math
import multiprocessing
import os
import signal
from dataclasses import replace

import pytest
import torch

from holdfast import privacy
from holdfast.core.errors import InputError, Interrupted, RunError
from holdfast.data import Dataset, DataSplits
from holdfast.training import TrainingSettings, fitting, train
from holdfast.training.checkpoints import TrainingState, read_ledger

from .conftest import TASK, make_mechanism
from .test_resume import assert_same, outcome

pytestmark = pytest.mark.slow

SETTINGS = TrainingSettings(learning_rate=0.05, checkpoint_every=3)
FORK = multiprocessing.get_context("fork")
LOSSES = (5.0, 4.0, 4.5, 3.0, 3.0, 3.5, 1.0, 0.5)  # with patience 2 the sixth evaluation is the last, and the fourth the best
EPOCHS, EACH = len(LOSSES), 2  # and steps in each


def run(data, model, *, name="none", patience: int | None = 2, settings=SETTINGS, **more):
    mechanism = make_mechanism(name, data, batch_size=80, epochs=EPOCHS)
    return train(TASK, data, model=model, mechanism=mechanism, settings=replace(settings, patience=patience), **{"seed": 1, **more})


class Evaluations(list):
    """The weights that each evaluation saw, and what it is to say."""

    losses = LOSSES


@pytest.fixture
def evaluated(monkeypatch) -> Evaluations:
    seen = Evaluations()

    def note(plan):
        seen.append({name: value.clone() for name, value in plan.module.state_dict().items()})
        return seen.losses[len(seen) - 1]

    monkeypatch.setattr(fitting._Plan, "validation_loss", note)
    return seen


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("averaging", [0.0, 0.5])
@pytest.mark.parametrize("name", ["none", "dp-sgd", "edp-sgd"])
def test_it_stops_in_time_and_keeps_exactly_the_best_weights(data, model, evaluated, name, averaging):
    settings = replace(SETTINGS, averaging=averaging)
    whole = run(data, model, name=name, patience=None, settings=settings)
    assert [loss for _, loss in whole.history.validation] == [*LOSSES]
    assert whole.history.kept is None
    assert same(whole.module.state_dict(), evaluated[-1])
    weights = [*evaluated]
    evaluated.clear()
    fitted = run(data, model, name=name, settings=settings)
    assert fitted.history.validation == whole.history.validation[:6]
    assert fitted.history.step == 6 * EACH
    assert fitted.history.kept == 3
    assert all(map(same, evaluated, weights[:6]))  # it trains as the other does until it stops
    assert same(fitted.module.state_dict(), weights[3])
    assert not any(same(fitted.module.state_dict(), weights[at]) for at in (2, 4, 5))


@pytest.mark.parametrize(("patience", "evaluations", "kept"), [(1, 3, 1), (2, 6, 3), (3, 8, 7), (9, 8, 7)])
def test_how_long_it_waits(data, model, evaluated, patience, evaluations, kept):
    fitted = run(data, model, patience=patience)
    assert (len(evaluated), fitted.history.step, fitted.history.kept) == (evaluations, evaluations * EACH, kept)
    assert same(fitted.module.state_dict(), evaluated[kept])


def test_without_an_early_stop_the_best_weights_are_kept_all_the_same(data, model, evaluated):
    evaluated.losses = (*LOSSES[:6], 1.0, 2.0)
    fitted = run(data, model, patience=4)
    assert (fitted.history.step, fitted.history.kept) == (EPOCHS * EACH, 6)
    assert same(fitted.module.state_dict(), evaluated[6])
    (told,) = [one for one in fitted.evidence().estimates if one.name == "stopped_after"]
    assert (told.value, told.conditions["early"], told.conditions["kept_epoch"]) == (EPOCHS, False, 7)


def test_evaluations_are_what_is_counted_not_epochs(data, model, evaluated):
    fitted = run(data, model, patience=1, settings=replace(SETTINGS, evaluate_every=2))
    assert [epoch for epoch, _ in fitted.history.validation] == [2, 4, 6]
    assert fitted.history.step == 6 * EACH


def test_evaluating_an_average_leaves_the_training_as_it_is(data, model):
    """The weights are swapped and put back, bit for bit: a run that never evaluates ends at the same ones."""
    settings = replace(SETTINGS, averaging=0.5)
    often = run(data, model, patience=None, settings=settings)
    never = run(data, model, patience=None, settings=replace(settings, evaluate_every=0))
    assert same(often.module.state_dict(), never.module.state_dict())
    assert often.losses(data.validation).mean() == often.history.validation[-1][1]


def test_losses_that_are_not_finite_are_never_the_best(data, model, evaluated):
    evaluated.losses = (math.nan, math.inf, 7.0, math.nan, math.nan, 1.0, 1.0, 1.0)
    fitted = run(data, model, patience=3)
    assert (fitted.history.step, fitted.history.kept) == (EPOCHS * EACH, 5)
    evaluated.clear()
    fitted = run(data, model, patience=2)
    assert (fitted.history.step, fitted.history.kept) == (2 * EACH, None)
    assert same(fitted.module.state_dict(), evaluated[1])


@pytest.mark.usefixtures("evaluated")
@pytest.mark.parametrize("name", ["dp-sgd", "edp-sgd"])
def test_a_private_run_that_stops_early_claims_and_charges_the_whole_plan(data, model, tmp_path, name):
    fitted = run(data, model, name=name, folder=tmp_path)
    mechanism = fitted.mechanism
    assert fitted.history.step < mechanism.steps
    assert fitted.claim.epsilon == mechanism.claim("x").epsilon
    assert "by the validation data, which the promise does not cover" in " ".join(fitted.claim.conditions)
    assert read_ledger(tmp_path) == (mechanism.ledger(mechanism.steps), 1e-4)
    ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert (ledger["steps_taken"], ledger["steps_reserved"]) == (6 * EACH, mechanism.steps)
    assert privacy.Ledger.from_json(ledger["spent_at_most"]).steps == mechanism.steps


@pytest.mark.usefixtures("evaluated")
def test_the_evidence_says_when_it_stopped_and_what_was_kept(data, model):
    fitted = run(data, model, name="dp-sgd")
    (told,) = [one for one in fitted.evidence().estimates if one.name == "stopped_after"]
    assert (told.value, told.unit, told.direction) == (6, "epochs", "neither")
    assert told.conditions["early"] is True
    assert (told.conditions["kept_epoch"], told.conditions["planned_epochs"]) == (4, EPOCHS)
    assert "claim is that of the planned epochs" in told.conditions["privacy"]
    (curve,) = fitted.evidence().curves
    assert curve.conditions == {"kept_epoch": 4}
    assert fitted.described.settings["training"]["patience"] == 2


@pytest.mark.usefixtures("evaluated")
def test_a_run_without_patience_says_nothing_of_it(data, model):
    plain = run(data, model, name="dp-sgd", patience=None)
    assert not [one for one in plain.evidence().estimates if one.name == "stopped_after"]
    assert plain.evidence().curves[0].conditions == {}
    assert not [condition for condition in plain.claim.conditions if "validation" in condition]


@pytest.mark.usefixtures("evaluated")
def test_progress_says_that_it_stopped_early(data, model):
    notes = []
    run(data, model, on_progress=lambda progress: notes.append(progress.note))
    assert notes[-1] == "validation loss 3.5, stopped early: no better than 2 evaluations ago"
    assert not any("stopped" in note for note in notes[:-1])


@pytest.fixture(scope="module")
def rising(data) -> DataSplits:
    """What is right in training is wrong in validation, so the validation loss rises however the noise falls."""
    rows, labels = [*data.train][:40], data.train.labels()
    usual = {"O": max(tag for row in rows for tag in row.tags if tag.startswith("B-"))}
    wrong = [
        replace(row, label=next(label for label in labels[at:] if label != row.label), tags=[usual.get(tag, "O") for tag in row.tags])
        for at, row in enumerate(rows)
    ]
    return replace(data, validation=Dataset.from_examples(wrong, name=data.name, split="validation"))


AVERAGED = replace(SETTINGS, averaging=0.5)
PATIENCE = 3


def dies_at(step: int):
    def die(progress):
        if progress.done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


@pytest.mark.parametrize("name", ["none", "dp-sgd"])
def test_a_run_that_is_killed_and_resumed_stops_at_the_same_place_with_the_same_weights(rising, model, tmp_path, name):
    """Killed early, after the best evaluation, within the last step before it stops, and after that one but before its checkpoint."""
    given = {"name": name, "settings": AVERAGED, "patience": PATIENCE}
    whole = run(rising, model, folder=tmp_path / "whole", **given)
    want = outcome(tmp_path / "whole")
    assert {key for key in want[0] if key.startswith("best/")} == {f"best/{key}" for key in whole.module.state_dict()}
    last, best = whole.history.step, (whole.history.kept + 1) * EACH
    assert last == best + PATIENCE * EACH < EPOCHS * EACH
    for step in (1, best + 3, last - 1, last):
        folder = tmp_path / str(step)
        child = FORK.Process(target=run, args=(rising, model), kwargs={"folder": folder, "on_progress": dies_at(step), **given})
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        again = run(rising, model, folder=folder, resume=True, **given)
        assert_same(outcome(folder), want)
        assert same(again.module.state_dict(), whole.module.state_dict())
        assert again.history.validation == whole.history.validation
        assert again.history.kept == whole.history.kept


def test_a_run_that_is_interrupted_after_every_step_goes_on_to_the_same_end(rising, model, tmp_path):
    whole = run(rising, model, settings=AVERAGED, patience=PATIENCE, folder=tmp_path / "whole")

    def stop(progress):
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(whole.history.step - 1):
        with pytest.raises(Interrupted):
            run(rising, model, settings=AVERAGED, patience=PATIENCE, folder=tmp_path / "often", resume=True, on_progress=stop)
    fitted = run(rising, model, settings=AVERAGED, patience=PATIENCE, folder=tmp_path / "often", resume=True, on_progress=stop)
    assert_same(outcome(tmp_path / "often"), outcome(tmp_path / "whole"))
    assert same(fitted.module.state_dict(), whole.module.state_dict())


@pytest.mark.usefixtures("evaluated")
def test_a_run_that_stopped_early_is_finished(data, model, tmp_path):
    """An interrupt in its last step is none, resuming it trains no further, and more patience is another run."""

    def late(progress):
        if "stopped early" in progress.note:
            os.kill(os.getpid(), signal.SIGINT)

    first = run(data, model, folder=tmp_path, on_progress=late)
    told = []
    again = run(data, model, folder=tmp_path, resume=True, on_progress=told.append)
    assert not told
    assert same(first.module.state_dict(), again.module.state_dict())
    assert again.history.kept == first.history.kept == 3
    with pytest.raises(RunError, match="training was"):
        run(data, model, folder=tmp_path, resume=True, patience=3)


@pytest.mark.usefixtures("evaluated")
def test_the_secret_randomness_of_a_run_that_stopped_early_is_forgotten(data, model, tmp_path):
    run(data, model, name="dp-sgd", folder=tmp_path, seed=None)
    assert (tmp_path / "ledger.json").exists()
    assert not (tmp_path / "randomness.key").exists()


@pytest.mark.parametrize(
    ("losses", "best", "in_vain"),
    [
        ([], None, 0),
        ([3.0], 0, 0),
        ([3.0, 2.0, 2.0], 1, 1),
        ([3.0, 2.0, 2.5, 1.9], 3, 0),
        ([math.nan, 2.0, math.nan], 1, 1),
        ([math.nan, math.inf], None, 2),
    ],
)
def test_the_best_evaluation_is_the_first_of_the_least_finite_losses(losses, best, in_vain):
    state = TrainingState(validation=[(float(at), loss) for at, loss in enumerate(losses)])
    assert (state.best, state.in_vain) == (best, in_vain)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"patience": 0}, "patience is 0; it must be an integer >= 1, or none"),
        ({"patience": True}, "patience is True"),
        ({"patience": 1.5}, "patience is 1.5"),
        ({"patience": 2, "evaluate_every": 0}, "patience is 2, but nothing is ever evaluated; set evaluate_every to at least 1"),
    ],
)
def test_patience_that_cannot_be_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        TrainingSettings(**change)


def test_patience_without_validation_data_is_refused_before_anything_is_written(data, model, tmp_path):
    bare = replace(data, validation=data.validation.take([]))
    with pytest.raises(InputError, match="patience is 2, but data set 'assistant' holds out no validation data to stop by"):
        run(bare, model, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
