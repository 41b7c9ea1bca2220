"""Low-rank pairs, subsets and bytes in a real local training of clients."""

import numpy as np
import pytest
import torch

from holdfast import models
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example
from holdfast.federated.local import LocalSolver, Updates, Workload
from holdfast.federated.local.training import LocalTraining
from holdfast.federated.updates import Layout, averaging_gap, describe, message, sent, serialised, trainable, unpack, with_lora
from holdfast.tasks import Classification

CLIENTS = [np.arange(0, 4), np.arange(4, 9), np.arange(9, 12)]


def workload(lora: str | None = None, spec: str = "all") -> Workload:
    draw = Streams.from_seed(5).generator("words")
    texts = [tuple(f"w{i}" for i in draw.integers(0, 60, size=draw.integers(2, 6))) for _ in range(12)]
    rows = [Example(tokens=tokens, label=f"k{draw.integers(3)}") for tokens in texts]
    train = Dataset.from_examples(rows, name="tiny", split="train")
    task, settings = Classification(), models.Bag(embedding=5, hidden=6, dropout=0.0, word_dropout=0.0)
    labels = task.labels(train)
    featuriser = settings.featuriser(train.tokens())
    module = settings.build(featuriser, labels, Streams.from_seed(6))
    if lora:
        module = with_lora(module, rank=2, alpha=4, train=lora, streams=Streams.from_seed(7))
    return Workload(task, module, task.encode(train, featuriser, labels), trainable=trainable(module, spec))


def train(work: Workload) -> Updates:
    solver = LocalSolver(learning_rate=0.5, batch_size=2, epochs=2)
    training = LocalTraining(work, solver, kernel="sequential", block=8)
    (found,) = training.train(work.weights(), CLIENTS, np.arange(3), streams=Streams.from_seed(8), round=0)
    return found


@pytest.mark.parametrize("factors", ["both", "b"])
def test_clients_train_pairs_alone_and_averaging_is_as_exact_as_it_says(factors):
    work = workload(lora=factors)
    before, found = work.weights(), train(work)
    assert set(found.dense) == set(work.trainable) == {n for n in work.trainable if n.endswith(("lora_a", "lora_b"))}
    assert all(value.isfinite().all() for value in found.dense.values())
    assert all(found.dense[name].abs().max() > 0 for name in work.trainable if name.endswith("lora_b"))
    after = {name: before[name] + found.dense[name] for name in work.trainable}
    gaps = averaging_gap(work.module, after, np.array([4.0, 5.0, 3.0]))
    assert (max(gaps.values()) < 1e-6) == (factors == "b")
    assert (min(gaps.values()) > 1e-5) == (factors == "both")


def test_what_travels_shrinks_as_promised():
    """All, the heads, the pairs, B alone: less and less; the counts are those of real messages."""
    bytes_of = {}
    for name, work in {
        "all": workload(),
        "heads": workload(spec="heads"),
        "pairs": workload(lora="both"),
        "b": workload(lora="b"),
    }.items():
        found, like = train(work), work.weights()
        counted = sent(found, like)
        for client in range(3):
            data = message(found, client, like)
            assert len(data) == counted.bytes[client]
            read, whole = unpack(data, like), found.whole(client, like)
            assert all(torch.equal(read[key], whole[key]) for key in like)
        bytes_of[name] = serialised(like)
        assert describe(work.module)["parameters"] == Layout.of(like).size
    assert bytes_of["all"] > bytes_of["pairs"] > bytes_of["b"]
    assert bytes_of["all"] > bytes_of["heads"]


@pytest.mark.parametrize("kernel", ["closed form", "stacked"])
def test_a_kernel_that_does_not_know_pairs_declines(kernel):
    """It must never train as if there were none."""
    with pytest.raises(InputError, match=f"kernel '{kernel}' does not apply"):
        LocalTraining(workload(lora="both"), LocalSolver(learning_rate=0.5), kernel=kernel)
