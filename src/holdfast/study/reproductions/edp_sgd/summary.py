"""From the records of a grid to its summary: each cell averaged over seeds, and how promise and measurement go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from holdfast.core.errors import InputError
from holdfast.core.evidence import Condition, Estimate, Evidence, Interval
from holdfast.report.comparison import ratio
from holdfast.report.reproductions.edp_sgd.grid import (
    ADVANTAGE,
    BOTH,
    CORRELATION,
    LABELS,
    LEAKAGE,
    NAIVE,
    PROMISE,
    SECONDS,
    STATEMENT,
    USEFULNESS,
)
from holdfast.runs import RunRecord
from holdfast.study.reproductions.averaging import mean_over_seeds
from holdfast.study.reproductions.correlation import rank_correlation

KEPT = (PROMISE, NAIVE, LEAKAGE, ADVANTAGE, *USEFULNESS, SECONDS, "blind_auc")
"""What a summary keeps of each run; the rest stays in the run's own record."""

_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The records of a cell, in the order of their seeds."""

    subject: str
    method: str
    noise: float | None
    records: tuple[RunRecord, ...]

    @property
    def conditions(self) -> dict[str, Condition]:
        noise: dict[str, Condition] = {} if self.noise is None else {"noise_multiplier": self.noise}
        return {"method": self.method, **noise, "seeds": len(self.records)}

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(_seed(record) for record in self.records)

    def found(self, name: str) -> list[Estimate]:
        """An estimate of each run; of several, such as the AUC of several attacks, the largest."""
        chosen = []
        for record in self.records:
            known = [one for one in record.evidence.estimates if one.name == name and one.value is not None]
            if known:
                chosen.append(max(known, key=lambda one: one.value or 0.0))
        return chosen


def summarise(records: Sequence[RunRecord]) -> Evidence:
    """Sums up a finished grid.

    Args:
        records: Of every run; mechanism, level of noise and seed are read from their settings.

    Returns:
        For each cell what was promised and, averaged over seeds, what was measured; for each private method, and for both
        together, the rank correlation of promised epsilon and measured AUC, or the reason why there is none.
    """
    groups = _groups(records)
    estimates = [one for group in groups for one in _of_cell(group)]
    base = next((one for one in estimates if one.name == SECONDS and one.conditions["method"] == "none"), None)
    timed = [one for one in estimates if one.name == SECONDS]
    estimates += [longer for one in timed if base is not None and one is not base and (longer := ratio(one, base)) is not None]
    private = [method for method in LABELS if method != "none" and any(group.method == method for group in groups)]
    for method in private:
        estimates.append(_correlation(method, [group for group in groups if group.method == method]))
    if len(private) > 1:
        estimates.append(_correlation(BOTH, [group for group in groups if group.method in private]))
    return Evidence(estimates=tuple(estimates), notes=tuple(_notes(records)))


def trimmed(record: RunRecord) -> RunRecord:
    """A record with the figures that a summary shows of each run; promises and verdicts stay whole."""
    found = record.evidence
    kept = tuple(one for one in found.estimates if one.name in KEPT)
    return replace(record, evidence=Evidence(estimates=kept, claims=found.claims, verdicts=found.verdicts))


def _groups(records: Sequence[RunRecord]) -> list[_Group]:
    keyed: dict[tuple[str, float | None], list[RunRecord]] = {}
    for record in records:
        run = record.settings["run"]
        keyed.setdefault((run["mechanism"], run.get("noise_multiplier")), []).append(record)
    groups = []
    for (method, noise), found in keyed.items():
        subject = "non-private" if noise is None else f"{method}-noise-{noise:g}"
        groups.append(_Group(subject=subject, method=method, noise=noise, records=tuple(sorted(found, key=_seed))))
    return groups


def _seed(record: RunRecord) -> int:
    return int(record.settings["training"]["seed"])


def _of_cell(group: _Group) -> list[Estimate]:
    found = []
    for name in (PROMISE, NAIVE):
        promises = group.found(name)
        if promises:  # runs that differ in the seed alone promise the same
            worst = max(promises, key=lambda one: one.value or 0.0)
            found.append(replace(worst, subject=group.subject, conditions={**worst.conditions, **group.conditions}))
    for name in (LEAKAGE, ADVANTAGE, *USEFULNESS):
        measured = group.found(name)
        if measured:
            conditions = {**_attack(measured[0]), **group.conditions}
            found.append(mean_over_seeds(measured, subject=group.subject, conditions=conditions))
    times = group.found(SECONDS)
    return [*found, _fastest(group, times)] if times else found


def _attack(measured: Estimate) -> dict[str, Condition]:
    return {key: value for key, value in measured.conditions.items() if key in ("attack", "members", "nonmembers")}


def _fastest(group: _Group, times: Sequence[Estimate]) -> Estimate:
    """The shortest time over seeds: another program beside a run makes its time long, never short."""
    values = [one.value for one in times if one.value is not None]
    interval = Interval(low=min(values), high=max(values), level=_LEVEL, method="fastest and slowest run, no coverage promised")
    return replace(
        times[0],
        subject=group.subject,
        value=min(values),
        interval=interval,
        n=len(values),
        conditions={**times[0].conditions, **group.conditions},
        method="the fastest seed's median epoch, training steps alone",
    )


def _correlation(subject: str, groups: Sequence[_Group]) -> Estimate:
    """The rank correlation over the runs of these cells, or why there is none."""
    promised = [
        float(f"{one[0].value:.6g}") for group in groups if (one := group.found(PROMISE))
    ]  # beyond that accounts differ by rounding
    measured = [[one.value for one in group.found(LEAKAGE)] for group in groups]
    conditions: dict[str, Condition] = {"levels": len(groups), "seeds": len(groups[0].records)}
    missing, value, interval = None, None, None
    try:
        if (
            len({group.seeds for group in groups}) > 1
            or len(promised) < len(groups)
            or any(len(row) < len(groups[0].seeds) for row in measured)
        ):
            raise InputError("not every level has a promise and an attack at every seed")
        found = rank_correlation(promised, np.array(measured, dtype=np.float64).T.tolist(), level=_LEVEL)
        value, interval = found.value, found.interval
    except InputError as error:
        missing = f"not resolvable: {error}"
    return Estimate(
        name=CORRELATION,
        subject=subject,
        value=value,
        unit="rank correlation",
        direction="neither",
        interval=interval,
        n=sum(len(group.records) for group in groups),
        conditions=conditions,
        method="Spearman's rank correlation of promised epsilon and measured AUC over the runs of one seed, averaged over seeds",
        reference="Spearman 1904; Fisher 1921; the question after Dupuy et al. 2022",
        missing=missing,
    )


def _notes(records: Sequence[RunRecord]) -> list[str]:
    """What the summary does not show."""
    attacks = _attacks(records)
    blind = next((one for record in records if (one := record.evidence.estimate("blind_auc")) and one.value is not None), None)
    found = [
        STATEMENT,
        "The correlations hold for these data, these levels of noise, these settings and this attack. Their intervals speak of another "
        "draw of the seeds, and of nothing else.",
        f"The attack that was run ({attacks}) sees one loss for each example. A stronger attack may find more, and then the correlations "
        "may be others. Only the promise bounds all attacks.",
        "The interval of a cell's figure speaks of other examples and other seeds. Cells are attacked on the same examples, so they miss "
        "together: their order is surer than their intervals let it seem.",
        "Learning rate and clip norm are the same at every level of noise. Settings chosen for each level would give other figures, and "
        "choosing them on the data would spend privacy.",
    ]
    levels = [verdict.level for record in records for verdict in record.evidence.verdicts if verdict.level is not None]
    if len(levels) > 1:
        found.append(
            f"{len(levels)} promises were tested one by one, each with a chance of error of {1 - min(levels):.0%} of its own. A single "
            "contradiction among so many is to be looked into before it is believed."
        )
    if any(record.evidence.estimate(NAIVE) for record in records):
        found.append("The naive epsilon of eDP-SGD is unproved: it takes micro-batch clipping for per-example clipping. It is no promise.")
    if blind is not None and blind.interval is not None:
        apart = "tells" if blind.interval.low > 0.5 else "does not tell"
        ends = f"[{blind.interval.low:.3f}, {blind.interval.high:.3f}]"
        found.append(f"A classifier that never asks a model {apart} members from non-members (AUC {blind.value:.3f} {ends}).")
    return found


def _attacks(records: Sequence[RunRecord]) -> str:
    names: Mapping[str, None] = {
        str(one.conditions["attack"]): None for record in records for one in record.evidence.estimates if "attack" in one.conditions
    }
    return ", ".join(names) or "none"
