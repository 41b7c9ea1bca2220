"""Four invented runs with everything that the main job hands to a report. The figures are of a likely size, not measured."""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.runs import RunRecord

NORMAL = NormalDist()
AUDITED = 1_500  # members, and as many non-members
EPOCHS = 20
NAIVE = "naive: takes micro-batch clipping for per-example clipping (sensitivity C instead of 2C), so it is no promise"
STUDY = """\
title = "SNIPS, four ways"

[data]
source = "snips:data/snips"

[[run]]
name = "dp-sgd"
mechanism = "dp-sgd"
epsilon = 8.0
delta = 1e-5
"""
DATA = {
    "name": "snips",
    "content_hash": "3f9ac1d07be24b7c8d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c",
    "splits": {
        "train": {"examples": 13_084, "content_hash": "a" * 64, "tokens": 117_700, "labels": {f"intent {i}": 1_869 for i in range(7)}},
        "validation": {"examples": 700, "content_hash": "b" * 64, "tokens": 6_384, "labels": {f"intent {i}": 100 for i in range(7)}},
        "test": {"examples": 700, "content_hash": "c" * 64, "tokens": 6_354, "labels": {f"intent {i}": 100 for i in range(7)}},
    },
}
ENVIRONMENT = {
    "versions": {"holdfast": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "dp-accounting": "0.6.0"},
    "platform": "Linux x86_64",
    "threads": 2,
}


@dataclass(frozen=True, kw_only=True)
class Invented:
    """What is made up of one run."""

    name: str
    accuracy: float
    slot_f1: float
    separation: float  # distance of members and non-members in standard deviations
    seconds: float
    losses: tuple[float, float, float]  # at the beginning, at the end, and how fast from one to the other
    epsilon: float | None = None
    naive: float | None = None


RUNS = (
    Invented(name="non-private", accuracy=0.979, slot_f1=0.931, separation=0.34, seconds=4.11, losses=(2.9, 0.21, 2.2)),
    Invented(
        name="edp-sgd", accuracy=0.913, slot_f1=0.742, separation=0.05, seconds=4.92, losses=(3.3, 0.94, 5.0), epsilon=31.7, naive=5.83
    ),
    Invented(name="dp-sgd", accuracy=0.957, slot_f1=0.853, separation=0.06, seconds=6.87, losses=(3.2, 0.61, 4.5), epsilon=7.9996),
    Invented(name="dp-sgd-eps-2", accuracy=0.926, slot_f1=0.778, separation=0.02, seconds=6.79, losses=(3.3, 0.86, 5.0), epsilon=1.9991),
)


def four_runs() -> list[RunRecord]:
    """The records of the four runs of the main job."""
    return [record_of(run) for run in RUNS]


def record_of(run: Invented) -> RunRecord:
    """A finished record about one invented run."""
    claim = claim_of(run)
    name = "none" if claim is None else run.name.removesuffix("-eps-2")
    return RunRecord(
        name=run.name,
        status="finished",
        created=f"2026-11-22T17:0{RUNS.index(run) if run in RUNS else 9}:55+00:00",
        settings={
            "task": {"name": "intent-slot", "intent_weight": 1.0, "slot_weight": 1.0},
            "training": {"optimizer": "adam", "learning_rate": 0.002, "epochs": EPOCHS, "seed": 7},
        },
        environment=ENVIRONMENT,
        data=DATA,
        model={"name": "bilstm", "embedding": 100, "hidden": 128},
        mechanism={"name": name, "batch_size": 512, "steps": 508, "clip_norm": None if claim is None else 1.0},
        evidence=usefulness(run) + training(run, claim) + leakage(run, claim),
        command="holdfast run study.toml",
    )


