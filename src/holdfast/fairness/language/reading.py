"""How the featurisers of our own models cut plain text: pieces with their places in the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from holdfast.core.errors import InputError
from holdfast.fairness.language.access import Pieces
from holdfast.fairness.language.words import Span, cut
from holdfast.models.causal import NextWordFeaturiser
from holdfast.models.hub import PieceFeaturiser
from holdfast.models.vocabulary import UNKNOWN, KnownWords
from holdfast.models.words import WordFeaturiser

Spans = list[Span]


def words_of(featuriser: Any, texts: Sequence[str]) -> tuple[list[list[str]], list[list[Span]]]:
    """Cuts texts into words as `words.cut` says.

    Args:
        featuriser: Of one of our models.
        texts: Each with at least one word.

    Returns:
        The words of each text, and their places.

    Raises:
        InputError: For a text without words.
    """
    knows = _knows(featuriser)
    spans = [cut(text, knows) for text in texts]
    for row, found in enumerate(spans):
        if not found:
            raise InputError(f"text {row} is {texts[row]!r} and holds no words; leave it out")
    return [[text[start:end] for start, end in found] for text, found in zip(texts, spans, strict=True)], spans


def pieces_of(featuriser: Any, texts: Sequence[str]) -> list[Pieces]:
    """Cuts texts into pieces of a featuriser of ours.

    Args:
        featuriser: A `WordFeaturiser`, `NextWordFeaturiser` or `PieceFeaturiser`.
        texts: Each with at least one word.

    Raises:
        InputError: For another featuriser, or a text without words.
    """
    words, spans = words_of(featuriser, texts)
    if isinstance(featuriser, PieceFeaturiser):
        return _pretrained(featuriser, words, spans)
    if not isinstance(featuriser, WordFeaturiser | NextWordFeaturiser):
        raise InputError(
            f"a {type(featuriser).__name__} does not say where in a text its pieces are; take a model of ours, or one of the hub"
        )
    ids = featuriser.encode(words).pieces
    spell = isinstance(featuriser, NextWordFeaturiser) and featuriser.vocabulary is None
    found = []
    for row, places in enumerate(spans):
        own = ids[row].astype(np.int64)
        if spell:
            read, whole = _spelled(words[row], places, featuriser.lowercase), sum(_lengths(words[row], featuriser.lowercase))
        else:
            read, whole = places, len(places)
        read = read[: len(own)] + [(-1, -1)] * (len(own) - len(read))
        starts, ends = (np.array([span[end] for span in read], dtype=np.int64) for end in (0, 1))
        known = np.ones(len(own), dtype=bool) if spell else (own != UNKNOWN) | (starts < 0)
        found.append(Pieces(own, starts, ends, known, cut=int((starts >= 0).sum()) < whole))
    return found


def _knows(featuriser: Any) -> Callable[[str], bool] | None:
    vocabulary = getattr(featuriser, "vocabulary", None)
    if not isinstance(vocabulary, KnownWords):
        return None
    lower = bool(featuriser.lowercase)
    return lambda word: vocabulary.id_of(word.lower() if lower else word) != UNKNOWN


def _lengths(words: Sequence[str], lowercase: bool) -> list[int]:
    """Bytes of each word and of the blank behind it."""
    return [len((word.lower() if lowercase else word).encode("utf-8", "surrogatepass")) + 1 for word in words]


def _spelled(words: Sequence[str], spans: Spans, lowercase: bool) -> Spans:
    """The place of each byte: that of its character; of the blank behind a word, that of the word's last character.

    A word that has other characters in lower case than it had before has each byte stand for the word as a whole.
    """
    found: Spans = []
    for word, (start, end) in zip(words, spans, strict=True):
        shown = word.lower() if lowercase else word
        if len(shown) != len(word):
            found += [(start, end)] * _lengths([word], lowercase)[0]
            continue
        for place, letter in enumerate(shown, start=start):
            found += [(place, place + 1)] * len(letter.encode("utf-8", "surrogatepass"))
        found.append((end - 1, end))
    return found


def _pretrained(featuriser: PieceFeaturiser, words: Sequence[Sequence[str]], spans: Sequence[Spans]) -> list[Pieces]:
    import tokenizers

    cutter = tokenizers.Tokenizer.from_str(featuriser.tokenizer)
    cutter.no_padding()
    cutter.enable_truncation(featuriser.max_length)
    unknown = cutter.token_to_id(getattr(cutter.model, "unk_token", None) or "")
    found = []
    for made, places in zip(cutter.encode_batch([list(row) for row in words], is_pretokenized=True), spans, strict=True):
        rows = [_within(places, word, offsets) for word, offsets in zip(made.word_ids, made.offsets, strict=True)]
        starts, ends = (np.array([span[end] for span in rows], dtype=np.int64) for end in (0, 1))
        ids = np.array(made.ids, dtype=np.int64)
        known = np.ones(len(ids), dtype=bool) if unknown is None else ids != unknown
        found.append(Pieces(ids, starts, ends, known, cut=bool(made.overflowing)))
    return found


def _within(spans: Spans, word: int | None, offsets: Span) -> Span:
    """Where a piece is in the text, from where it is in its word; a tokenizer may have put a blank before the word."""
    if word is None:
        return (-1, -1)
    start, end = spans[word]
    return (min(start + offsets[0], end), min(start + offsets[1], end))


def text_of_bytes(ids: Sequence[int]) -> str:
    """The text that a model of bytes wrote; what is no UTF-8 becomes the sign for it."""
    return bytes(each - 1 for each in ids).decode("utf-8", "replace")
