"""What a study asks for under [fairness]: checked before training, measured once, kept in the record, never trained for again."""

import json
from pathlib import Path

import pytest
from tests.unit.study.fairness import parts
from tests.unit.study.fairness.parts import APART, COUNTING, SPEAKING

from holdfast.cli import main
from holdfast.core.errors import InputError, RunError, StudyError
from holdfast.runs import RunFolder
from holdfast.study import parse_plan, run_study
from holdfast.study.fairness import commands, open_measured

pytestmark = pytest.mark.slow

STUDY = f"""
title = "Groups"
[data]
source = "assistant:train=300,validation=40,test=60,users=20"
[task]
unseen_labels = "count as wrong"
[model]
name = "bag"
embedding = 6
hidden = 5
[training]
epochs = 1
batch_size = 30
seed = 1
[fairness]
metrics = ["{COUNTING}"]
groups = ["dialect", "device"]
[[run]]
name = "plain"
mechanism = "none"
"""


def plan(text=STUDY, folder=None):
    return parse_plan(text, origin="study.toml", folder=folder or Path())


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    told = []
    return run_study(plan(), out, text=STUDY, command="holdfast run study.toml", on_progress=told.append), out, told


def test_each_attribute_is_measured_and_kept_in_the_record(done):
    result, out, told = done
    record = RunFolder(out / "runs" / "plain").read()
    assert record == result.records[0]
    found = [one for one in record.evidence.estimates if one.conditions.get("metric") == "counting"]
    assert [one.conditions["groups"] for one in found] == ["dialect", "device"]
    assert record.settings["fairness"]["cards"]["counting"]["harms"] == "Nobody."
    assert record.settings["fairness"]["seconds"]["counting"] >= 0
    assert record.settings["fairness"]["commands"]["counting"].startswith(f"holdfast fairness {out / 'runs' / 'plain'} --metric")
    assert "counted dialect" in record.evidence.notes
    assert {one.phase for one in told} >= {"fairness plain"}


def test_a_finished_run_is_measured_anew_only_when_others_are_asked_for(done):
    _, out, _ = done
    parts.CALLS.clear()
    run_study(plan(), out, text=STUDY, resume=True)
    assert parts.CALLS == []
    weights = (out / "runs/plain/model/model.safetensors").read_bytes()
    changed = STUDY.replace(f'metrics = ["{COUNTING}"]', f'metrics = [{{ name = "{COUNTING}", shift = 1.0 }}]')
    result = run_study(plan(changed), out, text=changed, resume=True)
    found = [one.value for one in result.evidence.estimates if one.conditions.get("metric") == "counting"]
    assert len(found) == 2  # in the place of the earlier ones
    assert min(found) > 1
    assert (out / "runs/plain/model/model.safetensors").read_bytes() == weights
    run_study(plan(), out, text=STUDY, resume=True)  # as it was, for the tests behind


def test_an_audit_keeps_what_fairness_noted(done, capsys):
    _, out, _ = done
    assert main(["audit", str(out / "runs" / "plain"), "--json"]) == 0
    capsys.readouterr()
    assert "counted dialect" in RunFolder(out / "runs" / "plain").read().evidence.notes


def test_the_command_measures_all_attributes_where_none_is_named(done, capsys):
    _, out, _ = done
    assert main(["fairness", str(out / "runs" / "plain"), "--metric", COUNTING, "--seed", "4", "--json"]) == 0
    estimates = json.loads(capsys.readouterr().out)["evidence"]["estimates"]
    assert [one["conditions"]["groups"] for one in estimates] == ["device", "dialect"]
    record = RunFolder(out / "runs" / "plain").read()
    assert record.settings["fairness"]["inference"]["seed"] == 4
    assert sum(one.conditions.get("metric") == "counting" for one in record.evidence.estimates) == 2


