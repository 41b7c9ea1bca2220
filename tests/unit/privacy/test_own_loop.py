"""A loop of your own: the same updates as the library's, whole or in parts, and every way to get it wrong refused."""

import copy
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler, TensorDataset, WeightedRandomSampler

from holdfast import privacy
from holdfast.core.errors import InputError, PreflightError, RunError, TrainingStopped
from holdfast.core.randomness import Streams
from holdfast.privacy import clipping

N, WORDS, CLASSES = 40, 12, 3


class Tagger(nn.Module):
    """A mean of embeddings, a recurrent layer and a head: enough kinds of layers."""

    def __init__(self, *, recurrent: bool = False):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6)
        self.recurrent = nn.LSTM(6, 6, batch_first=True) if recurrent else None
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, ids_BT):
        x_BTD = self.embedding(ids_BT)
        if self.recurrent is not None:
            x_BTD, _ = self.recurrent(x_BTD)
        return self.head(self.norm(x_BTD.mean(1)))


@pytest.fixture
def dataset():
    chance = torch.Generator().manual_seed(1)
    return TensorDataset(torch.randint(WORDS, (N, 5), generator=chance), torch.randint(CLASSES, (N,), generator=chance))


@pytest.fixture
def model():
    torch.manual_seed(2)
    return Tagger()


def mechanism(**change) -> privacy.Mechanism:
    plan = {"examples": N, "batch_size": 8, "steps": 6, "clip_norm": 0.3, "noise_multiplier": 0.8, "delta": 1e-3} | change
    return privacy.dp_sgd(**plan)


def edp_sgd(**change) -> privacy.Mechanism:
    plan = {"examples": N, "batch_size": 8, "steps": 6, "clip_norm": 0.3, "noise_multiplier": 0.8, "delta": 1e-3} | change
    return privacy.edp_sgd(**plan, micro_batch_size=4)


def losses_of(model, batch):
    ids_BT, y_B = batch
    return F.cross_entropy(model(ids_BT), y_B, reduction="none")


def sgd(model) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.5)


def loop(private, model, dataset, *, optimizer=None, **how) -> int:
    """What a user writes; how often it went round."""
    rounds, optimizer = 0, optimizer or sgd(model)
    for batch in private.batches(dataset, **how):
        private.step(losses_of(model, batch), optimizer)
        rounds += 1
    return rounds


def run(model, mechanism, dataset, *, seed=3, optimizer=None, **how) -> tuple[torch.Tensor, int]:
    """Trains to the end; the weights, and how often the loop went round."""
    with privacy.attach(model, mechanism, seed=seed) as private:
        rounds = loop(private, model, dataset, optimizer=optimizer, **how)
        assert private.steps_taken == mechanism.steps
    return weights(model), rounds


def attach_and_leave(model, mechanism, **how) -> None:
    with privacy.attach(model, mechanism, **how):
        pass


def weights(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])


def by_the_clipper(model, mechanism, dataset, *, seed=3, engine="loop") -> torch.Tensor:
    """The same training through the clipper, which runs the model itself: one example at a time."""
    streams, optimizer, state = Streams.from_seed(seed), sgd(model), mechanism.clipping_state()
    for step in range(mechanism.steps):
        total = mechanism.clipper.clipped_sum(
            model,
            lambda indices: losses_of(model, dataset[indices]),
            mechanism.sampler.indices(step, streams),
            streams=streams,
            step=step,
            execution=privacy.Execution(engine=engine),
            state=state,
        )
        mechanism.finish(total, streams=streams, step=step, state=state)
        for name, parameter in model.named_parameters():
            parameter.grad = total[name]
        optimizer.step()
    return weights(model)


def with_clipper(clipper):
    return lambda: replace(mechanism(), clipper=clipper)


MECHANISMS = {
    "dp-sgd": mechanism,
    "edp-sgd": edp_sgd,
    "per layer": with_clipper(clipping.PerLayerClipping(clip_norm=0.3)),
    "automatic": with_clipper(clipping.AutomaticClipping()),
    "adaptive": with_clipper(clipping.AdaptiveClipping(clip_norm=0.3, quantile=0.5, count_noise=2.0)),
}


@pytest.mark.parametrize("size", [None, 3, 1])
@pytest.mark.parametrize("make", MECHANISMS.values(), ids=MECHANISMS)
def test_takes_the_steps_that_the_library_takes_whole_or_in_parts(model, dataset, make, size):
    plan = make()
    want = by_the_clipper(copy.deepcopy(model), plan, dataset)
    got, rounds = run(model, plan, dataset, physical_batch_size=size)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    assert (rounds > plan.steps) == (size is not None or make is edp_sgd)


