"""How far a run on a continual clock lies behind the run that had all data at once, where a study holds both."""

from __future__ import annotations

import json
from collections.abc import Sequence

from holdfast.core.evidence import Estimate, Evidence
from holdfast.runs import RunRecord

_NAME = "static_gap"
_WHEN = ("schedule", "rounds")


def with_gaps(records: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """Adds `static_gap` to each continual run that has a partner: a static run of as many rounds and otherwise the same settings.

    Args:
        records: Of a study; those that tell their gap already stay as they are.
    """
    static = {_but_for_time(record): record for record in records if _schedule(record) == "static"}
    return tuple(_with_gap(record, static.get(_but_for_time(record))) for record in records)


def _with_gap(record: RunRecord, partner: RunRecord | None) -> RunRecord:
    if partner is None or _schedule(record) != "continual" or record.evidence.estimate(_NAME, record.name) is not None:
        return record
    curves = [one.evidence.curve("convergence_score", one.name) for one in (record, partner)]
    if curves[0] is None or curves[1] is None:
        return record
    measure = str(curves[0].conditions["measure"])
    found = [one.evidence.estimate(measure, one.name) for one in (record, partner)]
    if any(score is not None and score.value is None for score in found):
        return record
    # a task may call its score otherwise; then the last points of the curves, which rest on the same test examples, are compared
    mine, theirs = (
        curve.y[-1] if score is None or score.value is None else score.value for curve, score in zip(curves, found, strict=True) if curve
    )
    lower = measure == "perplexity"
    gap = Estimate(
        name=_NAME,
        subject=record.name,
        value=(mine - theirs) if lower else (theirs - mine),
        unit="words" if lower else "share",
        direction="lower is better",
        conditions={"measure": measure, "static": partner.name},
        method="score of the run with all data at once and as many rounds less that of this run; above 0 where this one is behind",
        reference="after Dupuy et al. 2022, arXiv 2202.03925",
    )
    return record.adding(Evidence(estimates=(gap,)))


def _schedule(record: RunRecord) -> str:
    return str(record.settings["federation"]["schedule"])


def _but_for_time(record: RunRecord) -> str:
    """All that decides a run but when data come, and how many rounds it took, as a key."""
    asked = {key: value for key, value in record.settings["asked"].items() if key not in _WHEN}
    rest = [record.settings[key] for key in ("data", "task", "model")]
    return json.dumps([asked, rest, record.settings["federation"]["rounds"]], sort_keys=True)