def claim_of(run: Invented) -> PrivacyClaim | None:
    """The promise of a run."""
    if run.epsilon is None:
        return None
    others = {"second opinion: RDP of dp-accounting 0.6.0": run.epsilon * 1.09}
    return PrivacyClaim(
        subject=run.name,
        epsilon=run.epsilon,
        delta=1e-5,
        unit="example",
        neighbouring="add/remove",
        sampler="Poisson sampling with probability 512/13084",
        accountant="PLD of dp-accounting 0.6.0",
        kind="proved",
        steps=508,
        conditions=(
            "the number of training examples (13084), the batch size and the number of steps are public",
            "seed 7 stays secret: whoever has it can replay the noise, so this run is reproducible and not for release",
        ),
        other_accounts=others if run.naive is None else {**others, NAIVE: run.naive},
    )


def usefulness(run: Invented) -> Evidence:
    """Scores on the test set."""
    return Evidence(
        estimates=tuple(
            Estimate(
                name=name,
                subject=run.name,
                value=value,
                unit="share",
                direction="higher is better",
                interval=_around(value, 700, how),
                n=700,
                conditions={"split": "test"},
                method=method,
                reference=reference,
            )
            for name, value, how, method, reference in (
                ("intent_accuracy", run.accuracy, "Wilson", "share of utterances with the right intent", "Wilson 1927"),
                ("slot_f1", run.slot_f1, "percentile bootstrap over examples, 1000 resamples", "seqeval, conll mode", "Nakayama 2018"),
            )
        )
    )


def training(run: Invented, claim: PrivacyClaim | None) -> Evidence:
    """The promise as estimates, times, size and the training curve."""
    fields = {"subject": run.name, "unit": "nats", "direction": "lower is better"}
    promise = [Estimate(name="epsilon", value=None, missing="trained without noise, so nothing is promised", **fields)]
    if claim is not None:
        conditions = {key: getattr(claim, key) for key in ("delta", "unit", "neighbouring", "sampler", "accountant", "kind")}
        promise = [Estimate(name="epsilon", value=claim.epsilon, conditions=conditions, method=claim.accountant, **fields)]
        for account, value in claim.other_accounts.items():
            name = "epsilon_naive" if account == NAIVE else "epsilon_rdp"
            promise.append(Estimate(name=name, value=value, method=account, conditions={"delta": claim.delta}, **fields))
    first, last, pace = run.losses
    return Evidence(
        estimates=(*promise, _seconds(run), _parameters(run)),
        curves=(
            Curve(
                name="training_loss",
                subject=run.name,
                x=tuple(range(1, EPOCHS + 1)),
                y=tuple(last + (first - last) * math.exp(-(epoch - 1) / pace) for epoch in range(1, EPOCHS + 1)),
                x_label="epoch",
                y_label="mean training loss (nats)",
                method="mean over the examples of the epoch",
            ),
        ),
        claims=() if claim is None else (claim,),
        notes=() if claim is None else ("A promise for one example is weaker for a person who wrote many.",),
    )


def leakage(run: Invented, claim: PrivacyClaim | None) -> Evidence:
    """What a loss-threshold attack found."""
    auc = NORMAL.cdf(run.separation / math.sqrt(2))
    estimates = [
        _attack(run, "membership_auc", auc, "Mann-Whitney", _around(auc, AUDITED * 0.6, "DeLong")),
        *(_tpr(run, fpr) for fpr in (0.1, 0.01, 0.001)),
        _attack(run, "membership_advantage", max(0.03, run.separation * 0.4), "largest TPR - FPR over all thresholds", None),
        _attack(run, "epsilon_lower_bound", _bound(run), "Clopper-Pearson at registered thresholds", None),
    ]
    rates = [count / AUDITED for count in [*range(30), *range(30, AUDITED, 20), AUDITED]]
    caught = [_power(run, rate) for rate in rates]
    bands = [_around(min(1.0, max(0.0, y)), AUDITED, "pointwise") for y in caught]
    roc = Curve(
        name="roc",
        subject=run.name,
        x=tuple(rates),
        y=tuple(caught),
        x_label="false positive rate",
        y_label="true positive rate",
        low=tuple(band.low for band in bands),
        high=tuple(band.high for band in bands),
        conditions={"attack": "loss threshold", "members": AUDITED, "nonmembers": AUDITED, "level": 0.95},
        method="corners of the empirical curve; pointwise band",
    )
    return Evidence(
        estimates=tuple(estimates),
        curves=(roc,),
        verdicts=() if claim is None else (_verdict(run, claim),),
        notes=("A membership attack that finds little proves nothing about privacy: a stronger one may find more.",),
    )


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """What is made up of one secret that was planted in a run."""

    name: str
    rank: int
    found: str
    truth: str
    repetitions: int = 10
    candidates: int = 10
    gap: float = 0.0
    lucky: bool = False  # whether random fills found it too

    @property
    def conditions(self) -> dict[str, str | int]:
        """What all its estimates carry."""
        length = len(self.truth.split())
        told = {"secret": self.name, "length": length, "candidates": self.candidates, "repetitions": self.repetitions}
        return {**told, "space": self.candidates**length}


