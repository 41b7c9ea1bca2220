"""Next words: losses against a plain loop, known perplexities, learning, promises and attacks."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from holdfast import audit, catalog, models, privacy, tasks
from holdfast.audit.attacks import lira_online, logit_of_loss
from holdfast.audit.attacks.language_model_scores import mean_log_likelihood
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example
from holdfast.models import Features, Labels, Logits
from holdfast.study import parse_plan, run_study
from holdfast.tasks import LanguageModel, NextWords, Prediction
from holdfast.tasks.clustered import Clusters, ratio_interval
from holdfast.training import TrainingSettings, evaluation, train
from holdfast.training.ensembles import train_ensemble
from holdfast.training.fitted import FittedModel

TASK, NEXT = LanguageModel(), Labels(next_words=True)
LSTM = models.LSTMLanguageModel(embedding=8, hidden=16, min_count=1, dropout=0.0)
DECODER = models.Decoder(width=16, layers=1, heads=2, feedforward=32, max_length=32, min_count=1, dropout=0.0)
KINDS = {
    "lstm": LSTM,
    "decoder": DECODER,
    "lstm, bytes": replace(LSTM, vocabulary="bytes"),
    "decoder, bytes": replace(DECODER, vocabulary="bytes"),
    "decoder, cut": replace(DECODER, max_length=4),
    "lstm, bytes, cut": replace(LSTM, vocabulary="bytes", max_length=9),
}


def dataset(rows: list[str], *, users: list[str] | None = None, split: str = "train") -> Dataset:
    whose = users or [None] * len(rows)
    examples = [Example(tokens=tuple(row.split()), user_id=user) for row, user in zip(rows, whose, strict=True)]
    return Dataset.from_examples(examples, name="tiny", split=split)


DATA = dataset(["play smooth jazz", "what is the weather in Cork now", "stop", "rain in New York", "Llanfairpwllgwyngyll"])


class Uniform(nn.Module):
    """Scores all pieces alike."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(pieces))

    def forward(self, features: Features) -> Logits:
        return Logits(None, self.scores.expand(*features.ids_BT.shape, -1))


def scored(module: nn.Module, featuriser: models.Featuriser, data: Dataset) -> dict:
    encoded = TASK.encode(data, featuriser, NEXT)
    found = TASK.predict(module, TASK.collate(encoded, np.arange(len(data))))
    return {estimate.name: estimate for estimate in TASK.score(data, found, subject="run")}


def prepared(name: str, data: Dataset = DATA) -> tuple[nn.Module, tasks.EncodedDataset]:
    featuriser = KINDS[name].featuriser(data.tokens())
    return KINDS[name].build(featuriser, NEXT, Streams(1)).eval(), TASK.encode(data, featuriser, NEXT)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    featuriser = LSTM.featuriser(DATA.tokens())
    found = scored(Uniform(featuriser.pieces), featuriser, DATA)
    assert featuriser.pieces == 17, "fifteen words, the unknown one and the end"
    assert found["perplexity"].value == pytest.approx(17, rel=1e-6)
    assert found["perplexity"].interval.low == pytest.approx(found["perplexity"].interval.high, rel=1e-6)
    assert found["perplexity"].conditions == {"examples": 5, "words": 16, "over": "examples"}
    assert found["unknown_words"].value == 0


def test_a_uniform_model_of_bytes_pays_for_every_byte_of_a_word():
    data = dataset(["ab c", "def"])
    found = scored(Uniform(258), models.Decoder(vocabulary="bytes").featuriser([]), data)
    assert found["perplexity"].value == pytest.approx(258 ** ((3 + 2 + 1 + 4 + 1) / 5), rel=1e-5), "11 pieces, 3 words, 2 end markers"


@pytest.mark.parametrize("name", KINDS)
def test_the_loss_is_the_mean_of_the_own_words_of_an_example(name: str):
    module, encoded = prepared(name)
    losses = TASK.per_example_loss(module, TASK.collate(encoded, np.arange(5))).tolist()
    for row in range(5):
        features = TASK.collate(encoded, np.array([row])).features
        nats = 0.0
        for scores, target in zip(module(features).tokens_BWS[0].tolist(), features.ids_BT[0].tolist(), strict=True):
            nats += math.log(sum(math.exp(score) for score in scores)) - scores[target]
        words, read = DATA.tokens()[row], features.ids_BT.shape[1]
        costs = [len(word) + 1 if "bytes" in name else 1 for word in words]
        fits = sum(np.cumsum(costs) <= KINDS[name].max_length)
        counted = len(words) + 1 if sum(costs) < KINDS[name].max_length else max(1, fits)
        assert losses[row] == pytest.approx(nats / counted, abs=1e-5)
        assert read == (sum(costs) + 1 if counted == len(words) + 1 else min(sum(costs[:counted]), KINDS[name].max_length))


