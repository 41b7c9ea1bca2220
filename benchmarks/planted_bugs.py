"""Which faults of a private training an audit by canaries finds: how surely by the law of what it sees, and how often it did."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import Row, parser, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the faults live with the tests

from tests.oracles.planted_bugs import BUGS, SOUND, Audited

QUICK = "two audits of each instead of 20, and a rough power"
HEADER = ("| fault | audit | claimed epsilon | lower bound, median | power | contradicted | seconds |", "|---|---|---|---|---|---|---|")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What some audits made of one mechanism; power is None for a sound one."""

    case: str
    engine: str
    claimed: float
    bound: float
    power: float | None
    contradicted: int
    audits: int
    seconds: float

    def rows(self) -> Iterator[Row]:
        """The figures, one a line; a row holds no zero, so that one is put into words."""
        counted = ("left alone", self.audits - self.contradicted) if self.power is None else ("contradicted", self.contradicted)
        figures: list[tuple[str, float | None, str]] = [
            ("claimed epsilon", self.claimed, "nats"),
            ("lower bound, median", self.bound, "nats"),
            ("power", self.power, "share"),
            (f"{counted[0]}, of {self.audits}", counted[1], "audits"),
            ("seconds, median", self.seconds, "s"),
        ]
        for metric, value, unit in figures:
            if value is not None:
                note = "" if value else "zero"
                yield Row(
                    bench="planted_bugs", case=self.case, engine=self.engine, metric=metric, value=value or None, unit=unit, note=note
                )

    def line(self) -> str:
        """The figures as one line of a table."""
        power = "at most 0.05" if self.power is None else f"{self.power:.3f}"
        cells = (self.case, self.engine, f"{self.claimed:.3g}", f"{self.bound:.3g}", power, f"{self.contradicted} of {self.audits}")
        return f"| {' | '.join(cells)} | {self.seconds:.2g} |"


def found(audited: Audited, seeds: int, simulations: int) -> Found:
    """Audits one mechanism with some seeds."""
    audits, seconds = [], []
    for seed in range(seeds):
        began = time.perf_counter()
        audits.append(audited.audit(seed))
        seconds.append(time.perf_counter() - began)
    first, sound = audits[0], audited.law is None
    return Found(
        case=f"sound: {audited.name}" if sound else audited.name,
        engine=f"{first.kind}, {first.canaries} canaries, {first.decides}",
        claimed=first.claim.epsilon,
        bound=statistics.median(audit.bounds[audit.decides] for audit in audits),
        power=None if sound else audited.power(guessed=first.reach.guessed, simulations=simulations),
        contradicted=sum(audit.contradicted for audit in audits),
        audits=seeds,
        seconds=statistics.median(seconds),
    )


def main() -> None:
    options = parser(__doc__, quick=QUICK)
    options.add_argument("--markdown", type=Path, metavar="FILE", help="write a table with one line for each fault to this file")
    arguments = options.parse_args()
    seeds, simulations = (2, 50) if arguments.quick else (20, 2000)
    everything = [found(audited, seeds, simulations) for audited in (*BUGS, *SOUND)]
    report([row for one in everything for row in one.rows()], arguments.json)
    if arguments.markdown is not None:
        arguments.markdown.write_text("\n".join([*HEADER, *(one.line() for one in everything), ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
