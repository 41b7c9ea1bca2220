"""Confidences over a whole data set: batches, evaluation mode, and a clear word where a task tells none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from holdfast.core.access import Confidences, Losses
from holdfast.core.errors import InputError
from holdfast.tasks import Task
from holdfast.training import FittedModel, evaluation, train

from .conftest import TASK, make_mechanism


class Bare:
    """A task that keeps to the contract and does no more."""

    name = "bare"
    describe, labels, encode, collate = TASK.describe, TASK.labels, TASK.encode, TASK.collate
    per_example_loss, predict, score = TASK.per_example_loss, TASK.predict, TASK.score


@pytest.fixture(scope="module")
def fitted(data, model) -> FittedModel:
    return train(TASK, data, model=model, mechanism=make_mechanism("none", data, epochs=0.5), seed=1)


def test_a_fitted_model_gives_losses_and_confidences(fitted, data):
    assert isinstance(fitted, Confidences)
    assert isinstance(fitted, Losses)
    found = fitted.confidences(data.test)
    assert found.shape == (len(data.test), len(fitted.confidence_names))
    assert np.array_equal(found[:, fitted.confidence_names.index("loss")], fitted.losses(data.test))
    assert np.isfinite(found).all()
    assert np.isfinite(fitted.confidences(data.test.take([]))).all()
    assert fitted.confidences(data.test.take([])).shape == (0, found.shape[1])


def test_dropout_is_off_and_the_mode_comes_back(fitted, data):
    fitted.module.train()
    one, two = (fitted.confidences(data.test) for _ in range(2))
    assert np.array_equal(one, two)
    assert fitted.module.training
    fitted.module.eval()
    batch = TASK.collate(fitted.encoded(data.test), np.arange(len(data.test)))
    assert np.array_equal(one, TASK.confidences(fitted.module, batch).numpy())


def test_batches_of_another_size_give_the_same_rows_in_the_order_of_the_data(fitted, data, monkeypatch):
    whole = fitted.confidences(data.test)
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 7)
    assert fitted.confidences(data.test) == pytest.approx(whole, abs=1e-5)
    backwards = data.test.take(np.arange(len(data.test))[::-1].copy())
    assert fitted.confidences(backwards)[::-1] == pytest.approx(whole, abs=1e-5)


def test_a_task_that_tells_none_is_named_with_the_cure(fitted, data):
    assert isinstance(Bare(), Task)
    bare = replace(fitted, task=Bare(), _encoded={})
    assert np.array_equal(bare.losses(data.test), fitted.losses(data.test)), "losses need no more than the contract"
    for ask in (lambda: bare.confidences(data.test), lambda: bare.confidence_names):
        with pytest.raises(InputError, match=r"the task 'bare' tells no confidences: .*TaskWithConfidences, or choose an attack"):
            ask()


class NoWeights(torch.nn.Module):
    """A black box around a model: nothing but its answers."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.__dict__["answer"] = inner.forward

    def forward(self, features):
        return self.answer(features)


def test_confidences_ask_for_answers_and_never_for_weights(fitted, data):
    hidden = NoWeights(fitted.module.eval())
    assert not list(hidden.parameters())
    device = torch.device("cpu")
    found = evaluation.confidences(TASK, hidden, fitted.encoded(data.test), device=device)
    assert np.array_equal(found, fitted.confidences(data.test))
