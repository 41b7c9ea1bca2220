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
    curve = record.evidence.curve("convergence_score", record.name)
    measure = None if curve is None else str(curve.conditions["measure"])
    mine, theirs = (None if measure is None else one.evidence.estimate(measure, one.name) for one in (record, partner))
    if mine is None or theirs is None or mine.value is None or theirs.value is None:
        return record
    sign = 1.0 if mine.direction == "higher is better" else -1.0
    gap = Estimate(
        name=_NAME,
        subject=record.name,
        value=sign * (theirs.value - mine.value),
        unit=mine.unit,
        direction="lower is better",
        n=mine.n,
        conditions={"measure": mine.name, "static": partner.name},
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
