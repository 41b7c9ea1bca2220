"""The loss-threshold attack: scores are minus losses, and a model that is not in evaluation mode is refused."""

import zlib

import numpy as np
import pytest
import torch

from holdfast.audit import loss_threshold, quantile_threshold
from holdfast.core.access import Losses
from holdfast.core.errors import InputError
from holdfast.data.dataset import Dataset


class Model:
    """A made-up model: the loss of an utterance is its length, less one for what it was trained on."""

    def __init__(self, known: Dataset | None = None) -> None:
        self.known = set() if known is None else {example.text for example in known}

    def losses(self, data: Dataset) -> np.ndarray:
        return np.array([len(example.tokens) - (example.text in self.known) for example in data], dtype=float)


class Memoriser(Model):
    """A lookup table: no loss on what it has seen."""

    def losses(self, data: Dataset) -> np.ndarray:
        return np.array([0.0 if example.text in self.known else 5.0 for example in data])


class WithDropout(Model):
    """A network that was left in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 1))

    def losses(self, data: Dataset) -> np.ndarray:
        lengths = torch.tensor(super().losses(data), dtype=torch.float32)[:, None]
        return self.net(lengths).detach().numpy()[:, 0]


class WithBatchNorm(WithDropout):
    """Repeats itself, but the loss of an example depends on the others of the call."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.BatchNorm1d(1)


def test_a_model_that_has_learned_nothing_leaks_nothing(utterances):
    members, nonmembers = utterances(400, seed=1), utterances(300, seed=2)
    scores = loss_threshold(Model(), members=members, nonmembers=nonmembers)
    assert scores.members.tolist() == [-len(example.tokens) for example in members]
    assert scores.auc().interval.low < 0.5 < scores.auc().interval.high
    assert (scores.attack, scores.access) == ("loss threshold", "black-box: losses")
    assert "Yeom" in scores.reference


def test_a_memoriser_is_found_out(utterances, claim):
    members, nonmembers = utterances(1000, seed=1), utterances(1000, seed=2)
    scores = loss_threshold(Memoriser(members), members=members, nonmembers=nonmembers)
    found = scores.evidence(claim(4.0), subject="dp-sgd")
    assert found.estimate("membership_auc").value == 1
    assert found.estimate("membership_auc").interval.low < 1
    assert found.estimate("tpr_at_fpr", conditions={"fpr": 0.01}).value == 1
    assert found.verdicts[0].outcome == "contradicted"
    assert found.estimate("epsilon_lower_bound").value == found.estimate("epsilon_lower_bound").conditions["detectable"]
    assert found.estimate("blind_auc").interval.low < 0.5


def test_a_model_that_leans_towards_its_members_scores_them_higher(utterances):
    members, nonmembers = utterances(400, seed=1), utterances(400, seed=2)
    assert loss_threshold(Model(members), members=members, nonmembers=nonmembers).auc().interval.low > 0.5


def test_copies_are_marked_in_the_scores(utterances):
    members, nonmembers = utterances(100, seed=1), utterances(100, seed=2)
    doubled = members.take([*range(100), 0, 1])
    scores = loss_threshold(Model(), members=doubled, nonmembers=nonmembers)
    assert np.flatnonzero(~scores.game.members_alone).tolist() == [0, 1, 100, 101]
    assert scores.game.nonmembers_alone.all()


def test_a_model_with_dropout_is_refused(utterances):
    with pytest.raises(InputError, match=r"two identical calls.*model.eval\(\)"):
        loss_threshold(WithDropout(), members=utterances(50, seed=1), nonmembers=utterances(50, seed=2))


def test_the_same_model_in_evaluation_mode_is_not(utterances):
    model = WithDropout()
    model.net.eval()
    assert loss_threshold(model, members=utterances(50, seed=1), nonmembers=utterances(50, seed=2)).members.size == 50


def test_a_loss_that_depends_on_the_batch_is_refused(utterances):
    with pytest.raises(InputError, match="changes with the examples beside it"):
        loss_threshold(WithBatchNorm(), members=utterances(50, seed=1), nonmembers=utterances(50, seed=2))


def test_a_rounding_error_is_not_taken_for_dropout(utterances):
    class Rounding(Model):
        def losses(self, data: Dataset) -> np.ndarray:
            losses = super().losses(data)
            return losses * (1 + 1e-6 * np.random.default_rng().normal(size=losses.size))

    assert loss_threshold(Rounding(), members=utterances(50, seed=1), nonmembers=utterances(50, seed=2)).members.size == 50


@pytest.mark.parametrize("side", ["members", "non-members"])
def test_losses_that_are_not_finite_are_counted(utterances, side: str):
    members, nonmembers = utterances(50, seed=1), utterances(40, seed=2)
    guilty = members if side == "members" else nonmembers
    bad = {guilty[30].text, guilty[31].text}

    class Broken(Model):
        def losses(self, data: Dataset) -> np.ndarray:
            return np.where([example.text in bad for example in data], np.nan, super().losses(data))

    with pytest.raises(InputError, match=f"2 of {len(guilty)} losses of the {side} are not finite"):
        loss_threshold(Broken(), members=members, nonmembers=nonmembers)


def test_one_loss_for_each_example_is_asked_for(utterances):
    class Mean(Model):
        def losses(self, data: Dataset) -> np.ndarray:
            return super().losses(data).mean(keepdims=True)

    with pytest.raises(InputError, match=r"shape \(1,\), expected \(8,\)"):
        loss_threshold(Mean(), members=utterances(50, seed=1), nonmembers=utterances(50, seed=2))


def test_any_object_with_losses_will_do():
    assert isinstance(Model(), Losses)


class Hard:
    """Losses that follow from the length of an utterance, less what training on it gains."""

    def __init__(self, members: Dataset, *, gain: float) -> None:
        self.known, self.gain = {tuple(row) for row in members.tokens()}, gain

    def losses(self, data: Dataset) -> np.ndarray:
        noise = [np.random.default_rng(zlib.crc32(" ".join(row).encode())).normal(0, 0.1) for row in data.tokens()]
        return np.array([len(row) + e - self.gain * (tuple(row) in self.known) for row, e in zip(data.tokens(), noise, strict=True)])


def test_quantiles_by_words_find_members_that_their_losses_hide(utterances):
    members, nonmembers = utterances(500, seed=1), utterances(500, seed=2)
    model = Hard(members, gain=0.5)
    scores = quantile_threshold(model, members=members, nonmembers=nonmembers)
    assert scores.auc().value > loss_threshold(model, members=members, nonmembers=nonmembers).auc().value + 0.15
    assert scores.auc().value > 0.75
    assert "Bertran" in scores.reference


def test_quantiles_find_nothing_where_nothing_is(utterances):
    members, nonmembers = utterances(500, seed=1), utterances(500, seed=2)
    scores = quantile_threshold(Hard(members, gain=0.0), members=members, nonmembers=nonmembers)
    assert abs(scores.auc().value - 0.5) < 0.075  # 4 standard deviations
    assert np.isfinite(scores.members).all()


def test_quantiles_need_non_members(utterances):
    with pytest.raises(InputError, match="expected above the quantile"):
        quantile_threshold(Model(), members=utterances(500, seed=1), nonmembers=utterances(100, seed=2))
