"""The document that page and card are drawn from: what joins it, under which names, and its exact JSON form."""

import json
from dataclasses import replace

import pytest
from tests.reporting import RUNS, four_runs, leakage, record_of, usefulness

from holdfast.core.errors import InputError
from holdfast.core.evidence import Estimate, Evidence
from holdfast.report import Document, gather
from holdfast.runs import RunRecord, json_text


class Fitted:
    """Something with a record, as a fitted model has."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record


def test_json_gives_the_same_document_back(four: Document):
    assert Document.from_json(json.loads(json_text(four.to_json()))) == four


def test_evidence_json_is_evidence_that_anyone_may_read(four: Document):
    assert Evidence.from_json(four.to_json()) == four.evidence


def test_what_stands_beside_the_evidence(four: Document):
    document = four.to_json()
    assert document["created"] == "2026-11-22T17:03:55+00:00"
    assert document["data"]["name"] == "snips"
    assert document["environment"]["threads"] == 2
    assert [run["name"] for run in document["runs"]] == ["non-private", "edp-sgd", "dp-sgd", "dp-sgd-eps-2"]
    assert "evidence" not in document["runs"][0]
    reproduce = document["reproduce"]
    assert reproduce["study"].startswith('title = "SNIPS, four ways"')
    assert reproduce["command"] == ["holdfast run study.toml"]
    assert reproduce["versions"]["torch"] == "2.13.0"
    assert reproduce["seeds"]["dp-sgd"] == {"training.seed": 7}


def test_records_evidence_and_whatever_has_a_record_join():
    record = record_of(RUNS[2])
    bare = replace(record, evidence=usefulness(RUNS[2]))
    joined = gather([Fitted(bare), leakage(RUNS[2], record.evidence.claims[0]), record.evidence], title="t")
    assert joined.names == ("dp-sgd",)
    assert set(map(str, joined.evidence.estimates)) == set(map(str, record.evidence.estimates))
    assert len(joined.evidence.estimates) == len(record.evidence.estimates), "what stands twice is kept once"


def test_loose_evidence_makes_runs_of_its_own():
    found = gather([usefulness(RUNS[1]), record_of(RUNS[0])], title="t")
    assert found.names == ("non-private", "edp-sgd")
    assert found.runs[1].status == "not recorded"
    assert found.created == "2026-11-22T17:00:55+00:00"


def test_records_of_one_name_are_told_apart():
    other = replace(record_of(RUNS[2]), created="2026-11-23T08:00:00Z")
    found = gather([record_of(RUNS[2]), other, other], title="t")
    assert found.names == ("dp-sgd", "dp-sgd (2)", "dp-sgd (3)")
    assert [claim.subject for claim in found.evidence.claims] == list(found.names)
    assert found.created == "2026-11-23T08:00:00Z"


def test_a_number_that_another_run_has_is_not_given_again():
    names = [record_of(RUNS[2]), replace(record_of(RUNS[2]), name="dp-sgd (2)", evidence=Evidence()), record_of(RUNS[2])]
    assert gather(names, title="t").names == ("dp-sgd", "dp-sgd (2)", "dp-sgd (3)")


def test_a_record_may_speak_of_other_runs():
    record = record_of(RUNS[2]).adding(usefulness(RUNS[1]))
    found = gather([record, record], title="t")
    assert found.names == ("dp-sgd", "dp-sgd (2)", "edp-sgd")
    assert found.estimate("slot_f1", "edp-sgd") == usefulness(RUNS[1]).estimate("slot_f1")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "nothing to report"),
        ([Evidence(notes=("A note.",))], "nothing to report"),
        ([{"name": "dp-sgd"}], "cannot report a dict; give run records, evidence, or objects with a `record`"),
        ([Fitted(None)], "cannot report a Fitted"),
        ([record_of(RUNS[2]), record_of(RUNS[2]), usefulness(RUNS[2])], "two records are named 'dp-sgd', so loose evidence"),
        ([record_of(RUNS[2]), usefulness(replace(RUNS[1], name=" "))], "evidence without a subject"),
    ],
)
def test_what_cannot_be_reported_is_refused(items: list, message: str):
    with pytest.raises(InputError, match=message):
        gather(items, title="t")


def test_evidence_alone_is_no_document(four: Document):
    with pytest.raises(InputError, match="this is evidence without its runs"):
        Document.from_json(four.evidence.to_json())


def test_a_document_that_is_not_as_the_schema_says_is_refused(four: Document):
    document = four.to_json()
    del document["reproduce"]
    with pytest.raises(InputError, match="'reproduce' is a dependency of 'runs'"):
        Document.from_json(document)


def test_the_baseline_is_the_first_run_without_a_promise():
    dp_sgd, non_private = record_of(RUNS[2]), record_of(RUNS[0])
    assert gather([dp_sgd, non_private], title="t").baseline == "non-private"
    assert gather([dp_sgd, record_of(RUNS[3])], title="t").baseline == "dp-sgd"


def test_of_several_attacks_the_strongest_speaks(four: Document):
    weaker = four.estimate("membership_auc", "dp-sgd")
    assert weaker is not None
    stronger = replace(weaker, value=0.9, interval=None, conditions={"attack": "LiRA"})
    for estimates in ((stronger, weaker), (weaker, stronger)):
        assert replace(four, evidence=Evidence(estimates=estimates)).estimate("membership_auc", "dp-sgd") == stronger


def test_of_several_scores_the_worst_speaks_and_a_missing_one_only_where_there_is_no_other():
    fields = {"name": "slot_f1", "subject": "dp-sgd", "unit": "share", "direction": "higher is better"}
    known = [Estimate(value=value, **fields) for value in (0.8, 0.7)]
    missing = Estimate(value=None, missing="no tags", **fields)
    document = gather([Evidence(estimates=(missing, *known))], title="t")
    assert document.estimate("slot_f1", "dp-sgd") == known[1]
    assert gather([Evidence(estimates=(missing,))], title="t").estimate("slot_f1", "dp-sgd") == missing
    assert document.estimate("slot_f1", "nobody") is None


def test_a_contradiction_is_heard_before_other_verdicts(four: Document):
    held = four.evidence.verdicts[2]
    refuted = replace(held, outcome="contradicted")
    found = replace(four, evidence=replace(four.evidence, verdicts=(held, refuted, held)))
    assert found.verdict(held.subject) == refuted


def test_of_several_promises_the_weakest_speaks(four: Document):
    claim = four.claim("dp-sgd")
    assert claim is not None
    weaker = replace(claim, epsilon=20.0, unit="user")
    found = replace(four, evidence=replace(four.evidence, claims=(claim, weaker, replace(claim, epsilon=0.1))))
    assert found.claim("dp-sgd") == weaker


def test_runs_on_other_data_are_noticed(four: Document):
    assert four.same_data
    records = four_runs()
    other = replace(records[1], data={**records[1].data, "content_hash": "0" * 64})
    assert not gather([records[0], other], title="t").same_data


def test_an_environment_without_versions_is_shown_whole():
    record = replace(record_of(RUNS[0]), environment={"python": "3.11"})
    assert gather([record], title="t").versions == {"python": "3.11"}
