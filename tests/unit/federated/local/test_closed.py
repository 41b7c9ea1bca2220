"""The parts of the closed form against autograd and against the modules that they stand for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from holdfast import models, tasks
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.local import LocalSolver, Workload
from holdfast.federated.local.blocks import Cohort
from holdfast.federated.local.closed.features import CachedStates, WordVectors
from holdfast.federated.local.closed.layers import passed
from holdfast.federated.local.closed.network import Network, network_of
from holdfast.models.layers import mean_pool
from holdfast.tasks.task import IGNORED
from holdfast.training.ensembles.randomness import OwnDraws

from . import worlds

KEYS = np.array([5, 6, 7], dtype=np.uint64)
SOLVER = LocalSolver(learning_rate=0.1, batch_size=3)


def network(*, hidden: bool, dropout: float) -> Network:
    return Network(None, None, 0, 0.0, "sentence" if hidden else None, "heads.sentence", dropout)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("hidden", [True, False])
def test_a_pass_back_is_that_of_autograd(hidden: bool, dropout: float):
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    above = 5 if hidden else 4
    values = {"heads.sentence.weight": drawn(3, 6, above), "heads.sentence.bias": drawn(3, 6)}
    values |= {"sentence.weight": drawn(3, 5, 4), "sentence.bias": drawn(3, 5)} if hidden else {}
    x_ABD, targets_AB = drawn(3, 2, 4), torch.tensor([[0, 5], [2, IGNORED], [1, 1]])
    shares_AB = torch.tensor([[0.5, 0.5], [0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)
    found = passed(network(hidden=hidden, dropout=dropout), values, x_ABD, targets_AB, shares_AB, own=OwnDraws(KEYS, 2), deepest=2)
    slow = {name: value.clone().requires_grad_() for name, value in values.items()} | {"x": x_ABD.clone().requires_grad_()}
    with OwnDraws(KEYS, 2):
        states = slow["x"]
        if hidden:
            states = torch.relu(torch.einsum("abd,ahd->abh", states, slow["sentence.weight"]) + slow["sentence.bias"][:, None])
        states = nn.Dropout(dropout)(states.flatten(0, 1)).view_as(states)
        logits = torch.einsum("abh,akh->abk", states, slow["heads.sentence.weight"]) + slow["heads.sentence.bias"][:, None]
    losses = F.cross_entropy(logits.flatten(0, 1), targets_AB.flatten(), ignore_index=IGNORED, reduction="none").view(3, 2)
    (losses * shares_AB).sum().backward()
    torch.testing.assert_close(found.losses_AB, losses.detach() + (targets_AB == IGNORED) * np.log(6.0))
    torch.testing.assert_close(found.grads_ABD, slow["x"].grad)
    assert [layer.name for layer in found.layers] == (["heads.sentence", "sentence"] if hidden else ["heads.sentence"])
    for layer in found.layers:
        torch.testing.assert_close(torch.bmm(layer.grads_ABO.mT, layer.inputs_ABI), slow[f"{layer.name}.weight"].grad)
        torch.testing.assert_close(layer.grads_ABO.sum(1), slow[f"{layer.name}.bias"].grad)


def test_no_gradient_is_made_that_nobody_wants():
    values = {"heads.sentence.weight": torch.ones(3, 2, 4), "heads.sentence.bias": torch.zeros(3, 2)}
    parts = torch.ones(3, 1, 4), torch.zeros(3, 1, dtype=torch.int64), torch.ones(3, 1)
    found = passed(network(hidden=False, dropout=0.0), values, *parts, own=OwnDraws(KEYS, 0), deepest=0)
    assert found.grads_ABD is None
    assert found.losses_AB.tolist() == pytest.approx(np.full((3, 1), np.log(2)))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", ["bag", "dropping bag"])
def test_means_of_words_are_those_of_the_module_and_so_are_gradients(kind: str, whole: bool):
    given = worlds.workload(kind)
    words, table = given.module.words, given.module.words.trained.weight
    examples, numbers = worlds.cohort([5, 2, 4]), np.arange(3)
    (block,) = Cohort.of(SOLVER, examples, numbers, streams=worlds.STREAMS, round=0).blocks(SOLVER, most=3)
    source = WordVectors(network_of(given), given.encoded.encoded, dict(given.module.named_parameters()), given.device, whole=whole)
    features = source.of(block, given.weights(), whole=whole)
    for step, active in enumerate(block.active):
        x_ABD = features.forward(step, OwnDraws(block.keys[:active], step))
        weights = torch.randn(x_ABD.shape, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        total_AUD = torch.zeros_like(features.ways_CUD[:active])
        features.backward(step, weights, total_AUD)
        for client in range(active):
            size = int(block.sizes[step, client])
            first = int(block.offsets[step]) + client * int(block.width[step])
            batch = given.task.collate(given.encoded, block.examples[first : first + size]).features
            with OwnDraws(block.keys[client : client + 1], step):
                slow = mean_pool(words(given.module.train().word_dropout(batch.ids_BT)), batch.mask_BT)
            torch.testing.assert_close(x_ABD[client, :size], slow.detach())
            (grad,) = torch.autograd.grad((slow * weights[client, :size]).sum(), table)
            rows = torch.arange(worlds.WORDS) if features.active is None else features.active.rows_CR[client]
            own = torch.zeros_like(grad).index_add_(0, rows, total_AUD[client])
            torch.testing.assert_close(own, grad)


def test_cached_states_are_pooled_as_the_module_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("holdfast.federated.local.closed.features.CHUNK", 700)  # so that they come in several chunks
    given = worlds.head(dropout=0.0)
    (block,) = Cohort.of(SOLVER, [np.arange(2090, 2100)], np.arange(1), streams=worlds.STREAMS, round=0).blocks(SOLVER, most=1)
    features = CachedStates(given.encoded.encoded, given.device).of(block, given.weights(), whole=False)
    assert features.ways_CUD is None
    for step in range(len(block.active)):
        batch = given.task.collate(given.encoded, block.examples[block.rows(step)]).features
        slow = mean_pool(batch.states_BTD, batch.mask_BT)
        torch.testing.assert_close(features.forward(step, OwnDraws(block.keys, step))[0], slow)


def test_a_bag_is_taken_apart():
    found = network_of(worlds.workload("dropping bag"))
    assert (found.table, found.hidden, found.head) == ("words.trained.weight", "sentence", "heads.sentence")
    assert (found.dropout, found.word_dropout, found.known, found.pretrained) == (0.3, 0.2, worlds.WORDS, None)
    assert not network_of(worlds.head(dropout=0.1)).reads_words


def tampered(change) -> Workload:
    given = worlds.workload("bag")
    change(given.module)
    return Workload(given.task, given.module, given.encoded)


class Doubled(models.bag.BagTagger):
    """A bag of words that somebody has changed."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda module: module.register_forward_hook(lambda *_: None), "the model has hooks"),
        (lambda module: setattr(module, "__class__", Doubled), "the model is a Doubled"),
        (lambda module: setattr(module, "sentence", nn.Sequential(nn.Linear(6, 5).double())), "a layer of the bag of words"),
        (lambda module: setattr(module.heads, "dropout", nn.AlphaDropout(0.1)), "the head is not the linear one"),
    ],
)
def test_a_model_that_was_changed_is_declined(change, message: str):
    with pytest.raises(InputError, match=message):
        network_of(tampered(change))


def test_words_with_labels_and_examples_without_are_declined():
    given = worlds.encoded(tags=True, examples=20)
    module = worlds.BAG.build(given.featuriser, given.labels, Streams.from_seed(1))
    with pytest.raises(InputError, match="labels words too"):
        network_of(Workload(tasks.Classification(), module, given))
    plain = worlds.workload("bag")
    bare = tasks.EncodedDataset(plain.encoded.encoded, plain.encoded.featuriser, plain.encoded.labels, plain.encoded.words, None, None)
    with pytest.raises(InputError, match="the examples have no labels"):
        network_of(Workload(plain.task, plain.module, bare))
