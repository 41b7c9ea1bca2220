"""`holdfast fairness`: how a run or a language model treats groups, and scores of published predictions without a model."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, Parser, command
from holdfast.cli.terminal import groups, output
from holdfast.cli.terminal.progress import shown

if TYPE_CHECKING:
    from holdfast.core.evidence import Evidence
    from holdfast.fairness.inference import Inference
    from holdfast.study.fairness import FairnessTable

_INFERENCE = ("margin", "level", "replicates", "permutations", "seed")

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
    _asked(parser)
    _add_files(actions)
    told = command(actions, "metrics", run=run_metrics, help="every metric with its card", text="List every metric and what it looks at.\n")
    told.add_argument("--name", metavar="METRIC", help="the whole card of one")


def _add_files(actions: Commands[Any]) -> None:
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
    _asked(table)
    for parser in (weat, stereoset, bbq):
        _add_inference(parser)


def _asked(parser: Parser) -> None:
    parser.add_argument("--metric", action="append", metavar="NAME", help="a metric by name or path; may be repeated (those of decisions)")
    parser.add_argument("--set", action="append", default=[], metavar="METRIC.OPTION=VALUE", help="an option of a metric; may be repeated")
    parser.add_argument("--group", action="append", metavar="NAME", help="an attribute to compare; may be repeated (all of the data)")
    parser.add_argument("--separator", metavar="TEXT", help="what stands between several groups of one row")
    parser.add_argument("--no-group", action="append", default=[], metavar="VALUE", help="a value that is no group; may be repeated")
    parser.add_argument("--positive", action="append", default=[], metavar="LABEL", help="a label that counts as positive; may be repeated")
    _add_inference(parser)


def _add_inference(parser: Parser) -> None:
    parser.add_argument("--margin", type=float, metavar="X", help="differences up to X are fair enough; no verdict without it")
    parser.add_argument("--level", type=float, default=0.95, metavar="X", help="coverage of intervals (default: 0.95)")
    parser.add_argument("--replicates", type=int, default=1000, metavar="N", help="of the bootstrap (default: 1000)")
    parser.add_argument("--permutations", type=int, default=10_000, metavar="N", help="drawn where too many to go through (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of replicates, permutations and generated text (default: 0)")


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


def run(args: argparse.Namespace) -> int:
    """Measures a run or a model."""
    from holdfast.study.fairness import commands

    with shown({"data": 1.0, "fairness": 10.0}) as progress:
        found = commands.measure_named(
            args.model,
            _table(args),
            source=args.data,
            out=args.out,
            command=shlex.join(["holdfast", "fairness", args.model]),
            on_progress=progress,
        )
    later = [f"draw the page: holdfast report {found.folder}"] if found.folder is not None else []
    return _shown(args, found.evidence, *later)


def run_weat(args: argparse.Namespace) -> int:
    """Association tests on a file."""
    from holdfast.study.fairness import commands

    return _shown(args, commands.of_vectors(args.vectors, args.stimuli, tests=args.test, metric=args.metric, inference=_inference(args)))


def run_stereoset(args: argparse.Namespace) -> int:
    """Published StereoSet predictions."""
    from holdfast.study.fairness import commands

    return _shown(args, commands.of_stereoset(args.predictions, args.gold, inference=_inference(args)))


def run_bbq(args: argparse.Namespace) -> int:
    """Published BBQ predictions."""
    from holdfast.study.fairness import commands

    return _shown(args, commands.of_bbq(args.predictions, inference=_inference(args)))


def run_predictions(args: argparse.Namespace) -> int:
    """A table of predictions of any model."""
    from holdfast.study.fairness import commands

    scores = dict(text.rpartition("=")[::2] for text in args.score)
    found = commands.of_table(args.table, _table(args), true=args.true, predicted=args.predicted, unit=args.unit, scores=scores)
    return _shown(args, found)


def run_metrics(args: argparse.Namespace) -> int:
    """Every metric, or the card of one."""
    from holdfast.study.fairness import commands

    cards = commands.cards(args.name)
    if args.json:
        output.document({"metrics": cards})
    else:
        output.lines(*(groups.card(cards[0]) if args.name else [groups.listing(cards)]))
    return 0


def _table(args: argparse.Namespace) -> FairnessTable:
    from holdfast.study.fairness import FairnessTable, commands

    said = {key: getattr(args, key) for key in _INFERENCE} | {"part": getattr(args, "part", "test"), "separator": args.separator}
    lists = {"groups": args.group or (), "no_group": args.no_group, "positive": args.positive}
    _inference(args)  # bounds are looked at before any model is opened
    table = FairnessTable(**said, **{key: tuple(value) for key, value in lists.items()})
    return commands.asked(table, args.metric, args.set)


def _inference(args: argparse.Namespace) -> Inference:
    from holdfast.fairness.inference import Inference

    return Inference(**{key: getattr(args, key) for key in _INFERENCE})


def _shown(args: argparse.Namespace, evidence: Evidence, *later: str) -> int:
    if args.json:
        output.document({"evidence": evidence.to_json()})
    else:
        output.lines(*groups.words(evidence), *later)
    return 0
