"""Properties of the core: evidence survives JSON bit for bit, caps are caps, and streams are independent and of the right law."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from holdfast.core.claim import PrivacyClaim, Verdict
from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.core.randomness import Streams

finite = st.floats(allow_nan=False, allow_infinity=False)
share = st.floats(0, 1)
inside = st.floats(0, 1, exclude_min=True, exclude_max=True)
words = st.text(max_size=12)
conditions = st.dictionaries(words, st.one_of(words, finite, st.integers(-(2**70), 2**70), st.booleans()), max_size=3)

intervals = st.builds(
    lambda ends, level, method: Interval(low=min(ends), high=max(ends), level=level, method=method),
    st.tuples(finite, finite),
    inside,
    words,
)
directions = st.sampled_from(["higher is better", "lower is better", "neither"])
measured = st.builds(
    Estimate,
    name=words,
    subject=words,
    value=finite,
    unit=words,
    direction=directions,
    interval=st.none() | intervals,
    n=st.none() | st.integers(0, 10**12),
    conditions=conditions,
    method=words,
    reference=words,
    access=words,
)
missing = st.builds(Estimate, name=words, subject=words, value=st.none(), unit=words, direction=directions, missing=words)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    points = draw(st.integers(0, 4))
    columns = {name: draw(st.lists(finite, min_size=points, max_size=points)) for name in ("x", "y", "low", "high")}
    if draw(st.booleans()):
        columns["low"] = columns["high"] = []
    return Curve(name=draw(words), subject=draw(words), x_label=draw(words), y_label=draw(words), conditions=draw(conditions), **columns)


claims = st.builds(
    PrivacyClaim,
    subject=words,
    epsilon=st.floats(0, 1e6),
    delta=inside,
    unit=st.sampled_from(["example", "user"]),
    neighbouring=st.sampled_from(["add/remove", "replace-one", "zero-out"]),
    sampler=words,
    accountant=words,
    kind=st.sampled_from(["proved", "conditional", "disputed", "unproved"]),
    steps=st.integers(0, 10**9),
    conditions=st.lists(words, max_size=3).map(tuple),
    other_accounts=st.dictionaries(words, finite, max_size=3),
)
verdicts = st.builds(
    Verdict,
    subject=words,
    outcome=st.sampled_from(["contradicted", "not contradicted", "not testable"]),
    reason=words,
    lower_bound=st.none() | st.floats(0, 1e9),
    detectable=st.none() | st.floats(0, 1e9),
    level=st.none() | inside,
    method=words,
)
evidence = st.builds(
    Evidence,
    estimates=st.lists(measured | missing, max_size=3).map(tuple),
    curves=st.lists(curves(), max_size=2).map(tuple),
    claims=st.lists(claims, max_size=2).map(tuple),
    verdicts=st.lists(verdicts, max_size=2).map(tuple),
    notes=st.lists(words, max_size=3).map(tuple),
)


@given(evidence)
@settings(deadline=None)
def test_evidence_survives_json_bit_for_bit(found: Evidence):
    text = json.dumps(found.to_json(), allow_nan=False)
    again = Evidence.from_json(json.loads(text))
    assert again == found
    assert repr(again) == repr(found)  # -0.0 == 0.0 and 1 == 1.0 == True, but they do not read alike
    assert json.dumps(again.to_json(), allow_nan=False) == text


@given(evidence, evidence)
@settings(deadline=None)
def test_adding_evidence_loses_nothing(one: Evidence, two: Evidence):
    both = one + two
    assert both.estimates == one.estimates + two.estimates
    assert set(both.notes) == set(one.notes) | set(two.notes)
    assert len(both.notes) == len(set(both.notes))


def promise(epsilon: float, delta: float) -> PrivacyClaim:
    return PrivacyClaim(
        subject="x",
        epsilon=epsilon,
        delta=delta,
        unit="example",
        neighbouring="add/remove",
        sampler="none",
        accountant="none",
        kind="proved",
        steps=1,
    )


@given(epsilon=st.floats(0, 1000), delta=st.floats(1e-12, 0.5), fpr=share)
def test_a_cap_is_a_rate_no_lower_than_guessing(epsilon: float, delta: float, fpr: float):
    cap = promise(epsilon, delta).cap(fpr)
    assert fpr - 1e-12 <= cap <= 1
    assert cap <= fpr + math.tanh(epsilon / 2) + 2 * delta / (1 + math.exp(min(epsilon, 700))) + 1e-9


@given(epsilon=st.floats(0, 800), delta=st.floats(1e-12, 0.4), fpr=share, more=st.floats(0, 1))
def test_a_weaker_promise_or_a_higher_rate_never_lowers_the_cap(epsilon: float, delta: float, fpr: float, more: float):
    cap = promise(epsilon, delta).cap(fpr)
    assert promise(epsilon + more, delta).cap(fpr) >= cap - 1e-12
    assert promise(epsilon, delta + more / 10).cap(fpr) >= cap - 1e-12
    assert promise(epsilon, delta).cap(min(1.0, fpr + more)) >= cap - 1e-12


@given(epsilon=st.floats(0, 8), delta=st.floats(1e-12, 0.4), fpr=share)
def test_the_cap_is_its_own_mirror(epsilon: float, delta: float, fpr: float):
    """Turning the attack round exchanges the two kinds of error, and the promise treats them alike."""
    claim = promise(epsilon, delta)
    cap = claim.cap(fpr)
    assert claim.cap(1 - cap) <= 1 - fpr + 1e-9 or cap == 1


@given(key=st.integers(0, 2**256), other=st.integers(0, 2**256), step=st.integers(0, 10**6))
def test_another_key_gives_other_words(key: int, other: int, step: int):
    assert (Streams(key).words("noise", step) == Streams(other).words("noise", step)) == (key == other)


slashed = st.lists(st.sampled_from(["a", "noise", "1x", "", "é"]), min_size=1, max_size=3).map("/".join)


@given(st.sets(st.tuples(slashed, st.lists(st.integers(-5, 5), max_size=3).map(tuple)), min_size=2, max_size=20))
def test_addresses_never_collide(addresses: set[tuple[str, tuple[int, ...]]]):
    streams = Streams.from_seed(0)
    assert len({streams.words(name, *counters) for name, counters in addresses}) == len(addresses)


@pytest.mark.parametrize("name", ["noise", "sampling"])
def test_first_draws_of_the_steps_follow_the_law(name: str):
    """One draw from each of many streams must look like many draws from one."""
    streams = Streams.from_seed(11)
    uniform = np.array([streams.generator(name, step).random() for step in range(4000)])
    normal = np.array([streams.generator(name, step).standard_normal() for step in range(4000)])
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(uniform[1:], uniform[:-1])[0, 1]) < 4 / math.sqrt(4000)


def test_streams_of_two_names_steps_seeds_or_children_are_uncorrelated():
    size = 20_000
    draws = np.array(
        [
            streams.generator(name, step).standard_normal(size)
            for streams in (Streams(0), Streams(1), Streams(0).child("client", 0), Streams(0).child("client", 1))
            for name in ("noise", "sampling")
            for step in (0, 1)
        ]
    )
    correlations = np.corrcoef(draws)[np.triu_indices(len(draws), 1)]
    assert np.max(np.abs(correlations)) < 5 / math.sqrt(size)
    assert np.std(correlations) == pytest.approx(1 / math.sqrt(size), rel=0.3)


def test_bits_of_the_words_are_even():
    words_seen = np.array([Streams.from_seed(5).words("noise", step) for step in range(2000)], dtype=np.uint32)
    shares = np.array([np.mean((words_seen >> np.uint32(bit)) & np.uint32(1), axis=0) for bit in range(32)])
    assert np.max(np.abs(shares - 0.5)) < 5 * 0.5 / math.sqrt(2000)
