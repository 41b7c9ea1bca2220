"""The loop: what it promises, what it gives back, what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from holdfast import audit, privacy
from holdfast.core.errors import InputError, PreflightError, TrainingStopped
from holdfast.data import DataSplits
from holdfast.privacy import kernels
from holdfast.tasks import Classification, IntentSlot
from holdfast.training import TrainingSettings, train

from .conftest import TASK, make_mechanism


def weights(fitted) -> torch.Tensor:
    return torch.cat([value.flatten() for value in fitted.module.state_dict().values()])


def test_gives_a_model_with_everything_that_the_pillars_ask_for(data, model, mechanism):
    fitted = train(TASK, data, model=model, mechanism=mechanism, seed=1)
    assert fitted.losses(data.test).shape == (len(data.test),)
    assert len(fitted.predict(data.test)) == len(data.test)
    assert {"intent_accuracy", "slot_f1"} <= {e.name for e in fitted.evaluate(data.test).estimates}
    found = fitted.evidence()
    assert found.estimate("seconds_per_epoch").value > 0
    assert found.estimate("parameters").value == weights(fitted).numel()
    assert found.curve("validation_loss").x[-1] == pytest.approx(3, abs=0.5)
    assert (fitted.claim is None) == (mechanism.name == "none")
    assert (found.estimate("epsilon").value is None) == (fitted.claim is None)
    assert (found.estimate("epsilon_naive") is not None) == (mechanism.name == "edp-sgd")
    assert fitted.record.evidence.estimate("intent_accuracy", fitted.name) is not None
    assert json.loads(json.dumps(fitted.record.to_json()))
    assert fitted.record.environment["kernels"] == kernels.backend()
    assert fitted.record.environment["products"] == kernels.products_by()
    scores = audit.loss_threshold(fitted, members=data.train, nonmembers=data.test)
    assert scores.evidence(fitted.claim, subject=fitted.name).estimate("membership_auc").value is not None


def test_the_same_seed_gives_the_same_model_and_another_another(data, model, mechanism):
    one, two, three = (train(TASK, data, model=model, mechanism=mechanism, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(three))


def test_without_a_seed_randomness_is_secret_and_the_claim_says_nothing_of_a_seed(data, model):
    mechanism = make_mechanism("dp-sgd", data, epochs=0.5)
    one, two = (train(TASK, data, model=model, mechanism=mechanism) for _ in range(2))
    assert not torch.equal(weights(one), weights(two))
    assert not any("seed" in condition for condition in one.claim.conditions)
    seeded = train(TASK, data, model=model, mechanism=mechanism, seed=4)
    assert any("seed 4 stays secret" in condition for condition in seeded.claim.conditions)


def test_a_vocabulary_read_off_the_text_is_named_in_the_claim(data, model):
    mechanism = make_mechanism("dp-sgd", data, epochs=0.2)
    read, hashed = (
        train(TASK, data, model=replace(model, vocabulary=vocabulary), mechanism=mechanism, seed=1) for vocabulary in ("train", "hashed")
    )
    assert any("vocabulary was read off" in condition for condition in read.claim.conditions)
    assert not any("vocabulary was read off" in condition for condition in hashed.claim.conditions)


def test_the_size_of_the_parts_changes_nothing(data, model):
    """A logical batch of 40 in parts of 7 is the same update as in one part."""
    mechanism = make_mechanism("dp-sgd", data, batch_size=40, epochs=1)
    still = {"learning_rate": 0.01, "optimizer": "sgd"}
    quiet = replace(model, dropout=0.0, word_dropout=0.0)
    whole, parts = (
        train(TASK, data, model=quiet, mechanism=mechanism, seed=1, settings=TrainingSettings(**still, physical_batch_size=size))
        for size in (64, 7)
    )
    torch.testing.assert_close(weights(whole), weights(parts), rtol=1e-4, atol=1e-6)
    loop = train(TASK, data, model=quiet, mechanism=mechanism, seed=1, settings=TrainingSettings(**still, engine="loop"))
    torch.testing.assert_close(weights(whole), weights(loop), rtol=1e-4, atol=1e-6)


def test_a_private_model_that_is_too_good_would_have_no_noise(data, model):
    """At epsilon far below one nothing can be learned; a model that still learns has lost its noise."""
    target = privacy.Budget(epsilon=0.05, delta=1e-5)
    able = replace(model, embedding=24, hidden=24, dropout=0.0, word_dropout=0.0)
    plan = {"examples": len(data.train), "batch_size": 20, "epochs": 12}
    blind, seeing = (
        train(TASK, data, model=able, mechanism=mechanism, seed=1, settings=TrainingSettings(learning_rate=0.02))
        for mechanism in (privacy.dp_sgd(**plan, clip_norm=0.5, target=target), privacy.non_private(**plan))
    )
    accuracy = [fitted.evaluate(data.train).estimate("intent_accuracy").value for fitted in (blind, seeing)]
    assert accuracy[0] < 0.4
    assert accuracy[1] > 0.7


@pytest.mark.parametrize(
    "change", [{"optimizer": "sgd"}, {"optimizer": "adamw", "weight_decay": 0.1}, {"schedule": "cosine"}, {"averaging": 0.9}]
)
def test_settings_have_an_effect(data, model, change):
    mechanism = make_mechanism("none", data, epochs=1)
    plain = train(TASK, data, model=model, mechanism=mechanism, seed=1)
    changed = train(TASK, data, model=model, mechanism=mechanism, seed=1, settings=TrainingSettings(**change))
    assert not torch.equal(weights(plain), weights(changed))


def test_tensors_that_training_never_moves_are_named(data, model):
    """The failure that peers report most: losses and epsilon look normal, and a part of the model never learns."""
    settings = TrainingSettings(optimizer="sgd", rates={"heads": 1e-30})
    with pytest.warns(
        UserWarning, match=r"after 20 steps \d of 17 trainable tensors have not moved: heads\.\S+, .*are they in the optimiser"
    ):
        train(TASK, data, model=model, mechanism=make_mechanism("dp-sgd", data), settings=settings, seed=1)


@pytest.mark.filterwarnings("ignore:after 1 steps")  # one of the trainings stands still on purpose
def test_each_rate_reaches_the_parameters_that_it_names_and_no_others(data, model):
    """Plain descent without privacy: an update is the gradient times the rate, so the factor can be read off the weights."""
    mechanism = make_mechanism("none", data, batch_size=len(data.train), epochs=1)
    still = {"optimizer": "sgd", "learning_rate": 1e-3}
    quiet = replace(model, dropout=0.0, word_dropout=0.0)

    def moved(**rates: float) -> dict[str, torch.Tensor]:
        fitted = train(TASK, data, model=quiet, mechanism=mechanism, seed=1, settings=TrainingSettings(**still, rates=rates))
        still_there = train(
            TASK, data, model=quiet, mechanism=mechanism, seed=1, settings=TrainingSettings(**still | {"learning_rate": 1e-30})
        )
        begin = still_there.module.state_dict()
        return {name: value - begin[name] for name, value in fitted.module.state_dict().items()}

    plain, quick = moved(), moved(heads=4.0, **{"heads.words": 2.0})
    factors = {name: 2.0 if name.startswith("heads.words.") else 4.0 if name.startswith("heads.") else 1.0 for name in plain}
    assert set(factors.values()) == {1.0, 2.0, 4.0}
    for name, factor in factors.items():
        torch.testing.assert_close(quick[name], factor * plain[name], rtol=1e-2, atol=1e-6)


def test_a_rate_for_no_parameter_is_refused(data, model):
    with pytest.raises(InputError, match=r"no trainable parameter is called 'head\.'.*did you mean 'heads'"):
        train(TASK, data, model=model, mechanism=make_mechanism("none", data, epochs=1), settings=TrainingSettings(rates={"head.": 2.0}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "lion"}, "optimizer is 'lion'"),
        ({"schedule": "steps"}, "schedule is 'steps'"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"rates": {"heads": 0.0}}, r"rates\['heads'\] is 0.0"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"averaging": 1}, "averaging is 1"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"evaluate_every": -1}, "evaluate_every is -1"),
        ({"physical_batch_size": 0}, "physical_batch_size is 0"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        TrainingSettings(**change)


def test_the_schedule_falls_to_a_tenth():
    for schedule in ("linear", "cosine"):
        settings = TrainingSettings(learning_rate=1.0, schedule=schedule)
        assert settings.rate_at(0, 100) == pytest.approx(1.0)
        assert settings.rate_at(100, 100) == pytest.approx(0.1)


def test_a_mechanism_for_other_data_is_refused(data, model):
    with pytest.raises(InputError, match="made for 161 examples, the training data have 160"):
        train(TASK, data, model=model, mechanism=privacy.non_private(examples=161, batch_size=10, epochs=1))


def test_a_bad_seed_is_refused(data, model):
    with pytest.raises(InputError, match="seed is -1"):
        train(TASK, data, model=model, mechanism=make_mechanism("none", data), seed=-1)


def test_labels_in_test_unseen_in_train_are_refused_before_training(data, model):
    few = DataSplits(name=data.name, train=data.train.take(np.arange(20)), validation=data.validation, test=data.test)
    with pytest.raises(InputError, match="unseen"):
        train(IntentSlot(), few, model=model, mechanism=privacy.non_private(examples=20, batch_size=10, epochs=1))


class Breaks(IntentSlot):
    """A task whose loss turns to NaN after some calls in training mode."""

    calls = 0

    def per_example_loss(self, model, batch):
        losses = super().per_example_loss(model, batch)
        type(self).calls += model.training and torch.is_grad_enabled()
        return losses * float("nan") if type(self).calls > 12 else losses


def test_a_loss_that_is_not_finite_stops_keeps_the_checkpoint_and_the_budget(data, model, tmp_path):
    Breaks.calls = 0
    mechanism = make_mechanism("dp-sgd", data)
    settings = TrainingSettings(checkpoint_every=2)
    with pytest.raises(TrainingStopped, match="losses are not finite; lower the learning rate"):
        train(Breaks(unseen_labels="count as wrong"), data, model=model, mechanism=mechanism, seed=1, folder=tmp_path, settings=settings)
    ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert (tmp_path / "checkpoint.safetensors").exists()
    assert 0 < ledger["steps_taken"] < mechanism.steps
    assert ledger["steps_reserved"] == ledger["steps_taken"] + 2  # never under-counted
    spent = privacy.Ledger.from_json(ledger["spent_at_most"])
    assert spent == mechanism.ledger(ledger["steps_reserved"])


def test_a_model_that_cannot_be_trained_privately_is_refused_before_any_budget_is_spent(data, model, tmp_path):
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Normalised(type(model)):
        def build(self, featuriser, labels, streams):
            module = super().build(featuriser, labels, streams)
            module.spoiler = torch.nn.BatchNorm1d(3)
            return module

    spoiled = Normalised(embedding=6, hidden=5, characters=4)
    with pytest.raises(PreflightError, match="spoiler"):
        train(TASK, data, model=spoiled, mechanism=make_mechanism("dp-sgd", data), seed=1, folder=tmp_path)
    assert not (tmp_path / "ledger.json").exists()


def test_classification_trains_too(data, model):
    fitted = train(
        Classification(unseen_labels="count as wrong"), data, model=model, mechanism=make_mechanism("dp-sgd", data, epochs=1), seed=1
    )
    assert fitted.evaluate(data.test).estimate("accuracy").n == 60


def test_progress_is_told_after_every_step(data, model):
    told = []
    mechanism = make_mechanism("none", data, epochs=1)
    train(TASK, data, model=model, mechanism=mechanism, seed=1, name="mine", on_progress=told.append)
    assert [p.done for p in told] == list(range(1, mechanism.steps + 1))
    assert {p.phase for p in told} == {"train mine"}
    assert "validation loss" in told[-1].note
