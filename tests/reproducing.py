"""Records of an invented grid: two private methods over levels of noise and seeds, with leakage that is given."""

from collections.abc import Callable, Sequence

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.runs import RunRecord

NOISES, SEEDS = (0.5, 1.0, 2.0, 4.0), (1, 2, 3, 4, 5)
METHODS = ("none", "edp-sgd", "dp-sgd")
Leakage = Callable[[str, float, int], float]


def promise(noise: float, method: str = "dp-sgd") -> float:
    """An epsilon that halves as the noise doubles, and is four times as large for eDP-SGD."""
    return (160.0 if method == "edp-sgd" else 40.0) / noise


def rising(method: str, noise: float, seed: int) -> float:
    """An AUC that grows with the promise, and that seeds shift as a whole."""
    return 0.5 + 0.04 / noise + 0.001 * seed


def flat(method: str, noise: float, seed: int) -> float:
    """An AUC that has nothing to do with the noise: its order over the levels turns about from seed to seed."""
    return 0.52 + 0.01 * (noise if seed % 2 else -noise) / 4


def records(
    leakage: Leakage, *, methods: Sequence[str] = METHODS, seeds: Sequence[int] = SEEDS, noises: Sequence[float] = NOISES
) -> list[RunRecord]:
    """A record for each run of the grid."""
    found = []
    for seed in seeds:
        for method in methods:
            for noise in (None,) if method == "none" else noises:
                auc = 0.7 + 0.002 * seed if noise is None else leakage(method, noise, seed)
                found.append(_record(method, noise, seed, auc))
    return found


def _record(method: str, noise: float | None, seed: int, auc: float) -> RunRecord:
    name = f"non-private-seed-{seed}" if noise is None else f"{method}-noise-{noise:g}-seed-{seed}"
    run = {"mechanism": method, "name": name} | ({} if noise is None else {"noise_multiplier": noise})
    return RunRecord(
        name=name,
        status="finished",
        created="2026-11-22T17:04:55+00:00",
        settings={"run": run, "training": {"seed": seed}, "task": {"name": "intent-slot"}},
        environment={"versions": {"holdfast": "0.1.0"}},
        data={"name": "assistant", "content_hash": "a" * 64, "splits": {}},
        model={"model": "bilstm"},
        mechanism={"name": method},
        evidence=_evidence(name, method, noise, auc, seed),
        command="holdfast reproduce edp-sgd",
    )


def _evidence(name: str, method: str, noise: float | None, auc: float, seed: int) -> Evidence:
    def share(what: str, value: float, half: float, direction: str, **conditions: object) -> Estimate:
        interval = Interval(low=value - half, high=value + half, level=0.95, method="invented")
        return Estimate(name=what, subject=name, value=value, unit="share", direction=direction, interval=interval, conditions=conditions)

    slowness = {"none": 1.0, "edp-sgd": 1.5, "dp-sgd": 2.0}[method]
    estimates = [
        share("membership_auc", auc, 0.02, "lower is better", attack="loss threshold"),
        share("membership_advantage", 2 * (auc - 0.45), 0.01, "lower is better", attack="loss threshold"),
        share("intent_accuracy", 0.9 - 0.1 * (noise or 0.0), 0.01, "higher is better"),
        share("group_auc", auc, 0.05, "lower is better", group="brin"),
        share("blind_auc", 0.51, 0.03, "neither"),
        Estimate(name="seconds_per_epoch", subject=name, value=slowness * (1 + 0.1 * seed), unit="seconds", direction="lower is better"),
    ]
    curves = (Curve(name="roc", subject=name, x=(0.0, 1.0), y=(0.0, 1.0), x_label="fpr", y_label="tpr"),)
    if noise is None:
        return Evidence(estimates=tuple(estimates), curves=curves)
    epsilon = promise(noise, method)
    claim = PrivacyClaim(
        subject=name, epsilon=epsilon, delta=1e-5, unit="example", neighbouring="zero-out", sampler="Poisson", accountant="invented",
        kind="proved", steps=100,
    )  # fmt: skip
    conditions = {"delta": 1e-5, "kind": "proved"}
    estimates.append(Estimate(name="epsilon", subject=name, value=epsilon, unit="nats", direction="lower is better", conditions=conditions))
    if method == "edp-sgd":
        naive = {"name": "epsilon_naive", "value": epsilon / 4, "conditions": {"kind": "unproved"}}
        estimates.append(Estimate(subject=name, unit="nats", direction="lower is better", **naive))
    verdict = Verdict(subject=name, outcome="not contradicted", reason="The attack shows little.", level=0.95)
    return Evidence(estimates=tuple(estimates), curves=curves, claims=(claim,), verdicts=(verdict,))
