"""What the metrics of language models may ask of one: each protocol is the least that some metric needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from holdfast.core.randomness import Streams

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pieces:
    """A text as a model reads it. T pieces.

    Args:
        ids: The pieces, (T,), int64, special ones such as [CLS] included.
        starts: Where in the text each begins, in characters, (T,); -1 for a special piece.
        ends: Where it ends, exclusive, (T,); -1 for a special piece.
        known: False for a piece that stands for words outside the vocabulary, (T,), bool.
        cut: Whether the text was longer than the model reads.
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    known: NDArray[np.bool_]
    cut: bool = False

    @property
    def special(self) -> NDArray[np.bool_]:
        """Which pieces stand for no part of the text, (T,)."""
        return self.starts < 0

    def within(self, start: int, end: int) -> NDArray[np.int64]:
        """Places of the pieces that lie in this span of the text, even in part."""
        return np.flatnonzero((self.starts >= 0) & (self.starts < end) & (self.ends > start))

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Masked:
    """A question to a masked model: how likely are these pieces at these places, with those places hidden?

    Args:
        ids: The pieces, (T,), as of `Pieces.ids`.
        hidden: Places that the model sees the mask at, (H,).
        asked: Places whose own piece's probability is wanted, (A,); usually some of the hidden.
    """

    ids: NDArray[np.int64]
    hidden: NDArray[np.int64]
    asked: NDArray[np.int64]


@runtime_checkable
class ReadsText(Protocol):
    """A model that cuts text into pieces of its vocabulary."""

    @property
    def name(self) -> str:
        """What to call it, such as "hub:bert-base-uncased" or a run's name."""
        ...

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """Cuts texts into pieces."""
        ...


@runtime_checkable
class MaskedAccess(ReadsText, Protocol):
    """A masked language model."""

    def masked(self, questions: Sequence[Masked]) -> list[Floats]:
        """The log-probability of each asked piece, (A,) a question, in nats, batched by length; evaluation mode."""
        ...

    def unmasked(self, rows: Sequence[NDArray[np.int64]]) -> list[Floats]:
        """The log-probability of each piece with nothing hidden, (T,) a row, in nats."""
        ...


@runtime_checkable
class CausalAccess(ReadsText, Protocol):
    """A causal language model."""

    def causal(self, rows: Sequence[NDArray[np.int64]]) -> list[Floats]:
        """The log-probability of each piece given those before it, (T,) a row, in nats.

        The first piece is read after the model's own boundary where it has one (then it has a number), else it has NaN.
        """
        ...


@runtime_checkable
class GeneratingAccess(Protocol):
    """A model that goes on with a text."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    def generate(
        self, prompts: Sequence[str], *, samples: int, most_words: int, top_p: float, temperature: float, streams: Streams
    ) -> list[list[str]]:
        """Draws texts that go on from each prompt, without the prompt: `samples` for each; one seed, one result."""
        ...


@runtime_checkable
class EncodingAccess(Protocol):
    """A model that turns text into vectors."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    def encode(self, texts: Sequence[str], *, pooling: str) -> Floats:
        """The vector of each text, (n, D).

        Args:
            texts: Sentences.
            pooling: "cls" (the first piece, special or not), "first" or "last" (piece of the text), "mean" (over the pieces of the text).
        """
        ...

    def encode_within(self, texts: Sequence[str], spans: Sequence[tuple[int, int]], *, pooling: str) -> Floats:
        """The vector of a part of each text in its context, (n, D): "first", "last" or "mean" of the pieces of that part.

        Args:
            texts: Sentences.
            spans: Start and end of the part, in characters.
            pooling: As above; "cls" is refused.
        """
        ...


def access_name(given: Any) -> str:
    """What to call a model, or the name of its type."""
    return str(getattr(given, "name", type(given).__name__))
