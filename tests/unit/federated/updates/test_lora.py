"""Low-rank pairs: they change nothing at first, merge into what they compute, and average as they say."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.federated.updates import averaging_gap, fold, merge, trainable, with_lora


def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Embedding(9, 6), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4, bias=False)).eval()


IDS = torch.arange(9)


def lora(**options):
    return with_lora(model(), **{"rank": 2, "alpha": 6.0, "streams": Streams.from_seed(4), **options})


def trained(module: nn.Module, seed: int, steps: int = 5) -> dict[str, torch.Tensor]:
    """What a client makes of the trainable parameters by plain autograd, and the module as it was."""
    parameters = dict(module.named_parameters())
    before = {name: value.detach().clone() for name, value in parameters.items()}
    target = torch.randn(9, 4, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.SGD([parameters[name] for name in trainable(module)], lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        (module(IDS) - target).square().mean().backward()
        optimizer.step()
    after = {name: parameters[name].detach().clone() for name in trainable(module)}
    with torch.no_grad():
        for name, value in before.items():
            parameters[name].copy_(value)
    return after


def cohort(module: nn.Module, clients: int = 3) -> dict[str, torch.Tensor]:
    each = [trained(module, seed) for seed in range(clients)]
    return {name: torch.stack([client[name] for client in each]) for name in each[0]}


WEIGHTS = np.array([0.5, 0.3, 0.2])


@pytest.mark.parametrize("train", ["both", "b"])
def test_at_first_it_computes_what_the_model_computes_and_trains_the_pairs_alone(train):
    plain, module = model(), lora(train=train)
    assert torch.equal(module(IDS), plain(IDS))
    assert isinstance(module[1], nn.Linear)
    assert set(plain.state_dict()) < set(module.state_dict())
    factors = {f"{layer}.lora_{factor}" for layer in (1, 3) for factor in ("ab" if train == "both" else "b")}
    assert set(trainable(module)) == factors
    assert module[1].lora_a.shape == (2, 6)
    assert module[3].lora_b.shape == (4, 2)
    assert all(value.requires_grad for value in plain.parameters()), "the model itself is left as it is"


def test_training_moves_the_pairs_and_with_them_the_function():
    module = lora()
    after = trained(module, 0)
    with torch.no_grad():
        module.load_state_dict(after, strict=False)
    assert (module(IDS) - model()(IDS)).abs().max() > 0.01
    assert all(torch.equal(module.state_dict()[name], value) for name, value in model().state_dict().items())


def test_the_forward_is_that_of_the_formula():
    module = lora()
    with torch.no_grad():
        module[1].lora_b.copy_(torch.randn(5, 2, generator=torch.Generator().manual_seed(1)))
    x = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(2))
    weight = module[1].weight + 3.0 * module[1].lora_b @ module[1].lora_a
    torch.testing.assert_close(module[1](x), x @ weight.T + module[1].bias)


def test_merged_it_computes_the_same_as_a_plain_model():
    module = lora()
    module.load_state_dict(trained(module, 1), strict=False)
    merged = merge(module)
    torch.testing.assert_close(merged(IDS), module(IDS))
    assert type(merged[1]) is nn.Linear
    assert set(merged.state_dict()) == set(model().state_dict())
    assert (merged[1].weight - model()[1].weight).abs().max() > 1e-3
    assert torch.equal(module[1].weight, model()[1].weight), "merge leaves the module as it is"


def test_gradients_are_right_and_those_of_a_stack_of_clients_too():
    module = lora().double()
    names = trainable(module)
    parameters = {name: dict(module.named_parameters())[name].detach() for name in names}
    parameters = {name: value + 0.1 * torch.ones_like(value) for name, value in parameters.items()}

    def loss(values, ids):
        return functional_call(module, values, (ids,)).square().sum()

    inputs = tuple(value.clone().requires_grad_() for value in parameters.values())
    assert torch.autograd.gradcheck(lambda *values: loss(dict(zip(names, values, strict=True)), IDS), inputs)
    stacked = {name: torch.stack([value, 2 * value]) for name, value in parameters.items()}
    found = vmap(grad(loss), in_dims=(0, None))(stacked, IDS)
    for client in range(2):
        one = grad(loss)({name: value[client] for name, value in stacked.items()}, IDS)
        for name in names:
            torch.testing.assert_close(found[name][client], one[name])


def test_averaging_both_factors_is_not_the_average_of_the_products_and_ffa_is():
    gaps = averaging_gap(lora(), cohort(lora()), WEIGHTS)
    assert set(gaps) == {"1", "3"}
    assert min(gaps.values()) > 0.01
    exact = averaging_gap(lora(train="b"), cohort(lora(train="b")), WEIGHTS)
    assert max(exact.values()) < 1e-12


def test_the_gap_of_a_hand_made_example():
    """Two clients whose products cancel their factors' means: B = 1, -1 and A = 1, -1 give a mean of 1, and means of 0."""
    module = with_lora(nn.Sequential(nn.Linear(1, 1)), rank=1, alpha=1, streams=Streams.from_seed(0))
    signs = torch.tensor([1.0, -1.0]).reshape(2, 1, 1)
    factors = {"0.lora_a": signs, "0.lora_b": signs}
    assert averaging_gap(module, factors, np.array([1.0, 1.0])) == {"0": 1.0}
    assert averaging_gap(module, {"0.lora_a": signs, "0.lora_b": 0 * signs}, np.ones(2)) == {"0": 0.0}


