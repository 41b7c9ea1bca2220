"""A whole study, small: records, report, resuming, refusing."""

import json
import os
import signal

import pytest

from holdfast import privacy
from holdfast.cli import main
from holdfast.core.errors import InputError, Interrupted, RunError, StudyError
from holdfast.runs import RunFolder
from holdfast.study import parse_plan, run_study

pytestmark = pytest.mark.slow

STUDY = """
title = "Three ways"
[data]
source = "assistant:train=300,validation=40,test=60,users=20"
[task]
unseen_labels = "count as wrong"
[model]
embedding = 6
hidden = 5
characters = 0
[training]
epochs = 2
batch_size = 30
seed = 1
[[run]]
name = "non-private"
mechanism = "none"
[[run]]
name = "edp-sgd"
mechanism = "edp-sgd"
micro_batch_size = 10
epsilon = 8.0
delta = 1e-5
clip_norm = 1.0
[[run]]
name = "dp-sgd"
mechanism = "dp-sgd"
noise_multiplier = 1.0
delta = 1e-5
clip_norm = 1.0
"""


def plan(text: str = STUDY):
    from pathlib import Path

    return parse_plan(text, origin="study.toml", folder=Path())


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    told = []
    return run_study(plan(), out, text=STUDY, command="holdfast run study.toml", on_progress=told.append), out, told


def test_every_run_has_its_evidence_under_the_agreed_names(done):
    result, out, _ = done
    document = json.loads((out / "evidence.json").read_text())
    for run in ("non-private", "edp-sgd", "dp-sgd"):
        names = {e["name"] for e in document["estimates"] if e["subject"] == run}
        assert {"intent_accuracy", "slot_f1", "membership_auc", "tpr_at_fpr", "epsilon", "seconds_per_epoch"} <= names
        rates = [e["conditions"]["fpr"] for e in document["estimates"] if e["subject"] == run and e["name"] == "tpr_at_fpr"]
        assert rates == [0.1, 0.01, 0.001]
    assert {claim["subject"] for claim in document["claims"]} == {"edp-sgd", "dp-sgd"}
    assert {verdict["subject"] for verdict in document["verdicts"]} == {"edp-sgd", "dp-sgd"}
    assert [record.status for record in result.records] == ["finished"] * 3
    assert (out / "trust.html").stat().st_size > 10_000
    assert (out / "model_card.md").exists()
    assert (out / "study.toml").read_text() == STUDY


def test_progress_covers_every_phase(done):
    from holdfast.study import phases

    assert {p.phase for p in done[2]} == set(phases(plan()))


def test_the_saved_model_gives_the_same_answers(done):
    from holdfast import models

    _, out, _ = done
    loaded = models.load(out / "runs" / "dp-sgd" / "model")
    assert loaded.settings == plan().model_settings(plan().run[2])


def test_a_second_time_needs_resume_and_keeps_finished_runs(done):
    result, out, _ = done
    with pytest.raises(RunError, match="already holds a run; give --resume"):
        run_study(plan(), out, text=STUDY)
    again = run_study(plan(), out, text=STUDY, resume=True)
    assert again.records == result.records
    changed = STUDY.replace("epochs = 2", "epochs = 3")
    with pytest.raises(RunError, match="holds a run of other settings"):
        run_study(plan(changed), out, text=changed, resume=True)


def test_a_source_that_changed_under_the_same_name_is_refused(tmp_path):
    rows = [{"text": f"say word{i % 7} again", "label": f"l{i % 2}"} for i in range(60)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = f"jsonl:{tmp_path / 'data.jsonl'}"
    text = STUDY.replace("assistant:train=300,validation=40,test=60,users=20", source).replace("[task]", '[task]\nname = "classification"')
    text = text.replace("batch_size = 30", "batch_size = 10").replace("epochs = 2", "epochs = 1")
    run_study(plan(text), tmp_path / "out", text=text, only="non-private", report=False)
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, reversed(rows))))
    with pytest.raises(RunError, match="other data than the source now has"):
        run_study(plan(text), tmp_path / "out", text=text, only="non-private", report=False, resume=True)


def test_the_report_is_the_same_when_drawn_again(done):
    from holdfast.report import write_report

    result, out, _ = done
    before = (out / "trust.html").read_bytes()
    write_report(out / "trust.html", *(RunFolder(out / "runs" / r.name).read() for r in result.records), title="Three ways", study=STUDY)
    assert (out / "trust.html").read_bytes() == before


def test_an_interrupted_study_goes_on_to_the_same_evidence(done, tmp_path):
    result, _, _ = done

    def stop(progress):
        if progress.phase == "train edp-sgd" and progress.done == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run_study(plan(), tmp_path, text=STUDY, on_progress=stop)
    assert RunFolder(tmp_path / "runs" / "edp-sgd").read().status == "interrupted"
    resumed = run_study(plan(), tmp_path, text=STUDY, resume=True)
    untimed = [
        [[e for e in record.evidence.estimates if e.name != "seconds_per_epoch"] for record in study.records] for study in (result, resumed)
    ]
    assert untimed[0] == untimed[1]


def test_an_interrupted_run_is_listed_with_what_it_may_have_spent(tmp_path, capsys):
    def stop(progress):
        if progress.phase == "train dp-sgd" and progress.done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run_study(plan(), tmp_path, text=STUDY, only="dp-sgd", report=False, on_progress=stop)
    assert main(["runs", str(tmp_path / "runs"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    whole = privacy.dp_sgd(examples=300, batch_size=30, epochs=2, noise_multiplier=1.0, delta=1e-5, clip_norm=1.0)
    assert row["status"] == "interrupted"
    assert row["spent_at_most"] == {"epsilon": whole.epsilon(4), "delta": 1e-5}
    assert main(["runs", str(tmp_path / "runs")]) == 0
    assert f"<= {whole.epsilon(4):.3g}" in capsys.readouterr().out


def test_one_run_can_be_trained_alone_and_attacked_later(tmp_path):
    trained = run_study(plan(), tmp_path, text=STUDY, only="dp-sgd", report=False)
    assert trained.report is None
    assert trained.evidence.estimate("membership_auc") is None
    assert not (tmp_path / "trust.html").exists()
    whole = run_study(plan(), tmp_path, text=STUDY, resume=True)
    assert whole.evidence.estimate("membership_auc", "dp-sgd") is not None
    same = [study.evidence.estimate("intent_accuracy", "dp-sgd") for study in (trained, whole)]
    assert same[0] == same[1]


def test_mistakes_are_found_before_anything_is_trained(tmp_path):
    with pytest.raises(StudyError, match="did you mean 'dp-sgd'"):
        run_study(plan(), tmp_path, only="dp-sdg")
    late = STUDY.replace("noise_multiplier = 1.0", "noise_multiplier = 1.0\nbatch_size = 301")
    with pytest.raises(InputError, match="batch_size is 301; it must lie between 1 and the number of examples, 300"):
        run_study(plan(late), tmp_path, text=late)
    assert not (tmp_path / "runs").exists()
