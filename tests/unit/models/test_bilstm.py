from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.models import BiLSTM, Labels
from holdfast.models.bilstm import BothWays, CharacterCNN

SMALL = {"embedding": 6, "hidden": 5, "characters": 4, "character_width": 3}


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    (tmp_path / "vectors.txt").write_text("jazz 1 2 3\nplay 4 5 6\npolka 7 8 9\n")
    return str(tmp_path / "vectors.txt")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": 2},
        {"characters": 0},
        {"vocabulary": "hashed", "buckets": 7},
        {"vectors": True},
        {"vectors": True, "freeze_vectors": False, "embedding": 0},
        {"vectors": True, "vocabulary": "vectors", "embedding": 0},
        {"vectors": True, "vocabulary": "vectors"},
    ],
)
def test_any_bilstm_suits_a_private_clipper(options: dict, vectors: str, built, check_contract):
    check_contract(*built(BiLSTM(**(SMALL | options | ({"vectors": vectors} if "vectors" in options else {})))))


@pytest.mark.parametrize("labels", [Labels(("a", "b")), Labels((), ("O", "B-x"))])
def test_a_kind_without_labels_has_no_logits(labels: Labels, built, sentences):
    module, featuriser = built(BiLSTM(**SMALL), labels)
    logits = module(featuriser.collate(featuriser.encode(sentences), np.arange(4)))
    assert (logits.sentence_BK is None) == (not labels.sentence)
    assert (logits.tokens_BWS is None) == (not labels.tokens)


def test_no_examples_give_no_logits(built, sentences):
    module, featuriser = built(BiLSTM(**SMALL, layers=2))
    logits = module(featuriser.collate(featuriser.encode(sentences), np.array([], dtype=np.int64)))
    assert logits.sentence_BK.shape == (0, 2)
    assert logits.tokens_BWS.shape == (0, 1, 3)


@hypothesis_settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_both_ways_are_a_packed_bidirectional_lstm(lengths: list[int]):
    torch.manual_seed(0)
    layer, oracle = BothWays(3, 4), nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    for name, parameter in oracle.named_parameters():
        own = layer.back if name.endswith("_reverse") else layer.forth
        parameter.data.copy_(getattr(own, name.removesuffix("_reverse")))
    x = torch.randn(len(lengths), max(lengths), 3)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    turned = torch.where(mask, torch.tensor(lengths)[:, None] - 1 - torch.arange(max(lengths)), torch.arange(max(lengths)))
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(oracle(packed)[0], batch_first=True)
    torch.testing.assert_close(layer(x, turned)[mask], expected[mask], atol=1e-6, rtol=1e-5)


@hypothesis_settings(deadline=None, max_examples=25)
@given(
    st.lists(st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=4), min_size=1, max_size=3), st.sampled_from([1, 3, 5])
)
def test_characters_are_a_convolution_of_each_word_alone(rows: list[list[str]], kernel: int):
    torch.manual_seed(0)
    layer = CharacterCNN(3, 6, kernel)
    shape = (len(rows), max(map(len, rows)), max(len(word) for row in rows for word in row))
    letters = torch.zeros(shape, dtype=torch.int64)
    for row, words in enumerate(rows):
        for place, word in enumerate(words):
            letters[row, place, : len(word)] = torch.tensor(list(word.encode())) + 1
    found = layer(letters)
    assert found.shape == (*shape[:2], 6)
    for row, words in enumerate(rows):
        for place, word in enumerate(words):
            alone = layer.filters(layer.bytes(letters[row, place, : len(word)]).T[None])
            torch.testing.assert_close(found[row, place], F.relu(alone).amax(2)[0], atol=1e-6, rtol=1e-5)
        assert not found[row, len(words) :].any()


def test_weights_depend_on_the_streams_alone(built):
    state, same, other = (built(BiLSTM(**SMALL), key=key)[0].state_dict() for key in (1, 1, 2))
    torch.manual_seed(99)
    assert all(torch.equal(state[name], same[name]) for name in state)
    assert not torch.equal(state["words.trained.weight"], other["words.trained.weight"])


