"""Features, their batches and the promise that one example never sees another."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.models import Encoded, Features
from holdfast.models.ragged import Ragged
from holdfast.models.vocabulary import HashedWords
from holdfast.models.words import WordFeaturiser

SENTENCES = st.lists(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5), min_size=1, max_size=6)


def pieces() -> Encoded:
    """Two sentences in pieces: the second word of the first has two pieces, the third has none."""
    return Encoded(Ragged.from_rows([[2, 7, 8, 9, 3], [2, 7, 3]]), padding=5, words=Ragged.from_rows([[1, 2, -1], [1]]))


def test_padding_is_the_id_that_the_encoder_asks_for():
    features = pieces().collate(np.array([1, 0]))
    assert features.ids_BT.tolist() == [[2, 7, 3, 5, 5], [2, 7, 8, 9, 3]]
    assert features.mask_BT.sum(1).tolist() == [3, 5]


def test_a_word_without_a_piece_points_somewhere_harmless_and_is_masked():
    features = pieces().collate(np.array([0, 1]))
    assert features.words_BW.tolist() == [[1, 2, 0], [1, 0, 0]]
    assert features.word_mask_BW.tolist() == [[True, True, False], [True, False, False]]
    assert features.characters_BTL is None


def test_features_move_to_another_device_whole():
    made = WordFeaturiser(HashedWords(9), lowercase=True, word_bytes=4, max_words=0)
    for features in (pieces().collate(np.array([0])), made.collate(made.encode([["play"]]), np.array([0]))):
        moved = features.to("meta")
        for name, tensor in vars(features).items():
            assert (tensor is None) == (getattr(moved, name) is None)
            if tensor is not None:
                assert getattr(moved, name).device.type == "meta"
                assert getattr(moved, name).shape == tensor.shape


def test_tensors_have_the_types_that_layers_take():
    made = WordFeaturiser(HashedWords(9), lowercase=True, word_bytes=4, max_words=0)
    features = made.collate(made.encode([["play"]]), np.array([0]))
    assert features.ids_BT.dtype == features.characters_BTL.dtype == torch.int64
    assert features.mask_BT.dtype == features.word_mask_BW.dtype == torch.bool


@settings(deadline=None)
@given(SENTENCES, st.integers(0, 20), st.booleans())
def test_an_example_has_the_same_features_in_any_batch(sentences: list[list[str]], word_bytes: int, lowercase: bool):
    made = WordFeaturiser(HashedWords(50), lowercase=lowercase, word_bytes=word_bytes, max_words=0)
    encoded = made.encode(sentences)
    together = made.collate(encoded, np.arange(len(sentences)))
    for row, words in enumerate(sentences):
        alone = made.collate(made.encode([words]), np.array([0]))
        assert torch.equal(together.ids_BT[row, : len(words)], alone.ids_BT[0])
        assert together.mask_BT[row].tolist() == [place < len(words) for place in range(together.mask_BT.shape[1])]
        if word_bytes:
            _same_letters(together, alone, row, len(words))


def _same_letters(together: Features, alone: Features, row: int, words: int) -> None:
    length = alone.characters_BTL.shape[2]
    assert torch.equal(together.characters_BTL[row, :words, :length], alone.characters_BTL[0])
    assert not together.characters_BTL[row, :, length:].any()
    assert not together.characters_BTL[row, words:].any()


def test_a_large_data_set_stays_in_flat_arrays():
    made = WordFeaturiser(HashedWords(1000), lowercase=True, word_bytes=20, max_words=0)
    encoded = made.encode([[f"word{number % 700}", "a", "b"] for number in range(30_000)])
    arrays = [encoded.pieces.values, encoded.pieces.offsets, encoded.spelled.values, encoded.spellings]
    assert sum(array.nbytes for array in arrays) < 40 * len(encoded)  # bytes for each sentence of three words
    features = made.collate(encoded, np.array([29_999, 3]))
    assert features.characters_BTL.shape == (2, 3, 7)
