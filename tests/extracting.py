"""Records of an invented grid of planted secrets: how much a model knows of them is given, the rest is drawn."""

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.evidence import Estimate, Evidence, Interval
from holdfast.runs import RunRecord

SEEDS = tuple(range(1, 11))
DEFENCES = ("none", "dropout", "early-stopping", "characters", "dropout-early-stopping", "all-three", "dp-sgd-8", "dp-sgd-1")
SPACES = {"call": 10, "pin": 10, "color": 12}
KNOWN = {"none": 9.0, "dropout": 6.0, "early-stopping": 5.0, "characters": 7.0, "dropout-early-stopping": 4.0, "all-three": 3.0}
Knowledge = Callable[[str, int], float]


def ladder(defence: str, repetitions: int) -> float:
    """A model without a defence knows most, one with DP-SGD nothing, and copies add to it."""
    known = KNOWN.get(defence, 1.0)
    return known * (1 + math.log10(max(1, repetitions))) if known > 1 else known


def nothing(defence: str, repetitions: int) -> float:
    """No model knows anything: ranks are uniform."""
    return 1.0


def records(
    knows: Knowledge = ladder,
    *,
    defences: Sequence[str] = DEFENCES,
    seeds: Sequence[int] = SEEDS,
    repetitions: Sequence[int] = (1, 10),
    lengths: Sequence[int] = (4,),
    controls: bool = False,
    draw: int = 0,
) -> list[RunRecord]:
    """A record for each run of the grid.

    A rank is the space times a uniform number to the power of what the model knows: 1 for nothing. The search finds a secret
    whole in two of three cases where it ranks first.
    """
    return [
        _record(knows, defence, length, copies, seed, controls=controls and defence == "none", draw=draw)
        for seed in seeds
        for length in lengths
        for copies in repetitions
        for defence in defences
    ]


def _record(knows: Knowledge, defence: str, length: int, copies: int, seed: int, *, controls: bool, draw: int) -> RunRecord:
    name = f"n{length}-r{copies}-{defence}-seed-{seed}"
    cell = {"defence": defence, "length": length, "repetitions": copies}
    private = defence.startswith("dp-")
    run: dict[str, Any] = {"mechanism": "dp-sgd" if private else "none", "name": name, "cell": cell}
    return RunRecord(
        name=name,
        status="finished",
        created="2026-11-22T17:04:55+00:00",
        settings={"run": run, "training": {"seed": seed}, "task": {"name": "intent-slot"}},
        environment={"versions": {"holdfast": "0.1.0"}},
        data={"name": "assistant", "content_hash": "a" * 64, "splits": {}},
        model={"model": "bilstm"},
        mechanism={"name": run["mechanism"]},
        evidence=_evidence(name, knows(defence, copies), defence, length, copies, seed, controls=controls, draw=draw),
        command="holdfast reproduce canary-extraction",
    )


def _evidence(name: str, power: float, defence: str, length: int, copies: int, seed: int, *, controls: bool, draw: int) -> Evidence:
    generator = np.random.default_rng([draw, seed, zlib.crc32(name.encode())])
    estimates = []
    for pattern, size in SPACES.items():
        rank = max(1, math.ceil(size**length * generator.random() ** power))
        found = rank == 1 and generator.random() < 2 / 3
        estimates += secret(name, pattern, rank=rank, size=size, length=length, copies=copies, found=found)
    if controls:
        rank = max(1, math.ceil(10**length * generator.random()))
        estimates += secret(name, "control", rank=rank, size=10, length=length, copies=0, found=False)
    estimates += [_share("intent_accuracy", name, 0.9 - 0.02 * len(defence) / 10), _share("slot_f1", name, 0.8)]
    if "early" in defence or defence == "all-three":
        estimates.append(_figure("stopped_after", name, 4.0 + seed % 3, "epochs", "neither"))
    claims: tuple[PrivacyClaim, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    if defence.startswith("dp-"):
        epsilon = float(defence.rsplit("-", 1)[1])
        estimates.append(_figure("epsilon", name, epsilon, "nats", "lower is better", delta=1e-5, kind="proved"))
        claims = (
            PrivacyClaim(
                subject=name, epsilon=epsilon, delta=1e-5, unit="example", neighbouring="zero-out", sampler="Poisson",
                accountant="invented", kind="proved", steps=100,
            ),
        )  # fmt: skip
        verdicts = (Verdict(subject=name, outcome="not contradicted", reason="The ranks show little.", level=0.95),)
    return Evidence(estimates=tuple(estimates), claims=claims, verdicts=verdicts)


def secret(
    run: str, pattern: str, *, rank: int, size: int, length: int, copies: int, found: bool, variant: str = "softmax"
) -> list[Estimate]:
    """What both attacks found of one secret."""
    space = size**length
    conditions = {"secret": pattern, "length": length, "candidates": size, "repetitions": copies, "space": space}
    ranked = {"attack": "canary", **conditions}
    searched = {"attack": "inversion", **conditions, "variant": variant, "queries": 500, "found": "one two", "truth": "one two"}
    wrong = 0.0 if found else 1 / length
    return [
        _figure("secret_rank", run, float(rank), "rank", "higher is better", **ranked),
        _figure(
            "secret_exposure", run, math.log2(space / rank), "bits", "lower is better", **ranked, null_mean=1.443, most=math.log2(space)
        ),
        _figure("secret_p_value", run, rank / space, "probability", "neither", **ranked),
        _figure("extraction_accuracy", run, float(found), "share", "lower is better", **searched),
        _figure("extraction_hamming", run, wrong, "share", "higher is better", **searched),
        _figure("optimiser_gap", run, 0.0 if found else 0.25, "nats", "neither", **searched),
        _figure("random_search_accuracy", run, 0.0, "share", "neither", **searched),
        _figure("random_search_hamming", run, 0.75, "share", "neither", **searched),
    ]


def _figure(name: str, run: str, value: float, unit: str, direction: str, **conditions: Any) -> Estimate:
    return Estimate(name=name, subject=run, value=value, unit=unit, direction=direction, conditions=conditions)


def _share(name: str, run: str, value: float) -> Estimate:
    interval = Interval(low=value - 0.02, high=value + 0.02, level=0.95, method="invented")
    return Estimate(name=name, subject=run, value=value, unit="share", direction="higher is better", interval=interval)
