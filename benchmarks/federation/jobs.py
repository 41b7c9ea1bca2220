"""What every engine gets: one file with the same examples, first weights and order of batches. Needs numpy alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = list[NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a case, and how its clients train: plain SGD, one pass over the examples of a client.

    Args:
        model: "bag", "transformer", or "head" on a frozen transformer.
        vocabulary: Ids, of which 0 stands in no text.
        length: Words of an example.
        width: Of a word's vector.
        hidden: Of the hidden layer, or inside a layer of the transformer.
        layers: Of the transformer.
        heads: Of its attention.
        classes: Labels.
        clients: All of them take part in every round.
        examples: Of each client.
        batch: Examples of a step.
        learning_rate: Of the clients.
    """

    model: str
    vocabulary: int = 5_000
    length: int = 20
    width: int
    hidden: int
    layers: int = 0
    heads: int = 1
    classes: int = 20
    clients: int
    examples: int = 40
    batch: int = 8
    learning_rate: float


SHAPES = {
    "bag-163k": Shape(model="bag", width=32, hidden=64, clients=100, learning_rate=0.5),
    "transformer-0.4M": Shape(model="transformer", width=64, hidden=256, layers=2, heads=4, clients=40, learning_rate=0.1),
    "cached-head": Shape(model="head", width=128, hidden=256, layers=2, heads=4, clients=40, learning_rate=0.5),
}
TINY = {"vocabulary": 50, "length": 6, "width": 8, "hidden": 12, "heads": 2, "classes": 4, "clients": 3, "examples": 10, "batch": 4}


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """A case as every engine runs it. N examples, client by client; T words.

    Args:
        shape: Sizes.
        rounds: That are run, those that warm up included.
        words_NT: Ids from 1 on.
        labels_N: From 0 on.
        orders: For each round and client the order in which it takes its examples, (rounds, clients, examples).
        weights: First weights of what is trained, in the order of the parameters of the model.
        encoder: Weights of the frozen part, in the order of its parameters.
    """

    shape: Shape
    rounds: int
    words_NT: NDArray[np.int64]
    labels_N: NDArray[np.int64]
    orders: NDArray[np.int64]
    weights: Arrays
    encoder: Arrays

    def save(self, path: Path) -> None:
        """Writes it without pickles."""
        said = json.dumps({"shape": asdict(self.shape), "rounds": self.rounds, "weights": len(self.weights), "encoder": len(self.encoder)})
        lists = {f"weight{n}": value for n, value in enumerate(self.weights)} | {
            f"frozen{n}": value for n, value in enumerate(self.encoder)
        }
        np.savez(path, said=np.array(said), words=self.words_NT, labels=self.labels_N, orders=self.orders, **lists)

    @classmethod
    def load(cls, path: str | Path) -> Job:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            said = json.loads(str(file["said"]))
            return cls(
                shape=Shape(**said["shape"]),
                rounds=said["rounds"],
                words_NT=file["words"],
                labels_N=file["labels"],
                orders=file["orders"],
                weights=[file[f"weight{n}"] for n in range(said["weights"])],
                encoder=[file[f"frozen{n}"] for n in range(said["encoder"])],
            )

    def rows(self, round: int, client: int) -> NDArray[np.int64]:
        """The examples of a client in the order in which it takes them in a round, positions among all."""
        return self.orders[round, client] + client * self.shape.examples


def texts(shape: Shape, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random words, and labels that can be learned: each word speaks for some labels, and the loudest label wins.

    Returns:
        Words (N, T) from 1 on, and labels (N,).
    """
    generator = np.random.default_rng(seed)
    words_NT = generator.integers(1, shape.vocabulary, (shape.clients * shape.examples, shape.length))
    voices_VK = generator.standard_normal((shape.vocabulary, shape.classes))
    return words_NT, voices_VK[words_NT].sum(1).argmax(1)


def save_weights(path: Path, weights: Sequence[NDArray[Any]]) -> None:
    """Writes trained weights, in the order of the parameters."""
    np.savez(path, **{f"weight{n}": value for n, value in enumerate(weights)})


def load_weights(path: Path) -> Arrays:
    """Reads what `save_weights` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return [file[f"weight{n}"] for n in range(len(file.files))]
