"""What the summary of client selection holds: cells of strategy, weights and schedule, each over several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.core.evidence import Estimate, Evidence

STATEMENT = (
    "After Dupuy et al. 2022 (arXiv 2202.03925); their formulas and tables were not at hand, so this is no reproduction of their figures. "
    "What their paper leaves open was chosen here."
)
SCORE, LIGHT, HEAVY, WORST = "mean_score", "mean_score_light", "mean_score_heavy", "worst_decile"
ROUNDS, GINI, AHEAD, WORK = "rounds_to_score", "participation_gini", "prequential_score", "local_steps"
GAIN, GAIN_LIGHT, GAIN_HEAVY = "gain_over_uniform", "gain_light", "gain_heavy"
GAIN_USUAL = "gain_over_fedavg"
"""Over FedAvg as it is usually done: uniform selection, weights by examples, at the same schedule."""
CONVERGENCE = "mean_convergence"
QUANTITIES = (SCORE, GAIN, GAIN_USUAL, LIGHT, GAIN_LIGHT, HEAVY, GAIN_HEAVY, WORST, ROUNDS, GINI, AHEAD, WORK)

UNIFORM, STATIC, CONTINUAL = "uniform", "static", "continual"
BY_ACTIVITY = ("activity", "softmax", "top", "threshold", "mix", "schedule", "stratified")
"""How the names of strategies begin that look at how many examples a client has."""


@dataclass(frozen=True, kw_only=True)
class SelectionCell:
    """The trainings with one strategy, one weighting and one schedule.

    Args:
        subject: What its evidence speaks of, such as "activity^0.5, uniform weights, continual".
        strategy: How clients are chosen, such as "activity^0.5".
        select: The name of the strategy alone.
        tau: The power of activity, or None.
        weighting: How updates are weighted in the average.
        schedule: When data come: "static", "continual" or a name of the study.
        seeds: How many trainings there are.
        colour: Number of the colour and the mark of its strategy.
    """

    subject: str
    strategy: str
    select: str
    tau: float | None
    weighting: str
    schedule: str
    seeds: int
    colour: int

    @property
    def place(self) -> tuple[str, str]:
        """Schedule and weights."""
        return (self.schedule, self.weighting)

    @property
    def by_activity(self) -> bool:
        """Whether clients are chosen by how many examples they have."""
        return self.select.startswith(BY_ACTIVITY)


def cells(evidence: Evidence) -> list[SelectionCell]:
    """The cells in the summary: static first and continual last, then by weights, then by strategy, uniform first."""
    known = {"select", "weighting", "schedule", "seeds"}
    found = [one for one in evidence.estimates if one.name == SCORE and known <= one.conditions.keys()]
    names = sorted({_order(one): _strategy(one) for one in found}.items())
    colours = {name: number for number, name in enumerate(dict.fromkeys(name for _, name in names))}
    made = [_cell(one, colours[_strategy(one)]) for one in found]
    return sorted(made, key=lambda cell: (_when(cell.schedule), cell.schedule, cell.weighting, cell.colour))


def places(evidence: Evidence) -> list[tuple[str, str]]:
    """The schedules and weights of the grid."""
    return list(dict.fromkeys(cell.place for cell in cells(evidence)))


def compared(evidence: Evidence) -> list[SelectionCell]:
    """The cells that choose by activity."""
    return [cell for cell in cells(evidence) if cell.by_activity]


def estimate(evidence: Evidence, name: str, cell: SelectionCell) -> Estimate | None:
    """What was found of a cell, or None where it is not there or has no value."""
    found = evidence.estimate(name, cell.subject)
    return None if found is None or found.value is None else found


def measured(evidence: Evidence) -> Sequence[str]:
    """The quantities that any cell has."""
    names = {one.name for one in evidence.estimates}
    return [name for name in QUANTITIES if name in names]


def measure(evidence: Evidence) -> str:
    """The score that the cells were measured by, such as "accuracy", or empty."""
    return next(
        (str(one.conditions["measure"]) for one in evidence.estimates if one.name in QUANTITIES and "measure" in one.conditions), ""
    )


def sign(found: Estimate | None) -> int | None:
    """What the interval of a gain says: 1 for better, -1 for worse, 0 where it holds 0; None without an interval."""
    if found is None or found.value is None or found.interval is None:
        return None
    if found.interval.low <= 0 <= found.interval.high:
        return 0
    return (1 if found.value > 0 else -1) * (-1 if found.direction == "lower is better" else 1)


def place_words(place: tuple[str, str]) -> str:
    """A schedule and its weights in words.

    >>> place_words(("continual", "uniform"))
    'continual, uniform weights'
    """
    schedule, weighting = place
    return f"{schedule}, {weighting} weights"


def _cell(found: Estimate, colour: int) -> SelectionCell:
    told = found.conditions
    return SelectionCell(
        subject=found.subject,
        strategy=_strategy(found),
        select=str(told["select"]),
        tau=_tau(found),
        weighting=str(told["weighting"]),
        schedule=str(told["schedule"]),
        seeds=int(told["seeds"]),
        colour=colour,
    )


def _strategy(found: Estimate) -> str:
    """A strategy as people write it: its name, and the power of activity."""
    select, tau = str(found.conditions["select"]), _tau(found)
    return select if tau is None or "^" in select else f"{select}^{tau:g}"


def _tau(found: Estimate) -> float | None:
    told = found.conditions.get("tau")
    return float(told) if isinstance(told, int | float) else None


def _when(schedule: str) -> int:
    return {STATIC: 0, CONTINUAL: 2}.get(schedule, 1)


def _order(found: Estimate) -> tuple[bool, bool, str, float]:
    """Uniform first, then what follows activity, the least first, then the others."""
    select = str(found.conditions["select"])
    return (select != UNIFORM, not select.startswith(BY_ACTIVITY), select, _tau(found) or 0.0)
