"""One door to all data: a source in a string, three splits back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import pyarrow as pa

from holdfast.core.errors import DataError, InputError, nearest
from holdfast.core.randomness import Streams
from holdfast.data.assistant import AssistantSettings, generate
from holdfast.data.dataset import Dataset, DataSplits
from holdfast.data.files import read_conll, read_csv, read_jsonl
from holdfast.data.folders import part_files, read_snips, snips_folders
from holdfast.data.hub import read_hub
from holdfast.data.records import BadRows, Columns, hash_users

_OPTIONS = {
    "assistant": (),
    "snips": ("name", "bad_rows", "rows"),
    "jsonl": ("name", "columns", "fractions", "bad_rows", "rows"),
    "csv": ("name", "columns", "fractions", "delimiter", "bad_rows", "rows"),
    "conll": ("name", "fractions", "bad_rows", "rows"),
    "hub": ("name", "columns", "fractions", "config", "rows"),
}
SOURCES = tuple(_OPTIONS)
_PARTS = ("train", "validation", "test")

S = TypeVar("S", "Columns", "Fractions")


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
) -> DataSplits:
    """Loads data and cuts them into training, validation and test part.

    Args:
        source: One of

            - ``assistant``, or ``assistant:train=6000,users=600,...``: the embedded corpus (see `AssistantSettings`);
            - ``snips:FOLDER``: folders train, dev (or valid) and test with seq.in, seq.out and label, as of SNIPS and ATIS;
            - ``jsonl:PATH``, ``csv:PATH``, ``conll:PATH``: one file, or a folder with a file for each part;
            - ``hub:owner/name`` or ``hub:FOLDER``: Hugging Face `datasets`.

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
    given = {"name": name, "columns": columns, "fractions": fractions, "delimiter": delimiter, "config": config}
    given |= {"bad_rows": bad_rows if bad_rows != "refuse" else None, "rows": rows}
    _check_options(kind, rest, given)
    if kind == "assistant":
        return generate(AssistantSettings.parse(rest, seed=seed))
    fields, shares = _settings(Columns, columns, "columns"), _settings(Fractions, fractions, "fractions")
    tables = _tables(kind, rest, fields, delimiter=delimiter, config=config, bad_rows=bad_rows)
    return _at_most(rows or {}, _splits(name or _name_of(Path(rest)), tables, shares, seed), seed)


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
    readers: dict[str, Callable[[Path], pa.Table]] = {
        "jsonl": partial(read_jsonl, columns=columns, bad_rows=bad_rows),
        "csv": partial(read_csv, columns=columns, bad_rows=bad_rows, delimiter=delimiter),
        "conll": partial(read_conll, bad_rows=bad_rows),
    }
    files = part_files(path) if path.is_dir() else {"train": path}
    return {part: readers[kind](file) for part, file in files.items()}


def _splits(name: str, tables: Mapping[str, pa.Table], fractions: Fractions, seed: int) -> DataSplits:
    """Cuts what has not all three parts, and makes data sets of them."""
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
        parts[part], order = dataclasses.replace(train.take(order[:count]), split=part), order[count:]
    rest = train.take(order) if shares else train
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
