"""Training with whole users as the unit, and with thresholds that move, from Python and from a study file."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from holdfast import privacy
from holdfast.core.errors import InputError, StudyError
from holdfast.core.progress import Progress
from holdfast.data import Dataset
from holdfast.study import parse_plan, run_study
from holdfast.training import TrainingSettings, train

from .conftest import TASK

SETTINGS = TrainingSettings(checkpoint_every=2, physical_batch_size=16)
NOISE = {"noise_multiplier": 0.8, "delta": 1e-3}


def of_users(data, **change) -> privacy.Mechanism:
    plan = {"unit": "user", "users": len(set(data.train.user_ids())), "batch_size": 6, "examples_per_user": 3, "epochs": 2}
    return privacy.dp_sgd(**{**plan, "clip_norm": 0.5, **NOISE, **change})


def adaptive(data, **change) -> privacy.Mechanism:
    plan = {"examples": len(data.train), "batch_size": 40, "epochs": 1.5, "clipping": "adaptive", "clip_norm": 3.0, "quantile": 0.3}
    return privacy.dp_sgd(**{**plan, **NOISE, **change})


def without_users(data):
    def stripped(part: Dataset) -> Dataset:
        return Dataset.from_table(part.table.drop_columns(["user_id"]), name=part.name, split=part.split)

    return replace(data, train=stripped(data.train))


def test_a_model_is_trained_for_whole_users(data, model):
    mechanism = of_users(data)
    fitted = train(TASK, data, model=model, mechanism=mechanism, settings=SETTINGS, seed=2)
    assert fitted.claim.unit == "user"
    assert fitted.record.mechanism["unit"] == "user"
    assert np.isfinite(fitted.losses(data.test)).all()
    steps_of_epoch = mechanism.sampler.examples / 6
    assert mechanism.steps == int(np.ceil(2 * steps_of_epoch))


def test_training_for_users_does_not_depend_on_how_the_work_is_cut(data, model):
    """Also not on the engine: the examples of a user that take part are a matter of the step alone."""
    fitted = [
        train(TASK, data, model=replace(model, dropout=0.0, word_dropout=0.0), mechanism=of_users(data), settings=settings, seed=2)
        for settings in (SETTINGS, replace(SETTINGS, physical_batch_size=400), replace(SETTINGS, engine="loop"))
    ]
    for other in fitted[1:]:
        for name, value in fitted[0].module.state_dict().items():
            torch.testing.assert_close(value, other.module.state_dict()[name], rtol=1e-4, atol=2e-5)


def test_data_without_users_or_with_another_number_is_refused(data, model):
    with pytest.raises(InputError, match="no column 'user_id'"):
        train(TASK, without_users(data), model=model, mechanism=of_users(data), seed=2)
    with pytest.raises(InputError, match=r"made for 12 users, the training data have \d+; make it with users="):
        train(TASK, data, model=model, mechanism=of_users(data, users=12), seed=2)


class Stop(Exception):
    """Raised from a progress callback, as a kill in the middle of a stretch would."""


@pytest.mark.parametrize("make", [of_users, adaptive], ids=["users", "adaptive"])
def test_a_resumed_run_ends_as_one_that_was_never_stopped(data, model, tmp_path, make):
    mechanism = make(data)

    def die(progress: Progress) -> None:
        if progress.done == 3:
            raise Stop

    train(TASK, data, model=model, mechanism=mechanism, seed=1, folder=tmp_path / "whole", settings=SETTINGS)
    with pytest.raises(Stop):
        train(TASK, data, model=model, mechanism=mechanism, seed=1, folder=tmp_path / "cut", settings=SETTINGS, on_progress=die)
    train(TASK, data, model=model, mechanism=mechanism, seed=1, folder=tmp_path / "cut", settings=SETTINGS, resume=True)
    one, two = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "cut"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_an_adaptive_threshold_moves_towards_its_quantile_and_is_kept(data, model):
    low, high = (train(TASK, data, model=model, mechanism=adaptive(data, quantile=q), settings=SETTINGS, seed=1) for q in (0.1, 0.9))
    assert low.history.clipping.clip_norm < high.history.clipping.clip_norm
    assert low.history.clipping.clip_norm != 3.0
    assert low.history.clipping.not_finite == 0


def test_the_record_says_what_was_left_out_and_that_no_claim_covers_it(data, model):
    fitted = train(TASK, data, model=model, mechanism=adaptive(data), settings=SETTINGS, seed=1)
    assert fitted.evidence().estimate("gradients_left_out") is None
    wild = replace(SETTINGS, learning_rate=1e12)  # the losses stay finite for a while, the gradients do not
    fitted = train(TASK, data, model=model, mechanism=adaptive(data), settings=wild, seed=1)
    estimate = fitted.evidence().estimate("gradients_left_out")
    assert estimate.value == fitted.history.clipping.not_finite > 0
    assert "not covered by the claim" in estimate.conditions["privacy"]


STUDY = """
title = "Users"
[data]
source = "assistant:train=120,validation=30,test=40,users=15"
[task]
unseen_labels = "count as wrong"
[model]
hidden = 4
embedding = 6
[[run]]
name = "users"
mechanism = "dp-sgd"
unit = "user"
examples_per_user = 2
epochs = 1
batch_size = 5
noise_multiplier = 1.0
delta = 1e-2
clip_norm = 1.0
seed = 1
"""


def test_a_study_trains_for_users(tmp_path):
    result = run_study(parse_plan(STUDY, origin="study.toml", folder=tmp_path), tmp_path / "out", text=STUDY)
    (claim,) = result.evidence.claims
    assert claim.unit == "user"
    (verdict,) = result.evidence.verdicts
    assert verdict.outcome == "not testable"
    record = json.loads((tmp_path / "out" / "runs" / "users" / "record.json").read_text())
    assert record["mechanism"]["examples"] == 15


def test_a_study_file_that_mixes_the_units_is_refused(tmp_path):
    def parse(old: str, new: str):
        return parse_plan(STUDY.replace(old, new), origin="study.toml", folder=tmp_path)

    with pytest.raises(StudyError, match="needs examples_per_user"):
        parse("examples_per_user = 2\n", "")
    with pytest.raises(StudyError, match="did you mean 'examples_per_user'"):
        parse("examples_per_user", "example_per_user")
    with pytest.raises(StudyError, match="has no examples_per_user, unit"):
        parse('mechanism = "dp-sgd"', 'mechanism = "edp-sgd"\nmicro_batch_size = 2')
    plan = parse('unit = "user"', 'unit = "person"')
    with pytest.raises(InputError, match="unit is 'person'"):
        run_study(plan, tmp_path / "out", text=STUDY)