@pytest.mark.parametrize("train", ["both", "b"])
def test_folding_is_the_average_of_the_models(train):
    """After a fold each weight is the mean of the clients' merged weights, and the pairs begin anew without changing anything."""
    module, streams = lora(train=train), Streams.from_seed(9)
    factors = cohort(module)
    merged = []
    for client in range(3):
        one = lora(train=train)
        one.load_state_dict({name: value[client] for name, value in factors.items()}, strict=False)
        merged.append(merge(one))
    first_a = module[1].lora_a.detach().clone()
    changed = fold(module, factors, WEIGHTS, streams=streams, round=0)
    assert set(changed) == {"1.weight", "3.weight"}
    for layer in (1, 3):
        mean = sum(weight * other[layer].weight for weight, other in zip(WEIGHTS, merged, strict=True))
        torch.testing.assert_close(module[layer].weight.detach(), mean.detach())
        assert not module[layer].lora_b.any()
    assert torch.equal(module[1].lora_a, first_a) == (train == "b")
    torch.testing.assert_close(merge(module)(IDS), module(IDS))


def test_clients_of_a_smaller_rank_fill_up_with_zeros():
    module = lora()
    factors = cohort(module)
    for name, value in factors.items():
        value[0].select(0 if name.endswith("a") else 1, 1).zero_()
    want = module[1].weight + 3.0 * sum(
        weight * factors["1.lora_b"][client] @ factors["1.lora_a"][client] for client, weight in enumerate(WEIGHTS)
    )
    fold(module, factors, WEIGHTS, streams=Streams.from_seed(9), round=0)
    torch.testing.assert_close(module[1].weight.detach(), want.detach())


def test_first_matrices_belong_to_the_seed_and_the_layer():
    assert torch.equal(lora()[1].lora_a, lora()[1].lora_a)
    assert not torch.equal(lora()[1].lora_a, lora(streams=Streams.from_seed(5))[1].lora_a)
    assert lora()[1].lora_a.abs().max() <= 6**-0.5
    module = with_lora(nn.Sequential(nn.Linear(400, 400), nn.Linear(400, 400)), rank=50, alpha=1, train="b", streams=Streams.from_seed(1))
    assert module[0].lora_a.std().item() == pytest.approx(400**-0.5 / 3**0.5, rel=0.02)
    assert torch.corrcoef(torch.stack([layer.lora_a.flatten() for layer in module]))[0, 1].abs() < 0.03


def test_only_plain_layers_that_share_nothing_are_taken():
    tied = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    attention = nn.MultiheadAttention(4, 2)
    both = nn.ModuleDict({"tied": tied, "attention": attention, "lstm": nn.LSTM(4, 4)})
    module = with_lora(both, rank=1, alpha=1, streams=Streams.from_seed(1))
    assert trainable(module) == ("tied.2.lora_a", "tied.2.lora_b")
    assert module["tied"][0].weight is module["tied"][1].weight


def test_targets_and_parameters_that_are_trained_whole():
    assert trainable(lora(targets=["3"])) == ("3.lora_a", "3.lora_b")
    assert trainable(lora(also=["3", "0"])) == ("0.weight", "1.lora_a", "1.lora_b", "3.weight")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"rank": 5}, "lora of 3: rank is 5; give a whole number from 1 to 4"),
        ({"alpha": 0}, "alpha is 0"),
        ({"alpha": -1}, "alpha is -1"),
        ({"train": "a"}, "train is 'a'"),
        ({"targets": ["0"]}, "no plain linear layer is under '0'; Valid: 1, 3"),
        ({"also": ["4"]}, "no parameter is under '4'"),
        ({"targets": ["3"], "also": ["3"]}, "no plain linear layer inside"),
    ],
)
def test_bad_settings_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        lora(**options)


def test_models_that_cannot_have_pairs_are_refused():
    streams = Streams.from_seed(1)
    with pytest.raises(InputError, match="inside the model"):
        with_lora(nn.Linear(2, 2), rank=1, alpha=1, streams=streams)
    with pytest.raises(InputError, match="inside the model"):
        with_lora(nn.LSTM(2, 2), rank=1, alpha=1, streams=streams)
    with pytest.raises(InputError, match="merge them first"):
        with_lora(lora(), rank=1, alpha=1, streams=streams)
    with pytest.raises(InputError, match="make it by with_lora"):
        fold(model(), {}, WEIGHTS, streams=streams, round=0)
    with pytest.raises(InputError, match=r"1.lora_b has the shape None; give \(3, 5, 2\)"):
        averaging_gap(lora(train="b"), {}, WEIGHTS)
    with pytest.raises(InputError, match="the weights sum to 0"):
        averaging_gap(lora(), cohort(lora()), np.zeros(3))
