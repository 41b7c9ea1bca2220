"""A round of federated averaging beside a plain loop, pfl and Flower; selecting from millions of clients; opening large populations."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from federation import CASE_NAMES, ENGINE_NAMES, OURS, PEERS, ROUND_CASES
from federation.alone import Answer, ask
from federation.environments import DEFAULT_FOLDER, make, missing, python_of
from federation.host import TOLERANCE, EngineProcess, Told, furthest, in_turn, rows_of
from federation.jobs import SHAPES, TINY
from harness import Row, parser, report

WARM_UP = 2
QUICK_CASES = ("bag-163k", "cached-head", "select-1e4", "population-1e4")
SIMULATED = ", simulate"
"""What ours is called when `federated.simulate` runs the rounds, and not `LocalTraining` alone."""
CACHED = ", cached features"
"""What an engine is called that gets the vectors of a frozen encoder, as ours computes them for itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wrong:
    """An engine that ended with other weights.

    Args:
        engine: Its name.
        apart: How far.
        base: From which engine.
    """

    engine: str
    apart: float
    base: str

    def __str__(self) -> str:
        return f"its weights are {self.apart:.2g} from those of {self.base}: it computes something else, and its speed is no figure"


def variants(case: str, engines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """The name of each row, the engine behind it, and its variant.

    Ours runs by itself and in the simulator; on a frozen encoder others run with and without its vectors kept.
    """
    for engine in engines:
        yield engine, engine, "plain"
        if engine == OURS:
            yield engine + SIMULATED, engine, "simulated"
        if SHAPES[case].model == "head" and engine != OURS:
            yield engine + CACHED, engine, "cached"


def measure_rounds(case: str, arguments: argparse.Namespace) -> list[Row]:
    """The rows of one case of rounds."""
    from federation.ours import job_of

    shape = dataclasses.replace(SHAPES[case], **TINY) if arguments.quick else SHAPES[case]
    rounds = WARM_UP + arguments.rounds
    wanted = list(variants(case, arguments.engine))
    notes = {name: missing(engine) for name, engine, _ in wanted if python_of(engine, arguments.envs) is None}
    with tempfile.TemporaryDirectory(prefix="fed") as folder:  # short, for the sockets of Ray
        job = Path(folder) / "job.npz"
        job_of(shape, rounds).save(job)
        told, failed = run_all(job, Path(folder), [each for each in wanted if each[0] not in notes], arguments.envs, rounds)
    notes |= {name: f"failed: {why}" for name, why in failed.items()}
    right, wrong = checked(told)
    return rows_of(case, right, notes | {one.engine: str(one) for one in wrong}, ratio_to=next(iter(told), OURS))


def run_all(
    job: Path, folder: Path, wanted: Sequence[tuple[str, str, str]], envs: Path, rounds: int
) -> tuple[dict[str, Told], dict[str, str]]:
    """Starts the engines and lets them take their turns.

    Returns:
        What each said; and why others failed.
    """
    engines: dict[str, EngineProcess] = {}
    try:
        for number, (name, engine, variant) in enumerate(wanted):
            python = python_of(engine, envs)
            assert python is not None
            engines[name] = EngineProcess(name=engine, python=python, job=job, folder=folder / str(number), variant=variant)
        failed = in_turn(engines, rounds)
        return {name: engine.told(WARM_UP) for name, engine in engines.items() if name not in failed}, failed
    finally:
        for process in engines.values():
            process.close()


def checked(told: dict[str, Told]) -> tuple[dict[str, Told], list[Wrong]]:
    """Compares what engines trained with the first of them.

    Returns:
        Those that agree with it; and those that do not.
    """
    base = next(iter(told), OURS)
    found = [Wrong(engine=name, apart=furthest(one.weights, told[base].weights), base=base) for name, one in told.items()]
    wrong = [one for one in found if one.apart > TOLERANCE]
    return {name: one for name, one in told.items() if name not in {bad.engine for bad in wrong}}, wrong


def measure_alone(case: str, arguments: argparse.Namespace) -> list[Row]:
    """The rows of a case that holdfast alone can do, each strategy or step in a fresh process."""
    kind, _, size = case.partition("-")
    answers: list[Answer] = ask(kind, int(float(size)), arguments.rounds)
    return [
        Row(bench="federated", case=case, engine=answer.name, metric=metric, value=value, unit=unit, note=answer.note)
        for answer in answers
        for metric, value, unit in answer.figures
    ]


def measure(case: str, arguments: argparse.Namespace) -> list[Row]:
    """The rows of one case."""
    return measure_rounds(case, arguments) if case in ROUND_CASES else measure_alone(case, arguments)


def engine_list(text: str) -> list[str]:
    """Engines by name, with commas between them; holdfast, where it is among them, comes first."""
    named = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in named if name not in ENGINE_NAMES]
    if unknown or not named:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'none'}: give some of {','.join(ENGINE_NAMES)}")
    return sorted(named, key=lambda name: (name != OURS, named.index(name)))


def round_count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} rounds: give a whole number from 1 on")
    return int(text)


def read(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    made = parser(__doc__)
    made.add_argument("--case", choices=CASE_NAMES, action="append", help="one case; all by default")
    made.add_argument("--engine", type=engine_list, default=list(ENGINE_NAMES), metavar="NAMES", help=f"some of {','.join(ENGINE_NAMES)}")
    made.add_argument("--rounds", type=round_count, metavar="R", help="rounds that count: 15, or 2 with --quick")
    made.add_argument("--envs", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help="where the peers' environments are")
    made.add_argument("--make-env", choices=PEERS, help="makes the environment of a peer there, and does nothing else")
    read = made.parse_args(argv)
    read.case = read.case or list(QUICK_CASES if read.quick else CASE_NAMES)
    read.rounds = read.rounds or (2 if read.quick else 15)
    return read


def main() -> None:
    arguments = read()
    if arguments.make_env:
        make(arguments.make_env, arguments.envs)
        return
    rows = [row for case in arguments.case for row in measure(case, arguments)]
    report(rows, arguments.json)
    wrong = [f"{row.case}, {row.engine}: {row.note}" for row in rows if row.value is None and "something else" in row.note]
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
