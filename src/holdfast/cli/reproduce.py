"""`holdfast reproduce`: does a study of a published question again, over a grid of settings and seeds."""

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
    from holdfast.report.reproductions import Presentation
    from holdfast.study.reproductions import Reproduction, Work

_TEXT = """\
edp-sgd: what do promises of privacy have to do with what an attack finds? Trains a
small model with eDP-SGD, with exact DP-SGD and without privacy, over levels of noise
and several seeds, attacks every one, and draws promised against measured privacy,
with their rank correlation and its interval. After Dupuy et al. (arXiv 2107.14586);
their tables were not at hand, so this is no reproduction of their figures.

canary-extraction: does an attacker complete planted secrets, and does a combination of
defences remove the risk? Plants secrets in the training data, trains with dropout, early
stopping, character embeddings, these together and DP-SGD over several seeds, searches for
the secrets, and holds what accuracy says against their exposure. After Parikh et al.
(arXiv 2203.13920), likewise without their tables.

client-selection: does drawing clients by how much data they have help, when, and whom does
it hurt? Trains across simulated clients with several strategies of selection and weights
of aggregation, once on all data and once period by period, and compares each with uniform
selection in pairs, for light and heavy users apart. After Dupuy et al. (arXiv 2202.03925),
likewise without their tables.

  holdfast reproduce edp-sgd --quick
  holdfast reproduce edp-sgd --out somewhere/else --resume
  holdfast reproduce canary-extraction --quick
  holdfast reproduce canary-extraction --data snips:FOLDER
  holdfast reproduce client-selection --jobs 2
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "reproduce", run=run, help="do a study of a published question again", text=_TEXT)
    parser.add_argument("study", metavar="STUDY", help="which study: edp-sgd, canary-extraction, or client-selection")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where runs and report go (default: the study's name)")
    parser.add_argument("--quick", action="store_true", help="a smaller grid and model: on two cores within three minutes (edp-sgd) or ten")
    parser.add_argument("--resume", action="store_true", help="keep finished runs and go on with an unfinished one")
    parser.add_argument("--jobs", type=int, metavar="N", help="runs to train at once (default: one for each core; one for edp-sgd)")
    parser.add_argument("--data", metavar="SOURCE", help="other data, such as snips:FOLDER (default: the embedded corpus)")


def run(args: argparse.Namespace) -> int:
    """Says what is to be done, does it, and prints what was found."""
    from holdfast.study.reproductions import grid_of, reproduce, work_of

    grid = grid_of(args.study, quick=args.quick, source=args.data)
    out = args.out or Path(args.study)
    if not place().first:
        grid.study.kind.carry_out(grid.plan, out, resume=args.resume, page=False)
        return 0
    jobs = grid.study.jobs if args.jobs is None else args.jobs
    if place().size > 1:
        jobs = 1  # the processes of torchrun share every single training already
    sys.stderr.write(_beforehand(work_of(grid, out), jobs=jobs) + "\n")
    with shown(grid.study.kind.phases(grid.plan)) as progress:
        found = reproduce(grid, out, command=shlex.join(args.words), resume=args.resume, jobs=jobs, on_progress=progress)
    if args.json:
        output.document(_document(found))
    else:
        output.lines(*_words(found, grid.study.presentation))
    return CONTRADICTED if found.contradicted else 0


def _beforehand(work: Work, *, jobs: int) -> str:
    """How many trainings, and about how long."""
    if work.finished == work.trainings:
        return f"{work.trainings} trainings, all of them done; what is left is to draw the page"
    minutes = max(1, round(work.seconds / max(1, jobs) / 60))
    at_once = f", {jobs} at a time" if jobs > 1 else ""
    takes = f"about {minutes} minute{'s' if minutes > 1 else ''}{at_once}, where no other program wants the cores"
    return f"{work.trainings} trainings" + (f", {work.finished} of them done; the rest takes {takes}" if work.finished else f", {takes}")


def _document(found: Reproduction) -> dict[str, Any]:
    files = {name: str(getattr(found.files, name)) for name in ("html", "evidence_json", "table")}
    return {"contradicted": found.contradicted, "report": files, "evidence": found.summary.to_json()}


def _words(found: Reproduction, shown: Presentation) -> list[str]:
    """A row for each cell, what the numbers say, what they do not, and the file to open."""
    summary = found.summary
    lines = [output.table(shown.printed_cells(summary), heads=["cell", *shown.columns.values()]), ""]
    cells = {row.subject for row in shown.printed(summary)}  # what is said of single cells is for the page
    lines += [f"{one.lead} {one.text}" for one in shown.readings(summary) if one.lead.rstrip(":") not in cells]
    broken = [verdict for record in found.records for verdict in record.evidence.verdicts if verdict.outcome == "contradicted"]
    lines += [f"{verdict.subject}: {verdict.outcome}. {verdict.reason}" for verdict in broken]
    return [*lines, "", shown.statement, f"open {found.files.html}"]