def test_checks_on_the_first_batch_change_nothing_in_a_recurrent_model(dataset):
    """The first batch is walked back over three times, and must give the same sum."""
    torch.manual_seed(2)
    model = Tagger(recurrent=True)
    plan = mechanism(steps=2, batch_size=20)
    want = by_the_clipper(copy.deepcopy(model), plan, dataset)
    torch.testing.assert_close(run(model, plan, dataset)[0], want, rtol=1e-5, atol=1e-6)


def test_a_mechanism_without_noise_is_ordinary_training(model, dataset):
    plan = privacy.non_private(examples=N, batch_size=8, epochs=2)
    twin, optimizer = copy.deepcopy(model), None
    got, _ = run(model, plan, dataset, physical_batch_size=3)
    optimizer, streams = sgd(twin), Streams.from_seed(3)
    for step in range(plan.steps):
        optimizer.zero_grad()
        losses_of(twin, dataset[plan.sampler.indices(step, streams)]).mean().backward()
        optimizer.step()
    torch.testing.assert_close(got, weights(twin), rtol=1e-5, atol=1e-6)


def test_an_empty_batch_takes_its_noise_step_and_nothing_else(model, dataset):
    """With an expected batch of one in forty, most steps are empty; the stand-in must leave no trace."""
    plan = mechanism(batch_size=1, steps=12, clip_norm=1e-3)
    sizes = [len(plan.sampler.indices(step, Streams.from_seed(3))) for step in range(plan.steps)]
    assert sizes.count(0) > 2
    want = by_the_clipper(copy.deepcopy(model), plan, dataset)
    got, rounds = run(model, plan, dataset)
    assert rounds == plan.steps
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-7)


def test_the_stand_in_of_an_empty_batch_may_even_be_nan(model, dataset):
    plan = mechanism(batch_size=1, steps=4)
    seed = next(s for s in range(100) if len(plan.sampler.indices(0, Streams.from_seed(s))) == 0)
    before = weights(model)
    with privacy.attach(model, plan, seed=seed) as private:
        batch = next(drawn := private.batches(dataset))
        assert len(batch[1]) == 1
        assert private.step(losses_of(model, batch) * float("nan"), sgd(model))
        assert torch.isfinite(weights(model)).all()
        assert not torch.equal(before, weights(model))
        drawn.close()


def test_step_says_when_the_model_was_updated(model, dataset):
    plan = mechanism(batch_size=20, steps=2)
    updated, seen = [], []
    with privacy.attach(model, plan, seed=3) as private:
        optimizer = sgd(model)
        for batch in private.batches(dataset, physical_batch_size=8):
            before = weights(model)
            updated.append(private.step(losses_of(model, batch), optimizer))
            assert torch.equal(before, weights(model)) == (not updated[-1])
            seen.append(len(batch[1]))
    assert updated.count(True) == 2
    assert updated[-1]
    assert max(seen) == 8
    assert sum(seen) == sum(len(plan.sampler.indices(step, Streams.from_seed(3))) for step in range(2))


def test_the_update_does_not_depend_on_the_size_of_the_batch_that_was_drawn(model, dataset):
    """The divisor is the expected batch size: with a vanishing clip norm every update is noise of the same scale."""
    plan = mechanism(batch_size=4, steps=1, clip_norm=1.0, noise_multiplier=1e-3)
    for seed in range(4):
        twin = copy.deepcopy(model)
        drawn = len(plan.sampler.indices(0, Streams.from_seed(seed)))
        want = by_the_clipper(copy.deepcopy(model), plan, dataset, seed=seed)
        got, _ = run(twin, plan, dataset, seed=seed)
        assert drawn != plan.sampler.batch_size or seed
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


def test_the_model_stays_what_it_is(model, dataset):
    keys, kind, forward = list(model.state_dict()), type(model), model.forward
    with privacy.attach(model, mechanism(), seed=3) as private:
        optimizer = sgd(model)
        for batch in private.batches(dataset, steps=2):
            assert type(model) is kind
            assert list(model.state_dict()) == keys
            with torch.no_grad():  # a look at other data between a batch and its step
                model(batch[0][:1])
            private.step(losses_of(model, batch), optimizer)
            assert all(parameter.grad is None for parameter in model.parameters())
    assert list(model.state_dict()) == keys
    assert model.forward == forward
    assert torch.overrides._get_current_function_mode() is None


