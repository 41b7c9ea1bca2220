"""Holding a mechanism to what its account says: how it draws, how far one example moves its sum, how loud its noise is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from holdfast.core.randomness import Streams
from holdfast.privacy import Execution, Mechanism, PrivacyEvent
from holdfast.privacy.engine import Gradients

RARE = 1e-9
"""How unlikely a draw must be under the account before it is called wrong: a sound mechanism fails once in 100 million runs."""
DRAWS = 4_000_000
"""How many single draws of examples are looked at."""
SLACK = 1e-6
"""Relative error of a float64 sum that is let pass."""
BATCH = 24


def check_mechanism(mechanism: Mechanism, *, seed: int = 0) -> None:
    """Holds a mechanism to its account by running its parts, in a few seconds and without training.

    Looked at: examples are drawn with the probability that the event states, independently, never above a cap, and the same
    again from the same streams; no example moves the clipped sum by more than the stated sensitivity, on a model with tied
    weights and with gradients from nothing to enormous; the noise is Gaussian with the stated deviation in every
    coordinate, anew in each step and for each parameter; the event of a step claims no more noise than there is.

    Args:
        mechanism: With noise; of this package or your own sampler and clipper in it.
        seed: Of all draws: the check says the same every time.

    Raises:
        AssertionError: Naming the first clause that does not hold.

    Guarantee:
        None from above: a mechanism that passes may still be wrong. What is said to be wrong is wrong, but for one run in
        some hundred million.

    >>> from holdfast import privacy
    >>> check_mechanism(privacy.dp_sgd(examples=400, batch_size=40, steps=30, clip_norm=0.5, noise_multiplier=1.1, delta=1e-5))
    """
    _holds(mechanism.private, "the mechanism adds no noise, so there is no account to hold it to")
    streams = Streams.from_seed(seed).child("check")
    _check_draws(mechanism, streams)
    _check_sum(mechanism, streams)
    _check_noise(mechanism, streams)
    _check_account(mechanism)


def _holds(condition: bool, clause: str) -> None:
    if not condition:
        raise AssertionError(clause)


def _check_draws(mechanism: Mechanism, streams: Streams) -> None:
    sampler = mechanism.sampler
    event = sampler.event(1.0)
    _holds(event is not None, f"{type(sampler).__name__} states no event, so nothing drawn by it can be accounted for")
    assert event is not None
    steps = max(20, min(400, DRAWS // sampler.examples))
    batches = [sampler.indices(step, streams) for step in range(steps)]
    for step, indices in enumerate(batches):
        _holds(len(np.unique(indices)) == len(indices), f"step {step} draws an example twice")
        inside = len(indices) == 0 or (indices.min() >= 0 and indices.max() < sampler.examples)
        _holds(bool(inside), f"step {step} draws indices outside of 0 to {sampler.examples - 1}")
    replayed = all(np.array_equal(sampler.indices(step, streams), batches[step]) for step in range(3))
    _holds(replayed, "the same step draws another batch from the same streams, so a resumed run would not be the accounted one")
    if event.sampler == "shuffled":
        _check_epochs(mechanism, streams)
    else:
        _check_probability(event, sampler.examples, batches)


def _check_epochs(mechanism: Mechanism, streams: Streams) -> None:
    sampler = mechanism.sampler
    firsts = [step for step in range(3 * math.ceil(sampler.steps_per_epoch) + 1) if sampler.begins_event(step)]
    for first, following in pairwise(firsts):
        drawn = np.concatenate([sampler.indices(step, streams) for step in range(first, following)])
        clause = f"the steps {first} to {following - 1}, accounted as one event, do not draw every example exactly once"
        _holds(np.array_equal(np.sort(drawn), np.arange(sampler.examples)), clause)


def _check_probability(event: PrivacyEvent, examples: int, batches: list[NDArray[np.int64]]) -> None:
    """Size of the batches, their spread, and how often each example is drawn."""
    p, steps = event.sampling_probability, len(batches)
    sizes_S = np.array([len(batch) for batch in batches])
    most = examples if event.cap is None else event.cap
    _holds(int(sizes_S.max()) <= most, f"a batch of {sizes_S.max()} is above the cap of the event, {most}")
    possible = np.arange(examples + 1)
    chances, values = stats.binom.pmf(possible, examples, p), np.minimum(possible, most)
    mean = float((chances * values).sum())
    variance = float((chances * (values - mean) ** 2).sum())
    stated = f"{event.sampler} sampling with probability {p:.4g}"
    z = (sizes_S.sum() - steps * mean) / math.sqrt(steps * variance + 1e-12)
    _holds(_likely(z), f"batches have {sizes_S.mean():.4g} examples on average; {stated} gives {mean:.4g}")
    spread = float(((sizes_S - mean) ** 2).sum()) / max(variance, 1e-12)
    if event.cap is None:
        low, high = stats.chi2.ppf((RARE, 1 - RARE), steps)
        _holds(low < spread < high, f"the sizes of batches vary by {math.sqrt(spread / steps):.3g} of what {stated} gives")
    share = mean / examples
    counts = np.bincount(np.concatenate(batches), minlength=examples)
    unit = steps * share * (1 - share)
    if unit > 0:
        unevenness = float(((counts - steps * share) ** 2).sum()) / unit
        z = (unevenness - examples) / math.sqrt(examples * (2 + abs(1 - 6 * share * (1 - share)) / unit))
        _holds(z < 8, f"some examples are drawn far more often than others, which {stated} does not do")


def _likely(z: float) -> bool:
    return bool(2 * stats.norm.sf(abs(z)) > RARE)


class _Probe(nn.Module):
    """A small model with an embedding tied to the head, a norm and a linear layer: every kind of term that a clipper can get wrong."""

    def __init__(self, streams: Streams) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(streams.integer("probe"))
            self.words, self.normal, self.block, self.head = nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 9)
            self.double()
            self.head.weight = self.words.weight
            self.ids_NT = torch.randint(0, 4, (2 * BATCH, 5))  # few ids, so that they repeat
            self.labels_N = torch.randint(0, 9, (2 * BATCH,))
        steps_N = torch.arange(2 * BATCH)
        self.scales_N = torch.tensor([0.0, 1e-4, 0.3, 1.0, 30.0, -1e4], dtype=torch.float64)[steps_N % 6]

    def losses_of(self, indices: NDArray[np.int64]) -> Tensor:
        """Losses whose gradients go from nothing to enormous, and point both ways."""
        rows = torch.from_numpy(np.asarray(indices))
        x = self.words(self.ids_NT[rows])
        x = self.normal(x + self.block(x).tanh()).sum(1)
        losses = nn.functional.cross_entropy(self.head(x), self.labels_N[rows], reduction="none")
        return self.scales_N[rows] * losses


class _Alike(_Probe):
    """The same, with examples that are all alike, but for one in six that is far louder and points the other way."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams)
        self.ids_NT, self.labels_N = self.ids_NT[:1].expand(2 * BATCH, -1), self.labels_N[:1].expand(2 * BATCH)
        self.scales_N = torch.where(self.scales_N < 0, -1e4, 30.0)


