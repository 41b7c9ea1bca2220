"""Hidden words: which they are, losses against a plain loop, known perplexities, learning with and without privacy."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from holdfast import catalog, models, privacy, tasks
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example
from holdfast.models import Features, Labels, Logits
from holdfast.models.masked import HiddenWords, MaskedLogits
from holdfast.study import parse_plan, run_study
from holdfast.tasks import MaskedLanguageModel, NextWords, Prediction
from holdfast.tasks.masked_language_model.hiding import drawn_words, fixed_words, hide
from holdfast.testing import check_task
from holdfast.training import TrainingSettings, train

TASK, WORDS = MaskedLanguageModel(), Labels(next_words=True)
ENCODER = models.MaskedEncoder(width=16, layers=1, heads=2, feedforward=32, max_length=64, min_count=1, dropout=0.0)
KINDS = {
    "words": ENCODER,
    "two tables": replace(ENCODER, tied=False),
    "bytes": replace(ENCODER, vocabulary="bytes"),
    "cut": replace(ENCODER, max_length=4),
    "bytes, cut": replace(ENCODER, vocabulary="bytes", max_length=9),
}
EVERY = pytest.mark.parametrize("name", KINDS)


def dataset(rows: list[str], *, users: list[str] | None = None) -> Dataset:
    whose = users or [None] * len(rows)
    examples = [Example(tokens=tuple(row.split()), user_id=user) for row, user in zip(rows, whose, strict=True)]
    return Dataset.from_examples(examples, name="tiny", split="train")


DATA = dataset(
    ["play smooth jazz", "what is the weather in Cork now and when will it rain", "stop", "rain in New York", "Llanfairpwllgwyn"]
)


def prepared(name: str, data: Dataset = DATA, task: MaskedLanguageModel = TASK) -> tuple[nn.Module, tasks.EncodedDataset]:
    featuriser = KINDS[name].featuriser(data.tokens())
    return KINDS[name].build(featuriser, WORDS, Streams(1)).eval(), task.encode(data, featuriser, WORDS)


class Uniform(nn.Module):
    """Scores all pieces alike."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(pieces))

    def forward(self, features: Features) -> Logits:
        assert isinstance(features, HiddenWords)
        return MaskedLogits(None, self.scores.expand(*features.asked_BA.shape, -1))


def scored(module: nn.Module, encoded: tasks.EncodedDataset, data: Dataset, task: MaskedLanguageModel = TASK) -> dict:
    found = task.predict(module, task.collate(encoded, np.arange(len(data))))
    return {estimate.name: estimate for estimate in task.score(data, found, subject="run")}


@EVERY
@pytest.mark.parametrize("share", [0.15, 0.6])
def test_the_task_passes_the_check_for_third_parties(name: str, share: float):
    check_task(MaskedLanguageModel(share=share), DATA, model=KINDS[name])


def features_of(rows: list[list[int]]) -> Features:
    ids_BT, mask_BT = models.features.Ragged.from_rows(rows).padded(np.arange(len(rows)), fill=0)
    return Features(torch.from_numpy(ids_BT), mask := torch.from_numpy(mask_BT), None, None, mask)


def test_a_share_of_the_words_is_hidden_and_one_at_least():
    features = features_of([[5] * words for words in (1, 3, 4, 10, 20, 33)])
    for chosen in (fixed_words(features, features.mask_BT, share=0.15, seed=0), drawn_words(features, features.mask_BT, share=0.15)):
        assert chosen.sum(1).tolist() == [1, 1, 1, 2, 3, 5]
        assert not (chosen & ~features.mask_BT).any()
    assert torch.equal(fixed_words(features, features.mask_BT, share=1.0, seed=0), features.mask_BT)


def test_evaluation_hides_by_the_row_alone():
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 50, words).tolist() for words in rng.integers(2, 30, 40)]
    together = features_of(rows)
    chosen = fixed_words(together, together.mask_BT, share=0.3, seed=0)
    for row, ids in enumerate(rows):
        alone = features_of([ids])
        assert torch.equal(fixed_words(alone, alone.mask_BT, share=0.3, seed=0)[0], chosen[row, : len(ids)])
    other = fixed_words(together, together.mask_BT, share=0.3, seed=1)
    assert not torch.equal(other, chosen)


