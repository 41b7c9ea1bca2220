"""A small federated study on a file of utterances with users and times."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

STUDY = """
title = "Small"
[data]
source = "jsonl:utterances.jsonl"
[model]
name = "bag"
embedding = 4
hidden = 5
dropout = 0.0
word_dropout = 0.0
[federation]
local = { learning_rate = 0.5, batch_size = 4 }
cohort = 4
rounds = 3
evaluate_every = 2
kernel = "sequential"
seed = 7
[[run]]
name = "plain"
"""


def rows(count: int = 240, *, users: int = 12, seed: int = 0) -> list[dict]:
    """Utterances an hour apart, whose label hangs on a word; the first users say more than the last ones."""
    draw = np.random.default_rng(seed)
    found = []
    for hour in range(count):
        kind = int(draw.integers(2))
        words = [f"{'even' if kind else 'odd'}{draw.integers(3)}", f"w{draw.integers(5)}"]
        user = f"user{int(users * draw.random() ** 2)}"
        moment = f"2026-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z"
        found.append({"text": " ".join(words), "label": f"kind{kind}", "user_id": user, "timestamp": moment})
    return found


def written(folder: Path, *, without: str = "", **options: int) -> Path:
    """The file of the utterances, perhaps without a field."""
    path = folder / "utterances.jsonl"
    lines = [json.dumps({key: value for key, value in row.items() if key != without}) for row in rows(**options)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the file of the utterances."""
    written(tmp_path)
    return tmp_path


@pytest.fixture
def study() -> Callable[..., str]:
    """The study file with lines added to ``[federation]``, and with other runs."""

    def text(*lines: str, runs: str = "") -> str:
        keys = {line.split("=")[0].strip() for line in lines}
        kept = [line for line in STUDY.splitlines() if line.split("=")[0].strip() not in keys or line.startswith("name")]
        place = kept.index("[federation]") + 1
        found = "\n".join([*kept[:place], *lines, *kept[place:]])
        return found if not runs else found.replace('[[run]]\nname = "plain"', runs)

    return text