def _check_sum(mechanism: Mechanism, streams: Streams) -> None:
    relation = mechanism.sampler.neighbouring
    stated = mechanism.clipper.sensitivity(relation)
    for probe in (_Probe(streams), _Alike(streams)):
        empty = _sum(mechanism, probe, np.arange(0), streams)
        parameters = {name for name, parameter in probe.named_parameters()}
        whole_and_zero = empty.keys() == parameters and not any(bool(gradient.any()) for gradient in empty.values())
        _holds(whole_and_zero, "the sum over an empty batch is not a zero for every parameter; the step must still take its noise")
        moved = max(_changes(mechanism, probe, streams))
        _holds(
            moved <= stated * (1 + SLACK),
            f"one example moves the clipped sum by {moved:.6g} under {relation} neighbouring, and the stated sensitivity is {stated:.6g}",
        )


def _changes(mechanism: Mechanism, probe: _Probe, streams: Streams) -> Iterator[float]:
    """How far each example moves the sum by leaving the batch, or by being replaced."""
    batch = np.arange(BATCH)
    whole = _sum(mechanism, probe, batch, streams)
    for gone in batch:
        if mechanism.sampler.neighbouring != "replace-one":
            yield _distance(whole, _sum(mechanism, probe, np.delete(batch, gone), streams))
            continue
        kept = probe.ids_NT.clone(), probe.labels_N.clone(), probe.scales_N.clone()
        probe.ids_NT, probe.labels_N, probe.scales_N = (values.clone() for values in kept)
        for values in (probe.ids_NT, probe.labels_N, probe.scales_N):
            values[gone] = values[BATCH + (gone + 3) % BATCH]
        yield _distance(whole, _sum(mechanism, probe, batch, streams))
        probe.ids_NT, probe.labels_N, probe.scales_N = kept