def test_each_place_is_hidden_as_often_as_another():
    """Rows of ten words of which two are hidden; a chi-squared of the places with 9 degrees of freedom is below 21.7 in 99 %."""
    rng = np.random.default_rng(1)
    features = features_of(rng.integers(0, 9, (4000, 10)).tolist())
    for chosen in (fixed_words(features, features.mask_BT, share=0.2, seed=3), drawn_words(features, features.mask_BT, share=0.2)):
        counts = chosen.sum(0).double()
        assert counts.sum() == 8000
        # Two of ten without replacement: the counts of the places vary by a fifth less than counts of single draws.
        assert float(((counts - 800) ** 2 / 800).sum()) / 0.8 < 21.7
        pairs = (chosen.double().T @ chosen.double())[~torch.eye(10, dtype=torch.bool)]
        assert pairs.mean() == pytest.approx(4000 / 45, abs=1e-9)
        assert float(((pairs - 4000 / 45) ** 2).mean()) < 3 * 4000 / 45, "no two places go together"


@pytest.mark.parametrize(("swapped", "kept"), [(0.1, 0.1), (0.3, 0.0), (0.0, 0.0), (0.0, 1.0)])
def test_training_shows_some_hidden_words_as_others_or_as_they_are(swapped: float, kept: float):
    torch.manual_seed(0)
    features = features_of([[7] * 20] * 500)
    hiding = hide(features, drawn_words(features, features.mask_BT, share=0.5), swapped=swapped, kept=kept)
    chosen, shown = hiding.chosen_BW, hiding.shown
    others = torch.zeros_like(chosen) if shown.swapped_BT is None else shown.swapped_BT >= 0
    assert chosen.sum() == 5000
    assert not (others & ~chosen).any()
    assert not (others & shown.hidden_BT).any()
    assert float(others.sum()) / 5000 == pytest.approx(swapped, abs=0.02)
    assert float((shown.hidden_BT & chosen).sum()) / 5000 == pytest.approx(1 - swapped - kept, abs=0.02)
    assert torch.equal(shown.asked_BA.sort(1).values, chosen.nonzero()[:, 1].view(500, 10)), "all that is hidden is asked for"


def test_all_bytes_of_a_word_are_hidden_together_and_the_end_marker_never():
    featuriser = KINDS["bytes"].featuriser([])
    data = dataset(["ab cde f", "Llan"])
    batch = TASK.collate(TASK.encode(data, featuriser, WORDS), np.arange(2))
    hiding = hide(batch.features, torch.tensor([[False, True, False, False], [True, False, False, False]]))
    assert hiding.shown.hidden_BT.nonzero().tolist() == [[0, 3], [0, 4], [0, 5], [0, 6], *([1, place] for place in range(5))]
    assert hiding.word_BA[0][hiding.asked_BA[0]].tolist() == [1] * 4
    everything = MaskedLanguageModel(share=1.0)
    found = everything.predict(Uniform(258), batch)
    assert [len(one.next_words.losses) for one in found] == [3, 1]
    assert found[0].next_words.losses == pytest.approx([3 * math.log(258), 4 * math.log(258), 2 * math.log(258)])


