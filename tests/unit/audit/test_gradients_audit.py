"""The gradient audit varies one factor at a time, says against whom it measured, and never gives a figure that it does not have."""

from collections import Counter

import numpy as np
import pytest
from tests.oracles.gradient_rounds import dictionary, enough_buckets, opened, text, words_in

from holdfast.audit.gradients import Measured, Recovered, Tolerances, audit_gradients, measured, prior_only
from holdfast.audit.gradients.auditing import NOT_REHEARSED
from holdfast.audit.gradients.candidates import Candidates
from holdfast.audit.gradients.measuring import difference_interval, share_interval
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.core.progress import Progress
from holdfast.core.randomness import Streams
from holdfast.data import Dataset
from holdfast.data.examples import Example

pytestmark = pytest.mark.slow

CLIENTS, PUBLIC = text(300, 150)
BUCKETS = enough_buckets(dictionary(CLIENTS, PUBLIC), 10_000)
TRIALS = 4


def audited(kind: str, **options: object) -> Evidence:
    settings = {"batch_sizes": (1, 2), "cohorts": (1, 3), "clip_norms": (None, 0.5), "noise_multipliers": (0.0, 5.0), "trials": TRIALS}
    return audit_gradients(
        opened(kind, CLIENTS, buckets=BUCKETS),
        clients_data=CLIENTS,
        public=PUBLIC,
        subject="run",
        streams=Streams.from_seed(1),
        positions=14,
        tolerances=Tolerances(tests=300),
        **(settings | options),
    )


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return audited("transformer")


def value(evidence: Evidence, name: str, method: str, **conditions: object) -> float:
    found = evidence.estimate(name, "run", conditions={"attack": "gradient", "method": method, **conditions})
    return found.value


BASE = {"batch_size": 1, "cohort": 1, "noise_multiplier": 0.0, "target": "client"}


def test_one_factor_varies_at_a_time_around_the_first_of_each(evidence: Evidence):
    settings = Counter(
        (e.conditions["batch_size"], e.conditions["cohort"], e.conditions.get("clip_norm"), e.conditions["noise_multiplier"])
        for e in evidence.estimates
        if e.name == "token_f1" and e.conditions["target"] == "client"
    )
    assert set(settings) == {(1, 1, None, 0.0), (2, 1, None, 0.0), (1, 3, None, 0.0), (1, 1, 0.5, 0.0), (1, 1, 0.5, 5.0)}
    assert set(settings.values()) == {3}  # methods


def test_every_estimate_carries_an_interval_or_a_reason_and_its_method(evidence: Evidence):
    names = {"token_precision", "token_recall", "token_f1", "token_f1_gain", "sentences_recovered", "gradient_rank"}
    assert {e.name for e in evidence.estimates} == names
    for estimate in evidence.estimates:
        assert estimate.subject == "run"
        assert estimate.n == TRIALS
        assert "public text" in estimate.access
        assert estimate.method
        assert estimate.direction == ("neither" if estimate.name == "gradient_rank" else "lower is better")
        if estimate.name != "gradient_rank":
            assert estimate.interval.low <= estimate.value <= estimate.interval.high
    assert Evidence.from_json(evidence.to_json()) == evidence
    assert any("told how many distinct words" in note for note in evidence.notes)


def test_without_noise_all_known_words_come_out_with_their_sentence(evidence: Evidence):
    for method in ("embedding-rows", "subspace"):
        assert value(evidence, "token_precision", method, **BASE) == 1
        assert value(evidence, "token_f1", method, **BASE) > value(evidence, "token_f1", "prior", **BASE) + 0.3
        gain = value(evidence, "token_f1", method, **BASE) - value(evidence, "token_f1", "prior", **BASE)
        assert value(evidence, "token_f1_gain", method, **BASE) == pytest.approx(gain)
        clipped = value(evidence, "token_f1", method, **(BASE | {"clip_norm": 0.5}))
        assert clipped == value(evidence, "token_f1", method, **BASE)  # clipping hides nothing
    assert value(evidence, "sentences_recovered", "subspace", **BASE) > 0
    assert 2 <= value(evidence, "gradient_rank", "subspace", **BASE) <= 16
    found = evidence.estimate("token_f1", conditions=BASE | {"method": "subspace"})
    assert f"exact in {TRIALS} of {TRIALS} trials" in found.method


def test_a_cohort_hides_whose_a_word_is_and_not_the_word(evidence: Evidence):
    three = BASE | {"cohort": 3}
    assert value(evidence, "token_precision", "embedding-rows", **three) < 0.8
    assert value(evidence, "token_recall", "embedding-rows", **three) > 0.6  # the rest are words that public text does not have
    assert value(evidence, "token_precision", "embedding-rows", **(three | {"target": "cohort"})) == 1
    assert not [e for e in evidence.estimates if e.conditions["cohort"] == 1 and e.conditions["target"] == "cohort"]


