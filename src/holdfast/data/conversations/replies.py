"""Makes reply pairs of a chat: does this message answer that one, with wrong answers of the same user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.data.columns import CONTEXT, LABEL, TAGS, TIMESTAMP, TOKENS, USER_ID
from holdfast.data.dataset import Dataset

Rule = Literal["addressed", "previous", "either"]
REPLY, OTHER = "reply", "other"


@dataclass(frozen=True, kw_only=True)
class Replies:
    """Which message a message answers.

    Args:
        rule: "addressed": a message that begins with the name of another user answers the last message of that user.
            "previous": each message answers the last message of another user. "either": by the name where there is one that
            fits, else the last message of another user.
        minutes: How many minutes the answered message may lie back, at least 1. Past that, the message answers nothing.
    """

    rule: Rule = "addressed"
    minutes: int = 30

    def __post_init__(self) -> None:
        if self.rule not in get_args(Rule):
            raise InputError(f"replies: rule is {self.rule!r}; {nearest(str(self.rule), get_args(Rule))}")
        if isinstance(self.minutes, bool) or not isinstance(self.minutes, int) or self.minutes < 1:
            raise InputError(f"replies: minutes is {self.minutes!r}; give an integer >= 1")


def answered(
    users: Sequence[str], seconds_n: NDArray[np.int64], addressed: Sequence[str | None], *, settings: Replies
) -> NDArray[np.int64]:
    """Finds the message that each message answers.

    Args:
        users: Who wrote each message, in the order of writing.
        seconds_n: When, ascending.
        addressed: The user whom each message calls by name, or None.
        settings: What counts as an answer.

    Returns:
        The place of the answered message, (n,); -1 where there is none. It always lies before, and is another user's.
    """
    last_of: dict[str, int] = {}
    other, answers = -1, np.full(len(users), -1, dtype=np.int64)  # `other`: the last message that is not by the last speaker
    for at, (user, called) in enumerate(zip(users, addressed, strict=True)):
        if at and users[at - 1] != user:
            other = at - 1
        found = -1
        if settings.rule != "previous" and called is not None and called != user:
            found = last_of.get(called, -1)
        if found < 0 and settings.rule != "addressed":
            found = other
        if found >= 0 and seconds_n[at] - seconds_n[found] <= 60 * settings.minutes:
            answers[at] = found
        last_of[user] = at
    return answers


def replies(data: Dataset, *, streams: Streams, minutes: int = 30) -> Dataset:
    """Makes pairs of a message and an answer, right ones and wrong ones, as many of each.

    A right pair (label "reply") is a message with its context. A wrong one (label "other") has the same context and another
    answer of the same user. Data with a column `context`, such as those of ``irc:PATH`` with `pairs`, are taken by their context; rows
    that answer nothing make no pair. In other data the context of a message is the last message of another user.

    Args:
        data: Messages with user ids; without a context also with times, in the order of time.
        streams: Randomness of the wrong answers; the same streams give the same pairs.
        minutes: How many minutes the message before may lie back, at least 1; of no effect on data with a context.

    Returns:
        Two rows for each right pair, the wrong one after it: words, tags and user of the answer; label; context, time and groups of the
        right pair. A label that the data had is replaced.

    Raises:
        InputError: For data without user ids, without both context and time, not in the order of time, or without a pair.

    Guarantee:
        No row holds the words of two repliers. Were the wrong answer another user's, a row would belong to two users, and removing one
        user would change the rows of others, which a promise for users does not cover. Each user has as many "other" as "reply". Within a
        user each answer stands once as "reply" and once as "other", and so does each context: neither side alone tells the label.
        The wrong answer differs from the right one in its words, and its own context differs from the context that it is set beside.

    Edge cases:
        The context is the words of another user all the same. A promise for users covers who wrote the answer, not who is answered.
        Of several answers of a user to the same words, the first counts. A user with fewer than two different answers makes no pair;
        of a user more than half of whose answers are the same words, the surplus of these is left out.
    """
    data.user_ids()
    paired = data if data.has(CONTEXT) else _with_previous(data, Replies(rule="previous", minutes=minutes))
    rows, wrong = _wrong_answers(paired, streams)
    if not len(rows):
        raise InputError(f"data set {data.name!r} ({data.split}): no user has two different answers; give more messages, or more minutes")
    twice, said = np.repeat(rows, 2), np.stack([rows, wrong], axis=1).ravel()
    table = paired.table.take(pa.array(twice))
    columns = {name: table.column(name) for name in table.column_names}
    for name in {TOKENS, TAGS} & set(columns):
        columns[name] = paired.table.column(name).take(pa.array(said))
    columns[LABEL] = pa.array([REPLY, OTHER] * len(rows), pa.string())
    return Dataset.from_table(pa.table(columns), name=data.name, split=data.split)


def _with_previous(data: Dataset, settings: Replies) -> Dataset:
    if not data.has(TIMESTAMP):
        raise InputError(f"data set {data.name!r} has neither a context nor times, so nothing says what answers what; name such a column")
    seconds_n = data.timestamps().astype(np.int64)
    if (np.diff(seconds_n) < 0).any():
        row = int(np.flatnonzero(np.diff(seconds_n) < 0)[0]) + 1
        raise InputError(f"data set {data.name!r}: row {row} is earlier than the row before; sort by time before splitting")
    answers = answered(data.user_ids(), seconds_n, [None] * len(data), settings=settings)
    words = data.tokens()
    contexts = pa.array([words[at] if at >= 0 else [] for at in answers.tolist()], pa.list_(pa.string()))
    return Dataset.from_table(data.table.append_column(CONTEXT, contexts), name=data.name, split=data.split)


def _wrong_answers(data: Dataset, streams: Streams) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the right pairs, ascending, and for each the row of its wrong answer."""
    users_n = np.asarray(pc.dictionary_encode(data.table.column(USER_ID).combine_chunks()).indices)
    texts, contexts = _numbers(data.tokens()), _numbers(data.contexts())
    keep = np.array([bool(context) for context in data.contexts()], dtype=bool)
    candidates = np.flatnonzero(keep)
    order = candidates[np.argsort(users_n[candidates], kind="stable")]
    rng = streams.generator("wrong answers")
    found: list[tuple[int, int]] = []
    for _, group in groupby(order.tolist(), key=lambda row: int(users_n[row])):
        found += _of_one_user(list(group), texts, contexts, rng)
    pairs = np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _of_one_user(rows: list[int], texts: list[int], contexts: list[int], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Gives each answer of a user another one, each used once.

    Answers are laid in a ring, equal ones side by side, in random order; each gets the one that lies as many places on as the most
    frequent answer is frequent, so it never gets its equal.
    """
    firsts = list({contexts[row]: row for row in reversed(rows)}.values())
    by_text: dict[int, list[int]] = {}
    for row in (firsts[at] for at in rng.permutation(len(firsts)).tolist()):
        by_text.setdefault(texts[row], []).append(row)
    most = max(by_text.values(), key=len)
    del most[len(firsts) - len(most) :]  # no more of it than of all others together
    ring = [row for alike in by_text.values() for row in alike]
    shift = len(most)
    return [(row, ring[(at + shift) % len(ring)]) for at, row in enumerate(ring)] if shift else []


def _numbers(rows: list[list[str]]) -> list[int]:
    """A number for each row of words, the same for equal rows."""
    known: dict[tuple[str, ...], int] = {}
    return [known.setdefault(tuple(row), len(known)) for row in rows]
