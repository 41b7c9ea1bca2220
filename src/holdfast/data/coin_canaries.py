"""Makes canaries that each enter the training data by a fair coin: what an audit of one training run needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from holdfast.core.errors import InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.data.canaries import plant_canaries
from holdfast.data.columns import LABEL, TAGS, TOKENS, USER_ID
from holdfast.data.dataset import Dataset
from holdfast.data.secrets.new_words import new_words

CanaryKind = Literal["label-noise", "random-words", "new-token"]

FEWEST_CANARIES = 20
"""Fewer prove next to nothing: 20 right guesses of 20 show an epsilon of 1.8."""

MOST_SHARE = 0.5
"""The largest share of the training rows that there may be canaries; more would leave a model of canaries."""

ATTEMPTS = 100
"""How often the content of one canary is drawn, until it is equal to no other row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CoinCanaries:
    """Canaries, the coins that let some of them in, and the training data with those in them.

    Args:
        candidates: All m canaries, in an order that does not tell the coins.
        included: What the coin of each said, (m,). Whoever audits needs them, so they are not for the record of a released run.
        rest: The real rows that are trained on whatever the coins say. These, not `train`, are the members of a membership
            attack: canaries are not drawn like the non-members, and a reader of words alone would know them.
        train: What to train on: `rest` with the included canaries at random places.
        kind: How they were made.
        copies: How many times each included canary stands in `train`.
    """

    candidates: Dataset
    included: NDArray[np.bool_]
    rest: Dataset
    train: Dataset
    kind: str
    copies: int


def coin_canaries(
    train: Dataset, *, count: int, kind: CanaryKind, streams: Streams, copies: int = 1, min_count: int | None = 1
) -> CoinCanaries:
    """Makes canaries, and includes each by a fair coin of its own.

    "label-noise" takes `count` rows out of the data and gives each another label and tags drawn at random: such rows can only be
    learned by heart. "random-words" leaves all rows in, and adds rows of words drawn evenly from those
    of the data, with a label and tags drawn in the same way: they disturb the model more, and cost no row. "new-token" leaves all rows
    in as well, and adds copies of real rows with a made-up word in each that stands nowhere else, with another label and tags drawn at
    random: whatever a model learns of such a word it learns of one canary.

    Args:
        train: The training data, with labels, tags or both.
        count: m, at least `FEWEST_CANARIES`, at most `MOST_SHARE` of the rows.
        kind: "label-noise", "random-words" or "new-token".
        streams: Randomness of rows, content, coins and places; the same streams make the same canaries from the same data.
        copies: How many times an included canary is planted, at least 1. Copies are learned better, but k of them are a group:
            the promise that they test is k times weaker.
        min_count: How often each word of a canary stands in `rest` at least; give the model's own `min_count`. None for a model whose
            vocabulary is public, such as a hashed one: the words need not stand there then. "new-token" is for such models alone.

    Returns:
        The canaries, the coins and the training data.

    Raises:
        InputError: For a number out of its bounds, data without labels and tags or with too few of them to choose from, data
            in which not so many rows can become canaries, or "new-token" with a `min_count`.

    Guarantee:
        The coins are fair and depend on nothing: not on rows, content, order or places. No two canaries are equal in words, label
        and tags, and none is equal to a row of `train` that is no canary. Each word of a canary stands in `rest`, at least
        `min_count` times, and so do its label and its tags: which words, labels and tags a model knows does not tell the coins.
        Where `min_count` is None that holds for labels and tags alone, and it is the vocabulary that looks at no training text.

    Edge cases:
        Canaries get made-up users, one each; groups, time and context are those of a real row (of their own row under "label-noise"). A tag
        "I-x" is given to no word, so tags that begin chunks stay well-formed. How many rows `train` has tells how many canaries
        are in; like the number of examples in every promise, it counts as public. A made-up word may share its bucket of a hashed
        vocabulary with other words, and a vocabulary of a file of vectors knows none of them: to it they are all one unknown word.

    References:
        Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run", arXiv 2305.08846, algorithm 1.
        Panda et al. 2025, "Privacy auditing of large language models", arXiv 2503.06808: "new-token" goes after their canaries of tokens
        that stand nowhere else, here in a real row with a label of its own.
    """
    _check(train, count, kind, min_count)
    streams = streams.child("coin canaries")
    source = _Source(train, min_count)
    makers = {"label-noise": _mislabelled, "random-words": _invented, "new-token": _marked}
    made = makers[kind](source, count, streams)
    candidates = _dataset(train, made, streams)
    included = streams.generator("coins").random(count) < 0.5
    kept = np.setdiff1d(np.arange(len(train)), [canary.row for canary in made]) if kind == "label-noise" else np.arange(len(train))
    rest = train.take(kept)
    planted = plant_canaries(rest, list(candidates.take(np.flatnonzero(included))), copies=copies, streams=streams)
    return CoinCanaries(candidates=candidates, included=included, rest=rest, train=planted, kind=kind, copies=copies)