def test_pretrained_rows_are_those_of_the_file_and_stay_frozen(vectors: str, built):
    module, featuriser = built(BiLSTM(**SMALL, vectors=vectors))
    rows = module.words.pretrained.weight
    assert rows[featuriser.vocabulary.id_of("polka")].tolist() == [7, 8, 9]  # not in the training text
    assert rows[featuriser.vocabulary.id_of("jazz")].tolist() == [1, 2, 3]
    assert not rows[0].any()
    assert not rows[featuriser.vocabulary.id_of("stop")].any()  # in the training text, not in the file
    assert not rows.requires_grad
    assert built(BiLSTM(**SMALL, vectors=vectors, freeze_vectors=False))[0].words.pretrained.weight.requires_grad


def test_words_of_the_file_alone_share_the_trained_row_of_the_unknown_word(vectors: str, built):
    module, featuriser = built(BiLSTM(**SMALL, vectors=vectors))
    polka, unknown, stop = (featuriser.vocabulary.id_of(word) for word in ("polka", "never seen", "stop"))
    rows = module.words(torch.tensor([[polka, unknown, stop]]))[0, :, :6]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert len(module.words.trained.weight) == featuriser.vocabulary.trained < featuriser.vocabulary.size


def test_only_a_vocabulary_of_the_training_text_is_not_public(vectors: str, sentences):
    public = {
        vocabulary: BiLSTM(vocabulary=vocabulary, vectors=file).featuriser(sentences).vocabulary_is_public
        for vocabulary, file in (("train", vectors), ("vectors", vectors), ("hashed", None))
    }
    assert public == {"train": False, "vectors": True, "hashed": True}


def test_a_public_featuriser_looks_at_no_text(vectors: str, sentences):
    for made in (BiLSTM(vocabulary="hashed"), BiLSTM(vocabulary="vectors", vectors=vectors)):
        assert made.featuriser(sentences) == made.featuriser([["quite", "another"]])


def test_dropout_is_off_in_evaluation_and_on_in_training(built, sentences):
    module, featuriser = built(BiLSTM(**SMALL, word_dropout=0.5))
    features = featuriser.collate(featuriser.encode(sentences), np.arange(4))
    assert torch.equal(module(features).sentence_BK, module(features).sentence_BK)
    module.train()
    assert not torch.equal(module(features).sentence_BK, module(features).sentence_BK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding": -1}, "embedding is -1"),
        ({"hidden": 0}, "hidden is 0"),
        ({"layers": 1.5}, "layers is 1.5"),
        ({"dropout": 1}, "dropout is 1"),
        ({"word_dropout": -0.1}, "word_dropout is -0.1"),
        ({"character_kernel": 4}, "character_kernel is 4; give an odd number"),
        ({"vocabulary": "hash"}, "did you mean 'hashed'"),
        ({"lowercase": 1}, "lowercase is 1; give true or false"),
        ({"vocabulary": "vectors"}, "there are none"),
        ({"vocabulary": "hashed", "vectors": "some.txt"}, "a bucket of words has no pretrained vector"),
        ({"embedding": 0}, "give one of them"),
    ],
)
def test_settings_out_of_bounds_are_refused(options: dict, message: str):
    with pytest.raises(InputError, match=message):
        BiLSTM(**options)


def test_a_missing_file_of_vectors_is_named(sentences):
    with pytest.raises(DataError, match=r"absent\.txt: cannot be read"):
        BiLSTM(vectors="absent.txt").featuriser(sentences)


def test_the_description_tells_the_vectors_by_hash_and_not_by_place(vectors: str):
    described = BiLSTM(vectors=vectors).describe()
    assert described["vectors"]["file"] == "vectors.txt"
    assert len(described["vectors"]["sha256"]) == 64
    assert str(Path(vectors).parent) not in str(described)


def test_a_few_examples_are_learned(built, sentences):
    module, featuriser = built(BiLSTM(**SMALL, dropout=0.0), key=3)
    features = featuriser.collate(featuriser.encode(sentences), np.arange(4))
    tags, intents = torch.tensor([[0, 1, 2, 0, 0]] * 4), torch.tensor([1, 0, 0, 1])
    optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(60):
        logits = module(features)
        loss = F.cross_entropy(logits.sentence_BK, intents) + F.cross_entropy(logits.tokens_BWS.flatten(0, 1), tags.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.5
    assert logits.sentence_BK.argmax(1).tolist() == intents.tolist()


def test_building_twice_needs_no_training_text(built, labels):
    module, featuriser = built(BiLSTM(**SMALL))
    again = BiLSTM(**SMALL).build(featuriser, labels, Streams(1))
    assert all(torch.equal(one, other) for one, other in zip(module.parameters(), again.parameters(), strict=True))
