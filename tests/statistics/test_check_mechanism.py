"""Planted bugs, each after one that a published implementation had: `check_mechanism` must find them, and pass what is sound."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from holdfast import privacy
from holdfast.privacy import MicroBatchClipping, PerExampleClipping, PoissonSampler, TruncatedPoissonSampler, sums
from holdfast.privacy.mechanism import Mechanism
from holdfast.testing import check_mechanism

PLAN = {"examples": 300, "batch_size": 30, "steps": 20, "clip_norm": 0.7, "noise_multiplier": 1.1, "delta": 1e-5}
EXACT = privacy.dp_sgd(**PLAN, sampler="poisson")
DECAY = {"noise_decay": "exponential", "noise_decay_rate": 0.2}


@pytest.mark.parametrize(
    "mechanism",
    [
        EXACT,
        privacy.dp_sgd(**PLAN, sampler="truncated-poisson"),
        privacy.dp_sgd(**PLAN, sampler="shuffled"),
        privacy.dp_sgd(**PLAN, sampler="poisson", **DECAY),
        privacy.dp_sgd(**PLAN, clipping="per-layer", layer_scaling="dimension"),
        privacy.dp_sgd(**{**PLAN, "clip_norm": None}, sampler="poisson", clipping="automatic"),
        privacy.dp_sgd(**PLAN, sampler="shuffled", clipping="adaptive", quantile=0.4),
        privacy.dp_sgd(**{**PLAN, "examples": None}, unit="user", users=300, examples_per_user=3),
        privacy.edp_sgd(**PLAN, sampler="poisson", micro_batch_size=1),
        privacy.edp_sgd(**PLAN, sampler="poisson", micro_batch_size=30),
        privacy.edp_sgd(**PLAN, micro_batch_size=6, layer_scaling="dimension", **DECAY),
    ],
    ids=lambda mechanism: f"{mechanism.name}, {mechanism.sampler}, {mechanism.clipper}"[:70],
)
def test_every_mechanism_that_ships_is_sound(mechanism):
    check_mechanism(mechanism)


class ForgetsTheEmbedding(PerExampleClipping):
    def clipped_sum(self, model, losses_of, indices, **options):
        whole = sums.plain(model, losses_of, indices, execution=options["execution"])
        model.words.requires_grad_(False)
        try:
            rest = super().clipped_sum(model, losses_of, indices, **options)
        finally:
            model.words.requires_grad_(True)
        return {"words.weight": whole["words.weight"], **rest}


class ForgetsTheNorm(PerExampleClipping):
    def clipped_sum(self, model, losses_of, indices, **options):
        clipped = super().clipped_sum(model, losses_of, indices, **options)
        whole = sums.plain(model, losses_of, indices, execution=options["execution"])
        return clipped | {"normal.bias": whole["normal.bias"]}


class ClipsTheBatch(PerExampleClipping):
    def clipped_sum(self, model, losses_of, indices, **options):
        total = sums.plain(model, losses_of, indices, execution=options["execution"])
        norm = torch.cat([gradient.flatten() for gradient in total.values()]).norm()
        return {name: gradient * min(1.0, len(indices) * self.clip_norm / (float(norm) + 1e-12)) for name, gradient in total.items()}


class SkipsEmptyBatches(PerExampleClipping):
    def clipped_sum(self, model, losses_of, indices, **options):
        return super().clipped_sum(model, losses_of, indices, **options) if len(indices) else {}


class TakenForExamples(MicroBatchClipping):
    def sensitivity(self, neighbouring):
        return self.clip_norm


@dataclass(frozen=True)
class DrawsTenfold(PoissonSampler):
    def indices(self, step, streams):
        return PoissonSampler(self.examples, 10 * self.batch_size).indices(step, streams)


@dataclass(frozen=True)
class DrawsAlwaysAsMany(PoissonSampler):
    def indices(self, step, streams):
        return np.sort(streams.generator("sampling", step).permutation(self.examples)[: self.batch_size])


@dataclass(frozen=True)
class DrawsTheSameAgain(PoissonSampler):
    def indices(self, step, streams):
        return super().indices(0, streams)


@dataclass(frozen=True)
class DrawsBySomethingElse(PoissonSampler):
    def indices(self, step, streams):
        return np.flatnonzero(np.random.default_rng().random(self.examples) < self.sampling_probability)


@dataclass(frozen=True)
class PrefersSome(PoissonSampler):
    """The weighted sampler: right on average, ten times as often for a few."""

    def indices(self, step, streams):
        weights = np.where(np.arange(self.examples) % 20 == 0, 10.0, 0.5263)
        return np.flatnonzero(streams.generator("sampling", step).random(self.examples) < self.sampling_probability * weights)


@dataclass(frozen=True)
class IgnoresTheCap(TruncatedPoissonSampler):
    def indices(self, step, streams):
        return PoissonSampler(self.examples, self.batch_size).indices(step, streams)


@dataclass(frozen=True, kw_only=True)
class NoiseTimes(Mechanism):
    factor: float = 1.0

    def finish(self, total, **options):
        super().finish(total, **options)
        for noise in total.values():
            noise.mul_(self.factor)


class NoiseReused(Mechanism):
    def finish(self, total, *, step, **options):
        super().finish(total, step=0, **options)


class NoiseOnOneLayer(Mechanism):
    def finish(self, total, **options):
        kept = total["other"].clone()
        super().finish(total, **options)
        total["other"].copy_(kept)


class NoiseShared(Mechanism):
    def finish(self, total, **options):
        super().finish(total, **options)
        total["other"].copy_(total["one"])


class NoiseFromNowhere(Mechanism):
    def finish(self, total, **options):
        super().finish(total, **options)
        for name, noise in total.items():
            total[name] = torch.randn_like(noise) * float(noise.std() if noise.numel() > 1 else 1)


class LedgerForHalf(Mechanism):
    def ledger(self, steps=None):
        return super().ledger((self.steps if steps is None else steps) // 2)


class LedgerWithMoreNoise(Mechanism):
    def ledger(self, steps=None):
        return replace(EXACT, noise=replace(EXACT.noise, noise_multiplier=2.0)).ledger(steps)


def other(kind: type[Mechanism], **more) -> Mechanism:
    values = {field: getattr(EXACT, field) for field in EXACT.__dataclass_fields__}
    return kind(**values, **more)


@pytest.mark.parametrize(
    ("mechanism", "clause"),
    [
        (replace(EXACT, clipper=ForgetsTheEmbedding(clip_norm=0.7)), "moves the clipped sum by"),
        (replace(EXACT, clipper=ForgetsTheNorm(clip_norm=0.7)), "moves the clipped sum by"),
        (replace(EXACT, clipper=ClipsTheBatch(clip_norm=0.7)), "moves the clipped sum by"),
        (replace(EXACT, clipper=SkipsEmptyBatches(clip_norm=0.7)), "empty batch"),
        (replace(EXACT, clipper=TakenForExamples(clip_norm=0.7, micro_batches=5, micro_batch_size=6)), "moves the clipped sum by"),
        (replace(EXACT, sampler=DrawsTenfold(300, 30)), "examples on average"),
        (replace(EXACT, sampler=DrawsAlwaysAsMany(300, 30)), "sizes of batches vary"),
        (replace(EXACT, sampler=DrawsTheSameAgain(300, 30)), "far more often|sizes of batches|on average"),
        (replace(EXACT, sampler=DrawsBySomethingElse(300, 30)), "draws another batch from the same streams"),
        (replace(EXACT, sampler=PrefersSome(300, 30)), "far more often|sizes of batches"),
        (replace(EXACT, sampler=IgnoresTheCap(300, 30, cap=36)), "above the cap"),
        *((other(NoiseTimes, factor=factor), "times the stated deviation") for factor in (2 / 3, 3 / 2, 0.0, 0.7)),
        (other(NoiseReused), "share their noise"),
        (other(NoiseOnOneLayer), "times the stated deviation"),
        (other(NoiseShared), "share their noise"),
        (other(NoiseFromNowhere), "another one when the step is replayed"),
        (other(LedgerForHalf), "another number of events"),
        (other(LedgerWithMoreNoise), "claims noise of"),
    ],
    ids=lambda value: (
        "-".join(type(part).__name__ for part in (value, value.clipper, value.sampler)) if isinstance(value, Mechanism) else ""
    ),
)
def test_a_planted_bug_is_found(mechanism, clause):
    with pytest.raises(AssertionError, match=clause):
        check_mechanism(mechanism)


def test_a_dropped_cross_term_of_tied_weights_is_found(monkeypatch):
    """An embedding tied to the head without the cross term: the norm is off, so the bound is."""
    monkeypatch.setattr("holdfast.privacy.engine.tape.inner_product", lambda one, other: torch.zeros(1))
    monkeypatch.setattr("holdfast.privacy.engine.tape.inner_product_with_dense", lambda one, other: torch.zeros(1))
    with pytest.raises(AssertionError, match="moves the clipped sum by"):
        check_mechanism(EXACT)


def test_a_mechanism_without_noise_has_no_account():
    with pytest.raises(AssertionError, match="adds no noise"):
        check_mechanism(privacy.non_private(examples=100, batch_size=10, epochs=1))
