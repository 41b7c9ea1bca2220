"""The subspace attack is exact while the words are fewer than the layer is wide; where not, it gives the rank and no guess."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tests.oracles.gradient_rounds import Opened, dictionary, enough_buckets, opened, text, words_in
from tests.oracles.tiny_encoders import saved

from holdfast.audit.gradients import Candidates, Readers, Recovered, Round, Tolerances, observe, rehearse, subspace
from holdfast.audit.gradients.projections import second_inputs
from holdfast.audit.gradients.spans import Span
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.models import settings

STREAMS = Streams.from_seed(9)
CLIENTS, PUBLIC = text(150, 150)
WORDS = dictionary(CLIENTS, PUBLIC)
BUCKETS = enough_buckets(WORDS)
CANDIDATES = Candidates.of(PUBLIC, vocabulary=WORDS)
POSITIONS = 14


@pytest.fixture(scope="module")
def bert() -> Opened:
    return opened("transformer", CLIENTS, buckets=BUCKETS)


@pytest.fixture(scope="module")
def readers(bert: Opened) -> Readers:
    return Readers.of(bert, CANDIDATES, positions=POSITIONS)


@pytest.fixture(scope="module")
def trained(bert: Opened) -> Readers:
    """A BERT whose normalisation does not simply pass sums of words and places on, as after training."""
    model = opened("transformer", CLIENTS, buckets=BUCKETS, seed=1)
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            parameter += torch.randn(parameter.shape, generator=source) * (0.1 if "LayerNorm" in name else 0.02)
    return Readers.of(model, CANDIDATES, positions=POSITIONS)


def short(size: int, seed: int, *, longest: int = 10) -> Dataset:
    rows = [row for row, words in enumerate(CLIENTS.tokens()) if len(words) <= longest]
    return CLIENTS.take(np.random.default_rng(seed).choice(rows, size, replace=False))


def attack(readers: Readers, clients: Sequence[Dataset], limits: Tolerances | None = None, **options: object) -> Recovered:
    seen = observe(readers.model, clients, streams=STREAMS, **options)
    return subspace(readers, seen, most=len(words_in(*clients)), tolerances=limits)


def named(found: Recovered) -> set[str]:
    return {word.casefold() for word in found.words}


def rows(*parts: Dataset) -> set[tuple[str, ...]]:
    return {tuple(row) for part in parts for row in part.tokens()}


def test_the_layers_are_found_by_what_goes_into_them(readers: Readers):
    layer = "encoder.encoder.layer.{}.attention.self.{}.weight"
    assert readers.first == tuple(layer.format(0, name) for name in ("query", "key", "value"))
    assert readers.second == tuple(layer.format(1, name) for name in ("query", "key", "value"))
    assert readers.inputs_VPD.shape == (len(CANDIDATES.words), POSITIONS, 64)
    assert readers.capacity == 63  # a fresh normalisation takes the mean off
    assert readers.knows_places


def test_the_inputs_are_what_the_layer_reads_of_a_sentence(readers: Readers):
    sentence = CLIENTS.tokens()[0]
    read: list[torch.Tensor] = []
    query = readers.model.module.get_submodule(readers.owner)
    handle = query.register_forward_pre_hook(lambda module, given: read.append(given[0]))
    second_inputs(readers, [sentence])
    handle.remove()
    places = [CANDIDATES.words.index(word) for word in sentence]
    torch.testing.assert_close(read[0][0], readers.inputs_VPD[places, range(len(places))])


@pytest.mark.parametrize("fixture", ["readers", "trained"])
@pytest.mark.parametrize("seed", range(4))
def test_one_sentence_comes_out_whole(fixture: str, seed: int, request: pytest.FixtureRequest):
    data = short(1, seed)
    found = attack(request.getfixturevalue(fixture), [data])
    assert found.sentences == tuple(rows(data))
    assert named(found) == words_in(data)
    assert (found.basis, found.reason, found.unnamed, found.alike) == ("exact", "", 0, ())
    assert found.rank == len(data.tokens()[0])


@pytest.mark.parametrize("fixture", ["readers", "trained"])
@pytest.mark.parametrize("batch_size", [2, 3, 4])
def test_the_words_of_several_sentences_are_exact_and_no_sentence_is_made_up(fixture: str, batch_size: int, request: pytest.FixtureRequest):
    whole = 0
    for seed in range(2):
        data = short(batch_size, seed, longest=8)
        found = attack(request.getfixturevalue(fixture), [data], Tolerances(tests=2000, stop_at=batch_size))
        assert named(found) == words_in(data)
        assert found.basis == "exact"
        assert set(found.sentences) <= rows(data)
        assert (len(found.sentences) == batch_size) or "some may be missing" in found.reason
        whole += len(found.sentences)
    assert whole >= 1 + batch_size


def test_clipping_and_a_cohort_change_nothing(readers: Readers):
    clients = [short(1, seed, longest=6) for seed in range(4)]
    found = attack(readers, clients, Tolerances(tests=500), clip_norm=1e-3, divisor=4)
    assert named(found) == words_in(*clients)
    assert found.basis == "exact"
    assert set(found.sentences) <= rows(*clients)


def test_too_many_words_give_the_rank_and_no_guess(readers: Readers):
    data = CLIENTS.take(np.arange(40))
    assert len({(word, place) for row in data.tokens() for place, word in enumerate(row)}) > 64
    found = attack(readers, [data])
    assert found.basis == "prior"
    assert found.sentences == ()
    assert found.rank >= 60
    assert f"rank {found.rank}" in found.reason
    assert "63 dimensions" in found.reason
    assert found.words == CANDIDATES.words[: len(found.words)]


@pytest.mark.parametrize("size", [7, 8, 9, 10, 11, 12])
def test_near_the_width_no_word_is_made_up_and_what_is_missing_is_counted(trained: Readers, size: int):
    data = CLIENTS.take(np.arange(size))
    found = attack(trained, [data], Tolerances(tests=0))
    if found.basis != "exact":
        assert f"rank {found.rank}" in found.reason
        return
    missed = words_in(data) - named(found)
    assert named(found) <= words_in(data)
    assert found.unnamed >= len(missed)  # what rounding hides is counted
    assert len(missed) <= 1


def test_noise_gives_odds(readers: Readers):
    data = short(2, 0)
    there = words_in(data)
    seen = observe(readers.model, [data], streams=STREAMS, clip_norm=1.0, noise_multiplier=0.5)
    found = subspace(readers, seen, most=len(there))
    assert found.basis == "prior"  # nothing was rehearsed
    assert found.reason.startswith("noise")
    assert (found.sentences, len(found.words)) == ((), len(there))
    assert found.rank <= 2  # no more directions than the noise has by chance
    rehearsals = rehearse(readers.model, [[short(2, 5)]], streams=STREAMS, clip_norm=1.0, noise_multiplier=1e-7)
    faint = observe(readers.model, [data], streams=STREAMS, clip_norm=1.0, noise_multiplier=1e-7)
    assert len(named(subspace(readers, faint, most=len(there), rehearsals=rehearsals)) & there) > 0.5 * len(there)


def test_dropout_in_the_clients_hides_the_inputs(readers: Readers):
    found = attack(readers, [short(1, 0)], mode="training")
    assert found.basis == "prior"
    assert "dropped numbers" in found.reason


def test_words_that_the_attacker_did_not_think_of_are_counted(bert: Opened):
    sentence = max(rows(short(20, 0)), key=len)
    data = CLIENTS.take([CLIENTS.tokens().index(list(sentence))])
    known = Candidates.of([[word for word in WORDS if word != sentence[1]]])
    found = attack(Readers.of(bert, known, positions=POSITIONS), [data])
    assert named(found) == words_in(data) - {sentence[1].casefold()}
    assert found.unnamed == sentence.count(sentence[1])
    assert "did not think of" in found.reason
    assert found.sentences == ()


def test_words_of_one_bucket_are_told_apart_by_nobody():
    model = opened("transformer", CLIENTS, buckets=60)
    found = attack(Readers.of(model, CANDIDATES, positions=POSITIONS), [short(1, 2)])
    assert found.alike
    id_of = model.featuriser.vocabulary.id_of
    assert {id_of(word) for word in found.words} == {id_of(word) for word in words_in(short(1, 2))}
    assert all(len({id_of(word.lower()) for word in group}) == 1 for group in found.alike)


def test_an_lstm_tells_the_words_even_if_its_table_is_frozen():
    model = opened("bilstm", CLIENTS, buckets=BUCKETS, embedding=48)
    model.module.words.requires_grad_(False)
    readers = Readers.of(model, CANDIDATES, positions=POSITIONS)
    assert readers.first == ("layers.0.forth.weight_ih_l0",)
    assert not readers.knows_places
    for size in (1, 3):
        data = short(size, size)
        found = attack(readers, [data])
        assert named(found) == words_in(data)
        assert found.basis == "exact"
        assert "not their order" in found.reason
        assert found.sentences == ()


def test_one_layer_gives_one_sentence_and_no_more():
    readers = Readers.of(opened("transformer", CLIENTS, buckets=BUCKETS, layers=1), CANDIDATES, positions=POSITIONS)
    assert readers.second == ()
    one, two = short(1, 0), short(2, 0)
    assert attack(readers, [one]).sentences == tuple(rows(one))
    found = attack(readers, [two])
    assert found.sentences == ()
    assert "no second layer" in found.reason
    assert named(found) == words_in(two)


def test_models_that_do_not_read_whole_words_one_by_one_are_said(tmp_path):
    bag = Readers.of(opened("bag", CLIENTS, buckets=BUCKETS), CANDIDATES)
    assert "one by one" in bag.reason
    found = attack(bag, [short(1, 0)])
    assert (found.basis, found.reason, found.rank) == ("prior", bag.reason, None)
    hub = settings(f"hub:{saved(tmp_path / 'bert', 'bert')}", {"max_length": 40})
    featuriser = hub.featuriser([])
    labels = opened("bag", CLIENTS).labels
    pieces = Opened(None, hub.build(featuriser, labels, STREAMS), featuriser, labels)
    assert "pieces" in Readers.of(pieces, Candidates.of([["play", "unbelievably", "jazz"]])).reason


def test_a_span_is_that_of_the_rows():
    rng = np.random.default_rng(0)
    inside = torch.from_numpy(rng.normal(size=(3, 10)))
    update = {"a": torch.from_numpy(rng.normal(size=(5, 3))) @ inside, "b": torch.from_numpy(rng.normal(size=(2, 3))) @ inside}
    seen = Round(update=update)
    span = Span.of(seen, ("a", "b"), rank_tolerance=1e-9)
    assert span.rank == 3
    outside = torch.eye(10, dtype=torch.float64)[0]
    assert float(span.distances(inside).max()) < 1e-12
    projector = inside.T @ torch.linalg.inv(inside @ inside.T) @ inside
    torch.testing.assert_close(span.distances(outside), (outside - projector @ outside).norm())
    assert [span.explained_by(inside[:count]) for count in range(4)] == [0, 1, 2, 3]
    assert Span.of(Round(update={"a": torch.zeros(2, 4)}), ("a",), rank_tolerance=1e-9).rank == 0


def test_a_round_without_the_layer_or_a_tolerance_out_of_bounds(readers: Readers):
    with pytest.raises(InputError, match="give a round of this model"):
        subspace(readers, Round(update={}), most=1)
    with pytest.raises(InputError, match="rank_tolerance is 0"):
        attack(readers, [short(1, 0)], Tolerances(rank=0))


def test_a_toy_of_two_layers_and_width_128_takes_five_seconds_at_most():
    model = opened("transformer", CLIENTS, buckets=BUCKETS, width=128, heads=4, feedforward=256)
    data = short(2, 1)
    began = time.process_time()
    found = attack(Readers.of(model, CANDIDATES, positions=POSITIONS), [data], Tolerances(stop_at=2))
    assert time.process_time() - began <= 5
    assert set(found.sentences) == rows(data)