@pytest.mark.parametrize("name", KINDS)
def test_predictions_and_losses_tell_the_same_alone_and_in_a_batch(name: str):
    module, encoded = prepared(name)
    together = TASK.predict(module, TASK.collate(encoded, np.arange(5)))
    alone = [TASK.predict(module, TASK.collate(encoded, np.array([row])))[0] for row in range(5)]
    assert together == alone
    losses = TASK.per_example_loss(module, TASK.collate(encoded, np.arange(5))).tolist()
    for one, other, loss in zip(together, alone, losses, strict=True):
        assert one.next_words.losses == pytest.approx(other.next_words.losses, abs=1e-5)
        assert np.mean(one.next_words.losses) == pytest.approx(loss, abs=1e-5)
        assert len(one.next_words.right) == len(one.next_words.known) == len(one.next_words.losses)


def test_a_word_is_right_where_it_is_the_likeliest_and_known():
    class Echo(nn.Module):
        """Knows every piece, but for the second of each row."""

        def forward(self, features: Features) -> Logits:
            scores: Tensor = 9.0 * nn.functional.one_hot(features.ids_BT, 258).float()
            scores[:, 1] = 0
            return Logits(None, scores)

    data = dataset(["b a new a", "a"])
    known = models.LSTMLanguageModel(min_count=2).featuriser([["a", "a", "b", "b"]])
    found = TASK.predict(Echo(), TASK.collate(TASK.encode(data, known, NEXT), np.arange(2)))
    assert found[0].next_words.right == (True, False, False, True, True)
    assert found[0].next_words.known == (True, True, False, True, True)
    estimates = scored(Echo(), known, data)
    assert estimates["next_word_accuracy"].value == 3 / 5, "end markers are not counted"
    assert estimates["unknown_words"].value == 1 / 5
    spelled = TASK.predict(
        Echo(), TASK.collate(TASK.encode(data, models.LSTMLanguageModel(vocabulary="bytes").featuriser([]), NEXT), np.arange(2))
    )
    assert spelled[0].next_words.right == (False, True, True, True, True), "one byte that is wrong makes a word wrong"


def predictions(losses: list[list[float]]) -> list[Prediction]:
    return [Prediction(next_words=NextWords(tuple(row), (True,) * len(row), (True,) * len(row))) for row in losses]


def test_perplexity_is_that_of_all_words_together():
    data = dataset(["a b", "a"])
    perplexity, accuracy, unknown = TASK.score(data, predictions([[1.0, 2.0, 3.0], [0.5, 0.5]]), subject="run")
    assert perplexity.value == pytest.approx(math.exp(7 / 5))
    assert perplexity.interval.low == pytest.approx(math.exp(0.5))
    assert perplexity.interval.high == pytest.approx(math.exp(2))
    assert (perplexity.direction, accuracy.value, accuracy.unit, unknown.value) == ("lower is better", 1.0, "share", 0.0)
    by_user = TASK.score(dataset(["a b", "a"], users=["x", "x"]), predictions([[1.0, 2.0, 3.0], [0.5, 0.5]]), subject="run")
    assert (by_user[0].value, by_user[0].interval, by_user[0].n) == (perplexity.value, None, 1), "one user has no spread"
    cut = TASK.score(data, predictions([[1.0], [0.5, 0.5]]), subject="run")
    assert cut[0].value == pytest.approx(math.exp(2 / 3))
    assert cut[0].conditions["words"] == 2, "words that were not read count nowhere"


