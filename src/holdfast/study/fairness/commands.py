"""What `holdfast fairness` does: a run or a model measured, and files of predictions or vectors scored without a model."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast import catalog
from holdfast.core.errors import InputError, nearest
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, Progress, silent
from holdfast.fairness.inference import Inference
from holdfast.runs import RunFolder, RunRecord, now
from holdfast.runs.store import RECORD
from holdfast.study.fairness.measuring import measure
from holdfast.study.fairness.models import check_attributes, is_run, open_measured
from holdfast.study.fairness.plan import USUAL, FairnessTable, MetricTable
from holdfast.study.fairness.tables import predictions_of_table
from holdfast.training.records import environment


@dataclass(frozen=True)
class Measurement:
    """What was found, and the run that it was written into.

    Args:
        evidence: The numbers.
        folder: Of the run; None where nothing was written.
        replaced: What was in its record and no longer is, in sentences.
    """

    evidence: Evidence
    folder: Path | None
    replaced: tuple[str, ...] = ()


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
    device: str | None = None,
    download: bool = False,
    command: str = "",
    on_progress: OnProgress = silent,
) -> Measurement:
    """Measures a run, into its record, or a language model of `transformers`.

    Args:
        model: A run's folder or id, "hub:NAME", or a folder.
        table: What is asked for; without groups all attributes of the data are compared.
        source: Where the data of a run are now.
        out: Where to keep what is found of a model; a run keeps it in its own record.
        device: Where to put a model, such as "cuda"; on the CPU where None, as runs always are.
        download: Whether a model that is not in the local Hugging Face cache may be fetched.
        command: What was typed, without its options.
        on_progress: Told of each metric.

    Raises:
        InputError: For a model that cannot be read, or whatever a metric refuses.
        RunError: As `open_measured`.
    """
    for one in table.tables:
        one.made()  # a mistake in an option is told before anything is opened
    on_progress(Progress(phase="data", done=0, total=1))
    if is_run(Path(model)):
        if out is not None:
            raise InputError(f"--out {out}: what is found of the run {model} goes into its own record; leave --out away")
        if download or device is not None:
            raise InputError(f"--download and --device are for a MODEL; {model} is a run, which is here and is measured on the CPU")
        return _measure_run(Path(model), table, source=source, command=command, on_progress=on_progress)
    name = _checked(model, table, source=source, out=out)
    access = _opened(model, device=device or "cpu", download=download)
    on_progress(Progress(phase="data", done=1, total=1))
    found = measure(table, access, subject=name, command=command, on_progress=on_progress)
    if out is None:
        return Measurement(found.evidence, None)
    RunFolder(out).write(found.into(_record(name, model, command)))
    return Measurement(found.evidence, out)


def _checked(model: str, table: FairnessTable, *, source: str | None, out: Path | None) -> str:
    """What to call a model, once all else that is asked for makes sense."""
    place = Path(model.removeprefix("hub:"))
    if not model.startswith("hub:") and not place.is_dir():
        raise InputError(
            f"{model} is no run, neither a folder with a record nor an id in the folder runs, and no folder of a model; for a model of the "
            f"local Hugging Face cache write hub:{model}"
        )
    for given, word in ((source, "--data"), (table.groups, "--group"), (table.positive, "--positive"), (table.no_group, "--no-group")):
        if given:
            raise InputError(f"{word} is for runs, whose data are labelled, and {model} is a language model; leave it away")
    if out is not None and ((out / RECORD).exists() or out.is_file()):
        raise InputError(f"{out} already holds a run or is a file; give another --out")
    deciding = [made.card.name for made in (one.made() for one in table.tables) if made.needs == "predictions"]
    if deciding:
        raise InputError(f"{deciding[0]} looks at decisions, and {model} is no run; give a run's folder, or name other metrics by --metric")
    return place.resolve().name if place.is_dir() else place.name


def _measure_run(path: Path, table: FairnessTable, *, source: str | None, command: str, on_progress: OnProgress) -> Measurement:
    folder, record, given = open_measured(path, source=source)
    test = getattr(given.data, table.part)
    whole = table if table.groups else table.model_copy(update={"groups": test.group_names})
    if not whole.groups and any(one.made().needs == "predictions" for one in whole.tables):
        raise InputError(f"the data of {path} have no attribute whose groups could be compared; give others by --data, or other metrics")
    whole.check("fairness")
    check_attributes(whole, given.data)
    on_progress(Progress(phase="data", done=1, total=1))
    found = measure(whole, given, subject=record.name, command=command, source=f"{test.name}, {table.part}", on_progress=on_progress)
    folder.write(found.into(record))
    return Measurement(found.evidence, folder.path, tuple(found.replaced(record)))


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
    """BBQ from published predictions.

    Raises:
        InputError: For a file that is named twice: its answers would count twice.
    """
    twice = [path for path in predictions if predictions.count(path) > 1]
    if twice:
        raise InputError(f"--predictions {twice[0]} stands twice, and its answers would count twice; name each file once")
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
        DataError: For a file that cannot be read, or a column or cell that is not there.
        InputError: For a metric that looks at something else than decisions, or whatever it refuses.
    """
    if not table.groups:
        raise InputError("name at least one column to compare: --group NAME")
    table.check("fairness")
    metrics = [one.made() for one in table.tables]
    for metric in metrics:
        if metric.needs != "predictions":
            raise InputError(f"{metric.card.name} looks at {metric.needs}, and a table holds decisions only; leave it out")
    found = predictions_of_table(path, table, true=true, predicted=predicted, unit=unit, scores=scores)
    looked = [metric.measure(given, subject=path.name, inference=table.inference) for given in found for metric in metrics]
    return sum(looked, Evidence())


def cards(name: str | None = None) -> list[dict[str, Any]]:
    """The cards of all metrics, or of one, each with what it looks at."""
    kinds = [catalog.resolve("metric", one) for one in ([name] if name else catalog.names("metric"))]
    return [{**kind.card.describe(), "needs": kind.needs} for kind in kinds]


def _opened(model: str, *, device: str, download: bool) -> Any:
    import torch

    from holdfast.fairness.language import open_access

    if device != "cpu" and not torch.cuda.is_available():
        raise InputError(f"--device {device}: torch sees no such device here; leave --device away for the CPU")
    return open_access(model, device=device, download=download)


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
