"""Carries out a study over a grid: says what it takes, trains and attacks, sums up, draws the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import InputError, nearest
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.data import load_data
from holdfast.report.reproductions import ReproductionFiles, write_reproduction
from holdfast.runs import RunRecord, RunStore
from holdfast.study.execute import RUNS, run_study
from holdfast.study.reproductions.grid import Grid, read_grid
from holdfast.study.reproductions.summary import summarise, trimmed

TEMPLATES = {"edp-sgd": "edp_sgd.toml"}
"""The studies that can be done again, by name, each with its template."""


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


def grid_of(name: str, *, quick: bool = False, source: str | None = None) -> Grid:
    """The runs of a study that can be done again.

    Args:
        name: "edp-sgd": practical against theoretical privacy, after Dupuy et al. 2022 (arXiv 2107.14586).
        quick: Fewer levels, a smaller corpus and a smaller model.
        source: Other data than the embedded corpus, such as ``snips:FOLDER``.

    Raises:
        InputError: For an unknown name, with the nearest one.
    """
    if name not in TEMPLATES:
        raise InputError(f"there is no study {name!r} to reproduce; {nearest(name, TEMPLATES)}")
    return read_grid(TEMPLATES[name], quick=quick, source=source)


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


def reproduce(grid: Grid, out: Path, *, command: str = "", resume: bool = False, on_progress: OnProgress = silent) -> Reproduction:
    """Trains and attacks every run of a grid, and draws what promise and measurement have to do with each other.

    Args:
        grid: The study.
        out: The folder for runs, page, evidence and table.
        command: What was typed, for the record.
        resume: Take finished runs as they are and go on with an unfinished one; without it a folder with runs is refused.
        on_progress: Told all the way.

    Raises:
        RunError: If the folder holds runs of other settings or data, or any runs at all without `resume`.
        HoldfastError: Whatever loading, training or attacking raises.

    References:
        After Dupuy, Arava, Gupta, Rumshisky 2022 (arXiv 2107.14586), whose tables are not reproduced.
    """
    result = run_study(grid.plan, out, text=grid.text, command=command, resume=resume, page=False, on_progress=on_progress)
    on_progress(Progress(phase="report", done=0, total=1))
    summary = summarise(result.records)
    files = write_reproduction(out, [trimmed(record) for record in result.records], summary, title=grid.plan.title, study=grid.text)
    on_progress(Progress(phase="report", done=1, total=1))
    return Reproduction(records=result.records, summary=summary, files=files)
