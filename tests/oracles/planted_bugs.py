"""Mechanisms with a fault that some published implementation had, the law of what an auditor sees of each, and sound ones beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdfast import privacy
from holdfast.audit import Guesses, registered_bound
from holdfast.audit.bounds.one_run import proves
from holdfast.core.claim import PrivacyClaim
from holdfast.privacy import Mechanism, MicroBatchClipping, PerExampleClipping, PoissonSampler, sums
from holdfast.testing.audits import AuditKind, MechanismAudit, _gaussian_bound, audit_mechanism

Law = Callable[[np.random.Generator, NDArray[np.bool_]], NDArray[np.float64]]
"""Draws scores, in clip norms, of canaries that are in or out: of those of one run, or of one in many."""

SIMULATIONS = 400


@dataclass(frozen=True, kw_only=True)
class NoiseTimes(Mechanism):
    """Adds another multiple of the noise that it accounts for."""

    factor: float

    def add_noise(self, total, *, streams, step, scale=1.0, state=None):
        clean = {name: value.clone() for name, value in total.items()}
        super().add_noise(total, streams=streams, step=step, scale=scale, state=state)
        for name, value in total.items():
            value.sub_(clean[name], alpha=scale).mul_(self.factor).add_(clean[name], alpha=scale)


class ClipsTheBatch(PerExampleClipping):
    """Clips the mean gradient of the batch, as `clip_grad_norm_` does, and takes that for clipping examples."""

    def clipped_sum(self, model, losses_of, indices, **options):
        total = sums.plain(model, losses_of, indices, execution=options["execution"])
        norm = torch.cat([gradient.flatten() for gradient in total.values()]).double().norm()
        return {name: gradient * min(1.0, len(indices) * self.clip_norm / (float(norm) + 1e-12)) for name, gradient in total.items()}


class ForgetsTheEmbedding(PerExampleClipping):
    """Leaves embeddings out of the norm and out of the clipping: a layer without a hook."""

    def clipped_sum(self, model, losses_of, indices, **options):
        tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
        whole = sums.plain(model, losses_of, indices, execution=options["execution"])
        for table in tables:
            table.requires_grad_(False)
        try:
            rest = super().clipped_sum(model, losses_of, indices, **options)
        finally:
            for table in tables:
                table.requires_grad_(True)
        return whole | rest


@dataclass(frozen=True)
class DrawsTenfold(PoissonSampler):
    """Draws ten times as many examples as it accounts for."""

    def indices(self, step, streams):
        return PoissonSampler(self.examples, 10 * self.batch_size).indices(step, streams)


class TakenForExamples(MicroBatchClipping):
    """Takes clipped means of micro-batches for clipped examples: a sensitivity of C, where one example moves the sum by 2C."""

    def sensitivity(self, neighbouring):
        return self.clip_norm


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A mechanism, and how it is to be audited.

    Args:
        name: Of the fault, or of the sound mechanism.
        mechanism: Claims what it accounts for itself.
        kind: Of the audit.
        canaries: Of the audit.
        law: What an auditor sees; None where nothing is wrong.
    """

    name: str
    mechanism: Mechanism
    kind: AuditKind
    canaries: int
    law: Law | None = None

    def audit(self, seed: int) -> MechanismAudit:
        return audit_mechanism(self.mechanism, canaries=self.canaries, seed=seed, kind=self.kind)

    @cached_property
    def claim(self) -> PrivacyClaim:
        claim = self.mechanism.claim(self.name)
        assert claim is not None
        return claim

    def power(self, *, guessed: int | None, simulations: int = SIMULATIONS, seed: int = 0) -> float:
        """How probable it is that an audit contradicts the claim, by the law alone: nothing is trained.

        Args:
            guessed: How many canaries of one run are guessed.
            simulations: How many audits.
            seed: Of the simulation.
        """
        rng = np.random.default_rng(seed)
        return float(np.mean([self._contradicts(rng, guessed) for _ in range(simulations)]))

    def _contradicts(self, rng: np.random.Generator, guessed: int | None) -> bool:
        assert self.law is not None
        epsilon, delta = self.claim.epsilon, self.claim.delta
        gaussian = all(event.sampling_probability == 1 for event, _ in self.mechanism.ledger().entries)
        if guessed is not None:
            included = rng.random(self.canaries) < 0.5
            scores = self.law(rng, included)
            guesses = Guesses.ranked(scores, included, most_likely=guessed // 2, least_likely=guessed // 2)
            return proves(guesses, epsilon, delta=delta, alpha=0.05, gaussian=gaussian)
        inside, outside = (self.law(rng, np.full(self.canaries // 2, side)) for side in (True, False))
        if gaussian:
            return _gaussian_bound(inside, outside, delta=delta, alpha=0.05) > epsilon
        return registered_bound(inside, outside, delta=delta, level=0.95).value > epsilon


def drawn(*, probability: float, steps: int, signal: float, noise: float) -> Law:
    """In `steps` steps each canary is drawn with this probability, and adds this signal; the noise is that of one step."""

    def law(rng, included):
        signals = signal * included * rng.binomial(steps, probability, included.size)
        return signals + noise * math.sqrt(steps) * rng.standard_normal(included.size)

    return law


def batch_clipped(*, probability: float, steps: int, noise: float) -> Law:
    """Orthogonal gradients of one norm, of which B are drawn: their sum is scaled to norm B, so each has norm sqrt(B)."""

    def law(rng, included):
        drawn_SN = (rng.random((steps, included.size)) < probability) & included
        signals = (drawn_SN * np.sqrt(drawn_SN.sum(1, keepdims=True))).sum(0)
        return signals + noise * math.sqrt(steps) * rng.standard_normal(included.size)

    return law


N, DELTA, CLIP_NORM = 400, 1e-5, 0.7
QUARTER = {"probability": 0.25, "steps": 40}


def _dp_sgd(*, batch_size: int = N // 4, steps: int = 40, noise: float = 4.0, examples: int = N, sampler: str = "poisson", **options):
    return privacy.dp_sgd(
        examples=examples,
        batch_size=batch_size,
        steps=steps,
        clip_norm=CLIP_NORM,
        noise_multiplier=noise,
        delta=DELTA,
        sampler=sampler,
        **options,
    )


def _with_noise_times(mechanism: Mechanism, factor: float) -> Mechanism:
    return NoiseTimes(**{name: getattr(mechanism, name) for name in Mechanism.__dataclass_fields__}, factor=factor)


def _full_batch(examples: int = 20, steps: int = 2, noise: float = 2.0, **options) -> Mechanism:
    return _dp_sgd(examples=examples, batch_size=examples, steps=steps, noise=noise, **options)


def _edp_sgd(steps: int = 1, noise: float = 1.0) -> Mechanism:
    sizes = {"examples": 40, "batch_size": 40, "micro_batch_size": 10, "sampler": "poisson"}
    return privacy.edp_sgd(**sizes, steps=steps, clip_norm=CLIP_NORM, noise_multiplier=noise, delta=DELTA)


def _taken_for_examples(sound: Mechanism) -> Mechanism:
    clipper = sound.clipper
    assert isinstance(clipper, MicroBatchClipping)
    fields = {name: getattr(clipper, name) for name in MicroBatchClipping.__dataclass_fields__}
    return replace(sound, clipper=TakenForExamples(**fields))


BUGS = (
    Audited(
        name="noise x 0",
        mechanism=_with_noise_times(_dp_sgd(), 0.0),
        kind="one-run",
        canaries=N,
        law=drawn(**QUARTER, signal=1, noise=0),
    ),
    Audited(
        name="noise / sqrt(B)",
        mechanism=_with_noise_times(_dp_sgd(), (N / 4) ** -0.5),
        kind="one-run",
        canaries=N,
        law=drawn(**QUARTER, signal=1, noise=4 * (N / 4) ** -0.5),
    ),
    Audited(
        name="batch clipped, not examples",
        mechanism=replace(_dp_sgd(), clipper=ClipsTheBatch(clip_norm=CLIP_NORM)),
        kind="one-run",
        canaries=N,
        law=batch_clipped(**QUARTER, noise=4),
    ),
    Audited(
        name="embedding not clipped",
        mechanism=replace(_dp_sgd(), clipper=ForgetsTheEmbedding(clip_norm=CLIP_NORM)),
        kind="one-run",
        canaries=N,
        law=drawn(**QUARTER, signal=500 + 0.5**0.5, noise=4),
    ),
    Audited(
        name="draws 10 times what it accounts",
        mechanism=replace(_dp_sgd(batch_size=N // 10, steps=20, noise=2.0), sampler=DrawsTenfold(N, N // 10)),
        kind="one-run",
        canaries=N,
        law=drawn(probability=1.0, steps=20, signal=1, noise=2),
    ),
    Audited(
        name="noise / sqrt(B)",
        mechanism=_with_noise_times(_full_batch(), 20**-0.5),
        kind="alone",
        canaries=100,
        law=drawn(probability=1.0, steps=2, signal=1, noise=2 * 20**-0.5),
    ),
    Audited(
        name="batch clipped, not examples",
        mechanism=replace(_full_batch(), clipper=ClipsTheBatch(clip_norm=CLIP_NORM)),
        kind="opposed",
        canaries=100,
        law=drawn(probability=1.0, steps=2, signal=39, noise=2),
    ),
    Audited(
        name="micro-batches taken for examples",
        mechanism=_taken_for_examples(_edp_sgd()),
        kind="opposed",
        canaries=400,
        law=drawn(probability=1.0, steps=1, signal=2, noise=1),
    ),
    Audited(
        name="noise x 1/2",
        mechanism=_with_noise_times(_dp_sgd(batch_size=N, steps=2, noise=2.0), 0.5),
        kind="one-run",
        canaries=N,
        law=drawn(probability=1.0, steps=2, signal=1, noise=1),
    ),
)
"""The last one is small enough to be missed now and then; the audits of all others are all but sure to find it."""

SOUND = (
    Audited(name="dp-sgd, Poisson", mechanism=_dp_sgd(), kind="one-run", canaries=N),
    Audited(name="dp-sgd, truncated Poisson", mechanism=_dp_sgd(sampler="truncated-poisson"), kind="one-run", canaries=N),
    Audited(name="dp-sgd, shuffled", mechanism=_dp_sgd(steps=8, noise=2.0, sampler="shuffled"), kind="one-run", canaries=N),
    Audited(name="dp-sgd, adaptive clipping", mechanism=_dp_sgd(clipping="adaptive"), kind="one-run", canaries=N),
    Audited(name="dp-sgd, everybody drawn", mechanism=_dp_sgd(batch_size=N, steps=2, noise=2.0), kind="one-run", canaries=N),
    Audited(name="dp-sgd, everybody drawn", mechanism=_full_batch(), kind="alone", canaries=100),
    Audited(name="edp-sgd", mechanism=_edp_sgd(), kind="opposed", canaries=400),
)
"""The noise of the last three is no more than their claim needs, if the canary is as telling as can be."""