def _sum(mechanism: Mechanism, probe: _Probe, indices: NDArray[np.int64], streams: Streams) -> Gradients:
    return mechanism.clipper.clipped_sum(
        probe,
        probe.losses_of,
        indices,
        streams=streams,
        step=0,
        execution=Execution(physical_batch_size=10),
        state=mechanism.clipping_state(),
    )


def _distance(one: Gradients, other: Gradients) -> float:
    return float(torch.stack([(one[name] - other[name]).square().sum() for name in one]).sum().sqrt())


def _check_noise(mechanism: Mechanism, streams: Streams) -> None:
    shapes = {"one": (60, 50), "other": (60, 50), "short": (7,), "scalar": ()}
    draws: dict[str, list[Tensor]] = {name: [] for name in shapes}
    for step in range(min(8, mechanism.steps)):
        deviation = mechanism.standard_deviation(step, mechanism.clipping_state())
        total = _drawn(mechanism, shapes, streams, step)
        replayed = _drawn(mechanism, shapes, streams, step)
        same = all(torch.equal(total[name], replayed[name]) for name in shapes)
        _holds(same, f"the noise of step {step} is another one when the step is replayed")
        for name, noise in total.items():
            draws[name].append(noise.flatten() / deviation)
    for name, parts in draws.items():
        values = torch.cat(parts)
        power, count = float(values.square().sum()), values.numel()
        low, high = stats.chi2.ppf((RARE, 1 - RARE), count)
        clause = f"the noise of parameter {name!r} has {math.sqrt(power / count):.4g} times the stated deviation"
        _holds(low < power < high, clause)
    everything = torch.cat([torch.cat(parts) for parts in draws.values()])
    _holds(stats.kstest(everything.numpy(), "norm").pvalue > RARE, "the noise is not Gaussian")
    large = [part for name in ("one", "other") for part in draws[name]]
    for position, part in enumerate(large):
        for earlier in large[:position]:
            z = float(part @ earlier) / math.sqrt(part.numel())
            _holds(_likely(z), "two steps or two parameters share their noise")


def _drawn(mechanism: Mechanism, shapes: dict[str, tuple[int, ...]], streams: Streams, step: int) -> Gradients:
    total = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}
    mechanism.finish(total, streams=streams, step=step, state=mechanism.clipping_state())
    return {name: noise * mechanism.divisor for name, noise in total.items()}


def _check_account(mechanism: Mechanism) -> None:
    sensitivity = mechanism.clipper.sensitivity(mechanism.sampler.neighbouring)
    known: dict[float, int] = {}
    for step in filter(mechanism.sampler.begins_event, range(mechanism.steps)):
        actual = mechanism.standard_deviation(step, mechanism.clipping_state()) / sensitivity
        known[actual] = known.get(actual, 0) + 1
    entries = mechanism.ledger().entries
    _holds(sum(count for _, count in entries) == sum(known.values()), "the ledger has another number of events than the steps release")
    claimed = sorted(event.noise_multiplier for event, count in entries for _ in range(count))
    there = sorted(actual for actual, count in known.items() for _ in range(count))
    for one, other in zip(claimed, there, strict=True):
        _holds(one <= other * (1 + SLACK), f"an event claims noise of {one:.6g} times the sensitivity where there is {other:.6g}")
    probability = {event.sampling_probability for event, _ in entries}
    stated = mechanism.sampler.event(1.0)
    _holds(
        stated is not None and probability == {stated.sampling_probability}, "the ledger has another sampling probability than the sampler"
    )
