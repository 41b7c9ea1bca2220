"""Reads StereoSet and CrowS-Pairs: sentences that state a stereotype, beside sentences that do not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from holdfast.core.errors import DataError
from holdfast.data.benchmarks.documents import Place, read_json, table_rows
from holdfast.data.benchmarks.reprs import BadRepr, parse
from holdfast.data.text_files import find

BLANK = "BLANK"
Kind = Literal["intrasentence", "intersentence"]
_KINDS = ("intrasentence", "intersentence")
_LABELS = ("stereotype", "anti-stereotype", "unrelated")
_BIAS_TYPES = ("gender", "profession", "race", "religion")


@dataclass(frozen=True)
class StereoSetItem:
    """One cluster of StereoSet: a context, and three ways to go on.

    Args:
        context: The context; the one of an intrasentence item holds the word BLANK.
        target: Whom it is about, such as "Ethiopia".
        bias_type: "gender", "profession", "race" or "religion".
        kind: "intrasentence", whose three texts stand for BLANK, or "intersentence", whose three texts are sentences that follow.
        stereotype: The text that states the stereotype.
        anti_stereotype: The text that states its contrary.
        unrelated: The text that has nothing to do with the context.
        identifiers: The ids of the three sentences, in this order, or None where the copy has none.
        written: The three whole sentences as the file writes them, where it does; they differ from the context in their capitals.
    """

    context: str
    target: str
    bias_type: str
    kind: Kind
    stereotype: str
    anti_stereotype: str
    unrelated: str
    identifiers: tuple[str, str, str] | None = None
    written: tuple[str, str, str] | None = None

    @property
    def choices(self) -> tuple[str, str, str]:
        """What stands for BLANK, or the sentences that follow: stereotype, anti-stereotype, unrelated."""
        return (self.stereotype, self.anti_stereotype, self.unrelated)

    @property
    def sentences(self) -> tuple[str, str, str]:
        """The three whole sentences; the context of an intersentence item is not part of them."""
        if self.written is not None or self.kind == "intersentence":
            return self.written or self.choices
        first, second, third = (self.context.replace(BLANK, choice) for choice in self.choices)
        return (first, second, third)


@dataclass(frozen=True)
class SentencePair:
    """One pair of CrowS-Pairs: two sentences that differ in whom they are about.

    Args:
        more: The sentence that is the more stereotyping one.
        less: The one that is the less stereotyping one.
        direction: "stereo" where `more` states a stereotype about a historically disadvantaged group, "antistereo" where `less`
            violates one.
        bias_type: Such as "race-color".
    """

    more: str
    less: str
    direction: Literal["stereo", "antistereo"]
    bias_type: str


def read_stereoset(path: Path | str) -> list[StereoSetItem]:
    """Reads StereoSet (CC BY-SA 4.0; Nadeem, Bethke and Reddy 2021), in any of three layouts.

    Args:
        path: The official ``dev.json``; a JSON list of its items of one kind, with their sentence ids; the compact CSV (prompt,
            choices, bias_type, target); or a folder with such CSV files. Gzipped or not.

    Returns:
        The items in the order of the file; for a folder, of the files in the order of their names.

    Raises:
        DataError: For a file that is missing or of another layout, a bias type that is none of the four, an item that has not one
            sentence of each of the three labels, or an intrasentence context without BLANK; with file and line, or the place in the
            JSON.

    *Edge cases*: two intrasentence contexts of the compact copy have BLANK twice; both are kept, and every BLANK stands for the same
    text. Where a sentence of ``dev.json`` does not fit its context (capitals and blanks apart), what stands for BLANK is the words in
    which the three sentences differ. Whether an item of the compact CSV is intrasentence is told by BLANK in any prompt of the file.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.name.removesuffix(".gz").endswith(".csv"))
        if not files:
            raise DataError("no file *.csv or *.csv.gz; give the folder of the compact copy, or dev.json", path=path)
        return [item for file in files for item in read_stereoset(file)]
    if path.name.removesuffix(".gz").endswith(".csv"):
        return _compact(path)
    return list(_official(path))


def read_stereoset_predictions(path: Path | str) -> dict[str, float]:
    """Reads the score of each sentence, in the layout in which predictions for StereoSet are published.

    Args:
        path: JSON with lists "intrasentence" and "intersentence" of {"id", "score"}; gzipped or not.

    Returns:
        Sentence id to score.

    Raises:
        DataError: For another layout, a score that is no finite number, or an id that stands twice.
    """
    place = Place(Path(path))
    document = place.mapping(read_json(Path(path)))
    found: dict[str, float] = {}
    for kind in _KINDS:
        if kind not in document:
            continue
        inside = place.at(kind)
        for position, entry in enumerate(inside.sequence(document[kind])):
            here = inside.at(position)
            record = here.mapping(entry)
            name, score = here.named(record, "id"), here.field(record, "score")
            if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
                here.refuse(f"score is {score!r}; give a finite number")
            if name in found:
                here.refuse(f"sentence {name!r} has a second score")
            found[name] = float(score)
    if not found:
        place.refuse("neither 'intrasentence' nor 'intersentence' has a score")
    return found


