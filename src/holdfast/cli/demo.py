"""`holdfast demo`: the study that ships with holdfast, on the embedded corpus, without a network."""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path
from typing import Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.run import carry_out

_TEXT = """\
Train a small model four ways on a made-up voice assistant's utterances: without
privacy, with eDP-SGD, and with exact DP-SGD at two budgets. Attack each, time each,
and draw the report. Needs no network and about four minutes on two cores.

  holdfast demo
  holdfast demo --out somewhere/else --resume
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "demo", run=run, help="train, attack and report on the embedded corpus", text=_TEXT)
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="FOLDER", help="where runs and report go (default: demo)")
    parser.add_argument("--resume", action="store_true", help="keep finished runs and go on with an unfinished one")


def run(args: argparse.Namespace) -> int:
    """Does the study of `demo.toml`."""
    from holdfast.study import parse_plan

    text = resources.files("holdfast.study").joinpath("demo.toml").read_text(encoding="utf-8")
    return carry_out(parse_plan(text, origin="demo.toml", folder=Path()), args, text=text, out=args.out)
