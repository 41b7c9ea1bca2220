"""From the records of a grid to its summary: each strategy averaged over seeds, and against uniform selection in pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from holdfast.core.evidence import Condition, Curve, Direction, Estimate, Evidence, Interval
from holdfast.runs import RunRecord

UNIFORM = "uniform"
LIGHT, HEAVY = (1, 2, 3), (8, 9, 10)
"""Deciles of the lightest and of the most active clients."""
LEVEL = 0.95
WAY = 0.9
"""How much of its own way uniform selection must have come for others to be timed against it."""
_DUPUY = "after Dupuy et al. 2022, arXiv 2202.03925"
_KEPT = ("participation_gini", "prequential_score", "forgetting", "round_seconds", "client_score_decile")

Figure = Callable[["Run"], float | None]


@dataclass(frozen=True, eq=False)
class Run:
    """One run of the grid, with what the summary reads of it.

    Args:
        record: Its record.
    """

    record: RunRecord

    @property
    def cell(self) -> tuple[str, str, str]:
        """Strategy, weighting and schedule."""
        told = self.record.settings["run"]["cell"]
        return str(told["strategy"]), str(told["weighting"]), str(told["schedule"])

    @property
    def seed(self) -> int:
        """What it began with."""
        return int(self.record.settings["seed"])

    @property
    def measured(self) -> Curve:
        """The score by round."""
        found = self.record.evidence.curve("convergence_score", self.record.name)
        assert found is not None, "every run of the grid scores its test set"
        return found

    @property
    def measure(self) -> str:
        """What the score is called."""
        return str(self.measured.conditions["measure"])

    def score(self) -> float | None:
        """On the whole test set, or the last point of the curve for a task that names it otherwise."""
        found = self.record.evidence.estimate(self.measure, self.record.name)
        return self.measured.y[-1] if found is None else found.value

    def of_deciles(self, deciles: Sequence[int]) -> float | None:
        """Mean over clients of some deciles."""
        told = [one for one in self.record.evidence.estimates if one.name == "client_score_decile" and one.conditions["decile"] in deciles]
        found = [(one.value, int(one.conditions["clients"])) for one in told if one.value is not None]
        clients = sum(count for _, count in found)
        return sum(value * count for value, count in found) / clients if clients else None

    def worst_decile(self) -> float | None:
        """Of the decile that is served worst."""
        found = [one for one in self.record.evidence.estimates if one.name == "client_score_decile" and one.value is not None]
        if not found:
            return None
        values = [one.value for one in found if one.value is not None]
        return min(values) if found[0].direction == "higher is better" else max(values)

    def told(self, name: str) -> float | None:
        """An estimate of its record."""
        found = self.record.evidence.estimate(name, self.record.name)
        return None if found is None else found.value

    def rounds_to(self, target: float, *, upwards: bool) -> float | None:
        """The first round at which the curve has reached a score, or None where it never does."""
        reached = (x for x, y in zip(self.measured.x, self.measured.y, strict=True) if (y >= target if upwards else y <= target))
        return next(reached, None)


@dataclass(frozen=True, eq=False)
class Cell:
    """The runs with one strategy, one weighting and one schedule, in the order of their seeds."""

    strategy: str
    weighting: str
    schedule: str
    runs: tuple[Run, ...]

    @property
    def subject(self) -> str:
        """Such as "activity^0.5, uniform weights, continual"."""
        return f"{self.strategy}, {self.weighting} weights, {self.schedule}"

    @property
    def conditions(self) -> dict[str, Condition]:
        """What holds in it."""
        return {"select": self.strategy, "weighting": self.weighting, "schedule": self.schedule, "seeds": len(self.runs)}


def summarise(records: Sequence[RunRecord]) -> Evidence:
    """Sums up the records of a finished grid.

    Args:
        records: Of every run.

    Returns:
        For each cell its means over seeds and its gains over uniform selection with the same weighting, schedule and seed, each with
        Student's interval over seeds; and its mean curve. A gain is above 0 where the score is better, whichever way that is.
    """
    cells = _cells([Run(record) for record in records])
    by_name = {(cell.strategy, cell.weighting, cell.schedule): cell for cell in cells}
    found = Evidence(notes=NOTES)
    for cell in cells:
        base = by_name.get((UNIFORM, cell.weighting, cell.schedule))
        plain = by_name.get((UNIFORM, "examples", cell.schedule), base)
        found += Evidence(estimates=(*_means(cell, plain), *_gains(cell, base, plain)), curves=(_curve(cell),))
    return found


NOTES = (
    "The population is simulated and its text is made up, or was collected for something else: what is found of strategies holds for it.",
    "A seed draws first weights, cohorts and batches; data and clients are the same for all: no interval speaks of others.",
)


def trimmed(record: RunRecord) -> RunRecord:
    """A record with the figures that the page shows of each run."""
    found = record.evidence
    scores = [one for one in found.estimates if one.unit in ("share", "words") and not {"decile", "percentile"} & one.conditions.keys()]
    kept = [*scores, *(one for one in found.estimates if one.name in _KEPT)]
    return replace(record, evidence=Evidence(estimates=tuple(kept)))


def _cells(runs: Sequence[Run]) -> list[Cell]:
    names = list(dict.fromkeys(run.cell for run in runs))
    return [Cell(*name, tuple(sorted((run for run in runs if run.cell == name), key=lambda run: run.seed))) for name in names]


def _means(cell: Cell, plain: Cell | None) -> Iterator[Estimate]:
    measure, unit, direction = _scale(cell)
    scored: list[tuple[str, Figure]] = [
        ("mean_score", Run.score),
        ("mean_score_light", _light),
        ("mean_score_heavy", _heavy),
        ("worst_decile", Run.worst_decile),
        ("prequential_score", lambda run: run.told("prequential_score")),
    ]
    for name, figure in scored:
        yield from _over_seeds(name, [figure(run) for run in cell.runs], cell, unit=unit, direction=direction, measure=measure)
    gini = [run.told("participation_gini") for run in cell.runs]
    yield from _over_seeds("participation_gini", gini, cell, unit="index", direction="neither")
    if plain is not None:
        target, told = _target(plain)
        rounds = [run.rounds_to(target, upwards=direction == "higher is better") for run in cell.runs]
        yield from _over_seeds("rounds_to_score", rounds, cell, unit="rounds", direction="lower is better", measure=measure, method=told)
    work = [run.told("local_steps") for run in cell.runs]
    yield from _over_seeds("local_steps", work, cell, unit="steps", direction="lower is better")


def _target(plain: Cell) -> tuple[float, str]:
    """The score that rounds are counted to: most of the way that uniform selection, weighted by examples, goes in the mean."""
    first, last = (float(np.mean([run.measured.y[place] for run in plain.runs])) for place in (0, -1))
    target = first + WAY * (last - first)
    words = f"{WAY:.0%} of the way that uniform selection with weights by examples goes in all its rounds"
    return target, f"first evaluated round with the {plain.runs[0].measure} {target:.3g}: {words}"


def _gains(cell: Cell, base: Cell | None, plain: Cell | None) -> Iterator[Estimate]:
    how = "mean over seeds of the difference from uniform selection with the same weights, schedule and seed; above 0 is better"
    if base is not None and base is not cell:
        for name, figure in (("gain_over_uniform", Run.score), ("gain_light", _light), ("gain_heavy", _heavy)):
            yield from _paired(name, figure, cell, base, method=how)
    if plain is not None and plain is not cell:
        usual = how.replace("the same weights, schedule", "weights by examples, the same schedule")
        yield from _paired("gain_over_fedavg", Run.score, cell, plain, method=usual)


def _paired(name: str, figure: Figure, cell: Cell, base: Cell, *, method: str) -> Iterator[Estimate]:
    measure, unit, direction = _scale(cell)
    sign = 1.0 if direction == "higher is better" else -1.0
    partners = {run.seed: run for run in base.runs}
    pairs = [(figure(run), figure(partners[run.seed])) for run in cell.runs if run.seed in partners]
    values = [None if mine is None or theirs is None else sign * (mine - theirs) for mine, theirs in pairs]
    yield from _over_seeds(name, values, cell, unit=unit, direction="higher is better", measure=measure, method=method)


def _light(run: Run) -> float | None:
    return run.of_deciles(LIGHT)


def _heavy(run: Run) -> float | None:
    return run.of_deciles(HEAVY)


def _over_seeds(
    name: str,
    values: Sequence[float | None],
    cell: Cell,
    *,
    unit: str,
    direction: Direction,
    measure: str = "",
    method: str = "mean over seeds",
) -> Iterator[Estimate]:
    known = np.array([value for value in values if value is not None])
    conditions = {**cell.conditions, **({"measure": measure} if measure else {})}
    facts: dict[str, Any] = {"name": name, "subject": cell.subject, "unit": unit, "direction": direction, "reference": _DUPUY}
    if not len(known):
        if name == "rounds_to_score":
            yield Estimate(value=None, missing="no seed reached it", conditions=conditions, method=method, **facts)
        return
    if len(known) < len(values):
        method = f"{method}; {len(values) - len(known)} of {len(values)} seeds have none and are left out"
    yield Estimate(value=float(known.mean()), interval=_interval(known), n=len(known), conditions=conditions, method=method, **facts)


def _interval(values: np.ndarray[Any, np.dtype[np.float64]]) -> Interval | None:
    if len(values) < 2:
        return None
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    return Interval(low=mean - half, high=mean + half, level=LEVEL, method=f"Student's t over {len(values)} seeds")


def _scale(cell: Cell) -> tuple[str, str, Direction]:
    """What the score is called, its unit, and which way is better."""
    first = cell.runs[0]
    found = first.record.evidence.estimate("client_score_decile", first.record.name)
    return (first.measure, "share", "higher is better") if found is None else (first.measure, found.unit, found.direction)


def _curve(cell: Cell) -> Curve:
    rows = np.array([run.measured.y for run in cell.runs])
    bands = [_interval(column) for column in rows.T]
    banded = all(band is not None for band in bands)
    return Curve(
        name="mean_convergence",
        subject=cell.subject,
        x=cell.runs[0].measured.x,
        y=tuple(rows.mean(0).tolist()),
        low=tuple(band.low for band in bands if band is not None) if banded else (),
        high=tuple(band.high for band in bands if band is not None) if banded else (),
        x_label="round",
        y_label=cell.runs[0].measure.replace("_", " "),
        conditions={**cell.conditions, "measure": cell.runs[0].measure},
        method="mean over seeds; band: Student's t at each round",
    )
