"""Reads plain text to train language models on: a text a line, paragraphs between blank lines, or the sentences of BOLD."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.data.benchmarks.bold import sentences
from holdfast.data.columns import GROUP, TOKENS
from holdfast.data.folders import PART_NAMES
from holdfast.data.text_files import find, lines

Texts = Literal["lines", "paragraphs"]
SUBJECT = "subject"
_LEAST_WORDS = 2
_ENDINGS = (".txt", ".json")


def read_texts(path: Path | str, *, texts: Texts = "lines", most_words: int | None = None, lower: bool = False) -> dict[str, pa.Table]:
    """Reads texts as words between blanks.

    Args:
        path: A text file; a file of BOLD, whose name ends in ``.json`` and whose sentences are the texts; or a folder of such files.
            Gzipped or not.
        texts: What a text is in a text file: "lines", each line, or "paragraphs", the lines between two blank lines.
        most_words: At how many words a text is cut; what is left becomes the next text, so no word is lost. >= 2; not at all where None.
        lower: Whether capitals are made small.

    Returns:
        A part to a table of tokens, for BOLD with group "subject", the group that a sentence is about. A folder whose files are called
        train and test, and may be validation, gives these parts; any other file or folder gives all of it as "train", the files in
        the order of their names.

    Raises:
        InputError: For an unknown `texts` or a bad `most_words`.
        DataError: For a missing file, one without a word, or BOLD files beside text files.

    *Edge cases*: blank lines and lines of blanks are no texts. Nothing is taken out: headings such as "= Title =" are texts, and
    "<unk>" of WikiText is a word like any other.
    """
    if texts not in get_args(Texts):
        raise InputError(f"texts is {texts!r}; {nearest(str(texts), get_args(Texts))}")
    whole = isinstance(most_words, int) and not isinstance(most_words, bool) and most_words >= _LEAST_WORDS
    if most_words is not None and not whole:
        raise InputError(f"most_words is {most_words!r}; give an integer >= {_LEAST_WORDS}")
    found = {}
    for part, files in _files(Path(path)).items():
        if len({_is_bold(file) for file in files}) > 1:
            raise DataError("holds *.txt and *.json files; give the folder of one kind", path=path)
        tables = [_table(file, texts, most_words, lower=lower) for file in files]
        found[part] = pa.concat_tables(tables)
    return found


def _files(path: Path) -> dict[str, list[Path]]:
    """The files of each part."""
    if not path.is_dir():
        return {"train": [path]}
    files = [one for one in sorted(path.iterdir()) if one.name.removesuffix(".gz").endswith(_ENDINGS)]
    if not files:
        raise DataError("no file *.txt or *.json, gzipped or not", path=path)
    named = {part: [one for one in files if one.name.split(".")[0].lower() in names] for part, names in PART_NAMES.items()}
    if named["train"] and named["test"]:
        return {part: found for part, found in named.items() if found}
    return {"train": files}


def _table(path: Path, texts: Texts, most_words: int | None, *, lower: bool) -> pa.Table:
    rows: list[list[str]] = []
    subjects: list[str] = []
    for subject, text in _texts(path, texts):
        words = (text.lower() if lower else text).split()
        step = most_words or len(words) or 1
        pieces = [words[start : start + step] for start in range(0, len(words), step)]
        rows += pieces
        subjects += [subject] * len(pieces)
    if not rows:
        raise DataError("there is no word in it", path=find(path))
    columns = {TOKENS: pa.array(rows, pa.list_(pa.string()))}
    return pa.table({**columns, GROUP + SUBJECT: pa.array(subjects, pa.string())} if _is_bold(path) else columns)


def _texts(path: Path, texts: Texts) -> Iterator[tuple[str, str]]:
    if _is_bold(path):
        yield from ((group, text) for group, _, text in sentences(path))
        return
    paragraph: list[str] = []
    for _, line in lines(path):
        if texts == "lines":
            yield "", line
        elif line.strip():
            paragraph.append(line)
        else:
            yield "", " ".join(paragraph)
            paragraph = []
    yield "", " ".join(paragraph)


def _is_bold(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".json")