def _check(train: Dataset, count: int, kind: str, min_count: int | None) -> None:
    if kind not in get_args(CanaryKind):
        raise InputError(f"there are no canaries of kind {kind!r}; {nearest(kind, get_args(CanaryKind))}")
    if isinstance(count, bool) or not isinstance(count, int) or count < FEWEST_CANARIES:
        raise InputError(f"{count!r} canaries prove next to nothing; give an integer >= {FEWEST_CANARIES}")
    if count > MOST_SHARE * len(train):
        raise InputError(
            f"{count:,} canaries for {len(train):,} training rows are more than {MOST_SHARE:.0%} of them; "
            f"give at most {int(MOST_SHARE * len(train)):,}, or more data"
        )
    if kind == "new-token" and min_count is not None:
        raise InputError(
            f"canaries of kind {kind!r} have words that stand nowhere else, so a vocabulary read off the training text would tell which "
            f"are in; take a model with a hashed vocabulary and min_count None (it is {min_count}), or another kind"
        )
    if min_count is not None and min_count < 1:
        raise InputError(f"min_count is {min_count}; it must be at least 1, or None for a public vocabulary")
    if not (train.has(LABEL) or train.has(TAGS)):
        raise InputError(f"data set {train.name!r} has neither labels nor tags, so nothing can be wrong in a canary; name such a column")


@dataclass(frozen=True)
class _Canary:
    """What one canary says, and the row that it has its other columns from."""

    row: int
    words: tuple[str, ...]
    label: str | None
    tags: tuple[str, ...] | None

    @property
    def content(self) -> tuple[object, ...]:
        return self.words, self.label, self.tags