def test_random_numbers_of_the_user_are_left_alone(model, dataset):
    torch.manual_seed(9)
    want = torch.rand(3)
    torch.manual_seed(9)
    run(model, mechanism(), dataset, probe=lambda batch: losses_of(model, batch))
    assert torch.equal(torch.rand(3), want)


def test_claim_ledger_and_epsilon_follow_the_steps(model, dataset):
    plan = mechanism()
    with privacy.attach(model, plan, seed=3) as private:
        assert private.claim() is None
        assert private.epsilon == 0
        optimizer = sgd(model)
        for number, batch in enumerate(private.batches(dataset, steps=4, physical_batch_size=2)):
            private.step(losses_of(model, batch), optimizer)
            assert number or private.steps_taken == 0
        assert private.steps_taken == 4
        assert private.steps_left == 2
        assert private.ledger == plan.ledger(4)
        claim = private.claim("mine", conditions=("labels are public",))
    assert claim.epsilon == private.epsilon == plan.epsilon(4)
    assert (claim.subject, claim.steps, claim.kind) == ("mine", 4, "proved")
    assert {"labels are public", "nothing but the private step changed the weights"} <= set(claim.conditions)
    assert any("seed 3 stays secret" in condition for condition in claim.conditions)
    assert any("seen in the derivatives of the first batch" in condition for condition in claim.conditions)


def test_a_claim_of_micro_batches_says_that_nothing_was_looked_at(model, dataset):
    """Their backward pass is an ordinary one, in which nothing is recorded that could be looked at."""
    with privacy.attach(model, edp_sgd(), seed=3) as private:
        loop(private, model, dataset)
        assert any("depends on that example alone (not checked)" in condition for condition in private.claim().conditions)


def test_without_a_seed_every_attaching_draws_new_noise(model, dataset):
    twin = copy.deepcopy(model)
    assert not torch.equal(run(model, mechanism(), dataset, seed=None)[0], run(twin, mechanism(), dataset, seed=None)[0])


# what is refused: data


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(N))


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        (lambda d: DataLoader(d, sampler=WeightedRandomSampler(torch.ones(N), N)), "WeightedRandomSampler draws examples with prob"),
        (lambda d: DataLoader(d, shuffle=True), "shuffle=True"),
        (lambda d: DataLoader(d, batch_size=8, drop_last=True), "drop_last=True leaves examples out"),
        (lambda d: DataLoader(d, batch_sampler=[[0, 1], [2, 3]]), "list chooses which examples come together"),
        (lambda d: DataLoader(d, batch_sampler=Buckets(SequentialSampler(d), 4, False)), "Buckets chooses which examples"),
        (lambda d: DataLoader(d, batch_size=None), "batch_size=None hands over ready batches"),
        (lambda d: DataLoader(Stream()), "reads a stream"),
        (lambda d: Stream(), "Stream gives its examples in an order of its own"),
        (lambda d: iter([]), "in an order of its own"),
        (lambda d: [0] * (N - 1), f"made for {N} examples, the data set has {N - 1}"),
    ],
)
def test_any_sampling_but_the_mechanisms_is_refused(model, dataset, loader, reason):
    with privacy.attach(model, mechanism()) as private, pytest.raises(InputError, match=reason):
        private.batches(loader(dataset))


class Buckets(BatchSampler):
    pass


def test_a_plain_loader_gives_data_set_collate_and_workers(model, dataset):
    calls = []

    def collate(rows):
        calls.append(len(rows))
        return torch.utils.data.default_collate(rows)

    loader = DataLoader(dataset, batch_size=2, collate_fn=collate)
    run(model, mechanism(), loader)
    assert sum(calls) == sum(len(mechanism().sampler.indices(step, Streams.from_seed(3))) for step in range(6))
    with privacy.attach(model, mechanism()) as private, pytest.raises(InputError, match="collate_fn is given beside"):
        private.batches(loader, collate_fn=collate)


@pytest.mark.slow
def test_workers_read_ahead_and_change_nothing(model, dataset):
    twin = copy.deepcopy(model)
    want, _ = run(model, mechanism(), dataset, physical_batch_size=3)
    got, _ = run(twin, mechanism(), DataLoader(dataset, num_workers=2), physical_batch_size=3)
    assert torch.equal(got, want)


