"""Audits by canaries find each planted bug as surely as was said before, leave sound mechanisms alone, and find nothing when broken."""

import numpy as np
import pytest
from scipy import stats
from tests.oracles.planted_bugs import BUGS, CLIP_NORM, SOUND, Audited, drawn

from holdfast import privacy
from holdfast.core.randomness import Streams
from holdfast.testing import audit_mechanism, audits
from holdfast.testing.canaries import LOUD, Placement, trained

pytestmark = pytest.mark.slow

*CERTAIN, WEAK = BUGS
SEEDS = (11, 12)
ONE_RUN = [bug for bug in BUGS if bug.kind == "one-run"]


def named(audited: Audited) -> str:
    return f"{audited.name}, {audited.kind}"


@pytest.mark.parametrize("bug", CERTAIN, ids=named)
def test_a_bug_is_found_as_its_power_says(bug: Audited):
    found = [bug.audit(seed) for seed in SEEDS]
    assert bug.power(guessed=found[0].reach.guessed) > 0.99
    assert all(audit.contradicted for audit in found)
    assert all(audit.bounds[audit.decides] > bug.claim.epsilon for audit in found)


def test_a_weak_bug_is_found_as_often_as_its_power_says():
    found = [WEAK.audit(seed) for seed in range(40)]
    power = WEAK.power(guessed=found[0].reach.guessed, simulations=2000)
    low, high = stats.binom.interval(0.999, len(found), power)
    assert 0.5 < power < 0.99
    assert low <= sum(audit.contradicted for audit in found) <= high


@pytest.mark.parametrize("sound", SOUND, ids=named)
def test_a_sound_mechanism_is_not_contradicted(sound: Audited):
    for seed in SEEDS:
        found = sound.audit(seed)
        assert found.verdict.outcome == "not contradicted"
        assert found.reach.detectable > found.claim.epsilon  # it was in danger


@pytest.mark.parametrize("name", ["one-run", "alone"])
def test_a_promise_without_slack_is_seldom_contradicted(name: str):
    """Canaries as telling as the promise allows: the law of the sound mechanism, in place of a broken one's."""
    tight = next(sound for sound in SOUND if sound.name == "dp-sgd, everybody drawn" and sound.kind == name)
    law = drawn(probability=1.0, steps=2, signal=1, noise=2)
    audited = Audited(name=tight.name, mechanism=tight.mechanism, kind=tight.kind, canaries=tight.canaries, law=law)
    guessed = 120 if name == "one-run" else None
    assert audited.power(guessed=guessed, simulations=1000) <= 0.05


@pytest.mark.parametrize("bug", ONE_RUN, ids=named)
def test_the_stated_law_is_that_of_the_scores(bug: Audited):
    streams = Streams(3)
    included = streams.generator("coins").random(bug.canaries) < 0.5
    placement = Placement.orthogonal(bug.canaries, norm=LOUD * CLIP_NORM)
    scores = trained(bug.mechanism, placement, included, streams=streams) * bug.mechanism.divisor / CLIP_NORM
    by_law = bug.law(np.random.default_rng(0), included)
    for side in (True, False):
        assert stats.ks_2samp(scores[included == side], by_law[included == side]).pvalue > 1e-4
    wrong = by_law + 0.5 * scores.std()
    assert stats.ks_2samp(scores[included], wrong[included]).pvalue < 1e-4


def test_less_noise_is_found_more_surely():
    def power(share: float) -> float:
        law = drawn(probability=1.0, steps=2, signal=1, noise=2 * share)
        bug = Audited(name="less noise", mechanism=WEAK.mechanism, kind="one-run", canaries=WEAK.canaries, law=law)
        return bug.power(guessed=120)

    found = [power(share) for share in (1.0, 0.7, 0.5, 0.3)]
    assert found == sorted(found)
    assert found[0] < 0.05
    assert found[-1] > 0.99


def test_full_batch_training_is_bounded_as_tightly_as_known():
    """The bound for the ideal Gaussian mechanism at epsilon 4 with 1,000 canaries is 2.36 where their best share is guessed."""
    promise = privacy.Budget(epsilon=4.0, delta=1e-5)
    mechanism = privacy.dp_sgd(examples=1000, batch_size=1000, steps=1, clip_norm=1.0, target=promise, sampler="poisson")
    found = [audit_mechanism(mechanism, canaries=1000, seed=seed) for seed in range(20)]
    bounds = [audit.bounds["one-run-f-dp"] for audit in found]
    assert {audit.decides for audit in found} == {"one-run-f-dp"}
    assert 2.0 <= np.mean(bounds) < 2.6
    assert max(bounds) < 4
    assert np.mean([audit.bounds["one-run"] for audit in found]) < np.mean(bounds)


def shuffled(scores: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(scores)


@pytest.mark.parametrize(
    "breaks",
    [
        lambda scores, present: shuffled(scores),
        lambda scores, present: -scores,
        lambda scores, present: np.zeros_like(scores),
    ],
    ids=["shuffled", "turned round", "all equal"],
)
def test_an_audit_with_broken_scores_has_no_power(breaks, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        audits, "trained", lambda m, placement, present, *, streams: breaks(trained(m, placement, present, streams=streams), present)
    )
    for bug in ONE_RUN[:2]:
        assert not bug.audit(SEEDS[0]).contradicted


def test_an_audit_whose_coins_are_not_obeyed_has_no_power(monkeypatch: pytest.MonkeyPatch):
    def everybody(mechanism, placement, present, *, streams):
        return trained(mechanism, placement, np.ones_like(present), streams=streams)

    monkeypatch.setattr(audits, "trained", everybody)
    assert not any(bug.audit(SEEDS[0]).contradicted for bug in CERTAIN)
