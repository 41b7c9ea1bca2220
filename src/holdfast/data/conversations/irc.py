"""Reads the chat of an IRC channel as messages with users and times, without the names in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa

from holdfast.core.errors import DataError
from holdfast.data.columns import CONTEXT, TIMESTAMP, TOKENS, USER_ID
from holdfast.data.conversations.irc_files import LogFile, Logs
from holdfast.data.conversations.nicks import Nicks
from holdfast.data.conversations.replies import Replies, answered
from holdfast.data.records import BadRows

BOTS = ("ubottu",)
"""The bot that writes most in the logs of #ubuntu; `leave_out` takes its messages out."""

_log = logging.getLogger(__name__)
_MESSAGE = re.compile(r"\[(\d\d):(\d\d)\] <([^>]*)> ?(.*)")
_ACTION = re.compile(r"\[\d\d:\d\d\] +(?:\* (\S+)|[-(])")
_EVENT = re.compile(r"=== (\S+)(?:.* is now known as (\S+)$)?")
_HALF_DAY, _JITTER = timedelta(hours=12), timedelta(hours=1)


@dataclass
class _Chat:
    """What one log holds."""

    log: LogFile
    speakers: list[str] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    others: set[str] = field(default_factory=set)


def read_irc(
    path: Path, *, leave_out: Sequence[str] = (), pairs: Replies | None = None, bad_rows: BadRows = "refuse"
) -> dict[str, pa.Table]:
    """Reads the messages of a channel, in the order in which they were written.

    A message is a line ``[hh:mm] <nick> text``. Lines that begin with ``===`` (who came, went, was renamed), actions (``* nick ...``),
    notices, messages without a word, and logs without a date in their name are left out.

    Args:
        path: The archive or the folder; see `Logs`.
        leave_out: Names whose messages are left out, such as those of bots; their names are still taken out of the text.
        pairs: Adds the column `context`: the message that each message answers, if it answers one.
        bad_rows: What to do with a line of another form.

    Returns:
        The part by the folder of the logs ("train", "validation", "test"; "elsewhere" for the others) to a table of tokens, user_id (the
        name in lower case, not hashed yet), timestamp and, with `pairs`, context.

    Raises:
        DataError: See `Logs`; for a name in `leave_out` that nobody has, and a bad line.

    Guarantee:
        No word is the name of somebody who is in the same log, whatever its case; see `Nicks` for how names are found.

    Edge cases:
        The logs give hours and minutes and no zone: they are read as UTC. Some have a clock of twelve hours without a.m. and p.m. A clock
        that goes back by more than an hour has passed noon or midnight, and half days are added until it has not gone back; a time is
        therefore right within a day, and in order. A name is a user: who changes it becomes another. Which words are taken out hangs on
        who else is in the logs; a promise to users is about the text as it is read here.
    """
    logs = Logs(path)
    chats = [_chat(log, path, bad_rows) for log in logs.read()]
    if logs.undated:
        _log.warning("%s: left out %d logs without a date, such as %s", path, len(logs.undated), logs.undated[0])
    anywhere = {name.lower() for chat in chats for name in chat.speakers}
    silent = {name.lower() for name in leave_out}
    for name in sorted(silent - anywhere):
        raise DataError(f"leave_out: nobody is called {name!r}; {_near(name, anywhere)}", path=path)
    tables: dict[str, list[pa.Table]] = {}
    for chat in chats:
        tables.setdefault(chat.log.part, []).append(_table(chat, anywhere, silent, pairs))
    return {part: pa.concat_tables(found) for part, found in tables.items()}


def _chat(log: LogFile, path: Path, bad_rows: BadRows) -> _Chat:
    chat = _Chat(log)
    skipped: list[int] = []
    midnight = datetime(log.day.year, log.day.month, log.day.day, tzinfo=UTC)
    shift, last = timedelta(), midnight
    for number, line in enumerate(log.text.removeprefix("\ufeff").split("\n"), start=1):
        line = line.rstrip("\r")
        message = _MESSAGE.fullmatch(line)
        if message is None:
            if not _noted(chat, line):
                _refuse(f"{path}/{log.name}", number, line, bad_rows, skipped)
            continue
        hour, minute, nick, text = message.groups()
        if not (int(hour) < 24 and int(minute) < 60 and nick.strip()):
            _refuse(f"{path}/{log.name}", number, line, bad_rows, skipped)
            continue
        moment = midnight + timedelta(hours=int(hour), minutes=int(minute)) + shift
        while last - moment > _JITTER:
            shift, moment = shift + _HALF_DAY, moment + _HALF_DAY
        last = max(last, moment)
        chat.speakers.append(nick.strip())
        chat.moments.append(last)
        chat.texts.append(text)
    if skipped:
        _log.warning("%s/%s: left out %d bad lines, such as those of lines %s", path, log.name, len(skipped), skipped[:5])
    return chat


def _near(name: str, known: set[str]) -> str:
    """A hint that does not list thousands of names."""
    close = get_close_matches(name, sorted(known), n=3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else "no name is like it"


def _noted(chat: _Chat, line: str) -> bool:
    """Notes the names in a line that is no message; False for a line of no known form."""
    event = _EVENT.match(line)
    if event:
        chat.others.update(filter(None, event.groups()))
        return True
    action = _ACTION.match(line)
    if action and action[1]:
        chat.others.add(action[1])
    return action is not None or line.startswith("===") or not line.strip()


def _refuse(place: str, number: int, line: str, bad_rows: BadRows, skipped: list[int]) -> None:
    if bad_rows == "refuse":
        raise DataError(f"{line[:40]!r} is no line of a log (bad_rows='skip' leaves such rows out)", path=place, line=number)
    skipped.append(number)


def _table(chat: _Chat, anywhere: set[str], silent: set[str], pairs: Replies | None) -> pa.Table:
    nicks = Nicks({*chat.speakers, *chat.others}, anywhere=anywhere)
    users = [name.lower() for name in chat.speakers]
    words = [nicks.words(text) for text in chat.texts]
    kept = [at for at, user in enumerate(users) if words[at] and user not in silent]
    columns = {
        TOKENS: _lists([words[at] for at in kept]),
        USER_ID: pa.array([users[at] for at in kept], pa.string()),
        TIMESTAMP: pa.array([chat.moments[at] for at in kept], pa.timestamp("s", "UTC")),
    }
    if pairs is not None:
        seconds = np.array([int(chat.moments[at].timestamp()) for at in kept], dtype=np.int64)
        addressed = [nicks.addressed(chat.texts[at]) for at in kept]
        answers = answered([users[at] for at in kept], seconds, addressed, settings=pairs)
        columns[CONTEXT] = _lists([words[kept[at]] if at >= 0 else [] for at in answers.tolist()])
    return pa.table(columns)


def _lists(rows: Sequence[Sequence[str]]) -> pa.ListArray:
    ends = pa.array([0, *accumulate(map(len, rows))], pa.int32())
    return pa.ListArray.from_arrays(ends, pa.array(list(_flat(rows)), pa.string()))


def _flat(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in rows:
        yield from row