def test_no_more_steps_than_the_mechanism_has(model, dataset):
    with privacy.attach(model, mechanism(), seed=3) as private:
        optimizer = sgd(model)
        with pytest.raises(InputError, match="steps is 7; it must lie between 1 and what the mechanism has left, 6"):
            private.batches(dataset, steps=7)
        for batch in private.batches(dataset):
            private.step(losses_of(model, batch), optimizer)
        with pytest.raises(InputError, match="all 6 steps of the mechanism are taken"):
            private.batches(dataset)
        with pytest.raises(InputError, match="there is no batch to step on"):
            private.step(losses_of(model, dataset[:4]), optimizer)


@pytest.mark.parametrize(("how", "message"), [({"num_workers": -1}, "num_workers is -1"), ({"physical_batch_size": 0}, "is 0; it must be")])
def test_options_out_of_range_are_refused(model, dataset, how, message):
    with privacy.attach(model, mechanism()) as private, pytest.raises(InputError, match=message):
        private.batches(dataset, **how)


# what is refused: losses


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda losses: losses.mean(), InputError, "losses is one number"),
        (lambda losses: losses[:-1], InputError, "losses is of shape"),
        (lambda losses: losses[:, None], InputError, "losses is of shape"),
        (lambda losses: losses.detach(), InputError, "depend on no trainable parameter"),
        (lambda losses: losses.tolist(), InputError, "losses is list; give a tensor"),
        (lambda losses: losses * float("nan"), TrainingStopped, "losses are not finite"),
        (lambda losses: losses / losses.detach().new_tensor([0.0] + [1.0] * (len(losses) - 1)), TrainingStopped, "1 of"),
        (lambda losses: losses + nn.Parameter(torch.zeros(1)), InputError, r"of shape \(1,\) that is not of the attached model"),
        (lambda losses: losses / losses.sum(), PreflightError, "the losses couple examples"),
        (lambda losses: losses.flip(0), PreflightError, "the losses couple examples"),
    ],
)
def test_losses_that_would_void_the_promise_are_refused_before_any_update(model, dataset, spoil, error, message):
    before = weights(model)
    with privacy.attach(model, mechanism(batch_size=12), seed=3) as private:
        optimizer = sgd(model)
        for batch in private.batches(dataset):
            with pytest.raises(error, match=message):
                private.step(spoil(losses_of(model, batch)), optimizer)
            break
        assert private.steps_taken == 0
    assert torch.equal(before, weights(model))
    assert torch.overrides._get_current_function_mode() is None


def test_no_gradient_is_left_on_tensors_that_do_not_learn(model, dataset):
    """Such as a soft prompt that was never made a parameter: what arrives there is neither clipped nor blurred."""
    kept = torch.zeros(CLASSES, requires_grad=True)
    with privacy.attach(model, mechanism(batch_size=12), seed=3) as private:
        optimizer = sgd(model)
        for ids_BT, y_B in private.batches(dataset, steps=2, physical_batch_size=4):
            private.step(F.cross_entropy(model(ids_BT) + kept, y_B, reduction="none"), optimizer)
            assert kept.grad is None
        drawn = private.batches(dataset)
        ids_BT, y_B = next(drawn)
        losses = F.cross_entropy(model(ids_BT) + kept, y_B, reduction="none")
        with pytest.raises(InputError, match="give a tensor"):
            private.step(losses.tolist(), optimizer)
    assert kept.grad is None


def test_a_loss_that_counts_the_batch_is_found_by_a_probe_alone(model, dataset):
    def per_batch(batch):
        return losses_of(model, batch) / len(batch[1])

    with privacy.attach(model, mechanism(), seed=3) as private, pytest.raises(PreflightError, match="the loss couples examples"):
        private.batches(dataset, probe=per_batch)
    with privacy.attach(model, mechanism(), seed=3) as private:
        private.batches(dataset, probe=lambda batch: losses_of(model, batch))
        optimizer = sgd(model)
        for batch in private.batches(dataset, steps=1):
            private.step(losses_of(model, batch), optimizer)
        assert any("tried on a few examples" in condition for condition in private.claim().conditions)


class TimeFirst(nn.Module):
    """Puts time on the first axis where the engine expects examples."""

    def __init__(self):
        super().__init__()
        self.table, self.layer = nn.Embedding(WORDS, 4), nn.Linear(4, CLASSES)

    def forward(self, ids_BT):
        return self.layer(self.table(ids_BT).transpose(0, 1)).mean(0)


