"""Timing in rounds against a unit, on a machine that may be disturbed: what was disturbed is dropped and done again."""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SPARE = 0.05  # CPU seconds a second that others may use of our cores


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One timing.

    Args:
        seconds: Of one step.
        unit_seconds: Of one step of the unit in the same round.
        interference: By how many cores the machine was overbooked meanwhile, in this sample or in the unit's; 0 or less is none.
    """

    seconds: float
    unit_seconds: float
    interference: float


@dataclass(frozen=True, kw_only=True)
class StepTiming:
    """What was seen of one engine.

    Args:
        samples: In the order of the rounds, at least one.
        wanted: How many clean ones were asked for.
    """

    samples: tuple[Sample, ...]
    wanted: int

    @property
    def clean(self) -> tuple[Sample, ...]:
        """Samples without interference."""
        return tuple(sample for sample in self.samples if sample.interference <= 0)

    @property
    def used(self) -> tuple[Sample, ...]:
        """The clean samples; where they are fewer than wanted, the least disturbed."""
        quietest = sorted(self.samples, key=lambda sample: max(0.0, sample.interference))
        return self.clean if len(self.clean) >= self.wanted else tuple(quietest[: self.wanted])

    @property
    def seconds(self) -> float:
        """Median of one step."""
        return statistics.median(sample.seconds for sample in self.used)

    @property
    def ratio(self) -> float:
        """Median of the ratios to the unit, round by round, so that a slow minute of the machine cancels."""
        return statistics.median(sample.seconds / sample.unit_seconds for sample in self.used)

    @property
    def note(self) -> str:
        """How many samples the figure rests on."""
        clean, taken = len(self.clean), len(self.samples)
        if clean >= self.wanted:
            return f"{clean} of {taken} samples clean"
        if taken >= self.wanted:
            return f"busy machine: {clean} of {taken} samples clean, so the quietest {self.wanted}"
        return f"{taken} of {self.wanted} samples, {clean} of them clean"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to go on.

    Args:
        wanted: Clean samples of each engine, at least 1.
        limit: Samples of each engine at most, clean or not.
        allowances: Seconds that an engine may take, by name; after these it gets no further samples than its first.
        threads: That the engines compute with.
        synchronize: Waits for a device that computes on the side.
        long_enough: Seconds that a sample lasts at least: shorter steps are timed several at a time, because the kernel
            counts in hundredths.
        lead_in: A step shorter than this many seconds is led in by one that does not count, and so is one that is too short.
    """

    wanted: int
    limit: int
    allowances: Mapping[str, float]
    threads: int
    synchronize: Callable[[], None] = lambda: None
    long_enough: float = 0.3
    lead_in: float = 0.0


@dataclass
class Load:
    """What the machine did beside this process."""

    threads: int
    began: tuple[float, float, float] = field(init=False)

    def __post_init__(self) -> None:
        self.began = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), _busy_seconds(), time.process_time()

    def overbooked(self) -> float:
        """Cores asked for beyond those there are since the start, less what is within the accuracy of the kernel's counters."""
        wall, busy, own = (now - then for now, then in zip(self._now(), self.began, strict=True))
        foreign = (busy - own) / wall
        return foreign + self.threads - (os.cpu_count() or 1) - SPARE - 0.02 / wall


def _busy_seconds() -> float:
    """CPU seconds that all processes, the kernel and other guests of the host took of this machine's cores; 0 where unknown."""
    try:
        user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def in_rounds(steps: Mapping[str, Callable[[int], object]], *, unit: str, plan: Plan) -> dict[str, StepTiming]:
    """Times every engine and the unit in turn, until each has enough clean samples.

    Args:
        steps: Name to a call that takes a step on the batch of a number; warmed up.
        unit: The name that the others are compared with.
        plan: When to stop.

    Returns:
        Name to timing.
    """
    taken: dict[str, list[Sample]] = {name: [] for name in steps}
    spent = dict.fromkeys(steps, 0.0)
    others = [name for name in steps if name != unit] or [unit]
    number = 0
    gc.collect()
    gc.freeze()
    try:
        while due := [name for name in others if not _done(taken[name], spent[name] >= plan.allowances.get(name, math.inf), plan)]:
            turn = [unit, *(name for name in due if name != unit)]
            first = number % len(turn)
            sampled = {name: _sample(steps[name], number, plan) for name in turn[first:] + turn[:first]}
            for name, (seconds, interference, whole) in sampled.items():
                worst = max(interference, sampled[unit][1])
                taken[name].append(Sample(seconds=seconds, unit_seconds=sampled[unit][0], interference=worst))
                spent[name] += whole
            number += 1
    finally:
        gc.unfreeze()
    return {name: StepTiming(samples=tuple(samples), wanted=plan.wanted) for name, samples in taken.items()}


def _done(samples: list[Sample], out_of_time: bool, plan: Plan) -> bool:
    if sum(sample.interference <= 0 for sample in samples) >= plan.wanted or len(samples) >= plan.limit:
        return True
    return bool(samples) and out_of_time


def _sample(step: Callable[[int], object], number: int, plan: Plan) -> tuple[float, float, float]:
    """Seconds of a step, interference, and seconds that it all took."""
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    seconds, interference = _timed(step, number, 1, plan)
    if seconds < max(plan.lead_in, plan.long_enough):
        seconds, interference = _timed(step, number, max(1, math.ceil(plan.long_enough / seconds - 1e-6)), plan)
    gc.enable()
    return seconds, interference, time.perf_counter() - began


def _timed(step: Callable[[int], object], number: int, repeats: int, plan: Plan) -> tuple[float, float]:
    """Seconds of one of so many steps, and interference meanwhile."""
    plan.synchronize()
    load = Load(plan.threads)
    began = time.perf_counter()
    for repeat in range(repeats):
        step(number + repeat)
    plan.synchronize()
    seconds = (time.perf_counter() - began) / repeats
    return seconds, load.overbooked()
