"""The ranking of secrets by models whose loss at every fill is written down."""

import dataclasses
import math

import numpy as np
import pytest

from holdfast.audit.canaries import SecretTables, rank_bounds, rank_secrets
from holdfast.audit.canaries.exposure import Exposure, exact_exposure
from holdfast.audit.verdicts import judge_together
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.core.randomness import Streams
from holdfast.data import Secret, pattern


class Written:
    """A model that is nothing but its losses at the fills of some patterns."""

    def __init__(self, every: dict) -> None:
        self.every = every
        self.asked = 0

    def losses(self, data):
        self.asked += len(data)
        return np.array([self._loss(words) for words in data.tokens()])

    def _loss(self, words):
        one = next(one for one in self.every if tuple(words[: len(one.before)]) == one.before)
        digits = "".join(str(one.candidates.index(word)) for word in words[len(one.before) :])
        return self.every[one][int(digits)]


def secret(*, length: int = 3, fill: int = 417, repetitions: int = 10, name: str = "pin") -> Secret:
    places = tuple(map(int, f"{fill:0{length}d}"))
    return Secret(pattern=pattern(name, length=length), places=places, repetitions=repetitions)


def ranked_at(rank: int, *, size: int = 1000, fill: int = 417) -> np.ndarray:
    """Losses by which the fill has this rank; those below it are the first ones."""
    losses = np.linspace(2.0, 3.0, size)
    losses[fill] = 1.5
    losses[: rank - 1] = 1.0
    return losses


def found_at(rank: int, one: Secret, **settings) -> Evidence:
    return rank_secrets(Written({one.pattern: ranked_at(rank)}), [one], subject="dp-sgd", **settings)


def value(found: Evidence, name: str) -> float:
    return found.estimate(name).value


@pytest.mark.parametrize("rank", [1, 2, 50])
def test_an_enumeration_gives_the_exact_rank_and_what_follows_from_it(rank):
    found = found_at(rank, secret())
    assert value(found, "secret_rank") == rank
    assert value(found, "secret_exposure") == pytest.approx(math.log2(1000 / rank))
    assert value(found, "secret_p_value") == rank / 1000
    assert value(found, "secrets_p_value") == pytest.approx(rank / 1000)
    exact = found.estimate("secret_rank")
    assert exact.interval is None
    assert exact.method.startswith("exact: all 1,000 fills")
    assert exact.n == 1000
    told = found.estimate("secret_exposure").conditions
    assert told["most"] == pytest.approx(math.log2(1000))
    assert told["null_mean"] == pytest.approx(1.44, abs=0.01)
    assert {name: told[name] for name in ("attack", "secret", "length", "candidates", "repetitions", "space")} == {
        "attack": "canary",
        "secret": "pin",
        "length": 3,
        "candidates": 10,
        "repetitions": 10,
        "space": 1000,
    }


def test_the_names_units_and_directions_are_those_that_a_report_knows():
    found = found_at(3, secret())
    assert [(one.name, one.unit, one.direction) for one in found.estimates] == [
        ("secret_rank", "rank", "higher is better"),
        ("secret_exposure", "bits", "lower is better"),
        ("secret_p_value", "probability", "neither"),
        ("secret_epsilon", "nats", "lower is better"),
        ("secrets_p_value", "probability", "neither"),
    ]
    assert {one.access for one in found.estimates} == {"black-box: losses of chosen inputs"}
    assert found.notes
    assert not found.verdicts


@pytest.mark.parametrize("repetitions", [1, 3])
def test_epsilon_is_that_of_a_group_of_all_copies(repetitions):
    found = found_at(1, secret(repetitions=repetitions))
    assert value(found, "secret_epsilon") == pytest.approx(math.log(0.05 * 1000) / repetitions)  # at delta 0: there is no promise
    told = found.estimate("secret_epsilon").conditions
    assert (told["delta"], told["level"], told["unit"]) == (0.0, 0.95, "example")
    assert told["detectable"] == pytest.approx(value(found, "secret_epsilon"))


