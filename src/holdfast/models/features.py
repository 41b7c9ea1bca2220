"""What goes into a model and what comes out: features, logits, labels, and the contract of what makes features from words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.models.crf.transitions import Transitions
from holdfast.models.ragged import Ragged


@dataclass(frozen=True, eq=False)
class Features:
    """The input of every model. B examples, T pieces, W words, L characters.

    Args:
        ids_BT: What each piece is, int64; anything where the mask is False.
        mask_BT: True where a piece is real. Padding comes after the real pieces.
        characters_BTL: The bytes of each word plus one, 0 behind its end, int64; None for models without characters.
        words_BW: The first piece of each word, int64; None where each piece is a word.
        word_mask_BW: True where a word is real and has a piece; `mask_BT` itself where each piece is a word.
        states_BTD: What a frozen encoder made of each piece beforehand; anything where the mask is False; None where it
            is yet to run.
    """

    ids_BT: Tensor
    mask_BT: Tensor
    characters_BTL: Tensor | None
    words_BW: Tensor | None
    word_mask_BW: Tensor
    states_BTD: Tensor | None = None

    def to(self, device: torch.device | str) -> Features:
        """Returns the same features on another device."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return Features(
            ids_BT=self.ids_BT.to(device, non_blocking=True),
            mask_BT=self.mask_BT.to(device, non_blocking=True),
            characters_BTL=moved(self.characters_BTL),
            words_BW=moved(self.words_BW),
            word_mask_BW=self.word_mask_BW.to(device, non_blocking=True),
            states_BTD=moved(self.states_BTD),
        )


@dataclass(frozen=True, eq=False)
class Logits:
    """The output of every model. B examples, K labels of the sentence, W words, S labels of a word.

    Args:
        sentence_BK: Scores of the labels of the whole sentence; None for a model without such labels.
        tokens_BWS: Scores of the labels of each word; None for a model without such labels. A model that predicts next words gives
            here the scores of each piece given the pieces before it, (B, T, S), S being all pieces of its vocabulary.
        transitions: Scores of labels of words that follow each other; None where each word's label is chosen by itself.
    """

    sentence_BK: Tensor | None
    tokens_BWS: Tensor | None
    transitions: Transitions | None = None


@dataclass(frozen=True)
class Labels:
    """The labels that a model chooses from, in the order of its outputs.

    Args:
        sentence: Labels of the whole sentence, such as intents; empty for none.
        tokens: Labels of a word, such as BIO tags; empty for none.
        next_words: Whether each word is to be predicted from those before it: the labels are then the vocabulary of the featuriser,
            and there are no others.

    Raises:
        InputError: For a label that stands twice, no labels at all, or next words beside other labels.

    >>> Labels(next_words=True).tokens
    ()
    """

    sentence: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    next_words: bool = False

    def __post_init__(self) -> None:
        for name in ("sentence", "tokens"):
            labels = getattr(self, name)
            if len(set(labels)) != len(labels):
                raise InputError(f"labels: {name} holds a label twice: {sorted({x for x in labels if labels.count(x) > 1})}")
        if self.next_words and (self.sentence or self.tokens):
            raise InputError("labels: a model that predicts next words has no other labels; leave out sentence and tokens, or next_words")
        if not self.sentence and not self.tokens and not self.next_words:
            raise InputError("labels: neither the sentence nor its tokens have a label; give at least one")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON that `from_json` reads; models without next words are written as they were before there were any."""
        plain = {"sentence": list(self.sentence), "tokens": list(self.tokens)}
        return plain | ({"next_words": True} if self.next_words else {})

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Reads what `to_json` wrote."""
        return cls(tuple(document["sentence"]), tuple(document["tokens"]), bool(document.get("next_words", False)))

    def check_not_next_words(self, owner: str) -> None:
        """Refuses to predict next words.

        Args:
            owner: The part of a model that cannot, for the error.

        Raises:
            InputError: If the labels are the vocabulary.
        """
        if self.next_words:
            raise InputError(f"{owner} chooses among labels and cannot predict next words; take the model 'lstm-lm' or 'decoder'")


