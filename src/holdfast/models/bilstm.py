"""A bidirectional LSTM over words, with optional pretrained vectors and an optional character network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.models import checks
from holdfast.models.crf import TAG_HEADS
from holdfast.models.features import Features, Labels, Logits
from holdfast.models.layers import Heads, WordDropout, WordTable, first_weights, max_pool, small
from holdfast.models.vectors import Vectors, described, read_vectors
from holdfast.models.vocabulary import UNKNOWN, VOCABULARIES, check_vectors, make_vocabulary
from holdfast.models.words import BYTES, WordFeaturiser


@dataclass(frozen=True, kw_only=True)
class BiLSTM:
    """Settings of a bidirectional LSTM that labels a sentence and its words.

    Args:
        embedding: Width of the trained vector of a word; 0 for none beside pretrained ones.
        hidden: Width of each direction of a layer.
        layers: Bidirectional layers, one on the other.
        dropout: Share of numbers dropped before each layer and each head in training, in [0, 1).
        word_dropout: Share of words turned into the unknown word in training, in [0, 1).
        characters: Filters of the character network; 0 for none.
        character_width: Width of the vector of a byte.
        character_kernel: Bytes that a filter sees; odd.
        word_bytes: Bytes of a word that the character network reads.
        vocabulary: "train" (read off the training text, not public), "hashed" (public) or "vectors" (the words of the
            file of vectors, public).
        min_count: How often a word must stand in the training text ("train").
        buckets: Buckets that words are hashed into ("hashed").
        lowercase: Whether words are lower-cased; the character network sees the case.
        vectors: A text file of pretrained vectors, or None.
        freeze_vectors: Whether the pretrained vectors stay as they are.
        max_vectors: Lines of that file to read at most.
        tag_head: How the tags of words are chosen: "softmax" (each by itself) or "crf" (all of a sentence together, with learned
            scores of tags that follow each other: a linear-chain conditional random field).

    Raises:
        InputError: For a value out of its bounds, or settings that do not go together.

    >>> BiLSTM(hidden=0)
    Traceback (most recent call last):
        ...
    holdfast.core.errors.InputError: bilstm: hidden is 0; give a whole number >= 1
    """

    kind: ClassVar[str] = "bilstm"

    embedding: int = 100
    hidden: int = 128
    layers: int = 1
    dropout: float = 0.4
    word_dropout: float = 0.05
    characters: int = 64
    character_width: int = 16
    character_kernel: int = 3
    word_bytes: int = 20
    vocabulary: str = "train"
    min_count: int = 1
    buckets: int = 16384
    lowercase: bool = True
    vectors: str | None = None
    freeze_vectors: bool = True
    max_vectors: int = 100_000
    tag_head: str = "softmax"

    def __post_init__(self) -> None:
        checks.integer("bilstm", least=0, embedding=self.embedding, characters=self.characters)
        checks.integer("bilstm", least=1, hidden=self.hidden, layers=self.layers, min_count=self.min_count, buckets=self.buckets)
        checks.integer("bilstm", least=1, character_width=self.character_width, word_bytes=self.word_bytes, max_vectors=self.max_vectors)
        checks.integer("bilstm", least=1, character_kernel=self.character_kernel)
        checks.number("bilstm", least=0, below=1, dropout=self.dropout, word_dropout=self.word_dropout)
        checks.flag("bilstm", lowercase=self.lowercase, freeze_vectors=self.freeze_vectors)
        checks.choice("bilstm", VOCABULARIES, vocabulary=self.vocabulary)
        checks.choice("bilstm", TAG_HEADS, tag_head=self.tag_head)
        if self.character_kernel % 2 == 0:
            raise InputError(f"bilstm: character_kernel is {self.character_kernel}; give an odd number, so that a filter has a middle")
        if self.vectors is not None:
            object.__setattr__(self, "vectors", str(self.vectors))
        check_vectors("bilstm", vocabulary=self.vocabulary, vectors=self.vectors)
        if self.embedding == 0 and self.vectors is None:
            raise InputError("bilstm: embedding is 0 and there are no vectors; give one of them")

    def featuriser(self, train_tokens: Sequence[Sequence[str]]) -> WordFeaturiser:
        """Makes the featuriser; only the vocabulary "train" looks at the training text."""
        vectors = self._read_vectors()
        return WordFeaturiser(
            vocabulary=make_vocabulary(
                self.vocabulary,
                train_tokens,
                min_count=self.min_count,
                buckets=self.buckets,
                lowercase=self.lowercase,
                pretrained=() if vectors is None else vectors.words,
            ),
            lowercase=self.lowercase,
            word_bytes=self.word_bytes if self.characters else 0,
            max_words=0,
            vector_width=0 if vectors is None else vectors.matrix.shape[1],
        )

    def build(self, featuriser: WordFeaturiser, labels: Labels, streams: Streams) -> BiLSTMTagger:
        """Draws the weights and fills in the pretrained vectors."""
        with first_weights(streams):
            module = self.skeleton(featuriser, labels)
        vectors = self._read_vectors()
        if vectors is not None:
            module.words.fill(vectors, featuriser.vocabulary)
        return module

    def skeleton(self, featuriser: WordFeaturiser, labels: Labels) -> BiLSTMTagger:
        """Makes the module without the pretrained vectors."""
        return BiLSTMTagger(self, featuriser, labels)

    def load_featuriser(self, folder: Path) -> WordFeaturiser:
        """Reads the featuriser that belongs to these settings."""
        return WordFeaturiser.load(folder)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the settings are; a file of vectors by its name and hash, not by its place on this machine."""
        return {"model": self.kind, **asdict(self), "vectors": described(self.vectors)}

    def _read_vectors(self) -> Vectors | None:
        return None if self.vectors is None else read_vectors(self.vectors, most=self.max_vectors, lowercase=self.lowercase)


