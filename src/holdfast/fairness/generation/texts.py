"""Texts to be rated: prompts with the group of each, and one or more texts that go on from each, whoever wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError
from holdfast.core.evidence import Condition
from holdfast.core.randomness import Streams
from holdfast.data.text_files import lines
from holdfast.fairness.inference.settings import Units
from holdfast.fairness.language.access import GeneratingAccess

Writer = Literal["model", "people", "given"]
UnitOf = Literal["prompt", "name"]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One prompt.

    Args:
        text: What the model goes on from.
        group: The group that it speaks of.
        name: Whom or what it speaks of, such as an actor; prompts of one name come from one page.
        domain: The attribute that the group is a value of, such as "profession".
        continuation: How people went on, without the prompt; None where that is not known.
    """

    text: str
    group: str
    name: str = ""
    domain: str = "group"
    continuation: str | None = None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How texts are drawn.

    Args:
        samples: Texts for each prompt, at least 1.
        most_words: Words of each at most, at least 1.
        top_p: Mass of the most likely pieces that are drawn from, in (0, 1].
        temperature: Above 0.

    Raises:
        InputError: For a value out of its bounds.
    """

    samples: int = 1
    most_words: int = 40
    top_p: float = 0.9
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.samples < 1 or self.most_words < 1:
            raise InputError(f"generation: samples {self.samples} and most_words {self.most_words} must be at least 1")
        if not 0 < self.top_p <= 1 or not self.temperature > 0:
            raise InputError(f"generation: top_p {self.top_p} must be in (0, 1] and temperature {self.temperature} above 0")

    def told(self) -> dict[str, Condition]:
        """The same as conditions of an estimate."""
        return {"samples": self.samples, "most_words": self.most_words, "top_p": self.top_p, "temperature": self.temperature}


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts by prompt.

    Args:
        attribute: What the groups are values of.
        names: The G groups, some of which may have no prompt.
        asked: The P prompts; each group is one of `names`.
        written: The texts of each prompt, P rows; a row may be empty.
        written_by: "model", "people", or "given" for texts from a file.
        source: Where prompts and texts come from, in words.
        drawn: How texts were drawn, where a model wrote them.
    """

    attribute: str
    names: tuple[str, ...]
    asked: tuple[Asked, ...]
    written: tuple[tuple[str, ...], ...]
    written_by: Writer
    source: str
    drawn: Mapping[str, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.asked) != len(self.written):
            raise InputError(f"texts: {len(self.written)} rows of texts for {len(self.asked)} prompts; give one row for each")
        strange = sorted({one.group for one in self.asked} - set(self.names))
        if strange:
            raise InputError(f"texts: a prompt of the group {strange[0]!r}, which is none of {', '.join(self.names)}")

    @cached_property
    def texts(self) -> list[str]:
        """The n texts that hold anything, prompt by prompt."""
        return [text for row in self.written for text in row if text.strip()]

    @cached_property
    def prompt_of(self) -> Ints:
        """The prompt of each of them, (n,)."""
        counts = [sum(bool(text.strip()) for text in row) for row in self.written]
        return np.repeat(np.arange(len(counts)), counts)

    @property
    def empty(self) -> int:
        """How many texts hold nothing; they are not rated."""
        return sum(map(len, self.written)) - len(self.texts)

    @cached_property
    def group_of(self) -> Ints:
        """The place of each prompt's group, (P,)."""
        place = {name: index for index, name in enumerate(self.names)}
        return np.array([place[one.group] for one in self.asked], dtype=np.int64)

    def units(self, of: UnitOf, prompts_n: Ints) -> Units:
        """Which rows hang together, by the prompt of each row, (n,): those of one prompt, or of all prompts of one name."""
        if of == "prompt":
            found, place = np.unique(prompts_n, return_inverse=True)
            return Units(place.astype(np.int64), len(found), "prompts")
        keys = [f"{self.asked[prompt].group}\n{self.asked[prompt].name or prompt}" for prompt in prompts_n.tolist()]
        return Units.named(keys, what="names")

    @classmethod
    def of_people(cls, asked: Sequence[Asked], *, attribute: str, source: str) -> Self:
        """The continuations that people wrote; prompts without one are left out, groups are kept."""
        kept = tuple(one for one in asked if one.continuation is not None)
        written = tuple((one.continuation or "",) for one in kept)
        return cls(attribute, _names(asked), kept, written, "people", source)

    @classmethod
    def of_model(
        cls, model: GeneratingAccess, asked: Sequence[Asked], *, attribute: str, source: str, decoding: Decoding, streams: Streams
    ) -> Self:
        """Has a model go on from each prompt.

        Raises:
            InputError: If the model gives another number of texts than was asked for.
        """
        chosen = decoding
        prompts = [one.text for one in asked]
        written = model.generate(
            prompts,
            samples=chosen.samples,
            most_words=chosen.most_words,
            top_p=chosen.top_p,
            temperature=chosen.temperature,
            streams=streams,
        )
        wrong = [place for place, row in enumerate(written) if len(row) != chosen.samples]
        if len(written) != len(prompts) or wrong:
            raise InputError(
                f"model {model.name!r} gave texts for {len(written)} of {len(prompts)} prompts"
                + (f", and {len(written[wrong[0]])} texts for prompt {wrong[0]}" if wrong else "")
                + f"; {chosen.samples} for each were asked for"
            )
        return cls(attribute, _names(asked), tuple(asked), tuple(map(tuple, written)), "model", source, chosen.told())

    def named(self, names: Sequence[str]) -> Self:
        """The same with these groups, in this order, also those without a prompt."""
        return replace(self, names=tuple(names))


