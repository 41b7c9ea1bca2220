"""The examples do what they say: scripts as they stand, studies of a pretrained encoder and across clients on a handful of utterances."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from holdfast import privacy
from holdfast.models.vectors import read_vectors
from holdfast.runs import RunFolder
from holdfast.study import parse_plan, read_plan, run_study
from holdfast.study.federation import parse_federated_plan, read_federated_plan, run_federated
from holdfast.study.federation.plan import FederationTable

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FEDERATED = sorted(EXAMPLES.glob("federated-*.toml"))
TRAININGS = sorted(set(EXAMPLES.glob("*.toml")) - set(FEDERATED))


@pytest.mark.slow
def test_quickstart_learns_under_its_promise_and_writes_a_report(tmp_path):
    assert "per example (zero-out neighbouring; truncated Poisson" in run("quickstart.py", tmp_path)
    assert "not testable" in (tmp_path / "trust.html").read_text()


def run(name: str, folder: Path) -> str:
    """What an example prints."""
    script, quiet = [sys.executable, str(EXAMPLES / name)], {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, check=False, env=quiet)
    assert done.returncode == 0, done.stderr
    return done.stdout


def accuracy(printed: str) -> float:
    return float(re.search(r"accuracy on \d+ utterances: (\S+)", printed)[1])


@pytest.mark.slow
def test_a_loop_of_ones_own_learns_under_its_promise(tmp_path):
    printed = run("own_loop.py", tmp_path)
    assert "per example (zero-out neighbouring; truncated Poisson" in printed
    assert accuracy(printed) > 0.4  # one intent in ten by chance


@pytest.mark.slow
def test_transformers_trainer_learns_under_its_promise(tmp_path):
    printed = run("hf_trainer.py", tmp_path)
    assert "per example (zero-out neighbouring; truncated Poisson" in printed
    assert accuracy(printed) > 0.25


@pytest.fixture
def hf(tmp_path):
    """The example's trainer with six steps and a handful of examples, and what it is made of."""
    module = SimpleNamespace(**runpy.run_path(str(EXAMPLES / "hf_trainer.py"), run_name="example"))
    data = [{"input_ids": [1 + i % 9, 3, 1 + i % 5], "label": i % 3} for i in range(40)]
    size = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": 3, "max_position_embeddings": 8}

    def make(mechanism, **change):
        torch.manual_seed(1)
        model = module.BertForSequenceClassification(module.BertConfig(**size, **quiet))
        settings = {"max_steps": mechanism.steps, "max_grad_norm": 0.0, "ignore_data_skip": True, "use_cpu": True, "disable_tqdm": True}
        settings |= {"per_device_train_batch_size": 4, "save_steps": 3, "logging_strategy": "no", "report_to": "none"}
        args = module.TrainingArguments(output_dir=str(tmp_path / "hf"), **(settings | change))
        return module.PrivateTrainer(model, args, mechanism=mechanism, seed=5, train_dataset=data, data_collator=module.collate)

    return make


def small_plan(**change) -> privacy.Mechanism:
    plan = {"examples": 40, "batch_size": 10, "steps": 6, "clip_norm": 0.5, "noise_multiplier": 1.0, "delta": 1e-3} | change
    return privacy.dp_sgd(**plan)


@pytest.mark.slow
def test_transformers_trainer_goes_on_from_its_checkpoint(hf, tmp_path):
    whole = hf(small_plan())
    whole.train()
    assert whole.state.global_step == 6
    want = whole.model.state_dict()
    again = hf(small_plan())
    again.train(resume_from_checkpoint=str(tmp_path / "hf" / "checkpoint-3"))
    assert again.private.steps_taken == 6
    assert all(torch.equal(value, want[name]) for name, value in again.model.state_dict().items())
    assert again.private.claim().epsilon == small_plan().epsilon()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"max_grad_norm": 1.0}, {"gradient_accumulation_steps": 2}, {"max_steps": 5}, {"ignore_data_skip": False}, {"torch_compile": True}],
)
def test_transformers_trainer_refuses_what_would_void_the_promise(hf, change):
    (name,) = change
    with pytest.raises(ValueError, match=f"{name} is {change[name]}; private training needs {name}="):
        hf(small_plan(), **change)


@pytest.mark.slow
def test_a_pretrained_encoder_is_fine_tuned_privately(tmp_path):
    text = (EXAMPLES / "minilm.toml").read_text()
    small = text.replace("train=2000,validation=200,test=500", "train=90,validation=10,test=20,users=10").replace(
        "batch_size = 256", "batch_size = 45"
    )
    small = small.replace("epochs = 4", "epochs = 1").replace("epochs = 3", "epochs = 1")
    assert small.count("epochs = 1") == 2
    result = run_study(parse_plan(small, origin="minilm.toml", folder=EXAMPLES), tmp_path, text=small)
    (claim,) = result.evidence.claims
    assert claim.epsilon <= 8
    assert result.evidence.estimate("parameters", "dp-sgd").value < 1e6  # the heads alone
    assert (tmp_path / "trust.html").exists()


