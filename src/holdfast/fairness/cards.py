"""What must stand beside a metric of fairness before its number can be read: what it measures, on whom, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from holdfast.core.evidence import Direction

Level = Literal["embedding", "language model", "generation", "decision"]
Kind = Literal["intrinsic", "extrinsic"]


@dataclass(frozen=True, kw_only=True)
class MetricCard:
    """The card of a metric.

    Args:
        name: In study files and commands, with its variant: "crows-pairs-nangia", never "crows-pairs" alone.
        title: For people, such as "CrowS-Pairs, masked shared words (after Nangia et al. 2020)".
        notion: Which idea of fairness or of harm it stands for, such as "equal opportunity" or "stereotyping".
        groups: Whom it compares, such as "any attribute of the data" or "men and women, by first names of the United States".
        source_text: Whose words it looks at, such as "the test set" or "templates".
        level: What of the model it looks at.
        kind: "extrinsic" where it looks at what a user of the model meets, "intrinsic" where it looks inside.
        unit: Of its main number, such as "share", "standard deviations", "points".
        ideal: The value at parity, such as 0 or 50; None where there is none.
        direction: Which way is better; "neither" where the ideal is inside the range.
        criticism: What has been published against it, one sentence each, with who said it.
        harms: Whom a bad value hurts, and how, in one sentence.
        reference: Where it is described.
    """

    name: str
    title: str
    notion: str
    groups: str
    source_text: str
    level: Level
    kind: Kind
    unit: str
    ideal: float | None
    direction: Direction
    criticism: tuple[str, ...]
    harms: str
    reference: str

    def describe(self) -> dict[str, Any]:
        """Says the same in plain JSON, for the record of a run."""
        return {**asdict(self), "criticism": list(self.criticism)}