@EVERY
@pytest.mark.parametrize("share", [0.15, 0.5])
def test_the_loss_is_the_mean_of_the_own_hidden_words(name: str, share: float):
    """Against each row alone, its words hidden by hand at the places that evaluation hides."""
    task = MaskedLanguageModel(share=share)
    module, encoded = prepared(name, task=task)
    batch = task.collate(encoded, np.arange(5))
    losses = task.per_example_loss(module, batch).tolist()
    real_BW = batch.features.word_mask_BW & (torch.arange(batch.features.word_mask_BW.shape[1]) < torch.from_numpy(batch.words)[:, None])
    chosen_BW = fixed_words(batch.features, real_BW, share=share, seed=0)
    for row in range(5):
        alone = encoded.batch(np.array([row])).features
        ids, firsts = alone.ids_BT[0], range(alone.ids_BT.shape[1]) if alone.words_BW is None else alone.words_BW[0].tolist()
        bounds = [*firsts, len(ids)]
        words = [range(bounds[word], bounds[word + 1]) for word in chosen_BW[row].nonzero().flatten().tolist()]
        hidden = torch.zeros(1, len(ids), dtype=torch.bool)
        hidden[0, [place for word in words for place in word]] = True
        scores = module.scores(module.states(alone.ids_BT, alone.mask_BT, hidden)).log_softmax(-1)[0].tolist()
        nats = [-sum(scores[place][ids[place]] for place in word) for word in words]
        assert losses[row] == pytest.approx(np.mean(nats), abs=1e-5, rel=1e-6)
        assert task.predict(module, encoded.batch(np.array([row])))[0].next_words.losses == pytest.approx(nats, abs=1e-5, rel=1e-6)


def test_evaluation_is_the_same_on_every_call_and_training_is_not():
    module, encoded = prepared("words")
    batch = TASK.collate(encoded, np.arange(5))
    with torch.no_grad():
        first, second = (TASK.per_example_loss(module, batch) for _ in range(2))
        module.train()
        torch.manual_seed(0)
        drawn, again = (TASK.per_example_loss(module, batch) for _ in range(2))
        torch.manual_seed(0)
        assert torch.equal(TASK.per_example_loss(module, batch), drawn)
    assert torch.equal(first, second)
    assert not torch.equal(drawn, again)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    _, encoded = prepared("words")
    pieces = encoded.featuriser.pieces
    found = scored(Uniform(pieces), encoded, DATA)
    assert found["pseudo_perplexity"].value == pytest.approx(pieces, rel=1e-6)
    assert found["pseudo_perplexity"].interval.low == pytest.approx(pieces, rel=1e-6)
    assert found["pseudo_perplexity"].conditions == {"examples": 5, "words": 6, "hidden": 0.15, "over": "examples"}
    assert found["unknown_words"].value == 0


def test_a_word_is_right_where_it_is_the_likeliest_and_known():
    class Echo(nn.Module):
        """Knows every piece but the first that is asked for."""

        def forward(self, features: HiddenWords) -> Logits:
            scores = 9.0 * nn.functional.one_hot(features.ids_BT.gather(1, features.asked_BA), 9).float()
            scores[:, 0] = 0
            return MaskedLogits(None, scores)

    everything = MaskedLanguageModel(share=1.0)
    data = dataset(["b a new a", "a"])
    known = replace(ENCODER, min_count=2).featuriser([["a", "a", "b", "b"]])
    found = everything.predict(Echo(), everything.collate(everything.encode(data, known, WORDS), np.arange(2)))
    assert found[0].next_words.right == (False, True, False, True)
    assert found[0].next_words.known == (True, True, False, True)
    estimates = {estimate.name: estimate for estimate in everything.score(data, found, subject="run")}
    assert estimates["masked_word_accuracy"].value == 2 / 5
    assert estimates["unknown_words"].value == 1 / 5


def predictions(losses: list[list[float]]) -> list[Prediction]:
    return [Prediction(next_words=NextWords(tuple(row), (True,) * len(row), (True,) * len(row))) for row in losses]


def test_perplexity_is_that_of_all_hidden_words_together():
    data = dataset(["a b", "a"])
    perplexity, accuracy, unknown = TASK.score(data, predictions([[1.0, 2.0], [0.6]]), subject="run")
    assert perplexity.value == pytest.approx(math.exp(3.6 / 3))
    assert (perplexity.interval.low, perplexity.interval.high) == pytest.approx((math.exp(0.6), math.exp(1.5)))
    assert (perplexity.direction, accuracy.value, accuracy.unit, unknown.value) == ("lower is better", 1.0, "share", 0.0)
    by_user = TASK.score(dataset(["a b", "a"], users=["x", "x"]), predictions([[1.0, 2.0], [0.6]]), subject="run")
    assert (by_user[0].value, by_user[0].interval, by_user[0].n) == (perplexity.value, None, 1), "one user has no spread"
    assert "a word costs 850 nats" in TASK.score(dataset(["a"]), predictions([[800.0, 900.0]]), subject="run")[0].missing
    assert [estimate.missing for estimate in TASK.score(DATA.take([]), [], subject="run")] == ["there are no examples"] * 3


