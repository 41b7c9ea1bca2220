"""`holdfast report`: draws the report of stored runs again, without a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.terminal import output

if TYPE_CHECKING:
    from holdfast.runs import RunRecord

_TEXT = """\
Draw the report of stored runs, side by side. Nothing is trained or measured:
the page is a pure function of the records, so the same records give the same
bytes. evidence.json and model_card.md are written beside the page.

  holdfast report runs/20261122-170455-dp-sgd --out trust.html
  holdfast report runs/*-non-private runs/*-dp-sgd --title "With and without noise"
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "report", run=run, help="draw the report of one or more stored runs", text=_TEXT)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, or its id in the folder `runs`")
    parser.add_argument("--out", type=Path, default=Path("trust.html"), metavar="FILE", help="the page to write (default: trust.html)")
    parser.add_argument("--title", metavar="TEXT", help="the heading of the page")


def run(args: argparse.Namespace) -> int:
    """Reads the records and writes the three files."""
    from holdfast.report import write_report

    records = [_record(path) for path in args.runs]
    files = write_report(args.out, *records) if args.title is None else write_report(args.out, *records, title=args.title)
    if args.json:
        output.document({"html": str(files.html), "evidence_json": str(files.evidence_json), "model_card": str(files.model_card)})
    else:
        output.lines(f"open {files.html}")
    return 0


def _record(path: Path) -> RunRecord:
    """Reads a run by its path, or by its id in the folder `runs`."""
    from holdfast.runs import RunStore

    store = RunStore() if path.parent == Path() else RunStore(path.parent)
    return store.open(path.name).read()
