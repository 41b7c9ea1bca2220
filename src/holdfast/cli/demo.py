"""`holdfast demo`: the studies that ship with holdfast, on the embedded corpus, without a network."""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path
from typing import Any

from holdfast.cli.federate import federated
from holdfast.cli.frame import Commands, command
from holdfast.cli.run import told, trained

FILES = ("demo.toml", "demo_federated.toml")

_TEXT = """\
Train a small model four ways on a made-up voice assistant's utterances: without
privacy, with eDP-SGD, and with exact DP-SGD at two budgets. Attack each, time each,
and draw the report. Then train across the assistant's users, who stay where they are,
with two ways to choose them, and draw a report of that. Needs no network and about four
minutes on two cores.

  holdfast demo
  holdfast demo --out somewhere/else --resume
"""
FEDERATED = "federated"
"""The folder of the second half, and its name in the document of --json."""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "demo", run=run, help="train, attack and report on the embedded corpus", text=_TEXT)
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="FOLDER", help="where runs and report go (default: demo)")
    parser.add_argument("--resume", action="store_true", help="keep finished runs and go on with an unfinished one")


def run(args: argparse.Namespace) -> int:
    """Does the studies of `demo.toml` and `demo_federated.toml`."""
    from holdfast.study import parse_plan
    from holdfast.study.federation import parse_federated_plan

    first, second = (resources.files("holdfast.study").joinpath(name).read_text(encoding="utf-8") for name in FILES)
    plan = parse_plan(first, origin=FILES[0], folder=Path())
    federation = parse_federated_plan(second, origin=FILES[1], folder=Path())
    return told(
        args,
        trained(plan, args, text=first, out=args.out),
        federated(federation, args, text=second, out=args.out / FEDERATED, name=FEDERATED),
    )
