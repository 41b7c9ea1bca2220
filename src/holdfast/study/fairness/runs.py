"""Fairness of the runs of a study: measured once each run is finished, kept in its record, and anew when other metrics are asked for."""

from __future__ import annotations

import torch

from holdfast import models
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.data import DataSplits
from holdfast.runs import RunFolder, RunRecord
from holdfast.study.fairness.measuring import SETTING, measure
from holdfast.study.fairness.models import Measured
from holdfast.study.fairness.plan import FairnessTable, plain
from holdfast.tasks import Task


def with_fairness(
    record: RunRecord,
    folder: RunFolder,
    table: FairnessTable,
    task: Task,
    data: DataSplits,
    *,
    on_progress: OnProgress = silent,
    phase: str = "fairness",
) -> RunRecord:
    """Measures a finished run as a study asks, and writes its record; a run that was measured so already stays as it is.

    Args:
        record: Of the run.
        folder: Of the run, with its saved model.
        table: What is asked for.
        task: What the model was trained for.
        data: That it was trained and is measured on.
        on_progress: Told of each metric.
        phase: What to call the work.

    Returns:
        The record with what was found.
    """
    if record.settings.get(SETTING, {}).get("asked") == plain(table):
        on_progress(Progress(phase=phase, done=1, total=1, note="kept"))
        return record
    model = models.load(folder.path / "model")
    given = Measured(record.name, task, model.module, model.featuriser, model.labels, torch.device("cpu"), data)
    source = f"{data.name}, {table.part}"
    found = measure(
        table, given, subject=record.name, command=f"holdfast fairness {folder.path}", source=source, on_progress=on_progress, phase=phase
    )
    record = found.into(record)
    folder.write(record)
    return record
