"""The document of four runs, and ways to change it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.reporting import RUNS, STUDY, Invented, four_runs, record_of

from holdfast.core.claim import Outcome, PrivacyClaim, Verdict
from holdfast.report import Document, gather

Change = Callable[..., Document]


@pytest.fixture(scope="session")
def four() -> Document:
    return gather(four_runs(), title="SNIPS, four ways", study=STUDY)


@pytest.fixture(scope="session")
def alone() -> Document:
    return gather([record_of(RUNS[2])], title="Trust report")


@pytest.fixture(scope="session")
def unpromised() -> Document:
    return gather([record_of(RUNS[0])], title="Trust report")


@pytest.fixture
def named() -> Callable[..., Document]:
    """The document of runs that are invented with other properties."""

    def make(*changes: dict, base: Invented = RUNS[2]) -> Document:
        return gather([record_of(replace(base, **change)) for change in changes], title="Trust report")

    return make


@pytest.fixture
def judged(four: Document) -> Callable[..., Document]:
    """The four runs with another verdict on one of them."""

    def make(name: str, outcome: Outcome, **fields: object) -> Document:
        verdict = Verdict(subject=name, outcome=outcome, reason="So the attack found.", **fields)
        others = tuple(other for other in four.evidence.verdicts if other.subject != name)
        return replace(four, evidence=replace(four.evidence, verdicts=(*others, verdict)))

    return make


@pytest.fixture
def promised(four: Document) -> Callable[..., Document]:
    """The four runs with the claim of one of them changed."""

    def make(name: str, **fields: object) -> Document:
        claims = tuple(replace(claim, **fields) if claim.subject == name else claim for claim in four.evidence.claims)
        return replace(four, evidence=replace(four.evidence, claims=claims))

    return make


@pytest.fixture
def claim() -> Callable[..., PrivacyClaim]:
    def make(epsilon: float, **fields: object) -> PrivacyClaim:
        given = {"subject": "a", "delta": 1e-5, "unit": "example", "neighbouring": "add/remove", "sampler": "Poisson", "accountant": "PLD"}
        return PrivacyClaim(epsilon=epsilon, **{**given, "kind": "proved", "steps": 100, **fields})

    return make
