"""Carries out a study over a grid: says what it takes, trains and attacks, sums up, draws the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.data import load_data
from holdfast.report.reproductions import ReproductionFiles, write_reproduction
from holdfast.runs import RunRecord, RunStore
from holdfast.study.execute import RUNS
from holdfast.study.kinds import kind_of
from holdfast.study.reproductions.grid import Grid
from holdfast.study.side_by_side import run_side_by_side


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is still to be done.

    Args:
        trainings: Runs of the whole study.
        finished: How many of them are in the folder already.
        seconds: About how long the rest takes, on one core like the one that was measured on.
    """

    trainings: int
    finished: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What a study over a grid leaves behind.

    Args:
        records: Of every run, whole.
        summary: Of the cells, and the correlations.
        files: Page, evidence and table.
    """

    records: tuple[RunRecord, ...]
    summary: Evidence
    files: ReproductionFiles

    @property
    def contradicted(self) -> bool:
        """True where an attack contradicted a claim."""
        return any(verdict.outcome == "contradicted" for record in self.records for verdict in record.evidence.verdicts)


def work_of(grid: Grid, out: Path) -> Work:
    """What a study takes, less what is in its folder already.

    Args:
        grid: The study.
        out: Its folder, which need not exist.

    Raises:
        DataError: For data that are missing or wrong.
    """
    data = load_data(grid.plan.data.source, **grid.plan.data.options)
    done = {name for name, record in RunStore(out / RUNS).scan().runs if record.status == "finished"}
    left = [run for run in grid.plan.run if run.name not in done]
    return Work(trainings=len(grid.plan.run), finished=len(grid.plan.run) - len(left), seconds=grid.seconds(left, examples=len(data.train)))


def reproduce(
    grid: Grid, out: Path, *, command: str = "", resume: bool = False, jobs: int = 1, on_progress: OnProgress = silent
) -> Reproduction:
    """Trains and attacks every run of a grid, sums up what was found, and draws it.

    Args:
        grid: The study.
        out: The folder for runs, page, evidence and table.
        command: What was typed, for the record.
        resume: Take finished runs as they are and go on with an unfinished one; without it a folder with runs is refused.
        jobs: Runs to train at once, each in a process of its own; times mean nothing where there are several.
        on_progress: Told all the way.

    Raises:
        InputError: For fewer than one job.
        RunError: If the folder holds runs of other settings or data, or any runs at all without `resume`.
        HoldfastError: Whatever loading, training or attacking raises.
    """
    if jobs < 1:
        raise InputError(f"jobs is {jobs}; give how many runs to train at once, at least 1")
    if jobs > 1:
        run_side_by_side(grid.plan, out, jobs=jobs, text=grid.text, command=command, resume=resume, on_progress=on_progress)
        resume = True  # what follows only reads what is there
    result = kind_of(grid.plan).carry_out(
        grid.plan, out, text=grid.text, command=command, resume=resume, page=False, on_progress=on_progress
    )
    on_progress(Progress(phase="report", done=0, total=1))
    study = grid.study
    summary, kept = study.summarise(result.records), [study.trimmed(record) for record in result.records]
    files = write_reproduction(out, kept, summary, title=grid.plan.title, study=grid.text, presentation=study.presentation)
    on_progress(Progress(phase="report", done=1, total=1))
    return Reproduction(records=result.records, summary=summary, files=files)