@dataclass(frozen=True, eq=False)
class Encoded:
    """A data set as a featuriser sees it: flat arrays, padded only when a batch is made.

    Args:
        pieces: The ids of each example's words or pieces.
        padding: The id behind the end of a sentence.
        words: The first piece of each word, -1 for a word without one; None where each piece is a word.
        spellings: The bytes plus one of each *distinct* word, 0 behind its end, (distinct words, longest); None for no characters.
        spelled: For each word of `pieces`, its row in `spellings`.
        states: What a frozen encoder makes of each piece, float32, (pieces of all examples, D); None where it is yet to run.
    """

    pieces: Ragged
    padding: int = 0
    words: Ragged | None = None
    spellings: NDArray[np.int16] | None = None
    spelled: Ragged | None = None
    states: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.pieces)

    def collate(self, indices: NDArray[np.int64]) -> Features:
        """Makes the features of some examples, padded to the longest of them.

        Args:
            indices: Which examples, (B,); they may repeat and may be none.
        """
        ids_BT, mask_BT = self.pieces.padded(indices, fill=self.padding)
        mask = torch.from_numpy(mask_BT)
        words, word_mask = None, mask
        if self.words is not None:
            first_BW, _ = self.words.padded(indices, fill=-1)
            words, word_mask = torch.from_numpy(np.maximum(first_BW, 0)), torch.from_numpy(first_BW >= 0)
        return Features(
            torch.from_numpy(ids_BT), mask, self._characters(indices, mask_BT), words, word_mask, self._states(indices, mask_BT)
        )

    def places(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the pieces of some examples stand among those of all, one example after the other."""
        starts, ends = self.pieces.offsets[indices], self.pieces.offsets[indices + 1]
        return np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)] or [np.empty(0, dtype=np.int64)])

    def with_states(self, states: NDArray[np.float32]) -> Encoded:
        """The same data set with what a frozen encoder makes of its pieces.

        Args:
            states: One row for each piece of each example, in their order, (pieces of all examples, D).
        """
        return replace(self, states=states)

    def _states(self, indices: NDArray[np.int64], mask_BT: NDArray[np.bool_]) -> Tensor | None:
        if self.states is None:
            return None
        states_BTD = np.zeros((*mask_BT.shape, self.states.shape[1]), dtype=np.float32)
        states_BTD[mask_BT] = self.states[self.places(indices)]
        return torch.from_numpy(states_BTD)

    def _characters(self, indices: NDArray[np.int64], mask_BT: NDArray[np.bool_]) -> Tensor | None:
        if self.spellings is None or self.spelled is None:
            return None
        rows_BT, _ = self.spelled.padded(indices, fill=0)
        characters_BTL = self.spellings[rows_BT] * mask_BT[:, :, None]
        longest = max(1, int((characters_BTL != 0).any((0, 1)).sum()))
        return torch.from_numpy(characters_BTL[:, :, :longest].astype(np.int64))


@runtime_checkable
class Featuriser(Protocol):
    """Turns words into the features of a model.

    Guarantee:
        The features of an example depend on that example and on the featuriser alone; other examples of the batch
        change only how much padding stands behind it.
    """

    @property
    def vocabulary_is_public(self) -> bool:
        """False where the vocabulary was read off the training text, which is then a release of its own."""
        ...

    def encode(self, tokens: Sequence[Sequence[str]]) -> Encoded:
        """Encodes sentences, each a list of at least one word."""
        ...

    def collate(self, encoded: Encoded, indices: NDArray[np.int64]) -> Features:
        """Makes a padded batch of some encoded examples."""
        ...

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the featuriser is."""
        ...

    def save(self, folder: Path) -> None:
        """Writes everything that `load` needs, JSON only, into an existing folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        ...


@runtime_checkable
class Precomputing(Protocol):
    """A module that can look at a data set once before it is trained, because part of it stays as it is.

    Guarantee:
        What it keeps of an example depends on that example and on frozen weights alone, so it is no coupling of rows; it
        stays in memory and is as private as the text.
    """

    def precompute(self, encoded: Encoded) -> Encoded:
        """Returns the data set with what the frozen part makes of it."""
        ...


class ModelSettings(Protocol):
    """All that decides a model: a frozen dataclass, checked when it is made.

    Guarantee:
        `build` gives the same weights for the same settings, featuriser, labels and streams.
    """

    @property
    def kind(self) -> str:
        """The name by which `models.settings` and a saved model know this class, such as "bilstm"."""
        ...

    def featuriser(self, train_tokens: Sequence[Sequence[str]]) -> Featuriser:
        """Makes the featuriser, from the training text where the vocabulary is read off it."""
        ...

    def build(self, featuriser: Any, labels: Labels, streams: Streams) -> nn.Module:
        """Makes the module, `forward(features: Features) -> Logits`, ready to be trained."""
        ...

    def skeleton(self, featuriser: Any, labels: Labels) -> nn.Module:
        """Makes the same module with any weights, from the featuriser alone, for `models.load` to fill."""
        ...

    def load_featuriser(self, folder: Path) -> Featuriser:
        """Reads the featuriser that belongs to these settings."""
        ...

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the settings are."""
        ...


def check_sentences(tokens: Sequence[Sequence[str]]) -> None:
    """Refuses a sentence without words, which no model can read.

    Raises:
        InputError: Naming the first such sentence, counted from 0.
    """
    empty = next((row for row, words in enumerate(tokens) if not words), None)
    if empty is not None:
        raise InputError(f"encode: example {empty} has no tokens; leave it out")