class _Source:
    """The rows that canaries are made of."""

    def __init__(self, train: Dataset, min_count: int | None) -> None:
        self.train, self.min_count = train, min_count or 0
        self.words = [tuple(row) for row in train.tokens()]
        self.labels: list[str | None] = [*train.labels()] if train.has(LABEL) else [None] * len(train)
        self.tags = [tuple(row) for row in train.tags()] if train.has(TAGS) else [None] * len(train)
        self.known: set[tuple[object, ...]] = set(zip(self.words, self.labels, self.tags, strict=True))
        self.all_labels = sorted({label for label in self.labels if label is not None})
        found = sorted({tag for row in self.tags for tag in row or ()})
        self.all_tags = [tag for tag in found if not tag.startswith("I-")] or found
        if len(self.all_labels) < 2 and (self.all_labels or len(self.all_tags) < 2):
            what, there = ("labels", self.all_labels) if self.all_labels else ("tags", self.all_tags)
            raise InputError(f"the training data have only the {what} {there}; a canary needs at least two to choose from")

    @cached_property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each word, label and tag stands in the data."""
        return Counter(part for row in range(len(self.words)) for part in self.parts(row))

    def parts(self, row: int) -> Iterator[tuple[str, str]]:
        """Words, label and tags of a row, each with its kind."""
        yield from ((TOKENS, word) for word in self.words[row])
        yield from ((TAGS, tag) for tag in self.tags[row] or ())
        label = self.labels[row]
        if label is not None:
            yield LABEL, label

    def draw(self, row: int, words: tuple[str, ...], rng: np.random.Generator, *, other: bool) -> _Canary:
        """Draws label and tags; `other` leaves out the label of the row."""
        labels = [label for label in self.all_labels if not (other and label == self.labels[row])]
        label = labels[rng.integers(len(labels))] if labels else None
        tags = None if self.tags[row] is None else tuple(self.all_tags[at] for at in rng.integers(len(self.all_tags), size=len(words)))
        return _Canary(row, words, label, tags)


def _mislabelled(source: _Source, count: int, streams: Streams) -> list[_Canary]:
    """Rows with another label and other tags, whose words, label and tags all stay in the rest of the data.

    Rows whose words stand nowhere else come first: a right copy of them in the rest would be learned against the canary.
    """
    rng, remaining = streams.generator("content"), source.counts.copy()
    alike = Counter(source.words)
    order = streams.generator("rows").permutation(len(source.words))
    made: list[_Canary] = []
    taken: set[tuple[str, ...]] = set()
    for row in order[np.argsort([alike[source.words[row]] for row in order], kind="stable")].tolist():
        words, parts = source.words[row], Counter(source.parts(row))
        scarce = any(remaining[part] - times < (source.min_count if part[0] == TOKENS else 1) for part, times in parts.items())
        if words in taken or scarce:
            continue
        drawn = (source.draw(row, words, rng, other=True) for _ in range(ATTEMPTS))
        canary = next((one for one in drawn if one.content not in source.known), None)
        if canary is not None:
            made.append(canary)
            taken.add(words)
            remaining.subtract(parts)
        if len(made) == count:
            return made
    raise InputError(
        f"only {len(made):,} of {len(source.words):,} training rows can become canaries with words of their own and without taking a word, "
        f"label or tag out of the rest, {count:,} were asked for; ask for fewer, give more data, or take the kind 'random-words'"
    )


def _invented(source: _Source, count: int, streams: Streams) -> list[_Canary]:
    """Rows of random words, each as long as some row of the data."""
    rng, seen = streams.generator("content"), set(source.known)
    pool = sorted(word for (kind, word), times in source.counts.items() if kind == TOKENS and times >= source.min_count)
    if not pool:
        raise InputError(f"no word stands in the training data {source.min_count} times; lower min_count, or give more data")
    made: list[_Canary] = []
    for row in streams.generator("rows").permutation(len(source.words))[:count].tolist():
        lengths = (len(source.words[row]) for _ in range(ATTEMPTS))
        drawn = (source.draw(row, tuple(pool[at] for at in rng.integers(len(pool), size=n)), rng, other=False) for n in lengths)
        canary = next((one for one in drawn if one.content not in seen), None)
        if canary is None:
            raise InputError(
                f"{ATTEMPTS} draws of {len(source.words[row])} of {len(pool)} words gave no row that is not there already; "
                f"ask for fewer than {count:,} canaries, or give more varied data"
            )
        made.append(canary)
        seen.add(canary.content)
    return made


def _marked(source: _Source, count: int, streams: Streams) -> list[_Canary]:
    """Copies of real rows, each with a made-up word of its own at a random place, another label and other tags."""
    rng = streams.generator("content")
    rows = streams.generator("rows").permutation(len(source.words))[:count].tolist()
    made: list[_Canary] = []
    for row, word in zip(rows, new_words(count, [source.train], streams=streams), strict=True):
        words = source.words[row]
        place = int(rng.integers(len(words) + 1))
        made.append(source.draw(row, (*words[:place], word, *words[place:]), rng, other=True))
    return made


def _dataset(train: Dataset, made: list[_Canary], streams: Streams) -> Dataset:
    """The canaries with all columns of the data, in random order."""
    made = [made[at] for at in streams.generator("order").permutation(len(made))]
    table = train.take(np.array([canary.row for canary in made])).table
    said = {
        TOKENS: pa.array([canary.words for canary in made], pa.list_(pa.string())),
        LABEL: pa.array([canary.label for canary in made], pa.string()),
        TAGS: pa.array([canary.tags for canary in made], pa.list_(pa.string())),
        USER_ID: pa.array(_users(train, len(made)), pa.string()),
    }
    columns = {name: said.get(name, table.column(name)) for name in table.column_names}
    return Dataset.from_table(pa.table(columns), name=train.name, split=train.split)


def _users(train: Dataset, count: int) -> list[str]:
    """One made-up user for each canary, none of them a user of the data."""
    stem, real = "canary-", train.user_ids() if train.has(USER_ID) else []
    while any(user.startswith(stem) for user in real):
        stem += "-"
    return [f"{stem}{number:05d}" for number in range(1, count + 1)]
