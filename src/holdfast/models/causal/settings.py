"""The settings of models that predict next words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

from torch import nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.models import checks
from holdfast.models.causal.featuriser import NextWordFeaturiser
from holdfast.models.causal.modules import CausalLSTM, CausalTransformer
from holdfast.models.features import Labels
from holdfast.models.layers import first_weights
from holdfast.models.vocabulary import KnownWords

VOCABULARIES = ("train", "bytes")


@dataclass(frozen=True, kw_only=True)
class CausalSettings(ABC):
    """What the settings of these models share.

    Args:
        dropout: Share of numbers dropped in training, in [0, 1).
        tied: Whether pieces are scored by the table that they are read from; fewer parameters, and no stacked ensembles.
        max_length: Pieces (words or bytes) of an utterance that are read, its end marker included; nothing behind is predicted.
        vocabulary: "train" (words read off the training text, not public) or "bytes" (public: words are spelled in their bytes).
        min_count: How often a word must stand in the training text ("train"). At 1 the unknown word is never seen in training, and
            a test word that is new then costs dearly.
        most_words: Words that the vocabulary holds at most, the most frequent ones ("train"); each is a row of the output layer,
            where most of the time and memory goes.
        lowercase: Whether words are lower-cased.
    """

    kind: ClassVar[str]
    predicts: ClassVar[str] = "predicts next words"
    task: ClassVar[str] = "language-model"
    labelling: ClassVar[str] = "bilstm"

    dropout: float = 0.2
    tied: bool = False
    max_length: int = 256
    vocabulary: str = "train"
    min_count: int = 2
    most_words: int = 10_000
    lowercase: bool = True

    def __post_init__(self) -> None:
        checks.number(self.kind, least=0, below=1, dropout=self.dropout)
        checks.flag(self.kind, tied=self.tied, lowercase=self.lowercase)
        checks.integer(self.kind, least=1, max_length=self.max_length, min_count=self.min_count, most_words=self.most_words)
        checks.choice(self.kind, VOCABULARIES, vocabulary=self.vocabulary)

    def featuriser(self, train_tokens: Sequence[Sequence[str]]) -> NextWordFeaturiser:
        """Makes the featuriser; only the vocabulary "train" looks at the training text.

        Raises:
            InputError: If no word stands there often enough.
        """
        if self.vocabulary == "bytes":
            return NextWordFeaturiser(None, self.lowercase, self.max_length)
        known = KnownWords.of_training(train_tokens, min_count=self.min_count, lowercase=self.lowercase)
        kept = known.words[: self.most_words]
        return NextWordFeaturiser(replace(known, words=kept, seen=len(kept)), self.lowercase, self.max_length)

    def build(self, featuriser: NextWordFeaturiser, labels: Labels, streams: Streams) -> nn.Module:
        """Draws the weights."""
        with first_weights(streams):
            return self.skeleton(featuriser, labels)

    def skeleton(self, featuriser: NextWordFeaturiser, labels: Labels) -> nn.Module:
        """Makes the module with any weights.

        Raises:
            InputError: For other labels than the words of the vocabulary.
        """
        if not labels.next_words:
            raise InputError(
                f"{self.kind} {self.predicts} and has no labels of sentences or tags; take the task {self.task!r}, "
                f"or another model such as {self.labelling!r}"
            )
        return self._module(featuriser.pieces)

    @abstractmethod
    def _module(self, pieces: int) -> nn.Module:
        """The module for so many pieces."""

    def load_featuriser(self, folder: Path) -> NextWordFeaturiser:
        """Reads the featuriser that belongs to these settings."""
        return NextWordFeaturiser.load(folder)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the settings are."""
        return {"model": self.kind, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class LSTMLanguageModel(CausalSettings):
    """Settings of an LSTM that reads from left to right and predicts each word from those before it.

    Args:
        embedding: Width of the vector of a piece.
        hidden: Width of a layer.
        layers: Layers, one on the other.
        dropout: See `CausalSettings`, as for the others below.
        tied: There. Where `hidden` is not `embedding`, one more linear layer brings the states to the width of the table.
        max_length: There.
        vocabulary: There.
        min_count: There.
        most_words: There.
        lowercase: There.

    Raises:
        InputError: For a value out of its bounds.

    >>> LSTMLanguageModel(hidden=0)
    Traceback (most recent call last):
        ...
    holdfast.core.errors.InputError: lstm-lm: hidden is 0; give a whole number >= 1
    """

    kind: ClassVar[str] = "lstm-lm"

    embedding: int = 96
    hidden: int = 128
    layers: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer(self.kind, least=1, embedding=self.embedding, hidden=self.hidden, layers=self.layers)

    def _module(self, pieces: int) -> CausalLSTM:
        return CausalLSTM(pieces, embedding=self.embedding, hidden=self.hidden, layers=self.layers, dropout=self.dropout, tied=self.tied)


@dataclass(frozen=True, kw_only=True)
class Decoder(CausalSettings):
    """Settings of a small transformer that predicts each word from those before it: norms first, a causal mask, learned positions.

    Args:
        width: Width of the states; a multiple of `heads`.
        layers: Layers.
        heads: Attention heads.
        feedforward: Width inside a layer.
        dropout: See `CausalSettings`, as for the others below.
        tied: There.
        max_length: There.
        vocabulary: There.
        min_count: There.
        most_words: There.
        lowercase: There.

    Raises:
        InputError: For a value out of its bounds.
    """

    kind: ClassVar[str] = "decoder"

    width: int = 128
    layers: int = 2
    heads: int = 4
    feedforward: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer(self.kind, least=1, width=self.width, layers=self.layers, heads=self.heads, feedforward=self.feedforward)
        if self.width % self.heads:
            raise InputError(f"decoder: width {self.width} is not a multiple of heads {self.heads}; change one of them")

    def _module(self, pieces: int) -> CausalTransformer:
        return CausalTransformer(
            pieces,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            feedforward=self.feedforward,
            positions=self.max_length,
            dropout=self.dropout,
            tied=self.tied,
        )