def test_a_layer_that_lists_examples_in_another_order_is_found_on_the_first_batch(dataset):
    model = TimeFirst()
    plan = mechanism(examples=5, batch_size=5, steps=1)  # as many examples as time steps, so that only the order is wrong
    five = torch.utils.data.Subset(dataset, range(5))
    with privacy.attach(model, plan, seed=3) as private:
        batch = next(drawn := private.batches(five))
        with pytest.raises(PreflightError, match="or a layer does not list the examples on its first axis"):
            private.step(losses_of(model, batch), sgd(model))
        drawn.close()


def test_a_wrong_norm_is_found_on_the_first_batch(model, dataset, monkeypatch):
    from holdfast.privacy import kernels

    right = kernels.gram_norms

    def wrong(*args, **options):
        found = right(*args, **options)
        return found._replace(squared_B=found.squared_B * 0.25)

    monkeypatch.setattr(kernels, "gram_norms", wrong)
    with privacy.attach(model, mechanism(batch_size=12), seed=3) as private:
        for batch in private.batches(dataset):
            with pytest.raises(PreflightError, match="the gradient of one example has norm"):
                private.step(losses_of(model, batch), sgd(model))
            break


def test_backward_before_step_is_refused(model, dataset):
    with privacy.attach(model, mechanism(), seed=3) as private:
        for batch in private.batches(dataset):
            losses = losses_of(model, batch)
            losses.sum().backward(retain_graph=True)
            with pytest.raises(InputError, match="backward was called before step"):
                private.step(losses, sgd(model))
            break


def test_losses_of_an_earlier_batch_are_refused(model, dataset):
    early = losses_of(model, dataset[:8])
    plan = mechanism(examples=8, batch_size=8, steps=2)
    before = weights(model)
    with privacy.attach(model, plan, seed=3) as private:
        for _ in private.batches(torch.utils.data.Subset(dataset, range(8))):
            with pytest.raises((InputError, PreflightError)):
                private.step(early, sgd(model))
            break
    assert torch.equal(before, weights(model))
    assert all(parameter.grad is None for parameter in model.parameters())


# what is refused: the order of calls, the model, the optimiser


def test_a_batch_that_was_never_stepped_on_is_refused(model, dataset):
    with privacy.attach(model, mechanism(), seed=3) as private:
        with pytest.raises(InputError, match="the batch before was never stepped on"):
            for _ in private.batches(dataset):
                pass
        with pytest.raises(InputError, match="the batch before was never stepped on"):
            for _ in private.batches(dataset, steps=1):
                pass
        assert torch.overrides._get_current_function_mode() is None


def test_leaving_the_loop_between_a_batch_and_its_step_releases_nothing(model, dataset):
    twin = copy.deepcopy(model)
    want, _ = run(twin, mechanism(), dataset)
    with privacy.attach(model, mechanism(), seed=3) as private:
        optimizer = sgd(model)
        for batch in private.batches(dataset, physical_batch_size=2):  # one part is taken, then the loop is left
            private.step(losses_of(model, batch), optimizer)
            break
        for _ in private.batches(dataset):
            break
        assert torch.overrides._get_current_function_mode() is None
        for batch in private.batches(dataset):
            private.step(losses_of(model, batch), optimizer)
    torch.testing.assert_close(weights(model), want, rtol=1e-5, atol=1e-6)


def test_two_loops_at_once_are_refused(model, dataset):
    with privacy.attach(model, mechanism(), seed=3) as private:
        optimizer = sgd(model)
        first, second = private.batches(dataset), private.batches(dataset)
        private.step(losses_of(model, next(first)), optimizer)
        with pytest.raises(InputError, match="another loop over batches"):
            next(second)
        private.step(losses_of(model, next(first)), optimizer)
        assert private.steps_taken == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.register_parameter("extra", nn.Parameter(torch.zeros(2))), "parameter extra was added"),
        (lambda m: m.__delattr__("norm"), "module norm was removed"),
        (lambda m: setattr(m.head, "bias", nn.Parameter(torch.zeros(CLASSES))), r"parameter head.bias was replaced"),
        (lambda m: setattr(m, "head", nn.LazyLinear(CLASSES)), "module head was replaced"),
        (lambda m: m.embedding.requires_grad_(False), r"embedding.weight (was frozen|meets torch.Tensor.requires_grad_)"),
        (lambda m: m.add_module("noise", nn.BatchNorm1d(3, affine=False)), "module noise was added"),
    ],
)
@pytest.mark.parametrize("when", ["before the step", "before the batch"])
def test_a_model_that_was_changed_after_attaching_is_refused(model, dataset, change, message, when):
    with privacy.attach(model, mechanism(), seed=3) as private:
        optimizer = sgd(model)
        drawn = private.batches(dataset)
        batch = next(drawn)
        losses = losses_of(model, batch)
        if when == "before the batch":
            private.step(losses, optimizer)

        def go_on():
            change(model)
            return next(drawn) if when == "before the batch" else private.step(losses, optimizer)

        with pytest.raises(InputError, match=message):
            go_on()


