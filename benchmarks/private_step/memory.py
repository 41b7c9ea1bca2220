"""Peak memory of one step: how far the resident set of a fresh process rises above what it holds between steps."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import statistics
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# With these the C library takes each large block from the system and gives it back when it is freed, so that the resident set
# follows the tensors; by default it keeps freed blocks, and how many depends on everything that ran before.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "2"}
WARM_UP, STEPS = 1, 3


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be measured.

    Args:
        case: Name.
        engine: Name.
        tiny: At the tiny size.
        batch: Rows of a batch; None for those of the case.
        threads: To compute with.
        device: Name.
        micro_batches: Of the micro-batch engine.
        steps: Measured, after those that warm up.
    """

    case: str
    engine: str
    tiny: bool
    batch: int | None = None
    threads: int
    device: str = "cpu"
    micro_batches: int = 1
    steps: int = STEPS


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was measured.

    Args:
        growth: Bytes by which one step's peak rises above what is held between steps; None where there was no step.
        held: Bytes held between steps, model and libraries included.
        reason: Why there is no growth.
    """

    growth: float | None
    held: float = 0.0
    reason: str = ""


@dataclass
class MemoryLab:
    """Starts a fresh process for each question, from one that has imported everything and computed nothing."""

    timeout: float = 600.0
    context: Any = field(init=False)

    def __post_init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["private_step.preload"])
        path = os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]))
        with _environment({**ALLOCATOR, "PYTHONPATH": path}):  # the C library reads the former when a process starts, not later
            multiprocessing.forkserver.ensure_running()

    def ask(self, question: Question) -> Answer:
        """Measures in a process of its own."""
        ours, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_answer, args=(question, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            if ours.poll(self.timeout):
                return ours.recv()
            return Answer(growth=None, reason=f"no step within {self.timeout:.0f} s")
        except EOFError:
            process.join()
            return Answer(growth=None, reason=f"its process was ended from outside (exit code {process.exitcode}): out of memory?")
        finally:
            process.kill()
            process.join()
            ours.close()


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _answer(question: Question, reply: Connection) -> None:
    warnings.simplefilter("ignore")
    try:
        reply.send(measure(question))
    except Exception as error:  # any refusal of an engine is an answer
        from private_step.reasons import reason

        reply.send(Answer(growth=None, reason=reason(error)))


def measure(question: Question) -> Answer:
    """Takes some steps to reach the steady state, then measures the next ones."""
    import torch

    from private_step.cases import case_named
    from private_step.engines import MAKERS, Workload

    torch.set_num_threads(question.threads)
    device = torch.device(question.device)
    case = case_named(question.case, tiny=question.tiny, batch=question.batch)
    engine = MAKERS[question.engine](Workload(case=case, device=device, clip_norm=1.0, micro_batches=question.micro_batches))
    for number in range(WARM_UP):
        engine.step(number)
    growths, held = [], 0.0
    for number in range(question.steps):
        gc.collect()
        held = _start(device)
        engine.step(WARM_UP + number)
        growths.append(_peak(device) - held)
    return Answer(growth=statistics.median(growths), held=held)


def _start(device: Any) -> float:
    """Bytes held now; the peak is forgotten."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        return float(torch.cuda.memory_allocated(device))
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak(device: Any) -> float:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
        return float(torch.cuda.max_memory_allocated(device))
    return _status("VmHWM")


def _status(field_: str) -> float:
    """A line of the kernel's account of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(field_ + ":"))
