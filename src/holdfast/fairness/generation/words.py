"""Words of running text, as all lexicons and word lists of this room see them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib import resources

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*\s+")
_CURLY = str.maketrans({"’": "'", "ʼ": "'", "‘": "'"})
LEXICONS = "holdfast.fairness.generation.scorers"

NOT_ENGLISH_SHARE = 0.2
"""Where more texts than this share hold no common English word, a note says that they may not be English."""


def cased_words(text: str) -> list[str]:
    """The words of a text as they are written: letters, with apostrophes inside; figures and marks are left out.

    >>> cased_words("She’s in O'Hara's 2 rooms.")
    ["She's", 'in', "O'Hara's", 'rooms']
    """
    return _WORD.findall(text.translate(_CURLY))


def words(text: str) -> list[str]:
    """The same in small letters."""
    return cased_words(text.lower())


def without_possessive(word: str) -> str:
    """The word that owns: "woman's" is "woman", "actors'" has lost its apostrophe already; "he's" and "she's" are "he" and "she".

    >>> without_possessive("mary's"), without_possessive("his")
    ('mary', 'his')
    """
    return word.removesuffix("'s")


def sentences(text: str) -> list[str]:
    """A text cut after full stops, question and exclamation marks that a blank follows; abbreviations are cut too."""
    return [part for part in _SENTENCE_END.split(text) if part.strip()]


def plain(text: str) -> str:
    """In small letters, without accents, with straight apostrophes, as the words of HONEST and HurtLex are compared.

    >>> plain("Idiotà")
    'idiota'
    """
    apart = unicodedata.normalize("NFKD", text.translate(_CURLY).lower())
    return "".join(mark for mark in apart if not unicodedata.combining(mark))


def resource(name: str) -> str:
    """The text of a word list that comes with this room."""
    return resources.files(LEXICONS).joinpath("lexicons", name).read_text(encoding="utf-8")


@cache
def function_words() -> frozenset[str]:
    """Words so common that a few English sentences without any of them are rare: articles, pronouns, auxiliaries."""
    return frozenset(resource("english_function_words.txt").split())


def share_unlike_english(texts: Sequence[str]) -> float:
    """The share of texts without a single common English word, in [0, 1]; 0 for no text."""
    known = function_words()
    strange = sum(known.isdisjoint(words(text)) for text in texts)
    return strange / len(texts) if texts else 0.0
