"""How often each bound, interval and verdict says what is not so, in worlds whose truth is known; careless rules beside them."""

from __future__ import annotations

from itertools import chain

from audit_calibration.careless import careless_rules, plug_in_rows
from audit_calibration.shipped import area_rules, blind_rule, bound_rules, verdict_rules
from harness import parser, report

QUICK = 20


def main() -> None:
    made = parser(__doc__, quick=f"{QUICK} repetitions: says that it runs, not how well the rules hold")
    made.add_argument("--repeats", type=int, default=400, help="repetitions of each world (400)")
    arguments = made.parse_args()
    repeats = QUICK if arguments.quick else arguments.repeats
    rules = chain(bound_rules(), verdict_rules(), [blind_rule()], area_rules(), careless_rules())
    report([*(rule.row(repeats) for rule in rules), *plug_in_rows(repeats)], arguments.json)


if __name__ == "__main__":
    main()