def test_noise_leaves_no_sentence(evidence: Evidence):
    noisy = {"noise_multiplier": 5.0}
    assert value(evidence, "sentences_recovered", "subspace", **noisy) == 0
    for method in ("embedding-rows", "subspace"):
        estimate = evidence.estimate("token_f1_gain", conditions={"method": method, **noisy})
        assert estimate.value < 0.2
        assert f"exact in 0 of {TRIALS} trials" in estimate.method


def test_what_a_model_does_not_give_is_missing_with_the_reason():
    found = audited("bag", batch_sizes=(1,), cohorts=(1,), clip_norms=(None,), noise_multipliers=(0.0,))
    absent = [e for e in found.estimates if e.conditions["method"] == "subspace"]
    assert {e.name for e in absent} == {
        "token_precision",
        "token_recall",
        "token_f1",
        "token_f1_gain",
        "sentences_recovered",
        "gradient_rank",
    }
    assert all(e.value is None and "one by one" in e.missing for e in absent)
    assert value(found, "token_precision", "embedding-rows", **BASE) == 1


def test_it_repeats_itself_and_tells_its_progress():
    told: list[Progress] = []
    options = {"batch_sizes": (2,), "cohorts": (2,), "clip_norms": (1.0,), "noise_multipliers": (0.0, 0.01), "trials": 2}
    first, second = audited("bag", on_progress=told.append, **options), audited("bag", **options)
    assert first == second
    assert [(p.done, p.total) for p in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_public_text_without_labels_cannot_be_rehearsed():
    bare = Dataset.from_examples([Example(tokens=tuple(row)) for row in PUBLIC.tokens()], name="bare", split="test")
    options = {"batch_sizes": (1,), "cohorts": (1,), "clip_norms": (1.0,), "noise_multipliers": (1.0,), "trials": 2}
    found = audit_gradients(
        opened("bag", CLIENTS, buckets=BUCKETS), clients_data=CLIENTS, public=bare, subject="run", streams=Streams.from_seed(1), **options
    )
    assert NOT_REHEARSED in found.notes
    assert NOT_REHEARSED not in audited("bag", **options).notes


def test_data_without_users_are_cut_into_clients():
    nobody = Dataset.from_table(CLIENTS.table.drop_columns(["user_id"]), name="nobody", split="train")
    found = audit_gradients(
        opened("bag", CLIENTS, buckets=BUCKETS),
        clients_data=nobody,
        public=PUBLIC,
        subject="run",
        streams=Streams.from_seed(1),
        batch_sizes=(8,),
        cohorts=(4,),
        clip_norms=(None,),
        noise_multipliers=(0.0,),
        trials=2,
    )
    assert value(found, "token_precision", "embedding-rows", target="cohort") == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trials": 1}, "trials is 1"),
        ({"cohorts": (5000,)}, "cohort 5000"),
        ({"batch_sizes": (500,)}, "the data have 0 such clients"),
        ({"clip_norms": (None,)}, "without a clip norm"),
        ({"cohorts": ()}, "cohorts is empty"),
        ({"batch_sizes": (0,)}, "whole numbers >= 1"),
    ],
)
def test_settings_that_cannot_be(changed: dict, said: str):
    with pytest.raises(InputError, match=said):
        audited("bag", **changed)


def test_words_are_counted_without_their_case_and_sentences_whole():
    data = Dataset.from_examples([Example(tokens=("Play", "jazz")), Example(tokens=("play", "it"))], name="two", split="train")
    found = Recovered(method="subspace", words=("play", "rock", "JAZZ"), basis="exact", sentences=(("play", "jazz"), ("play",)))
    result = measured(found, data.tokens())
    assert result == Measured(precision=2 / 3, recall=2 / 3, sentences=0.5)
    assert result.f1 == pytest.approx(2 / 3)
    nothing = measured(Recovered(method="prior", words=(), basis="prior"), data.tokens())
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)


def test_the_prior_is_the_commonest_words():
    found = prior_only(Candidates.of(PUBLIC), most=5)
    counts = Counter(word for row in PUBLIC.tokens() for word in row)
    assert {counts[word] for word in found.words} == {count for _, count in counts.most_common(5)}
    assert words_in(PUBLIC) >= {word.casefold() for word in found.words}
    assert found.basis == "prior"


def test_intervals_of_shares_have_width_and_those_of_differences_are_students():
    assert share_interval([1.0] * 10).low == pytest.approx(0.025 ** (1 / 10))
    assert share_interval([0.0] * 10).high == pytest.approx(1 - 0.025 ** (1 / 10))
    tight = share_interval([0.5, 0.51, 0.49, 0.5, 0.5, 0.5])
    assert 0.48 < tight.low < 0.5 < tight.high < 0.52
    differences = difference_interval([0.1, 0.2, 0.3])
    assert (differences.low, differences.high) == pytest.approx((0.2 - 4.302653 * 0.1 / np.sqrt(3), 0.2 + 4.302653 * 0.1 / np.sqrt(3)))
    for interval in (share_interval, difference_interval):
        with pytest.raises(InputError, match="at least two"):
            interval([0.5])