def test_what_has_no_perplexity_says_so():
    huge = TASK.score(dataset(["a"]), predictions([[800.0, 900.0]]), subject="run")[0]
    assert huge.value is None
    assert "a word costs 850 nats" in huge.missing
    none = TASK.score(DATA.take([]), [], subject="run")
    assert [estimate.missing for estimate in none] == ["there are no examples"] * 3


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: TASK.score(DATA, [], subject="run"), "0 predictions for 5 examples"),
        (lambda: TASK.score(DATA.take([0]), [Prediction("a")], subject="run"), "holds no next words"),
        (lambda: TASK.labels(DATA.take([])), "hold no examples"),
        (lambda: TASK.encode(DATA, LSTM.featuriser(DATA.tokens()), Labels(("a",))), "not next words"),
        (lambda: train(TASK, splits(DATA), mechanism=privacy.non_private(examples=5, batch_size=5, epochs=1)), "take the model 'lstm-lm'"),
    ],
)
def test_what_does_not_fit_is_refused(act, message: str):
    with pytest.raises(InputError, match=message):
        act()


def test_a_model_of_labels_is_refused_by_the_loss():
    class Mute(nn.Module):
        def forward(self, features: Features) -> Logits:
            return Logits(None, None)

    with pytest.raises(InputError, match="predicts no words"):
        TASK.per_example_loss(Mute(), TASK.collate(prepared("lstm")[1], np.arange(2)))


def test_the_interval_over_users_covers_where_that_over_examples_does_not():
    """Forty users of ten examples each, whose losses share one number: the null of a fixed mean, 200 times."""
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 10)
    both = {"users": Clusters(users, 40, "users"), "examples": Clusters(np.arange(400), 400, "examples")}
    covered = dict.fromkeys(both, 0)
    for _ in range(200):
        words = rng.integers(1, 9, 400)
        nats = words * (2 + rng.normal(size=40)[users] * 0.5 + rng.normal(size=400) * 0.5)
        for what, clusters in both.items():
            span = ratio_interval(nats, words.astype(float), clusters)
            covered[what] += span.low <= 2 <= span.high
    assert covered["users"] >= 180, "95 % in the long run, a little less with forty users"
    assert covered["examples"] <= 150


def test_large_data_are_evaluated_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch):
    module, encoded = prepared("lstm")
    whole = evaluation.losses(TASK, module, encoded, device=torch.device("cpu"))
    monkeypatch.setattr(evaluation, "EVALUATION_POSITIONS", 10)
    sizes: list[tuple[int, ...]] = []
    hook = module.register_forward_hook(lambda _, inputs, __: sizes.append(tuple(inputs[0].ids_BT.shape)))
    np.testing.assert_allclose(evaluation.losses(TASK, module, encoded, device=torch.device("cpu")), whole, atol=1e-6)
    hook.remove()
    assert len(sizes) > 1
    assert all(rows * pieces <= 10 for rows, pieces in sizes)


def splits(train_data: Dataset, test: Dataset | None = None) -> DataSplits:
    return DataSplits("tiny", train_data, train_data.take([0]), test or train_data)


def cycles(examples: int, seed: int, split: str) -> Dataset:
    """A first word out of three, then three that follow from it: log 3 nats for five words, the end among them."""
    starts = np.random.default_rng(seed).integers(0, 3, examples)
    return dataset([" ".join("abc"[(start + step) % 3] for step in range(4)) for start in starts], split=split)


@pytest.mark.parametrize("name", ["lstm", "decoder", "lstm, bytes"])
def test_a_deterministic_corpus_is_learned_to_its_true_perplexity(name: str):
    data = splits(cycles(200, 0, "train"), cycles(100, 1, "test"))
    mechanism = privacy.non_private(examples=200, batch_size=20, epochs=60)
    fitted = train(TASK, data, mechanism=mechanism, model=KINDS[name], settings=TrainingSettings(learning_rate=0.02), seed=1)
    found = {estimate.name: estimate for estimate in fitted.evaluate(data.test).estimates}
    assert math.exp(math.log(3) / 5) - 0.01 < found["perplexity"].value < 1.29  # the truth is 1.2457
    assert 0.8 < found["next_word_accuracy"].value < 0.9, "three words of four, and a third of the first ones"


