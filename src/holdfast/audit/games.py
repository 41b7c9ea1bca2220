"""The membership game: which rows are played for, and whether the two sides can be told apart without any model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from holdfast.audit.intervals import Area
from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate
from holdfast.core.randomness import Streams
from holdfast.data.dataset import Dataset

FEWEST_ROWS = 20
"""Rows that each side needs before the blind classifier is worth asking."""

MOST_ROWS = 5000
"""Rows of each side that the blind classifier looks at; more cost time and tell little more."""

Row = tuple[tuple[str, ...], ...]
"""Words, label and tags: all of a row that a model is trained on."""

WORDS = 0
"""Where the words stand in a row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MembershipGame:
    """The two sides of a membership game, before any model is asked.

    Args:
        members_alone: True for each member that a promise about single examples speaks of, (n1,): its row occurs once in members
            and non-members together, and the model has no word, label or tag from it alone.
        nonmembers_alone: The same for each non-member, (n0,).
        overlap: Non-members whose row also occurs among the members.
        blind: How well a classifier that sees the rows but no model tells the two sides apart; see `blind_auc`.
    """

    members_alone: NDArray[np.bool_]
    nonmembers_alone: NDArray[np.bool_]
    overlap: int
    blind: Estimate

    @classmethod
    def between(cls, members: Dataset, nonmembers: Dataset, *, min_count: int | None = None) -> Self:
        """Compares the rows of both sides.

        A row is what a model is trained on: words, label and tags. Which rows are alone does not depend on the side that they
        stand on, so if the two sides were drawn alike, so were their lone rows.

        Rows with a label or tag that no *other* member has are left out with the copies, and where the vocabulary was read off
        the members, those with such a word. A promise takes labels and vocabulary for public, yet a member that brought a word
        into it is told from a non-member by that word alone, however private the training was.

        Args:
            members: All rows that the model was trained on, or a sample of them.
            nonmembers: Rows that it never saw, drawn in the same way.
            min_count: How often a word stands in the members to be known to the model; None for a public vocabulary.

        Raises:
            InputError: For fewer than two rows on a side, or where every non-member is also a member.
        """
        for side, name in ((members, "members"), (nonmembers, "non-members")):
            if len(side) < 2:
                raise InputError(f"{len(side)} {name}; a membership attack needs at least two of each, better a thousand")
        inside, outside = _rows(members), _rows(nonmembers)
        count, known = Counter(inside + outside), set(inside)
        if known.issuperset(outside):
            raise InputError(
                f"each of the {len(outside):,} non-members also stands among the {len(inside):,} members, word for word; "
                "give as non-members rows that the model was not trained on"
            )
        names = KnownNames.of(inside, min_count=min_count)
        alone, sides = [], []
        for rows, own in ((inside, True), (outside, False)):
            lone = [count[row] == 1 and names.hold(row, own=own) for row in rows]
            alone.append(np.array(lone, dtype=np.bool_))
            sides.append([row for row, kept in zip(rows, lone, strict=True) if kept])
        return cls(
            members_alone=alone[0],
            nonmembers_alone=alone[1],
            overlap=sum(row in known for row in outside),
            blind=blind_auc(*sides),
        )

    def of_rows(self, members: NDArray[np.int64], nonmembers: NDArray[np.int64]) -> Self:
        """The game among some of the rows, judged as before: by all rows that the model was trained on."""
        return replace(self, members_alone=self.members_alone[members], nonmembers_alone=self.nonmembers_alone[nonmembers])

    @property
    def told_apart(self) -> bool:
        """True where the blind classifier beats chance: its interval lies above one half."""
        return self.blind.interval is not None and self.blind.interval.low > 0.5

    @property
    def blind_words(self) -> str:
        """The result of the blind classifier in words."""
        interval = self.blind.interval
        return "no AUC" if interval is None else f"AUC {self.blind.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the two sides, in sentences."""
        said = []
        rows = self.members_alone.size + self.nonmembers_alone.size
        others = rows - int(self.members_alone.sum() + self.nonmembers_alone.sum())
        if others:
            said.append(
                f"{others:,} of {rows:,} audited examples have the words, label and tags of another one ({self.overlap:,} non-members "
                "those of a member), or a word, label or tag that the model has from them alone. They count in AUC, TPR and ROC, but not "
                "in the lower bound on epsilon: a promise about one example says less about several equal ones, and takes the vocabulary "
                "for public."
            )
        if self.blind.missing is not None:
            said.append(f"Whether members and non-members differ in more than membership was not checked: {self.blind.missing}.")
        elif self.told_apart:
            said.append(
                f"A classifier that never asks the model tells members from non-members ({self.blind_words}): the two sides differ in more "
                "than membership, and AUC, TPR and advantage mix leakage with that difference."
            )
        else:
            said.append(f"A classifier that never asks the model does not tell members from non-members ({self.blind_words}).")
        return tuple(said)


