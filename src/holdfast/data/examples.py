"""One labelled utterance as a person reads it; a data set holds them as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from holdfast.core.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Example:
    """One utterance with what is known about it.

    Args:
        tokens: The words, at least one, none of them empty.
        label: The label of the whole utterance, such as an intent.
        tags: One tag for each token, such as BIO slots.
        user_id: Who said it: the unit of user-level privacy.
        timestamp: When it was said. A time without a zone is read as UTC; fractions of a second are dropped.
        groups: Group attribute to value, such as ``{"dialect": "northern"}``.
        context: The words that the utterance answers, none of them empty; () where it answers nothing, None where that is not known.

    Raises:
        DataError: For no tokens, an empty token or word of the context, or tags that are not as many as the tokens.

    >>> Example(tokens=("call", "Orla"), label="call", tags=("O", "B-contact")).text
    'call Orla'
    """

    tokens: tuple[str, ...]
    label: str | None = None
    tags: tuple[str, ...] | None = None
    user_id: str | None = None
    timestamp: datetime | None = None
    groups: Mapping[str, str] = field(default_factory=dict, hash=False)
    context: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.tokens, str):
            raise DataError(f"tokens is the text {self.tokens!r}; give a sequence of words, such as text.split()")
        object.__setattr__(self, "tokens", tuple(self.tokens))
        object.__setattr__(self, "groups", dict(self.groups))
        if not self.tokens or not all(self.tokens):
            raise DataError(f"tokens {self.tokens!r}: an example needs at least one token and no empty ones")
        if self.tags is not None:
            object.__setattr__(self, "tags", tuple(self.tags))
            if len(self.tags) != len(self.tokens):
                raise DataError(f"{len(self.tokens)} tokens but {len(self.tags)} tags in {self.text!r}; give one tag for each token")
        if self.context is not None:
            object.__setattr__(self, "context", _context(self.context))
        if self.timestamp is not None:
            object.__setattr__(self, "timestamp", _whole_seconds(self.timestamp))

    @property
    def text(self) -> str:
        """The tokens with one blank between them."""
        return " ".join(self.tokens)


def _context(words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, str):
        raise DataError(f"context is the text {words!r}; give a sequence of words, such as text.split()")
    if not all(words):
        raise DataError(f"context {words!r}: no word may be empty; () is the context of an utterance that answers nothing")
    return tuple(words)


def _whole_seconds(moment: datetime) -> datetime:
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.replace(microsecond=0)
