"""`holdfast runs`: lists the stored runs of a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.terminal import output
from holdfast.core.errors import InputError

if TYPE_CHECKING:
    from holdfast.runs import RunRecord

MAIN_SCORES = ("intent_accuracy", "accuracy", "reply_auc", "perplexity", "next_word_accuracy", "tag_accuracy")
"""What a run is first judged by, in this order."""

_TEXT = """\
List the runs that a folder holds: name, status, claimed epsilon and main score.
A run without a claim has no epsilon; a private run that did not reach its end has
the most that it may have spent, by the ledger that is written before each step.

  holdfast runs
  holdfast runs demo/runs --json
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "runs", run=run, help="list the stored runs with their epsilon and main score", text=_TEXT)
    parser.add_argument("store", nargs="?", type=Path, default=Path("runs"), metavar="FOLDER", help="the folder of runs (default: runs)")


def run(args: argparse.Namespace) -> int:
    """Prints a line for each run, the oldest first; a run that cannot be read is named on standard error."""
    from holdfast.runs import RunStore

    if not args.store.is_dir():
        raise InputError(f"{args.store} is not a folder; give the folder of runs, such as the `runs` beside a report")
    listing = RunStore(args.store).scan()
    rows = [_row(args.store / name, record) for name, record in listing.runs]
    if args.json:
        damaged = [{"run": name, "reason": reason} for name, reason in listing.damaged]
        output.document({"store": str(args.store), "runs": rows, "damaged": damaged})
        return 0
    for name, reason in listing.damaged:
        output.warn(f"run {name} is left out: {reason}")
    if rows:
        output.lines(output.table([_cells(row) for row in rows], heads=["run", "status", "epsilon", "main score", "created"]))
    else:
        output.lines(f"no runs in {args.store}")
    return 0


def _row(path: Path, record: RunRecord) -> dict[str, Any]:
    claim = next(iter(record.evidence.claims), None)
    spent = None if claim is not None or record.status == "finished" else _spent(path)
    scores = (record.evidence.estimate(score) for score in MAIN_SCORES)
    score = next((score for score in scores if score is not None), None)
    return {
        "run": path.name,
        "status": record.status,
        "created": record.created,
        "epsilon": None if claim is None else claim.epsilon,
        "delta": None if claim is None else claim.delta,
        "spent_at_most": spent,
        "score": None if score is None else {"name": score.name, "value": score.value},
    }


def _spent(path: Path) -> dict[str, float] | None:
    if not (path / "checkpoints").is_dir():
        return None
    from holdfast.runs import RunFolder
    from holdfast.study import spent_at_most

    return spent_at_most(RunFolder(path))


def _cells(row: dict[str, Any]) -> list[str]:
    epsilon = "-" if row["epsilon"] is None else f"{row['epsilon']:.3g}"
    if row["spent_at_most"] is not None:
        epsilon = f"<= {row['spent_at_most']['epsilon']:.3g}"
    score = row["score"]
    figure = "-" if score is None or score["value"] is None else f"{score['name']} {score['value']:.3f}"
    return [row["run"], row["status"], epsilon, figure, row["created"]]
