"""Plain text cut into the words of a model's vocabulary, each with its place in the text."""

from __future__ import annotations

import re
from collections.abc import Callable

Span = tuple[int, int]

_RUN = re.compile(r"\S+")
_ENDING = re.compile(r"(?:n['’]t|['’](?:s|re|ve|ll|d|m))$", re.IGNORECASE)


def cut(text: str, knows: Callable[[str], bool] | None = None) -> list[Span]:
    """Cuts text into words at blanks, and further only where the vocabulary asks for it.

    A data set of text is cut at blanks when it is read, one that came in words keeps its own, and nothing in a model says which of
    them it learned from but its vocabulary. So a run of characters without a blank that the vocabulary knows is a word, as it is. One
    that it does not know loses the signs at both of its ends, each of which becomes a word; and an English ending behind an
    apostrophe ("n't", "'s") becomes a word where the vocabulary has it as one. Case is left to the vocabulary.

    Args:
        text: The text.
        knows: Whether the vocabulary has a word; None for one without unknown words (bytes, hashed words), where only blanks part.

    Returns:
        Start and end of each word, in characters, ascending.

    >>> words = {"the", "doctor", ".", "e.g.", "is", "n't"}.__contains__
    >>> [("e.g. the doctor isn't.")[start:end] for start, end in cut("e.g. the doctor isn't.", words)]
    ['e.g.', 'the', 'doctor', 'is', "n't", '.']
    >>> cut("the doctor.")
    [(0, 3), (4, 11)]
    """
    found: list[Span] = []
    for match in _RUN.finditer(text):
        start, end = match.span()
        if knows is None or knows(match.group()):
            found.append((start, end))
        else:
            found += _parted(text, start, end, knows)
    return found


def _parted(text: str, start: int, end: int, knows: Callable[[str], bool]) -> list[Span]:
    letters = [place for place in range(start, end) if text[place].isalnum()]
    if not letters:
        return [(start, end)]
    first, last = letters[0], letters[-1] + 1
    ending = None if knows(text[first:last]) else _ENDING.search(text[first:last])
    core = [(first, last)]
    if ending is not None and ending.start() and knows(ending.group()):
        core = [(first, first + ending.start()), (first + ending.start(), last)]
    return [*((place, place + 1) for place in range(start, first)), *core, *((place, place + 1) for place in range(last, end))]
