"""An invented study of client selection: records of its trainings, and the summary of its cells."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.runs import RunRecord
from tests.reporting import RUNS, record_of
from tests.reporting_federated import MEASURE

SEEDS = 5
GRID = tuple(
    (select, tau, weighting, schedule)
    for schedule in ("static", "continual")
    for weighting in ("examples", "uniform")
    for select, tau in (("uniform", None), ("activity", 0.5), ("activity", 1.0), ("top-k", None))
)
NOTE = "Selection follows activity and the average is weighted by examples, so heavy clients count twice."


@dataclass(frozen=True, kw_only=True)
class Place:
    """One cell of the grid."""

    select: str
    tau: float | None
    weighting: str
    schedule: str

    @property
    def strategy(self) -> str:
        return self.select if self.tau is None else f"{self.select}^{self.tau:g}"

    @property
    def subject(self) -> str:
        return f"{self.strategy}, {self.weighting} weights, {self.schedule}"


Gains = Callable[[Place], tuple[float, float, float]]


def mixed(place: Place) -> tuple[float, float, float]:
    """Gains for all, for light and for heavy users: what activity brings the heavy it takes from the light, and more so continually."""
    power = {"activity": place.tau or 0.0, "top-k": 2.0}[place.select]
    more = 0.035 if place.schedule == "continual" else 0.004
    return more * power * (2 - power), -0.02 * power, 0.03 * power


def nothing(place: Place) -> tuple[float, float, float]:
    """Gains that no interval tells from none."""
    return 0.002, -0.003, 0.001


def summary(gains: Gains = mixed, *, grid: Sequence[tuple] = GRID, half: float = 0.012) -> Evidence:
    """The cells, with gains as they are given and intervals of one width."""
    places = [Place(select=select, tau=tau, weighting=weighting, schedule=schedule) for select, tau, weighting, schedule in grid]
    return Evidence(
        estimates=tuple(one for place in places for one in _cell(place, gains, half)),
        curves=tuple(_convergence(place, gains) for place in places),
        notes=(NOTE, "Each cell is over 5 seeds."),
    )


def records(*, grid: Sequence[tuple] = GRID, seeds: int = 2) -> list[RunRecord]:
    """A training for each cell and seed, with its score alone."""
    found = []
    for select, tau, weighting, schedule in grid:
        place = Place(select=select, tau=tau, weighting=weighting, schedule=schedule)
        for seed in range(seeds):
            name = f"{place.subject}, seed {seed}"
            score = Estimate(name="accuracy", subject=name, value=0.7, unit="share", direction="higher is better")
            settings = {"federation": {"select": select, "weighting": weighting, "schedule": schedule}, "training": {"seed": seed}}
            base = record_of(replace(RUNS[0], name=name))
            found.append(replace(base, settings=settings, mechanism={"name": "none"}, evidence=Evidence(estimates=(score,))))
    return found


def _cell(place: Place, gains: Gains, half: float) -> list[Estimate]:
    whole, light, heavy = (0.0, 0.0, 0.0) if place.select == "uniform" else gains(place)
    base = 0.70 if place.schedule == "static" else 0.66
    power = place.tau or (2.0 if place.select == "top-k" else 0.0)
    told = {
        **{"select": place.select, "weighting": place.weighting, "schedule": place.schedule, "seeds": SEEDS},
        **MEASURE,
        **({} if place.tau is None else {"tau": place.tau}),
    }
    rows = [
        ("mean_score", base + whole, "share", half),
        ("mean_score_light", base - 0.04 + light, "share", half),
        ("mean_score_heavy", base + 0.03 + heavy, "share", half),
        ("worst_decile", base - 0.08 + light, "share", half),
        ("rounds_to_score", 60 - 16 * power, "rounds", 4.0),
        ("participation_gini", 0.12 + 0.25 * power, "index", 0.01),
    ]
    if place.schedule == "continual":
        rows.append(("prequential_score", base - 0.05 + whole, "share", half))
    found = [_one(place, *row, told | {"target": 0.6} if row[0] == "rounds_to_score" else told) for row in rows]
    if place.select != "uniform":
        known = {key: told[key] for key in ("measure", "weighting", "schedule")}
        for name, value in (("gain_over_uniform", whole), ("gain_light", light), ("gain_heavy", heavy)):
            found.append(_one(place, name, value, "share", half, known))
    return found


def _one(place: Place, name: str, value: float, unit: str, half: float, conditions: dict) -> Estimate:
    interval = Interval(low=value - half, high=value + half, level=0.95, method="Student's t over seeds")
    direction = "lower is better" if unit == "rounds" else "neither" if unit == "index" else "higher is better"
    fields = {"unit": unit, "direction": direction, "interval": interval, "n": SEEDS, "conditions": conditions, "method": "mean over seeds"}
    return Estimate(name=name, subject=place.subject, value=value, **fields)


def _convergence(place: Place, gains: Gains) -> Curve:
    end = 0.7 + (0.0 if place.select == "uniform" else gains(place)[0])
    rounds = range(1, 41)
    pace = 14 - 5 * (place.tau or 0.0)
    y = [end - (end - 0.14) * math.exp(-place_ / pace) for place_ in rounds]
    return Curve(
        name="mean_convergence",
        subject=place.subject,
        x=tuple(rounds),
        y=tuple(y),
        low=tuple(value - 0.015 for value in y),
        high=tuple(value + 0.015 for value in y),
        x_label="round",
        y_label="accuracy",
        conditions=MEASURE,
    )
