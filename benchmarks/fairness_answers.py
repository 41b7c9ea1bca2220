"""Known answers of fairness, computed anew, and how often intervals and tests keep what they promise in worlds whose truth is known."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from harness import parser
from measuring.calibration import Share, calibration
from measuring.inputs import SHARED
from measuring.known import Answer, known_answers

QUICK, WORLDS = 20, 1000


YES = {True: "yes", False: "no"}


def number(value: float | None) -> str:
    """A figure with as many digits as say something."""
    return "missing" if value is None else f"{value:.9g}"


def distance(value: float | None) -> str:
    """A difference, which may be rounding alone."""
    return "" if value is None else "0" if value == 0 else f"{value:.1g}"


def answer_cells(answers: Sequence[Answer]) -> list[tuple[str, ...]]:
    """The table of known answers, its header first."""
    rows = [(one.figure, number(one.published), number(one.ours), distance(one.difference), _met(one), one.how) for one in answers]
    return [("figure", "published", "ours", "difference", "met", "how"), *rows]


def _met(one: Answer) -> str:
    if not one.met:
        return "no"
    return "yes" if one.difference is None else f"to {one.places} places"


def share_cells(shares: Sequence[Share]) -> list[tuple[str, ...]]:
    """The table of calibration, its header first."""
    rows = [
        (one.world, one.method, one.event, f"{one.nominal:.3g}", f"{one.share:.3f}", f"{one.error:.3f}", str(one.worlds), YES[one.kept])
        for one in shares
    ]  # fmt: skip
    return [("world", "method", "what it does", "promised", "share", "error", "worlds", "kept"), *rows]


def show(title: str, cells: Sequence[tuple[str, ...]]) -> None:
    """Prints one table."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(title)
    for line in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


def lines(answers: Sequence[Answer], shares: Sequence[Share]) -> str:
    """Both tables, one JSON object a line."""
    found = [{"table": "known answers", **asdict(one), "difference": one.difference, "met": one.met} for one in answers]
    found += [{"table": "calibration", **asdict(one), "error": one.error, "kept": one.kept} for one in shares]
    return "".join(json.dumps(each, allow_nan=False) + "\n" for each in found)


def main(argv: list[str] | None = None) -> None:
    made = parser(__doc__, quick=f"{QUICK} worlds: says that it runs, not how well promises are kept")
    made.add_argument("--worlds", type=int, default=WORLDS, metavar="N", help=f"worlds of each kind ({WORLDS})")
    made.add_argument("--answers", type=Path, default=SHARED / "known_answers", metavar="FOLDER", help="where their inputs are")
    arguments = made.parse_args(argv)
    answers = known_answers(arguments.answers)
    with contextlib.suppress(BrokenPipeError):  # the reader may have seen enough
        show("known answers", answer_cells(answers))
        if not arguments.answers.is_dir():
            print(f"  {arguments.answers} is not there: answers that need an input are left out\n")
    shares = calibration(QUICK if arguments.quick else arguments.worlds)
    with contextlib.suppress(BrokenPipeError):
        show("calibration", share_cells(shares))
    if arguments.json is not None:
        arguments.json.write_text(lines(answers, shares), encoding="utf-8")
    wrong = [one.figure for one in answers if not one.met]
    if wrong:
        raise SystemExit(f"not met: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
