"""The embedding attack gives the exact set of words for SGD, whatever the batch, the cohort and the clipping; where not, it says so."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.oracles.gradient_rounds import NextWord, Opened, TiedLanguageModel, dictionary, enough_buckets, opened, text, words_in

from holdfast.audit.gradients import Candidates, WordTables, embedding_tokens, observe, rehearse
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.data.examples import Example
from holdfast.models import Labels, settings

STREAMS = Streams.from_seed(7)
CLIENTS, PUBLIC = text(150, 150)
WORDS = dictionary(CLIENTS, PUBLIC)
BUCKETS = enough_buckets(WORDS)
CANDIDATES = Candidates.of(PUBLIC, vocabulary=WORDS)
KINDS = {
    "bag": {"buckets": BUCKETS},
    "bilstm": {"buckets": BUCKETS},
    "transformer": {"buckets": BUCKETS},
    "known words": {"vocabulary": "train"},
}


@pytest.fixture(scope="module", params=KINDS)
def attacked(request: pytest.FixtureRequest) -> tuple[Opened, WordTables]:
    kind = "bilstm" if request.param == "known words" else request.param
    model = opened(kind, CLIENTS, **KINDS[request.param])
    return model, WordTables.of(model, CANDIDATES)


def some(size: int, seed: int) -> Dataset:
    return CLIENTS.take(np.random.default_rng(seed).choice(len(CLIENTS), size, replace=False))


def named(found) -> set[str]:
    return {word.casefold() for word in found.words}


def test_only_the_table_of_words_is_taken_for_one(attacked):
    """Not those of positions, types and bytes."""
    model, tables = attacked
    (table,) = tables.tables
    assert table.parameter in ("words.trained.weight", "encoder.embeddings.word_embeddings.weight")
    assert not table.tied
    assert tables.reason == ""
    ids = model.featuriser.encode([[word] for word in CANDIDATES.words]).pieces.values
    assert table.rows == tuple((int(row),) for row in ids)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 8])
def test_the_set_of_words_is_exact(attacked, batch_size: int):
    model, tables = attacked
    for seed in range(3):
        data = some(batch_size, seed)
        found = embedding_tokens(tables, observe(model, [data], streams=STREAMS), most=1)
        assert named(found) == words_in(data)
        assert (found.basis, found.reason, found.unnamed, found.method) == ("exact", "", 0, "embedding-rows")


@pytest.mark.parametrize(
    ("cohort", "clip_norm", "divisor"), [(1, 1e-3, 1), (16, None, 1), pytest.param(64, 1e-3, 64, marks=pytest.mark.slow)]
)
def test_neither_clipping_nor_a_large_sum_hides_a_word(attacked, cohort: int, clip_norm: float | None, divisor: int):
    model, tables = attacked
    clients = [CLIENTS.take([row]) for row in range(cohort)]
    found = embedding_tokens(tables, observe(model, clients, streams=STREAMS, clip_norm=clip_norm, divisor=divisor), most=1)
    assert named(found) == words_in(*clients)
    assert found.basis == "exact"


def test_dropout_in_the_clients_leaves_the_set_without_the_dropped_words(attacked):
    model, tables = attacked
    data = some(8, 0)
    found = embedding_tokens(tables, observe(model, [data], streams=STREAMS, mode="training"), most=1)
    unknown = {word for group in found.alike for word in group}  # a dropped word moves the row of the unknown ones, as documented
    assert named(found) - unknown <= words_in(data)
    assert len(named(found) - unknown) > 0.6 * len(words_in(data))


def test_words_of_one_bucket_are_one_guess_and_are_listed():
    model = opened("bag", CLIENTS, buckets=60)
    data = some(2, 1)
    found = embedding_tokens(WordTables.of(model, CANDIDATES), observe(model, [data], streams=STREAMS), most=1)
    vocabulary = model.featuriser.vocabulary
    buckets = {vocabulary.id_of(word) for word in words_in(data)}
    assert {vocabulary.id_of(word.lower()) for word in found.words} == buckets
    assert len(found.words) == len(buckets)
    for group in found.alike:
        assert group[0] in found.words
        assert len({vocabulary.id_of(word.lower()) for word in group}) == 1
    assert {word.casefold() for group in found.alike for word in group} | named(found) >= words_in(data)


def test_a_word_that_the_attacker_did_not_think_of_is_counted(attacked):
    model, _ = attacked
    tables = WordTables.of(model, Candidates.of(PUBLIC))
    data = CLIENTS.take([next(row for row, words in enumerate(CLIENTS.tokens()) if not set(words) <= set(dictionary(PUBLIC)))])
    found = embedding_tokens(tables, observe(model, [data], streams=STREAMS), most=1)
    strange = words_in(data) - words_in(PUBLIC)
    assert named(found) == words_in(data) - strange
    assert found.unnamed == len(strange)


def test_a_frozen_table_is_said(attacked):
    model, _ = attacked
    (table,) = WordTables.of(model, CANDIDATES).tables
    weight = model.module.get_parameter(table.parameter).requires_grad_(False)
    try:
        tables = WordTables.of(model, CANDIDATES)
        found = embedding_tokens(tables, observe(model, [some(1, 0)], streams=STREAMS), most=5)
    finally:
        weight.requires_grad_(True)
    assert tables.tables == ()
    assert "frozen" in found.reason
    assert (found.basis, found.words) == ("prior", CANDIDATES.words[:5])


def test_pretrained_vectors_beside_trained_ones(tmp_path):
    lines = [f"{word} {' '.join(map(str, np.random.default_rng(n).normal(size=6).round(3)))}" for n, word in enumerate(WORDS)]
    (tmp_path / "vectors.txt").write_text("\n".join(lines))
    for options in ({"freeze_vectors": False}, {"freeze_vectors": True}, {"freeze_vectors": True, "embedding": 0}):
        model = opened("bag", CLIENTS, vocabulary="vectors", vectors=str(tmp_path / "vectors.txt"), **options)
        tables, data = WordTables.of(model, CANDIDATES), some(3, 2)
        found = embedding_tokens(tables, observe(model, [data], streams=STREAMS), most=3)
        if "embedding" in options:
            assert found.basis == "prior"
            assert "frozen" in found.reason
        else:
            assert len(tables.tables) == 1 + (not options["freeze_vectors"])
            assert named(found) == words_in(data)


def tied(*, by_function: bool) -> Opened:
    settings_ = settings("bag", {"vocabulary": "train"})
    featuriser = settings_.featuriser([WORDS])
    torch.manual_seed(0)
    module = TiedLanguageModel(featuriser.vocabulary.size, by_function=by_function)
    return Opened(NextWord(), module, featuriser, Labels(sentence=("none",)))


@pytest.mark.parametrize("by_function", [False, True])
def test_a_tied_table_is_said(by_function: bool):
    model, data = tied(by_function=by_function), some(2, 3)
    tables, seen = WordTables.of(model, CANDIDATES), observe(model, [data], streams=STREAMS)
    found = embedding_tokens(tables, seen, most=len(words_in(data)))
    assert "output layer" in found.reason
    assert found.basis == "prior"
    assert len(found.words) == len(words_in(data))
    rehearsals = rehearse(model, [[PUBLIC.take([2 * row, 2 * row + 1])] for row in range(6)], streams=STREAMS)
    learned = embedding_tokens(tables, seen, most=len(words_in(data)), rehearsals=rehearsals)
    assert learned.basis == "scores"
    assert len(named(learned) & words_in(data)) > len(named(found) & words_in(data))  # a tie hides exactness, not much else


def test_weight_decay_is_said():
    model, data = opened("bag", CLIENTS, buckets=BUCKETS), some(2, 3)
    seen = observe(model, [data], streams=STREAMS)
    decayed = {name: value + 0.01 * model.module.get_parameter(name).detach() for name, value in seen.update.items()}
    found = embedding_tokens(WordTables.of(model, CANDIDATES), replace(seen, update=decayed), most=4)
    assert "weight decay" in found.reason
    assert found.basis == "prior"


def test_little_noise_is_seen_through_and_much_is_not():
    model, data = opened("bag", CLIENTS, buckets=BUCKETS), some(2, 4)
    tables, there = WordTables.of(model, CANDIDATES), words_in(data)
    hits = {}
    for noise in (1e-5, 10.0):
        seen = observe(model, [data], streams=STREAMS, clip_norm=1.0, noise_multiplier=noise)
        rehearsals = rehearse(
            model, [[PUBLIC.take([2 * row, 2 * row + 1])] for row in range(4)], streams=STREAMS, clip_norm=1.0, noise_multiplier=noise
        )
        for name, known in (("ratio", ()), ("rehearsed", rehearsals)):
            found = embedding_tokens(tables, seen, most=len(there), rehearsals=known)
            assert found.basis == "scores"
            assert "noise" in found.reason
            hits[name, noise] = len(named(found) & there) / len(there)
    prior = len(set(CANDIDATES.words[: len(there)]) & there) / len(there)
    assert hits["ratio", 1e-5] == hits["rehearsed", 1e-5] == 1
    assert max(hits["ratio", 10.0], hits["rehearsed", 10.0]) <= prior + 0.2


def test_words_of_several_pieces_need_all_their_pieces():
    """A made-up cutter: a word is one piece for each of its letters, between two pieces that every sentence has."""
    letters = "abcdefgh"

    class Table(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pieces, self.places = torch.nn.Embedding(12, 4), torch.nn.Embedding(40, 4)

        def forward(self, features):
            return (self.pieces(features.ids_BT) + self.places(torch.arange(features.ids_BT.shape[1]).expand_as(features.ids_BT))).sum()

    class Cutter:
        def encode(self, tokens):
            return [[8, *(letters.index(letter) for word in row for letter in word), 9] for row in tokens]

        def collate(self, encoded, indices):
            T = max(len(encoded[i]) for i in indices)
            ids = torch.tensor([encoded[i] + [10] * (T - len(encoded[i])) for i in indices])
            features = SimpleNamespace(ids_BT=ids, mask_BT=ids != 10)
            features.to = lambda device: features
            return features

    module, words = Table(), ["ab", "cd", "ac", "h", "ef"]
    model = SimpleNamespace(task=None, module=module, featuriser=Cutter(), labels=None, device=torch.device("cpu"))
    tables = WordTables.of(model, Candidates.of([words]))
    (table,) = tables.tables
    assert (table.parameter, table.shared) == ("pieces.weight", (8, 9))
    update = torch.zeros(12, 4)
    update[[8, 9, 0, 1, 2, 3, 5]] = 1.0
    found = embedding_tokens(tables, SimpleNamespace(update={"pieces.weight": update}, noise_std=0.0), most=1)
    assert set(found.words) == {"ab", "cd", "ac"}  # "ac" is made of pieces of the others, as the docstring says
    assert found.unnamed == 0  # the piece of "f" belongs to a candidate, not all of whose pieces moved


def test_a_model_without_a_table_and_a_round_of_another_model():
    model = opened("bag", CLIENTS, buckets=BUCKETS)
    seen = observe(model, [some(1, 0)], streams=STREAMS)
    tables = WordTables.of(model, CANDIDATES)
    for update in ({}, {"words.trained.weight": torch.zeros(3, 16)}):
        with pytest.raises(InputError, match="give a round of this model"):
            embedding_tokens(tables, replace(seen, update=update), most=1)
    with torch.no_grad():
        bare = replace(model, module=torch.nn.Module())
        bare.module.forward = lambda features: features.ids_BT
    assert "no table" in WordTables.of(bare, CANDIDATES).reason


def test_a_word_is_told_by_itself_even_if_said_once_among_many():
    rows = [Example(tokens=("play", "jazz"), label="music", tags=("O", "B-genre"))] * 7
    rows.append(Example(tokens=("call", "ada"), label="call", tags=("O", "B-contact")))
    data = Dataset.from_examples(rows, name="tiny", split="train")
    model = opened("transformer", data, buckets=BUCKETS)
    tables = WordTables.of(model, Candidates.of([["play", "jazz", "call", "ada", "the"]]))
    assert named(embedding_tokens(tables, observe(model, [data], streams=STREAMS), most=1)) == {"play", "jazz", "call", "ada"}
