"""The settings of a bag of words, and what is made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.models import checks
from holdfast.models.bag.tagger import BagTagger
from holdfast.models.crf import TAG_HEADS
from holdfast.models.features import Labels
from holdfast.models.layers import first_weights
from holdfast.models.vectors import Vectors, described, read_vectors
from holdfast.models.vocabulary import VOCABULARIES, check_vectors, make_vocabulary
from holdfast.models.words import WordFeaturiser


@dataclass(frozen=True, kw_only=True)
class Bag:
    """Settings of a bag of words that labels a sentence, and by a window around each word the words too.

    Args:
        embedding: Width of the trained vector of a word; 0 for none beside pretrained ones.
        hidden: Width of the hidden layer, of the sentence and of a word.
        window: Words on either side that a tag depends on; 0 for the word alone.
        dropout: Share of numbers dropped before each head in training, in [0, 1).
        word_dropout: Share of words turned into the unknown word in training, in [0, 1).
        vocabulary: "train" (read off the training text, not public), "hashed" (public) or "vectors" (the words of the
            file of vectors, public).
        min_count: How often a word must stand in the training text ("train").
        buckets: Buckets that words are hashed into ("hashed").
        lowercase: Whether words are lower-cased.
        vectors: A text file of pretrained vectors, or None.
        freeze_vectors: Whether the pretrained vectors stay as they are.
        max_vectors: Lines of that file to read at most.
        tag_head: How the tags of words are chosen: "softmax" (each by itself) or "crf" (all of a sentence together, with learned
            scores of tags that follow each other: a linear-chain conditional random field).

    Raises:
        InputError: For a value out of its bounds, or settings that do not go together.

    >>> Bag(window=-1)
    Traceback (most recent call last):
        ...
    holdfast.core.errors.InputError: bag: window is -1; give a whole number >= 0
    """

    kind: ClassVar[str] = "bag"

    embedding: int = 64
    hidden: int = 64
    window: int = 1
    dropout: float = 0.2
    word_dropout: float = 0.05
    vocabulary: str = "train"
    min_count: int = 1
    buckets: int = 16384
    lowercase: bool = True
    vectors: str | None = None
    freeze_vectors: bool = True
    max_vectors: int = 100_000
    tag_head: str = "softmax"

    def __post_init__(self) -> None:
        checks.integer("bag", least=0, embedding=self.embedding, window=self.window)
        checks.integer("bag", least=1, hidden=self.hidden, min_count=self.min_count, buckets=self.buckets, max_vectors=self.max_vectors)
        checks.number("bag", least=0, below=1, dropout=self.dropout, word_dropout=self.word_dropout)
        checks.flag("bag", lowercase=self.lowercase, freeze_vectors=self.freeze_vectors)
        checks.choice("bag", VOCABULARIES, vocabulary=self.vocabulary)
        checks.choice("bag", TAG_HEADS, tag_head=self.tag_head)
        if self.vectors is not None:
            object.__setattr__(self, "vectors", str(self.vectors))
        check_vectors("bag", vocabulary=self.vocabulary, vectors=self.vectors)
        if self.embedding == 0 and self.vectors is None:
            raise InputError("bag: embedding is 0 and there are no vectors; give one of them")

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
            word_bytes=0,
            max_words=0,
            vector_width=0 if vectors is None else vectors.matrix.shape[1],
        )

    def build(self, featuriser: WordFeaturiser, labels: Labels, streams: Streams) -> BagTagger:
        """Draws the weights and fills in the pretrained vectors."""
        with first_weights(streams):
            module = self.skeleton(featuriser, labels)
        vectors = self._read_vectors()
        if vectors is not None:
            module.words.fill(vectors, featuriser.vocabulary)
        return module

    def skeleton(self, featuriser: WordFeaturiser, labels: Labels) -> BagTagger:
        """Makes the module without the pretrained vectors."""
        return BagTagger(
            featuriser,
            labels,
            embedding=self.embedding,
            hidden=self.hidden,
            window=self.window,
            dropout=self.dropout,
            word_dropout=self.word_dropout,
            freeze=self.freeze_vectors,
            tag_head=self.tag_head,
        )

    def load_featuriser(self, folder: Path) -> WordFeaturiser:
        """Reads the featuriser that belongs to these settings."""
        return WordFeaturiser.load(folder)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the settings are; a file of vectors by its name and hash, not by its place on this machine."""
        return {"model": self.kind, **asdict(self), "vectors": described(self.vectors)}

    def _read_vectors(self) -> Vectors | None:
        return None if self.vectors is None else read_vectors(self.vectors, most=self.max_vectors, lowercase=self.lowercase)
