"""A study plants secrets, its runs are attacked by them, and a stored run is attacked again from its folder alone."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from holdfast import catalog
from holdfast.audit.gradients import audit_gradients
from holdfast.audit.probes import RoundAttack
from holdfast.cli import main
from holdfast.core.errors import InputError
from holdfast.report import write_report
from holdfast.runs import RunFolder
from holdfast.study import parse_plan, run_study
from holdfast.study.attacking import AttackSettings
from holdfast.study.auditing import audit_stored, open_stored
from holdfast.study.execute import attacked

STUDY = """
title = "Secrets"
threads = 1
[data]
source = "assistant:train=400,validation=60,test=60,users=40"
[task]
unseen_labels = "count as wrong"
[model]
vocabulary = "hashed"
buckets = 512
embedding = 12
hidden = 12
characters = 0
dropout = 0.0
word_dropout = 0.0
[training]
epochs = 3
batch_size = 40
seed = 1
learning_rate = 0.02
[audit]
attacks = ["inversion-coordinate"]
secrets = [{ pattern = "pin", length = 3, repetitions = 20 }]
[[run]]
name = "plain"
mechanism = "none"
[[run]]
name = "dp-sgd"
mechanism = "dp-sgd"
noise_multiplier = 4.0
delta = 1e-3
clip_norm = 1.0
secrets = [{ pattern = "color", length = 2, repetitions = 1 }]
secret_seed = 5
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("secrets")
    return run_study(parse_plan(STUDY, origin="study.toml", folder=Path()), out, text=STUDY), out


