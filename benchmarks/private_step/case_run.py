"""One case of the benchmark: every engine is checked against float64, timed in rounds, and asked for its peak memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from harness import Row

from private_step import ENGINE_NAMES, OTHERS, UNIT
from private_step.cases import Case, case_named
from private_step.engines import MAKERS, Engine, Workload, note
from private_step.memory import MemoryLab, Question
from private_step.reasons import reason
from private_step.reference import Reference, relative_error
from private_step.rounds import Plan, in_rounds

TOLERANCE = 1e-3  # of the clipped sum; an engine beyond it computes something else, and its speed is no figure
LATER = "left to the full run"
FOR_OURS, FOR_OTHERS = 0.6, 0.15  # of the time that a case has; comparators are checked while this much of it is left
UNITS = {"relative_error": "", "step_seconds": "s", "peak_memory": "MiB"}


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured.

    Args:
        wanted: Clean samples of a step.
        limit: Samples at most, clean or not.
        rows: Of the batch that the float64 loop checks; None for all.
        warm_up: Steps before the first sample; a comparator, being slow, gets a third of them.
        others: Seconds after which a comparator gets no further samples.
        memory_of: Engines whose memory is measured.
        memory_steps: Steps whose memory is measured.
        long_enough: Seconds that a sample lasts at least.
        lead_in: Steps shorter than this many seconds are led in by one that does not count.
    """

    wanted: int = 7
    limit: int = 28
    rows: int | None = None
    warm_up: int = 3
    others: float = math.inf
    memory_of: tuple[str, ...] = ENGINE_NAMES
    memory_steps: int = 3
    long_enough: float = 0.3
    lead_in: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What holds for all cases of a run.

    Args:
        engines: Names; the unit is always measured.
        metrics: Names.
        effort: How much is measured.
        device: Where to compute.
        threads: To compute with.
        micro_batches: Of the micro-batch engine.
        tiny: Whether the models are tiny.
        lab: Measures memory; None to leave it out.
        left: Seconds that the case may still take; infinite but in a quick run.
    """

    engines: tuple[str, ...]
    metrics: tuple[str, ...]
    effort: Effort
    device: torch.device
    threads: int
    micro_batches: int
    tiny: bool
    lab: MemoryLab | None
    left: Callable[[], float]


@dataclass
class CaseRun:
    """All engines on one case.

    Args:
        name: Of the case.
        setting: Of the run.
    """

    name: str
    setting: Setting
    case: Case = field(init=False)
    ready: dict[str, Engine] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.case = case_named(self.name, tiny=self.setting.tiny)
        self.engines = (UNIT, *(name for name in self.setting.engines if name != UNIT))

    def rows(self) -> Iterator[Row]:
        """Every figure, an engine's metrics together."""
        found = [*self.errors()]
        if "step_seconds" in self.setting.metrics:
            found += self.times()
        self.ready.clear()
        if "peak_memory" in self.setting.metrics:
            found += self.memory()
        for engine in self.engines:
            yield from (row for row in found if row.engine == engine and row.metric in self.setting.metrics)

    def row(self, engine: str, metric: str, value: float | None, said: str, ratio: float | None = None) -> Row:
        """A figure of this case; the unit has no ratio to itself."""
        against = "" if engine == UNIT or ratio is None else UNIT
        return Row(
            bench="clipping",
            case=self.name,
            engine=engine,
            metric=metric,
            value=value,
            unit=UNITS[metric],
            ratio_to=against,
            ratio=ratio if against else None,
            note=said,
        )

    def errors(self) -> Iterator[Row]:
        """Builds every engine and compares its clipped sum with the float64 loop; what is wrong or refused goes no further."""
        rows = self.case.indices(0)[: self.setting.effort.rows]
        needed = (FOR_OURS + FOR_OTHERS) * self.setting.left()
        reference = Reference(self.case, self.setting.device, rows)
        self.work = Workload(
            case=self.case, device=self.setting.device, clip_norm=reference.clip_norm(), micro_batches=self.setting.micro_batches
        )
        right = reference.per_example(self.work.clip_norm)
        for name in self.engines:
            if name in OTHERS and self.setting.left() < needed:
                self.refused[name] = LATER
                yield self.row(name, "relative_error", None, LATER)
                continue
            try:
                engine = MAKERS[name](self.work)
                if name == UNIT:
                    self.ready[name] = engine
                    continue
                assigned = getattr(engine, "assignment", lambda rows: None)(rows)
                expected = right if assigned is None else reference.by_micro_batch(engine.clipper, assigned)
                began = time.perf_counter()
                found = engine.clipped_sum(rows)
                self.expected[name] = (time.perf_counter() - began) * self.case.shape.batch / len(rows)
                error = relative_error(found, expected)
            except Exception as refusal:  # whatever an engine says to a case is its row, not the end of the table
                self.refused[name] = reason(refusal)
                yield self.row(name, "relative_error", None, self.refused[name])
                continue
            if error <= TOLERANCE:
                self.ready[name] = engine
            else:
                self.refused[name] = f"not measured: its clipped sum is wrong by {error:.2g}"
            yield self.row(name, "relative_error", error, f"{len(rows)} rows, clip norm {self.work.clip_norm:.3g}")

    def times(self) -> Iterator[Row]:
        """Warms the engines up and times them in rounds."""
        setting, effort = self.setting, self.setting.effort
        steps = {name: self.ready[name].step for name in self._in_time()}
        for name, step in steps.items():
            for number in range(effort.warm_up // 3 if name in OTHERS else effort.warm_up):
                step(number)
        ours = [name for name in steps if name not in OTHERS]
        share = FOR_OURS * max(0.0, setting.left()) / len(ours)
        plan = Plan(
            wanted=effort.wanted,
            limit=effort.limit,
            allowances={name: effort.others if name in OTHERS else share for name in steps},
            threads=setting.threads,
            synchronize=torch.cuda.synchronize if setting.device.type == "cuda" else lambda: None,
            long_enough=effort.long_enough,
            lead_in=effort.lead_in,
        )
        timings = in_rounds(steps, unit=UNIT, plan=plan)
        for name in self.engines:
            if name in timings:
                said = "; ".join(filter(None, [timings[name].note, note(name, self.work)]))
                yield self.row(name, "step_seconds", timings[name].seconds, said, timings[name].ratio)
            else:
                yield self.row(name, "step_seconds", None, self.refused.get(name, LATER))

    def _in_time(self) -> Iterator[str]:
        """Engines to time: all of ours, and the comparators whose first step fits into what there is time for."""
        budget = FOR_OTHERS * self.setting.left()
        for name in self.ready:
            if name in OTHERS:
                if self.expected[name] > budget:
                    continue
                budget -= self.expected[name]
            yield name

    def memory(self) -> Iterator[Row]:
        """Asks a fresh process for each engine."""
        setting, effort = self.setting, self.setting.effort
        assert setting.lab is not None
        unit: float | None = None
        for name in self.engines:
            if name in self.refused or name not in effort.memory_of or setting.left() <= 0:
                yield self.row(name, "peak_memory", None, self.refused.get(name, LATER))
                continue
            question = Question(
                case=self.name,
                engine=name,
                tiny=setting.tiny,
                threads=setting.threads,
                device=str(setting.device),
                micro_batches=setting.micro_batches,
                steps=effort.memory_steps,
            )
            answer = setting.lab.ask(question)
            if answer.growth is None:
                yield self.row(name, "peak_memory", None, answer.reason)
                continue
            unit = answer.growth if name == UNIT else unit
            said = f"above {answer.held / 2**20:.0f} MiB held between steps"
            yield self.row(name, "peak_memory", answer.growth / 2**20, said, answer.growth / unit if unit else None)
