"""`holdfast run`: does everything that a study file asks for, and draws the report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, Parser, command
from holdfast.cli.terminal import output
from holdfast.cli.terminal.progress import shown
from holdfast.core.processes import place
from holdfast.core.progress import OnProgress, silent

if TYPE_CHECKING:
    from holdfast.core.evidence import Estimate, Evidence
    from holdfast.study import StudyPlan, StudyResult

CONTRADICTED = 3
LATER = ("membership_auc", "secrets_p_value", "seconds_per_epoch")
"""What a study of single trainings shows behind the scores: leakage, how likely planted secrets are found, time."""
_TEXT = """\
Train every run of a study file, evaluate it, attack it, and draw one report over
all of them. A run that was interrupted goes on with --resume, to the same weights
as if it had never been stopped; finished runs are kept as they are.

  holdfast run study.toml
  holdfast run study.toml --out results --resume
"""
PARTIAL = {"attack", "decile", "percentile", "metric"}
"""Conditions of figures that speak of an attack, of some clients or groups alone, and are no score of the task."""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "run", run=run, help="do everything that a study file asks for", text=_TEXT)
    add_study(parser)


def add_study(parser: Parser) -> None:
    """Adds what every command takes that works on a study file."""
    parser.add_argument("study", type=Path, metavar="STUDY", help="the study file (TOML)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where runs and report go (default: the study file's name)")
    parser.add_argument("--resume", action="store_true", help="keep finished runs and go on with an unfinished one")


def run(args: argparse.Namespace) -> int:
    """Does the whole study."""
    return from_file(args)


def from_file(args: argparse.Namespace, *, only: str | None = None, report: bool = True) -> int:
    """Reads the study file and carries it out; arguments as of `carry_out`."""
    from holdfast.study import read_plan

    plan = read_plan(args.study)
    text = args.study.read_text(encoding="utf-8")
    return carry_out(plan, args, text=text, out=args.out or Path(args.study.stem), only=only, report=report)


def carry_out(plan: StudyPlan, args: argparse.Namespace, *, text: str, out: Path, only: str | None = None, report: bool = True) -> int:
    """Does a study, draws its progress, and prints what was found.

    Args:
        plan: The study.
        args: With `resume`, `json` and the words of the command.
        text: The study file, kept beside the results.
        out: The folder for runs and report.
        only: The one run to train.
        report: Attack and report; else only train and evaluate.

    Returns:
        3 where an attack contradicted a claim, else 0.
    """
    return told(args, trained(plan, args, text=text, out=out, only=only, report=report))


@dataclass(frozen=True, kw_only=True)
class Told:
    """A study that is to be done and told of.

    Args:
        work: Does it.
        phases: What progress it tells of.
        later: Quantities to print behind epsilon and the scores of the task.
        name: What to call it in a document that holds several; empty for the first.
    """

    work: Callable[[OnProgress], StudyResult]
    phases: Mapping[str, float]
    later: Sequence[str]
    name: str = ""


def trained(plan: StudyPlan, args: argparse.Namespace, *, text: str, out: Path, only: str | None = None, report: bool = True) -> Told:
    """A study of trainings, to be done and told of; arguments as of `carry_out`."""
    from holdfast.study import phases, run_study

    def work(on_progress: OnProgress) -> StudyResult:
        command = shlex.join(args.words)
        return run_study(plan, out, text=text, command=command, resume=args.resume, only=only, report=report, on_progress=on_progress)

    return Told(work=work, phases=phases(plan), later=LATER)


def told(args: argparse.Namespace, *studies: Told) -> int:
    """Does studies one after the other with their progress, and prints what was found; processes that are not the first print nothing.

    Args:
        args: With `json`.
        studies: At least one; with --json the document is that of the first, with those of the others under their names.

    Returns:
        3 where an attack contradicted a claim, else 0.
    """
    if not place().first:
        for study in studies:
            study.work(silent)
        return 0
    results = []
    for study in studies:
        with shown(study.phases) as progress:
            results.append(study.work(progress))
        if not args.json:
            output.lines(*words(results[-1], study.later))
    if args.json:
        first, *others = [document(result) for result in results]
        output.document(first | {study.name: other for study, other in zip(studies[1:], others, strict=True)})
    return CONTRADICTED if any(result.contradicted for result in results) else 0


def document(result: StudyResult) -> dict[str, Any]:
    """What a study left behind, for --json."""
    files = result.report
    places = None if files is None else {name: str(getattr(files, name)) for name in ("html", "evidence_json", "model_card")}
    return {"contradicted": result.contradicted, "report": places, "evidence": result.evidence.to_json()}


def words(result: StudyResult, later: Sequence[str]) -> list[str]:
    """A table with a row for each run, what became of each claim, and the file to open.

    Args:
        result: Of the study.
        later: Quantities to show behind epsilon and the scores of the task.
    """
    found = result.evidence
    names = [record.name for record in result.records]
    measured = [name for name in _columns(found, later) if any(found.estimate(name, run) for run in names)]
    rows = [[run, *(_cell(found.estimate(name, run)) for name in measured)] for run in names]
    lines = [output.table(rows, heads=["run", *(name.replace("_", " ") for name in measured)])]
    lines += [f"{verdict.subject}: {verdict.outcome}. {verdict.reason}" for verdict in found.verdicts]
    return lines if result.report is None else [*lines, f"open {result.report.html}"]


def _columns(found: Evidence, later: Sequence[str]) -> list[str]:
    """Epsilon, the scores of the task in their order, and what comes after them."""
    shares = [one for one in found.estimates if one.direction == "higher is better" and one.unit == "share"]
    scores = [one.name for one in shares if not PARTIAL & one.conditions.keys()]  # what an attack has wrong is no merit of the task
    return list(dict.fromkeys(["epsilon", *scores, *later]))


def _cell(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    interval = estimate.interval
    band = f" [{interval.low:.3g}, {interval.high:.3g}]" if interval is not None and estimate.unit == "share" else ""
    return f"{estimate.value:.3g}{band}"
