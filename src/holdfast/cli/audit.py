"""`holdfast audit`: attacks a finished run and judges its promise; `holdfast audit plan`: what an audit could find."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.frame import Commands, command
from holdfast.cli.run import CONTRADICTED
from holdfast.cli.terminal import findings, output
from holdfast.cli.terminal.progress import shown

if TYPE_CHECKING:
    from holdfast.study.auditing import AuditPlan

_TEXT = """\
Attack a finished run and hold its promise to what the attacks find: contradicted,
not contradicted, or not testable. What is found takes the place of earlier attacks
in the run's record, so `holdfast report` shows it. Members are the training
examples, non-members the test examples. Attacks such as lira, rmia and
shadow-classifier need shadow models: trainings like that of the run, on other
halves of the data. Their scores are kept in the run, and an interrupted audit goes
on where it stopped. `canary` and `inversion` look for secrets that the study planted
(secrets in [audit]): how likely the model finds each among all that it might be, and
whether a search through the open model completes it. `gradient` reads the updates
that clients would send if the training went on in federated rounds.

  holdfast audit study/runs/dp-sgd
  holdfast audit study/runs/dp-sgd --attack lira --attack rmia --shadow-models 16
  holdfast audit study/runs/dp-sgd --attack canary --attack inversion
  holdfast audit study/runs/dp-sgd --attack gradient
  holdfast audit study/runs/dp-sgd --attack loss-threshold --level 0.99 --json
  holdfast audit plan --epsilon 4 --delta 1e-5 --canaries 1000
"""
_PLAN_TEXT = """\
Say what an audit could find before it is run: the lower bound on epsilon to expect
where the claim is tight, and the smallest bug that would show. Simulated for the
most telling canaries that a Gaussian mechanism with this claim allows; real attacks
see less. No data and no model are needed.

  holdfast audit plan --epsilon 4 --delta 1e-5 --canaries 1000
  holdfast audit plan --epsilon 4 --delta 1e-5 --canaries 1000 --method gaussian --json
"""


def add(commands: Commands[Any]) -> None:
    """Describes the arguments."""
    audit = commands.add_parser(
        "audit", help="attack a finished run, or plan an audit", description=_TEXT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = audit.add_subparsers(metavar="RUN|plan", dest="action", required=True)
    parser = command(actions, "run", run=run, help="attack a finished run and judge its promise", text=_TEXT)
    parser.add_argument("folder", type=Path, metavar="RUN", help="a run's folder, or its id in the folder `runs`")
    parser.add_argument("--attack", action="append", metavar="NAME", help="an attack by name or path; may be repeated (loss-threshold)")
    parser.add_argument("--shadow-models", type=int, default=0, metavar="N", help="train N for attacks such as lira; kept in the run")
    parser.add_argument("--most-fills", type=int, metavar="N", help="enumerate so many fills of a secret at most, else draw (a million)")
    parser.add_argument("--level", type=float, default=0.95, metavar="X", help="confidence of intervals and verdict (default: 0.95)")
    parser.add_argument("--records", type=int, default=0, metavar="N", help="list so many members at most risk, by hash (default: 0)")
    parser.add_argument("--data", metavar="SOURCE", help="where the data are now (default: what the record says)")
    planner = command(actions, "plan", run=run_plan, help="the bound to expect, and the smallest bug that would show", text=_PLAN_TEXT)
    planner.add_argument("--epsilon", type=float, required=True, metavar="X", help="the claim")
    planner.add_argument("--delta", type=float, required=True, metavar="X", help="delta of the claim")
    planner.add_argument("--canaries", type=int, required=True, metavar="M", help="how many, each in or out by a fair coin")
    methods = ["one-run-f-dp", "one-run", "clopper-pearson", "gaussian"]
    planner.add_argument("--method", choices=methods, default=methods[0], help="how epsilon is bounded (default: one-run-f-dp)")
    planner.add_argument("--level", type=float, default=0.95, metavar="X", help="one-sided confidence of the bound (default: 0.95)")
    planner.add_argument("--power", type=float, default=0.8, metavar="X", help="chance with which a bug is to show (default: 0.8)")


def run(args: argparse.Namespace) -> int:
    """Attacks the run; exit code 3 where its claim is contradicted."""
    from holdfast.study.auditing import PHASES, SHADOW_PHASES, AttackSettings, audit_stored

    attacks = tuple(args.attack or ["loss-threshold"])
    settings = AttackSettings(
        attacks=attacks, shadow_models=args.shadow_models, level=args.level, records=args.records, most_fills=args.most_fills
    )
    with shown(SHADOW_PHASES if args.shadow_models else PHASES) as progress:
        found = audit_stored(args.folder, settings=settings, source=args.data, on_progress=progress)
    contradicted = any(verdict.outcome == "contradicted" for verdict in found.verdicts)
    if args.json:
        output.document({"contradicted": contradicted, "evidence": found.to_json()})
    else:
        output.lines(*findings.words(found), f"draw the page again: holdfast report {args.folder}")
    return CONTRADICTED if contradicted else 0


def run_plan(args: argparse.Namespace) -> int:
    """Prints what to expect."""
    from holdfast.study.auditing import plan_audit

    plan = plan_audit(
        epsilon=args.epsilon, delta=args.delta, canaries=args.canaries, method=args.method, level=args.level, power=args.power
    )
    if args.json:
        output.document(asdict(plan))
    else:
        output.lines(*_plan_words(plan))
    return 0


def _plan_words(plan: AuditPlan) -> list[str]:
    from holdfast.study.auditing import METHODS

    guessed = "" if plan.guessed is None else f"; guess {plan.guessed} of them, fixed beforehand"
    lines = [
        f"claim: epsilon {plan.epsilon:g} at delta {plan.delta:g} per example; {plan.canaries} canaries{guessed}",
        f"method: {plan.method}, {METHODS[plan.method]}",
        f"lower bound to expect if the claim is tight: {plan.expected:.2f} (5th to 95th percentile {plan.low:.2f} to {plan.high:.2f})",
        f"no attack can prove more than {plan.cap:.2f} with so many",
    ]
    if plan.smallest_bug is None or plan.bug_epsilon is None:
        return [*lines, f"no bug would show with power {plan.power:g}, not even training without any noise: use more canaries"]
    return [
        *lines,
        f"smallest bug that shows with power {plan.power:g}: {plan.smallest_bug:.2f} times the promised noise, which is epsilon "
        f"{plan.bug_epsilon:.1f}",
        f"at {plan.level:.0%} one-sided confidence; simulated for a Gaussian mechanism and ideal canaries, so real attacks find less",
    ]
