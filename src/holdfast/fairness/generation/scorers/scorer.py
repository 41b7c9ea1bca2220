"""What rates texts: local, with a version and a hash of its content, so that a number can be made again in ten years."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition

Floats = NDArray[np.float64]


@runtime_checkable
class Scorer(Protocol):
    """Rates texts without asking anybody outside of this process."""

    @property
    def name(self) -> str:
        """What to call it; ours never bears the name of another's classifier."""
        ...

    @property
    def version(self) -> str:
        """Of its rules."""
        ...

    @property
    def sha256(self) -> str:
        """Of all that its scores depend on, in hexadecimal: rules, words, weights."""
        ...

    def score(self, texts: Sequence[str]) -> Floats:
        """A number for each text, (n,), or one for each class, (n, K)."""
        ...


S = TypeVar("S", bound=Scorer)


def digest(*parts: bytes | str) -> str:
    """The sha256 over parts, each with its length before it, so that no two lists of parts meet in one hash."""
    found = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        found.update(len(raw).to_bytes(8, "little"))
        found.update(raw)
    return found.hexdigest()


def pinned(scorer: S, sha256: str | None) -> S:
    """Gives the scorer back if its content is what was pinned.

    Args:
        scorer: Any.
        sha256: The hash that it must have, in hexadecimal, whole or its first 8 digits or more; None to pin nothing.

    Raises:
        InputError: For another content.
    """
    if sha256 is None:
        return scorer
    wanted = sha256.lower()
    if len(wanted) < 8:
        raise InputError(f"scorer {scorer.name!r}: a pin of {len(wanted)} digits; give at least 8 of the 64 digits of its sha256")
    if not scorer.sha256.startswith(wanted):
        raise InputError(
            f"scorer {scorer.name!r} has the sha256 {scorer.sha256}, but {sha256} was pinned: its words, weights or rules are others; "
            "take the scorer that was pinned, or pin this one and measure everything anew"
        )
    return scorer


def told(scorer: Scorer) -> dict[str, Condition]:
    """What every estimate says of the scorer that it rests on."""
    return {"scorer": f"{scorer.name} {scorer.version}".strip(), "scorer_sha256": scorer.sha256}


def checked_scores(scorer: Scorer, texts: Sequence[str], *, columns: int | None = None) -> Floats:
    """The scores, as float64.

    Args:
        scorer: Rates the texts.
        texts: n texts.
        columns: K where one number for each of K classes is wanted, None for one number for each text.

    Raises:
        InputError: For scores of another shape, or that are not finite.
    """
    found = np.asarray(scorer.score(texts), dtype=np.float64)
    wanted = (len(texts),) if columns is None else (len(texts), columns)
    if found.shape != wanted:
        raise InputError(f"scorer {scorer.name!r} gave scores of shape {found.shape} for {len(texts)} texts; {wanted} is wanted here")
    if not np.isfinite(found).all():
        place = int(np.flatnonzero(~np.isfinite(found.reshape(len(texts), -1)).all(1))[0])
        raise InputError(f"scorer {scorer.name!r} gave text {place} a score that is not finite; mend the scorer")
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class CallableScorer:
    """Any function that rates texts.

    Args:
        function: Texts to scores, (n,) or (n, K).
        name: What to call it.
        version: Of the function.
        content: All that its scores depend on, as bytes, such as the file of its weights; it is hashed.

    Raises:
        InputError: For an empty content: a scorer whose content is not known cannot be pinned.
    """

    function: Callable[[Sequence[str]], Any]
    name: str
    version: str
    content: bytes

    def __post_init__(self) -> None:
        if not self.content:
            raise InputError(f"scorer {self.name!r}: content is empty; give the bytes that its scores depend on, such as its weights")

    @property
    def sha256(self) -> str:
        """Of its name, version and content."""
        return digest("callable", self.name, self.version, self.content)

    def score(self, texts: Sequence[str]) -> Floats:
        """What the function says."""
        return np.asarray(self.function(texts), dtype=np.float64)