def test_a_control_has_a_rank_but_no_bound_and_no_part_in_the_joint_p_value():
    pin, call = secret(), secret(name="call", fill=5, repetitions=0)
    model = Written({pin.pattern: ranked_at(2), call.pattern: ranked_at(400, fill=600)})
    found = rank_secrets(model, [pin, call], subject="plain")
    assert found.estimate("secret_epsilon", conditions={"secret": "call"}) is None
    assert found.estimate("secret_rank", conditions={"secret": "call"}).value == 399  # all that tie with it count as lower
    joint = found.estimate("secrets_p_value")
    assert joint.value == pytest.approx(2 / 1000)
    assert joint.conditions == {"attack": "canary", "secrets": 1, "combination": "Fisher"}
    assert value(found, "secret_epsilon") == pytest.approx(math.log(0.05 / 0.002) / 10)  # the control takes no share of the error


def test_several_secrets_share_the_chance_of_error_and_join_in_one_p_value():
    pin, call = secret(repetitions=1), secret(name="call", repetitions=2)
    model = Written({pin.pattern: ranked_at(1), call.pattern: ranked_at(10)})
    found = rank_secrets(model, [pin, call], subject="plain", level=0.9)
    exposures = [Exposure(space=1000, at_or_below=1), Exposure(space=1000, at_or_below=10)]
    bounds = rank_bounds(exposures, copies=[1, 2], delta=0.0, level=0.9)
    got = [found.estimate("secret_epsilon", conditions={"secret": name}).value for name in ("pin", "call")]
    assert got == pytest.approx([math.log(0.05 / 0.001), math.log(0.05 / 0.01) / 2])
    assert got == [bound.value for bound in bounds]
    product = 0.001 * 0.01
    assert value(found, "secrets_p_value") == pytest.approx(product * (1 - math.log(product)))


def test_a_claim_that_the_rank_refutes_is_contradicted(claim):
    found = found_at(1, secret(repetitions=1), claim=claim(2.0))
    (verdict,) = found.verdicts
    assert verdict.outcome == "contradicted"
    assert verdict.lower_bound == pytest.approx(math.log(0.05 * 1000), abs=0.001)
    assert "the rank of secret 'pin' shows that epsilon is at least 3.91 at delta 1e-05" in verdict.reason.replace("The rank", "the rank")
    told = found.estimate("secret_exposure").conditions
    assert told["cap"] < value(found, "secret_exposure")  # a refuted promise allows less than was seen
    assert told["cap_level"] == 0.95


def test_a_poor_rank_does_not_contradict_what_a_good_one_would(claim):
    found = found_at(400, secret(repetitions=1), claim=claim(2.0))
    (verdict,) = found.verdicts
    assert verdict.outcome == "not contradicted"
    assert (verdict.lower_bound, verdict.level) == (0.0, 0.95)
    assert "the best rank of this secret would show 3.91" in verdict.reason
    assert found.estimate("secret_exposure").conditions["cap"] > value(found, "secret_exposure")


def test_a_claim_out_of_reach_is_not_testable_and_the_cure_would_do(claim):
    found = found_at(1, secret(repetitions=10), claim=claim(2.0))
    (verdict,) = found.verdicts
    assert verdict.outcome == "not testable"
    assert "Even the best rank of this secret would show 0.389, not above the promised 2" in verdict.reason
    assert "one secret, planted once and ranked among 149 fills, would do" in verdict.reason
    enough, short = (rank_bounds([Exposure(space=fills, at_or_below=1)], copies=[1], delta=1e-5)[0].value for fills in (149, 147))
    assert enough > 2.0 > short
    far = found_at(1, secret(), claim=claim(30.0)).verdicts[0]
    assert "no number of fills within reach would do" in far.reason


def test_the_bound_level_is_that_of_the_verdict_and_joins_with_others(claim):
    found = found_at(1, secret(repetitions=1), claim=claim(2.0), level=0.95, bound_level=0.99)
    (verdict,) = found.verdicts
    assert verdict.level == 0.99
    assert verdict.lower_bound == pytest.approx(math.log(0.01 * 1000), abs=0.01)
    other = dataclasses.replace(verdict, outcome="not contradicted", lower_bound=0.1)
    assert judge_together([other, verdict], level=0.98).outcome == "contradicted"


def test_controls_alone_test_no_claim(claim):
    found = found_at(1, secret(repetitions=0), claim=claim(2.0))
    assert found.verdicts[0].outcome == "not testable"
    assert "No secret was planted" in found.verdicts[0].reason
    assert found.estimate("secrets_p_value") is None
    assert "cap" not in found.estimate("secret_exposure").conditions


