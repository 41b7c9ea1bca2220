"""The featuriser of models that predict next words: words or bytes as pieces, and an end marker behind them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from holdfast.models.features import Encoded, Features, check_sentences
from holdfast.models.ragged import Ragged
from holdfast.models.vocabulary import KnownWords, vocabulary_from_json
from holdfast.models.words import BYTES

BLANK = b" "
"""Stands behind every word that is spelled in bytes, the last one included: so a word ends before the next one is predicted."""


@dataclass(frozen=True)
class NextWordFeaturiser:
    """Turns words into pieces that are to be predicted one after the other, and an end marker behind the last.

    A piece is a word, or with no vocabulary a byte plus one; 0 is the unknown word, which no byte is. The last id of all is the
    boundary: it ends an utterance, and models read it before the first word.

    Args:
        vocabulary: Which id a word has, read off the training text; None to spell words in bytes, which is public.
        lowercase: Whether words are lower-cased.
        max_length: Pieces of an utterance that are read, the end marker included. A longer one is cut behind the last word that
            fits and then has no end marker; a first word of more bytes than that is cut in the middle.

    Edge cases:
        A word that holds a blank is spelled with it, so its parts count as right or wrong together.

    >>> featuriser = NextWordFeaturiser(KnownWords(("call", "Ann"), 2, is_public=False), lowercase=False, max_length=9)
    >>> featuriser.pieces, featuriser.boundary
    (4, 3)
    >>> featuriser.collate(featuriser.encode([["call", "Ann"], ["Bo"]]), np.array([0, 1])).ids_BT.tolist()
    [[1, 2, 3], [0, 3, 0]]
    """

    vocabulary: KnownWords | None
    lowercase: bool
    max_length: int

    @property
    def boundary(self) -> int:
        """The id of the marker that stands behind an utterance, and that models read before it."""
        return BYTES + 1 if self.vocabulary is None else self.vocabulary.size

    @property
    def pieces(self) -> int:
        """How many ids there are: what a model chooses the next piece from."""
        return self.boundary + 1

    @property
    def vocabulary_is_public(self) -> bool:
        """False where the vocabulary was read off the training text."""
        return self.vocabulary is None or self.vocabulary.is_public

    def encode(self, tokens: Sequence[Sequence[str]]) -> Encoded:
        """Turns utterances into ids.

        Args:
            tokens: Utterances of at least one word.

        Raises:
            InputError: For an utterance without words.
        """
        check_sentences(tokens)
        return self._spelled(tokens) if self.vocabulary is None else self._looked_up(tokens, self.vocabulary)

    def collate(self, encoded: Encoded, indices: NDArray[np.int64]) -> Features:
        """Makes a padded batch of some encoded examples."""
        return encoded.collate(indices)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the featuriser is."""
        kind = "bytes" if self.vocabulary is None else "words"
        return {"kind": kind, "ids": self.pieces, "vocabulary_is_public": self.vocabulary_is_public, "lowercase": self.lowercase}

    def save(self, folder: Path) -> None:
        """Writes one JSON file into an existing folder."""
        vocabulary = None if self.vocabulary is None else self.vocabulary.to_json()
        text = json.dumps({"lowercase": self.lowercase, "max_length": self.max_length, "vocabulary": vocabulary})
        (folder / "next_words.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        document = json.loads((folder / "next_words.json").read_text(encoding="utf-8"))
        found = None if document["vocabulary"] is None else vocabulary_from_json(document["vocabulary"])
        if found is not None and not isinstance(found, KnownWords):
            raise ValueError(f"next_words.json holds a vocabulary of kind {document['vocabulary']['kind']!r}; expected 'words'")
        return cls(found, document["lowercase"], document["max_length"])

    def _looked_up(self, tokens: Sequence[Sequence[str]], vocabulary: KnownWords) -> Encoded:
        """Each word is a piece; each distinct word is looked up once."""
        lengths = np.array([len(words) for words in tokens], dtype=np.int64)
        read = np.minimum(lengths, self.max_length)
        places: dict[str, int] = {}
        taken = chain.from_iterable(words[: self.max_length] for words in tokens)
        rows = np.fromiter((places.setdefault(word, len(places)) for word in taken), dtype=np.int64, count=int(read.sum()))
        lookup = (word.lower() if self.lowercase else word for word in places)
        ids = np.fromiter((vocabulary.id_of(word) for word in lookup), dtype=np.int32, count=len(places))
        ended = lengths < self.max_length
        pieces = np.full(int((read + ended).sum()), self.boundary, dtype=np.int32)
        pieces[np.arange(len(rows)) + np.repeat(np.cumsum(ended) - ended, read)] = ids[rows]
        return Encoded(Ragged.from_flat(pieces, read + ended))

    def _spelled(self, tokens: Sequence[Sequence[str]]) -> Encoded:
        """Each byte is a piece, and so is the blank behind each word; the first piece of each word is kept, and that of the end marker."""
        spelled: dict[str, bytes] = {}
        parts: list[bytes] = []
        firsts: list[list[int]] = []
        ends: list[bool] = []
        for words in tokens:
            letters = [spelled[word] if word in spelled else spelled.setdefault(word, self._bytes(word)) for word in words]
            behind = list(accumulate(map(len, letters)))
            ended = behind[-1] < self.max_length
            kept = len(words) if ended else max(1, sum(last <= self.max_length for last in behind))
            parts.append(b"".join(letters[:kept])[: self.max_length])
            firsts.append([0, *behind[: kept - 1], *([behind[-1]] if ended else [])])
            ends.append(ended)
        lengths, ended_n = np.array([len(part) for part in parts], dtype=np.int64), np.array(ends, dtype=bool)
        letters_flat = np.frombuffer(b"".join(parts), dtype=np.uint8).astype(np.int32)
        pieces = np.full(int((lengths + ended_n).sum()), self.boundary, dtype=np.int32)
        pieces[np.arange(len(letters_flat)) + np.repeat(np.cumsum(ended_n) - ended_n, lengths)] = letters_flat + 1
        return Encoded(Ragged.from_flat(pieces, lengths + ended_n), words=Ragged.from_rows(firsts))

    def _bytes(self, word: str) -> bytes:
        return (word.lower() if self.lowercase else word).encode("utf-8", "surrogatepass") + BLANK
