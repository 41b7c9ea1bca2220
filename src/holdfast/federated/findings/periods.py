"""What a simulation on a continual clock says: scores before a period is trained on, and what is forgotten of earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.core.evidence import Curve, Estimate, Evidence
from holdfast.federated.continual import OverPeriods, forgetting, prequential, score_matrix
from holdfast.federated.findings.scores import ExampleScores

if TYPE_CHECKING:
    from holdfast.federated.simulation.state import History

_DUPUY = "after Dupuy et al. 2022, arXiv 2202.03925"
_AHEAD = "mean over periods of the score on a period's events before any of them was trained on"
_LOST = "mean over earlier periods of the best score on them so far less the last one; above 0 where something was forgotten"


def periods_found(subject: str, history: History, measured: ExampleScores, *, periods: int) -> Evidence:
    """The estimates `prequential_score` and `forgetting` and the curves behind them; nothing for a clock of one period.

    Args:
        subject: The run.
        history: What was measured.
        measured: What the scores are.
        periods: Of the clock.
    """
    if periods == 1:
        return Evidence()
    scores, estimates, curves = score_matrix(history.periods, periods=periods), [], []
    ahead = [(float(on), score) for after, on, score in history.periods if after == on - 1]
    if ahead:
        estimates.append(_estimate("prequential_score", prequential(scores), _AHEAD, subject, measured, measured.direction))
        curves.append(_curve("prequential", ahead, subject, measured, x_label="period", conditions={}))
    last = max((after for after, on, _ in history.periods if after >= on), default=0)
    if any(after == last and on < last for after, on, _ in history.periods):
        lost = forgetting(scores, direction=measured.direction, after=last)
        estimates.append(_estimate("forgetting", lost, _LOST, subject, measured, "lower is better"))
    for period in sorted({on for _, on, _ in history.periods}):
        points = [(float(after), score) for after, on, score in history.periods if on == period and after >= 0]
        curves.append(_curve("period_scores", points, subject, measured, x_label="trained through period", conditions={"period": period}))
    return Evidence(estimates=tuple(estimates), curves=tuple(curves))


def _estimate(name: str, found: OverPeriods, method: str, subject: str, measured: ExampleScores, direction: Any) -> Estimate:
    return Estimate(
        name=name,
        subject=subject,
        value=found.mean,
        unit=measured.unit,
        direction=direction,
        interval=found.interval,
        n=len(found.periods),
        conditions={"measure": measured.measure},
        method=method,
        reference=_DUPUY,
    )


def _curve(
    name: str, points: list[tuple[float, float]], subject: str, measured: ExampleScores, *, x_label: str, conditions: dict[str, Any]
) -> Curve:
    return Curve(
        name=name,
        subject=subject,
        x=tuple(x for x, _ in points),
        y=tuple(y for _, y in points),
        x_label=x_label,
        y_label=measured.measure.replace("_", " "),
        conditions={"measure": measured.measure, **conditions},
        method="on the events of the period, or on those of them that were drawn once",
    )
