"""Finds and reads the parts of a data set in a folder: files named train, validation and test, or the folders of SNIPS and ATIS."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

import pyarrow as pa

from holdfast.core.errors import DataError
from holdfast.data.columns import LABEL, TAGS, TOKENS
from holdfast.data.records import BadRows, Collector, Field
from holdfast.data.text_files import find, lines

PART_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test",),
}


def part_files(folder: Path) -> dict[str, Path]:
    """Finds the file of each part in a folder.

    A file whose name up to the first dot is a part's name ("train", "dev.jsonl.gz") is that part. Where none is, the
    one file that has the name within its own ("wnut17train.conll") is.

    Returns:
        Part name to file; "validation" may be missing, it is then taken from the training part.

    Raises:
        DataError: If there is no file for train or test, or more than one for a part.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found = {part: path for part, names in PART_NAMES.items() if (path := _one(folder, files, part, names)) is not None}
    for part in ("train", "test"):
        if part not in found:
            there = ", ".join(path.name for path in files) or "no file"
            cure = f"Name one {part}.EXTENSION, give a single file, or file_as='user_id' where each file is a user"
            raise DataError(f"no file for {part!r}; there is {there}. {cure}", path=folder)
    return found


def whole_files(folder: Path, kind: str) -> dict[str, Path]:
    """Finds all files of a kind in a folder, each by its name up to the first dot.

    Args:
        folder: The folder.
        kind: How their names end: ".conll" or ".conll.gz" for "conll".

    Raises:
        DataError: If there is none, or two have one name.
    """
    if not folder.is_dir():
        raise DataError("no such folder; where each file is a user, give the folder that holds the files", path=folder)
    files = sorted(path for path in folder.iterdir() if path.name.removesuffix(".gz").endswith(f".{kind}"))
    if not files:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise DataError(f"no file *.{kind} or *.{kind}.gz; there is {there}", path=folder)
    found: dict[str, Path] = {}
    for path in files:
        name = path.name.split(".")[0]
        if name in found:
            raise DataError(f"{found[name].name} and {path.name} are both called {name!r}; rename one", path=folder)
        found[name] = path
    return found


def read_snips(folder: Path, *, bad_rows: BadRows) -> pa.Table:
    """Reads one part in the form of SNIPS and ATIS: `seq.in`, `seq.out` and `label`, one utterance a line in each.

    Args:
        folder: Where the three files lie; gzipped or not.
        bad_rows: What to do with a line that is empty or has unequal token and tag counts.

    Raises:
        DataError: For a missing file, files of unequal length, or a bad line.
    """
    said, tagged, labelled = folder / "seq.in", folder / "seq.out", folder / "label"
    collector = Collector(find(said) or said, bad_rows=bad_rows)
    layout: dict[str, Field] = {TOKENS: "seq.in", TAGS: "seq.out", LABEL: "label"}
    for words, tags, label in zip_longest(lines(said), lines(tagged), lines(labelled)):
        parts = {"seq.in": words, "seq.out": tags, "label": label}
        number = next(part[0] for part in parts.values() if part is not None)
        short = [name for name, part in parts.items() if part is None]
        if short:
            message = f"{' and '.join(short)} ended before this line; the three files must have a line for each utterance"
            raise DataError(message, path=find(said), line=number)
        record = {name: part[1].strip() for name, part in parts.items() if part is not None}
        if not any(record.values()):
            continue  # blank in all three, as at the end of some copies
        collector.add(record, layout, line=number)
    return collector.table()


def snips_folders(folder: Path) -> dict[str, Path]:
    """Finds the three folders of SNIPS or ATIS.

    Raises:
        DataError: If one is missing.
    """
    if not folder.is_dir():
        raise DataError("no such folder; give the one that holds the folders train, dev (or valid) and test", path=folder)
    found = {}
    for part, names in PART_NAMES.items():
        path = next((folder / name for name in names if (folder / name).is_dir()), None)
        if path is None:
            there = ", ".join(sorted(item.name for item in folder.iterdir())) or "nothing"
            raise DataError(f"no folder for {part!r} ({' or '.join(names)}); there is {there}", path=folder)
        found[part] = path
    return found


def _one(folder: Path, files: list[Path], part: str, names: tuple[str, ...]) -> Path | None:
    exact = [path for path in files if path.name.split(".")[0].lower() in names]
    matching = exact or [path for path in files if any(name in path.name.lower() for name in names)]
    if len(matching) > 1:
        raise DataError(f"several files for {part!r}: {', '.join(path.name for path in matching)}; leave one", path=folder)
    return matching[0] if matching else None
