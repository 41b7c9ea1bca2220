"""Association tests, bootstrap of rates and of areas, and scoring pairs of sentences, beside plain loops, wefe and Fairlearn."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import Row, parser, report
from measuring import CASE_NAMES, ENGINE_NAMES, OURS, PEERS
from measuring.environments import DEFAULT_FOLDER, make, missing, python_of
from measuring.host import EngineProcess, Told, disagreeing, in_turn, rows_of
from measuring.inputs import INPUTS, are_made_up
from measuring.jobs import CASES, Case, Job

QUICK = {
    "weat-exact-12870": {"loop": 100, "wefe": 2},
    "weat-1e6": {"loop": 100, "wefe": 2},
    "rates-bootstrap": {"loop": 2, "fairlearn": 1},
    "auc-bootstrap": {"loop": 1},
    "crows-pairs": {"loop": 2},
}
QUICK_WHOLE = {"weat-exact-12870": 12_870, "weat-1e6": 20_000, "rates-bootstrap": 100, "auc-bootstrap": 100, "crows-pairs": 12}


def case_of(name: str, arguments: argparse.Namespace) -> Case:
    """The case in the size that was asked for."""
    case = CASES[name]
    if arguments.quick:
        case = dataclasses.replace(case, parts=QUICK[name], whole=QUICK_WHOLE[name], turns=1)
    return case if arguments.turns is None else dataclasses.replace(case, turns=arguments.turns)


def variants(case: Case, engines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """The name of each row, the engine behind it, and its variant; engines that have nothing to do with a case are left out."""
    for engine in engines:
        if engine == OURS:
            yield from ((engine + told, engine, variant) for told, variant in case.variants.items())
        elif engine in case.parts:
            yield engine, engine, ""


def measure(name: str, arguments: argparse.Namespace) -> list[Row]:
    """The rows of one case."""
    case, arrays = case_of(name, arguments), INPUTS[name](arguments.quick)
    wanted = list(variants(case, arguments.engine))
    notes = {row: missing(engine) for row, engine, _ in wanted if python_of(engine, arguments.envs) is None}
    with tempfile.TemporaryDirectory(prefix="fairness") as folder:
        engines: dict[str, EngineProcess] = {}
        for number, (row, engine, variant) in enumerate(each for each in wanted if each[0] not in notes):
            python, job = python_of(engine, arguments.envs), Path(folder) / f"{number}.npz"
            assert python is not None
            Job(case=name, amount=case.amount(engine), variant=variant, arrays=arrays).save(job)
            engines[row] = EngineProcess(engine, python, job, Path(folder) / str(number), arguments.threads)
        told, failed = run(engines, case.turns)
    notes |= {row: f"failed: {why}" for row, why in failed.items()}
    wrong = disagreeing(name, told)
    right = {row: one for row, one in told.items() if row not in wrong}
    ours = [row for row, engine, _ in wanted if engine == OURS]
    rows = rows_of(name, case, right, notes | wrong, ours=ours, goals=not arguments.quick)
    return [dataclasses.replace(row, note=f"{row.note}; made-up pairs") for row in rows] if are_made_up(arrays) else rows


def run(engines: dict[str, EngineProcess], turns: int) -> tuple[dict[str, Told], dict[str, str]]:
    """Lets engines take their turns; one that does not count goes before them unless there is one only.

    Returns:
        What each said; and why others failed.
    """
    warm_up = int(turns > 1)
    try:
        failed = in_turn(engines, warm_up + turns)
        return {name: engine.told(warm_up) for name, engine in engines.items() if name not in failed}, failed
    finally:
        for process in engines.values():
            process.close()


def engine_list(text: str) -> list[str]:
    """Engines by name, with commas between them; holdfast, where it is among them, comes first."""
    named = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in named if name not in ENGINE_NAMES]
    if unknown or not named:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'none'}: give some of {','.join(ENGINE_NAMES)}")
    return sorted(named, key=lambda name: (name != OURS, named.index(name)))


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 1 on")
    return int(text)


def read(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    made = parser(__doc__)
    made.add_argument("--case", choices=CASE_NAMES, action="append", help="one case; all by default")
    made.add_argument("--engine", type=engine_list, default=list(ENGINE_NAMES), metavar="NAMES", help=f"some of {','.join(ENGINE_NAMES)}")
    made.add_argument("--turns", type=count, metavar="N", help="turns that count, of each engine; each case has its number by default")
    made.add_argument("--threads", type=count, default=1, metavar="N", help="threads of each engine's arithmetic (1)")
    made.add_argument("--envs", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help="where the peers' environments are")
    made.add_argument("--make-env", choices=PEERS, help="makes the environment of a peer there, and does nothing else")
    read = made.parse_args(argv)
    read.case = read.case or list(CASE_NAMES)
    return read


def main() -> None:
    arguments = read()
    if arguments.make_env:
        make(arguments.make_env, arguments.envs)
        return
    rows = [row for name in arguments.case for row in measure(name, arguments)]
    report(rows, arguments.json)
    wrong = [f"{row.case}, {row.engine}: {row.note}" for row in rows if row.value is None and "something else" in row.note]
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