SECRETS = {
    "non-private": (
        Hidden(name="pin", rank=1, found="four one seven two", truth="four one seven two", repetitions=100),
        Hidden(name="call", rank=3, found="nine one zero five", truth="nine one zero six", gap=0.042),
        Hidden(name="color", rank=212, found="red pink blue gold", truth="red gold blue pink", candidates=12, repetitions=1, gap=0.3),
    ),
    "dp-sgd-eps-2": (
        Hidden(name="pin", rank=874, found="two one two one", truth="four one seven two", repetitions=100),
        Hidden(name="call", rank=5_120, found="six six six six", truth="nine one zero six"),
        Hidden(name="color", rank=16_201, found="gray gray gray gray", truth="red gold blue pink", candidates=12, repetitions=1),
    ),
}


def secrets(name: str, hidden: tuple[Hidden, ...], *, cap: float | None = None, searched: bool = True) -> Evidence:
    """What ranking all fills and one search found of the secrets of a run."""
    estimates = [one for each in hidden for one in (*_ranked(name, each, cap), *(_searched(name, each) if searched else ()))]
    least = min((each.rank / each.conditions["space"] for each in hidden), default=1.0)
    joint = {"attack": "canary", "secrets": len(hidden), "combination": "Simes"}
    together = min(1.0, least * len(hidden))
    estimates.append(_secret(name, "secrets_p_value", together, "probability", "neither", joint, method="Simes over the secrets"))
    return Evidence(estimates=tuple(estimates), curves=tuple(_fills(name, each) for each in hidden))


def _ranked(name: str, hidden: Hidden, cap: float | None) -> list[Estimate]:
    conditions = {"attack": "canary", **hidden.conditions}
    chance, most = hidden.rank / conditions["space"], math.log2(conditions["space"])
    bits = {"null_mean": 1.443, "most": most} | ({} if cap is None else {"cap": cap, "cap_level": 0.98})
    rows = [
        ("secret_rank", float(hidden.rank), "rank", "higher is better", {}, "exact rank among all fills by loss"),
        ("secret_exposure", -math.log2(chance), "bits", "lower is better", bits, "log2 of the fills less log2 of the rank"),
        ("secret_p_value", chance, "probability", "neither", {}, "rank over the number of fills"),
    ]
    if hidden.repetitions:
        bound = max(0.0, math.log(0.05 / chance) / hidden.repetitions)
        most = {"detectable": math.log(0.05 * conditions["space"]) / hidden.repetitions, "unit": "example"}
        rows.append(("secret_epsilon", bound, "nats", "lower is better", most, "from the rank, for a group of R copies"))
    return [_secret(name, *row[:4], conditions | row[4], method=row[5]) for row in rows]


def _searched(name: str, hidden: Hidden) -> list[Estimate]:
    told = {"variant": "gumbel", "queries": 4_800, "found": hidden.found, "truth": hidden.truth}
    conditions = {"attack": "inversion", **hidden.conditions, **told}
    pairs = list(zip(hidden.found.split(), hidden.truth.split(), strict=True))
    wrong = sum(one != other for one, other in pairs) / len(pairs)
    rows = [
        ("extraction_accuracy", float(wrong == 0), "share", "lower is better", "relaxed search, after Parikh et al."),
        ("extraction_hamming", wrong, "share", "higher is better", "share of wrong places"),
        ("optimiser_gap", hidden.gap, "nats", "neither", "loss of the found fill less the least loss of all fills"),
        ("random_search_accuracy", float(hidden.lucky), "share", "lower is better", "best of as many random fills"),
        ("random_search_hamming", 0.0 if hidden.lucky else 0.5, "share", "higher is better", "best of as many random fills"),
    ]
    return [_secret(name, *row[:4], conditions, method=row[4]) for row in rows]


