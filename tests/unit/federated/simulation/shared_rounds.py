"""What each process does in the tests of shared rounds; started by torchrun with what to do and the folder for results."""

import json
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tests.oracles.federations import tiny_population

from holdfast import federated
from holdfast.core.errors import HoldfastError
from holdfast.core.progress import Progress, silent
from holdfast.core.randomness import Streams
from holdfast.federated import LocalSolver, Simulation, algorithm, simulate
from holdfast.training.distributed import Group, joined

POPULATION = tiny_population([7, 1, 12, 5, 3, 9, 20, 2])
LOCAL = LocalSolver(learning_rate=0.3, batch_size=4)
FEDAVG = algorithm("fedavg", local=LOCAL)
ROUNDS = 6


def clock() -> federated.Schedule:
    options = {"periods": 3, "rounds_per_period": 2}
    return federated.schedule("continual", options, clients=POPULATION.clients, times_n=POPULATION.moments, streams=Streams(5))


def cases() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Algorithm and conditions by name, made anew."""
    adam = algorithm("fedadam", local=LOCAL, server={"learning_rate": 0.1})
    nova = algorithm("fednova", local=LocalSolver(learning_rate=0.1, batch_size=4, optimizer="momentum", momentum=0.5))
    late = federated.stragglers({"failing": [2], "failure": 0.2})
    return {
        "fedavg": (FEDAVG, {}),
        "closed form": (FEDAVG, {"kernel": "closed form"}),
        "stacked": (FEDAVG, {"kernel": "stacked"}),
        "fedadam": (adam, {}),
        "fednova": (nova, {}),
        "alone": (FEDAVG, {"cohort": 1}),  # one process has nobody
        "by losses": (FEDAVG, {"select": "power-of-choice", "cohort": 2}),
        "inverse": (FEDAVG, {"select": "activity", "weights": "inverse-propensity"}),
        "poisson": (FEDAVG, {"select": federated.selector("uniform", {"sampling": "poisson"}), "cohort": 2}),
        "repeated": (FEDAVG, {"select": federated.selector("activity", {"sampling": "with replacement"})}),
        "compressed": (FEDAVG, {"compressor": federated.compressor("8-bit")}),
        "stragglers": (FEDAVG, {"stragglers": late}),
        "lora": (FEDAVG, {"lora": {"rank": 2, "alpha": 4.0, "train": "b"}}),
        "continual": (FEDAVG, {"schedule": clock()}),
    }


def refused() -> dict[str, tuple[Any, dict[str, Any]]]:
    """What processes cannot share."""
    return {
        "scaffold": (algorithm("scaffold", local=LOCAL), {}),
        "rule": (FEDAVG, {"rule": federated.rule("median")}),
        "feedback": (FEDAVG, {"compressor": federated.ErrorFeedback(federated.compressor("top-k", {"share": 0.1}))}),
    }


def run(algo: Any, options: dict[str, Any], folder: Path | None = None, **more: Any) -> Simulation:
    defaults: dict[str, Any] = {"cohort": 5, "rounds": ROUNDS, "seed": 5, "kernel": "sequential", "evaluate_every": 2}
    return simulate(algo, POPULATION, folder=folder, **{**defaults, **options, **more})


def left(found: Simulation) -> dict[str, Any]:
    """What was measured, but for the time it took."""
    told = found.state.history.to_json()
    del told["seconds"]
    return told | {"times": found.state.signals.times.tolist(), "norms": found.state.norms.tolist(), "kernel": found.kernel}


def keep(found: Simulation, folder: Path, name: str) -> None:
    rank = Group.current().rank
    save_file(found.state.server.weights, folder / f"{name}-{rank}.safetensors")
    (folder / f"{name}-{rank}.json").write_text(json.dumps(left(found)))


class Gone(Exception):
    """What a process meets that is killed."""


def dying(progress: Progress) -> None:
    if progress.done == 4:
        raise Gone


def all_cases(folder: Path) -> None:
    for name, (algo, options) in cases().items():
        keep(run(algo, options, folder / name), folder, name)
    keep(run(FEDAVG, {}, folder / "secret", seed=None), folder, "secret")
    rank = Group.current().rank
    for name, (algo, options) in refused().items():
        try:
            run(algo, options)
        except HoldfastError as error:
            (folder / f"{name}-{rank}.txt").write_text(f"{type(error).__name__}: {error}")


def killed_and_resumed(folder: Path) -> None:
    """Dies in all processes after round 4, of which round 3 is the last that was kept, and goes on."""
    try:
        run(FEDAVG, {}, folder / "killed", checkpoint_every=3, on_progress=dying)
    except Gone:
        keep(run(FEDAVG, {}, folder / "killed", checkpoint_every=3, resume=True, on_progress=silent), folder, "killed")


if __name__ == "__main__":
    with joined():
        {"cases": all_cases, "resume": killed_and_resumed}[sys.argv[1]](Path(sys.argv[2]))