@pytest.mark.parametrize("name", ["lstm", "decoder", "lstm, bytes"])
def test_private_training_learns_and_keeps_its_promise(name: str):
    data = splits(cycles(200, 0, "train"), cycles(50, 1, "test"))
    mechanism = privacy.dp_sgd(examples=200, batch_size=40, epochs=12, clip_norm=1.0, noise_multiplier=0.6, delta=1e-4)
    fitted = train(TASK, data, mechanism=mechanism, model=KINDS[name], settings=TrainingSettings(learning_rate=0.02), seed=1)
    assert 0 < fitted.claim.epsilon < 100
    vocabulary = [condition for condition in fitted.claim.conditions if "vocabulary" in condition]
    assert len(vocabulary) == ("bytes" not in name)
    perplexity = fitted.evaluate(data.test).estimates[0].value
    untrained = {"lstm": 5, "decoder": 5, "lstm, bytes": 258 ** (9 / 5)}[name]
    assert 1.2 < perplexity < untrained / 2, "better than a uniform guess, and not better than the truth"


def test_the_tied_head_is_trained_privately_too():
    data = splits(cycles(40, 0, "train"))
    mechanism = privacy.dp_sgd(examples=40, batch_size=20, epochs=1, clip_norm=1.0, noise_multiplier=0.6, delta=1e-4)
    for model in (LSTM, DECODER):
        assert train(TASK, data, mechanism=mechanism, model=replace(model, tied=True), seed=1).claim is not None


def noise(examples: int, seed: int, split: str) -> Dataset:
    """Utterances that say nothing of each other: whoever knows one has memorised it."""
    words = np.random.default_rng(seed).integers(0, 12, (examples, 5))
    return dataset([" ".join(f"w{word}" for word in row) for row in words], split=split)


@pytest.fixture(scope="module")
def overfit() -> FittedModel:
    data = splits(noise(40, 0, "train"), noise(40, 1, "test"))
    mechanism = privacy.non_private(examples=40, batch_size=10, epochs=60)
    return train(TASK, data, mechanism=mechanism, model=LSTM, settings=TrainingSettings(learning_rate=0.02), seed=1)


def test_a_model_that_memorised_is_caught_by_its_losses(overfit: FittedModel):
    scores = audit.loss_threshold(overfit, members=overfit.data.train, nonmembers=overfit.data.test)
    area = scores.auc(subject="run")
    assert area.value > 0.9
    assert area.interval.low > 0.5


def test_predictions_give_what_attacks_on_language_models_take(overfit: FittedModel):
    found = [prediction.next_words.losses for prediction in overfit.predict(overfit.data.test)]
    offsets = np.cumsum([0, *map(len, found)])
    scores = mean_log_likelihood(-np.concatenate(found), offsets)
    np.testing.assert_allclose(-scores, overfit.losses(overfit.data.test), atol=1e-5)


def test_shadow_models_catch_it_too():
    """LiRA with 16 shadow models that were trained together, against one more that was trained like them."""
    data = noise(60, 3, "train")
    featuriser = LSTM.featuriser(data.tokens())
    encoded = TASK.encode(data, featuriser, NEXT)
    included = np.stack([np.random.default_rng(seed).permutation(60) < 30 for seed in range(17)], 1)
    trained = train_ensemble(
        *(TASK, encoded),
        included=included,
        model=LSTM,
        featuriser=featuriser,
        labels=NEXT,
        settings=TrainingSettings(learning_rate=0.02),
        epochs=25,
        batch_size=10,
        seeds=tuple(range(17)),
    )
    assert trained.engine == "stacked"
    signals = logit_of_loss(trained.losses(encoded))
    scores = lira_online(signals[:, 0], signals[:, 1:], included=included[:, 1:])
    ranked = (scores[included[:, 0], None] > scores[None, ~included[:, 0]]).mean()
    assert ranked > 0.75


STUDY = """
title = "Next words"
[data]
source = "assistant:train=60,validation=10,test=20,users=10"
[task]
name = "language-model"
[model]
name = "lstm-lm"
embedding = 6
hidden = 5
[training]
epochs = 1
batch_size = 20
seed = 1
[[run]]
name = "plain"
mechanism = "none"
"""


def test_study_files_take_the_task_and_its_models(tmp_path: Path):
    plan = parse_plan(STUDY, origin="study.toml", folder=tmp_path)
    result = run_study(plan, tmp_path / "out", text=STUDY, command="holdfast run study.toml")
    assert isinstance(catalog.resolve("task", "language-model")(), LanguageModel)
    names = {estimate.name for estimate in result.evidence.estimates}
    assert {"perplexity", "next_word_accuracy", "unknown_words"} <= names
