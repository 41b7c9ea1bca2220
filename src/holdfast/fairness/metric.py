"""What a metric of fairness is: a frozen object with a card, that looks at one thing and hands back evidence."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from holdfast.core.evidence import Evidence
from holdfast.fairness.cards import MetricCard
from holdfast.fairness.inference.settings import Inference

Needs = Literal["predictions", "vectors", "encoder", "masked model", "causal model", "masked or causal model", "generator"]
"""What a metric looks at: `Predictions`, `WordVectors`, or a language model through one of the protocols of `fairness.language`."""


@runtime_checkable
class Metric(Protocol):
    """One metric with its settings. Its fields are its options in study files and on the command line.

    Guarantee:
        Every estimate that `measure` returns carries ``conditions["metric"]``, the name of the card, and either an interval or,
        where it can have none, a reason in its `method`.
    """

    card: ClassVar[MetricCard]
    needs: ClassVar[Needs]

    def measure(self, given: Any, *, subject: str, inference: Inference) -> Evidence:
        """Measures.

        Args:
            given: What the metric needs.
            subject: The run that the numbers speak of.
            inference: How intervals and tests are made.
        """
        ...