def test_attaching_twice_is_refused_for_the_model_and_for_its_parts(model, dataset):
    with privacy.attach(model, mechanism()):
        for one in (model, model.head, nn.Sequential(model)):
            with pytest.raises(InputError, match="is attached already"), privacy.attach(one, mechanism()):
                pass
    with privacy.attach(model, mechanism()):
        pass


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, lambda m: torch.jit.trace(m, torch.zeros(1, 5, dtype=torch.long))])
def test_a_wrapped_model_is_refused(model, wrap):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = wrap(model)
    with pytest.raises(InputError, match="the model is wrapped in"), privacy.attach(wrapped, mechanism()):
        pass


def test_one_of_several_processes_is_refused(model, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(InputError, match="runs in one process, this is one of 2"):
        attach_and_leave(model, mechanism())


def test_models_without_promise_are_refused(model):
    with pytest.raises(PreflightError, match="BatchNorm1d"), privacy.attach(nn.Sequential(model, nn.BatchNorm1d(3)), mechanism()):
        pass
    with pytest.raises(PreflightError, match="every parameter is frozen"), privacy.attach(model.requires_grad_(False), mechanism()):
        pass
    with privacy.attach(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), privacy.non_private(examples=N, batch_size=4, epochs=1)):
        pass  # nothing is promised, so nothing is refused


class Remembers(Tagger):
    """Keeps a running mean of what it saw, as some layers do beside batch normalisation."""

    def __init__(self, *, kept: bool):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6), persistent=kept)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, ids_BT):
        with torch.no_grad():
            self.mean.lerp_(self.embedding(ids_BT).mean((0, 1)), 0.1)
            self.calls += 1
        return super().forward(ids_BT)


def test_a_model_that_writes_what_it_saw_into_its_state_is_refused(dataset):
    """Or the mean of the private data would be saved with the model."""
    plan, model = mechanism(batch_size=12), Remembers(kept=True)
    with privacy.attach(model, plan, seed=3) as private:
        losses = losses_of(model, next(drawn := private.batches(dataset)))
        with pytest.raises(PreflightError, match="changes the buffer mean, which is saved with the model"):
            private.step(losses, sgd(model))
        drawn.close()
        with pytest.raises(PreflightError, match="changes the buffer mean"):
            private.batches(dataset, probe=lambda batch: losses_of(model, batch))
    run(Remembers(kept=False), plan, dataset)
    run(Remembers(kept=True), privacy.non_private(examples=N, batch_size=8, epochs=1), dataset)


def test_layer_wise_thresholds_for_other_layers_are_refused_at_once(model):
    plan = replace(mechanism(), clipper=clipping.PerLayerClipping(clip_norm=0.3, layer_scaling={"nothing": 1.0}))
    with pytest.raises(InputError, match="nothing"):
        attach_and_leave(model, plan)


def test_an_optimiser_that_updates_something_else_is_refused(model, dataset):
    other = nn.Linear(2, 2)
    with privacy.attach(model, mechanism(), seed=3) as private:
        for batch in private.batches(dataset):
            with pytest.raises(InputError, match=r"a tensor of shape \(2, 2\) that is no parameter of the attached model"):
                private.step(losses_of(model, batch), torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1))
            break
        for batch in private.batches(dataset):
            with pytest.raises(InputError, match=r"give a torch\.optim\.Optimizer"):
                private.step(losses_of(model, batch), None)
            break
        drawn = private.batches(dataset, physical_batch_size=1)
        private.step(losses_of(model, next(drawn)), sgd(model))
        losses = losses_of(model, next(drawn))
        with pytest.raises(InputError, match="with two optimisers"):
            private.step(losses, sgd(model))


