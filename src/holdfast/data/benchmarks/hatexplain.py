"""Reads HateXplain: posts labelled as hate speech, offensive or normal, and whom they are about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.data.benchmarks.documents import Place, read_json
from holdfast.data.columns import GROUP, LABEL, TOKENS
from holdfast.data.text_files import find

Labels = Literal["three", "binary"]
TARGET = "target"
NO_TARGET, NOT_KNOWN = "none", "unknown"
CLASSES = ("hatespeech", "normal", "offensive")
_NOBODY = ("None", "Other")
_PARTS = {"train": "train", "validation": "val", "test": "test"}
_WORDS = pa.list_(pa.string())


def read_hatexplain(folder: Path | str, *, labels: Labels = "three", least_annotators: int = 2) -> dict[str, pa.Table]:
    """Reads HateXplain (MIT; Mathew et al. 2021). The posts are offensive.

    Args:
        folder: Where ``post_id_divisions.json`` lies, and ``dataset.json`` with all posts; or ``val_test_full.json`` with those of
            validation and test, and ``majority_train.json`` with the texts and labels of training. Gzipped or not.
        labels: "three" is hatespeech, normal and offensive; "binary" takes hatespeech and offensive together as "toxic".
        least_annotators: How many annotators must name a community for a post to be about it, >= 1.

    Returns:
        "train", "validation" and "test" to a table of tokens, label (that of most annotators) and group "target": the communities
        that the post is about, in alphabetical order with "+" between them; "none" where there is no such community.

    Raises:
        InputError: For an unknown `labels` or a bad `least_annotators`.
        DataError: For a missing file, a post of the divisions that is not there, one without words, or one in which no label has a
            majority; with the place in the file.

    *Edge cases*: where the training posts come from ``majority_train.json``, nobody knows whom they are about, and their target is
    "unknown". "None" and "Other" are no community.
    """
    if labels not in get_args(Labels):
        raise InputError(f"labels is {labels!r}; {nearest(str(labels), get_args(Labels))}")
    if isinstance(least_annotators, bool) or not isinstance(least_annotators, int) or least_annotators < 1:
        raise InputError(f"least_annotators is {least_annotators!r}; give an integer >= 1")
    folder = Path(folder)
    divisions = folder / "post_id_divisions.json"
    place = Place(divisions)
    parts = place.mapping(read_json(divisions))
    whole = folder / "dataset.json"
    source = whole if find(whole) is not None else folder / "val_test_full.json"
    posts = Place(source).mapping(read_json(source))
    found = {}
    for part, key in _PARTS.items():
        if part == "train" and source is not whole:
            found[part] = _majority(folder / "majority_train.json", labels)
            continue
        rows = []
        for name in place.at(key).texts(place.field(parts, key)):
            if name not in posts:
                raise DataError(f"no post {name!r}, which {divisions.name} has in {key!r}", path=find(source))
            rows.append(_post(Place(source, inside=name), posts[name], labels, least_annotators))
        found[part] = _table(rows, place.at(key))
    return found


def _post(place: Place, entry: Any, labels: Labels, least_annotators: int) -> tuple[tuple[str, ...], str, str]:
    record = place.mapping(entry)
    given_tokens = place.at("post_tokens").sequence(place.field(record, "post_tokens"))
    tokens = tuple(word for word in given_tokens if place.at("post_tokens").text(word, may_be_empty=True).strip())
    given: list[str] = []
    named: Counter[str] = Counter()
    inside = place.at("annotators")
    for at, value in enumerate(inside.sequence(place.field(record, "annotators"))):
        here = inside.at(at)
        annotator = here.mapping(value)
        given.append(here.chosen(annotator, "label", CLASSES))
        named.update(set(here.at("target").texts(here.field(annotator, "target"))))
    if not tokens or not given:
        place.refuse("no words" if not tokens else "no annotator")
    label, most = Counter(given).most_common(1)[0]
    if 2 * most <= len(given):
        place.refuse(f"no label has a majority among {given}")
    about = sorted(name for name, count in named.items() if count >= least_annotators and name not in _NOBODY)
    return tokens, _label(label, labels), "+".join(about) or NO_TARGET


def _majority(path: Path, labels: Labels) -> pa.Table:
    place = Place(path)
    rows = []
    for at, entry in enumerate(place.sequence(read_json(path))):
        here = place.at(at)
        text, label = here.sequence(entry, count=2)
        if label not in CLASSES:
            here.refuse(f"label is {label!r}; it must be one of {', '.join(CLASSES)}")
        rows.append((tuple(here.text(text).split()), _label(label, labels), NOT_KNOWN))
    return _table(rows, place)


def _label(label: str, labels: Labels) -> str:
    return label if labels == "three" else "normal" if label == "normal" else "toxic"


def _table(rows: list[tuple[tuple[str, ...], str, str]], place: Place) -> pa.Table:
    if not rows:
        place.refuse("there is no post in it")
    tokens, given, about = zip(*rows, strict=True)
    return pa.table({TOKENS: pa.array(tokens, _WORDS), LABEL: pa.array(given), GROUP + TARGET: pa.array(about)})
