"""A loop of your own with the models that people bring: as they are, with adapters, and with activations computed again."""

import copy

import numpy as np
import pytest
import torch
from tests.oracles.families import ADAPTED, COMMON, Batch, Family
from torch import nn

from holdfast import privacy
from holdfast.core.randomness import Streams

LENGTHS = [7, 5, 2, 6, 7, 3]
BATCH = Batch.drawn(LENGTHS, seed=1)
N = len(LENGTHS)
PLAN = privacy.dp_sgd(examples=N, batch_size=N, steps=2, clip_norm=0.3, noise_multiplier=0.5, delta=1e-2, sampler="poisson")
BROUGHT = COMMON | {name: ADAPTED[name] for name in ("LoRA", "LoRA on GPT-2")}


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters() if parameter.requires_grad])


def descent(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.5)


def in_a_loop(model: nn.Module, family: Family, *, size: int | None = None, probe: bool = False) -> torch.Tensor:
    optimizer = descent(model)
    look = (lambda rows: family.loss(model, BATCH, rows)) if probe else None
    with privacy.attach(model, PLAN, seed=1) as private:
        for rows in private.batches(range(N), collate_fn=np.array, physical_batch_size=size, probe=look):
            private.step(family.loss(model, BATCH, rows), optimizer)
    return weights(model)


def by_the_clipper(model: nn.Module, family: Family) -> torch.Tensor:
    """One example at a time."""
    streams, optimizer, state = Streams.from_seed(1), descent(model), PLAN.clipping_state()
    how = {"execution": privacy.Execution(engine="loop"), "streams": streams, "state": state}
    for step in range(PLAN.steps):
        indices = PLAN.sampler.indices(step, streams)
        total = PLAN.clipper.clipped_sum(model, lambda rows: family.loss(model, BATCH, rows), indices, step=step, **how)
        PLAN.finish(total, streams=streams, step=step, state=state)
        for name, parameter in model.named_parameters():
            parameter.grad = total.get(name)
        optimizer.step()
    return weights(model)


def made(family: Family) -> nn.Module:
    torch.manual_seed(0)
    return family.make()


@pytest.mark.parametrize("name", BROUGHT)
def test_a_model_that_people_bring_takes_the_steps_of_single_examples(name):
    family = BROUGHT[name]
    model = made(family)
    twin, keys, kind = copy.deepcopy(model), list(model.state_dict()), type(model)
    got = in_a_loop(model, family, size=4, probe=True)
    torch.testing.assert_close(got, by_the_clipper(twin, family), rtol=1e-4, atol=1e-5)
    assert list(model.state_dict()) == keys
    assert type(model) is kind


@pytest.mark.parametrize("name", ["BERT", "GPT-2 (tied head)", "T5 (tied head, relative bias)"])
def test_activations_may_be_computed_again(name):
    family = COMMON[name]
    want = in_a_loop(made(family), family)
    saving = made(family)
    enable = getattr(saving, "activation_checkpointing_enable", None) or saving.gradient_checkpointing_enable  # renamed in transformers 5
    enable()
    assert any(getattr(module, "gradient_checkpointing", False) for module in saving.modules())
    torch.testing.assert_close(in_a_loop(saving, family), want, rtol=1e-5, atol=1e-6)


def test_a_model_generates_as_ever_while_it_is_attached():
    family = COMMON["GPT-2 (tied head)"]
    model = made(family).eval()
    prompt = BATCH.ids_BT[:1, :3]
    want = model.generate(prompt, max_new_tokens=4, do_sample=False)
    with privacy.attach(model, PLAN, seed=1) as private:
        assert torch.equal(model.generate(prompt, max_new_tokens=4, do_sample=False), want)
        rows = next(drawn := private.batches(range(N), collate_fn=np.array))
        losses = family.loss(model, BATCH, rows)
        assert torch.equal(model.generate(prompt, max_new_tokens=4, do_sample=False), want)  # between a batch and its step
        private.step(losses, descent(model))
        assert model.generate(prompt, max_new_tokens=4, do_sample=False).shape == want.shape
        drawn.close()


def test_freezing_the_layers_of_adapters_is_left_to_the_user_and_kept():
    """Of an adapted model only the adapters move."""
    family = ADAPTED["LoRA"]
    model = made(family)
    frozen = {name: parameter.detach().clone() for name, parameter in model.named_parameters() if not parameter.requires_grad}
    before = weights(model)
    in_a_loop(model, family)
    assert not torch.equal(before, weights(model))
    assert all(torch.equal(parameter, frozen[name]) for name, parameter in model.named_parameters() if name in frozen)
