"""Runs a whole study: every run trained, evaluated and attacked, its record kept, and one report over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.data import load_data
from holdfast.report import ReportFiles, write_report
from holdfast.runs import RunFolder, RunRecord, atomic_write
from holdfast.study.fairness.measuring import SETTING
from holdfast.study.fairness.models import check_groups
from holdfast.study.fairness.runs import with_fairness
from holdfast.study.folders import check_folder, chosen, finished
from holdfast.study.plan import RunPlan, StudyPlan
from holdfast.study.planting import AuditedData, check_readable, planted
from holdfast.study.steps import attack_run, make_mechanism, make_task, resolved, share_run, train_run
from holdfast.training.distributed import Group, joined

STUDY, RUNS, REPORT = "study.toml", "runs", "trust.html"


@dataclass(frozen=True)
class StudyResult:
    """What a study leaves behind.

    Args:
        records: One for each run, in the order of the study file.
        report: The files of the report; None where only training was asked for.
    """

    records: tuple[RunRecord, ...]
    report: ReportFiles | None

    @property
    def evidence(self) -> Evidence:
        """Everything that was found."""
        return sum((record.evidence for record in self.records), Evidence())

    @property
    def contradicted(self) -> bool:
        """True where an attack contradicted a claim."""
        return any(verdict.outcome == "contradicted" for verdict in self.evidence.verdicts)


def phases(plan: StudyPlan) -> Mapping[str, float]:
    """The phases that a study of this plan reports progress for, each with its rough share of the time."""
    found = {"data": 1.0}
    for run in plan.run:
        weight = {"none": 8.0, "edp-sgd": 10.0, "dp-sgd": 14.0}[run.mechanism]
        epochs = plan.setting(run, "epochs")
        found |= {f"train {run.name}": weight * epochs, f"measure {run.name}": 10.0}
        found |= {} if plan.fairness is None else {f"fairness {run.name}": 10.0}
    return found | {"report": 2.0}


def run_study(
    plan: StudyPlan,
    out: Path,
    *,
    text: str = "",
    command: str = "",
    resume: bool = False,
    only: str | Sequence[str] | None = None,
    report: bool = True,
    page: bool = True,
    on_progress: OnProgress = silent,
) -> StudyResult:
    """Does everything that a study file asks for.

    Where `torchrun` started several processes, they share the work of training; the first one alone does the rest.

    Args:
        plan: The study.
        out: The folder for runs and report.
        text: The study file itself, kept beside the results.
        command: What was typed, for the record.
        resume: Take finished runs as they are and go on with an unfinished one; without it a folder with runs is refused.
        only: The name of one run to train, or the names of several, leaving the others out.
        report: Attack the models and write the report; else only train and evaluate.
        page: Draw the page of the report; a study that draws a page of its own turns this off.
        on_progress: Told all the way.

    Returns:
        Records and report; nothing in a process that is not the first.

    Raises:
        RunError: If the folder holds runs of other settings, or any runs at all without `resume`.
        StudyError: If `only` names no run.
        HoldfastError: Whatever loading, training or attacking raises.
    """
    runs = chosen(plan.run, only)
    with joined() as group:
        if not group.first:
            return _follow(plan, runs, group, resume=resume)
        result = _lead(plan, runs, out, text=text, command=command, resume=resume, attack=report, on_progress=on_progress)
        if not (report and page):
            return result
        with in_phase("report", on_progress):
            return replace(result, report=write_report(out / REPORT, *result.records, title=plan.title, study=text))


def _lead(
    plan: StudyPlan, runs: Sequence[RunPlan], out: Path, *, text: str, command: str, resume: bool, attack: bool, on_progress: OnProgress
) -> StudyResult:
    """What the one process does, or the first of several."""
    for run in runs:
        check_folder(RunFolder(out / RUNS / run.name), resolved(plan, run), resume=resume, later=(SETTING,))
    with in_phase("data", on_progress):
        data = _StudyData(plan)
    for run in runs:  # a batch larger than the data, say, is found before hours of training, not between them
        audited = data.of(run)
        make_mechanism(plan, run, audited.data.train)
        check_readable(audited, make_task(plan), plan.model_settings(run))
    if plan.fairness is not None:
        check_groups(plan.fairness, make_task(plan), data.of(runs[0]).data)
    atomic_write(out / STUDY, text)
    with with_threads(plan.threads):
        records = tuple(
            _one(plan, run, data.of(run), out, command=command, resume=resume, attack=attack, on_progress=on_progress) for run in runs
        )
    return StudyResult(records, None)


def _follow(plan: StudyPlan, runs: Sequence[RunPlan], group: Group, *, resume: bool) -> StudyResult:
    """What every other process does: its share of each training, and nothing else."""
    data = _StudyData(plan)
    with with_threads(plan.threads):
        for run in runs:
            if group.agree(False):
                share_run(plan, run, data.of(run).data, resume=resume)
    return StudyResult((), None)


def _one(
    plan: StudyPlan, run: RunPlan, audited: AuditedData, out: Path, *, command: str, resume: bool, attack: bool, on_progress: OnProgress
) -> RunRecord:
    folder = RunFolder(out / RUNS / run.name)
    if resume:
        folder.tidy()
    done = finished(folder, content_hash=audited.data.content_hash) if resume else None
    kept = done is not None and (attacked(done.evidence) or not attack)
    if not Group.current().agree(not kept):
        assert done is not None
        on_progress(Progress(phase=f"train {run.name}", done=1, total=1, note="kept"))
        on_progress(Progress(phase=f"measure {run.name}", done=1, total=1, note="kept"))
        return _compared(plan, run, audited, folder, done, attack=attack, on_progress=on_progress)
    fitted, record = train_run(plan, run, audited.data, folder, command=command, resume=resume, on_progress=on_progress)
    if attack:
        with in_phase(f"measure {run.name}", on_progress):
            record = record.adding(attack_run(plan, run, fitted, audited, folder, on_progress=on_progress))
    record = replace(record, status="finished")
    folder.write(record)
    return _compared(plan, run, audited, folder, record, attack=attack, on_progress=on_progress)


def _compared(
    plan: StudyPlan, run: RunPlan, audited: AuditedData, folder: RunFolder, record: RunRecord, *, attack: bool, on_progress: OnProgress
) -> RunRecord:
    """Measures how the finished model treats groups, where the study asks for it and it has not been done."""
    if plan.fairness is None or not attack:
        return record
    return with_fairness(
        record, folder, plan.fairness, make_task(plan), audited.data, on_progress=on_progress, phase=f"fairness {run.name}"
    )


class _StudyData:
    """The data of a study, with what is planted for each run: for most runs the same, for one with secrets of its own another."""

    def __init__(self, plan: StudyPlan) -> None:
        self._plan = plan
        self._loaded = load_data(plan.data.source, **plan.data.options)
        self._common = planted(self._loaded, plan.audit, [plan.model_settings(run) for run in plan.run])

    def of(self, run: RunPlan) -> AuditedData:
        """The data of a run; those with secrets of their own are made anew each time, so that a grid does not keep them all."""
        table = self._plan.audit_of(run)
        return self._common if table == self._plan.audit else planted(self._loaded, table, [self._plan.model_settings(run)])


def attacked(evidence: Evidence) -> bool:
    """Whether a run was attacked already: its evidence holds a verdict, or what an attack found."""
    return bool(evidence.verdicts) or any({"attack", "canaries"} & one.conditions.keys() for one in evidence.estimates)


@contextmanager
def in_phase(name: str, on_progress: OnProgress) -> Iterator[None]:
    """Tells that a piece of work begins, and that it is done."""
    on_progress(Progress(phase=name, done=0, total=1))
    yield
    on_progress(Progress(phase=name, done=1, total=1))


@contextmanager
def with_threads(count: int | None) -> Iterator[None]:
    """Has torch use so many threads for the time of the block; None leaves them."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
