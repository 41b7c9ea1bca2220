"""All kernels give the update of the plain loop, whatever the solver and however unequal the clients."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import models, tasks
from holdfast.core.randomness import Streams
from holdfast.federated.local import LocalSolver, Workload, stacked
from holdfast.models.hub import _add_lora
from holdfast.models.transformer import EncoderTagger

from . import worlds

SOLVERS = {
    "sgd": LocalSolver(learning_rate=0.5, batch_size=3, epochs=2),
    "momentum": LocalSolver(learning_rate=0.2, optimizer="momentum", batch_size=3, epochs=2),
    "adam": LocalSolver(learning_rate=0.01, optimizer="adam", batch_size=3, epochs=2),
    "adamw": LocalSolver(learning_rate=0.01, optimizer="adamw", weight_decay=0.3, batch_size=3),
    "decay": LocalSolver(learning_rate=0.2, weight_decay=0.1, batch_size=3),
    "adam with decay": LocalSolver(learning_rate=0.01, optimizer="adam", weight_decay=0.1, batch_size=4),
    "proximal": LocalSolver(learning_rate=0.2, proximal=0.7, batch_size=3, epochs=2),
    "proximal momentum": LocalSolver(learning_rate=0.2, optimizer="momentum", momentum=0.5, proximal=0.7, batch_size=2, steps=4),
    "proximal adamw": LocalSolver(learning_rate=0.01, optimizer="adamw", weight_decay=0.2, proximal=0.7, batch_size=3),
    "whole batches": LocalSolver(learning_rate=0.3, batch_size=None, epochs=3),
}
FAST = {
    "bag": ("closed form", "stacked"),
    "dropping bag": ("closed form", "stacked"),
    "head": ("closed form", "stacked"),
    "bilstm": ("stacked",),
    "transformer": ("stacked",),
    "dropping transformer": ("stacked",),
    "language model": ("stacked",),
}
RAGGED = [4, 1, 9, 0, 3, 2, 7]
quickly = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked, "MANY_ROWS", 40)  # so that these small vocabularies are taken by their active rows


@pytest.fixture(scope="module")
def given_worlds() -> dict[str, Workload]:
    return {kind: worlds.workload(kind) for kind in FAST}


def tolerance(kind: str) -> float:
    return 1e-5 if kind == "head" else 1e-9


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("kind", ["bag", "head", "transformer"])
def test_kernels_agree_for_all_solvers(given_worlds, kind: str, name: str):
    examples, given_ = worlds.cohort(RAGGED), given_worlds[kind]
    slow = worlds.updates(given_, SOLVERS[name], examples, kernel="sequential")
    assert max(float(value.abs().max()) for key, value in slow.items() if key not in ("losses", "steps")) > 1e-3
    # The bias of keys has no true gradient: what rounding leaves of it is all that Adam sees, in double precision too.
    keys = [key for key in slow if key.endswith("key.bias") and "adam" in SOLVERS[name].optimizer]
    for kernel in FAST[kind]:
        fast = worlds.updates(given_, SOLVERS[name], examples, kernel=kernel, block=3)
        for key in keys:
            fast[key] = slow[key]
        assert worlds.apart(fast, slow) < tolerance(kind), kernel


@pytest.mark.parametrize("kind", FAST)
def test_kernels_agree_for_all_models(given_worlds, kind: str):
    solver, examples = SOLVERS["momentum"], worlds.cohort(RAGGED, first=5)
    slow = worlds.updates(given_worlds[kind], solver, examples, kernel="sequential")
    for kernel in FAST[kind]:
        assert worlds.apart(worlds.updates(given_worlds[kind], solver, examples, kernel=kernel), slow) < tolerance(kind), kernel


@quickly
@given(
    sizes=st.lists(st.integers(0, 11), min_size=1, max_size=7),
    name=st.sampled_from(sorted(SOLVERS)),
    batch=st.one_of(st.none(), st.integers(1, 6)),
    steps=st.one_of(st.none(), st.integers(1, 5)),
    block=st.integers(1, 5),
    kind=st.sampled_from(["bag", "dropping bag"]),
)
def test_kernels_agree_for_clients_of_any_sizes(given_worlds, sizes, name, batch, steps, block, kind):
    solver = dataclasses.replace(SOLVERS[name], batch_size=batch, steps=steps)
    slow = worlds.updates(given_worlds[kind], solver, worlds.cohort(sizes), kernel="sequential")
    for kernel in FAST[kind]:
        assert worlds.apart(worlds.updates(given_worlds[kind], solver, worlds.cohort(sizes), kernel=kernel, block=block), slow) < 1e-9


def test_a_client_of_one_example_beside_one_of_two_thousand(given_worlds):
    solver, examples = LocalSolver(learning_rate=0.3, optimizer="momentum", batch_size=64), worlds.cohort([1, 2000, 1, 30])
    slow = worlds.updates(given_worlds["bag"], solver, examples, kernel="sequential")
    for kernel in FAST["bag"]:
        for block in (1, 4):
            assert worlds.apart(worlds.updates(given_worlds["bag"], solver, examples, kernel=kernel, block=block), slow) < 1e-9


@pytest.mark.parametrize("kind", ["bag", "transformer"])
def test_corrections_are_added_at_every_step(given_worlds, kind: str):
    given_, examples, generator = given_worlds[kind], worlds.cohort(RAGGED), torch.Generator().manual_seed(1)
    shapes = {name: (len(examples), *value.shape) for name, value in given_.weights().items()}
    whole = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    part = {name: value for name, value in whole.items() if "heads" in name}
    for corrections in (whole, part):
        slow = worlds.updates(given_, SOLVERS["momentum"], examples, kernel="sequential", corrections=corrections)
        for kernel in FAST[kind]:
            found = worlds.updates(given_, SOLVERS["momentum"], examples, kernel=kernel, corrections=corrections, block=2)
            assert worlds.apart(found, slow) < 1e-9
    plain = worlds.updates(given_, SOLVERS["momentum"], examples, kernel="sequential")
    assert worlds.apart(plain, slow) > 0.1


@pytest.mark.parametrize("kernel", ["closed form", "stacked", "sequential"])
def test_neither_block_nor_neighbours_nor_order_of_the_cohort_matter(given_worlds, kernel: str):
    given_, examples = given_worlds["dropping bag"], worlds.cohort([4, 1, 9, 6, 3])
    numbers = np.array([7, 100, 3, 12, 900])
    whole = worlds.updates(given_, SOLVERS["adam"], examples, kernel=kernel, clients=numbers)
    for block in (1, 2, 3):
        assert worlds.apart(worlds.updates(given_, SOLVERS["adam"], examples, kernel=kernel, clients=numbers, block=block), whole) < 1e-9
    order = np.array([3, 0, 4, 2, 1])
    turned = worlds.updates(given_, SOLVERS["adam"], [examples[k] for k in order], kernel=kernel, clients=numbers[order])
    assert worlds.apart(turned, {name: value[order] for name, value in whole.items()}) < 1e-9
    alone = worlds.updates(given_, SOLVERS["adam"], examples[2:3], kernel=kernel, clients=numbers[2:3])
    assert worlds.apart(alone, {name: value[2:3] for name, value in whole.items()}) < 1e-9
    other = worlds.updates(given_, SOLVERS["adam"], examples, kernel=kernel, clients=numbers, round=4)
    assert worlds.apart(other, whole) > 1e-4, "another round draws anew"


def test_single_precision_agrees_to_a_hundred_thousandth():
    solver, examples = LocalSolver(learning_rate=0.5, batch_size=3, epochs=3), worlds.cohort([9, 4, 12, 1])
    for kind in ("bag", "dropping bag", "transformer"):
        given_ = worlds.workload(kind)
        given_.module.float()
        slow = worlds.updates(given_, solver, examples, kernel="sequential")
        for kernel in FAST[kind]:
            assert worlds.apart(worlds.updates(given_, solver, examples, kernel=kernel), slow) < 1e-5


@pytest.mark.parametrize(
    "trainable", [("heads.sentence.weight",), ("heads.sentence.weight", "heads.sentence.bias"), ("words.trained.weight",)]
)
def test_a_part_of_a_model_may_be_trained(trainable: tuple[str, ...]):
    whole = worlds.workload("bag")
    given_ = Workload(whole.task, whole.module, whole.encoded, trainable)
    slow = worlds.updates(given_, SOLVERS["momentum"], worlds.cohort(RAGGED), kernel="sequential")
    assert set(slow) == {*trainable, "losses", "steps"}
    for name in ("sgd", "momentum"):
        slow = worlds.updates(given_, SOLVERS[name], worlds.cohort(RAGGED), kernel="sequential")
        assert worlds.apart(worlds.updates(given_, SOLVERS[name], worlds.cohort(RAGGED), kernel="closed form"), slow) < 1e-9


@pytest.mark.parametrize("words", [{"embedding": 0}, {"embedding": 4}, {"embedding": 4, "vocabulary": "vectors"}])
def test_a_bag_with_pretrained_vectors(tmp_path, words: dict):
    file = tmp_path / "vectors.txt"
    rng = np.random.default_rng(0)
    file.write_text("".join(f"w{k} {' '.join(f'{x:.4f}' for x in rng.normal(size=3))}\n" for k in range(worlds.WORDS - 1)))
    settings_ = models.Bag(**{"hidden": 5, "vectors": str(file), "dropout": 0.3, "word_dropout": 0.2, "vocabulary": "vectors"} | words)
    pieces = worlds.words_of(60)
    texts = [[f"w{word}" for word in pieces[row]] for row in range(60)]
    featuriser = settings_.featuriser(texts)
    plain = worlds.encoded(examples=60)
    encoded = dataclasses.replace(plain, encoded=featuriser.encode(texts), featuriser=featuriser)
    module = settings_.build(featuriser, plain.labels, Streams.from_seed(5)).double()
    given_ = Workload(tasks.Classification(), module, encoded)
    slow = worlds.updates(given_, SOLVERS["sgd"], worlds.cohort(RAGGED), kernel="sequential")
    for kernel in ("closed form", "stacked"):
        assert worlds.apart(worlds.updates(given_, SOLVERS["sgd"], worlds.cohort(RAGGED), kernel=kernel), slow) < 1e-9


def test_low_rank_matrices_are_stacked():
    plain, encoder = worlds.encoded(), worlds.bert().requires_grad_(False)
    torch.manual_seed(4)
    _add_lora(encoder, 2, 4)
    module = EncoderTagger(encoder, plain.labels, width=8, dropout=0.1, encoder_dropout=False).double()
    given_ = Workload(tasks.Classification(), module, plain)
    assert any("lora_B" in name for name in given_.trainable)
    slow = worlds.updates(given_, SOLVERS["sgd"], worlds.cohort([5, 2, 3]), kernel="sequential")
    assert worlds.apart(worlds.updates(given_, SOLVERS["sgd"], worlds.cohort([5, 2, 3]), kernel="stacked"), slow) < 1e-9
