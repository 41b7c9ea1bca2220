"""Where the time of a private step goes beyond that of a plain one, operation by operation."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from private_step import UNIT
from private_step.cases import Case
from private_step.engines import MAKERS, Workload

STEPS = 4
SHOWN = 20
UNSEEN = "(outside operations: Python, compiled kernels)"


def profiled(case: Case, engines: list[str], device: torch.device, micro_batches: int) -> Iterator[str]:
    """A table for each engine: milliseconds a step of each operation, without those that it calls, here and in the plain step."""
    work = Workload(case=case, device=device, clip_norm=1.0, micro_batches=micro_batches)
    plain = _milliseconds(UNIT, work)
    for engine in engines:
        if engine == UNIT:
            continue
        found = _milliseconds(engine, work)
        more = {name: found.get(name, 0.0) - plain.get(name, 0.0) for name in found.keys() | plain.keys()}
        dearest = sorted(more, key=lambda name: -abs(more[name]))[:SHOWN]
        width = max(map(len, dearest))
        yield f"{case.name}: {engine} takes {sum(found.values()):.1f} ms under the profiler, plain {sum(plain.values()):.1f} ms"
        yield f"{'operation'.ljust(width)}  {engine:>20}  {UNIT:>8}  {'more':>8}"
        for name in dearest:
            yield f"{name.ljust(width)}  {found.get(name, 0.0):20.2f}  {plain.get(name, 0.0):8.2f}  {more[name]:+8.2f}"


def _milliseconds(name: str, work: Workload) -> dict[str, float]:
    """Own time of each operation in a step."""
    engine = MAKERS[name](work)
    for number in range(2):
        engine.step(number)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (work.device.type == "cuda")
    began = time.perf_counter()
    with profile(activities=activities) as seen:
        for number in range(STEPS):
            engine.step(number)
        if work.device.type == "cuda":
            torch.cuda.synchronize()
        wall = time.perf_counter() - began
    found = {event.key: event.self_cpu_time_total / 1000 / STEPS for event in seen.key_averages()}
    return {**found, UNSEEN: max(0.0, wall * 1000 / STEPS - sum(found.values()))}