def test_a_mode_that_was_entered_meanwhile_is_refused_and_left_in_order(model, dataset):
    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    with privacy.attach(model, mechanism(), seed=3) as private:
        for batch in private.batches(dataset):
            with pytest.raises(InputError, match="inside a `with` block"), Mode():
                private.step(losses_of(model, batch), sgd(model))
            private.step(losses_of(model, batch), sgd(model))  # left in time, it goes on
            break
        assert private.steps_taken == 1
    assert torch.overrides._get_current_function_mode() is None


def test_an_error_in_the_users_loop_leaves_nothing_behind(model, dataset):
    def fail():
        with privacy.attach(model, mechanism(), seed=3) as private:
            for _ in private.batches(dataset):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.overrides._get_current_function_mode() is None
    losses_of(model, dataset[:4]).mean().backward()
    assert model.head.weight.grad is not None


def test_a_mechanism_that_protects_users_cannot_serve(model):
    with pytest.raises(InputError, match="this mechanism protects each user"):
        attach_and_leave(model, replace(mechanism(), unit="user", examples_per_user=2))


def test_a_clipper_without_a_rule_cannot_serve(model):
    class Mine:
        clip_norm = 1.0

        def sensitivity(self, neighbouring):
            return 1.0

        def summands(self, batch_size):
            return float(batch_size)

    plan = privacy.Mechanism(name="mine", sampler=mechanism().sampler, clipper=Mine(), noise=mechanism().noise, steps=2, delta=1e-3)
    with pytest.raises(InputError, match="Mine has no rule"), privacy.attach(model, plan):
        pass


def test_tensors_that_never_move_are_named(model, dataset):
    plan = mechanism(steps=25)
    kept = [parameter for name, parameter in model.named_parameters() if not name.startswith("norm")]
    with pytest.warns(UserWarning, match=r"after 20 steps 2 of 5 trainable tensors have not moved: norm.bias, norm.weight; are they in"):
        run(model, plan, dataset, optimizer=torch.optim.SGD(kept, lr=0.1))


# checkpoints


def halves(model, dataset, plan, *, seed, ledger=None, state=None, steps=3):
    with privacy.attach(model, plan, seed=seed, ledger=ledger) as private:
        if state is not None:
            private.load_state_dict(state)
        optimizer = sgd(model)
        for batch in private.batches(dataset, steps=steps):
            private.step(losses_of(model, batch), optimizer)
        return json.loads(json.dumps(private.state_dict())), private.claim()


def test_with_a_seed_a_resumed_run_is_the_uninterrupted_one(model, dataset):
    twin, plan = copy.deepcopy(model), mechanism()
    want, _ = run(twin, plan, dataset)
    state, _ = halves(model, dataset, plan, seed=3)
    assert state["steps_taken"] == 3
    _, claim = halves(model, dataset, plan, seed=3, state=state)
    assert torch.equal(weights(model), want)
    assert claim.epsilon == plan.epsilon()
    assert claim.steps == 6


def test_a_resumed_run_goes_on_with_the_threshold_that_it_had(model, dataset):
    plan = MECHANISMS["adaptive"]()
    twin = copy.deepcopy(model)
    want, _ = run(twin, plan, dataset)
    state, _ = halves(model, dataset, plan, seed=3)
    assert state["clipping"]["clip_norm"] != plan.clipper.clip_norm
    halves(model, dataset, plan, seed=3, state=state)
    assert torch.equal(weights(model), want)


def test_without_a_seed_a_resumed_run_draws_noise_that_was_never_used(dataset):
    """Two runs that go on from one checkpoint must not share noise: its difference would show the data."""
    torch.manual_seed(2)
    model, plan = Tagger(), mechanism()
    state, _ = halves(model, dataset, plan, seed=None)
    ends = []
    for _ in range(2):
        twin = copy.deepcopy(model)
        halves(twin, dataset, plan, seed=None, state=state, steps=1)
        ends.append(weights(twin) - weights(model))
    cosine = F.cosine_similarity(ends[0], ends[1], dim=0)
    assert abs(float(cosine)) < 0.6
    assert "key" not in json.dumps(state)


