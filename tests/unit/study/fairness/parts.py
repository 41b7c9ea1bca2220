"""A metric that is quick and foreseeable, for tests of what carries metrics out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from holdfast.core.evidence import Evidence
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference import Measured

CALLS: list = []


def card(name):
    return MetricCard(
        name=name,
        title="Counted",
        notion="parity of counts",
        groups="any",
        source_text="the test set",
        level="decision",
        kind="extrinsic",
        unit="share",
        ideal=0.0,
        direction="lower is better",
        criticism=("It counts.",),
        harms="Nobody.",
        reference="",
    )


@dataclass(frozen=True, kw_only=True)
class Counting:
    """The share of the largest group, and how often it was asked."""

    card: ClassVar[MetricCard] = card("counting")
    needs: ClassVar[str] = "predictions"
    shift: float = 0.0
    data: Path | None = None
    tests: tuple[str, ...] = ()

    def measure(self, given, *, subject, inference):
        CALLS.append((given.groups.attribute, inference.seed))
        value = float(given.groups.sizes.max() / len(given)) + self.shift
        measured = Measured(value=value, sizes=dict(zip(given.groups.names, given.groups.sizes.tolist(), strict=True)))
        conditions = {"groups": given.groups.attribute, "statistic": "largest share"}
        one = measured.estimate(
            "largest_share",
            subject=subject,
            metric="counting",
            unit="share",
            direction="lower is better",
            level=inference.level,
            method="counted",
            conditions=conditions,
        )
        return Evidence(estimates=(one,), notes=(f"counted {given.groups.attribute}",))


@dataclass(frozen=True, kw_only=True)
class Speaking:
    """Needs a causal model."""

    card: ClassVar[MetricCard] = card("speaking")
    needs: ClassVar[str] = "causal model"
    texts: tuple[str, ...] = field(default=("a b",))

    def measure(self, given, *, subject, inference):
        return Evidence(notes=(f"heard {given.name}",))


@dataclass(frozen=True, kw_only=True)
class Apart(Counting):
    """Groups must share no member."""

    groups_apart: ClassVar[bool] = True


APART = f"{__name__}:Apart"
COUNTING = f"{__name__}:Counting"
SPEAKING = f"{__name__}:Speaking"
