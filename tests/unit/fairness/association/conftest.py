"""A small world of words, and an encoder that knows it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.fairness.inference import Inference
from holdfast.fairness.language import Pieces

WORDS = {
    "X": ("rose", "lily", "tulip", "daisy", "poppy", "iris"),
    "Y": ("ant", "flea", "wasp", "gnat", "moth", "bee"),
    "A": ("happy", "love", "peace", "joy"),
    "B": ("ugly", "filth", "agony", "war"),
}


class ToyEncoder:
    """Means of fixed word vectors; a word in context is drawn a little to the rest of its sentence."""

    name = "toy"

    def __init__(self, vectors: dict[str, np.ndarray], width: int):
        self.vectors, self.width, self.asked = vectors, width, []

    def word(self, word: str) -> np.ndarray:
        if word in self.vectors:
            return self.vectors[word]
        return Streams.from_seed(99).generator(f"word {word.lower()}:").normal(size=self.width)

    def encode(self, texts: Sequence[str], *, pooling: str) -> np.ndarray:
        self.asked.append(pooling)
        return np.array([np.mean([self.word(word) for word in re.findall(r"[\w'-]+", text)], axis=0) for text in texts])

    def encode_within(self, texts: Sequence[str], spans: Sequence[tuple[int, int]], *, pooling: str) -> np.ndarray:
        self.asked.append(pooling)
        own = np.array([self.word(text[start:end]) for text, (start, end) in zip(texts, spans, strict=True)])
        return own + 0.3 * self.encode(texts, pooling=pooling)


class ShyEncoder(ToyEncoder):
    """One that shows how it cuts text, and knows no word that begins with an r."""

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        parts = [[part.span() for part in re.finditer(r"[\w'-]+", text)] for text in texts]
        return [
            Pieces(
                np.arange(len(spans) + 1),
                np.array([-1, *(start for start, _ in spans)]),
                np.array([-1, *(end for _, end in spans)]),
                np.array([True, *(text[start] != "r" for start, _ in spans)]),
            )
            for text, spans in zip(texts, parts, strict=True)
        ]


@pytest.fixture
def words() -> dict[str, tuple[str, ...]]:
    return WORDS


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    """X stands near to A and Y near to B along one direction of twelve."""
    rng = np.random.default_rng(5)
    side = {"X": 1.0, "Y": -1.0, "A": 1.5, "B": -1.5}
    return {word: rng.normal(size=12) + side[name] * np.eye(12)[0] for name, some in WORDS.items() for word in some}


@pytest.fixture
def encoder(vectors: dict[str, np.ndarray]) -> ToyEncoder:
    return ToyEncoder(vectors, 12)


@pytest.fixture
def shy(vectors: dict[str, np.ndarray]) -> ShyEncoder:
    return ShyEncoder(vectors, 12)


@pytest.fixture
def stimuli(tmp_path: Path) -> Path:
    path = tmp_path / "sets.json"
    keys = dict(zip(WORDS, ("target_x", "target_y", "attribute_a", "attribute_b"), strict=True))
    one = {keys[name]: list(some) for name, some in WORDS.items()}
    other = {**one, "target_x": one["target_y"], "target_y": one["target_x"]}
    path.write_text(json.dumps({"tests": {"flowers": one, "reversed": other}}))
    return path


@pytest.fixture
def inference() -> Inference:
    return Inference(replicates=200, permutations=500)
