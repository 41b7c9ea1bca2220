"""The featuriser of word-level models: word ids, and the bytes of each word for a character network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from holdfast.models.features import Encoded, Features, check_sentences
from holdfast.models.ragged import Ragged
from holdfast.models.vocabulary import Vocabulary, vocabulary_from_json

BYTES = 256
"""A word is spelled in the bytes of its UTF-8 form: an alphabet that is public and the same for every language."""


@dataclass(frozen=True)
class WordFeaturiser:
    """Turns words into ids, and where asked for into bytes.

    Args:
        vocabulary: Which id a word has.
        lowercase: Whether words are lower-cased before they are looked up; their bytes keep the case.
        word_bytes: How many bytes of a word are read; 0 for none.
        max_words: Words behind this many are not read; 0 for all.
        vector_width: Width of the pretrained vectors that belong to the vocabulary; 0 for none.

    >>> from holdfast.models.vocabulary import KnownWords
    >>> words = KnownWords.of_training([["call", "Ann"], ["call", "Bo"]], min_count=1, lowercase=False)
    >>> featuriser = WordFeaturiser(words, lowercase=False, word_bytes=0, max_words=0)
    >>> encoded = featuriser.encode([["call", "me"], ["Bo"]])
    >>> featuriser.collate(encoded, np.array([0, 1])).ids_BT.tolist()
    [[1, 0], [3, 0]]
    """

    vocabulary: Vocabulary
    lowercase: bool
    word_bytes: int
    max_words: int
    vector_width: int = 0

    @property
    def vocabulary_is_public(self) -> bool:
        """False where the vocabulary was read off the training text."""
        return self.vocabulary.is_public

    def encode(self, tokens: Sequence[Sequence[str]]) -> Encoded:
        """Looks each distinct word up once and keeps ids only.

        Args:
            tokens: Sentences of at least one word.

        Raises:
            InputError: For a sentence without words.
        """
        check_sentences(tokens)
        if self.max_words:
            tokens = [words[: self.max_words] for words in tokens]
        places: dict[str, int] = {}
        lengths = [len(words) for words in tokens]
        spelled = Ragged.from_flat((places.setdefault(word, len(places)) for word in chain.from_iterable(tokens)), lengths)
        lookup = (word.lower() if self.lowercase else word for word in places)
        ids = np.fromiter((self.vocabulary.id_of(word) for word in lookup), dtype=np.int32, count=len(places))
        pieces = Ragged(ids[spelled.values], spelled.offsets)
        return Encoded(pieces, spellings=_spell(list(places), self.word_bytes), spelled=spelled) if self.word_bytes else Encoded(pieces)

    def collate(self, encoded: Encoded, indices: NDArray[np.int64]) -> Features:
        """Makes a padded batch of some encoded examples."""
        return encoded.collate(indices)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the featuriser is."""
        kind = self.vocabulary.to_json()["kind"]
        return {"kind": kind, "ids": self.vocabulary.size, "vocabulary_is_public": self.vocabulary_is_public, "lowercase": self.lowercase}

    def save(self, folder: Path) -> None:
        """Writes one JSON file into an existing folder."""
        plain = {name: getattr(self, name) for name in ("lowercase", "word_bytes", "max_words", "vector_width")}
        text = json.dumps({**plain, "vocabulary": self.vocabulary.to_json()})
        (folder / "words.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        document = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        return cls(**{**document, "vocabulary": vocabulary_from_json(document["vocabulary"])})


def _spell(words: list[str], most: int) -> NDArray[np.int16]:
    """The bytes plus one of each word, 0 behind its end, (words, longest)."""
    spelled = [word.encode("utf-8", "surrogatepass")[:most] for word in words]
    rows = Ragged.from_flat(np.frombuffer(b"".join(spelled), dtype=np.uint8), [len(word) for word in spelled])
    letters, real = rows.padded(np.arange(len(rows)), fill=0)
    return ((letters + 1) * real).astype(np.int16)
