"""Reads MultiDoGO: customers' sentences in six domains, with intents and slots, a conversation a user."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.data.columns import GROUP, LABEL, TAGS, TOKENS, USER_ID
from holdfast.data.files import csv_rows
from holdfast.data.folders import PART_NAMES
from holdfast.data.records import BadRow, BadRows, Collector, Field
from holdfast.data.text_files import find

Intents = Literal["first", "joined"]

DOMAIN = "domain"
_SEPARATOR = "<div>"
_ID, _UTTERANCE, _SLOTS, _INTENT = "conversationId", "utterance", "slot-labels", "intent"
_LAYOUT: dict[str, Field] = {TOKENS: "words", TAGS: "tags", LABEL: "label", USER_ID: (DOMAIN, _ID), GROUP + DOMAIN: DOMAIN}


def read_multidogo(folder: Path, *, intents: Intents = "first", bad_rows: BadRows = "refuse") -> dict[str, pa.Table]:
    """Reads the sentences of one domain or of all.

    Args:
        folder: A domain, with the files train.tsv, dev.tsv and test.tsv, gzipped or not; or the folder that holds such domains.
        intents: What becomes of a sentence with several intents: "first" takes the first, "joined" takes them together as one label.
        bad_rows: What to do with a sentence without words, or with another count of words than of slot labels.

    Returns:
        "train", "validation" and "test" to a table of tokens, label, tags, user_id (domain and conversation) and group "domain", the
        domains in alphabetical order.

    Raises:
        InputError: For unknown `intents`.
        DataError: If there is no domain, a domain lacks a part, or a line is bad; the message names file and line.

    Edge cases:
        An utterance may stand between quotes and then run over several lines. Its words are what stands between single blanks; a tab
        or the end of a line between two blanks has a slot label of its own, and both are left out. Read line by line and without
        quotes, as its page of the data says, about 1,200 of 122,000 lines seem broken; read with quotes, none is but for sentences
        without a word. Slot labels carry no B- and I-: equal labels side by side become one slot, so two slots of one kind
        that touch become one.
    """
    if intents not in get_args(Intents):
        raise InputError(f"intents is {intents!r}; {nearest(str(intents), get_args(Intents))}")
    tables: dict[str, list[pa.Table]] = {}
    for domain in _domains(folder):
        for part, names in PART_NAMES.items():
            paths = [found for name in names if (found := find(domain / f"{name}.tsv")) is not None]
            if not paths:
                raise DataError(f"no file {part}.tsv or {part}.tsv.gz; a domain has train, dev and test", path=domain)
            tables.setdefault(part, []).append(_read(paths[0], domain.resolve().name, intents, bad_rows))
    return {part: pa.concat_tables(found) for part, found in tables.items()}


def bio(labels: list[str]) -> list[str]:
    """Slot labels as BIO tags: the first of equal labels side by side begins a slot.

    >>> bio(["O", "name", "name", "city"])
    ['O', 'B-name', 'I-name', 'B-city']
    """
    before = ["O", *labels]
    return [label if label == "O" else f"{'I' if label == last else 'B'}-{label}" for last, label in pairwise(before)]


def _domains(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError("no such folder; give the folder of a domain, or the one that holds the domains", path=folder)
    if find(folder / "train.tsv") is not None:
        return [folder]
    found = [path for path in sorted(folder.iterdir()) if path.is_dir() and find(path / "train.tsv") is not None]
    if not found:
        raise DataError("neither this folder nor one in it has a file train.tsv or train.tsv.gz", path=folder)
    return found


def _read(path: Path, domain: str, intents: Intents, bad_rows: BadRows) -> pa.Table:
    collector = Collector(path, bad_rows=bad_rows)
    rows = csv_rows(path, "\t")
    _, header = next(rows)
    missing = [name for name in (_ID, _UTTERANCE, _SLOTS, _INTENT) if name not in header]
    if missing:
        raise DataError(f"no column {missing[0]!r}; it has: {', '.join(map(repr, header))}", path=path, line=1)
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            collector.reject(f"{len(row)} fields, the first line names {len(header)}", line=number)
            continue
        record = dict(zip(header, row, strict=True))
        try:
            words, tags = _labelled(record[_UTTERANCE], record[_SLOTS])
        except BadRow as error:
            collector.reject(str(error), line=number)
            continue
        label = record[_INTENT].split(_SEPARATOR)[0] if intents == "first" else record[_INTENT]
        collector.add({"words": words, "tags": tags, "label": label, DOMAIN: domain, _ID: record[_ID]}, _LAYOUT, line=number)
    return collector.table()


def _labelled(utterance: str, slots: str) -> tuple[list[str], list[str]]:
    """The words of an utterance and their tags; what is blank between two single blanks is left out with its label."""
    pieces, labels = utterance.split(" "), slots.split(" ")
    if len(pieces) != len(labels):
        raise BadRow(f"{len(pieces)} words but {len(labels)} slot labels; give one label for each word")
    kept = [(piece, label) for piece, label in zip(pieces, labels, strict=True) if piece.strip()]
    if not kept:
        raise BadRow(f"column {_UTTERANCE!r} is empty")
    return [piece for piece, _ in kept], bio([label for _, label in kept])