def test_all_copies_of_a_secret_are_one_user(claim):
    found = found_at(1, secret(repetitions=10), claim=claim(2.0, unit="user"))
    assert found.verdicts[0].outcome == "contradicted"
    assert value(found, "secret_epsilon") == pytest.approx(math.log(0.05 * 1000), abs=0.001)
    assert found.estimate("secret_epsilon").conditions["unit"] == "user"


def test_the_histogram_holds_all_fills_and_the_truth():
    one = secret()
    losses = np.random.default_rng(0).normal(3, 1, 1000)
    found = rank_secrets(Written({one.pattern: losses}), [one], subject="plain")
    curve = found.curve("fill_losses")
    assert sum(curve.y) == pytest.approx(1)
    assert np.dot(curve.x, curve.y) == pytest.approx(losses.mean(), abs=0.05)
    assert curve.conditions["truth"] == losses[417]
    assert curve.conditions["secret"] == "pin"
    flat = rank_secrets(Written({one.pattern: np.full(1000, 2.0)}), [one], subject="plain")
    assert value(flat, "secret_rank") == 1000  # a model that cannot tell gives nothing away
    assert sum(flat.curve("fill_losses").y) == pytest.approx(1)


def test_beyond_the_most_fills_are_sampled_and_it_is_said():
    one = secret()
    losses = np.random.default_rng(0).permutation(1000).astype(float)
    model = Written({one.pattern: losses})
    found = rank_secrets(model, [one], subject="plain", samples=200, tables=SecretTables(model, most=999))
    rank = found.estimate("secret_rank")
    assert rank.method.startswith("sampled: 200 fills drawn uniformly")
    assert rank.n == 200
    assert rank.interval.low <= losses[417] + 1 <= rank.interval.high
    assert model.asked == 201
    exposure = found.estimate("secret_exposure")
    assert exposure.conditions["most"] == pytest.approx(math.log2(201))
    assert exposure.interval.low <= math.log2(1000 / (losses[417] + 1)) <= exposure.interval.high


def test_a_sampled_rank_is_the_exact_one_on_average():
    one = secret()
    losses = np.random.default_rng(1).permutation(1000).astype(float)
    exact = exact_exposure(losses, truth=417).rank
    model = Written({one.pattern: losses})
    tables, ranks = SecretTables(model, most=0), []
    for seed in range(200):
        found = rank_secrets(model, [one], subject="plain", samples=100, tables=tables, streams=Streams.from_seed(seed))
        ranks.append(value(found, "secret_rank"))
    share = exact / 1000
    error = 1000 * math.sqrt(share * (1 - share) / 100 / 200)
    assert abs(np.mean(ranks) - exact) < 3 * error
    assert np.std(ranks) == pytest.approx(error * math.sqrt(200), rel=0.2)


def test_the_same_streams_draw_the_same_and_each_secret_its_own():
    pin, call = secret(), secret(name="call")
    losses = np.random.default_rng(2).permutation(1000).astype(float)
    model = Written({pin.pattern: losses, call.pattern: losses})
    runs = [
        rank_secrets(model, [pin, call], subject="plain", samples=100, tables=SecretTables(model, most=0), streams=Streams.from_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    first, second = (runs[0].estimate("secret_rank", conditions={"secret": name}).value for name in ("pin", "call"))
    assert first != second


def test_what_cannot_be_ranked_is_refused(claim):
    one = secret()
    model = Written({one.pattern: ranked_at(1)})
    with pytest.raises(InputError, match="no secret is given"):
        rank_secrets(model, [], subject="plain")
    with pytest.raises(InputError, match="two secrets are called 'pin'"):
        rank_secrets(model, [one, one], subject="plain")
    with pytest.raises(InputError, match="speaks of 'dp-sgd', the secrets of 'plain'"):
        rank_secrets(model, [one], subject="plain", claim=claim(1.0))
    with pytest.raises(InputError, match="not numbers"):
        rank_secrets(Written({one.pattern: np.full(1000, np.nan)}), [one], subject="plain")
    with pytest.raises(InputError, match="level"):
        rank_secrets(model, [one], subject="plain", level=1.0)