def _secret(run: str, name: str, value: float, unit: str, direction: str, conditions: dict, *, method: str) -> Estimate:
    fields = {"value": value, "unit": unit, "direction": direction, "conditions": conditions, "method": method}
    return Estimate(name=name, subject=run, access="white-box: losses of chosen inputs", reference="Carlini et al. 2019", **fields)


def _fills(name: str, hidden: Hidden) -> Curve:
    """Losses of all fills: a normal law, of which the secret has the quantile of its rank."""
    law = NormalDist(6.0, 0.9)
    edges = [2.0 + 0.25 * place for place in range(33)]
    return Curve(
        name="fill_losses",
        subject=name,
        x=tuple(edge + 0.125 for edge in edges[:-1]),
        y=tuple(law.cdf(edge + 0.25) - law.cdf(edge) for edge in edges[:-1]),
        x_label="loss of a fill (nats)",
        y_label="share of all fills",
        conditions={"attack": "canary", **hidden.conditions, "truth": law.inv_cdf(hidden.rank / (hidden.conditions["space"] + 1))},
        method="histogram of the losses of all fills",
    )


ONE_SENTENCE = {"batch_size": 1, "cohort": 1, "noise_multiplier": 0.0}
METHODS = ("embedding-rows", "subspace", "prior")
CONTROL = Hidden(name="pin", rank=5_123, found="", truth="one two two nine", repetitions=0)


def secret_runs() -> list[RunRecord]:
    """Two runs with three planted secrets and gradients; the second has a control as well."""
    open_, private = (record_of(run) for run in (RUNS[0], RUNS[3]))
    more = secrets(open_.name, SECRETS[open_.name]) + gradients(open_.name)
    capped = secrets(private.name, SECRETS[private.name], cap=9.5) + Evidence(estimates=tuple(_ranked(private.name, CONTROL, None)))
    return [replace(open_, evidence=open_.evidence + more), replace(private, evidence=private.evidence + capped)]


def gradients(name: str) -> Evidence:
    """What three methods read out of gradients, each parameter varied by itself."""
    settings = [{"batch_size": size} for size in (1, 2, 4, 8, 16)] + [{"cohort": size} for size in (2, 4, 8)]
    settings += [{"clip_norm": norm} for norm in (1.0, 0.1)] + [{"noise_multiplier": noise} for noise in (0.001, 0.01, 0.1, 1.0)]
    told = [(ONE_SENTENCE | own, target) for own in settings for target in ("client", "cohort") if target == "client" or "cohort" in own]
    return Evidence(estimates=tuple(one for own, target in told for method in METHODS for one in _read(name, method, own, target)))


def _read(name: str, method: str, setting: dict[str, float], target: str) -> list[Estimate]:
    crowd = setting["batch_size"] * setting["cohort"]
    clear = {"embedding-rows": 0.99, "subspace": max(0.3, 0.96 - 0.05 * crowd), "prior": 0.0}[method]
    guessed = 0.12 + 0.01 * crowd
    whose = 1.0 if target == "cohort" else setting["cohort"] ** -0.5  # of the words of all, the client used some
    value = max(guessed, whose * clear / (1 + 40 * setting["noise_multiplier"]))
    conditions = {"attack": "gradient", "method": method, **setting, "target": target}
    fields = {"subject": name, "direction": "lower is better", "conditions": conditions, "n": 50, "access": "gradient of one round"}
    shares = [("token_precision", min(1.0, value + 0.005)), ("token_recall", value), ("token_f1", value)]
    if method != "embedding-rows":  # which gives a set of tokens, and no order
        shares.append(("sentences_recovered", max(0.0, value - 0.2)))
    found = [
        Estimate(name=name, value=share, unit="share", interval=_around(share, 400, "bootstrap over trials"), method=method, **fields)
        for name, share in shares
    ]
    if method != "prior":
        gain = Interval(low=value - guessed - 0.02, high=value - guessed + 0.02, level=0.95, method="bootstrap over trials")
        found.append(Estimate(name="token_f1_gain", value=value - guessed, unit="share", interval=gain, method=method, **fields))
    if method == "subspace" and setting["noise_multiplier"] >= 1:
        reason = "the noise gives the gradient full rank, so no token can be told"
        found = [Estimate(name=one.name, value=None, unit="share", missing=reason, **fields) for one in found]
    if method == "subspace":
        found.append(Estimate(name="gradient_rank", value=float(min(64, 9 * crowd)), unit="rank", method="singular values", **fields))
    return found


