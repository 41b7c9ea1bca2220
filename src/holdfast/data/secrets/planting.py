"""Draws secrets and plants them in the training data, so many times each, at random places."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data.columns import CONTEXT, LABEL, TAGS, TIMESTAMP, USER_ID
from holdfast.data.dataset import Dataset, DataSplits
from holdfast.data.examples import Example
from holdfast.data.secrets.patterns import SecretPattern

MOST_SHARE = 0.5
"""The largest number of planted rows, as a share of the real training rows; more would leave a model of secrets."""

SHOWN = 8
"""How many missing words an error names."""


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A sentence of a pattern whose unknown words were drawn.

    Args:
        pattern: Known words, candidates, label and tags.
        places: The truth: which candidate stands at each unknown position, (n,).
        repetitions: R, how many times it is planted; 0 for a control that is never planted.

    Raises:
        InputError: For places that do not fit the pattern, or repetitions below 0.

    Privacy:
        R copies are a group of R examples: an example-level claim of epsilon promises R epsilon for the secret. All copies are of
        one user, so a user-level claim holds for the secret as it stands.
    """

    pattern: SecretPattern
    places: tuple[int, ...]
    repetitions: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", tuple(operator.index(place) for place in self.places))
        self.pattern.fill(self.places)
        if isinstance(self.repetitions, bool) or not isinstance(self.repetitions, int) or self.repetitions < 0:
            raise InputError(f"secret {self.name!r}: repetitions is {self.repetitions!r}; give an integer >= 0 (0 is never planted)")

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.pattern.name

    @property
    def fill(self) -> tuple[str, ...]:
        """The n unknown words."""
        return self.pattern.fill(self.places)

    @property
    def words(self) -> tuple[str, ...]:
        """The whole sentence."""
        return self.pattern.words(self.places)

    def example(self, like: Dataset, *, row: int = 0) -> Example:
        """The secret as an example with the columns of a data set.

        Args:
            like: Gives the columns. A label or tags that it lacks are left out.
            row: The row of `like` whose groups, time and context it gets; the user is made up.
        """
        source = like[row] if like.has(TIMESTAMP) or like.has(CONTEXT) or like.group_names else None
        return Example(
            tokens=self.words,
            label=self.pattern.label if like.has(LABEL) else None,
            tags=self.pattern.tags if like.has(TAGS) else None,
            user_id=self._user(like) if like.has(USER_ID) else None,
            timestamp=source.timestamp if source else None,
            groups=source.groups if source else {},
            context=source.context if source else None,
        )

    def _user(self, like: Dataset) -> str:
        stem, real = "secret-", like.user_ids()
        while any(user.startswith(stem) for user in real):
            stem += "-"
        return stem + self.name


@dataclass(frozen=True, kw_only=True, eq=False)
class PlantedSecrets:
    """Secrets, and the training data with and without them.

    Args:
        secrets: What was planted, the controls too. Whoever audits needs them; they are not for the record of a released run.
        rest: The real rows.
        train: What to train on: `rest` with R copies of each secret at random places.
    """

    secrets: tuple[Secret, ...]
    rest: Dataset
    train: Dataset

    @property
    def unseen_labels(self) -> tuple[str, ...]:
        """Labels and tags of the secrets that no row of `train` has: a model that reads its labels off the data lacks them.

        Only those of controls can be: plant another secret with that label, or give the model its labels.
        """
        there = {*(self.train.labels() if self.train.has(LABEL) else ())}
        tags = set(chain.from_iterable(self.train.tags())) if self.train.has(TAGS) else set()
        tags |= {f"I-{tag[2:]}" for tag in tags if tag.startswith("B-")}
        labels = {secret.pattern.label for secret in self.secrets} if self.train.has(LABEL) else set()
        asked = set(chain.from_iterable(secret.pattern.tags for secret in self.secrets)) if self.train.has(TAGS) else set()
        return (*sorted(labels - there), *sorted(asked - tags))


def draw_secrets(patterns: Sequence[tuple[SecretPattern, int]], *, streams: Streams) -> tuple[Secret, ...]:
    """Draws the unknown words of each secret, every fill equally likely.

    Args:
        patterns: What each secret looks like, and how many times it is to be planted; each name once.
        streams: Randomness of the fills; the same streams give the same secrets, whatever the repetitions.

    Raises:
        InputError: For two patterns of one name, or repetitions below 0.

    Guarantee:
        The fills are uniform, and independent of each other and of the data. A rank of the truth among all fills is therefore
        uniform for a model that knows nothing of the secret, whatever it makes of the fills.
    """
    _check_names([pattern for pattern, _ in patterns])
    streams = streams.child("secrets")
    return tuple(
        Secret(
            pattern=pattern,
            places=tuple(streams.generator("fill", at).integers(len(pattern.candidates), size=pattern.length).tolist()),
            repetitions=repetitions,
        )
        for at, (pattern, repetitions) in enumerate(patterns)
    )


