"""What a private step costs beside an ordinary one: time and peak memory by model and engine, each checked against float64 first."""

from __future__ import annotations

import argparse
import functools
import gc
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness import Row, parser, report
from private_step import CASE_NAMES, ENGINE_NAMES, UNIT

METRICS = ("step_seconds", "peak_memory", "relative_error")
QUICK_SECONDS = 270.0
LARGE = {"bert-T128": 1.7, "distilbert-T32": 3.2, "lora-T32": 1.8}  # how many times the share of the others these cases need


def arguments_of(argv: list[str] | None = None) -> argparse.Namespace:
    made = parser(__doc__, quick="all of ours, and of the others what there is time for: at most 5 minutes on two cores")
    for name, choices in (("case", CASE_NAMES), ("engine", ENGINE_NAMES), ("metric", METRICS)):
        made.add_argument(f"--{name}s", nargs="+", choices=choices, default=choices, metavar=name.upper(), help=", ".join(choices))
    made.add_argument("--threads", type=int, default=2, metavar="N", help="to compute with (2)")
    made.add_argument("--device", default="cpu", help="cpu or cuda")
    made.add_argument("--kernels", choices=("compiled", "torch"), help="of holdfast; without it what a user gets on this machine")
    made.add_argument("--micro-batches", type=int, default=1, metavar="M", help="that a batch of holdfast-micro-batch is split into (1)")
    made.add_argument("--samples", type=int, metavar="N", help="clean samples of each step (7)")
    made.add_argument("--tiny", action="store_true", help="tiny models and one sample: says that it runs, nothing of speed")
    made.add_argument("--profile", action="store_true", help="print where the time of each engine goes, instead of figures")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables of the documentation to this file")
    return made.parse_args(argv)


def rows_of(options: argparse.Namespace) -> Iterator[Row]:
    import torch
    from private_step.case_run import CaseRun, Effort, Setting
    from private_step.memory import MemoryLab

    effort = Effort()
    if options.quick:
        memory_of = (UNIT, "holdfast-flat", "holdfast-micro-batch", "opacus-ghost")
        effort = Effort(limit=14, rows=2, warm_up=1, others=1.0, memory_of=memory_of, memory_steps=1, long_enough=0.15, lead_in=0.0)
    if options.tiny:
        effort = Effort(wanted=1, limit=1, warm_up=1, memory_steps=1, long_enough=0.0, lead_in=0.0)
    if options.samples is not None:
        effort = replace(effort, wanted=options.samples, limit=4 * options.samples)
    began = time.monotonic()
    torch.set_num_threads(options.threads)
    setting = Setting(
        engines=tuple(options.engines),
        metrics=tuple(options.metrics),
        effort=effort,
        device=torch.device(options.device),
        threads=options.threads,
        micro_batches=options.micro_batches,
        tiny=options.tiny,
        lab=MemoryLab() if "peak_memory" in options.metrics else None,
        left=lambda: math.inf,
    )
    for position, name in enumerate(options.cases):
        if options.quick:  # what one case leaves of its share is the others'
            now = time.monotonic()
            share = LARGE.get(name, 1.0) / sum(LARGE.get(one, 1.0) for one in options.cases[position:])
            setting = replace(setting, left=functools.partial(_left, now + share * (began + QUICK_SECONDS - now)))
        yield from CaseRun(name, setting).rows()
        gc.collect()
        print(f"{name}: done after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _left(deadline: float) -> float:
    return deadline - time.monotonic()


def print_profiles(options: argparse.Namespace) -> None:
    import torch
    from private_step.cases import case_named
    from private_step.profile import profiled

    torch.set_num_threads(options.threads)
    for name in options.cases:
        case = case_named(name, tiny=options.tiny)
        for line in profiled(case, list(options.engines), torch.device(options.device), options.micro_batches):
            print(line, flush=True)


def main() -> None:
    options = arguments_of()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if options.kernels is not None:
        os.environ["HOLDFAST_KERNELS"] = options.kernels
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    if options.profile:
        print_profiles(options)
        return
    rows = list(rows_of(options))
    report(rows, options.json)
    if options.markdown is not None:
        from private_step.markdown import tables

        options.markdown.write_text(tables(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