def test_the_ledger_counts_steps_before_they_are_taken(model, dataset, tmp_path):
    path, plan = tmp_path / "ledger.json", mechanism(steps=20)  # five steps an epoch
    with privacy.attach(model, plan, seed=3, ledger=path) as private:
        optimizer = sgd(model)
        for batch in private.batches(dataset, steps=7):
            written = json.loads(path.read_text())
            assert written["steps_taken"] <= private.steps_taken < written["steps_reserved"] <= private.steps_taken + 5
            assert privacy.Ledger.from_json(written["spent_at_most"]) == plan.ledger(written["steps_reserved"])
            private.step(losses_of(model, batch), optimizer)
    assert json.loads(path.read_text())["steps_reserved"] == 7  # an orderly end says what was really taken


def test_steps_that_may_have_been_seen_before_a_kill_are_counted(model, dataset, tmp_path):
    path, plan = tmp_path / "ledger.json", mechanism(steps=20)
    with privacy.attach(model, plan, ledger=path) as private:
        loop(private, model, dataset, steps=3)
        state, left_by_a_kill = private.state_dict(), path.read_text()
    path.write_text(left_by_a_kill)  # five steps are reserved
    with privacy.attach(model, plan, ledger=path) as private, pytest.raises(RunError, match="may have spent 5 steps; hand its checkpoint"):
        next(private.batches(dataset))
    with privacy.attach(model, plan, ledger=path) as private:
        with pytest.warns(UserWarning, match="up to 2 steps after this checkpoint may have been seen"):
            private.load_state_dict(state)
        loop(private, model, dataset)
        assert private.ledger.steps == 22
        claim = private.claim()
    assert claim.epsilon == privacy.epsilon(private.ledger, 1e-3) > plan.epsilon()
    assert any("2 events after checkpoints that were resumed from" in condition for condition in claim.conditions)
    assert privacy.Ledger.from_json(json.loads(path.read_text())["spent_at_most"]).steps == 22


def test_states_of_other_runs_are_refused(model, dataset, tmp_path):
    path, other = tmp_path / "ledger.json", mechanism(batch_size=4)
    state, _ = halves(model, dataset, mechanism(), seed=3, ledger=path)
    with privacy.attach(model, other) as private, pytest.raises(RunError, match="another mechanism: batch_size was 8 and is now 4"):
        private.load_state_dict(state)
    with pytest.raises(RunError, match="another mechanism: batch_size was 8"):
        attach_and_leave(model, other, ledger=path)
    path.write_text("{")
    with pytest.raises(RunError, match="the ledger cannot be read"):
        attach_and_leave(model, mechanism(), ledger=path)
    with privacy.attach(model, mechanism(), seed=3) as private:
        with pytest.raises(RunError, match="no state of a private loop"):
            private.load_state_dict({})
        loop(private, model, dataset, steps=1)
        with pytest.raises(InputError, match="1 steps were taken already"):
            private.load_state_dict(state)


def test_new_randomness_cannot_go_on_within_a_round(model, dataset):
    """Shuffled epochs are accounted whole; a new order in the middle would draw some examples twice."""
    plan = replace(mechanism(), sampler=privacy.ShuffledSampler(N, 8))
    state, _ = halves(model, dataset, plan, seed=None)
    with privacy.attach(model, plan) as private, pytest.raises(RunError, match="step 3 lies within one"):
        private.load_state_dict(state)
    with privacy.attach(model, plan) as private:
        private.load_state_dict({**state, "steps_taken": 5})


def test_no_checkpoint_in_the_middle_of_a_batch(model, dataset):
    with privacy.attach(model, mechanism(batch_size=20), seed=3) as private:
        for batch in private.batches(dataset, physical_batch_size=2):
            with pytest.raises(InputError, match="a batch is not finished"):
                private.state_dict()
            private.step(losses_of(model, batch), sgd(model))
            with pytest.raises(InputError, match="a batch is not finished"):
                private.state_dict()
            break


def test_bfloat16_models_get_gradients_of_their_own_type(model, dataset):
    model.bfloat16()
    got, _ = run(model, mechanism(steps=2), dataset)
    assert torch.isfinite(got).all()


def test_indices_of_a_step_are_those_of_the_sampler(model):
    plan, drawn = mechanism(), []
    nothing = torch.zeros(N, 5, dtype=torch.long)
    with privacy.attach(model, plan, seed=3) as private:
        for batch in private.batches(np.arange(N), collate_fn=list):
            drawn.append([int(index) for index in batch])
            private.step(losses_of(model, (nothing[: len(batch)], nothing[: len(batch), 0])), sgd(model))
    assert drawn == [plan.sampler.indices(step, Streams.from_seed(3)).tolist() for step in range(plan.steps)]
