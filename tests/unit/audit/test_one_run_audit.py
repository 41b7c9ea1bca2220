"""The audit of one run by canaries: figures by known answers, the three verdicts, and every condition that is checked."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from holdfast.audit import Guesses, Scores, audit, one_run_audit, one_run_epsilon, one_run_gaussian_epsilon, plan
from holdfast.audit.bounds import epsilon_of_gaussian, group_claim, one_run_mu, single_epsilon
from holdfast.audit.bounds.gaussian import CONDITION
from holdfast.audit.one_run_audit import ATTACK, accuracy_cap
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.core.randomness import Streams
from holdfast.data import coin_canaries


class Told:
    """A model whose losses are given by the text of an example."""

    def __init__(self, canaries, losses) -> None:
        self.known = dict(zip((one.text for one in canaries), losses, strict=True))

    def losses(self, data) -> np.ndarray:
        return np.array([self.known.get(one.text, 1.0) for one in data], dtype=float)


@pytest.fixture
def coins(utterances):
    def make(m: int, *, seed: int = 1):
        return utterances(m, seed=seed), np.random.default_rng(seed).random(m) < 0.5

    return make


@pytest.fixture
def audited(coins, claim):
    """The evidence of an audit in which so many of the guesses at either end are wrong."""

    def make(m: int, epsilon: float | None, *, wrong: int = 0, **change) -> Evidence:
        canaries, included = coins(m)
        promise = None if epsilon is None else claim(epsilon)
        losses = np.where(included, 0.0, 5.0)
        ins, outs = np.flatnonzero(included)[:wrong], np.flatnonzero(~included)[:wrong]
        losses[ins], losses[outs] = 9.0, -9.0
        given = {"canaries": canaries, "included": included, "claim": promise, "subject": "dp-sgd", **change}
        return one_run_audit(Told(canaries, losses), **given)

    return make


def test_the_figures_are_those_of_the_guesses(audited):
    """500 canaries and a claim of 1: the plan says 150 guesses, of which 10 at either end are wrong."""
    found = audited(500, 1.0, wrong=10)
    planned = plan(epsilon=1.0, delta=1e-5, canaries=500, method="one-run")
    guesses = Guesses(canaries=500, guessed=planned.guessed, correct=planned.guessed - 20)
    bound, gaussian, accuracy = found.estimates
    assert [one.name for one in found.estimates] == ["one_run_epsilon", "one_run_gaussian_epsilon", "one_run_accuracy"]
    assert planned.guessed == 150
    assert bound.value == pytest.approx(one_run_epsilon(guesses, delta=1e-5, alpha=0.05))
    assert gaussian.value == pytest.approx(one_run_gaussian_epsilon(guesses, delta=1e-5, alpha=0.05))
    assert accuracy.value == pytest.approx(130 / 150)
    exact = stats.binomtest(130, 150).proportion_ci(0.95)
    assert (accuracy.interval.low, accuracy.interval.high) == pytest.approx((exact.low, exact.high))
    for one in found.estimates:
        counts = {name: one.conditions[name] for name in ("attack", "canaries", "guessed", "correct", "copies", "training_runs")}
        assert counts == {"attack": ATTACK, "canaries": 500, "guessed": 150, "correct": 130, "copies": 1, "training_runs": 1}
        assert (one.subject, one.n, one.access) == ("dp-sgd", 500, "black-box: losses")
    told = {name: bound.conditions[name] for name in ("delta", "level", "detectable", "expected")}
    assert told == pytest.approx({"delta": 1e-5, "level": 0.95, "detectable": planned.cap, "expected": planned.expected})
    assert (gaussian.conditions["kind"], gaussian.conditions["condition"]) == ("conditional", CONDITION)
    assert Evidence.from_json(found.to_json()) == found


def test_a_memoriser_contradicts_the_promise_with_all_that_the_guesses_can_show(audited):
    found = audited(500, 1.0)
    (verdict,) = found.verdicts
    assert (verdict.outcome, verdict.level) == ("contradicted", 0.95)
    assert verdict.lower_bound == verdict.detectable == found.estimate("one_run_epsilon").value
    assert verdict.reason == (
        "The guesses at the canaries show that epsilon is at least 3.89 at delta 1e-05 (95% confidence), above the promised 1."
    )


def test_a_promise_that_holds_out_is_not_contradicted_and_the_power_is_told(audited):
    (verdict,) = audited(500, 1.0, wrong=60).verdicts
    assert (verdict.outcome, verdict.lower_bound) == ("not contradicted", 0.0)
    assert verdict.reason == (
        "The lower bound on epsilon is 0 at delta 1e-05 (95% confidence), not above the promised 1; 150 right guesses of 150 at these "
        "500 canaries would show 3.89; the best auditor of a Gaussian mechanism that just keeps the promise would show 0.14 on average."
    )


def test_the_gaussian_bound_alone_contradicts_nothing(audited):
    found = audited(2000, 1.0, wrong=24)
    assert found.estimate("one_run_epsilon").value < 1 < found.estimate("one_run_gaussian_epsilon").value
    assert found.verdicts[0].outcome == "not contradicted"


def test_a_promise_beyond_all_right_guesses_is_not_testable(audited):
    (verdict,) = audited(100, 4.0).verdicts
    assert verdict.outcome == "not testable"
    assert verdict.reason.startswith("Even 30 right guesses of 30 at these 100 canaries would show 2.25, not above the promised 4; ")
    needed = int(verdict.reason.split("; ")[1].split(" ")[0].replace(",", ""))
    perfect = [Guesses(canaries=m, guessed=round(0.3 * m), correct=round(0.3 * m)) for m in (needed // 2, needed)]
    assert one_run_epsilon(perfect[0], delta=1e-5, alpha=0.05) < 4 < one_run_epsilon(perfect[1], delta=1e-5, alpha=0.05)
    assert "no number of canaries within reach would do" in audited(100, 30.0).verdicts[0].reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": "user"}, "The promise is made for each user, the canaries test single examples."),
        ({"neighbouring": "replace-one"}, "The promise compares data of one size, but a coin adds a canary or leaves it out."),
    ],
)
def test_promises_of_another_kind_are_not_testable(audited, claim, change, said):
    found = audited(100, None, claim=dataclasses.replace(claim(0.5), **change))
    assert (found.verdicts[0].outcome, found.verdicts[0].reason, found.verdicts[0].lower_bound) == ("not testable", said, None)
    assert found.estimate("one_run_epsilon").value > 0.5


def test_a_run_without_a_promise_gets_figures_and_no_verdict(audited):
    found = audited(400, None)
    assert found.verdicts == ()
    bound, gaussian, accuracy = found.estimates
    assert (bound.conditions["delta"], bound.conditions["guessed"]) == (0.0, 120)
    assert bound.value == pytest.approx(one_run_epsilon(Guesses(canaries=400, guessed=120, correct=120), delta=0.0, alpha=0.05))
    assert gaussian.value is None
    assert "without a promise" in gaussian.missing
    assert "cap" not in accuracy.conditions


def test_a_promise_of_zero_is_testable(audited):
    assert audited(200, 0.0).verdicts[0].outcome == "contradicted"
    assert audited(200, 0.0, wrong=30).verdicts[0].outcome == "not contradicted"


def test_the_number_of_guesses_does_not_depend_on_the_losses(audited):
    assert len({audited(500, 2.0, wrong=wrong).estimates[0].conditions["guessed"] for wrong in (0, 20, 100)}) == 1


def test_the_bound_level_is_that_of_the_bounds_alone(audited):
    found = audited(500, 1.0, wrong=10, bound_level=0.975)
    bound = found.estimate("one_run_epsilon")
    guesses = Guesses(canaries=500, guessed=bound.conditions["guessed"], correct=bound.conditions["correct"])
    assert bound.value == pytest.approx(one_run_epsilon(guesses, delta=1e-5, alpha=0.025))
    assert found.verdicts[0].level == bound.conditions["level"] == 0.975
    assert found.estimate("one_run_accuracy").interval.level == 0.95


def test_copies_are_converted_by_group_privacy(audited):
    one, many = (audited(1000, 1.0, copies=copies) for copies in (1, 3))
    found = many.estimate("one_run_epsilon")
    guesses = Guesses(canaries=1000, guessed=found.conditions["guessed"], correct=found.conditions["guessed"])
    expected = single_epsilon(lambda delta: one_run_epsilon(guesses, delta=delta, alpha=0.05), delta=1e-5, copies=3)
    assert found.value == pytest.approx(expected)
    assert found.value < one.estimate("one_run_epsilon").value / 2
    gaussian = epsilon_of_gaussian(one_run_mu(guesses, alpha=0.05) / 3, 1e-5)
    assert many.estimate("one_run_gaussian_epsilon").value == pytest.approx(gaussian)
    assert many.estimate("one_run_accuracy").conditions["cap"] > one.estimate("one_run_accuracy").conditions["cap"]
    assert many.verdicts[0].outcome == "contradicted"
    assert "each canary planted 3 times" in many.verdicts[0].method
    assert "says nothing of a canary that was planted 20 times" in audited(200, 1.0, copies=20).verdicts[0].reason


def test_the_share_that_a_promise_allows_is_reached_and_not_beaten():
    """Randomised response with a delta: with probability delta the truth is shown, else it is told with probability q."""
    epsilon, delta, m = 1.0, 0.01, 4_000_000
    rng, q = np.random.default_rng(0), np.exp(1) / (1 + np.exp(1))
    right = np.where(rng.random(m) < delta, True, rng.random(m) < q)
    cap = accuracy_cap(group_claim(epsilon, delta, copies=1), canaries=m, guessed=m)
    assert right.mean() == pytest.approx(cap, abs=1e-3)
    assert accuracy_cap(group_claim(1.0, 0.01, copies=1), canaries=1000, guessed=100) == pytest.approx(q + 0.1 * (1 - q))
    assert accuracy_cap(group_claim(1.0, 0.5, copies=1), canaries=1000, guessed=10) == 1


def test_what_was_taken_for_granted_is_said(audited):
    said = " ".join(audited(100, 1.0).notes)
    for part in (
        "fair coin",
        "no two canaries",
        "fixed before",
        "evaluation mode",
        "Checkpoints",
        "choice of this run",
        "counts as public",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"included": [True] * 100}, "not fair: all canaries are in"),
        ({"included": [0] * 100}, "not fair: no canary is in"),
        ({"included": [True] * 75 + [False] * 25}, "not fair: 75 of 100 canaries are in"),
        ({"included": [True] * 99}, r"shape \(99,\) for 100 canaries"),
        ({"included": [0.5] * 100}, "one truth for each"),
        ({"included": [np.nan] * 100}, "one truth for each"),
        ({"level": 1.0}, "level is 1"),
        ({"bound_level": 0.0}, "bound_level is 0"),
        ({"copies": 0}, "copies is 0"),
        ({"subject": "other"}, "the claim speaks of 'dp-sgd', the canaries of 'other'"),
    ],
)
def test_what_cannot_be_an_audit_is_refused(audited, change, said):
    with pytest.raises(InputError, match=said):
        audited(100, 1.0, **change)


def test_coins_that_fair_ones_may_show_are_taken(audited):
    coins = np.arange(100) < 70  # as far off as one fair set of 25,000
    assert audited(100, 1.0, included=coins).estimate("one_run_epsilon") is not None


def test_equal_canaries_are_refused(coins, claim):
    canaries, included = coins(50)
    doubled = canaries.take([*range(48), 0, 1])
    with pytest.raises(InputError, match="2 of 50 canaries are equal to another one"):
        one_run_audit(Told(canaries, np.zeros(50)), canaries=doubled, included=included, claim=claim(1.0), subject="dp-sgd")
    few, heads = coins(19)
    with pytest.raises(InputError, match="19 canaries prove next to nothing"):
        one_run_audit(Told(few, np.zeros(19)), canaries=few, included=heads, claim=claim(1.0), subject="dp-sgd")


def test_a_model_in_training_mode_is_refused(coins, claim):
    canaries, included = coins(50)

    class Restless:
        def losses(self, data) -> np.ndarray:
            return np.random.default_rng().random(len(data))

    class Broken(Told):
        def losses(self, data) -> np.ndarray:
            return super().losses(data) * np.nan

    for model, said in ((Restless(), "training mode"), (Broken(canaries, np.ones(50)), "8 of 8 losses of the canaries are not finite")):
        with pytest.raises(InputError, match=said):
            one_run_audit(model, canaries=canaries, included=included, claim=claim(1.0), subject="dp-sgd")


@pytest.fixture
def planted(utterances):
    def make(copies: int = 1):
        return coin_canaries(utterances(600, seed=3), count=200, kind="random-words", streams=Streams(0), copies=copies)

    return make


def blind(fitted, *, members, nonmembers) -> Scores:
    """An attack that guesses."""
    rng = np.random.default_rng(0)
    scores = [rng.random(len(side)) for side in (members, nonmembers)]
    return Scores(members=scores[0], nonmembers=scores[1], attack="blind", access="none", reference="made up")


def told(planted) -> Told:
    return Told(planted.candidates, np.where(planted.included, 0.0, 5.0))


def test_canaries_are_one_more_test_of_the_promise(planted, utterances, claim):
    coins = planted()
    sides = {"members": coins.rest, "nonmembers": utterances(300, seed=4), "claim": claim(1.0), "subject": "dp-sgd"}
    alone = audit(told(coins), attacks=[blind], **sides)
    both = audit(told(coins), attacks=[blind], canaries=coins, **sides)
    assert alone.verdicts[0].outcome == "not contradicted"
    (verdict,) = both.verdicts
    assert (verdict.outcome, verdict.level) == ("contradicted", 0.95)
    assert verdict.reason.endswith("This is the strongest of 2 attacks, which share one chance of error.")
    by_itself = one_run_audit(
        told(coins), canaries=coins.candidates, included=coins.included, claim=claim(1.0), subject="dp-sgd", bound_level=0.975
    )
    assert verdict.lower_bound == both.estimate("one_run_epsilon").value == by_itself.estimate("one_run_epsilon").value
    assert both.estimate("epsilon_lower_bound").conditions["level"] == 0.975
    assert set(by_itself.notes) <= set(both.notes)


def test_canaries_alone_will_do_and_copies_are_passed_on(planted, utterances, claim):
    coins = planted(copies=2)
    sides = {"members": coins.rest, "nonmembers": utterances(300, seed=4), "claim": claim(0.5), "subject": "dp-sgd"}
    found = audit(told(coins), attacks=[], canaries=coins, **sides)
    assert found.verdicts[0].outcome == "contradicted"
    assert found.estimate("one_run_epsilon").conditions["copies"] == 2
    assert found.estimate("membership_auc") is None
    with pytest.raises(InputError, match="or plant canaries"):
        audit(told(coins), attacks=[], **sides)


def test_canaries_among_the_members_are_refused(planted, utterances, claim):
    coins = planted()
    with pytest.raises(InputError, match=r"canaries.rest"):
        audit(
            told(coins),
            members=coins.train,
            nonmembers=utterances(300, seed=4),
            attacks=[blind],
            claim=claim(1.0),
            subject="dp-sgd",
            canaries=coins,
        )
