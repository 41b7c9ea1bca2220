"""Contexts of words: sentences of a text file that hold a word, drawn evenly from the whole of it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams

_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Context:
    """A sentence with a word in it.

    Args:
        text: The sentence.
        start: Where the word begins, in characters.
        end: Where it ends, exclusive.
    """

    text: str
    start: int
    end: int


def read_contexts(
    path: Path | str, words: Iterable[str], *, most: int, streams: Streams, longest: int = 1000
) -> Mapping[str, tuple[Context, ...]]:
    """Goes once through a text and keeps some of the sentences that hold each word.

    Args:
        path: A text file, plain or gzipped, UTF-8; sentences may share a line, none may go over its end.
        words: The words, looked for as they are written and as whole words.
        most: How many contexts of a word to keep, at least 1; more are thinned evenly over the text, so that all are as likely.
        streams: The source of randomness for that.
        longest: Sentences of more characters are passed over.

    Returns:
        The contexts of each word, none for a word that does not occur. A sentence with a word twice counts once.

    Raises:
        InputError: For `most` below 1.
        DataError: For a file that cannot be read.
    """
    if most < 1:
        raise InputError(f"contexts: most {most} is below 1; give how many contexts of a word to keep")
    wanted = sorted(set(words), key=len, reverse=True)
    kept: dict[str, list[Context]] = {word: [] for word in wanted}
    seen = dict.fromkeys(wanted, 0)
    generators = {word: streams.generator(f"contexts of {word}:") for word in wanted}
    found_in = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, wanted))})(?!\w)") if wanted else re.compile("(?!)")
    for sentence in _sentences(path, longest):
        here: set[str] = set()
        for match in found_in.finditer(sentence):
            word = match.group()
            if word in here:
                continue
            here.add(word)
            seen[word] += 1
            _keep(kept[word], Context(sentence, *match.span()), seen[word], most, generators[word])
    return {word: tuple(contexts) for word, contexts in kept.items()}


def _keep(kept: list[Context], context: Context, seen: int, most: int, generator: np.random.Generator) -> None:
    """Reservoir sampling: after n contexts each is kept with chance most / n."""
    if seen <= most:
        kept.append(context)
        return
    place = int(generator.integers(seen))
    if place < most:
        kept[place] = context


def _sentences(path: Path | str, longest: int) -> Iterator[str]:
    try:
        with Path(path).open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8") if zipped else Path(path).open(encoding="utf-8") as lines:
            for line in lines:
                yield from (part for part in _END.split(line.strip()) if 0 < len(part) <= longest)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error}); give a text file, plain or gzipped", path=path) from None
    except (EOFError, UnicodeDecodeError) as error:
        raise DataError(f"is damaged or not UTF-8 text ({error})", path=path) from None
