"""`holdfast train`: trains runs of a study file and evaluates them, without attacks and without a report."""

from __future__ import annotations

import argparse
from typing import Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.run import add_study, from_file

_TEXT = """\
Train the runs of a study file, or one of them, and evaluate them on the test set.
Started by torchrun (torchrun --nproc-per-node=2 -m holdfast train study.toml),
several processes share the work of each step, and the result is the same.
`holdfast run --resume` with the same folder adds the attacks and the report later.

  holdfast train study.toml --run dp-sgd
  holdfast train study.toml --run dp-sgd --resume
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "train", run=run, help="train one run of a study file, or all of them", text=_TEXT)
    add_study(parser)
    parser.add_argument("--run", dest="only", metavar="NAME", help="the run to train (default: all of them)")


def run(args: argparse.Namespace) -> int:
    """Trains and evaluates."""
    return from_file(args, only=args.only, report=False)