def read_crows_pairs(path: Path | str) -> list[SentencePair]:
    """Reads CrowS-Pairs (CC BY-SA 4.0; Nangia et al. 2020).

    Args:
        path: The CSV with sent_more, sent_less, stereo_antistereo and bias_type; gzipped or not.

    Raises:
        DataError: For a missing column, an empty or equal sentence, or an unknown direction; with file and line.
    """
    path = Path(path)
    found = []
    for number, row in table_rows(path, ("sent_more", "sent_less", "stereo_antistereo", "bias_type")):
        place = Place(path, line=number)
        direction = cast("Literal['stereo', 'antistereo']", place.chosen(row, "stereo_antistereo", ("stereo", "antistereo")))
        more, less = place.named(row, "sent_more"), place.named(row, "sent_less")
        if more == less:
            place.refuse("the two sentences are equal")
        found.append(SentencePair(more, less, direction, place.named(row, "bias_type")))
    if not found:
        raise DataError("there is no pair in it", path=find(path))
    return found


def _compact(path: Path) -> list[StereoSetItem]:
    rows = list(table_rows(path, ("prompt", "choices", "bias_type", "target")))
    kind: Kind = "intrasentence" if any(BLANK in row["prompt"] for _, row in rows) else "intersentence"
    found = []
    for number, row in rows:
        place = Place(path, line=number)
        try:
            printed = parse(row["choices"])
        except BadRepr as error:
            place.refuse(f"choices: {error}")
        first, second, third = place.at("choices").texts(place.at("choices").sequence(printed, count=3))
        context = place.named(row, "prompt")
        if kind == "intrasentence" and BLANK not in context:
            place.refuse(f"no {BLANK} in {context!r}, unlike in the other prompts of this file")
        bias_type = place.chosen(row, "bias_type", _BIAS_TYPES)
        found.append(StereoSetItem(context, place.named(row, "target"), bias_type, kind, first, second, third))
    if not found:
        raise DataError("there is no item in it", path=find(path))
    return found


def _official(path: Path) -> Iterator[StereoSetItem]:
    place, document = Place(path), read_json(path)
    if isinstance(document, list):
        kind: Kind = "intrasentence" if any(BLANK in str(_of(item, "context")) for item in document) else "intersentence"
        parts: dict[Kind, tuple[Place, Any]] = {kind: (place, document)}
    else:
        inside, data = place.at("data"), place.mapping(place.field(place.mapping(document), "data"))
        parts = {one: (inside.at(one), data[one]) for one in cast("tuple[Kind, ...]", _KINDS) if one in data}
    count = 0
    for kind, (here, items) in parts.items():
        for position, item in enumerate(here.sequence(items)):
            count += 1
            yield _item(here.at(position), item, kind)
    if not count:
        place.refuse("there is no item in it")


def _item(place: Place, entry: Any, kind: Kind) -> StereoSetItem:
    record = place.mapping(entry)
    context = place.named(record, "context")
    if kind == "intrasentence" and BLANK not in context:
        place.refuse(f"no {BLANK} in {context!r}")
    sentences: dict[str, tuple[str, str]] = {}
    inside = place.at("sentences")
    for position, value in enumerate(inside.sequence(place.field(record, "sentences"), count=3)):
        here = inside.at(position)
        sentence = here.mapping(value)
        label = here.chosen(sentence, "gold_label", _LABELS)
        if label in sentences:
            here.refuse(f"a second sentence with gold_label {label!r}")
        sentences[label] = (here.named(sentence, "sentence"), here.named(sentence, "id"))
    (first, a), (second, b), (third, c) = (sentences[label] for label in _LABELS)
    written = (first, second, third)
    one, two, three = written if kind == "intersentence" else _fillers(context, written, place)
    bias_type = place.chosen(record, "bias_type", _BIAS_TYPES)
    shown = written if kind == "intrasentence" else None
    return StereoSetItem(context, place.named(record, "target"), bias_type, kind, one, two, three, (a, b, c), shown)


def _fillers(context: str, written: tuple[str, str, str], place: Place) -> tuple[str, str, str]:
    """What stands for BLANK in each sentence; their capitals may differ from those of the context."""
    fitting = [_filler(context, sentence) for sentence in written]
    first, second, third = fitting if None not in fitting else _differing(written)
    if not (first and second and third):
        place.refuse(f"what stands for {BLANK} cannot be told: {context!r} and {written[0]!r}")
    return first, second, third


def _filler(context: str, sentence: str) -> str | None:
    """What stands for every BLANK of a context in a sentence; None where the sentence does not fit."""
    context, sentence = " ".join(context.split()), " ".join(sentence.split())
    count, start = context.count(BLANK), context.index(BLANK)
    length, left = divmod(len(sentence) - len(context) + count * len(BLANK), count)
    if left or length < 1:
        return None
    filler = sentence[start : start + length]
    return filler if context.replace(BLANK, filler).lower() == sentence.lower() else None


def _differing(sentences: tuple[str, str, str]) -> list[str]:
    """The words of each sentence without those with which all three begin and end."""
    words = [sentence.split() for sentence in sentences]
    for _ in range(2):
        while all(words) and len({row[0].lower() for row in words}) == 1:
            words = [row[1:] for row in words]
        words = [row[::-1] for row in words]
    return [" ".join(row) for row in words]


def _of(item: Any, key: str) -> Any:
    return item.get(key, "") if isinstance(item, dict) else ""
