"""A finished run is attacked again from its folder alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from holdfast import catalog
from holdfast.audit import Scores, audit, loss_threshold
from holdfast.cli import main
from holdfast.core.errors import InputError, RunError
from holdfast.runs import RunFolder
from holdfast.study import parse_plan, run_study
from holdfast.study.auditing import PHASES, AttackSettings, audit_stored, open_stored

pytestmark = pytest.mark.slow

STUDY = """
title = "Two ways"
[data]
source = "assistant:train=300,validation=40,test=60,users=20"
[task]
unseen_labels = "count as wrong"
[model]
embedding = 6
hidden = 5
characters = 0
[training]
epochs = 1
batch_size = 30
seed = 1
[[run]]
name = "non-private"
mechanism = "none"
[[run]]
name = "dp-sgd"
mechanism = "dp-sgd"
noise_multiplier = 4.0
delta = 1e-3
clip_norm = 1.0
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    return run_study(parse_plan(STUDY, origin="study.toml", folder=Path()), out, text=STUDY), out


@pytest.fixture
def runs(trained, tmp_path):
    """A copy whose records a test may change."""
    shutil.copytree(trained[1] / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def perfect(fitted, *, members, nonmembers) -> Scores:
    """An attack that knows the answer."""
    rng = np.random.default_rng(0)
    sides = (rng.uniform(1, 2, len(members)), rng.uniform(0, 1, len(nonmembers)))
    return Scores(members=sides[0], nonmembers=sides[1], attack="perfect", access="cheating", reference="none")


@pytest.fixture
def knowing(monkeypatch):
    resolve = catalog.resolve
    monkeypatch.setattr(catalog, "resolve", lambda kind, name: perfect if name == "perfect" else resolve(kind, name))


def test_the_same_figures_as_when_it_was_trained(trained, runs):
    for record in trained[0].records:
        found = audit_stored(runs / record.name)
        for one in found.estimates:
            before = record.evidence.estimate(one.name, record.name, conditions=one.conditions)
            assert before is not None
            assert one.missing == before.missing
            assert one.value is None or one.value == pytest.approx(before.value, rel=1e-6)
        assert [verdict.outcome for verdict in found.verdicts] == [verdict.outcome for verdict in record.evidence.verdicts]


def test_new_attacks_take_the_place_of_old_ones(runs, knowing):
    folder = RunFolder(runs / "dp-sgd")
    before = folder.read()
    found = audit_stored(runs / "dp-sgd", settings=AttackSettings(attacks=("perfect",)))
    after = folder.read()
    assert {e.conditions["attack"] for e in after.evidence.estimates if "attack" in e.conditions} == {"perfect"}
    assert after.evidence.verdicts == found.verdicts
    kept = [e for e in before.evidence.estimates if "attack" not in e.conditions and e.name != "blind_auc"]
    assert [e for e in after.evidence.estimates if "attack" not in e.conditions] == kept
    assert replace(after, evidence=before.evidence) == before
    audit_stored(runs / "dp-sgd")
    assert len(folder.read().evidence.estimates) == len(before.evidence.estimates)


def test_a_contradicted_claim_ends_with_code_three(runs, knowing, capsys):
    """300 against 60 prove at most 1.8: the claim is set below that."""
    folder = RunFolder(runs / "dp-sgd")
    record = folder.read()
    (claim,) = record.evidence.claims
    folder.write(replace(record, evidence=replace(record.evidence, claims=(replace(claim, epsilon=0.5),))))
    assert main(["audit", str(runs / "dp-sgd"), "--attack", "perfect", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["contradicted"] is True
    assert document["evidence"]["verdicts"][0]["outcome"] == "contradicted"
    assert main(["audit", "run", str(runs / "dp-sgd")]) == 0
    printed = capsys.readouterr().out
    assert "epsilon at least" in printed
    assert "loss threshold" in printed
    assert f"holdfast report {runs / 'dp-sgd'}" in printed


def test_a_run_without_a_promise_has_no_verdict(runs, capsys):
    assert main(["audit", str(runs / "non-private")]) == 0
    assert "no promise to test" in capsys.readouterr().out


def test_the_report_shows_what_was_found(runs, knowing, tmp_path):
    audit_stored(runs / "dp-sgd", settings=AttackSettings(attacks=("perfect",)))
    assert main(["report", str(runs / "dp-sgd"), "--out", str(tmp_path / "trust.html")]) == 0
    assert "perfect" in (tmp_path / "trust.html").read_text()


def test_leakage_by_group_is_part_of_an_audit(runs, tmp_path, capsys):
    found = audit_stored(runs / "dp-sgd")
    data = open_stored(runs / "dp-sgd").audited.data
    assert data.train.group_names
    for name in data.train.group_names:
        own = [e for e in found.estimates if e.name == "group_auc" and e.conditions["attribute"] == name]
        assert {e.conditions["group"] for e in own} == {*data.train.group(name), *data.test.group(name)}
        assert any(e.value is not None for e in own)
        assert found.estimate("group_auc_gap", "dp-sgd", conditions={"attribute": name}) is not None
    assert found.curve("score_histogram_members", "dp-sgd") is not None
    assert found.estimate("record_fpr") is None  # the list concerns persons
    assert main(["report", str(runs / "dp-sgd"), "--out", str(tmp_path / "trust.html")]) == 0
    page = (tmp_path / "trust.html").read_text()
    for name in data.train.group_names:
        assert f"The attack by {name}" in page
        assert f"The attack&#39;s AUC by {name}" in page
    assert "Other measurements" not in page
    assert "The verdict on each promise, and differences between groups" in page
    assert "where no group differs" in page
    main(["audit", str(runs / "dp-sgd")])
    printed = capsys.readouterr().out
    assert all(f"group auc gap by {name} (loss threshold): " in printed for name in data.train.group_names)
    assert "group auc difference" not in printed  # the page has them


def test_records_at_most_risk_are_listed_by_hash_where_asked_for(runs, tmp_path, capsys):
    assert main(["audit", str(runs / "dp-sgd"), "--records", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    listed = [e["conditions"]["record"] for e in document["evidence"]["estimates"] if e["name"] == "record_fpr"]
    assert len(listed) == 3
    assert not {*listed} & {*open_stored(runs / "dp-sgd").audited.data.train.user_ids()}
    assert main(["report", str(runs / "dp-sgd"), "--out", str(tmp_path / "trust.html")]) == 0
    page = (tmp_path / "trust.html").read_text()
    assert "Records at most risk" in page
    assert listed[0][:16] in page
    assert main(["audit", str(runs / "dp-sgd"), "--records", "-1"]) == 2


def test_an_attribute_with_many_values_gets_no_figures(trained, monkeypatch):
    monkeypatch.setattr("holdfast.audit.auditing.MOST_GROUPS", 1)
    data = open_stored(trained[1] / "runs" / "dp-sgd").audited.data
    found = audit(perfect, members=data.train, nonmembers=data.test, attacks=[perfect], claim=None, subject="x")
    assert not [e for e in found.estimates if "group" in e.conditions]
    assert sum("too many for figures by group" in note for note in found.notes) == len(data.train.group_names)


def test_several_attacks_share_the_chance_of_error(runs, knowing):
    alone = audit_stored(runs / "dp-sgd", settings=AttackSettings(attacks=("perfect",)))
    both = audit_stored(runs / "dp-sgd", settings=AttackSettings(attacks=("perfect", "loss-threshold")))
    (one,), (joint,) = alone.verdicts, both.verdicts
    assert joint.level == 0.95
    assert joint.detectable < one.detectable
    assert joint.reason.endswith("This is the strongest of 2 attacks, which share one chance of error.")
    assert sum(e.name == "blind_auc" for e in both.estimates) == 1
    levels = {e.conditions["level"] for e in both.estimates if e.name == "epsilon_lower_bound" and e.value is not None}
    assert levels == {0.975}


def test_progress_covers_every_phase(runs):
    told = []
    audit_stored(runs / "dp-sgd", on_progress=told.append)
    assert {p.phase for p in told} == set(PHASES)


def test_a_stored_run_predicts_as_the_fitted_one(runs, trained):
    stored = open_stored(runs / "dp-sgd")
    assert len(stored.predict(stored.audited.data.test)) == 60
    assert stored.claim == trained[0].records[1].evidence.claims[0]
    scores = loss_threshold(stored, members=stored.audited.data.train, nonmembers=stored.audited.data.test)
    assert 0 < special.expit(scores.auc().value) < 1


def unfinished(folder: Path) -> None:
    run = RunFolder(folder)
    run.write(replace(run.read(), status="interrupted"))


def without_model(folder: Path) -> None:
    shutil.rmtree(folder / "model")


def on_other_data(folder: Path) -> None:
    run = RunFolder(folder)
    record = run.read()
    run.write(replace(record, data={**record.data, "content_hash": "0" * 64}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (unfinished, "is interrupted; an audit needs a finished run"),
        (without_model, "no saved model"),
        (on_other_data, "members would not be"),
    ],
)
def test_what_cannot_be_audited_is_refused(runs, change, said):
    change(runs / "dp-sgd")
    before = (runs / "dp-sgd" / "record.json").read_bytes()
    with pytest.raises(RunError, match=said):
        audit_stored(runs / "dp-sgd")
    assert (runs / "dp-sgd" / "record.json").read_bytes() == before


def test_bad_arguments_are_refused(runs, capsys):
    with pytest.raises(InputError, match="did you mean 'loss-threshold'"):
        audit_stored(runs / "dp-sgd", settings=AttackSettings(attacks=("loss-treshold",)))
    with pytest.raises(InputError, match="name each once"):
        audit_stored(runs / "dp-sgd", settings=AttackSettings(attacks=("loss-threshold",) * 2))
    for level in (0, 1, 95):
        with pytest.raises(InputError, match="strictly between 0 and 1"):
            audit_stored(runs / "dp-sgd", settings=AttackSettings(level=level))
    assert main(["audit", str(runs / "dp-sdg")]) == 2
    assert "there is no run 'dp-sdg'" in capsys.readouterr().err
    assert main(["audit"]) == 2


def test_data_that_moved_are_found(runs):
    assert audit_stored(runs / "dp-sgd", source="assistant:train=300,validation=40,test=60,users=20").verdicts
    with pytest.raises(RunError, match="--data"):
        audit_stored(runs / "dp-sgd", source="assistant:train=301,validation=40,test=60,users=20")
