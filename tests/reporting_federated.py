"""Invented runs across clients, with all that a federated run hands to a report. The figures are of a likely size, not measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.runs import RunRecord
from tests.reporting import RUNS, record_of

CLIENTS, EXAMPLES, COHORT, ROUNDS, PERIODS = 1_204, 18_212, 50, 40, 5
SHOWN = 24  # clients of the map
TWICE = "Selection follows activity and the average is weighted by examples, so heavy clients count twice."
NOTHING = "trained without noise, so nothing is promised"
MEASURE = {"measure": "accuracy"}


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """What is made up of one run across clients."""

    name: str
    tau: float  # clients are drawn with their activity to this power
    accuracy: float
    skew: float  # by how much the heaviest decile scores above the lightest
    weighting: str = "examples"
    continual: bool = False
    trainable: str = "all"
    compression: str = "none"
    left_out: int = 0


CROWDS = (
    Crowd(name="uniform", tau=0.0, accuracy=0.712, skew=0.04),
    Crowd(name="activity^0.5", tau=0.5, accuracy=0.731, skew=0.11, left_out=3),
    Crowd(name="activity^1, continual", tau=1.0, accuracy=0.735, skew=0.21, continual=True, trainable="head", compression="int8"),
)


def federated_runs(*crowds: Crowd) -> list[RunRecord]:
    """Records of runs across clients; the three of above unless others are given."""
    return [federated_record(crowd) for crowd in crowds or CROWDS]


def federated_record(crowd: Crowd) -> RunRecord:
    """A finished record about one invented run, without a promise."""
    base = record_of(replace(RUNS[0], name=crowd.name))
    settings = {
        "algorithm": "fedavg",
        "select": {"name": "activity", "tau": crowd.tau} if crowd.tau else "uniform",
        "weighting": crowd.weighting,
        "cohort": COHORT,
        "rounds": ROUNDS,
        "schedule": "continual" if crowd.continual else "static",
    }
    training = {"rounds": ROUNDS, "seed": 7}
    task = {"name": "classification"}
    return replace(
        base,
        settings={"task": task, "training": training, "federation": settings},
        mechanism={"name": "none"},
        evidence=federated_evidence(crowd),
    )


def federated_evidence(crowd: Crowd) -> Evidence:
    """All that a run across clients hands to the report."""
    continual = crowd.continual
    return Evidence(
        estimates=(
            Estimate(name="epsilon", subject=crowd.name, value=None, missing=NOTHING, unit="nats", direction="lower is better"),
            _one(crowd, "accuracy", crowd.accuracy, "share", half=0.017, n=2_500),
            *_deciles(crowd),
            *_percentiles(crowd),
            *_population(crowd),
            *_traffic(crowd),
            *(_continual(crowd) if continual else ()),
        ),
        curves=(*_convergence(crowd), *_lorenz(crowd), _map(crowd), *(_periods(crowd) if continual else ())),
        notes=("One split of the clients was drawn.", *([TWICE] if crowd.tau and crowd.weighting == "examples" else [])),
    )


def _one(
    crowd: Crowd,
    name: str,
    value: float,
    unit: str,
    conditions: Mapping[str, object] | None = None,
    *,
    half: float | None = None,
    n: int | None = None,
    direction: str = "higher is better",
) -> Estimate:
    interval = None if half is None else Interval(low=value - half, high=value + half, level=0.95, method="bootstrap over clients")
    fields = {"unit": unit, "direction": direction, "interval": interval, "n": n, "conditions": conditions or {}}
    return Estimate(name=name, subject=crowd.name, value=value, method=f"invented {name}", **fields)


def _deciles(crowd: Crowd) -> list[Estimate]:
    found = []
    for decile in range(1, 11):
        score = crowd.accuracy - 0.02 + crowd.skew * (decile - 5.5) / 9
        taken = ROUNDS * COHORT / CLIENTS * _weight(crowd, decile) / sum(_weight(crowd, other) for other in range(1, 11)) * 10
        norm = (0.6 + _weight(crowd, decile)) / sum(0.6 + _weight(crowd, other) for other in range(1, 11))
        told = {"decile": decile, "clients": 120, "examples": 40 * decile**2}
        found += [
            _one(crowd, "client_score_decile", score, "share", told | MEASURE, half=0.05 - 0.003 * decile, n=120),
            _one(crowd, "participation_decile", taken, "rounds", {"decile": decile, "clients": 120}, direction="neither"),
            _one(crowd, "update_norm_decile", norm, "share", {"decile": decile}, direction="neither"),
        ]
    return found


def _weight(crowd: Crowd, decile: int) -> float:
    return (decile / 10) ** (2 * crowd.tau)


def _percentiles(crowd: Crowd) -> list[Estimate]:
    spread = {0: -0.62, 10: -0.31 - crowd.skew / 2, 50: 0.02, 90: 0.2}
    told = {**MEASURE, "clients": 911, "least_examples": 5}
    return [
        _one(crowd, "client_score_percentile", max(0.0, crowd.accuracy + shift), "share", {"percentile": percentile, **told}, n=911)
        for percentile, shift in spread.items()
    ]


def _population(crowd: Crowd) -> list[Estimate]:
    users = {"partition": "users"}
    found = [
        _one(crowd, "activity_gini", 0.61, "index", direction="neither"),
        _one(crowd, "participation_gini", 0.12 + 0.4 * crowd.tau, "index", direction="neither"),
        _one(crowd, "clients", CLIENTS, "clients", users, direction="neither"),
        _one(crowd, "examples", EXAMPLES, "examples", users, direction="neither"),
        _one(crowd, "mean_js_distance", 0.53, "distance", {"of": "labels", "pairs": 2_000, "log": "e", **users}, direction="neither"),
    ]
    if crowd.left_out:
        found.append(_one(crowd, "clients_left_out", crowd.left_out, "clients", {"reason": "not finite"}, direction="lower is better"))
    return found


def _traffic(crowd: Crowd) -> list[Estimate]:
    told = {"trainable": crowd.trainable, "compression": crowd.compression}
    up = 2_600_000 / (40 if crowd.trainable == "head" else 1) / (4 if crowd.compression == "int8" else 1)
    down = 2_600_000 / (40 if crowd.trainable == "head" else 1)
    rows = (
        ("bytes_up", up * COHORT * ROUNDS),
        ("bytes_down", down * COHORT * ROUNDS),
        ("bytes_up_per_client", up),
        ("bytes_down_per_client", down),
    )
    found = [_one(crowd, name, value, "bytes", told, direction="lower is better") for name, value in rows]
    seconds = {"kernel": "stacked", "cohort": COHORT}
    return [*found, _one(crowd, "round_seconds", 0.42, "seconds", seconds, direction="lower is better")]


def _continual(crowd: Crowd) -> list[Estimate]:
    return [
        _one(crowd, "prequential_score", crowd.accuracy - 0.06, "share", MEASURE, half=0.02),
        _one(crowd, "forgetting", 0.034, "share", MEASURE, direction="lower is better"),
        _one(crowd, "static_gap", 0.012, "share", MEASURE, half=0.015, direction="lower is better"),
    ]


def _curve(crowd: Crowd, name: str, x: list[float], y: list[float], labels: tuple[str, str], **conditions: object) -> Curve:
    return Curve(name=name, subject=crowd.name, x=tuple(x), y=tuple(y), x_label=labels[0], y_label=labels[1], conditions=conditions)


def _convergence(crowd: Crowd) -> list[Curve]:
    rounds = list(range(1, ROUNDS + 1))
    pace = 14 - 6 * crowd.tau
    left = [math.exp(-place / pace) for place in rounds]
    score = [crowd.accuracy - (crowd.accuracy - 0.14) * one for one in left]
    return [
        _curve(crowd, "convergence", rounds, [0.9 + 1.1 * one - crowd.tau / 20 for one in left], ("round", "loss on the test set (nats)")),
        _curve(crowd, "convergence_score", rounds, score, ("round", "accuracy"), **MEASURE),
    ]


def _lorenz(crowd: Crowd) -> list[Curve]:
    shares = [place / 20 for place in range(21)]
    labels = ("share of clients, from light to heavy", "share")
    taken = [one ** (1.15 + 1.6 * crowd.tau) for one in shares]
    return [
        _curve(crowd, "activity_lorenz", shares, [one**4.1 for one in shares], labels),
        _curve(crowd, "participation_lorenz", shares, taken, labels),
    ]


def _map(crowd: Crowd) -> Curve:
    distances = [
        0.0 if one == other else 0.42 + 0.2 * math.sin(one * 2.1) * math.sin(other * 2.1) + 0.1 * ((one + other) % 3)
        for one in range(SHOWN)
        for other in range(SHOWN)
    ]
    return _curve(crowd, "js_map", list(range(SHOWN**2)), distances, ("pair", "distance"), clients=SHOWN, shown_of=CLIENTS)


def _periods(crowd: Crowd) -> list[Curve]:
    labels = ("period", "accuracy")
    ahead = [crowd.accuracy - 0.06 + 0.015 * (period - 3) for period in range(2, PERIODS + 1)]
    found = [_curve(crowd, "prequential", list(range(2, PERIODS + 1)), ahead, labels, **MEASURE)]
    for period in range(1, PERIODS + 1):
        after = list(range(period, PERIODS + 1))
        scores = [crowd.accuracy + 0.05 - 0.02 * (other - period) for other in after]
        found.append(_curve(crowd, "period_scores", after, scores, labels, period=period, **MEASURE))
    return found