@pytest.mark.parametrize("study", TRAININGS, ids=lambda path: path.stem)
def test_a_study_asks_for_nothing_that_is_not_there(study: Path):
    assert read_plan(study).run


@pytest.mark.parametrize("study", FEDERATED, ids=lambda path: path.stem)
def test_a_federated_study_asks_for_nothing_that_is_not_there(study: Path):
    plan = read_federated_plan(study)
    assert len(plan.run) > 2
    assert {plan.setting(run, "seed") for run in plan.run} == {7}  # whoever runs it sees what its comments say


def fewer(text: str) -> str:
    """A federated study with two rounds of few clients, on little of its data."""
    text = re.sub(r"^(rounds|cohort|evaluate_every) = \d+", r"\1 = 2", text, flags=re.MULTILINE)
    text = re.sub(r"rounds_per_period = \d+", "rounds_per_period = 1", text)
    text = text.replace("train=6000,users=600", "train=400,validation=20,test=60,users=40").replace("clients = 100", "clients = 10")
    text = re.sub(r"^rows = \{.*?\}.*\n", "", text, flags=re.MULTILINE)
    most = "" if "assistant:" in text else "\nrows = { train = 1200, validation = 20, test = 400 }"
    return re.sub(r"^(source = .*)$", rf"\1{most}", text, flags=re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("study", FEDERATED, ids=lambda path: path.stem)
def test_a_federated_study_runs(study: Path, tmp_path: Path, request: pytest.FixtureRequest):
    text = fewer(study.read_text())
    plan = parse_federated_plan(text, origin=study.name, folder=EXAMPLES)
    kind, _, place = plan.data.source.partition(":")
    if kind != "assistant":
        real = request.getfixturevalue("shared_data").resolve()  # which says so where it is not there
        assert Path(place).resolve().is_relative_to(real)
    result = run_federated(plan, tmp_path, text=text)
    assert [record.name for record in result.records] == [run.name for run in plan.run]
    for run in plan.run:
        record = RunFolder(tmp_path / "runs" / run.name).read()
        assert record.status == "finished"
        assert record.evidence.estimate("clients", run.name).value > 2
        assert any(one.name == "client_score_decile" for one in record.evidence.estimates)  # each of them has clients to score
    assert (tmp_path / "trust.html").exists()


@pytest.mark.slow
def test_the_example_of_selection_tells_who_counts_twice(tmp_path: Path):
    text = fewer((EXAMPLES / "federated-assistant.toml").read_text())
    plan = parse_federated_plan(text, origin="federated-assistant.toml", folder=EXAMPLES)
    result = run_federated(plan, tmp_path, text=text, page=False)
    twice = {record.name: [note for note in record.evidence.notes if "count twice" in note] for record in result.records}
    assert {name for name, notes in twice.items() if notes} == {"by-activity-twice"}


PAGES = EXAMPLES.parent / "docs"
SHOWN = [
    pytest.param(body, id=f"{path.stem}-{place}")
    for path in sorted(PAGES.rglob("*.md"))
    for place, body in enumerate(re.findall(r"^```toml\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL))
    if "[federation]" in body and "title =" in body
]


@pytest.mark.parametrize("text", SHOWN)
def test_federated_studies_of_the_documentation_ask_for_nothing_that_is_not_there(text: str):
    assert parse_federated_plan(text, origin="page", folder=PAGES).run


def test_documentation_shows_federated_studies():
    assert len(SHOWN) >= 2


def test_the_page_of_study_files_names_every_key_of_a_federation():
    page = (PAGES / "reference" / "study-file.md").read_text()
    table = page[page.index("| key of `[federation]` |") : page.index("`retention` is")]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    named = set(re.findall(r"`(\w+)`", " ".join(first[1:])))
    assert named == set(FederationTable.model_fields)


@pytest.mark.slow
def test_vectors_of_words_are_those_of_a_public_encoder_and_can_be_read(tmp_path):
    import tokenizers
    import transformers

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "jazz", "stop", "un", "##ably"]
    cutter = tokenizers.Tokenizer(tokenizers.models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    cutter.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 128}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(pieces), **sizes)).save_pretrained(tmp_path / "tiny")
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=cutter, **special).save_pretrained(tmp_path / "tiny")
    (tmp_path / "more.txt").write_text("unably 1 2\nplay 3 4\n")
    script = [
        sys.executable,
        str(EXAMPLES / "word_vectors.py"),
        "out.txt.gz",
        "--encoder",
        "hub:tiny",
        "--words",
        "more.txt",
        "--width",
        "3",
    ]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    found = read_vectors(tmp_path / "out.txt.gz", most=100, lowercase=True)
    assert found.words == ("unably", "play", "jazz", "stop", "un")
    assert found.matrix.shape == (5, 3)
    assert float(found.matrix.std()) == pytest.approx(0.8, abs=0.01)
