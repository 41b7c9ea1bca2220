"""A record with everything that a record can hold."""

import pytest

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.runs import RunRecord


@pytest.fixture
def record() -> RunRecord:
    claim = PrivacyClaim(
        subject="dp-sgd",
        epsilon=7.999999999999998,
        delta=1e-5,
        unit="example",
        neighbouring="add/remove",
        sampler="Poisson, probability 0.039",
        accountant="PLD",
        kind="proved",
        steps=500,
        conditions=("the number of examples is public",),
        other_accounts={"RDP": 8.61},
    )
    evidence = Evidence(
        estimates=(
            Estimate(
                name="intent_accuracy",
                subject="dp-sgd",
                value=0.1 + 0.2,
                unit="share",
                direction="higher is better",
                interval=Interval(low=0.29, high=0.31, level=0.95, method="Wilson"),
                n=700,
                conditions={"split": "test", "seeds": 1, "paired": True},
            ),
            Estimate(
                name="tpr_at_fpr", subject="dp-sgd", value=None, unit="share", direction="lower is better", missing="too few non-members"
            ),
        ),
        curves=(Curve(name="roc", subject="dp-sgd", x=(0.0, 1e-300, 1.0), y=(0.0, 1 / 3, 1.0), x_label="x", y_label="y"),),
        claims=(claim,),
        verdicts=(Verdict(subject="dp-sgd", outcome="not contradicted", reason="It held.", lower_bound=0.31, detectable=5.2, level=0.95),),
        notes=("One run only.",),
    )
    return RunRecord(
        name="dp-sgd",
        status="finished",
        created="2026-11-22T17:04:55+00:00",
        settings={"training": {"epochs": 20, "learning_rate": 2e-3}, "audit": ["loss-threshold"], "model": None},
        environment={"python": "3.11", "threads": 2},
        data={"name": "snips", "content_hash": "0" * 64},
        model={"name": "bilstm"},
        mechanism={"name": "dp-sgd", "clip_norm": 1.0},
        evidence=evidence,
        command="holdfast run study.toml",
    )
