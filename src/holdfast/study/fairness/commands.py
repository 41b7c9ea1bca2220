"""What `holdfast fairness` does: a run or a model measured, and files of predictions or vectors scored without a model."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast import catalog
from holdfast.core.errors import DataError, InputError, nearest
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.fairness.inference import Inference, Units
from holdfast.fairness.predictions import Groups, Predictions
from holdfast.runs import RunFolder, RunRecord, now
from holdfast.study.fairness.measuring import measure
from holdfast.study.fairness.models import is_run, open_measured
from holdfast.study.fairness.plan import USUAL, FairnessTable, MetricTable
from holdfast.training.records import environment


@dataclass(frozen=True)
class Measurement:
    """What was found, and the run that it was written into.

    Args:
        evidence: The numbers.
        folder: Of the run; None where nothing was written.
    """

    evidence: Evidence
    folder: Path | None


def asked(table: FairnessTable, metrics: Sequence[str] | None, options: Sequence[str] = ()) -> FairnessTable:
    """A table of the study file with the metrics that the command line names.

    Args:
        table: All but the metrics.
        metrics: Names; those of decisions where None.
        options: Texts such as "stereoset.data=stereoset.csv".

    Raises:
        InputError: For an option without a metric or value, or of a metric that is not named.
    """
    names = list(metrics or USUAL)
    tables: dict[str, dict[str, Any]] = {name: {} for name in names}
    for text in options:
        place, equals, value = text.partition("=")
        name, dot, option = place.rpartition(".")
        if not (equals and dot and option) or option == "name":
            raise InputError(f"--set {text!r} is not of the form METRIC.OPTION=VALUE, such as stereoset.data=stereoset.csv")
        if name not in tables:
            raise InputError(f"--set {text!r}: metric {name!r} is not asked for; {nearest(name, names)}")
        tables[name][option] = _literal(value)
    return table.model_copy(update={"metrics": tuple(MetricTable(name=name, **given) for name, given in tables.items())})


def measure_named(
    model: str,
    table: FairnessTable,
    *,
    source: str | None = None,
    out: Path | None = None,
    command: str = "",
    on_progress: OnProgress = silent,
) -> Measurement:
    """Measures a run, into its record, or a language model of `transformers`.

    Args:
        model: A run's folder or id, "hub:NAME", or a folder.
        table: What is asked for; without groups all attributes of the data are compared.
        source: Where the data of a run are now.
        out: Where to keep what is found of a model; a run keeps it in its own record.
        command: What was typed, without its options.
        on_progress: Told of each metric.

    Raises:
        InputError: For a model that cannot be read, or whatever a metric refuses.
        RunError: As `open_measured`.
    """
    on_progress(Progress(phase="data", done=0, total=1))
    if is_run(Path(model)):
        if out is not None:
            raise InputError(f"--out {out}: what is found of the run {model} goes into its own record; leave --out away")
        folder, record, given = open_measured(Path(model), source=source)
        test = getattr(given.data, table.part)
        whole = table if table.groups else table.model_copy(update={"groups": test.group_names})
        whole.check("fairness")
        on_progress(Progress(phase="data", done=1, total=1))
        found = measure(whole, given, subject=record.name, command=command, source=f"{test.name}, {table.part}", on_progress=on_progress)
        folder.write(found.into(record))
        return Measurement(found.evidence, folder.path)
    access = _opened(model)
    on_progress(Progress(phase="data", done=1, total=1))
    name = Path(model.removeprefix("hub:")).name
    found = measure(table, access, subject=name, command=command, on_progress=on_progress)
    if out is None:
        return Measurement(found.evidence, None)
    folder = RunFolder(out)
    if (out / "record.json").exists():
        raise InputError(f"{out} already holds a run; give another --out")
    folder.write(found.into(_record(name, model, command)))
    return Measurement(found.evidence, out)


def of_vectors(vectors: Path, stimuli: Path, *, tests: Sequence[str] | None, metric: str, inference: Inference) -> Evidence:
    """Association tests on a file of word vectors.

    Args:
        vectors: GloVe or word2vec text.
        stimuli: Word sets.
        tests: Names of tests; all where None.
        metric: "weat" or "rnd".
        inference: How intervals and tests are made.
    """
    from holdfast.fairness.association import read_word_vectors

    kind = catalog.resolve("metric", metric)
    made = kind(stimuli=stimuli, tests=None if tests is None else tuple(tests))
    found: Evidence = made.measure(read_word_vectors(vectors, keep=made.words()), subject=vectors.name, inference=inference)
    return found


def of_stereoset(predictions: Path, gold: Path, *, inference: Inference) -> Evidence:
    """StereoSet from published predictions."""
    from holdfast.fairness.likelihood import stereoset_of_files

    return stereoset_of_files(predictions, gold, subject=predictions.name, inference=inference)


def of_bbq(predictions: Sequence[Path], *, inference: Inference) -> Evidence:
    """BBQ from published predictions."""
    from holdfast.fairness.likelihood import bbq_of_files

    return bbq_of_files(predictions, subject=", ".join(path.name for path in predictions), inference=inference)


def of_table(
    path: Path, table: FairnessTable, *, true: str, predicted: str, unit: str | None = None, scores: Mapping[str, str] | None = None
) -> Evidence:
    """Compares groups in a table of labels and predictions of any model.

    Args:
        path: CSV with a heading.
        table: Which metrics and groups.
        true: Column of the right labels.
        predicted: Column of the predicted ones.
        unit: Column whose equal values hang together; None for rows that stand alone.
        scores: Label to the column of its probability.

    Raises:
        DataError: For a file that cannot be read, or a column that is not there.
        InputError: For a metric that looks at something else than decisions, or whatever it refuses.
    """
    import numpy as np

    columns = _columns(path)
    if not table.groups:
        raise InputError("name at least one column to compare: --group NAME")
    table.check("fairness")
    y_true, y_pred = _column(columns, true, path), _column(columns, predicted, path)
    units = Units.rows(len(y_true), what="rows") if unit is None else Units.named(_column(columns, unit, path), what=unit)
    classes = tuple(sorted({*y_true, *y_pred, *(scores or {})}))
    matrix = None
    if scores:
        absent = [name for name in classes if name not in scores]
        if absent:
            raise InputError(f"--score is given for some labels but not for {absent[0]!r}; give the probability of every label")
        matrix = np.array([[_number(text, scores[name], path) for text in _column(columns, scores[name], path)] for name in classes]).T
    evidence = Evidence()
    for attribute in table.groups:
        values = ["" if value in table.no_group else value for value in _column(columns, attribute, path)]
        groups = Groups.of_values(values, attribute=attribute, separator=table.separator)
        given = Predictions.of_names(
            y_true, y_pred, groups=groups, units=units, scores=matrix, classes=classes, positive=table.positive or None, text=path.name
        )
        for asked_for in table.tables:
            metric = asked_for.made()
            if metric.needs != "predictions":
                raise InputError(f"{metric.card.name} needs a model ({metric.needs}), and a table of predictions has none")
            evidence += metric.measure(given, subject=path.name, inference=table.inference)
    return evidence


def cards(name: str | None = None) -> list[dict[str, Any]]:
    """The cards of all metrics, or of one, each with what it looks at."""
    kinds = [catalog.resolve("metric", one) for one in ([name] if name else catalog.names("metric"))]
    return [{**kind.card.describe(), "needs": kind.needs} for kind in kinds]


def _opened(model: str) -> Any:
    from holdfast.fairness.language import open_access

    return open_access(model)


def _record(name: str, model: str, command: str) -> RunRecord:
    """The record of a model that was not trained here."""
    empty: dict[str, Any] = {}
    return RunRecord(
        name=name,
        status="finished",
        created=now(),
        settings=empty,
        environment=environment(),
        data=empty,
        model={"model": model, "trained": "elsewhere"},
        mechanism=empty,
        evidence=Evidence(),
        command=command,
    )


def _literal(value: str) -> Any:
    """A number, truth value or list as TOML writes it, else the text itself."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _columns(path: Path) -> dict[str, list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: the table cannot be read ({error})") from error
    if not rows:
        raise DataError(f"{path} holds no rows below its heading")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DataError(f"{path}, row {line}: it has not as many cells as the heading")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _column(columns: Mapping[str, list[str]], name: str, path: Path) -> list[str]:
    if name not in columns:
        raise DataError(f"{path} has no column {name!r}; {nearest(name, columns)}")
    return columns[name]


def _number(text: str, column: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{path}, column {column!r}: {text!r} is no number") from None
