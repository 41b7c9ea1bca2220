"""Small data sets and files that the tests of data share."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.data import Dataset, Example

ROWS = [
    Example(
        tokens=("call", "Orla", "Venn"),
        label="call",
        tags=("O", "B-contact", "I-contact"),
        user_id="ada",
        timestamp=datetime(2024, 1, 1, 8, 30, tzinfo=UTC),
        groups={"dialect": "avel", "device": "hearth"},
    ),
    Example(
        tokens=("stop",),
        label="stop",
        tags=("O",),
        user_id="bo",
        timestamp=datetime(2024, 2, 1, tzinfo=UTC),
        groups={"dialect": "brin", "device": "hearth"},
    ),
    Example(
        tokens=("play", "żółć", "now"),
        label="play",
        tags=("O", "B-title", "O"),
        user_id="ada",
        timestamp=datetime(2024, 1, 15, 23, 59, 59, tzinfo=UTC),
        groups={"dialect": "avel", "device": "pocket"},
    ),
]


@pytest.fixture
def rows() -> list[Example]:
    return list(ROWS)


@pytest.fixture
def data(rows: list[Example]) -> Dataset:
    return Dataset.from_examples(rows, name="tiny", split="train")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file under the test's folder; zipped=True gzips it and adds .gz to its name."""

    def make(name: str, text: str | bytes, *, zipped: bool = False) -> Path:
        path = tmp_path / (name + ".gz" if zipped else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(raw) if zipped else raw)
        return path

    return make
