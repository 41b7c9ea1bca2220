"""The examples do what they say: the script as it stands, the study of a pretrained encoder on a handful of utterances."""

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
from holdfast.study import parse_plan, read_plan, run_study

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


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


@pytest.mark.parametrize("study", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_study_asks_for_nothing_that_is_not_there(study: Path):
    assert read_plan(study).run


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