@pytest.fixture
def runs(done, tmp_path):
    shutil.copytree(done[1] / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def of(evidence, name, **conditions):
    (found,) = (one for one in evidence.estimates if one.name == name and conditions.items() <= one.conditions.items())
    return found


def test_every_run_is_ranked_and_searched_by_its_own_secrets(done):
    plain, private = (record.evidence for record in done[0].records)
    assert of(plain, "secret_rank").conditions["space"] == 1000
    assert of(private, "secret_rank").conditions["secret"] == "color"
    assert of(private, "secret_rank").conditions["space"] == 144
    assert of(plain, "extraction_accuracy").conditions["variant"] == "coordinate"
    assert not [one for one in plain.estimates if one.name == "membership_auc"]
    (verdict,) = done[0].evidence.verdicts
    assert (verdict.subject, verdict.outcome) == ("dp-sgd", "not contradicted")  # one secret, planted once, tests a promise of .3
    assert verdict.detectable == pytest.approx(1.95, abs=0.01)  # ln((.05 - delta) 144)


def test_a_stored_run_finds_its_secrets_again(done, runs):
    for record in done[0].records:
        again = audit_stored(runs / record.name, settings=AttackSettings(attacks=("canary", "inversion-coordinate")))
        for name in ("secret_rank", "secret_exposure", "extraction_hamming", "optimiser_gap"):
            assert of(again, name).value == pytest.approx(of(record.evidence, name).value, abs=1e-6)
        truth = open_stored(runs / record.name).audited.secrets.secrets[0]
        assert of(again, "extraction_accuracy").conditions["truth"] == " ".join(truth.fill)


def test_a_new_audit_takes_the_place_of_the_old_one(runs):
    audit_stored(runs / "plain", settings=AttackSettings(attacks=("loss-threshold",)))
    kept = RunFolder(runs / "plain").read().evidence
    assert of(kept, "secret_rank").value >= 1  # secrets are ranked wherever they were planted
    assert not [one for one in kept.estimates if one.name.startswith("extraction")]
    assert of(kept, "membership_auc").n == 460  # 400 real rows and 60 others: no copy of the secret among them


def test_larger_spaces_are_sampled_and_say_so(runs):
    found = audit_stored(runs / "plain", settings=AttackSettings(attacks=("canary",), most_fills=100))
    rank = of(found, "secret_rank")
    assert rank.interval.low <= rank.value < rank.interval.high
    assert "100" in rank.method


def test_a_finished_run_counts_as_attacked_by_its_secrets_alone(done):
    assert all(attacked(record.evidence) for record in done[0].records)
    again = run_study(parse_plan(STUDY, origin="study.toml", folder=Path()), done[1], text=STUDY, resume=True)
    assert [record.evidence for record in again.records] == [record.evidence for record in done[0].records]


def test_the_command_prints_secrets_and_ends_well(runs, capsys):
    assert main(["audit", str(runs / "plain"), "--attack", "canary", "--attack", "inversion-coordinate"]) == 0
    printed = capsys.readouterr().out
    assert "of 1,000" in printed
    assert "coordinate" in printed
    assert main(["audit", str(runs / "plain"), "--attack", "canary", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"secret_rank", "secret_exposure"} <= {one["name"] for one in document["evidence"]["estimates"]}


def test_the_page_shows_what_was_planted_and_found(done, tmp_path):
    page = write_report(tmp_path / "trust.html", *done[0].records, title="t", study=STUDY).html.read_text()
    assert "Extraction of planted secrets" in page
    assert of(done[0].records[0].evidence, "extraction_accuracy").conditions["found"] in page


def test_attacks_on_secrets_are_refused_where_none_were_planted(tmp_path, capsys):
    bare = STUDY.replace('attacks = ["inversion-coordinate"]\nsecrets = [{ pattern = "pin", length = 3, repetitions = 20 }]', "")
    bare = bare.replace('secrets = [{ pattern = "color", length = 2, repetitions = 1 }]\nsecret_seed = 5\n', "")
    run_study(parse_plan(bare, origin="study.toml", folder=Path()), tmp_path, only="plain", report=False)
    assert main(["audit", str(tmp_path / "runs" / "plain"), "--attack", "canary"]) == 2
    assert "attack 'canary' looks for planted secrets, and there are none" in capsys.readouterr().err
    with pytest.raises(InputError, match="plant some before training"):
        audit_stored(tmp_path / "runs" / "plain", settings=AttackSettings(attacks=("inversion",)))


def test_a_secret_that_the_test_part_holds_is_refused_before_training(tmp_path):
    source = tmp_path / "calls"
    source.mkdir()
    rows = [{"text": f"word{n} again", "label": "a", "tags": ["O", "O"]} for n in range(30)]
    for part in ("train", "validation", "test"):
        extra = [{"text": f"the code is {word}", "label": "a", "tags": ["O"] * 4} for word in ("red", "blue") if part == "test"]
        (source / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, *extra]))
    planted = STUDY.replace("assistant:train=400,validation=60,test=60,users=40", f"jsonl:{source}").replace(
        '{ pattern = "pin", length = 3, repetitions = 20 }',
        '{ pattern = "own", template = "the code is {}", candidates = ["red", "blue"], repetitions = 1, label = "a" }',
    )
    with pytest.raises(InputError, match="test"):
        run_study(parse_plan(planted, origin="study.toml", folder=Path()), tmp_path / "out", only="plain")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.slow
def test_the_command_reads_rounds(runs, capsys, monkeypatch):
    few = RoundAttack(partial(audit_gradients, batch_sizes=(1,), cohorts=(1,), clip_norms=(None,), noise_multipliers=(0.0,), trials=2))
    resolve = catalog.resolve
    monkeypatch.setattr(catalog, "resolve", lambda kind, name: few if name == "gradient" else resolve(kind, name))
    assert main(["audit", str(runs / "plain"), "--attack", "gradient"]) == 0
    printed = capsys.readouterr().out
    assert {"embedding-rows", "subspace", "prior"} <= set(printed.split())
    kept = RunFolder(runs / "plain").read().evidence
    assert of(kept, "token_f1", method="embedding-rows").value > of(kept, "token_f1", method="prior").value


def test_only_long_enumerations_are_told(runs, monkeypatch):
    told = []
    audit_stored(runs / "plain", settings=AttackSettings(attacks=("canary",)), on_progress=told.append)
    assert {one.phase for one in told} == {"data", "attack"}
    monkeypatch.setattr("holdfast.study.attacking.LONG", 1000)
    audit_stored(runs / "plain", settings=AttackSettings(attacks=("canary",)), on_progress=told.append)
    assert {one.phase for one in told} == {"data", "attack", "rank pin"}
