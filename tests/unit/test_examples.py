"""The examples do what they say: the script as it stands, the study of a pretrained encoder on a handful of utterances."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.study import parse_plan, run_study

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.slow
def test_quickstart_learns_under_its_promise_and_writes_a_report(tmp_path):
    script = [sys.executable, str(EXAMPLES / "quickstart.py")]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert "per example (zero-out neighbouring; truncated Poisson" in done.stdout
    assert "not testable" in (tmp_path / "trust.html").read_text()


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