def splits(data: Dataset) -> DataSplits:
    return DataSplits("tiny", data, data.take([0]), data)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: TASK.score(DATA, [], subject="run"), "0 predictions for 5 examples"),
        (lambda: TASK.score(DATA.take([0]), [Prediction("a")], subject="run"), "holds no hidden words"),
        (lambda: TASK.labels(DATA.take([])), "hold no examples"),
        (lambda: TASK.encode(DATA, ENCODER.featuriser(DATA.tokens()), Labels(("a",))), "are not words"),
        (lambda: MaskedLanguageModel(share=0), r"share is 0; give a number in \(0, 1\]"),
        (lambda: MaskedLanguageModel(share=1.5), "share is 1.5"),
        (lambda: MaskedLanguageModel(swapped=0.7, kept=0.4), "swapped 0.7 and kept 0.4 are more than all"),
        (lambda: MaskedLanguageModel(seed=-1), "seed is -1"),
        (
            lambda: train(TASK, splits(DATA), model="decoder", mechanism=privacy.non_private(examples=5, batch_size=5, epochs=1)),
            "take the model 'encoder-mlm'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(act, message: str):
    with pytest.raises(InputError, match=message):
        act()


def cycles(examples: int, words: int = 4) -> Dataset:
    """Each word says what the others are: a third of the utterances begins with each of three words."""
    starts = np.random.default_rng(1).integers(0, 3, examples)
    return dataset([" ".join("abc"[(start + step) % 3] for step in range(words)) for start in starts])


def test_a_model_learns_what_stands_behind_the_mask():
    data = splits(cycles(200))
    mechanism = privacy.non_private(examples=200, batch_size=20, epochs=8)
    found = train(TASK, data, mechanism=mechanism, model=ENCODER, settings=TrainingSettings(learning_rate=0.02), seed=1)
    estimates = {estimate.name: estimate.value for estimate in found.evaluate(data.test).estimates}
    assert estimates["pseudo_perplexity"] < 1.2
    assert estimates["masked_word_accuracy"] > 0.99


@pytest.mark.parametrize(("noise", "least", "most"), [(0.6, 1.0, 1.5), (10.0, 2.0, math.inf)])
def test_a_model_is_trained_privately_and_noise_can_drown_what_it_learns(noise: float, least: float, most: float):
    data = splits(cycles(200))
    mechanism = privacy.dp_sgd(examples=200, batch_size=40, epochs=12, clip_norm=1.0, noise_multiplier=noise, delta=1e-4)
    fitted = train(TASK, data, mechanism=mechanism, model=ENCODER, settings=TrainingSettings(learning_rate=0.02), seed=1)
    assert 0 < fitted.claim.epsilon < 100
    assert least < fitted.evaluate(data.test).estimates[0].value < most


STUDY = """
title = "Hidden words"
[data]
source = "assistant:train=60,validation=10,test=20,users=10"
[task]
name = "masked-language-model"
share = 0.3
[model]
name = "encoder-mlm"
width = 8
heads = 2
layers = 1
feedforward = 8
[training]
epochs = 1
batch_size = 20
seed = 1
[[run]]
name = "plain"
mechanism = "none"
"""


def test_study_files_take_the_task_and_its_model(tmp_path: Path):
    plan = parse_plan(STUDY, origin="study.toml", folder=tmp_path)
    result = run_study(plan, tmp_path / "out", text=STUDY, command="holdfast run study.toml")
    assert catalog.resolve("task", "masked-language-model") is MaskedLanguageModel
    names = {estimate.name for estimate in result.evidence.estimates}
    assert {"pseudo_perplexity", "masked_word_accuracy", "unknown_words"} <= names
