"""How fine a grid must accounting have: time and epsilon of privacy loss distributions at three grids, and of Renyi accounting."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable

import dp_accounting
from dp_accounting import pld, rdp
from harness import Row, compared, interleaved, options, report, timed_rows

from holdfast.privacy.accounting import Budget, calibrate, epsilon
from holdfast.privacy.events import Ledger, PrivacyEvent

PROBABILITY, MULTIPLIER, DELTA = 0.01, 1.0, 1e-5
GRIDS = (1e-4, 1e-3, 5e-3)
LEVELS = 20  # of noise that decays by 5 % each
FINEST = f"PLD, grid {GRIDS[0]:g}"


def by_pld(event: dp_accounting.DpEvent, grid: float) -> float:
    return pld.PLDAccountant(value_discretization_interval=grid).compose(event).get_epsilon(DELTA)


def by_rdp(event: dp_accounting.DpEvent) -> float:
    return rdp.RdpAccountant().compose(event).get_epsilon(DELTA)


def event(multiplier: float) -> PrivacyEvent:
    return PrivacyEvent(sampler="poisson", sampling_probability=PROBABILITY, noise_multiplier=multiplier, neighbouring="add/remove")


def ledger(steps: int, multiplier: float) -> Ledger:
    return Ledger.of([(event(multiplier), steps)])


def decaying(steps: int, multiplier: float) -> Ledger:
    return Ledger.of([(event(multiplier * 0.95**level), steps // LEVELS) for level in range(LEVELS)])


def engines(steps: int) -> dict[str, Callable[[], object]]:
    step = dp_accounting.PoissonSampledDpEvent(PROBABILITY, dp_accounting.GaussianDpEvent(MULTIPLIER))
    event = dp_accounting.SelfComposedDpEvent(step, steps)
    asked = itertools.count()
    return {
        **{f"PLD, grid {grid:g}": functools.partial(by_pld, event, grid) for grid in GRIDS},
        "RDP": functools.partial(by_rdp, event),
        # holdfast remembers what it has answered, so it is asked for another delta each time
        "holdfast": lambda: epsilon(ledger(steps, MULTIPLIER), DELTA * (1 + 1e-9 * next(asked))),
    }


def main() -> None:
    arguments = options(__doc__)
    logging.getLogger("absl").setLevel(logging.ERROR)
    steps, repeats = (500, 1) if arguments.quick else (10_000, 5)
    case = f"epsilon at delta {DELTA:g}: {steps:,} steps, sampling probability {PROBABILITY:g}, noise multiplier {MULTIPLIER:g}"
    timings = interleaved(engines(steps), repeats=repeats)
    found = [
        Row(bench="accounting", case=case, engine=name, metric="epsilon", value=float(timing.result), unit="nats")
        for name, timing in timings.items()
    ]
    target = Budget(epsilon=8.0, delta=DELTA)
    searches = {
        f"noise for epsilon 8: {steps:,} steps": lambda: calibrate(lambda multiplier: ledger(steps, multiplier), target),
        f"noise for epsilon 8: {steps:,} steps, {LEVELS} levels": lambda: calibrate(lambda multiplier: decaying(steps, multiplier), target),
    }
    rows = [
        *timed_rows("accounting", case, timings, ratio_to=FINEST),
        *compared(found, FINEST),
        *(
            row  # timed once: a second search would be answered from memory
            for name, search in searches.items()
            for row in timed_rows("accounting", name, interleaved({"holdfast": search}, repeats=1, warm_up=0), ratio_to="")
        ),
    ]
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
