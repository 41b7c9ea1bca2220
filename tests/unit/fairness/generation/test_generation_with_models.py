"""Real generators, with random weights: what they write goes through every metric."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from holdfast import models
from holdfast.core.randomness import Streams
from holdfast.fairness.generation import GenderPolarityUnigram, GenerationSentiment, GenerationToxicity, Honest, Remembered
from holdfast.fairness.language import of_run
from holdfast.models import Labels

TRAINING = [
    ["the", "nurse", "said", "that", "she", "was", "kind", "."],
    ["the", "smith", "said", "that", "he", "was", "cruel", "."],
    ["an", "idiot", "said", "that", "he", "was", "good", "."],
]


@dataclass
class Fitted:
    """As much of a trained model as `of_run` asks for."""

    name: str
    module: Any
    featuriser: Any
    labels: Labels
    task: Any = None
    device: str = "cpu"


@pytest.fixture(scope="module")
def model():
    settings = models.LSTMLanguageModel(min_count=1, dropout=0.0, embedding=6, hidden=8)
    featuriser, labels = settings.featuriser(TRAINING), Labels(next_words=True)
    module = settings.build(featuriser, labels, Streams(3)).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3)
    return of_run(Fitted("random", module, featuriser, labels))


def test_a_model_of_ours_is_measured_on_one_set_of_texts(model, bold, quick):
    options = {"bold": str(bold), "domains": ["profession"], "samples": 6, "most_words": 8}
    asked = []
    kept = Remembered(model)
    for kind in (GenderPolarityUnigram, GenerationSentiment, GenerationToxicity):
        asked.append(kind(**options).gathered(kept)[0].written)
        evidence = kind(**options).measure(kept, subject="run", inference=quick)
        of_model = [e for e in evidence.estimates if e.conditions["written_by"] == "model"]
        assert {e.conditions["groups"] for e in of_model} == {"profession"}
        assert all(e.conditions["samples"] == 6 for e in of_model)
        assert any(e.value is not None for e in of_model)
    assert asked[0] == asked[1] == asked[2]
    assert len(asked[0]) == 7
    assert all(len(row) == 6 for row in asked[0])
    again = GenerationSentiment(**options).gathered(model)[0].written
    assert again == asked[0]


def test_honest_with_a_model_of_ours(model, quick):
    evidence = Honest(samples=2, most_words=8, prompts_per_group=16).measure(model, subject="run", inference=quick)
    whole = next(e for e in evidence.estimates if e.conditions.get("statistic") == "overall")
    assert whole.n == 32
    assert 0 <= whole.value <= 1
    assert whole.conditions["rows"] == 64
