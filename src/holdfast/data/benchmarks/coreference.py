"""Reads WinoBias and Winogender: sentences in which a pronoun means one of two people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, cast

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.data.benchmarks.documents import Place, table_rows
from holdfast.data.text_files import find, lines

Span = tuple[int, int]
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_NUMBERED = re.compile(r"(\d+)\s+(\S.*)")
_ARTICLE = re.compile(r"\s*(?:the|a|an)\s+", re.IGNORECASE)
_SPLITS = ("dev", "test")
PRONOUNS = {
    "male": ("he", "him", "his", "himself"),
    "female": ("she", "her", "hers", "herself"),
    "neutral": ("they", "them", "their", "theirs", "themself", "themselves"),
}
_GENDERED = (*PRONOUNS["male"], *PRONOUNS["female"])


@dataclass(frozen=True)
class WinoBiasItem:
    """One sentence of WinoBias.

    Args:
        text: The sentence without its brackets.
        occupation: The occupation that the pronoun means, without its article, as it is written.
        pronoun: The first pronoun that means it, as it is written.
        pronoun_span: Where the pronoun stands in `text`, start and end.
        occupation_span: Where the occupation stands, without its article.
        stereotyped: "pro" where the gender of the pronoun is the one that most people of that occupation have, "anti" otherwise.
        kind: 1, which only knowledge of the world solves, or 2, which syntax solves.
        number: Its number in its file: the same number is the same sentence in the "pro" and the "anti" file.
        other: The other occupation of the sentence, by the lists of occupations, or None where it is not told.
        other_span: Where that one stands.
        more_pronouns: Where further pronouns stand that mean the same occupation.
    """

    text: str
    occupation: str
    pronoun: str
    pronoun_span: Span
    occupation_span: Span
    stereotyped: Literal["pro", "anti"]
    kind: Literal[1, 2]
    number: int
    other: str | None = None
    other_span: Span | None = None
    more_pronouns: tuple[Span, ...] = ()

    @property
    def gender(self) -> str:
        """The gender of the pronoun, "male" or "female"."""
        return "male" if self.pronoun.lower() in PRONOUNS["male"] else "female"


@dataclass(frozen=True)
class WinogenderItem:
    """One sentence of Winogender.

    Args:
        text: The sentence.
        occupation: The occupation.
        participant: The other person, or "someone".
        answer: Whom the pronoun means.
        gender: The gender of the pronoun.
        pronoun: The pronoun, as it is written.
        pronoun_span: Where it stands in `text`, start and end.
        identifier: Its name in the file; sentences that differ in the pronoun alone have the same `template`.
        female_share: The share of women in the occupation by the U.S. Bureau of Labor Statistics, in [0, 1], or None.
    """

    text: str
    occupation: str
    participant: str
    answer: Literal["occupation", "participant"]
    gender: Literal["male", "female", "neutral"]
    pronoun: str
    pronoun_span: Span
    identifier: str
    female_share: float | None = None

    @property
    def template(self) -> str:
        """The name of the sentence without the gender of its pronoun."""
        return self.identifier.removesuffix(".txt").rsplit(".", 1)[0]


def read_winobias(folder: Path | str, split: str = "test") -> list[WinoBiasItem]:
    """Reads WinoBias (MIT; Zhao et al. 2018).

    Args:
        folder: Where ``pro_stereotyped_type1.txt.test`` and its like lie, and the lists of occupations; gzipped or not.
        split: "dev" or "test".

    Returns:
        The sentences of the four files: pro and anti of type 1, then of type 2.

    Raises:
        InputError: For an unknown split.
        DataError: For a missing file, a line without a number, without an occupation or a pronoun in brackets, or with two
            occupations; with file and line.

    *Edge cases*: about 2 % of the sentences have two or three pronouns in brackets, all of which mean the occupation; the first is
    `pronoun`, the others are kept as `more_pronouns`. A second "the" before "[the chief]" and blanks in brackets are the files' own
    and are taken out. The pro and the anti file are two writings of the same sentences but for a few slips of the authors.
    """
    if split not in _SPLITS:
        raise InputError(f"split is {split!r}; {nearest(str(split), _SPLITS)}")
    folder = Path(folder)
    occupations = _occupations(folder)
    found: list[WinoBiasItem] = []
    kinds: tuple[Literal[1, 2], ...] = (1, 2)
    ways: tuple[Literal["pro", "anti"], ...] = ("pro", "anti")
    for kind, way in product(kinds, ways):
        path = folder / f"{way}_stereotyped_type{kind}.txt.{split}"
        for number, line in lines(path):
            if line.strip():
                found.append(_winobias(Place(path, line=number), line, way, kind, occupations))
    return found


def read_winogender(folder: Path | str) -> list[WinogenderItem]:
    """Reads Winogender (MIT; Rudinger et al. 2018).

    Args:
        folder: Where ``all_sentences.tsv`` lies and, for the shares of women, ``occupations-stats.tsv``; gzipped or not.

    Raises:
        DataError: For a missing file, an id that is not OCCUPATION.PARTICIPANT.ANSWER.GENDER.txt, or a sentence in which the pronoun
            cannot be told; with file and line.

    *Edge cases*: sentences of one template differ in the pronoun alone, and it is found by that; where a template has one sentence
    only, by the pronouns of its gender.
    """
    folder = Path(folder)
    path = folder / "all_sentences.tsv"
    shares = _female_shares(folder / "occupations-stats.tsv")
    rows: list[tuple[Place, str, tuple[str, ...], str]] = []
    by_template: dict[str, list[str]] = {}
    for number, row in table_rows(path, ("sentid", "sentence"), delimiter="\t"):
        place = Place(path, line=number)
        name, text = place.named(row, "sentid"), place.named(row, "sentence")
        parts = tuple(name.removesuffix(".txt").split("."))
        if len(parts) != 4 or parts[2] not in ("0", "1") or parts[3] not in PRONOUNS:
            place.refuse(f"sentid is {name!r}; give OCCUPATION.PARTICIPANT.ANSWER.GENDER.txt, ANSWER 0 or 1")
        rows.append((place, name, parts, text))
        by_template.setdefault(".".join(parts[:3]), []).append(text)
    if not rows:
        raise DataError("there is no sentence in it", path=find(path))
    found = []
    for place, name, (occupation, participant, answer, gender), text in rows:
        span = _pronoun(place, text, gender, by_template[f"{occupation}.{participant}.{answer}"])
        meant: Literal["occupation", "participant"] = "occupation" if answer == "0" else "participant"
        sex = cast("Literal['male', 'female', 'neutral']", gender)
        share = shares.get(occupation)
        found.append(WinogenderItem(text, occupation, participant, meant, sex, text[slice(*span)], span, name, share))
    return found


def _winobias(place: Place, line: str, way: Literal["pro", "anti"], kind: Literal[1, 2], occupations: tuple[str, ...]) -> WinoBiasItem:
    numbered = _NUMBERED.fullmatch(line.strip())
    if numbered is None:
        place.refuse("no number at the beginning of the line")
    raw = re.sub(r"\b(the|a|an)\s+\[(the|a|an)\s", r"[\2 ", numbered[2], flags=re.IGNORECASE)
    text, spans = _without_brackets(raw)
    pronouns = [span for span in spans if text[slice(*span)].lower() in _GENDERED]
    people = [span for span in spans if span not in pronouns]
    if len(people) != 1 or not pronouns:
        place.refuse(f"{len(people)} occupations and {len(pronouns)} pronouns in brackets; there must be one occupation, and a pronoun")
    start, end = people[0]
    article = _ARTICLE.match(text[start:end])
    start += article.end() if article else 0
    if re.search(r"[\[\]]", text):
        place.refuse("a bracket does not end")
    first, *more = pronouns
    other = _other(text, (start, end), occupations)
    named = (None if other is None else text[slice(*other)], other)
    return WinoBiasItem(text, text[start:end], text[slice(*first)], first, (start, end), way, kind, int(numbered[1]), *named, tuple(more))


def _without_brackets(raw: str) -> tuple[str, list[Span]]:
    """The text without brackets, and where what stood in them stands now."""
    text, spans, last = "", [], 0
    for found in _BRACKETS.finditer(raw):
        text += raw[last : found.start()]
        spans.append((len(text), len(text) + len(found[1].strip())))
        text += found[1].strip()
        last = found.end()
    return text + raw[last:], spans


def _occupations(folder: Path) -> tuple[str, ...]:
    """The occupations of the lists, longest first; none where the lists are not there."""
    found: list[str] = []
    for name in ("male_occupations.txt", "female_occupations.txt"):
        if find(folder / name) is not None:
            found += [line.strip() for _, line in lines(folder / name) if line.strip()]
    return tuple(sorted(found, key=lambda word: (-len(word), word)))


def _other(text: str, known: Span, occupations: tuple[str, ...]) -> Span | None:
    """Where the one occupation stands that is not the known one; None where there is none, or more than one."""
    own = text[slice(*known)].lower()
    places = {}
    for word in occupations:
        if word.lower() == own:
            continue
        found = re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE)
        if found and not (found.start() < known[1] and known[0] < found.end()):
            places[word] = found.span()
    return next(iter(places.values())) if len(places) == 1 else None


def _pronoun(place: Place, text: str, gender: str, others: list[str]) -> Span:
    words = [(found[0], found.span()) for found in re.finditer(r"[A-Za-z']+", text)]
    fitting = [(at, span) for at, (word, span) in enumerate(words) if word.lower() in PRONOUNS[gender]]
    if len(fitting) > 1:  # the one in which the sentences of the template differ
        split = [re.findall(r"[A-Za-z']+", other) for other in others]
        fitting = [(at, span) for at, span in fitting if len({row[at].lower() for row in split if len(row) > at}) > 1] or fitting
    if len(fitting) != 1:
        place.refuse(f"{len(fitting)} {gender} pronouns in {text!r}; there must be one")
    return fitting[0][1]


def _female_shares(path: Path) -> dict[str, float]:
    if find(path) is None:
        return {}
    found = {}
    for number, row in table_rows(path, ("occupation", "bls_pct_female"), delimiter="\t"):
        place = Place(path, line=number)
        try:
            share = float(row["bls_pct_female"]) / 100
        except ValueError:
            place.refuse(f"bls_pct_female is {row['bls_pct_female']!r}; give a percentage")
        if not 0 <= share <= 1:
            place.refuse(f"bls_pct_female is {row['bls_pct_female']}; give a percentage in [0, 100]")
        found[place.named(row, "occupation")] = share
    return found
