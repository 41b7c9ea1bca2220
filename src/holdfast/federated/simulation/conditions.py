"""All that decides a simulation beside its algorithm and its population: who is selected, how updates are weighted, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.core.errors import InputError
from holdfast.federated.continual import Schedule
from holdfast.federated.local.training import KERNELS
from holdfast.federated.population import Availability, Stragglers
from holdfast.federated.robust import Rule
from holdfast.federated.selection import Selector, Weighting, selector, weighting
from holdfast.federated.updates import Compressor
from holdfast.federated.updates.subsets import Spec, label
from holdfast.models import checks

LORA = ("rank", "alpha", "targets", "train", "also")
"""Options of `updates.with_lora`."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How a federation is run.

    Args:
        cohort: Clients of a round, m >= 1.
        rounds: Server rounds, >= 1.
        select: Draws the cohorts.
        weighting: How much the update of each client counts, which is a choice apart from who is selected.
        schedule: Which examples clients have when; all of them always, or a continual clock.
        availability: Which clients can be reached; None for all.
        stragglers: Which clients fail or are too slow; None for none.
        compressor: Makes updates smaller; None sends them whole.
        rule: Combines single updates robustly; None takes the weighted sum, the only one that secure aggregation allows.
        trainable: Which parameters are trained and travel; see `updates.trainable`.
        lora: Options of `updates.with_lora`: low-rank pairs are trained in place of the layers beside them; None for none.
        kernel: "auto", "closed form", "stacked" or "sequential"; it changes speed, not results.
        evaluate_every: Rounds between two points of the curves; 0 for the first and the last alone.
        test_examples: Test examples that such a point rests on at most; None for all.
        checkpoint_every: Rounds between two checkpoints, >= 1.

    Raises:
        InputError: For a value out of its bounds.
    """

    cohort: int
    rounds: int
    select: Selector = field(default_factory=lambda: selector("uniform"))
    weighting: Weighting = field(default_factory=lambda: weighting("examples"))
    schedule: Schedule
    availability: Availability | None = None
    stragglers: Stragglers | None = None
    compressor: Compressor | None = None
    rule: Rule | None = None
    trainable: Spec = "all"
    lora: Mapping[str, Any] | None = None
    kernel: str = "auto"
    evaluate_every: int = 10
    test_examples: int | None = 1000
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        checks.integer("federation", least=1, cohort=self.cohort, rounds=self.rounds, checkpoint_every=self.checkpoint_every)
        checks.integer("federation", least=0, evaluate_every=self.evaluate_every)
        checks.choice("federation", ("auto", *KERNELS), kernel=self.kernel)
        if self.rounds > self.schedule.rounds and self.schedule.periods > 1:
            raise InputError(
                f"federation: rounds is {self.rounds}, but the clock has {self.schedule.rounds}; give no more, or more rounds_per_period"
            )
        if self.lora is not None:
            checks.known_keys("lora", LORA, self.lora)
            missing = sorted({"rank", "alpha"} - self.lora.keys())
            if missing:
                raise InputError(f"lora: {missing[0]} is missing; give rank and alpha, such as {{ rank = 4, alpha = 8 }}")
        if self.test_examples is not None:
            checks.integer("federation", least=1, test_examples=self.test_examples)

    @property
    def normalised(self) -> bool:
        """Whether the weights of the clients that count sum to 1; inverse propensities estimate a sum and do not."""
        return self.weighting.normalised

    def check_population(self, clients: int, with_examples: int) -> None:
        """Refuses a cohort that no round could fill.

        Args:
            clients: How many there are.
            with_examples: How many of them have an example.

        Raises:
            InputError: If the cohort is larger than the population.
        """
        if self.cohort > with_examples:
            raise InputError(
                f"federation: a cohort of {self.cohort} clients, but {with_examples} of the {clients} clients have examples; "
                f"give a cohort of {with_examples} at most"
            )

    def describe(self) -> dict[str, Any]:
        """What decides the result, as plain data; what only changes speed or how often something is written is left out."""
        return {
            "cohort": self.cohort,
            "rounds": self.rounds,
            "select": self.select.describe(),
            "weighting": self.weighting.describe(),
            "schedule": self.schedule.describe(),
            "availability": None if self.availability is None else self.availability.describe(),
            "stragglers": None if self.stragglers is None else self.stragglers.describe(),
            "compression": None if self.compressor is None else self.compressor.describe(),
            "rule": None if self.rule is None else self.rule.describe(),
            "trainable": label(self.trainable),
            "lora": None if self.lora is None else dict(self.lora),
            "evaluate_every": self.evaluate_every,
            "test_examples": self.test_examples,
        }
