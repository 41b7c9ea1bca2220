"""What the parts of `holdfast fairness` share: the options that say what is asked for, and how it is printed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from holdfast.cli.frame import Parser
from holdfast.cli.terminal import groups, output

if TYPE_CHECKING:
    from holdfast.core.evidence import Evidence
    from holdfast.study.fairness import FairnessTable, Inference

_INFERENCE = ("margin", "level", "replicates", "permutations", "seed")


def add_metrics(parser: Parser) -> None:
    """Adds what says which metrics and groups."""
    parser.add_argument("--metric", action="append", metavar="NAME", help="a metric by name or path; may be repeated (those of decisions)")
    parser.add_argument("--set", action="append", default=[], metavar="METRIC.OPTION=VALUE", help="an option of a metric; may be repeated")
    parser.add_argument("--group", action="append", metavar="NAME", help="an attribute to compare; may be repeated (all of the data)")
    parser.add_argument("--separator", metavar="TEXT", help="what stands between several groups of one row")
    parser.add_argument("--no-group", action="append", default=[], metavar="VALUE", help="a value that is no group; may be repeated")
    parser.add_argument("--positive", action="append", default=[], metavar="LABEL", help="a label that counts as positive; may be repeated")
    add_inference(parser)


def add_inference(parser: Parser) -> None:
    """Adds what says how sure the answers must be."""
    parser.add_argument("--margin", type=float, metavar="X", help="differences up to X are fair enough; no verdict without it")
    parser.add_argument("--level", type=float, default=0.95, metavar="X", help="coverage of intervals (default: 0.95)")
    parser.add_argument("--replicates", type=int, default=1000, metavar="N", help="of the bootstrap (default: 1000)")
    parser.add_argument("--permutations", type=int, default=10_000, metavar="N", help="drawn where too many to go through (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of replicates, permutations and generated text (default: 0)")


def table_of(args: argparse.Namespace) -> FairnessTable:
    """What the arguments ask for."""
    from holdfast.study.fairness import FairnessTable, commands

    said = {key: getattr(args, key) for key in _INFERENCE} | {"part": getattr(args, "part", "test"), "separator": args.separator}
    lists = {"groups": args.group or (), "no_group": args.no_group, "positive": args.positive}
    inference_of(args)  # bounds are looked at before any model is opened
    table = FairnessTable(**said, **{key: tuple(value) for key, value in lists.items()})
    return commands.asked(table, args.metric, args.set)


def inference_of(args: argparse.Namespace) -> Inference:
    """How intervals and tests are made."""
    from holdfast.study.fairness import Inference

    return Inference(**{key: getattr(args, key) for key in _INFERENCE})


def told(args: argparse.Namespace, evidence: Evidence, *later: str) -> int:
    """Prints what was found."""
    if args.json:
        output.document({"evidence": evidence.to_json()})
    else:
        output.lines(*groups.words(evidence), *later)
    return 0