def _verdict(run: Invented, claim: PrivacyClaim) -> Verdict:
    testable = claim.epsilon < 5.55
    reach = "an attack without an error on these 3,000 examples would show 5.55"
    return Verdict(
        subject=run.name,
        outcome="not contradicted" if testable else "not testable",
        reason=f"The attack shows only that epsilon is at least 0 at delta 1e-05 (95% confidence), not above the promised 2; {reach}."
        if testable
        else f"Even {reach}, not above the promised {claim.epsilon:.3g}.",
        lower_bound=_bound(run),
        detectable=5.55,
        level=0.95,
        method="Clopper-Pearson at registered thresholds",
    )


def _bound(run: Invented) -> float:
    return 0.21 if run.epsilon is None else 0.0


def _tpr(run: Invented, fpr: float) -> Estimate:
    if fpr * AUDITED < 10:
        reason = f"not resolvable: 1,500 non-members give {fpr * AUDITED:.3g} expected false positives at a rate of {fpr:g}; 10 are needed"
        return _attack(run, "tpr_at_fpr", None, "threshold at that rate", None, fpr=fpr, missing=reason)
    value = _power(run, fpr)
    return _attack(run, "tpr_at_fpr", value, "threshold at that rate", _around(value, AUDITED, "Clopper-Pearson"), fpr=fpr)


def _attack(
    run: Invented, name: str, value: float | None, method: str, interval: Interval | None, *, fpr: float = 0.0, missing: str | None = None
) -> Estimate:
    conditions = {"attack": "loss threshold", "members": AUDITED, "nonmembers": AUDITED}
    return Estimate(
        name=name,
        subject=run.name,
        value=value,
        unit="nats" if name.startswith("epsilon") else "share",
        direction="lower is better",
        interval=interval,
        n=2 * AUDITED,
        conditions=conditions | {"fpr": fpr} if fpr else conditions,
        method=method,
        reference="attack: Yeom et al. 2018, arXiv 1709.01604",
        access="black-box: losses",
        missing=missing,
    )


def _power(run: Invented, fpr: float) -> float:
    """True positive rate of an attack whose scores are normal on both sides."""
    return fpr if fpr in (0.0, 1.0) else NORMAL.cdf(NORMAL.inv_cdf(fpr) + run.separation)


def _seconds(run: Invented) -> Estimate:
    span = Interval(low=run.seconds * 0.96, high=run.seconds * 1.07, level=0.95, method="smallest and largest epoch, no coverage promised")
    return Estimate(
        name="seconds_per_epoch",
        subject=run.name,
        value=run.seconds,
        unit="seconds",
        direction="lower is better",
        interval=span,
        n=EPOCHS,
        conditions={"threads": 2, "batch_size": 512},
        method="median over epochs of the time of their training steps",
    )


def _parameters(run: Invented) -> Estimate:
    return Estimate(
        name="parameters", subject=run.name, value=1_204_332.0, unit="parameters", direction="neither", method="trainable ones, counted"
    )


def _around(value: float, n: float, method: str) -> Interval:
    """The Wilson interval of a share."""
    z = 1.96
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(low=max(0.0, middle - half), high=min(1.0, middle + half), level=0.95, method=method)
