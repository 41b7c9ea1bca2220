"""Scores: names and conditions that programs rely on, what is missing and why, and evidence that keeps its JSON form."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.audit import MembershipGame, Scores
from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate, Evidence, Interval


@pytest.fixture
def gaussian(scores) -> Scores:
    rng = np.random.default_rng(0)
    return scores(rng.normal(1, 1, 1500), rng.normal(0, 1, 1200))


def test_auc_names_its_method_and_what_it_saw(gaussian: Scores):
    auc = gaussian.auc(subject="dp-sgd")
    assert (auc.name, auc.subject, auc.unit, auc.direction, auc.n) == ("membership_auc", "dp-sgd", "share", "lower is better", 2700)
    assert auc.conditions == {"attack": "toy", "members": 1500, "nonmembers": 1200, "training_runs": 1}
    assert auc.interval.low < auc.value < auc.interval.high
    assert auc.interval.level == 0.95
    assert "DeLong" in auc.interval.method
    assert auc.access == "none"
    assert "made up" in auc.reference


def test_intervals_widen_with_their_level(gaussian: Scores):
    for figure in (gaussian.auc, lambda level: gaussian.tpr_at_fpr(0.1, level=level), lambda level: gaussian.advantage(level=level)):
        wide, narrow = figure(level=0.99).interval, figure(level=0.8).interval
        assert wide.low < narrow.low < narrow.high < wide.high


def test_auc_is_one_less_when_scores_are_turned_round(gaussian: Scores, scores):
    assert scores(-gaussian.members, -gaussian.nonmembers).auc().value == pytest.approx(1 - gaussian.auc().value)


@pytest.mark.parametrize("fpr", [0.1, 0.01, 0.29])
def test_tpr_is_read_off_where_at_most_that_share_is_accused(gaussian: Scores, fpr: float):
    estimate = gaussian.tpr_at_fpr(fpr, subject="dp-sgd")
    accused = math.floor(fpr * 1200 + 1e-9)
    threshold = sorted(gaussian.nonmembers, reverse=True)[accused]
    assert np.sum(gaussian.nonmembers > threshold) == accused
    assert estimate.value == np.mean(gaussian.members > threshold)
    assert estimate.conditions["fpr"] == fpr
    assert estimate.interval.low < estimate.value < estimate.interval.high


def test_tpr_never_accuses_more_than_its_share_where_scores_are_equal(scores):
    nonmembers = np.repeat([1.0, 0.0], [30, 70])
    estimate = scores(np.repeat([2.0, 1.0], [40, 60]), nonmembers).tpr_at_fpr(0.1)
    assert estimate.value == 0.4  # the 30 that share a score cannot be accused in part


@pytest.mark.parametrize(
    ("n0", "fpr", "resolvable"), [(1000, 0.01, True), (999, 0.01, False), (10_000, 0.001, True), (9_999, 0.001, False)]
)
def test_a_rate_with_fewer_than_ten_expected_false_positives_is_not_resolvable(scores, n0: int, fpr: float, resolvable: bool):
    estimate = scores(np.arange(50.0), np.arange(float(n0))).tpr_at_fpr(fpr)
    assert (estimate.value is not None) is resolvable
    assert (estimate.interval is not None) is resolvable


def test_a_rate_that_is_not_resolvable_gives_the_numbers(scores):
    estimate = scores(np.arange(50.0), np.arange(700.0)).tpr_at_fpr(0.001)
    assert estimate.missing == (
        "not resolvable: 700 non-members give 0.7 expected false positives at a rate of 0.001; "
        "10 are needed, so at least 10,000 non-members"
    )


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_outside_is_refused(gaussian: Scores, fpr: float):
    with pytest.raises(InputError, match="outside"):
        gaussian.tpr_at_fpr(fpr)


def test_advantage_shows_its_bias_and_the_cap_of_the_claim(gaussian: Scores, claim):
    plain, capped = gaussian.advantage(), gaussian.advantage(claim(1.0, delta=0.01))
    assert plain.value == capped.value
    assert {"null_mean", "null_p95", "p_value"} <= set(plain.conditions)
    assert "cap" not in plain.conditions
    assert capped.conditions["cap"] == pytest.approx(math.tanh(0.5) + 0.02 / (1 + math.e))
    assert plain.conditions["p_value"] < 1e-6
    assert plain.value > 0.3 > plain.conditions["null_p95"] > plain.conditions["null_mean"] > 0


def test_roc_is_a_banded_curve_from_the_left_edge_to_the_corner(gaussian: Scores):
    roc = gaussian.roc(subject="dp-sgd")
    assert (roc.name, roc.subject) == ("roc", "dp-sgd")
    assert len(roc.x) == len(roc.y) == len(roc.low) == len(roc.high) <= 400
    assert roc.x[0] == 0
    assert (roc.x[-1], roc.y[-1]) == (1, 1)
    for low, y, high in zip(roc.low, roc.y, roc.high, strict=True):
        assert low <= y <= high
    assert (roc.x_label, roc.y_label) == ("false positive rate", "true positive rate")


@given(st.integers(0, 2**32 - 1))
def test_roc_and_tpr_tell_the_same_story(seed: int):
    rng = np.random.default_rng(seed)
    made = Scores(
        members=rng.integers(0, 30, 60), nonmembers=rng.integers(0, 25, 120), attack="toy", access="none", reference="made up", game=None
    )
    roc = made.roc()
    for fpr in (0.1, 0.25, 0.5):
        below = [y for x, y in zip(roc.x, roc.y, strict=True) if x <= fpr + 1e-12]
        assert made.tpr_at_fpr(fpr).value == max(below)


def test_evidence_holds_the_names_that_programs_look_for(gaussian: Scores, claim):
    found = gaussian.evidence(claim(2.0), subject="dp-sgd")
    names = [(estimate.name, estimate.conditions.get("fpr")) for estimate in found.estimates]
    assert names == [
        ("membership_auc", None),
        ("tpr_at_fpr", 0.1),
        ("tpr_at_fpr", 0.01),
        ("tpr_at_fpr", 0.001),
        ("membership_advantage", None),
        ("epsilon_lower_bound", None),
    ]
    assert found.estimate("tpr_at_fpr", "dp-sgd", conditions={"fpr": 0.1}).value > 0.3
    assert found.curve("roc", "dp-sgd") is not None
    assert found.claims == ()
    assert all(estimate.subject == "dp-sgd" for estimate in found.estimates)


def test_evidence_survives_json_to_the_last_digit(gaussian: Scores, claim):
    found = gaussian.evidence(claim(2.0), subject="dp-sgd")
    text = json.dumps(found.to_json(), allow_nan=False)
    assert Evidence.from_json(json.loads(text)) == found


def test_lower_bound_is_at_the_delta_of_the_claim(gaussian: Scores, claim):
    bound = gaussian.evidence(claim(1.0, delta=0.05), subject="dp-sgd").estimate("epsilon_lower_bound")
    assert (bound.conditions["delta"], bound.conditions["level"], bound.unit) == (0.05, 0.95, "nats")
    free = gaussian.evidence(subject="non-private").estimate("epsilon_lower_bound")
    assert free.conditions["delta"] == 0
    assert free.value > bound.value > 0
    assert free.conditions["detectable"] > free.value


def test_the_verdict_repeats_the_lower_bound(gaussian: Scores, claim):
    found = gaussian.evidence(claim(0.1), subject="dp-sgd")
    (verdict,) = found.verdicts
    assert verdict.outcome == "contradicted"
    assert verdict.lower_bound == found.estimate("epsilon_lower_bound").value
    assert gaussian.evidence(subject="non-private").verdicts == ()


def test_a_claim_of_another_run_is_refused(gaussian: Scores, claim):
    with pytest.raises(InputError, match=r"'dp-sgd'.*'other'"):
        gaussian.evidence(claim(1.0), subject="other")


def test_notes_state_what_the_figures_rest_on(gaussian: Scores):
    notes = " ".join(gaussian.evidence(subject="x").notes)
    for words in ("proves nothing about privacy", "one training run", "one population", "independent", "single examples", "final model"):
        assert words in notes


def test_a_game_adds_the_blind_auc_and_its_notes(gaussian: Scores, scores, claim):
    interval = Interval(low=0.55, high=0.65, level=0.95, method="DeLong")
    blind = Estimate(name="blind_auc", subject="", value=0.6, unit="share", direction="neither", interval=interval)
    game = MembershipGame(members_alone=np.ones(1500, bool), nonmembers_alone=np.ones(1200, bool), overlap=0, blind=blind)
    found = scores(gaussian.members, gaussian.nonmembers, game).evidence(claim(0.1), subject="dp-sgd")
    assert found.estimate("blind_auc", "dp-sgd").value == 0.6
    assert found.verdicts[0].outcome == "not testable"
    assert found.estimate("epsilon_lower_bound").value is None
    assert "told apart" in found.estimate("epsilon_lower_bound").missing
    assert any("tells members from non-members" in note for note in found.notes)
    assert found.estimate("membership_auc").value == gaussian.auc().value


def test_a_game_of_another_size_is_refused(gaussian: Scores, scores):
    blind = Estimate(name="blind_auc", subject="", value=None, unit="share", direction="neither", missing="none")
    game = MembershipGame(members_alone=np.ones(3, bool), nonmembers_alone=np.ones(3, bool), overlap=0, blind=blind)
    with pytest.raises(InputError, match="3 and 3 rows"):
        scores(gaussian.members, gaussian.nonmembers, game)


def test_scores_that_are_not_finite_are_counted(scores):
    with pytest.raises(InputError, match="2 of 4 scores of the members are not finite"):
        scores([1.0, float("nan"), float("inf"), 2.0], [1.0, 2.0])
    with pytest.raises(InputError, match="1 of 2 scores of the non-members"):
        scores([1.0, 2.0], [1.0, float("-inf")])


@pytest.mark.parametrize("broken", [[1.0], [[1.0, 2.0], [3.0, 4.0]], []])
def test_scores_need_one_number_for_each_of_two_or_more(scores, broken: list):
    with pytest.raises(InputError, match="one number for each"):
        scores(broken, [1.0, 2.0])


def test_scores_are_copied_and_locked(scores):
    given_array = np.array([1.0, 2.0, 3.0])
    made = scores(given_array, [0.0, 1.0])
    given_array[0] = 99
    assert made.members[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        made.members[0] = 5
