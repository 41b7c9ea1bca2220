"""Fills of a secret as a model sees them: the fast path is held to asking for the same sentences one by one."""

import dataclasses
import types

import numpy as np
import pytest
import torch
from tests.oracles.tiny_encoders import saved

from holdfast.audit.canaries import fills as fills_module
from holdfast.audit.canaries.fills import (
    AskedFills,
    OpenFills,
    every_fill,
    every_loss,
    fills_of,
    open_fills,
    place_of,
    places_at,
    random_fills,
    sentences,
)
from holdfast.audit.canaries.tables import FillTable, SecretTables
from holdfast.core.errors import InputError, Interrupted
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example, SecretPattern, pattern
from holdfast.models import Bag, BiLSTM, Hub, Transformer
from holdfast.privacy import non_private
from holdfast.tasks import Classification, IntentSlot, Tagging
from holdfast.training import FittedModel, TrainingSettings, train

PIN = pattern("pin", length=4)
SAFE = SecretPattern(
    name="safe", before=("open",), candidates=("red", "green", "blue"), length=3, after=("please", "now"), label="light", slot="colour"
)
SMALL = {
    "bilstm": BiLSTM(embedding=8, hidden=8, characters=4, character_width=4, vocabulary="hashed", buckets=512),
    "bilstm without characters": BiLSTM(embedding=8, hidden=8, characters=0, vocabulary="hashed", buckets=4096),
    "bilstm crf": BiLSTM(embedding=8, hidden=8, characters=4, vocabulary="hashed", buckets=512, tag_head="crf"),
    "bag": Bag(embedding=8, hidden=8, vocabulary="hashed", buckets=4096),
    "transformer": Transformer(width=8, layers=1, heads=2, feedforward=16, vocabulary="hashed", buckets=4096),
}


def data(*patterns: SecretPattern) -> DataSplits:
    """A few rows that have the labels and tags of the patterns."""
    rows = [Example(tokens=("turn", "it", "off"), label="light", tags=("O", "O", "O"))] * 6
    rows += [Example(tokens=one.words([0] * one.length), label=one.label, tags=one.tags) for one in patterns] * 3
    parts = [Dataset.from_examples(rows, name="tiny", split=split) for split in ("train", "validation", "test")]
    return DataSplits("tiny", *parts)


def fitted(model: object, *patterns: SecretPattern, task: object = None) -> FittedModel:
    splits = data(*patterns)
    mechanism = non_private(examples=len(splits.train), batch_size=4, epochs=2)
    settings = TrainingSettings(learning_rate=0.02, evaluate_every=0)
    return train(task or IntentSlot(), splits, mechanism=mechanism, model=model, settings=settings, seed=3)


@pytest.fixture(scope="module", params=list(SMALL))
def model(request) -> FittedModel:
    return fitted(SMALL[request.param], PIN, SAFE)


@pytest.fixture(scope="module")
def bilstm() -> FittedModel:
    return fitted(SMALL["bilstm"], PIN, SAFE)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Hub:
    return Hub(name=saved(tmp_path_factory.mktemp("encoder"), "bert"), max_length=32)


@pytest.mark.parametrize("one", [PIN, SAFE], ids=lambda one: one.name)
def test_mixing_words_gives_what_the_sentences_give(model, one):
    places = random_fills(one, count=200, generator=np.random.default_rng(1))
    fast = open_fills(one, model)
    asked = AskedFills(pattern=one, model=model).losses(places)
    assert fast.states_VTD is not None
    assert np.ptp(asked) > 1e-4  # or the comparison would compare nothing
    np.testing.assert_allclose(fast.losses(places), asked, atol=1e-5, rtol=0)
    np.testing.assert_allclose(dataclasses.replace(fast, states_VTD=None).losses(places), asked, atol=1e-5, rtol=0)


@pytest.mark.parametrize("task", [Classification(), Tagging()], ids=lambda task: task.name)
def test_tasks_that_know_one_kind_of_label_alone(task):
    model = fitted(SMALL["bilstm"], PIN, task=task)
    places = random_fills(PIN, count=50, generator=np.random.default_rng(1))
    np.testing.assert_allclose(open_fills(PIN, model).losses(places), AskedFills(pattern=PIN, model=model).losses(places), atol=1e-5)


def test_every_loss_is_in_lexicographic_order_and_equals_brute_force(model):
    one = pattern("pin", length=2)
    every = every_loss(open_fills(one, model))
    brute = model.losses(sentences(one, np.array([[first, second] for first in range(10) for second in range(10)])))
    np.testing.assert_allclose(every, brute, atol=1e-5, rtol=0)
    assert np.argsort(every, kind="stable")[:5].tolist() == np.argsort(brute.round(7), kind="stable")[:5].tolist()


