"""Trains the runs of study files and keeps each result as one JSON object a line: what accuracy costs at which epsilon.

A tuning trial is scored on the validation set only. The chosen runs are scored on the test set as well, once.

python benchmarks/utility/train.py examples/snips_frontier.toml --results results.jsonl --test
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from holdfast.core.evidence import Estimate, Evidence
from holdfast.data import DataSplits, load_data
from holdfast.study import read_plan
from holdfast.study.plan import RunPlan, StudyPlan
from holdfast.study.steps import make_mechanism, make_task, resolved
from holdfast.training import train


def trained(plan: StudyPlan, run: RunPlan, data: DataSplits, *, test: bool) -> dict[str, Any]:
    """Trains one run and says in plain JSON what it promised, what it scored and how long it took."""
    began, worked = time.perf_counter(), time.process_time()
    mechanism = make_mechanism(plan, run, data.train)
    fitted = train(
        make_task(plan),
        data,
        mechanism=mechanism,
        model=plan.model_settings(run),
        settings=plan.training_settings(run),
        seed=plan.setting(run, "seed"),
        name=run.name,
    )
    seconds, processor = time.perf_counter() - began, time.process_time() - worked
    found = fitted.evidence()
    splits = {"validation": data.validation, **({"test": data.test} if test else {})}
    return {
        "run": run.name,
        "epsilon": None if fitted.claim is None else fitted.claim.epsilon,
        "epsilon_naive": value(found, "epsilon_naive", run.name),
        "noise_multiplier": mechanism.describe()["noise_multiplier"],
        "steps": mechanism.steps,
        "trained_parameters": value(found, "parameters", run.name),
        "seconds_per_epoch": statistics.median(fitted.history.epoch_seconds) if fitted.history.epoch_seconds else None,
        "seconds": seconds,
        "processor_seconds": processor,  # which busy neighbours do not stretch
        "threads": torch.get_num_threads(),
        "scores": {name: scored(fitted.evaluate(split)) for name, split in splits.items()},
        "settings": resolved(plan, run),
    }


def value(found: Evidence, name: str, run: str) -> float | None:
    """The value of one estimate, None where it was not made."""
    estimate = found.estimate(name, run)
    return None if estimate is None else estimate.value


def scored(found: Evidence) -> dict[str, list[float | None]]:
    """Value, low end and high end of each score."""
    return {estimate.name: bounds(estimate) for estimate in found.estimates}


def bounds(estimate: Estimate) -> list[float | None]:
    """The value and its interval."""
    span = estimate.interval
    return [estimate.value, None, None] if span is None else [estimate.value, span.low, span.high]


def kept(results: Path) -> list[Mapping[str, Any]]:
    """What earlier calls found."""
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("studies", type=Path, nargs="+", metavar="STUDY", help="a run that is in the results already is left out")
    made.add_argument("--results", type=Path, required=True, metavar="FILE", help="append one JSON object a line to this file")
    made.add_argument("--test", action="store_true", help="score on the test set too: for settings that are chosen, not for the search")
    arguments = made.parse_args()
    for path in arguments.studies:
        plan = read_plan(path)
        torch.set_num_threads(plan.threads or torch.get_num_threads())
        data = load_data(plan.data.source, **plan.data.options)
        for run in plan.run:
            if any((one["study"], one["run"]) == (path.stem, run.name) for one in kept(arguments.results)):
                continue
            row = {"study": path.stem, **trained(plan, run, data, test=arguments.test)}
            with arguments.results.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
            shown = {name: [score and round(score, 4) for score, *_ in part.values()] for name, part in row["scores"].items()}
            print(f"{path.stem}/{run.name}: epsilon {row['epsilon']}, {shown}, {row['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
