"""Reads values that Python or numpy printed, such as "{'a': array(['x' 'y'], dtype=object)}", without running anything."""

from __future__ import annotations

import re
from typing import NoReturn

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

_MOST_DEPTH = 32
_SPACE = re.compile(r"\s*")
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[A-Za-z_]\w*")
_KIND = re.compile(r",\s*dtype\s*=\s*(?:[A-Za-z_][\w.]*|'[^'\\]*')\s*")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "\n": "", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_CONSTANTS: dict[str, bool | None] = {"True": True, "False": False, "None": None}


class BadRepr(ValueError):
    """What is wrong with a printed value, and where in it; the reader adds the file and the line."""


def parse(text: str) -> Value:
    r"""Reads one printed value: texts, numbers, True, False, None, lists, tuples, mappings with texts as keys, arrays of numpy.

    Args:
        text: What was printed. Values of a list may stand between commas, or between blanks as numpy prints them.

    Returns:
        The value; lists, tuples and arrays are lists.

    Raises:
        BadRepr: For anything else: a name, a call, an operator, something left over, or brackets more than 32 deep.

    *Guarantee*: nothing in the text is run or looked up, and the time is linear in its length. For a value made of texts, integers,
    True, False, None, lists and mappings, ``parse(repr(value)) == value``.

    >>> parse("['a cat' 'the dog\\'s']")
    ['a cat', "the dog's"]
    >>> parse("{'ans0': array(['man', 'M'], dtype=object), 'n': None}")
    {'ans0': ['man', 'M'], 'n': None}
    """
    reader = _Reader(text)
    value = reader.value(0)
    reader.blanks()
    if reader.at != len(text):
        reader.refuse("something is left over")
    return value


class _Reader:
    """A place in a text, moved on by reading."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def refuse(self, message: str) -> NoReturn:
        seen = self.text[self.at : self.at + 20]
        raise BadRepr(f"{message} at character {self.at + 1}{f', before {seen!r}' if seen else ''}")

    def blanks(self) -> str:
        """Passes over blanks; the next character, or ''."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def take(self, mark: str) -> None:
        if self.blanks() != mark:
            self.refuse(f"{mark!r} is missing")
        self.at += 1

    def value(self, depth: int) -> Value:
        if depth > _MOST_DEPTH:
            self.refuse(f"brackets more than {_MOST_DEPTH} deep")
        mark = self.blanks()
        if mark and mark in "'\"":
            return self.string()
        if mark == "[":
            return self.row("]", depth)
        if mark == "(":
            return self.row(")", depth)
        if mark == "{":
            return self.mapping(depth)
        return self.word(depth) if mark.isalpha() or mark == "_" else self.number()

    def string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            self.refuse("a text does not end")
        self.at = found.end()
        return _ESCAPE.sub(self.character, found[1] if found[1] is not None else found[2])

    def character(self, found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code is None:
            if found[4] not in _SHORT:
                self.refuse(f"an unknown escape {found[0]!r} in the text")
            return _SHORT[found[4]]
        number = int(code, 16)
        if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            self.refuse(f"{found[0]!r} in the text is no character")
        return chr(number)

    def number(self) -> int | float:
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            self.refuse("a value is missing")
        try:
            number = float(found[0]) if set(found[0]) & set(".eE") else int(found[0])
        except ValueError:
            self.refuse("a number of too many digits")
        self.at = found.end()
        return number

    def word(self, depth: int) -> Value:
        found = _WORD.match(self.text, self.at)
        name = found[0] if found else ""
        if name not in _CONSTANTS and name != "array":
            self.refuse(f"the name {name!r}, which is no value")
        self.at += len(name)
        if name != "array":
            return _CONSTANTS[name]
        self.take("(")
        if self.blanks() != "[":
            self.refuse("an array without its list")
        value = self.row("]", depth)
        self.blanks()
        kind = _KIND.match(self.text, self.at)
        self.at = kind.end() if kind else self.at
        self.take(")")
        return value

    def row(self, end: str, depth: int) -> list[Value]:
        """A list, whose values stand between commas or blanks."""
        self.at += 1
        found: list[Value] = []
        while self.blanks() != end:
            if self.at == len(self.text):
                self.refuse(f"{end!r} is missing")
            found.append(self.value(depth + 1))
            if self.blanks() == ",":
                self.at += 1
        self.at += 1
        return found

    def mapping(self, depth: int) -> dict[str, Value]:
        self.at += 1
        found: dict[str, Value] = {}
        while (mark := self.blanks()) != "}":
            if mark not in ("'", '"'):
                self.refuse("a key that is no text" if mark else "'}' is missing")
            key = self.string()
            if key in found:
                self.refuse(f"the key {key!r} stands twice")
            self.take(":")
            found[key] = self.value(depth + 1)
            if self.blanks() == ",":
                self.at += 1
            elif self.blanks() != "}":
                self.refuse("',' or '}' is missing")
        self.at += 1
        return found
