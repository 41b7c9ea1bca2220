"""`holdfast reproduce`: does a study of a published question again, over levels of noise and seeds."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.run import CONTRADICTED
from holdfast.cli.terminal import output
from holdfast.cli.terminal.progress import shown
from holdfast.core.processes import place

if TYPE_CHECKING:
    from holdfast.core.evidence import Estimate
    from holdfast.study.reproductions import Reproduction, Work

_TEXT = """\
edp-sgd: what do promises of privacy have to do with what an attack finds? Trains a
small model with eDP-SGD, with exact DP-SGD and without privacy, over levels of noise
and several seeds, attacks every one, and draws promised against measured privacy,
with their rank correlation and its interval. After Dupuy et al. (arXiv 2107.14586);
their tables were not at hand, so this is no reproduction of their figures.

  holdfast reproduce edp-sgd --quick
  holdfast reproduce edp-sgd --out somewhere/else --resume
  holdfast reproduce edp-sgd --data snips:FOLDER
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "reproduce", run=run, help="do a study of a published question again", text=_TEXT)
    parser.add_argument("study", metavar="STUDY", help="which study: edp-sgd")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where runs and report go (default: the study's name)")
    parser.add_argument("--quick", action="store_true", help="fewer levels and a smaller model: within three minutes on two cores")
    parser.add_argument("--resume", action="store_true", help="keep finished runs and go on with an unfinished one")
    parser.add_argument("--data", metavar="SOURCE", help="data with intents and slots, such as snips:FOLDER (default: embedded ones)")


def run(args: argparse.Namespace) -> int:
    """Says what is to be done, does it, and prints what was found."""
    from holdfast.study import phases, run_study
    from holdfast.study.reproductions import grid_of, reproduce, work_of

    grid = grid_of(args.study, quick=args.quick, source=args.data)
    out = args.out or Path(args.study)
    if not place().first:
        run_study(grid.plan, out, resume=args.resume, page=False)
        return 0
    sys.stderr.write(_beforehand(work_of(grid, out)) + "\n")
    with shown(phases(grid.plan)) as progress:
        found = reproduce(grid, out, command=shlex.join(args.words), resume=args.resume, on_progress=progress)
    if args.json:
        output.document(_document(found))
    else:
        output.lines(*_words(found))
    return CONTRADICTED if found.contradicted else 0


def _beforehand(work: Work) -> str:
    """How many trainings, and about how long."""
    if work.finished == work.trainings:
        return f"{work.trainings} trainings, all of them done; what is left is to draw the page"
    minutes = max(1, round(work.seconds / 60))
    takes = f"about {minutes} minute{'s' if minutes > 1 else ''} where no other program wants the core"
    return f"{work.trainings} trainings" + (f", {work.finished} of them done; the rest takes {takes}" if work.finished else f", {takes}")


def _document(found: Reproduction) -> dict[str, Any]:
    files = {name: str(getattr(found.files, name)) for name in ("html", "evidence_json", "table")}
    return {"contradicted": found.contradicted, "report": files, "evidence": found.summary.to_json()}


def _words(found: Reproduction) -> list[str]:
    """A row for each cell, what the numbers say, what they do not, and the file to open."""
    from holdfast.report.reproductions import STATEMENT, cells, readings

    summary = found.summary
    rows = [[one.subject, *(_cell(summary.estimate(name, one.subject)) for name in _COLUMNS)] for one in cells(summary)]
    lines = [output.table(rows, heads=["cell", *_COLUMNS.values()]), ""]
    lines += [f"{one.lead} {one.text}" for one in readings(summary)]
    broken = [verdict for record in found.records for verdict in record.evidence.verdicts if verdict.outcome == "contradicted"]
    lines += [f"{verdict.subject}: {verdict.outcome}. {verdict.reason}" for verdict in broken]
    return [*lines, "", STATEMENT, f"open {found.files.html}"]


_COLUMNS = {
    "epsilon": "epsilon",
    "epsilon_naive": "naive (unproved)",
    "membership_auc": "AUC",
    "membership_advantage": "advantage",
    "intent_accuracy": "intent accuracy",
    "seconds_per_epoch": "s/epoch",
    "seconds_per_epoch_ratio": "x non-private",
}


def _cell(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    interval = estimate.interval
    band = f" [{interval.low:.3f}, {interval.high:.3f}]" if interval is not None and estimate.name == "membership_auc" else ""
    return f"{estimate.value:.3g}{band}"
