"""`holdfast fairness weat | stereoset | bbq | predictions`: files scored without a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from holdfast.cli.fairness.asking import add_inference, add_metrics, inference_of, table_of, told
from holdfast.cli.frame import Commands, command
from holdfast.core.errors import InputError

_WEAT_TEXT = """\
Word embedding association tests on a file of vectors: effect size with the joint sample
standard deviation (ddof=1), exact permutation p up to 200,000 partitions.

  holdfast fairness weat --vectors glove.txt --stimuli weat.json --json
"""
_STEREOSET_TEXT = """\
Score published StereoSet predictions without a model: LMS, SS and ICAT, macro over
target terms, with intervals over target terms.

  holdfast fairness stereoset --predictions predictions.json --gold gold.json --json
"""
_BBQ_TEXT = """\
Score BBQ predictions without a model: s_AMB, s_DIS and accuracy by category, with
intervals over question templates.

  holdfast fairness bbq --predictions preds_Age.jsonl --json
"""
_TABLE_TEXT = """\
Compare groups in a table of labels and predictions of any model.

  holdfast fairness predictions table.csv --true label --predicted guess --group dialect --margin 0.05
"""


def add(actions: Commands[Any]) -> None:
    """Describes the arguments of each."""
    weat = command(actions, "weat", run=run_weat, help="association tests on a file of word vectors", text=_WEAT_TEXT)
    weat.add_argument("--vectors", type=Path, required=True, metavar="FILE", help="word vectors as text: GloVe or word2vec")
    weat.add_argument("--stimuli", type=Path, required=True, metavar="FILE", help="word sets (JSON or CSV)")
    weat.add_argument("--test", action="append", metavar="NAME", help="one test of the file; may be repeated (all)")
    weat.add_argument("--metric", choices=["weat", "rnd"], default="weat", help="which measure (default: weat)")
    stereoset = command(actions, "stereoset", run=run_stereoset, help="score StereoSet predictions", text=_STEREOSET_TEXT)
    stereoset.add_argument("--predictions", type=Path, required=True, metavar="FILE", help="sentence id to score (JSON)")
    stereoset.add_argument("--gold", type=Path, required=True, metavar="FILE", help="the sentences with their labels (JSON)")
    bbq = command(actions, "bbq", run=run_bbq, help="score BBQ predictions", text=_BBQ_TEXT)
    bbq.add_argument("--predictions", type=Path, action="append", required=True, metavar="FILE", help="predictions (JSON lines)")
    table = command(actions, "predictions", run=run_predictions, help="compare groups in a table of predictions", text=_TABLE_TEXT)
    table.add_argument("table", type=Path, metavar="FILE", help="a table with a heading (CSV)")
    table.add_argument("--true", required=True, metavar="COLUMN", help="the right label")
    table.add_argument("--predicted", required=True, metavar="COLUMN", help="the predicted label")
    table.add_argument("--unit", metavar="COLUMN", help="rows with the same value hang together, such as those of a user")
    table.add_argument("--score", action="append", default=[], metavar="LABEL=COLUMN", help="the probability of a label")
    add_metrics(table)
    for parser in (weat, stereoset, bbq):
        add_inference(parser)


def run_weat(args: argparse.Namespace) -> int:
    """Association tests on a file."""
    from holdfast.study.fairness import commands

    return told(args, commands.of_vectors(args.vectors, args.stimuli, tests=args.test, metric=args.metric, inference=inference_of(args)))


def run_stereoset(args: argparse.Namespace) -> int:
    """Published StereoSet predictions."""
    from holdfast.study.fairness import commands

    return told(args, commands.of_stereoset(args.predictions, args.gold, inference=inference_of(args)))


def run_bbq(args: argparse.Namespace) -> int:
    """Published BBQ predictions."""
    from holdfast.study.fairness import commands

    return told(args, commands.of_bbq(args.predictions, inference=inference_of(args)))


def run_predictions(args: argparse.Namespace) -> int:
    """A table of predictions of any model."""
    from holdfast.study.fairness import commands

    scores: dict[str, str] = {}
    for text in args.score:
        label, equals, column = text.rpartition("=")
        if not (equals and column) or label in scores:
            fault = "names a label twice" if equals and column else "is not of the form LABEL=COLUMN, such as yes=p_yes"
            raise InputError(f"--score {text!r} {fault}")
        scores[label] = column
    found = commands.of_table(args.table, table_of(args), true=args.true, predicted=args.predicted, unit=args.unit, scores=scores)
    return told(args, found)
