"""`holdfast federate`: simulates every run of a federated study, and draws the report."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.run import Told, add_study, told
from holdfast.core.progress import OnProgress

if TYPE_CHECKING:
    from holdfast.study import StudyResult
    from holdfast.study.federation import FederatedPlan

_TEXT = """\
Train a model across simulated clients as a study file asks: who is drawn in each round
and how much each counts, once on all data or period by period, by any algorithm. Each
run ends with scores by client, from the lightest to the most active, and the report shows
the runs side by side. Runs that were interrupted go on at their round with --resume.
Started by torchrun, several processes share the clients of each round.

  holdfast federate study.toml
  holdfast federate study.toml --out results --resume
"""
COLUMNS = ("perplexity", "participation_gini", "prequential_score", "forgetting", "bytes_up_per_client", "round_seconds")


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    parser = command(commands, "federate", run=run, help="train across simulated clients as a study file asks", text=_TEXT)
    add_study(parser)


def run(args: argparse.Namespace) -> int:
    """Simulates every run and draws the report."""
    from holdfast.study.federation import read_federated_plan

    plan = read_federated_plan(args.study)
    text = args.study.read_text(encoding="utf-8")
    return told(args, federated(plan, args, text=text, out=args.out or Path(args.study.stem)))


def federated(plan: FederatedPlan, args: argparse.Namespace, *, text: str, out: Path, name: str = "") -> Told:
    """A federated study, to be done and told of.

    Args:
        plan: The study.
        args: With `resume` and the words of the command.
        text: The study file, kept beside the results.
        out: The folder for runs and report.
        name: What to call it beside others.
    """
    from holdfast.study.federation import federated_phases, run_federated

    def work(on_progress: OnProgress) -> StudyResult:
        return run_federated(plan, out, text=text, command=shlex.join(args.words), resume=args.resume, on_progress=on_progress)

    return Told(work=work, phases=federated_phases(plan), later=COLUMNS, name=name)
