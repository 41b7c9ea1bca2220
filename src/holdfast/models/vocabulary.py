"""Which id a word has: a vocabulary read off the training text, one of a public file of vectors, or a public hash."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol, Self

from holdfast.core.errors import InputError

VOCABULARIES = ("train", "hashed", "vectors")
UNKNOWN = 0
"""The id of a word that the vocabulary does not hold, and of a word dropped in training."""


class Vocabulary(Protocol):
    """Gives every word an id from 0 to `size` - 1; 0 is the unknown word."""

    @property
    def size(self) -> int:
        """How many ids there are, the unknown word's included."""
        ...

    @property
    def trained(self) -> int:
        """Ids below this one have a row in a trained table; the others share the row of the unknown word there."""
        ...

    @property
    def is_public(self) -> bool:
        """Whether it was made without looking at the training text."""
        ...

    def id_of(self, word: str) -> int:
        """The id of a word."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Plain JSON that `vocabulary_from_json` reads."""
        ...


@dataclass(frozen=True)
class KnownWords:
    """A list of words; a word's id is its place, counted from 1.

    Args:
        words: Words read off the training text, each once, then words that only the file of vectors knows.
        seen: How many of them get a row in a trained table.
        is_public: Whether the words were taken without looking at the training text.

    Privacy:
        A vocabulary read off private text is itself a release: which rare words it holds tells who is in the data.
        No noise on the gradients mends that; a claim that stands on such a vocabulary names it as a condition.
    """

    words: tuple[str, ...]
    seen: int
    is_public: bool

    @classmethod
    def of_training(cls, tokens: Sequence[Sequence[str]], *, min_count: int, lowercase: bool, extra: Iterable[str] = ()) -> Self:
        """Takes the words of the training text that stand there often enough, the most frequent first.

        Args:
            tokens: The training sentences.
            min_count: How often a word must stand there.
            lowercase: Whether to lower-case the words.
            extra: Words of a file of vectors, which get an id but no row in a trained table.

        Raises:
            InputError: If no word is frequent enough.
        """
        counts = Counter(chain.from_iterable(tokens))
        if lowercase:
            cased, counts = counts, Counter()
            for word, count in cased.items():
                counts[word.lower()] += count
        words = [word for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= min_count]
        if not words:
            raise InputError(f"vocabulary: none of the {len(counts)} training words stands there {min_count} times; lower min_count")
        kept = set(words)
        return cls((*words, *(word for word in extra if word not in kept)), len(words), is_public=False)

    @property
    def size(self) -> int:
        """How many ids there are, the unknown word's included."""
        return len(self.words) + 1

    @property
    def trained(self) -> int:
        """Ids below this one have a row in a trained table."""
        return self.seen + 1

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words, start=1)}

    def id_of(self, word: str) -> int:
        """The id of a word, 0 where it is not known."""
        return self._places.get(word, UNKNOWN)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON that `vocabulary_from_json` reads."""
        return {"kind": "words", "words": list(self.words), "seen": self.seen, "is_public": self.is_public}


@dataclass(frozen=True)
class HashedWords:
    """Buckets that words fall into by a hash that is the same in every process: public, and without unknown words.

    Args:
        buckets: How many buckets; words that fall into one bucket are one word to the model.

    >>> HashedWords(1000).id_of("play"), HashedWords(1000).size
    (859, 1001)
    """

    buckets: int

    @property
    def size(self) -> int:
        """How many ids there are, that of dropped words included."""
        return self.buckets + 1

    @property
    def trained(self) -> int:
        """All ids have a row in a trained table."""
        return self.size

    @property
    def is_public(self) -> bool:
        """A hash looks at no text."""
        return True

    def id_of(self, word: str) -> int:
        """The bucket of a word, counted from 1."""
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "little") % self.buckets + 1

    def to_json(self) -> dict[str, Any]:
        """Plain JSON that `vocabulary_from_json` reads."""
        return {"kind": "hashed", "buckets": self.buckets}


def vocabulary_from_json(document: Mapping[str, Any]) -> Vocabulary:
    """Reads what `to_json` of a vocabulary wrote.

    Raises:
        InputError: For a kind that this version does not know.
    """
    if document["kind"] == "words":
        return KnownWords(tuple(document["words"]), document["seen"], document["is_public"])
    if document["kind"] == "hashed":
        return HashedWords(document["buckets"])
    raise InputError(f"vocabulary of unknown kind {document['kind']!r}; use the holdfast that wrote it")


def check_vectors(owner: str, *, vocabulary: str, vectors: str | None) -> None:
    """Holds the name of a vocabulary and a file of pretrained vectors to each other.

    Args:
        owner: The model, such as "bilstm".
        vocabulary: One of `VOCABULARIES`.
        vectors: The file, or None.

    Raises:
        InputError: Where one makes no sense with the other.
    """
    if vocabulary == "vectors" and vectors is None:
        raise InputError(f"{owner}: vocabulary is 'vectors' but there are none; set vectors to a file, or vocabulary to 'hashed'")
    if vocabulary == "hashed" and vectors is not None:
        raise InputError(
            f"{owner}: a bucket of words has no pretrained vector; set vocabulary to 'vectors' or 'train', or leave vectors out"
        )


def make_vocabulary(
    name: str,
    train_tokens: Sequence[Sequence[str]],
    *,
    min_count: int,
    buckets: int,
    lowercase: bool,
    pretrained: tuple[str, ...] = (),
) -> Vocabulary:
    """Makes the vocabulary that a model's settings ask for.

    Args:
        name: "train" (read off the training text, not public), "hashed" or "vectors" (both public).
        train_tokens: The training sentences; only "train" looks at them.
        min_count: How often a word must stand there ("train").
        buckets: How many buckets ("hashed").
        lowercase: Whether to lower-case the words ("train").
        pretrained: The words of a file of vectors.
    """
    if name == "hashed":
        return HashedWords(buckets)
    if name == "vectors":
        return KnownWords(pretrained, len(pretrained), is_public=True)
    return KnownWords.of_training(train_tokens, min_count=min_count, lowercase=lowercase, extra=pretrained)