def test_the_losses_do_not_depend_on_the_chunk(bilstm, monkeypatch):
    places = random_fills(PIN, count=30, generator=np.random.default_rng(1))
    whole = open_fills(PIN, bilstm).losses(places)
    monkeypatch.setattr(fills_module, "CHUNK", 7)
    np.testing.assert_allclose(open_fills(PIN, bilstm).losses(places), whole, atol=1e-6)
    assert len(every_loss(open_fills(pattern("pin", length=1), bilstm))) == 10


def test_a_model_in_training_mode_is_asked_in_evaluation_mode_and_put_back(bilstm):
    places = random_fills(PIN, count=30, generator=np.random.default_rng(1))
    fills = open_fills(PIN, bilstm)
    before = fills.losses(places)
    bilstm.module.train()
    try:
        np.testing.assert_array_equal(open_fills(PIN, bilstm).losses(places), before)
        assert bilstm.module.training
    finally:
        bilstm.module.eval()


def test_the_loss_of_a_fill_can_be_followed_back_to_the_words(bilstm):
    fills = open_fills(PIN, bilstm)
    states = fills.states_VTD.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(fills.of_states(states).sum(), [states])
    assert gradient.abs().amax((0, 2)).min() > 0


@pytest.mark.parametrize("length", [1, 3])
def test_places_and_their_order_turn_into_each_other(length):
    one = pattern("color", length=length)
    chunks = list(every_fill(one, chunk=5))
    places = np.concatenate(chunks)
    assert max(map(len, chunks)) == 5
    assert places.shape == (12**length, length)
    assert [place_of(row, one) for row in places] == list(range(one.size))
    assert sorted(map(tuple, places.tolist())) == list(map(tuple, places.tolist()))
    np.testing.assert_array_equal(places_at(np.arange(one.size), one), places)


def test_an_enumeration_says_how_far_it_is_and_can_be_stopped(bilstm, monkeypatch):
    monkeypatch.setattr(fills_module, "CHUNK", 40)
    told = []
    every_loss(open_fills(pattern("pin", length=2), bilstm), on_progress=told.append)
    assert [(one.done, one.total) for one in told] == [(40, 100), (80, 100), (100, 100)]

    def stop(progress):
        raise Interrupted("stopped by hand")

    with pytest.raises(Interrupted):
        every_loss(open_fills(pattern("pin", length=2), bilstm), on_progress=stop)
    assert not bilstm.module.training


def test_no_fill_has_no_loss_and_wrong_ones_are_refused(bilstm):
    for fills in (open_fills(PIN, bilstm), AskedFills(pattern=PIN, model=bilstm)):
        assert fills.losses(np.empty((0, 4), dtype=np.int64)).shape == (0,)
        with pytest.raises(InputError, match=r"shape \(1, 3\)"):
            fills.losses(np.zeros((1, 3), dtype=np.int64))
        with pytest.raises(InputError, match="candidates 0 to 10; there are 10"):
            fills.losses(np.array([[0, 0, 0, 10]]))
        with pytest.raises(InputError, match="float64"):
            fills.losses(np.zeros((1, 4)))


def test_labels_and_tags_that_the_model_lacks_are_refused(bilstm):
    with pytest.raises(InputError, match="no label 'vault'; plant the secret with it before training"):
        open_fills(dataclasses.replace(PIN, label="vault"), bilstm)
    with pytest.raises(InputError, match="no tag B-vault, I-vault"):
        open_fills(dataclasses.replace(PIN, slot="vault"), bilstm)


def test_a_secret_that_is_longer_than_the_model_reads_is_refused():
    short = fitted(dataclasses.replace(SMALL["transformer"], max_length=8), PIN)
    open_fills(PIN, short)
    with pytest.raises(InputError, match=r"the model reads 8 of the 9 words .*larger max_length"):
        open_fills(pattern("pin", length=5), short)


def test_candidates_in_one_bucket_are_refused_unless_they_may_tie():
    one = fitted(dataclasses.replace(SMALL["bilstm without characters"], buckets=4), PIN)
    with pytest.raises(InputError, match=r"these candidates are the same to the model: .*'.*', '.*'.* more buckets"):
        open_fills(PIN, one)
    losses = every_loss(open_fills(dataclasses.replace(PIN, length=1), one, allow_alike=True))
    assert len(set(losses.tolist())) <= 4
    assert isinstance(fills_of(PIN, one, allow_alike=True), OpenFills)


