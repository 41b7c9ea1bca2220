"""`holdfast data show`: what a data source holds, before anything is trained on it."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.terminal import output
from holdfast.core.errors import InputError, nearest

if TYPE_CHECKING:
    from holdfast.data import Columns, Example

_TEXT = """\
Show what a data source holds: sizes, labels, tags, users, groups, the content
hash, and a few examples. User ids are shown as hashes only. What an example
answers stands before it, and an arrow between the two.

sources:
  assistant                the embedded corpus; options as assistant:train=600
  snips:FOLDER             folders with seq.in, seq.out and label
  jsonl:PATH, csv:PATH     a file, or a folder with train, validation, test
  conll:PATH               a token and its tag a line
  irc:PATH                 logs of an IRC channel, a folder or an archive; no nicks
  multidogo:FOLDER         MultiDoGO, one domain or all: intents, slots, users
  hatexplain:FOLDER        HateXplain: labels by majority, whom a post targets
  madlibs:FOLDER           sentences with identity terms, toxic or not
  lines:PATH               plain text for language models, a line an example
  hub:OWNER/NAME           a Hugging Face data set, or a local folder of one

  holdfast data show assistant
  holdfast data show assistant:train=600 --examples 10 --json
  holdfast data show csv:calls.csv --column text=utterance --column group=region
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    data = commands.add_parser("data", help="look at a data source", description="Look at a data source.")
    actions = data.add_subparsers(metavar="ACTION", dest="action", required=True)
    parser = command(actions, "show", run=run, help="sizes, labels, users, groups, hash, a few examples", text=_TEXT)
    parser.add_argument("source", metavar="SOURCE", help="the data source")
    parser.add_argument("--examples", type=int, default=3, metavar="N", help="how many training examples to show (default: 3)")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="KIND=FIELD",
        help="which field holds text, tokens, label, tags, user_id, timestamp, context or a group (jsonl, csv, hub); may be repeated",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of generated data and of random splits (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Loads the source and describes it."""
    from holdfast.data import load_data

    if args.examples < 0:
        raise InputError(f"--examples is {args.examples}; give 0 or more")
    data = load_data(args.source, seed=args.seed, columns=_columns(args.column))
    summary = data.summary()
    examples = list(islice(data.train, args.examples))
    if args.json:
        output.document({"source": args.source, **summary, "examples": [_plain(example, data.name) for example in examples]})
    else:
        output.lines(f"{data.name}, content {summary['content_hash']}", "", _sizes(summary["splits"]), *_values(summary["splits"]["train"]))
        output.lines("", *(_words(example, data.name) for example in examples))
    return 0


def _columns(given: Sequence[str]) -> Columns | None:
    """Reads ``["text=utterance", "group=region"]``; nothing given means the usual names."""
    from holdfast.data import Columns

    kinds = ("text", "tokens", "label", "tags", "user_id", "timestamp", "context", "group")
    fields: dict[str, str] = {}
    groups: list[str] = []
    for pair in given:
        kind, equals, field = pair.partition("=")
        if kind not in kinds or not equals or not field:
            raise InputError(f"--column {pair!r}: give KIND=FIELD, such as text=utterance; {nearest(kind, kinds)}")
        if kind == "group":
            groups.append(field)
        else:
            fields[kind] = field
    return Columns(**fields, groups=groups) if given else None


def _hashed(user_id: str, name: str) -> str:
    """A short hash that tells users of one data set apart and says nothing else about them."""
    return hashlib.sha256(f"{name}/{user_id}".encode()).hexdigest()[:12]


def _plain(example: Example, name: str) -> dict[str, Any]:
    return {
        "tokens": list(example.tokens),
        "context": None if example.context is None else list(example.context),
        "label": example.label,
        "tags": None if example.tags is None else list(example.tags),
        "user": None if example.user_id is None else _hashed(example.user_id, name),
        "timestamp": None if example.timestamp is None else example.timestamp.isoformat(),
        "groups": dict(example.groups),
    }


def _words(example: Example, name: str) -> str:
    tags = example.tags or ("O",) * len(example.tokens)
    text = " ".join(token if tag == "O" else f"{token}/{tag}" for token, tag in zip(example.tokens, tags, strict=True))
    if example.context:
        text = f"{' '.join(example.context)} -> {text}"
    user = [] if example.user_id is None else [f"user {_hashed(example.user_id, name)}"]
    when = [] if example.timestamp is None else [f"{example.timestamp:%Y-%m-%d %H:%M}"]
    return "  ".join([text, *([f"[{example.label}]"] if example.label else []), *user, *when])


def _sizes(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each part; a column that no part has is left out."""
    columns = {"part": list(splits)}
    for key in ("examples", "tokens", "labels", "tags", "users", "from", "to"):
        if any(key in found for found in splits.values()):
            columns[key] = [_cell(found.get(key, "-")) for found in splits.values()]
    return output.table(list(zip(*columns.values(), strict=True)), heads=list(columns))


def _cell(value: int | str | Mapping[str, int]) -> str:
    """A count, the number of different values, or the day of a time."""
    if isinstance(value, str):
        return value[:10]
    return f"{value if isinstance(value, int) else len(value):,}"


def _values(train: Mapping[str, Any]) -> list[str]:
    """The labels, tags and groups of the training part with their counts, the most frequent first."""
    named = {key: train[key] for key in ("labels", "tags") if key in train}
    named |= {f"group {name}": values for name, values in train.get("groups", {}).items()}
    lines = []
    for name, counts in named.items():
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        lines += ["", f"{name}: " + ", ".join(f"{value} {count:,}" for value, count in ranked)]
    return lines
