"""Carries out a federated study: every run simulated and evaluated, its record kept, and one report over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from holdfast import models
from holdfast.core.errors import Interrupted, RunError, TrainingStopped
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.federated.simulation import Simulation, Simulator, check, finished
from holdfast.report import write_report
from holdfast.runs import RunFolder, RunRecord, atomic_write, now
from holdfast.study import folders
from holdfast.study.execute import REPORT, RUNS, STUDY, StudyResult, in_phase, with_threads
from holdfast.study.federation.gaps import with_gaps
from holdfast.study.federation.parts import Populations, conditions_of
from holdfast.study.federation.plan import FederatedPlan, FederatedRun
from holdfast.training.distributed import Group, joined
from holdfast.training.records import environment

MECHANISM = {"mechanism": "none", "unit": "client", "training": "federated, without noise"}


def federated_phases(plan: FederatedPlan) -> Mapping[str, float]:
    """The phases that a study of this plan reports progress for, each with its rough share of the time."""
    found = {"data": 1.0}
    for run in plan.run:
        found |= {f"federate {run.name}": float(plan.rounds_of(run) + 1), f"measure {run.name}": 5.0}
    return found | {"report": 2.0}


def run_federated(
    plan: FederatedPlan,
    out: Path,
    *,
    text: str = "",
    command: str = "",
    resume: bool = False,
    only: Sequence[str] | None = None,
    page: bool = True,
    on_progress: OnProgress = silent,
) -> StudyResult:
    """Does everything that the file of a federated study asks for.

    Where `torchrun` started several processes, they share the cohort of each round; the first one alone does the rest.

    Args:
        plan: The study.
        out: The folder for runs and report.
        text: The study file itself, kept beside the results.
        command: What was typed, for the record.
        resume: Take finished runs as they are and go on with an unfinished one; without it a folder with runs is refused.
        only: Names of runs, leaving the others out.
        page: Draw the page of the report.
        on_progress: Told all the way.

    Returns:
        Records and report; nothing in a process that is not the first.

    Raises:
        RunError: If the folder holds runs of other settings, or any runs at all without `resume`.
        StudyError: If `only` names no run.
        HoldfastError: Whatever loading or simulating raises.
    """
    runs = folders.chosen(plan.run, only)
    with joined() as group, with_threads(plan.threads):
        if not group.first:
            populations = Populations(plan)
            for run in runs:
                if group.agree(False):
                    _simulated(plan, run, populations, None, resume=resume, on_progress=silent)
            return StudyResult((), None)
        for run in runs:
            folders.check_folder(RunFolder(out / RUNS / run.name), _settings(plan, run), resume=resume, later=("federation",))
        with in_phase("data", on_progress):
            populations = Populations(plan)
            for run in runs:  # a cohort larger than the population, say, is found before hours of simulation, not between them
                population = populations.of(run)
                check(population, conditions_of(plan, run, population))
        atomic_write(out / STUDY, text)
        records = tuple(_one(plan, run, populations, out, command=command, resume=resume, on_progress=on_progress) for run in runs)
        complete = with_gaps(records)
        for before, after in zip(records, complete, strict=True):
            if after is not before:
                RunFolder(out / RUNS / after.name).write(after)
        records = complete
        if not page:
            return StudyResult(records, None)
        with in_phase("report", on_progress):
            return StudyResult(records, write_report(out / REPORT, *records, title=plan.title, study=text))


def _one(
    plan: FederatedPlan, run: FederatedRun, populations: Populations, out: Path, *, command: str, resume: bool, on_progress: OnProgress
) -> RunRecord:
    folder = RunFolder(out / RUNS / run.name)
    if resume:
        folder.tidy()
    kept = _kept(folder, populations, run) if resume else None
    if not Group.current().agree(kept is None):
        assert kept is not None
        for phase in ("federate", "measure"):
            on_progress(Progress(phase=f"{phase} {run.name}", done=1, total=1, note="kept"))
        return kept
    population = populations.of(run)
    record = RunRecord(
        name=run.name,
        status="running",
        created=now(),
        settings=_settings(plan, run),
        environment=environment(),
        data=populations.data.summary(),
        model=population.settings.describe(),
        mechanism=MECHANISM,
        evidence=Evidence(),
        command=command,
    )
    folder.write(record)
    try:
        simulation = _simulated(plan, run, populations, folder.checkpoints, resume=resume, on_progress=on_progress)
    except (Interrupted, TrainingStopped) as error:
        folder.write(replace(record, status="interrupted" if isinstance(error, Interrupted) else "stopped"))
        raise
    with in_phase(f"measure {run.name}", on_progress):
        record = replace(record, settings={**record.settings, "federation": simulation.settings}, status="finished")
        record = record.adding(simulation.evidence())
    models.save(folder.path / "model", simulation.module, population.settings, population.featuriser, population.labels)
    folder.write(record)
    return record


def _settings(plan: FederatedPlan, run: FederatedRun) -> dict[str, Any]:
    """What a record says that was asked for, from its beginning on."""
    return plan.resolved(run) | {"seed": plan.setting(run, "seed")}


def _simulated(
    plan: FederatedPlan, run: FederatedRun, populations: Populations, checkpoints: Path | None, *, resume: bool, on_progress: OnProgress
) -> Simulation:
    population = populations.of(run)
    simulator = Simulator(
        run.name,
        plan.algorithm_of(run),
        population,
        conditions_of(plan, run, population),
        seed=plan.setting(run, "seed"),
        folder=checkpoints,
        device=torch.device("cpu"),
        on_progress=on_progress,
    )
    return finished(simulator, simulator.run(resume=resume))


def _kept(folder: RunFolder, populations: Populations, run: FederatedRun) -> RunRecord | None:
    """The record of a finished run, or None where there is still something to do."""
    record = folders.finished(folder, content_hash=populations.data.content_hash)
    if record is not None and record.settings["federation"].get("population") != folders.plain(populations.of(run).described):
        raise RunError(f"{folder.path} holds a run across other clients than the study file now names; give another --out")
    return record
