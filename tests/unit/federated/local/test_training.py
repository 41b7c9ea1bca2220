"""Known answers, what a client that diverges does to its neighbours, which kernel is taken, and faults that the agreement would show."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from holdfast import tasks
from holdfast.core.errors import InputError
from holdfast.federated.local import LocalSolver, LocalTraining, Workload, stacked, training
from holdfast.federated.local.moves import Moves

from . import worlds

KERNELS = ("closed form", "stacked", "sequential")
SGD = LocalSolver(learning_rate=0.5, batch_size=3, epochs=2)
MOMENTUM = dataclasses.replace(SGD, optimizer="momentum")
RAGGED = [4, 1, 9, 3]


@pytest.fixture(autouse=True)
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked, "MANY_ROWS", 40)


@pytest.fixture(scope="module")
def bag() -> Workload:
    return worlds.workload("bag")


def gradients(given: Workload, examples: np.ndarray) -> tuple[dict[str, Tensor], float]:
    """Of the mean loss of some examples at the weights that the module holds, and that loss."""
    batch = given.task.collate(given.encoded, examples)
    loss = given.task.per_example_loss(given.module, batch).mean()
    parameters = dict(given.module.named_parameters())
    grads = torch.autograd.grad(loss, [parameters[name] for name in given.trainable])
    return dict(zip(given.trainable, grads, strict=True)), loss.item()


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_step_on_all_examples_is_minus_the_rate_times_the_gradient(bag, kernel: str):
    solver, examples = LocalSolver(learning_rate=0.25, batch_size=None), worlds.cohort([5, 1, 8])
    found = worlds.updates(bag, solver, examples, kernel=kernel)
    for client, rows in enumerate(examples):
        grads, loss = gradients(bag, rows)
        for name, grad in grads.items():
            torch.testing.assert_close(found[name][client], -0.25 * grad, rtol=0, atol=1e-12)
        assert found["losses"][client].item() == pytest.approx(loss, abs=1e-12)
        assert found["steps"][client] == 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_two_steps_of_proximal_momentum_with_a_correction_by_hand(bag, kernel: str):
    solver = LocalSolver(learning_rate=0.2, optimizer="momentum", momentum=0.6, proximal=0.5, batch_size=None, epochs=2)
    rows, start = np.arange(4), bag.weights()
    generator = torch.Generator().manual_seed(3)
    corrections = {name: torch.randn(1, *value.shape, dtype=value.dtype, generator=generator) for name, value in start.items()}
    found = worlds.updates(bag, solver, [rows], kernel=kernel, corrections=corrections)
    first, loss_before = gradients(bag, rows)
    memory = {name: first[name] + corrections[name][0] for name in first}
    way = {name: -0.2 * value for name, value in memory.items()}
    bag.load({name: start[name] + way[name] for name in start})
    second, loss_after = gradients(bag, rows)
    bag.load(start)
    for name in start:
        memory[name] = 0.6 * memory[name] + second[name] + corrections[name][0] + 0.5 * way[name]
        torch.testing.assert_close(found[name][0], way[name] - 0.2 * memory[name], rtol=0, atol=1e-12)
    assert found["losses"][0].item() == pytest.approx((loss_before + loss_after) / 2, abs=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_no_pull_and_no_correction_change_nothing(bag, kernel: str):
    examples = worlds.cohort(RAGGED)
    plain = worlds.updates(bag, SGD, examples, kernel=kernel)
    assert worlds.apart(worlds.updates(bag, dataclasses.replace(SGD, proximal=0.0), examples, kernel=kernel), plain) == 0
    nothing = {name: torch.zeros(len(examples), *value.shape, dtype=value.dtype) for name, value in bag.weights().items()}
    assert worlds.apart(worlds.updates(bag, SGD, examples, kernel=kernel, corrections=nothing), plain) < 1e-12
    assert worlds.apart(worlds.updates(bag, dataclasses.replace(SGD, proximal=0.3), examples, kernel=kernel), plain) > 1e-4


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sizes", [[3], [4, 2, 6]])
def test_weights_module_and_generator_are_left_as_they_were(kernel: str, sizes: list[int]):
    given = worlds.workload("dropping bag")
    given.module.eval()
    weights = given.weights()
    before, held, draws = {name: value.clone() for name, value in weights.items()}, given.weights(), torch.get_rng_state()
    for solver in (SGD, MOMENTUM):
        worlds.updates(given, solver, worlds.cohort(sizes), kernel=kernel, weights=weights)
    assert worlds.apart(weights, before) == 0
    assert worlds.apart(given.weights(), held) == 0
    assert torch.equal(torch.get_rng_state(), draws)
    assert not given.module.training
    assert all(parameter.grad is None for parameter in given.module.parameters())


@pytest.mark.parametrize("kernel", KERNELS)
def test_clients_start_from_the_weights_that_are_given(bag, kernel: str):
    moved = {name: value + 0.5 for name, value in bag.weights().items()}
    found = worlds.updates(bag, SGD, worlds.cohort([4]), kernel=kernel, weights=moved)
    held = bag.weights()
    bag.load(moved)
    slow = worlds.updates(bag, SGD, worlds.cohort([4]), kernel="sequential")
    bag.load(held)
    assert worlds.apart(found, slow) < 1e-12
    assert worlds.apart(found, worlds.updates(bag, SGD, worlds.cohort([4]), kernel=kernel)) > 1e-3


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("solver", [SGD, MOMENTUM, LocalSolver(learning_rate=0.1, optimizer="adam", batch_size=3, epochs=2)])
def test_a_client_that_diverges_leaves_its_neighbours_alone(bag, kernel: str, solver: LocalSolver):
    examples = worlds.cohort(RAGGED)
    corrections = {name: torch.zeros(4, *value.shape, dtype=value.dtype) for name, value in bag.weights().items()}
    calm = worlds.updates(bag, solver, examples, kernel=kernel, corrections=corrections)
    corrections["heads.sentence.weight"][2] = torch.inf
    found = worlds.updates(bag, solver, examples, kernel=kernel, corrections=corrections)
    others = [0, 1, 3]
    rest, before = ({name: value[others] for name, value in one.items()} for one in (found, calm))
    assert worlds.apart(rest, before) == 0
    assert not found["heads.sentence.weight"][2].isfinite().all()
    assert not found["losses"][2].isfinite()


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_example_that_is_not_finite_spoils_its_own_client_alone(kernel: str):
    given = worlds.head(dropout=0.2)
    assert given.encoded.encoded.states is not None
    examples = worlds.cohort([5, 4, 8])
    calm = worlds.updates(given, SGD, examples, kernel=kernel)
    states = given.encoded.encoded.states.copy()
    states[given.encoded.encoded.places(examples[1][:1])] = np.inf
    spoilt = dataclasses.replace(given.encoded, encoded=given.encoded.encoded.with_states(states))
    found = worlds.updates(Workload(given.task, given.module, spoilt), SGD, examples, kernel=kernel)
    assert (
        worlds.apart({name: value[[0, 2]] for name, value in found.items()}, {name: value[[0, 2]] for name, value in calm.items()}) < 1e-6
    )
    assert not found["heads.sentence.weight"][1].isfinite().all()


@pytest.mark.parametrize("kernel", ["closed form", "stacked"])
def test_an_unseen_label_costs_a_constant_and_moves_nothing(bag, kernel: str):
    sentence = bag.encoded.sentence.copy()
    sentence[[0, 2, 5]] = tasks.task.IGNORED
    given = Workload(bag.task, bag.module, dataclasses.replace(bag.encoded, sentence=sentence))
    slow = worlds.updates(given, SGD, worlds.cohort([1, 4, 3]), kernel="sequential")
    found = worlds.updates(given, SGD, worlds.cohort([1, 4, 3]), kernel=kernel)
    assert worlds.apart(found, slow) < 1e-8, "the task has the constant in single precision"
    assert float(found["sentence.weight"][0].abs().max()) == 0
    assert found["losses"][0].item() == pytest.approx(np.log(4))


def test_momentum_that_goes_on_behind_a_clients_end_would_be_seen(bag, monkeypatch: pytest.MonkeyPatch):
    """The fault of a stacked optimiser that masks gradients but not steps: plain SGD hides it, momentum and Adam do not."""
    step = Moves.step

    def forgetful(self: Moves, grads: dict[str, Tensor], number: int, active: int) -> None:
        clients = len(next(iter(self._ways.values())))
        whole = {name: torch.cat([value, value.new_zeros(clients - active, *value.shape[1:])]) for name, value in grads.items()}
        step(self, whole, number, clients)

    slow = {solver: worlds.updates(bag, solver, worlds.cohort(RAGGED), kernel="sequential") for solver in (SGD, MOMENTUM)}
    monkeypatch.setattr(Moves, "step", forgetful)
    for kernel in ("closed form", "stacked"):
        assert worlds.apart(worlds.updates(bag, SGD, worlds.cohort(RAGGED), kernel=kernel), slow[SGD]) < 1e-9
        assert worlds.apart(worlds.updates(bag, MOMENTUM, worlds.cohort(RAGGED), kernel=kernel), slow[MOMENTUM]) > 1e-2


def test_a_mean_over_rows_that_are_not_real_would_be_seen(bag, monkeypatch: pytest.MonkeyPatch):
    slow = worlds.updates(bag, SGD, worlds.cohort([4, 3, 2]), kernel="sequential")
    monkeypatch.setattr(training.Block, "shares", lambda block: np.full(len(block.real), 1 / block.width[0]))
    for kernel in ("closed form", "stacked"):
        assert worlds.apart(worlds.updates(bag, SGD, worlds.cohort([4, 3, 2]), kernel=kernel), slow) > 1e-3


def tables_of(given: Workload, solver: LocalSolver, examples: list[np.ndarray]) -> set[str]:
    """Which parameters come back as rows."""
    chosen, numbers = LocalTraining(given, solver, kernel="stacked"), np.arange(len(examples))
    parts = chosen.train(given.weights(), examples, numbers, streams=worlds.STREAMS, round=0)
    return {name for part in parts for name in part.tables}


def test_tables_come_back_as_the_rows_that_clients_use(bag):
    assert tables_of(bag, SGD, worlds.cohort([2, 3])) == {"words.trained.weight"}
    assert tables_of(bag, dataclasses.replace(SGD, weight_decay=0.1), worlds.cohort([2, 3])) == set(), "with weight decay every row moves"
    part = next(
        LocalTraining(bag, SGD, kernel="closed form").train(bag.weights(), [np.array([3])], np.array([1]), streams=worlds.STREAMS, round=0)
    )
    table, used = part.tables["words.trained.weight"], set(bag.encoded.encoded.pieces[3].tolist()) | {0}
    assert set(table.rows_CR[0].tolist()) == used
    assert table.size == worlds.WORDS


def test_a_row_that_no_example_holds_is_added_when_a_layer_asks_for_it(monkeypatch: pytest.MonkeyPatch):
    """Utterances that are cut have no end mark, and yet the model reads it before their first word."""
    given = worlds.workload("language model")
    mark = given.encoded.featuriser.boundary
    cut = np.array([row for row in range(400) if mark not in given.encoded.encoded.pieces[row]][:6])
    solver, examples = LocalSolver(learning_rate=0.2, batch_size=2), [cut[:2], cut[2:]]
    slow = worlds.updates(given, solver, examples, kernel="sequential")
    assert worlds.apart(worlds.updates(given, solver, examples, kernel="stacked"), slow) < 1e-9
    assert slow["words.weight"][:, mark].abs().max() > 0, "so the mark has a gradient"
    assert "words.weight" in tables_of(given, solver, examples)
    monkeypatch.setattr(stacked, "FEW", 0)
    assert "words.weight" not in tables_of(given, solver, examples)
    assert worlds.apart(worlds.updates(given, solver, examples, kernel="stacked"), slow) < 1e-9


@pytest.mark.parametrize(
    ("kind", "kernel"), [("bag", "closed form"), ("head", "closed form"), ("transformer", "stacked"), ("recurrent", "sequential")]
)
def test_the_first_cohort_chooses_a_kernel_that_applies(kind: str, kernel: str):
    given, sizes = worlds.workload(kind), [8] * 12
    chosen = LocalTraining(given, SGD)
    parts = list(chosen.train(given.weights(), worlds.cohort(sizes), np.arange(12), streams=worlds.STREAMS, round=0))
    assert sum(map(len, parts)) == 12
    assert chosen.kernel == kernel or (kind == "bag" and chosen.kernel == "stacked")  # a clock decides
    assert ("closed form" in chosen.declined) == (kind not in ("bag", "head"))


def test_a_kernel_that_is_asked_for_says_why_it_does_not_apply():
    with pytest.raises(InputError, match="'closed form' does not apply: the encoder is trained; set freeze to 'encoder'"):
        LocalTraining(worlds.workload("transformer"), SGD, kernel="closed form")
    with pytest.raises(InputError, match="'closed form' does not apply: the task is IntentSlot"):
        LocalTraining(worlds.workload("bilstm"), SGD, kernel="closed form")
    with pytest.raises(InputError, match="'stacked' does not apply: walk is a GRU"):
        LocalTraining(worlds.workload("recurrent"), SGD, kernel="stacked")
    head = worlds.workload("head")
    bare = dataclasses.replace(head.encoded, encoded=dataclasses.replace(head.encoded.encoded, states=None))
    with pytest.raises(InputError, match="hand over examples that went through `precompute`"):
        LocalTraining(Workload(head.task, head.module, bare), SGD, kernel="closed form")
    with pytest.raises(InputError, match="did you mean 'stacked'"):
        LocalTraining(head, SGD, kernel="stackd")
    with pytest.raises(InputError, match="block is 0; give at least 1"):
        LocalTraining(head, SGD, block=0)


def test_a_kernel_that_goes_astray_is_not_taken(bag, monkeypatch: pytest.MonkeyPatch):
    class Astray(training.ClosedForm):
        def train(self, weights, block):
            found = super().train(weights, block)
            return dataclasses.replace(found, dense={name: 2 * value for name, value in found.dense.items()})

    monkeypatch.setitem(training.KERNELS, "closed form", Astray)
    chosen = LocalTraining(bag, SGD)
    list(chosen.train(bag.weights(), worlds.cohort(RAGGED), np.arange(4), streams=worlds.STREAMS, round=0))
    assert chosen.kernel != "closed form"
    assert "from those of the sequential kernel" in chosen.declined["closed form"]


def test_weights_and_corrections_must_fit(bag):
    chosen, weights = LocalTraining(bag, SGD, kernel="stacked"), bag.weights()
    few = {name: value for name, value in weights.items() if name != "sentence.bias"}
    with pytest.raises(InputError, match=r"'sentence.bias' is trained or given, but not both"):
        list(chosen.train(few, worlds.cohort([1]), np.arange(1), streams=worlds.STREAMS, round=0))
    wrong = {"sentence.bias": weights["sentence.bias"]}
    with pytest.raises(InputError, match=r"'sentence.bias' has shape \(5,\); it needs \(1, 5\)"):
        list(chosen.train(weights, worlds.cohort([1]), np.arange(1), streams=worlds.STREAMS, round=0, corrections=wrong))


def test_no_client_and_clients_without_examples(bag):
    chosen = LocalTraining(bag, SGD)
    assert list(chosen.train(bag.weights(), [], np.arange(0), streams=worlds.STREAMS, round=0)) == []
    assert chosen.kernel == "auto", "there was nothing to choose by"
    for kernel in KERNELS:
        found = worlds.updates(bag, SGD, worlds.cohort([0, 0]), kernel=kernel)
        assert found["steps"].tolist() == [0, 0]
        assert found["losses"].isnan().all()
        assert all(float(found[name].abs().max()) == 0 for name in bag.trainable)


def test_draws_of_a_foreign_layer_belong_to_the_client_too():
    """The dropout between the layers of a GRU cannot be intercepted; its generator is seeded from round and client."""
    given, examples, numbers = worlds.workload("recurrent"), worlds.cohort([5, 3, 4]), np.array([3, 8, 5])
    whole = worlds.updates(given, SGD, examples, kernel="sequential", clients=numbers)
    torch.manual_seed(99)
    again = worlds.updates(given, SGD, examples[1:2], kernel="sequential", clients=numbers[1:2])
    assert worlds.apart(again, {name: value[1:2] for name, value in whole.items()}) == 0
    assert worlds.apart(worlds.updates(given, SGD, examples, kernel="sequential", clients=numbers, round=4), whole) > 1e-6
