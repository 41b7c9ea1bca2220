"""Makes up words that can be said and stand nowhere in the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data.dataset import Dataset

CONSONANTS = "bdfgklmnprstvz"
VOWELS = "aeiou"
SYLLABLES = 3
"""Of every made-up word, before its last letter: 4.8 million words can be made."""

MOST_NEW_WORDS = 100_000


def new_words(count: int, parts: Sequence[Dataset], *, streams: Streams) -> tuple[str, ...]:
    """Makes words of three syllables and a last consonant, such as "bodutal".

    Args:
        count: How many, in [0, `MOST_NEW_WORDS`].
        parts: The data sets in which they must not stand; `data.parts` for all parts of some data.
        streams: Randomness of the words.

    Returns:
        That many different words, in lower case.

    Raises:
        InputError: For a count out of its bounds.

    Guarantee:
        No two words are equal, and none stands in the data, whatever its case. All such words are equally likely.

    Edge cases:
        A made-up word may be a word of some language that the data lack. In a hashed vocabulary it may share the bucket of a real word.

    References:
        Panda et al. 2025, "Privacy auditing of large language models", arXiv 2503.06808: canaries of
        tokens that stand nowhere else.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_NEW_WORDS:
        raise InputError(f"{count!r} made-up words; give an integer in [0, {MOST_NEW_WORDS:,}]")
    known = {word.casefold() for part in parts for word in part.table.column("tokens").combine_chunks().flatten().unique().to_pylist()}
    rng = streams.generator("new words")
    made: dict[str, None] = {}
    while len(made) < count:
        made.update(dict.fromkeys(word for word in _draw(rng, count - len(made)) if word not in known))
    return tuple(made)


def _draw(rng: np.random.Generator, count: int) -> list[str]:
    consonants = rng.integers(len(CONSONANTS), size=(count, SYLLABLES + 1)).tolist()
    vowels = rng.integers(len(VOWELS), size=(count, SYLLABLES)).tolist()
    return [
        "".join(CONSONANTS[first] + VOWELS[second] for first, second in zip(begin, middle, strict=False)) + CONSONANTS[begin[-1]]
        for begin, middle in zip(consonants, vowels, strict=True)
    ]