@dataclass(frozen=True, eq=False)
class KnownNames:
    """The words, labels and tags of the training rows, and how often each stands there.

    Args:
        counts: By kind and name.
        min_count: How often a word must stand in rows other than the one that is asked about; None where words do not matter.
    """

    counts: Counter[tuple[int, str]]
    min_count: int | None

    @classmethod
    def of(cls, rows: Sequence[Row], *, min_count: int | None) -> Self:
        """Counts the names of the training rows."""
        return cls(Counter(name for row in rows for name in _names(row)), min_count)

    def hold(self, row: Row, *, own: bool) -> bool:
        """Whether all names of a row stand often enough in training rows other than itself.

        Args:
            row: The row.
            own: Whether it is one of the training rows.
        """
        times = Counter(_names(row))
        words = 0 if self.min_count is None else self.min_count
        return all(self.counts[name] - own * there >= (words if name[0] == WORDS else 1) for name, there in times.items())


def _names(row: Row) -> Iterator[tuple[int, str]]:
    return ((kind, name) for kind, names in enumerate(row) for name in names)


def blind_auc(members: Sequence[Row], nonmembers: Sequence[Row]) -> Estimate:
    """How well a bag-of-words classifier that never sees the model tells members from non-members.

    Logistic regression on which words, label and tags occur, fitted on half of each side and tested on the other half. One
    split and no cross-validation: the folds of a cross-validation share rows, so their areas move together, and an interval
    that takes them for independent trips on one random split in nine. At most `MOST_ROWS` rows of each side are looked at.
    Rows are drawn and halved by a fixed seed.

    Args:
        members: Words, label and tags of each member.
        nonmembers: The same of each non-member.

    Returns:
        The estimate `blind_auc`, without a subject; missing where a side has fewer than `FEWEST_ROWS` rows.

    Guarantee:
        If all rows are drawn alike, the interval lies above one half in about 2.5 % of cases.

    References:
        Das, Zhang, Tramèr 2024, "Blind baselines beat membership inference attacks for foundation models", arXiv 2406.16201.
    """
    sides = [_sample(rows, name) for rows, name in ((members, "members"), (nonmembers, "nonmembers"))]
    fewest = min(map(len, sides))
    estimate = Estimate(
        name="blind_auc",
        subject="",
        value=None,
        unit="share",
        direction="neither",
        method="logistic regression on the bag of words, label and tags, fitted on half of the rows and tested on the other half",
        reference="Das, Zhang, Tramèr 2024, arXiv 2406.16201",
        access="no model: texts and labels",
        missing=f"one side has only {fewest} examples without a copy, {FEWEST_ROWS} are needed",
    )
    if fewest < FEWEST_ROWS:
        return estimate
    area = _blind_area(sides)
    return replace(estimate, value=area.value, interval=area.interval(), n=sum((len(side) + 1) // 2 for side in sides), missing=None)


def _blind_area(sides: Sequence[Sequence[Row]]) -> Area:
    from sklearn.linear_model import LogisticRegression

    bags = _bags([row for side in sides for row in side])
    member = np.repeat([True, False], [len(side) for side in sides])
    held = np.concatenate([np.arange(len(side)) % 2 == 0 for side in sides])  # `_sample` has shuffled the rows
    model = LogisticRegression(solver="liblinear").fit(bags[~held], member[~held])
    scores = model.decision_function(bags[held])
    return Area.between(scores[member[held]], scores[~member[held]])


def _bags(rows: Sequence[Row]) -> Any:
    """Which words, label and tags occur in each row, as a sparse matrix of zeros and ones."""
    from scipy import sparse

    columns: dict[tuple[int, str], int] = {}
    bags = [sorted({columns.setdefault((kind, word), len(columns)) for kind, words in enumerate(row) for word in words}) for row in rows]
    ends = np.concatenate([[0], np.cumsum([len(bag) for bag in bags])])
    indices = np.concatenate([np.array(bag, dtype=np.int64) for bag in bags])
    return sparse.csr_matrix((np.ones(indices.size), indices, ends), shape=(len(rows), len(columns)))


def _sample(rows: Sequence[Row], name: str) -> list[Row]:
    """At most `MOST_ROWS` of the rows, in an order that depends on their number alone."""
    order = Streams(0).generator("audit blind " + name, len(rows)).permutation(len(rows))
    return [rows[index] for index in order[:MOST_ROWS]]


def _rows(data: Dataset) -> list[Row]:
    words = [tuple(tokens) for tokens in data.tokens()]
    labels = [(label,) for label in data.labels()] if data.has("label") else [()] * len(data)
    tags = [tuple(names) for names in data.tags()] if data.has("tags") else [()] * len(data)
    return list(zip(words, labels, tags, strict=True))
