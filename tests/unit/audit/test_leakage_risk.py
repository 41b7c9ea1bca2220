"""Records at most risk: named by hash alone, never certain, held against chance; and histograms that lose no score."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from holdfast.audit import Scores
from holdfast.audit.games import MembershipGame
from holdfast.audit.leakage import record_hashes, records_at_risk, risk_evidence, score_histograms
from holdfast.audit.leakage.risk import NOTES
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example
from holdfast.data.records import hash_users

IDS = ["orla", "finn", "maeve", "sean", "aoife"]


@pytest.fixture
def few(scores) -> Scores:
    return scores([1.0, 9.0, 3.0, 9.0, 5.0], [0.0, 3.0, 4.0, 8.0])


def test_the_most_exposed_come_first_and_ties_keep_their_order(few: Scores):
    found = records_at_risk(few, IDS, salt="snips", count=4, subject="dp-sgd")
    hashes = record_hashes(["finn", "sean", "aoife", "maeve"], salt="snips")
    assert [estimate.conditions["record"] for estimate in found] == hashes
    assert [estimate.conditions["rank"] for estimate in found] == [1, 2, 3, 4]
    assert [estimate.conditions["score"] for estimate in found] == [9.0, 9.0, 5.0, 3.0]
    assert [estimate.value for estimate in found] == [0.0, 0.0, 0.25, 0.75]  # equal scores count as high
    assert [estimate.conditions["as_high"] for estimate in found] == [0, 0, 1, 3]
    assert {(estimate.name, estimate.subject, estimate.n, estimate.direction) for estimate in found} == {
        ("record_fpr", "dp-sgd", 4, "higher is better")
    }


def test_none_of_n_is_not_nought(few: Scores):
    first, *_ = records_at_risk(few, IDS, salt="snips", count=4)
    assert first.interval.low == 0
    assert first.interval.high == pytest.approx(1 - (0.05 / 4) ** (1 / 4))
    assert "for all 4 records at once (Bonferroni)" in first.interval.method
    assert records_at_risk(few, IDS, salt="snips", count=1)[0].interval.high < first.interval.high


def test_a_rank_is_held_against_chance(few: Scores):
    first, _, third, _ = records_at_risk(few, IDS, salt="snips", count=4)
    assert first.conditions["null_mean"] == pytest.approx(1 / 6)
    assert first.conditions["p_value"] == pytest.approx(5 / 9)  # the top one of nine is a member
    assert third.conditions["p_value"] == pytest.approx(stats.hypergeom(9, 5, 4).sf(2))  # three of the top four are


def test_more_records_than_members_are_all_of_them(few: Scores):
    assert len(records_at_risk(few, IDS, salt="snips", count=100)) == 5


def test_records_are_hashed_as_the_data_hash_their_users():
    data = Dataset.from_examples([Example(tokens=("hi",), user_id=name) for name in IDS], name="snips", split="train")
    assert record_hashes(IDS, salt="snips") == hash_users(data).user_ids()
    assert record_hashes(IDS, salt="atis") != record_hashes(IDS, salt="snips")
    assert record_hashes([], salt="snips") == []


def test_no_id_stands_in_the_evidence(few: Scores):
    text = json.dumps(risk_evidence(few, IDS, salt="a secret name", subject="a").to_json())
    assert not [name for name in (*IDS, "a secret name") if name in text]
    assert len(set(re.findall(r'"record": "([0-9a-f]{16})"', text))) == 5


def test_whether_a_record_has_a_copy_is_told_where_it_is_known(utterances):
    members, nonmembers = utterances(30, seed=1), utterances(40, seed=2)
    members = members.take([*range(30), 0])
    game = MembershipGame.between(members, nonmembers)
    values = np.concatenate([np.arange(30.0), [100.0]])
    scores = Scores(members=values, nonmembers=np.zeros(40), attack="toy", access="none", reference="none", game=game)
    first, second = records_at_risk(scores, [str(row) for row in range(31)], salt="x", count=2)
    assert (first.conditions["alone"], second.conditions["alone"]) == (False, True)


def test_what_cannot_be_listed_is_refused(few: Scores):
    with pytest.raises(InputError, match="4 ids for 5 members"):
        records_at_risk(few, IDS[:4], salt="x")
    with pytest.raises(InputError, match="count of at least 1"):
        records_at_risk(few, IDS, salt="x", count=0)
    with pytest.raises(InputError, match="at least 2"):
        score_histograms(few, bins=1)


def test_histograms_stand_on_common_bins_and_add_up(scores):
    rng = np.random.default_rng(0)
    members, nonmembers = rng.normal(1, 1, 700), rng.normal(0, 1, 500)
    inside, outside = score_histograms(scores(members, nonmembers), bins=20, subject="a")
    assert (inside.name, outside.name) == ("score_histogram_members", "score_histogram_nonmembers")
    assert inside.x == outside.x
    assert np.diff(inside.x) == pytest.approx(inside.conditions["bin_width"])
    assert (sum(inside.y), sum(outside.y)) == pytest.approx((1, 1))
    left, right = inside.x[7], inside.x[8]
    assert inside.y[7] == np.mean((members >= left) & (members < right))
    assert all(low <= y <= high for low, y, high in zip(inside.low, inside.y, inside.high, strict=True))
    assert min(inside.high) > 0  # an empty bin may be empty by chance
    assert (inside.conditions["n"], outside.conditions["n"], inside.x_label) == (700, 500, "score (toy)")


def test_a_few_extreme_scores_do_not_squeeze_the_others(scores):
    rng = np.random.default_rng(0)
    members = np.concatenate([rng.normal(0, 1, 999), [1e6]])
    inside, _ = score_histograms(scores(members, rng.normal(0, 1, 1000)), bins=10)
    assert max(inside.y) < 0.5
    assert sum(inside.y) == pytest.approx(1)
    assert inside.x[-1] < 10


@settings(max_examples=60, deadline=None)
@given(
    members=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40),
    nonmembers=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40),
    bins=st.integers(2, 50),
)
def test_any_scores_have_a_histogram_of_all_of_them(members: list[float], nonmembers: list[float], bins: int):
    scores = Scores(members=members, nonmembers=nonmembers, attack="toy", access="none", reference="none")
    for curve, side in zip(score_histograms(scores, bins=bins), (members, nonmembers), strict=True):
        assert len(curve.x) == len(curve.y) == bins
        assert sum(round(y * len(side)) for y in curve.y) == len(side)


def test_equal_scores_have_a_histogram(scores):
    inside, outside = score_histograms(scores([2.0] * 5, [2.0] * 4), bins=4)
    assert inside.y == outside.y == (0.0, 0.0, 1.0, 0.0)
    assert (inside.x[0], inside.conditions["bin_width"]) == (1.5, 0.25)


def test_evidence_of_risk_keeps_its_json_form(few: Scores):
    evidence = risk_evidence(few, IDS, salt="snips", subject="dp-sgd", count=3)
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence
    assert ([estimate.name for estimate in evidence.estimates], evidence.notes) == (["record_fpr"] * 3, NOTES)
    assert [curve.name for curve in evidence.curves] == ["score_histogram_members", "score_histogram_nonmembers"]
