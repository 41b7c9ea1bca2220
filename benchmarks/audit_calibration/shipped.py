"""Every bound, interval and verdict that ships, tried where the truth is known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from audit_calibration.rules import Rule
from audit_calibration.worlds import (
    DELTA,
    SIDE,
    Draw,
    coins,
    gaussian,
    laplace,
    null_signals,
    of_area,
    rounded_area,
    texts,
)
from holdfast.audit import Guesses, Scores, epsilon_from_errors, one_run_epsilon, one_run_gaussian_epsilon, registered_bound
from holdfast.audit.attacks import lira_online, rmia_online
from holdfast.audit.bounds import epsilon_of_gaussian, mu_from_errors
from holdfast.audit.games import blind_auc
from holdfast.audit.leakage import GroupedScores, records_at_risk
from holdfast.audit.one_run_audit import one_run_audit
from holdfast.audit.verdicts import examine, judge, judge_together
from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Interval
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example

Bound = Callable[[np.random.Generator], float]
NO_LEAK, TOY = "no leakage", {"access": "none", "reference": "none"}
GUESSED = SIDE // 10  # at each end, fixed beforehand
BEYOND = "expected to fail: the Laplace mechanism is not Gaussian, and the bound takes it to be"
ALPHA = 0.05


def scores_of(members: np.ndarray, nonmembers: np.ndarray, attack: str = "loss") -> Scores:
    return Scores(members=members, nonmembers=nonmembers, attack=attack, **TOY)


def misses(interval: Interval | None, truth: float) -> bool:
    return interval is None or not interval.low <= truth <= interval.high


def bounds(draw: Draw, threshold: float = 0.5) -> dict[str, Bound]:
    """Lower bounds on epsilon; those by way of a Gaussian law at `DELTA`, the others at delta 0."""

    def errors(rng: np.random.Generator) -> tuple[int, int, int, int]:
        members, nonmembers = draw(rng)
        return int((members <= threshold).sum()), members.size, int((nonmembers > threshold).sum()), nonmembers.size

    def guesses(rng: np.random.Generator) -> Guesses:
        return Guesses.ranked(*coins(draw)(rng), most_likely=GUESSED, least_likely=GUESSED)

    def by_mu(rng: np.random.Generator) -> float:
        return epsilon_of_gaussian(mu_from_errors(*errors(rng), alpha=ALPHA), DELTA)

    return {
        "Clopper-Pearson, registered thresholds": lambda rng: registered_bound(*draw(rng), delta=0).value,
        "Clopper-Pearson, one fixed threshold": lambda rng: epsilon_from_errors(*errors(rng), delta=0, alpha=ALPHA),
        "one run (Steinke)": lambda rng: one_run_epsilon(guesses(rng), delta=0, alpha=ALPHA),
        "by mu, one fixed threshold": by_mu,
        "one run, f-DP": lambda rng: one_run_gaussian_epsilon(guesses(rng), delta=DELTA, alpha=ALPHA),
    }


def above(bound: Bound, epsilon: float) -> Callable[[np.random.Generator], bool]:
    return lambda rng: bound(rng) > epsilon


def bound_rules() -> Iterator[Rule]:
    """Bounds without leakage, and on both mechanisms at several epsilons; each must seldom exceed the truth."""
    for name, bound in bounds(laplace(0)).items():
        yield Rule(world=NO_LEAK, name=name, alarm=above(bound, 0.0))
    for epsilon in (0.5, 1.0, 3.0):
        for world, draw in (("Laplace", laplace(epsilon)), ("Gaussian", gaussian(epsilon))):
            for name, bound in bounds(draw).items():
                normal = name in ("by mu, one fixed threshold", "one run, f-DP")
                if world == "Gaussian" and not normal:
                    continue  # at delta 0 its epsilon is infinite
                yield Rule(
                    world=f"{world} mechanism, epsilon {epsilon:g}",
                    name=name,
                    alarm=above(bound, epsilon),
                    metric="bound above epsilon",
                    note=BEYOND if normal and world == "Laplace" else "",
                )


def claimed(epsilon: float) -> PrivacyClaim:
    return PrivacyClaim(
        subject="null",
        epsilon=epsilon,
        delta=DELTA,
        unit="example",
        neighbouring="add/remove",
        sampler="none",
        accountant="by construction",
        kind="proved",
        steps=1,
    )


def attacked(rng: np.random.Generator) -> tuple[Scores, ...]:
    """Loss, LiRA and RMIA on the same null signals, so that their scores depend on each other."""
    one, rest = null_signals(rng), null_signals(rng)
    found = {
        "loss": one.target,
        "LiRA": lira_online(one.target, one.shadow, included=one.included),
        "RMIA": rmia_online(
            probability(one.target),
            probability(one.shadow),
            included=one.included,
            population_target=probability(rest.target),
            population_shadow=probability(rest.shadow),
        ),
    }
    return tuple(scores_of(value[one.member], value[~one.member], name) for name, value in found.items())


def probability(signals: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-signals))


def together(rng: np.random.Generator) -> bool:
    """One verdict of three attacks on the promise that nothing leaks, which is true."""
    each = 1 - ALPHA / 3
    found = [examine(scores.members, scores.nonmembers, None, delta=DELTA, level=each) for scores in attacked(rng)]
    return judge_together([judge(one, claimed(0.0)) for one in found], level=1 - ALPHA).outcome == "contradicted"


@dataclass(frozen=True, kw_only=True, eq=False)
class Oblivious:
    """A model whose losses have nothing to do with what it was trained on."""

    of_each: dict[str, float]

    def losses(self, data: Dataset) -> np.ndarray:
        """One number for each utterance, (n,)."""
        return np.array([self.of_each[words[0]] for words in data.tokens()])


@functools.cache
def planted() -> Dataset:
    return Dataset.from_examples([Example(tokens=[f"c{number}"]) for number in range(SIDE)], name="canaries", split="train")


def one_run(rng: np.random.Generator) -> bool:
    """The verdict of an audit by canaries on a promise that is kept by far."""
    losses = {words[0]: float(loss) for words, loss in zip(planted().tokens(), rng.random(SIDE), strict=True)}
    found = one_run_audit(
        Oblivious(of_each=losses), canaries=planted(), included=rng.random(SIDE) < 0.5, claim=claimed(0.01), subject="null"
    )
    return found.verdicts[0].outcome == "contradicted"


def grouped(rng: np.random.Generator) -> GroupedScores:
    sizes = (25, 40, 100, 400, 435)
    names = [f"g{number}" for number in range(len(sizes))]
    labels = np.repeat(names, sizes).tolist()
    scores = scores_of(*laplace(0)(rng))
    return GroupedScores(scores=scores, attribute="group", members=labels, nonmembers=labels)


def risky(rng: np.random.Generator) -> bool:
    scores = scores_of(rng.random(SIDE), rng.random(SIDE))
    listed = records_at_risk(scores, [str(row) for row in range(SIDE)], salt="toy", count=10)
    return any(one.interval is not None and one.interval.high < 1 - float(str(one.conditions["score"])) for one in listed)


def verdict_rules() -> Iterator[Rule]:
    """Verdicts and the other figures where nothing leaks."""
    draw = laplace(0)
    for attack in range(3):
        name = ("loss", "LiRA", "RMIA")[attack]
        yield Rule(
            world="no leakage, shadow signals",
            name=f"area of {name}",
            metric="interval misses",
            alarm=lambda rng, attack=attack: misses(attacked(rng)[attack].auc().interval, 0.5),
        )
    yield Rule(world="no leakage, shadow signals", name="one verdict of three attacks", alarm=together)
    yield Rule(world="no leakage, one run, 1000 canaries", name="verdict on epsilon .01", alarm=one_run)
    for fpr in (0.1, 0.01):
        yield Rule(
            world=NO_LEAK,
            name=f"TPR at FPR {fpr:g}",
            metric="interval misses",
            alarm=lambda rng, fpr=fpr: misses(scores_of(*draw(rng)).tpr_at_fpr(fpr).interval, fpr),
        )
    yield Rule(
        world=NO_LEAK,
        name="advantage, p-value of its null",
        alarm=lambda rng: float(str(scores_of(*draw(rng)).advantage().conditions["p_value"])) < ALPHA,
    )
    yield Rule(
        world=NO_LEAK,
        name="advantage, interval",
        metric="interval misses",
        alarm=lambda rng: misses(scores_of(*draw(rng)).advantage().interval, 0),
    )
    yield Rule(
        world="no leakage, five groups",
        name="areas of all groups",
        metric="interval misses",
        alarm=lambda rng: any(misses(one.interval, 0.5) for one in grouped(rng).auc()),
    )
    yield Rule(
        world="no leakage, five groups",
        name="differences of all groups",
        metric="interval misses",
        alarm=lambda rng: any(misses(one.interval, 0) for one in grouped(rng).differences()),
    )
    yield Rule(world="no leakage, five groups", name="gap of areas", alarm=lambda rng: misses(grouped(rng).gap().interval, 0))
    yield Rule(world=NO_LEAK, name="ten records at risk, ceilings", metric="interval misses", alarm=risky)


def blind_rule() -> Rule:
    """The blind gate on two sides drawn alike; it looks at one end of the interval."""

    def trips(rng: np.random.Generator) -> bool:
        interval = blind_auc(*texts(rng)).interval
        return interval is not None and interval.low > 0.5

    return Rule(world="texts drawn alike", name="blind gate", nominal=0.025, alarm=trips)


def area_rules() -> Iterator[Rule]:
    """The interval of an area: without leakage, with much, with ties, and with few rows on one side."""
    for area in (0.5, 0.8, 0.95, 0.995):
        for n1, n0 in ((SIDE, SIDE), (20, SIDE), (20, 20), (5, SIDE)):
            for rounded in (False, True):
                draw, truth = of_area(area, n1, n0, rounded=rounded), rounded_area(area) if rounded else area
                yield Rule(
                    world=f"area {area:g}{', ties' if rounded else ''}, {n1} and {n0} rows",
                    name="area",
                    metric="interval misses",
                    alarm=lambda rng, draw=draw, truth=truth: misses(scores_of(*draw(rng)).auc().interval, truth),
                )
