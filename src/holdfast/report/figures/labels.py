"""Where to write labels beside points, so that they hide neither the points nor each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

FONT_SIZE = 12
HEIGHT = 14
GAP = 5  # between a mark and its label


@dataclass(frozen=True)
class Box:
    """An upright rectangle in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Area in common, in square pixels."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, wide) * max(0.0, high)

    def outside(self, area: Box) -> float:
        """Area that sticks out of another box."""
        return (self.right - self.left) * (self.bottom - self.top) - self.overlap(area)


@dataclass(frozen=True)
class Label:
    """A text beside the point that it belongs to.

    Args:
        text: What to write.
        x: Of the point.
        y: Of the point.
        radius: Of the point's mark.
        above: How far what belongs to the point reaches above it, such as an interval; at least the radius counts.
        below: The same below it.
    """

    text: str
    x: float
    y: float
    radius: float = 5.0
    above: float = 0.0
    below: float = 0.0


@dataclass(frozen=True)
class Placed:
    """Where a label goes.

    Args:
        label: The label.
        x: Where its text is anchored.
        y: Middle of its line.
        align: Which end of the text stands at x.
        box: What it covers.
    """

    label: Label
    x: float
    y: float
    align: Literal["left", "center", "right"]
    box: Box


def text_width(text: str, size: float = FONT_SIZE) -> float:
    """About how wide a text is, rather too wide than too narrow, whatever the reader's font is."""
    return size * sum(1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.6 for letter in text)


def shortened(text: str, limit: int = 22) -> str:
    """A name that fits into a chart; the tables hold it whole."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def place(labels: Sequence[Label], *, obstacles: Sequence[Box], area: Box) -> list[Placed]:
    """Finds a place for each label among eight around its point.

    Each label in turn takes the place that hides least, given where the others are, until none wants to move.

    Args:
        labels: What to place.
        obstacles: What labels must not hide, such as marks and intervals.
        area: What labels must not leave.

    Returns:
        As many places, in the same order. The same labels get the same places.
    """
    choices = [list(_candidates(label)) for label in labels]
    chosen = [options[0] for options in choices]
    for _ in range(2 * len(labels)):
        before = list(chosen)
        for index, options in enumerate(choices):
            others = [placed.box for position, placed in enumerate(chosen) if position != index]
            hidden = [*obstacles, *others]
            costs = [_cost(option.box, hidden, area) + rank for rank, option in enumerate(options)]
            chosen[index] = options[costs.index(min(costs))]
        if chosen == before:
            break
    return chosen


def spread(positions: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Moves positions apart as little as is simple, keeping their order, so that no two are nearer than `gap`.

    Args:
        positions: Where labels would like to be.
        gap: Least distance between two.
        low: Least position.
        high: Largest position; given way to where the labels need more room than there is.

    Returns:
        As many positions, in the order given.

    >>> spread([10.0, 12.0, 50.0], gap=10, low=0, high=100)
    [6.0, 16.0, 50.0]
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    blocks: list[tuple[float, int]] = []  # sum and count of labels that touch: isotonic regression of the wishes, less the gaps
    for rank, index in enumerate(order):
        blocks.append((positions[index] - rank * gap, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            (total, count), (more, others) = blocks[-2:]
            blocks[-2:] = [(total + more, count + others)]
    starts = [total / count for total, count in blocks for _ in range(count)]
    last = max(low, high - gap * (len(positions) - 1))
    found = dict(zip(order, starts, strict=True))
    ranks = {index: rank for rank, index in enumerate(order)}
    return [min(last, max(low, found[index])) + ranks[index] * gap for index in range(len(positions))]


def _candidates(label: Label) -> Iterator[Placed]:
    width, reach = text_width(label.text), label.radius + GAP
    for across, down in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
        step = reach if down == 0 else reach * 0.7 if across else 0
        clear = max(label.radius, 0 if across else label.above if down < 0 else label.below)
        x, y = label.x + across * step, label.y + down * (clear + HEIGHT * 0.65)
        left = {1: x, 0: x - width / 2, -1: x - width}[across]
        align: Literal["left", "center", "right"] = "left" if across > 0 else "right" if across < 0 else "center"
        yield Placed(label, x, y, align, Box(left, y - HEIGHT / 2, left + width, y + HEIGHT / 2))


def _cost(box: Box, hidden: Sequence[Box], area: Box) -> float:
    return 10 * sum(box.overlap(other) for other in hidden) + 20 * box.outside(area)
