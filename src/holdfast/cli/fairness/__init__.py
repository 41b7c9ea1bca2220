"""`holdfast fairness`: how a run or a language model treats groups, and scores of published predictions without a model."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from holdfast.cli.fairness import files
from holdfast.cli.fairness.asking import add_metrics, table_of, told
from holdfast.cli.frame import Commands, command
from holdfast.cli.terminal import groups, output
from holdfast.cli.terminal.progress import shown

_TEXT = """\
Measure how a model treats groups: each number with an interval that holds, the name
of its variant, and a test that is one. RUN is a finished run: what is found goes into
its record, so `holdfast report` shows it. MODEL is a language model of transformers,
hub:NAME or a folder; nothing of it is run but its own architecture.

  holdfast fairness study/runs/dp-sgd --group dialect
  holdfast fairness study/runs/dp-sgd --metric equal-opportunity --group dialect --margin 0.05
  holdfast fairness study/runs/lm --metric stereoset --set stereoset.data=stereoset.csv
  holdfast fairness hub:bert-base-uncased --metric crows-pairs-nangia --set crows-pairs-nangia.data=crows.csv
  holdfast fairness weat --vectors glove.txt --stimuli weat.json --json
  holdfast fairness stereoset --predictions predictions.json --gold gold.json --json
  holdfast fairness bbq --predictions preds_Age.jsonl --json
  holdfast fairness predictions table.csv --true label --predicted guess --group dialect
  holdfast fairness metrics
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    fairness = commands.add_parser(
        "fairness",
        help="measure how a model treats groups",
        description=_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = fairness.add_subparsers(metavar="RUN|MODEL|weat|stereoset|bbq|predictions|metrics", dest="action", required=True)
    parser = command(actions, "run", run=run, help="measure a run or a language model", text=_TEXT)
    parser.add_argument("model", metavar="RUN|MODEL", help="a run's folder or id, hub:NAME, or a folder of a transformers model")
    parser.add_argument("--data", metavar="SOURCE", help="where the data are (default: what the record says)")
    parser.add_argument("--part", choices=["train", "validation", "test"], default="test", help="part of the data (default: test)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for a MODEL: keep what is found as a run that `report` can draw")
    parser.add_argument("--download", action="store_true", help="for a MODEL: fetch hub:NAME where the local cache has it not")
    parser.add_argument("--device", metavar="NAME", help="for a MODEL: where to put it, such as cuda (default: cpu)")
    add_metrics(parser)
    files.add(actions)
    listed = command(
        actions, "metrics", run=run_metrics, help="every metric with its card", text="List every metric and what it looks at.\n"
    )
    listed.add_argument("--name", metavar="METRIC", help="the whole card of one")


def run(args: argparse.Namespace) -> int:
    """Measures a run or a model."""
    from holdfast.study.fairness import commands

    with shown({"data": 1.0, "fairness": 10.0}) as progress:
        found = commands.measure_named(
            args.model,
            table_of(args),
            source=args.data,
            out=args.out,
            device=args.device,
            download=args.download,
            command=shlex.join(["holdfast", "fairness", args.model]),
            on_progress=progress,
        )
    for text in found.replaced:
        output.warn(text)
    later = [f"draw the page: holdfast report {found.folder}"] if found.folder is not None else []
    return told(args, found.evidence, *later)


def run_metrics(args: argparse.Namespace) -> int:
    """Every metric, or the card of one."""
    from holdfast.study.fairness import commands

    cards = commands.cards(args.name)
    if args.json:
        output.document({"metrics": cards})
    else:
        output.lines(groups.card(cards[0]) if args.name else groups.listing(cards))
    return 0
