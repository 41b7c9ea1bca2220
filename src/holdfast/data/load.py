"""One door to all data: a source in a string, three splits back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.data.assistant import AssistantSettings, generate
from holdfast.data.benchmarks.hatexplain import Labels, read_hatexplain
from holdfast.data.benchmarks.madlibs import read_madlibs, split_by_template
from holdfast.data.benchmarks.texts import Texts, read_texts
from holdfast.data.columns import CONTEXT, GROUP, TIMESTAMP, USER_ID
from holdfast.data.conversations import Replies, read_irc, read_multidogo, replies
from holdfast.data.conversations.multidogo import Intents
from holdfast.data.dataset import Dataset, DataSplits
from holdfast.data.files import read_conll, read_csv, read_jsonl
from holdfast.data.folders import part_files, read_snips, snips_folders, whole_files
from holdfast.data.hub import read_hub
from holdfast.data.records import BadRows, Columns, hash_users

_OPTIONS = {
    "assistant": (),
    "snips": ("name", "bad_rows", "rows"),
    "jsonl": ("name", "columns", "fractions", "bad_rows", "rows", "parts", "file_as"),
    "csv": ("name", "columns", "fractions", "delimiter", "bad_rows", "rows", "parts", "file_as"),
    "conll": ("name", "fractions", "bad_rows", "rows", "parts", "file_as"),
    "hub": ("name", "columns", "fractions", "config", "rows"),
    "irc": ("name", "fractions", "bad_rows", "rows", "parts", "leave_out", "pairs"),
    "multidogo": ("name", "fractions", "bad_rows", "rows", "parts", "intents"),
    "hatexplain": ("name", "rows", "labels", "least_annotators"),
    "madlibs": ("name", "fractions", "rows"),
    "lines": ("name", "fractions", "rows", "parts", "texts", "most_words", "lower"),
}
SOURCES = tuple(_OPTIONS)
_PARTS = ("train", "validation", "test")

Parts = Literal["files", "random"]

S = TypeVar("S", "Columns", "Fractions", "Replies")


@dataclass(frozen=True, kw_only=True)
class Fractions:
    """How a body of data that comes in one piece is cut.

    Args:
        train: Share to fit on, in (0, 1).
        validation: Share to choose on, in (0, 1).
        test: Share to report on, in (0, 1). The three sum to 1.
    """

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if not all(isinstance(share, (int, float)) and 0 < share < 1 for share in shares) or abs(sum(shares) - 1) > 1e-9:
            raise InputError(f"fractions {shares}: give three shares in (0, 1) that sum to 1")


def load_data(
    source: str,
    *,
    seed: int = 0,
    name: str | None = None,
    columns: Columns | Mapping[str, Any] | None = None,
    fractions: Fractions | Mapping[str, Any] | None = None,
    delimiter: str | None = None,
    config: str | None = None,
    bad_rows: BadRows = "refuse",
    rows: Mapping[str, int] | None = None,
    parts: Parts | None = None,
    file_as: str | None = None,
    leave_out: Sequence[str] = (),
    pairs: Replies | Mapping[str, Any] | bool | None = None,
    intents: Intents | None = None,
    labels: Labels | None = None,
    least_annotators: int | None = None,
    texts: Texts | None = None,
    most_words: int | None = None,
    lower: bool = False,
) -> DataSplits:
    """Loads data and cuts them into training, validation and test part.

    Args:
        source: One of

            - ``assistant``, or ``assistant:train=6000,users=600,...``: the embedded corpus (see `AssistantSettings`);
            - ``snips:FOLDER``: folders train, dev (or valid) and test with seq.in, seq.out and label, as of SNIPS and ATIS;
            - ``jsonl:PATH``, ``csv:PATH``, ``conll:PATH``: one file, or a folder with a file for each part;
            - ``hub:owner/name`` or ``hub:FOLDER``: Hugging Face `datasets`;
            - ``irc:PATH``: chat logs of an IRC channel, an archive or a folder (see `read_irc`): users and times, no names in the text;
            - ``multidogo:FOLDER``: MultiDoGO, a domain or all (see `read_multidogo`): intents, slots, a conversation a user;
            - ``hatexplain:FOLDER``: HateXplain (MIT; offensive; see `read_hatexplain`): hatespeech, normal, offensive, group "target":
              the communities that a post is about, with "+" between them, "none", or "unknown" where the copy does not say it;
            - ``madlibs:FOLDER``: the madlibs of unintended bias (CC BY 4.0; see `read_madlibs`): BAD or NOT_BAD, groups "identity" and
              "template". Templates are cut into parts by `fractions`, so that no template stands in two parts;
            - ``lines:PATH``: plain text for language models, a file or a folder (see `read_texts`), or sentences of BOLD.

            Gzipped files are read as they are.
        seed: Integer >= 0: of the embedded corpus, of the permutation that cuts data which come in one piece, and of the choice of
            `rows`. Data with a training and a test part but no validation part give up a share of the training part.
        name: What the data are called; where None, the name of the file or folder. It salts the hash of the user ids.
        columns: Which column holds what (jsonl, csv, hub); a mapping, as in a study file, gives the fields of `Columns`.
        fractions: How data in one piece are cut, or a mapping of the fields of `Fractions`; .8, .1 and .1 where None.
        delimiter: The delimiter (csv); guessed from the first line where None.
        config: The configuration (hub).
        bad_rows: "refuse" (the default) or "skip", for files.
        rows: At most how many rows to take of a part, such as ``{"train": 2000}``: drawn at random, in the order in which they stand.
            A part that is not named is taken whole, and so is one that has no more. The embedded corpus says it in its source.
        parts: "files" takes the parts that the files or folders are; "random" takes all of them together and cuts them by `fractions`,
            so that a user may speak in every part, as scores by client need; the rows keep their order. "files" where None, but "random"
            for ``irc:``, whose folders are days of the channel.
        file_as: For a folder in which each file is a user, or a section: "user_id" or "group:NAME", which becomes the name of the file up
            to the first dot (jsonl, csv, conll). All files are then cut by `fractions`, as under "random".
        leave_out: Names whose messages are left out, such as those of bots (irc).
        pairs: Gives pairs of a message and its answer, right and wrong ones, in place of messages (irc): True, or the fields of `Replies`.
            The right pairs are cut into parts first, and wrong ones are made within each part (see `replies`).
        intents: "first" (where None) or "joined": the label of a sentence with several intents (multidogo).
        labels: "three" (where None), or "binary": "toxic" in place of hatespeech and offensive (hatexplain).
        least_annotators: How many annotators must name a community; 2 where None (hatexplain).
        texts: "lines" (where None) or "paragraphs": what a text is (lines).
        most_words: At how many words a text is cut into the next one, >= 2; not at all where None (lines).
        lower: Whether capitals are made small (lines).

    Returns:
        The three parts. User ids of files are hashed; the rows of files with parts keep their order.

    Raises:
        InputError: For an unknown source (with the nearest one), or an option that the source does not have.
        DataError: For data that are missing, empty or wrong, with file and line.

    >>> load_data("assistant:train=200,validation=50,test=50", seed=7).train
    Dataset('assistant', 'train', 200 examples: tokens, label, tags, user_id, timestamp, group:device, group:dialect)
    """
    kind, _, rest = source.partition(":")
    if kind not in SOURCES:
        raise InputError(f"no data source {kind!r}; {nearest(kind, SOURCES)}. A file is given as jsonl:PATH, csv:PATH or conll:PATH")
    given: dict[str, Any] = {"name": name, "columns": columns, "fractions": fractions, "delimiter": delimiter, "config": config}
    given |= {"bad_rows": bad_rows if bad_rows != "refuse" else None, "rows": rows, "parts": parts, "file_as": file_as}
    given |= {"leave_out": leave_out or None, "pairs": pairs or None, "intents": intents, "labels": labels, "texts": texts}
    given |= {"least_annotators": least_annotators, "most_words": most_words, "lower": lower or None}
    _check_options(kind, rest, given)
    if kind == "assistant":
        return generate(AssistantSettings.parse(rest, seed=seed))
    fields, shares = _settings(Columns, columns, "columns"), _settings(Fractions, fractions, "fractions")
    answers = None if pairs is None or pairs is False else _settings(Replies, None if pairs is True else pairs, "pairs")
    if kind in ("irc", "multidogo"):
        tables = _conversations(kind, Path(rest).expanduser(), bad_rows, leave_out=leave_out, answers=answers, intents=intents or "first")
    elif kind in _PUBLISHED:
        tables = _PUBLISHED[kind](Path(rest).expanduser(), given, shares, seed)
    elif file_as is not None:
        tables = _by_file(kind, Path(rest).expanduser(), file_as, fields, delimiter=delimiter, bad_rows=bad_rows)
    else:
        tables = _tables(kind, rest, fields, delimiter=delimiter, config=config, bad_rows=bad_rows)
    mixed = parts == "random" or file_as is not None or (kind == "irc" and parts is None)
    data = _splits(name or _name_of(Path(rest)), _pooled(tables) if mixed else tables, shares, seed, ordered=mixed)
    if answers is None:
        return _at_most(rows or {}, data, seed)
    return _paired(_at_most({part: max(most // 2, 1) for part, most in (rows or {}).items()}, data, seed), seed)


def _settings(kind: type[S], given: S | Mapping[str, Any] | None, option: str) -> S:
    if isinstance(given, kind):
        return given
    if given is None or isinstance(given, Mapping):
        known = [field.name for field in dataclasses.fields(kind)]
        for key in given or {}:
            if key not in known:
                raise InputError(f"{option} has no key {key!r}; {nearest(str(key), known)}")
        return kind(**(given or {}))
    raise InputError(f"{option} is {given!r}; give a {kind.__name__}, or a mapping of its fields")


def _check_options(kind: str, rest: str, given: Mapping[str, Any]) -> None:
    allowed = _OPTIONS[kind]
    for option, value in given.items():
        if value is not None and option not in allowed:
            raise InputError(f"{kind}: has no option {option!r}; it has: {', '.join(allowed) or 'none'}")
    if given["bad_rows"] not in (None, *get_args(BadRows)):
        raise InputError(f"bad_rows is {given['bad_rows']!r}; {nearest(str(given['bad_rows']), get_args(BadRows))}")
    if given["parts"] not in (None, *get_args(Parts)):
        raise InputError(f"parts is {given['parts']!r}; {nearest(str(given['parts']), get_args(Parts))}")
    column = given["file_as"]
    if column is not None and column != USER_ID and not (str(column).startswith(GROUP) and len(str(column)) > len(GROUP)):
        raise InputError(f"file_as is {column!r}; give {USER_ID!r} or '{GROUP}NAME'")
    if column is not None and given["parts"] == "files":
        raise InputError("file_as makes each file a user or a section, so the files cannot be the parts; leave parts out")
    if isinstance(given["leave_out"], str):
        raise InputError(f"leave_out is the text {given['leave_out']!r}; give a list, such as [{given['leave_out']!r}]")
    for part, most in (given["rows"] or {}).items():
        if part not in _PARTS:
            raise InputError(f"rows has no part {part!r}; {nearest(part, _PARTS)}")
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise InputError(f"rows of {part} are {most!r}; give an integer >= 1")
    if kind != "assistant" and not rest:
        raise InputError(f"{kind}: what to load is missing; give {kind}:PATH")


def _tables(kind: str, rest: str, columns: Columns, *, delimiter: str | None, config: str | None, bad_rows: BadRows) -> dict[str, pa.Table]:
    """Reads what there is: a table for each part, or one under "train" alone."""
    if kind == "hub":
        return read_hub(rest, columns=columns, config=config)
    path = Path(rest).expanduser()
    if kind == "snips":
        return {part: read_snips(folder, bad_rows=bad_rows) for part, folder in snips_folders(path).items()}
    read = _reader(kind, columns, delimiter=delimiter, bad_rows=bad_rows)
    files = part_files(path) if path.is_dir() else {"train": path}
    return {part: read(file) for part, file in files.items()}


def _reader(kind: str, columns: Columns, *, delimiter: str | None, bad_rows: BadRows) -> Callable[[Path], pa.Table]:
    readers: dict[str, Callable[[Path], pa.Table]] = {
        "jsonl": partial(read_jsonl, columns=columns, bad_rows=bad_rows),
        "csv": partial(read_csv, columns=columns, bad_rows=bad_rows, delimiter=delimiter),
        "conll": partial(read_conll, bad_rows=bad_rows),
    }
    return readers[kind]


def _by_file(kind: str, folder: Path, file_as: str, columns: Columns, *, delimiter: str | None, bad_rows: BadRows) -> dict[str, pa.Table]:
    """Reads all files of a folder as one, with the name of its file for each row."""
    read = _reader(kind, columns, delimiter=delimiter, bad_rows=bad_rows)
    tables = []
    for name, path in whole_files(folder, kind).items():
        table = read(path)
        if file_as in table.column_names:
            raise DataError(f"has a column {file_as!r} of its own, so file_as cannot give one", path=path)
        tables.append(table.append_column(file_as, pa.array([name] * table.num_rows, pa.string())))
    return {"train": _joined(tables)}


def _conversations(
    kind: str, path: Path, bad_rows: BadRows, *, leave_out: Sequence[str], answers: Replies | None, intents: Intents
) -> dict[str, pa.Table]:
    if kind == "multidogo":
        return read_multidogo(path, intents=intents, bad_rows=bad_rows)
    tables = read_irc(path, leave_out=leave_out, pairs=answers, bad_rows=bad_rows)
    if answers is not None:
        tables = {part: table.filter(pc.greater(pc.list_value_length(table.column(CONTEXT)), 0)) for part, table in tables.items()}
    return tables


def _hatexplain(path: Path, given: Mapping[str, Any], shares: Fractions, seed: int) -> dict[str, pa.Table]:
    least = given["least_annotators"]
    return read_hatexplain(path, labels=given["labels"] or "three", least_annotators=2 if least is None else least)


def _madlibs(path: Path, given: Mapping[str, Any], shares: Fractions, seed: int) -> dict[str, pa.Table]:
    rng = Streams.from_seed(seed).generator("data/templates")
    return split_by_template(read_madlibs(path), validation=shares.validation, test=shares.test, rng=rng)


def _lines(path: Path, given: Mapping[str, Any], shares: Fractions, seed: int) -> dict[str, pa.Table]:
    return read_texts(path, texts=given["texts"] or "lines", most_words=given["most_words"], lower=bool(given["lower"]))


_PUBLISHED: Mapping[str, Callable[[Path, Mapping[str, Any], Fractions, int], dict[str, pa.Table]]]
_PUBLISHED = {"hatexplain": _hatexplain, "madlibs": _madlibs, "lines": _lines}


def _pooled(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """All parts as one, in the order of time where there are times."""
    whole = _joined(list(tables.values()))
    if TIMESTAMP in whole.column_names and len(tables) > 1:
        whole = whole.take(pa.array(np.argsort(np.asarray(whole.column(TIMESTAMP)), kind="stable")))
    return {"train": whole}


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    try:
        return pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        raise DataError(f"the files have not the same columns ({error}); name the columns, so that each file has them") from error


def _paired(data: DataSplits, seed: int) -> DataSplits:
    """Adds wrong answers to the right ones, part by part."""
    streams = Streams.from_seed(seed)
    made: dict[str, Any] = {part: replies(getattr(data, part), streams=streams.child(f"data/replies/{part}")) for part in _PARTS}
    return dataclasses.replace(data, **made)


def _splits(name: str, tables: Mapping[str, pa.Table], fractions: Fractions, seed: int, *, ordered: bool) -> DataSplits:
    """Cuts what has not all three parts, and makes data sets of them; `ordered` leaves the rows in their order."""
    if "train" not in tables:
        raise DataError(f"{name!r}: there is no training part; give parts='random', which cuts all of the data")
    parts = {part: _dataset(table, name, part) for part, table in tables.items()}
    order = Streams.from_seed(seed).generator("data/split").permutation(len(parts["train"]))
    shares: dict[str, float] = {}
    if "test" not in parts:
        shares["test"] = fractions.test
    if "validation" not in parts:
        whole = 1.0 if "test" in shares else fractions.train + fractions.validation
        shares["validation"] = fractions.validation / whole
    train = parts["train"]
    for part, share in shares.items():
        count = round(share * len(train))
        if not 0 < count < len(order):
            few = f"{name!r}: {len(train)} rows are too few for a {part} share of {share:.3g}"
            raise DataError(f"{few}; give more rows, or a file for each part")
        taken, order = order[:count], order[count:]
        parts[part] = dataclasses.replace(train.take(np.sort(taken) if ordered else taken), split=part)
    rest = train.take(np.sort(order) if ordered else order) if shares else train
    return DataSplits(name, rest, parts["validation"], parts["test"])


def _at_most(rows: Mapping[str, int], data: DataSplits, seed: int) -> DataSplits:
    """Takes so many rows of each part at most, at random, in their order."""
    taken: dict[str, Any] = {}
    for part, most in rows.items():
        whole: Dataset = getattr(data, part)
        if most < len(whole):
            chosen = Streams.from_seed(seed).generator(f"data/rows/{part}").choice(len(whole), size=most, replace=False)
            taken[part] = whole.take(np.sort(chosen))
    return dataclasses.replace(data, **taken)


def _dataset(table: pa.Table, name: str, part: str) -> Dataset:
    try:
        return hash_users(Dataset.from_table(table, name=name, split=part))
    except DataError as error:
        raise DataError(str(error), path=f"{name} ({part})") from error


def _name_of(path: Path) -> str:
    """The last part of a path, without the endings of a file."""
    name = path.expanduser().resolve().name if path.name in ("", ".", "..") else path.name
    return name if path.is_dir() else name.split(".")[0] or name
