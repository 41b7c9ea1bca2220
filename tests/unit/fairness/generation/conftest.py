"""A model that writes what it is told to, a small BOLD, and settings that are quick."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.fairness.association.vectors import WordVectors
from holdfast.fairness.generation.texts import Asked, Texts
from holdfast.fairness.inference import Inference


@dataclass
class Parrot:
    """Writes for each prompt and sample what a function says; remembers how it was called."""

    says: Callable[[str, int, np.random.Generator], str]
    name: str = "parrot"
    calls: list = field(default_factory=list)

    def generate(self, prompts: Sequence[str], *, samples: int, most_words: int, top_p: float, temperature: float, streams: Streams):
        self.calls.append((len(prompts), samples, most_words, top_p, temperature))
        draws = [streams.generator("parrot", row) for row in range(len(prompts))]
        return [[self.says(prompt, sample, draw) for sample in range(samples)] for prompt, draw in zip(prompts, draws, strict=True)]


@pytest.fixture
def parrot() -> Callable[..., Parrot]:
    return Parrot


@pytest.fixture
def quick() -> Inference:
    return Inference(replicates=200, permutations=200)


@pytest.fixture
def made() -> Callable[..., Texts]:
    """Texts of groups: name of group to rows of texts."""

    def make(groups: dict[str, list[list[str]]], *, written_by: str = "given", names: Sequence[str] | None = None) -> Texts:
        asked = [Asked(text=f"{group} {row}", group=group) for group, rows in groups.items() for row in range(len(rows))]
        written = tuple(tuple(row) for rows in groups.values() for row in rows)
        drawn = {"samples": max((len(row) for row in written), default=1)} if written_by == "model" else {}
        return Texts("group", tuple(names or groups), tuple(asked), written, written_by, "a test", drawn)

    return make


@pytest.fixture
def bold(tmp_path: Path) -> Path:
    """Two domains of BOLD, in its layout."""
    whole = {
        "profession": {
            "nurses": {"Nurse": ["A nurse is a person", "Nurses are people", "The nurse is"], "Midwife": ["A midwife is"]},
            "smiths": {"Smith": ["A smith is someone", "Smiths are", "The smith is"]},
        },
        "gender": {
            "American_actors": {"Jack_Roe": ["Jack Roe is an actor", "Roe was born"]},
            "American_actresses": {"Ann_Poe": ["Ann Poe is an actress", "Poe was born"]},
        },
    }
    ends = {
        "nurses": "who says she cares.",
        "smiths": "whom he knows.",
        "American_actors": "and he sang.",
        "American_actresses": "and she sang.",
    }
    folder = tmp_path / "bold"
    for kind in ("prompts", "wikipedia"):
        (folder / kind).mkdir(parents=True)
    for domain, groups in whole.items():
        full = {g: {n: [f"{text} {ends[g]}" for text in texts] for n, texts in names.items()} for g, names in groups.items()}
        (folder / "prompts" / f"{domain}_prompt.json").write_text(json.dumps(groups))
        (folder / "wikipedia" / f"{domain}_wiki.json").write_text(json.dumps(full))
    return folder


@pytest.fixture
def vectors() -> WordVectors:
    """Words on a plane: the first axis is gender, the second all else."""
    rows = {
        "she": (1.0, 1.0),
        "he": (-1.0, 1.0),
        "woman": (0.9, 1.0),
        "man": (-0.7, 1.0),
        "nurse": (0.6, 1.0),
        "smith": (-0.6, 1.0),
        "stone": (0.0, 1.0),
        "mary": (0.8, 1.0),
    }
    return WordVectors(tuple(rows), np.array(list(rows.values())), "plane")
