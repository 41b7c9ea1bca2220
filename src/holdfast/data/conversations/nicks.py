"""Takes the names of a chat's speakers out of its text, and cuts the text into words."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property

NICK = "<nick>"
"""The word that stands for a name in a text."""

_CONTROL = re.compile(r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|[\x00-\x08\x0e-\x1f\x7f]")  # colours, bold and the like
_ADDRESS = re.compile(r"\s*@?([^\s:,]+)[:,](?=\s|$)")
_USUAL = "-[]\\`_^{}|"  # what IRC allows in a name beside letters and digits
_TOKEN = re.compile(
    r"(?:https?|ftp|irc)://\S*[^\s.,;:!?)\]>'\"]"  # an address of the web, without the stop behind it
    rf"|{NICK}"
    r"|(?<!\w)--?[A-Za-z][\w-]*"  # an option of a command
    r"|[~.]{0,2}(?:/[\w.+-]*\w)+/?"  # a path
    r"|\w+(?:[-.'’@/+]\w+)*"  # a word, also don't, 18.04, apt-get
    r"|[:;=8][-^o']?[()\[\]DPp/\\|*]+(?!\w)"  # a face
    r"|([^\w\s])\1*"  # one sign, as often as it stands there
)


class Nicks:
    """The names of the people in one chat.

    Args:
        here: The names of everybody who spoke, came, went, or was renamed in this chat.
        anywhere: Names of people of other chats; where one is called by name at the beginning of a message, it is taken out too.

    Guarantee:
        After `masked`, no name of `here` stands in the text, whatever its case, except within a longer word: a name is found wherever
        no letter or digit stands directly before or after it, the longest first. After `words`, no word is such a name.

    Edge cases:
        IRC compares names without regard to case, so "The" is taken out of a chat that somebody called "the" is in. A misspelt or
        shortened name stays, and so does the name of somebody who is not in the chat. The text is not made anonymous by this.

    >>> nicks = Nicks({"Ada", "bo-1"}, anywhere={"eve"})
    >>> nicks.masked("eve: ask ada's friend (BO-1), not adamant bo or eve")
    "<nick>: ask <nick>'s friend (<nick>), not adamant bo or eve"
    """

    def __init__(self, here: Collection[str], *, anywhere: Collection[str] = ()) -> None:
        self._here = frozenset(name.lower() for name in here if name)
        self._anywhere = frozenset(name.lower() for name in anywhere)

    def addressed(self, text: str) -> str | None:
        """Who is called by name at the beginning ("nick: ..." or "nick, ..."), in lower case; None where nobody known is."""
        found = _ADDRESS.match(text)
        name = found[1].lower() if found else ""
        return name if name in self._here or name in self._anywhere else None

    def masked(self, text: str) -> str:
        """The text with `NICK` in the place of each name."""
        found = _ADDRESS.match(text)
        if found and found[1].lower() in self._anywhere:
            text = f"{text[: found.start(1)]}{NICK}{text[found.end(1) :]}"
        while True:  # a name that a letter stood beside may stand alone once that is gone
            pieces = text.split(NICK)
            masked = NICK.join(self._runs.sub(self._replace, piece) for piece in pieces)
            if masked == text:
                return text
            text = masked

    def words(self, text: str) -> list[str]:
        """The words of a text, as written, with `NICK` in the place of each name; signs are words of their own."""
        found = [match[0] for match in _TOKEN.finditer(self.masked(_CONTROL.sub("", text)))]
        return [NICK if word.lower() in self._here else word for word in found]

    @cached_property
    def _runs(self) -> re.Pattern[str]:
        """Runs of characters that names are made of; a name lies within one of them."""
        signs = sorted(set("".join(self._here)) | set(_USUAL))
        return re.compile(rf"[\w{re.escape(''.join(sign for sign in signs if not sign.isspace()))}]+")

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._here), default=0)

    def _replace(self, match: re.Match[str]) -> str:
        run = match[0]
        if run.lower() in self._here:
            return NICK
        return run if run.isalnum() else self._within(run)

    def _within(self, run: str) -> str:
        """Replaces names between signs, from the left, the longest first."""
        parts, start, kept = [], 0, 0
        while start < len(run):
            end = self._end(run, start) if start == kept or not run[start - 1].isalnum() else start
            if end > start:
                parts += [run[kept:start], NICK]
                start = kept = end
            else:
                start += 1
        return "".join([*parts, run[kept:]])

    def _end(self, run: str, start: int) -> int:
        """Where the longest name that begins here ends; `start` where none does."""
        for end in range(min(len(run), start + self._longest), start, -1):
            if (end == len(run) or not run[end].isalnum()) and run[start:end].lower() in self._here:
                return end
        return start