def test_a_model_that_does_not_fit_the_metric_is_refused_before_anything_is_measured(done, capsys):
    _, out, _ = done
    parts.CALLS.clear()
    assert main(["fairness", str(out / "runs" / "plain"), "--metric", COUNTING, "--metric", SPEAKING]) == 2
    assert "speaking needs a causal language model, and plain is none" in capsys.readouterr().err
    assert parts.CALLS == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--metric", "wheat"], "did you mean 'weat'"),
        (["--metric", COUNTING, "--set", "nothing"], "METRIC.OPTION=VALUE"),
        (["--metric", COUNTING, "--set", "weat.x=1"], "metric 'weat' is not asked for"),
        (["--metric", COUNTING, "--set", f"{COUNTING}.name=1"], "METRIC.OPTION=VALUE"),
        (["--metric", COUNTING, "--set", f"{COUNTING}.shifd=1"], "did you mean 'shift'"),
        (["--metric", COUNTING, "--group", "dialekt"], "did you mean 'dialect'"),
        (["--metric", COUNTING, "--positive", "no-such-intent"], "positive label 'no-such-intent'"),
        (["--metric", COUNTING, "--margin", "0"], "margin 0.0 is not above 0"),
        (["--metric", COUNTING, "--out", "there"], "its own record"),
        (["--metric", COUNTING, "--download"], "--download and --device are for a MODEL"),
        (["--metric", COUNTING, "--device", "cuda"], "--download and --device are for a MODEL"),
        (["--metric", COUNTING, "--data", "nothing:here"], "no data source"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(done, capsys, words, complaint):
    _, out, _ = done
    assert main(["fairness", str(out / "runs" / "plain"), *words]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("metrics = [", 'metrics = ["weet", ', "there is no metric 'weet'"),
        (f'metrics = ["{COUNTING}"]', "metrics = []", "metrics is empty"),
        ('groups = ["dialect", "device"]', "", "name at least one attribute"),
        ("[fairness]", "[fairness]\nmarginn = 0.1", "did you mean 'margin'"),
        ("[fairness]", "[fairness]\nmargin = -0.1", "margin -0.1"),
        (f'metrics = ["{COUNTING}"]', f'metrics = [{{ name = "{COUNTING}", schift = 1.0 }}]', "unknown option 'schift'"),
    ],
)
def test_a_study_is_refused_before_it_trains(before, after, complaint):
    assert before in STUDY
    with pytest.raises(StudyError, match=complaint):
        plan(STUDY.replace(before, after, 1))


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('"dialect", "device"', '"dialekt"', "did you mean 'dialect'"),
        ("[fairness]", '[fairness]\npositive = ["no-such"]', "positive label 'no-such'"),
        ("[fairness]", '[fairness]\nseparator = "e"\n', "belong to more than one group of 'dialect'"),
        ("[data]", '[task]\nname = "tagging"\n[data]', "labels no sentences"),
    ],
)
def test_what_the_data_would_refuse_is_refused_before_training(before, after, complaint, tmp_path):
    text = STUDY.replace(before, after, 1).replace(COUNTING, APART)
    if "tagging" in after:
        text = text.replace('[task]\nunseen_labels = "count as wrong"\n', "", 1)
    with pytest.raises(InputError, match=complaint):
        run_study(plan(text), tmp_path, text=text)
    assert not (tmp_path / "runs").exists()


def test_paths_of_metrics_start_at_the_study_file(tmp_path):
    (tmp_path / "pairs.csv").write_text("a")
    text = STUDY.replace(f'metrics = ["{COUNTING}"]', f'metrics = [{{ name = "{COUNTING}", data = "pairs.csv", tests = ["x"] }}]')
    made = plan(text, tmp_path).fairness.tables[0].made()
    assert made.data == tmp_path / "pairs.csv"
    assert made.tests == ("x",)


def test_other_data_than_it_was_measured_on_are_refused_unless_they_are_named(done, tmp_path):
    _, out, _ = done
    folder = RunFolder(out / "runs" / "plain")
    record = folder.read()
    moved = record.settings | {"data": {**record.settings["data"], "source": "assistant:train=300,validation=40,test=61,users=20"}}
    other = RunFolder(tmp_path / "moved")
    other.write(type(record)(**{**vars(record), "settings": moved}))
    (other.path / "model").symlink_to((folder.path / "model").absolute())
    with pytest.raises(RunError, match="measured on test data with content"):
        open_measured(other.path)
    _, _, measured = open_measured(other.path, source="assistant:train=300,validation=40,test=61,users=20")
    assert len(measured.data.test) == 61


def test_options_of_the_command_line_are_read_as_toml_or_as_text():
    from holdfast.study.fairness import FairnessTable

    table = commands.asked(FairnessTable(), ["stereoset"], ["stereoset.data=a.csv", "stereoset.kind=3", "stereoset.names=['x']"])
    assert table.tables[0].options == {"data": "a.csv", "kind": 3, "names": ["x"]}
