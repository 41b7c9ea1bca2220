"""Auditing a mechanism by canaries: what is trained on, what decides, what is said, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from holdfast import privacy
from holdfast.audit import epsilon_from_errors
from holdfast.audit.bounds import epsilon_of_gaussian, mu_from_errors
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.core.randomness import Streams
from holdfast.privacy import Execution, NoiseSchedule, PoissonSampler, ShuffledSampler, sums
from holdfast.testing import AUDIT_KINDS, audit_mechanism
from holdfast.testing.audits import _gaussian_bound, _reach_of_registered
from holdfast.testing.canaries import Placement, _CanaryModel, _Present, trained

SIZES = {"examples": 60, "clip_norm": 0.5, "delta": 1e-5}
FULL = privacy.dp_sgd(**SIZES, batch_size=60, steps=2, noise_multiplier=2.0, sampler="poisson")
SAMPLED = privacy.dp_sgd(**SIZES, batch_size=15, steps=8, noise_multiplier=2.0, sampler="poisson")
QUIET = NoiseSchedule(noise_multiplier=1e-4)


def drawn_by(mechanism: privacy.Mechanism, streams: Streams) -> np.ndarray:
    """How often each example is drawn, all present."""
    batches = [mechanism.sampler.indices(step, streams) for step in range(mechanism.steps)]
    return np.bincount(np.concatenate(batches), minlength=mechanism.sampler.examples)


@pytest.mark.parametrize("placement", [Placement.orthogonal(7, norm=3.0), Placement.opposed(7, norm=40.0, others=3.0)])
def test_a_gradient_is_the_same_at_any_weights_and_as_long_as_stated(placement: Placement):
    model = _CanaryModel(placement)
    everybody = np.arange(7)
    found = []
    for _ in range(2):
        rows = [sums.plain(model, model.losses_of, np.array([one]), execution=Execution()) for one in everybody]
        found.append(torch.stack([torch.cat([row[name].flatten() for name in sorted(row)]) for row in rows]))
        torch.nn.init.normal_(model.words.weight, generator=torch.Generator().manual_seed(0))
    assert torch.equal(*found)
    assert torch.allclose(found[0].norm(dim=1), torch.from_numpy(placement.lengths).abs().float())
    half = found[0].shape[1] // 2
    assert torch.equal(found[0][:, :half], found[0][:, half:])  # as much in the embedding as in the dense layer


def test_orthogonal_and_opposed_gradients():
    def gram(placement: Placement) -> np.ndarray:
        model = _CanaryModel(placement)
        rows = [sums.plain(model, model.losses_of, np.array([one]), execution=Execution()) for one in range(5)]
        flat = torch.stack([torch.cat([value.flatten() for value in row.values()]) for row in rows])
        return (flat @ flat.T).numpy()

    assert np.allclose(gram(Placement.orthogonal(5, norm=2.0)), 4 * np.eye(5))
    lengths = np.array([10.0, -1, -1, -1, -1])
    assert np.allclose(gram(Placement.opposed(5, norm=10.0, others=1.0)), np.outer(lengths, lengths), rtol=1e-5)


@pytest.mark.parametrize(
    ("clipping", "clip_norm"), [({}, 0.5), ({"clipping": "per-layer"}, 0.5), ({"clipping": "automatic", "clip_norm": None}, 1.0)]
)
def test_a_score_is_the_clip_norm_times_the_draws_over_the_divisor(clipping, clip_norm):
    options = {**SIZES, "batch_size": 15, "steps": 8, "noise_multiplier": 1e-4, "sampler": "poisson", **clipping}
    mechanism = privacy.dp_sgd(**options)
    streams = Streams(4)
    present = np.arange(60) % 3 != 0
    scores = trained(mechanism, Placement.orthogonal(60, norm=100.0), present, streams=streams)
    assert np.allclose(scores * mechanism.divisor / clip_norm, drawn_by(mechanism, streams) * present, atol=0.02)


@pytest.mark.parametrize("inside", [True, False])
def test_a_loud_canary_turns_its_micro_batch_round(inside: bool):
    """One step over one micro-batch: the sum is C against all others without the canary, and C along it with the canary."""
    options = {"examples": 12, "batch_size": 12, "micro_batch_size": 12, "steps": 1, "clip_norm": 0.5}
    mechanism = privacy.edp_sgd(**options, noise_multiplier=1e-4, delta=1e-5, sampler="poisson")
    present = np.arange(12) >= (0 if inside else 1)
    scores = trained(mechanism, Placement.opposed(12, norm=1e4, others=12.0), present, streams=Streams(0))
    assert scores[0] == pytest.approx(0.5 if inside else -0.5, abs=1e-3)
    assert np.allclose(scores[1:], -scores[0])


def test_an_absent_example_is_never_drawn_and_moves_no_other():
    present = np.arange(60) % 2 == 0
    sampler, streams = _Present(SAMPLED.sampler, present), Streams(1)
    for step in range(5):
        whole = SAMPLED.sampler.indices(step, streams)
        assert np.array_equal(sampler.indices(step, streams), whole[whole % 2 == 0])
    assert str(sampler) == str(SAMPLED.sampler)
    assert sampler.event(1.0) == SAMPLED.sampler.event(1.0)


def test_under_replace_one_an_absent_canary_points_the_other_way():
    sampler = ShuffledSampler(60, 20, neighbouring="replace-one")
    mechanism = replace(FULL, sampler=sampler, noise=QUIET, steps=6)
    present = np.arange(60) < 30
    scores = trained(mechanism, Placement.orthogonal(60, norm=100.0), present, streams=Streams(0))
    assert np.allclose(scores * mechanism.divisor / 0.5, np.where(present, 2, -2), atol=0.02)  # two epochs


def test_users_are_audited_as_users():
    options = {"batch_size": 40, "steps": 2, "clip_norm": 0.5, "noise_multiplier": 2.0, "delta": 1e-5, "sampler": "poisson"}
    mechanism = privacy.dp_sgd(**options, unit="user", users=40, examples_per_user=3)
    quiet = replace(mechanism, noise=QUIET)
    scores = trained(quiet, Placement.orthogonal(40, norm=100.0), np.arange(40) % 2 == 0, streams=Streams(0))
    assert np.allclose(scores * mechanism.divisor / 0.5, np.where(np.arange(40) % 2 == 0, 2, 0), atol=0.02)
    assert audit_mechanism(mechanism, canaries=40, seed=0).claim.unit == "user"


@pytest.mark.parametrize(
    ("mechanism", "kind", "decides"),
    [
        (SAMPLED, "one-run", "one-run"),
        (FULL, "one-run", "one-run-f-dp"),
        (replace(FULL, sampler=ShuffledSampler(60, 20)), "one-run", "one-run-f-dp"),
        (replace(SAMPLED, steps=1), "alone", "clopper-pearson"),
        (replace(FULL, steps=1), "opposed", "gaussian"),
    ],
)
def test_what_decides_follows_from_the_promise(mechanism, kind, decides):
    found = audit_mechanism(mechanism, canaries=30, seed=0, kind=kind)
    assert found.decides == decides
    assert set(found.bounds) == ({"one-run", "one-run-f-dp"} if kind == "one-run" else {"clopper-pearson", "gaussian"})
    assert found.verdict.lower_bound == found.bounds[decides]
    assert ("decides nothing" in found.conditions[-1]) == (decides in ("one-run", "clopper-pearson"))
    assert (found.correct is None) == (kind != "one-run")
    assert found.claim == mechanism.claim(found.claim.subject)


def test_a_seed_gives_the_same_audit_and_another_one_another():
    def bounds(seed: int) -> dict[str, float]:
        return dict(audit_mechanism(FULL, canaries=60, seed=seed).bounds)

    before = torch.random.get_rng_state()
    assert bounds(5) == bounds(5)
    assert len({tuple(bounds(seed).values()) for seed in range(6)}) > 1
    assert torch.equal(before, torch.random.get_rng_state())


def test_an_audit_is_plain_json_and_evidence():
    found = audit_mechanism(FULL, canaries=60, seed=0)
    document = json.loads(json.dumps(found.to_json()))
    assert document["bounds"] == found.bounds
    assert document["verdict"]["outcome"] == found.verdict.outcome == "not contradicted"
    assert document["reach"]["guessed"] == found.reach.guessed
    evidence = found.evidence()
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence
    assert [estimate.conditions["decides"] for estimate in evidence.estimates] == [False, True]
    assert evidence.verdicts == (found.verdict,)


def test_the_promise_is_tested_at_the_delta_asked_for():
    found = audit_mechanism(FULL, canaries=60, seed=0, delta=1e-3)
    assert found.claim.delta == 1e-3
    assert found.claim.epsilon == pytest.approx(privacy.epsilon(FULL.ledger(), 1e-3))
    assert found.claim.epsilon < audit_mechanism(FULL, canaries=60, seed=0).claim.epsilon


def test_too_few_canaries_for_a_large_epsilon_are_said_to_test_nothing():
    loose = replace(SAMPLED, noise=NoiseSchedule(noise_multiplier=0.5))
    found = audit_mechanism(loose, canaries=20, seed=0)
    assert found.verdict.outcome == "not testable"
    assert found.reach.detectable < found.claim.epsilon
    assert found.reach.bug_epsilon is None
    assert "take more canaries" in found.verdict.reason


def test_a_verdict_says_what_would_have_been_found():
    found = audit_mechanism(FULL, canaries=60, seed=0)
    assert f"a Gaussian mechanism with epsilon {found.reach.bug_epsilon:.3g} would have been contradicted" in found.verdict.reason
    assert found.reach.expected < found.claim.epsilon < min(found.reach.bug_epsilon, found.reach.detectable)


def test_a_mechanism_that_draws_more_than_it_says_is_contradicted():
    class DrawsAll(PoissonSampler):
        def indices(self, step, streams):
            return np.arange(self.examples)

    wrong = replace(SAMPLED, sampler=DrawsAll(60, 3), steps=20)
    found = audit_mechanism(wrong, canaries=60, seed=0)
    assert found.contradicted
    assert found.claim.kind == "unproved"
    assert f"above the accounted {found.claim.epsilon:.3g}" in found.verdict.reason


def test_the_gaussian_threshold_is_set_on_scores_that_are_not_tested():
    inside, outside = np.full(40, 1.0), np.zeros(40)
    whole = _gaussian_bound(inside, outside, delta=1e-5, alpha=0.05)
    assert whole == epsilon_of_gaussian(mu_from_errors(0, 30, 0, 30, alpha=0.05), 1e-5)
    inside[:3], outside[:3] = -0.1, 1.1  # errors among the first ten of each side move the threshold but a little
    assert _gaussian_bound(inside, outside, delta=1e-5, alpha=0.05) == whole
    inside[-3:] = -0.1
    assert _gaussian_bound(inside, outside, delta=1e-5, alpha=0.05) < whole


def test_what_many_trainings_can_show():
    reach = _reach_of_registered(1.0, 1e-5, 100, 0.05)
    assert reach.detectable == pytest.approx(epsilon_from_errors(0, 100, 0, 50, delta=1e-5, alpha=0.05 / 8))
    assert 0 <= reach.expected < 1 < reach.bug_epsilon
    more = _reach_of_registered(1.0, 1e-5, 400, 0.05)
    assert more.detectable > reach.detectable
    assert more.bug_epsilon < reach.bug_epsilon
    assert _reach_of_registered(8.0, 1e-5, 100, 0.05).bug_epsilon is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "one run"}, "did you mean 'one-run'"),
        ({"level": 1.0}, "level is 1.0"),
        ({"canaries": 19}, "between 20 and the 60"),
        ({"canaries": 61}, "between 20 and the 60"),
        ({"canaries": 27, "kind": "alone"}, "at least 28"),
        ({"mechanism": privacy.non_private(examples=60, batch_size=10, epochs=1)}, "no promise"),
        ({"delta": 1.5}, "delta"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_input(options, said):
    given = {"mechanism": FULL, "canaries": 30, "seed": 0, **options}
    with pytest.raises(InputError, match=said):
        audit_mechanism(given.pop("mechanism"), **given)


def test_the_fewest_trainings_are_enough_for_a_plan():
    one_step = replace(FULL, steps=1)
    found = audit_mechanism(one_step, canaries=29, seed=0, kind="alone")
    assert found.canaries == 28
    perfect = epsilon_of_gaussian(mu_from_errors(0, 10, 0, 10, alpha=0.05), 1e-5)  # four of 14 on each side set the threshold
    assert found.reach.detectable == pytest.approx(perfect)


def test_every_kind_says_what_it_does():
    assert list(AUDIT_KINDS) == ["one-run", "alone", "opposed"]
    assert all(len(words) > 40 for words in AUDIT_KINDS.values())