def plant_secrets(data: DataSplits, secrets: Sequence[Secret], *, streams: Streams, min_count: int | None) -> PlantedSecrets:
    """Plants R copies of each secret in the training part alone; the real rows keep their order.

    Args:
        data: Real data; validation and test part are only looked at.
        secrets: As `draw_secrets` made them.
        streams: Randomness of places, groups and times.
        min_count: How often a word must stand in the training text for the model to know it; None for a model whose vocabulary is
            public (hashed, or of a file of vectors), where there is nothing to hold to.

    Returns:
        The secrets and the training data.

    Raises:
        InputError: For two secrets of one name or one sentence, a `min_count` below 1, or more planted rows than `MOST_SHARE` of
            the real ones.
        DataError: If a secret stands in the real data already, or a word of a pattern does not stand in the training text often
            enough.

    Guarantee:
        All arrangements of the copies among the real rows are equally likely, and depend on nothing else: neither on the fills nor
        on the data. The same streams give the same rows. Every word of every pattern, candidates that were not drawn included,
        stands in `rest` `min_count` times at least, so the vocabulary of the model is the same whichever fill was drawn.
        The names of labels count as public: `train` has those of its planted secrets, whatever the fills are.

    Edge cases:
        No row of a control (repetitions 0) is planted, but it is held to the same refusals. Columns for labels or tags that the data
        lack are left out. Copies of a secret are of one made-up user, and have groups and time of one row drawn at random.
    """
    secrets = tuple(secrets)
    _check_names([secret.pattern for secret in secrets])
    _check_size(data.train, secrets)
    _check_absent(data, secrets)
    _check_known(data.train, secrets, min_count)
    streams = streams.child("planting")
    copies = list(_copies(data.train, secrets, streams))
    return PlantedSecrets(secrets=secrets, rest=data.train, train=_spread(data.train, copies, streams))


def _copies(train: Dataset, secrets: Sequence[Secret], streams: Streams) -> Iterator[Example]:
    for at, secret in enumerate(secrets):
        if secret.repetitions:
            row = int(streams.generator("rows", at).integers(len(train)))
            yield from [secret.example(train, row=row)] * secret.repetitions


def _spread(train: Dataset, copies: list[Example], streams: Streams) -> Dataset:
    """The rows with the copies among them, every arrangement equally likely."""
    if not copies:
        return train
    planted = Dataset.from_examples(copies, name=train.name, split=train.split)
    both = Dataset.from_table(pa.concat_tables([train.table, planted.table]), name=train.name, split=train.split)
    places = streams.generator("places").permutation(len(both))[: len(copies)]
    order = np.full(len(both), -1)
    order[places] = len(train) + np.arange(len(copies))
    order[order < 0] = np.arange(len(train))
    return both.take(order)


def _check_names(patterns: Sequence[SecretPattern]) -> None:
    names = Counter(pattern.name for pattern in patterns)
    twice = sorted(name for name, times in names.items() if times > 1)
    if twice:
        raise InputError(f"two secrets have the name {twice[0]!r}; give each pattern a name of its own")


def _check_size(train: Dataset, secrets: Sequence[Secret]) -> None:
    rows = sum(secret.repetitions for secret in secrets)
    if rows > MOST_SHARE * len(train):
        raise InputError(
            f"{rows:,} planted rows for {len(train):,} training rows are more than {MOST_SHARE:.0%} of them; "
            f"plant at most {int(MOST_SHARE * len(train)):,} in all, or give more data"
        )


def _check_absent(data: DataSplits, secrets: Sequence[Secret]) -> None:
    """A secret that stands in real data is none: those rows would teach it, or be measured on it."""
    sentences: dict[tuple[str, ...], str] = {}
    for secret in secrets:
        other = sentences.setdefault(_folded(secret.words), secret.name)
        if other != secret.name:
            raise InputError(f"the secrets {other!r} and {secret.name!r} are one sentence; draw them with another seed")
    for part in data.parts:
        for row, words in enumerate(part.tokens()):
            found = sentences.get(_folded(words))
            if found is not None:
                raise DataError(
                    f"the sentence of secret {found!r} stands in the {part.split} part of {data.name!r} already (row {row}); "
                    "draw it with another seed, or take that row out"
                )


def _folded(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.casefold() for word in words)


def _check_known(train: Dataset, secrets: Sequence[Secret], min_count: int | None) -> None:
    if min_count is None:
        return
    if isinstance(min_count, bool) or min_count < 1:
        raise InputError(f"min_count is {min_count!r}; give an integer >= 1, or None for a public vocabulary")
    counts = Counter(chain.from_iterable(train.tokens()))
    for secret in secrets:
        one = secret.pattern
        rare = [word for word in dict.fromkeys((*one.before, *one.candidates, *one.after)) if counts[word] < min_count]
        if rare:
            shown = ", ".join(rare[:SHOWN]) + (f" and {len(rare) - SHOWN} more" if len(rare) > SHOWN else "")
            raise DataError(
                f"secret {secret.name!r}: of its words, {shown} do not stand in the real training text {min_count} "
                f"time{'s' if min_count != 1 else ''}, so the vocabulary would tell the secret; take a hashed vocabulary or one of a "
                "file of vectors (a public one), other candidates, or other known words"
            )