class BiLSTMTagger(nn.Module):
    """Words, then layers of a bidirectional LSTM, then the heads; `BiLSTM` says what can be set.

    The vector of a sentence is the last state of each direction and the largest value of each state.
    """

    def __init__(self, settings: BiLSTM, featuriser: WordFeaturiser, labels: Labels) -> None:
        super().__init__()
        hidden = settings.hidden
        self.word_dropout = WordDropout(settings.word_dropout, unknown=UNKNOWN)
        self.words = WordTable(featuriser, width=settings.embedding, freeze=settings.freeze_vectors)
        self.characters = (
            CharacterCNN(settings.character_width, settings.characters, settings.character_kernel) if settings.characters else None
        )
        self.dropout = nn.Dropout(settings.dropout)
        widths = [self.words.width + settings.characters] + [2 * hidden] * (settings.layers - 1)
        self.layers = nn.ModuleList(BothWays(width, hidden) for width in widths)
        self.heads = Heads(labels, sentence_width=4 * hidden, word_width=2 * hidden, dropout=settings.dropout, tag_head=settings.tag_head)

    def forward(self, features: Features) -> Logits:
        """Scores the labels of the sentences and of their words."""
        return self.read(self.embed(features), features)

    def embed(self, features: Features) -> Tensor:
        """The vector of each word and that of its characters side by side, (B, T, D); in training some words are the unknown one."""
        states_BTD: Tensor = self.words(self.word_dropout(features.ids_BT))
        if self.characters is None or features.characters_BTL is None:
            return states_BTD
        return torch.cat([states_BTD, self.characters(features.characters_BTL)], -1)

    def read(self, states_BTD: Tensor, features: Features) -> Logits:
        """Scores the labels from what `embed` made of the words, or from a mixture of it.

        Args:
            states_BTD: One row for each word; anything where the mask is False.
            features: Of which only the mask is looked at.
        """
        mask_BT = features.mask_BT
        places_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
        last_B1 = mask_BT.sum(1, keepdim=True) - 1
        turned_BT = torch.where(mask_BT, last_B1 - places_T, places_T)
        for layer in self.layers:
            states_BTD = layer(self.dropout(states_BTD), turned_BT)
        forth_BTH, back_BTH = states_BTD.chunk(2, -1)
        last_BH = forth_BTH.take_along_dim(last_B1[:, :, None], 1)[:, 0]
        logits: Logits = self.heads(torch.cat([last_BH, back_BTH[:, 0], max_pool(states_BTD, mask_BT)], -1), states_BTD)
        return logits


class CharacterCNN(nn.Module):
    """Spells each word: one convolution over its bytes, and the largest answer of each filter.

    The words of a row lie end to end with blanks between them, as wide as a filter reaches. So one convolution whose first
    axis is the example does what a convolution of each word would do, and a private clipper sees one row for each example.

    Args:
        width: Width of the vector of a byte.
        filters: How many filters.
        kernel: How many bytes a filter sees; odd.
    """

    def __init__(self, width: int, filters: int, kernel: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.bytes = small(nn.Embedding(BYTES + 1, width))
        self.filters = nn.Conv1d(width, filters, kernel, padding=self.reach)

    def forward(self, characters_BTL: Tensor) -> Tensor:
        """Returns one vector for each word, (B, T, filters), not below 0; zeros for a word that is padding.

        Args:
            characters_BTL: Bytes plus one, 0 behind the end of a word.
        """
        spaced_BTL = F.pad(characters_BTL, (0, self.reach))
        spaced_BN = spaced_BTL.flatten(1)
        real_BN = (spaced_BN != 0).to(self.bytes.weight.dtype)
        letters_BND = self.bytes(spaced_BN) * real_BN[:, :, None]
        answers_BFN = self.filters(letters_BND.mT) * real_BN[:, None, :]
        return F.relu(F.max_pool1d(answers_BFN, spaced_BTL.shape[2])).mT


class BothWays(nn.Module):
    """One bidirectional layer made of two plain LSTMs, the second of which reads each row from its own last word.

    Neither meets padding before a real word, so no row depends on how long the others are, and no packing is needed.

    Args:
        width: Width of the input.
        hidden: Width of each direction.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.forth = nn.LSTM(width, hidden, batch_first=True)
        self.back = nn.LSTM(width, hidden, batch_first=True)

    def forward(self, x_BTD: Tensor, turned_BT: Tensor) -> Tensor:
        """Returns the states of both directions at each word, (B, T, 2 hidden).

        Args:
            x_BTD: The input.
            turned_BT: Where each position stands when the real words of its row are read backwards; its own inverse.
        """
        rows_B1 = torch.arange(len(x_BTD), device=x_BTD.device)[:, None]
        forth_BTH = self.forth(x_BTD)[0]
        back_BTH = self.back(x_BTD[rows_B1, turned_BT])[0][rows_B1, turned_BT]
        return torch.cat([forth_BTH, back_BTH], -1)