def read_texts(path: Path) -> list[Texts]:
    """Reads texts that were made elsewhere: JSON lines with "prompt", "group", "text", and, if there is, "domain" and "name".

    Rows of one domain, group, name and prompt are samples of one prompt. A group that wrote nothing stands with an empty text.

    Args:
        path: The file; gzipped or not.

    Returns:
        One for each domain, in alphabetical order.

    Raises:
        DataError: With file and line, for a line that is no such object.
    """
    rows: dict[Asked, list[str]] = {}
    for number, line in lines(path):
        if line.strip():
            asked, text = _row(line, path, number)
            rows.setdefault(asked, []).append(text)
    if not rows:
        raise DataError("holds no text", path=path)
    domains = sorted({one.domain for one in rows})
    return [_of_rows(domain, {one: texts for one, texts in rows.items() if one.domain == domain}, path.name) for domain in domains]


def _of_rows(domain: str, rows: Mapping[Asked, Sequence[str]], source: str) -> Texts:
    return Texts(domain, _names(list(rows)), tuple(rows), tuple(map(tuple, rows.values())), "given", source)


def _row(line: str, path: Path, number: int) -> tuple[Asked, str]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg}", path=path, line=number) from error
    if not isinstance(found, dict):
        raise DataError(f"not a JSON object but a {type(found).__name__}", path=path, line=number)
    for key in ("prompt", "group", "text"):
        if not isinstance(found.get(key), str):
            raise DataError(f"{key!r} is {found.get(key)!r}; give a string", path=path, line=number)
    extra = {key: str(found[key]) for key in ("domain", "name") if key in found}
    return Asked(text=found["prompt"], group=found["group"], **extra), found["text"]


def capped(asked: Sequence[Asked], most: int | None, *, streams: Streams) -> list[Asked]:
    """At most so many prompts of each group, drawn without replacement and in their old order; all where `most` is None.

    A group's draw does not depend on the other groups.
    """
    if most is None:
        return list(asked)
    kept: list[int] = []
    for group in _names(asked):
        places = [place for place, one in enumerate(asked) if one.group == group]
        if len(places) > most:
            drawn = streams.child(f"prompts of {group}").generator("cap").permutation(len(places))[:most]
            places = [places[place] for place in drawn.tolist()]
        kept += places
    return [asked[place] for place in sorted(kept)]


def by_domain(asked: Sequence[Asked]) -> Iterator[tuple[str, list[Asked]]]:
    """The prompts of each domain, in the order of their first."""
    for domain in dict.fromkeys(one.domain for one in asked):
        yield domain, [one for one in asked if one.domain == domain]


def _names(asked: Sequence[Asked]) -> tuple[str, ...]:
    return tuple(sorted({one.group for one in asked}))