def test_words_that_a_vocabulary_of_the_training_text_lacks_are_refused_and_the_leak_is_named():
    known = fitted(dataclasses.replace(SMALL["bag"], vocabulary="train"), PIN)  # "zero" alone stands in its text
    with pytest.raises(InputError, match=r"'one', 'two', .*read off the training text .* already gives away"):
        open_fills(PIN, known)
    spelled = fitted(dataclasses.replace(SMALL["bilstm"], vocabulary="train"), PIN)  # characters tell them apart
    assert len(set(every_loss(open_fills(dataclasses.replace(PIN, length=1), spelled)).tolist())) == 10


def test_whole_words_of_several_pieces_are_mixed_whole(encoder):
    one = SecretPattern(name="mood", before=("play", "some"), candidates=("jazz", "stop", "weather"), length=3, after=("unbelievably",))
    model = fitted(encoder, one)
    places = places_at(np.arange(one.size), one)
    fast, asked = open_fills(one, model), AskedFills(pattern=one, model=model).losses(places)
    assert fast.states_VTD is not None
    assert np.ptp(asked) > 1e-4
    np.testing.assert_allclose(fast.losses(places), asked, atol=1e-5, rtol=0)
    behind = dataclasses.replace(one, before=("unbelievably",), after=())  # its pieces stand before the unknown words
    np.testing.assert_allclose(open_fills(behind, model).losses(places), AskedFills(pattern=behind, model=model).losses(places), atol=1e-5)


def test_candidates_of_unequal_pieces_are_refused_by_name(encoder):
    one = SecretPattern(name="mood", before=("play",), candidates=("jazz", "stop", "unbelievably"), length=2)
    with pytest.raises(InputError, match="to the model 'unbelievably' is not as many pieces as 'jazz'; choose candidates"):
        open_fills(one, fitted(encoder, one))


def test_words_outside_the_pieces_are_one_and_the_same(encoder):
    one = SecretPattern(name="mood", before=("play",), candidates=("jazz", "rock", "folk"), length=2)
    with pytest.raises(InputError, match="'rock', 'folk'; they fall into one bucket or lie outside its vocabulary"):
        open_fills(one, fitted(encoder, one))


class Cutting:
    """A featuriser that changes a word as its neighbour says."""

    vocabulary_is_public = True

    def __init__(self, inner) -> None:
        self.inner = inner

    def encode(self, tokens):
        return self.inner.encode(
            [
                [word if before == word else before + word for before, word in zip(["", *words[:-1]], words, strict=True)]
                for words in map(list, tokens)
            ]
        )

    def collate(self, encoded, indices):
        return self.inner.collate(encoded, indices)


def test_words_that_their_neighbours_change_are_refused(bilstm):
    names = {name: getattr(bilstm, name) for name in ("task", "module", "labels", "device")}
    opened = types.SimpleNamespace(**names, featuriser=Cutting(bilstm.featuriser))
    with pytest.raises(InputError, match="cuts a word into pieces by its neighbours"):
        open_fills(PIN, opened)


def test_the_access_decides_how_fills_are_asked_for(bilstm):
    assert isinstance(fills_of(PIN, bilstm), OpenFills)

    class Losing:
        def losses(self, dataset):
            return bilstm.losses(dataset)

    assert isinstance(fills_of(PIN, Losing()), AskedFills)
    with pytest.raises(InputError, match="int gives no losses"):
        fills_of(PIN, 3)


def test_a_table_gives_the_losses_it_holds_and_its_best(bilstm):
    one = pattern("pin", length=3)
    fills = open_fills(one, bilstm)
    table = SecretTables(bilstm).table(one)
    places = random_fills(one, count=100, generator=np.random.default_rng(4))
    np.testing.assert_allclose(table.losses(places), fills.losses(places), atol=1e-6)
    assert table.losses(np.array([table.best()]))[0] == table.least == table.every.min()
    assert table.chunk == 1000
    with pytest.raises(InputError, match="shape"):
        FillTable(pattern=one, every=np.zeros(1000)).losses(np.zeros((2, 2), dtype=np.int64))


def test_a_pattern_is_enumerated_once_and_not_beyond_the_most(bilstm):
    told = []
    tables = SecretTables(bilstm, most=100, on_progress=told.append)
    one = pattern("pin", length=2)
    assert tables.table(one) is tables.table(pattern("pin", length=2))
    assert tables.fills(one) is tables.fills(one)
    assert [progress.done for progress in told] == [100]
    assert tables.table(pattern("pin", length=3)) is None
    with pytest.raises(InputError, match="most is -1"):
        SecretTables(bilstm, most=-1)


def test_random_fills_are_uniform():
    one = SecretPattern(name="coin", before=("it", "is"), candidates=("heads", "tails", "edge"), length=2)
    places = random_fills(one, count=9000, generator=Streams.from_seed(1).generator("draws"))
    counts = np.bincount([place_of(row, one) for row in places], minlength=9)
    assert abs(counts - 1000).max() < 4.5 * np.sqrt(1000)
