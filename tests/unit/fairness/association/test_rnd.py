from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.association import RND, WordVectors
from holdfast.fairness.inference import Inference
from holdfast.fairness.metric import Metric


@pytest.fixture
def loaded(vectors: dict[str, np.ndarray]) -> WordVectors:
    return WordVectors(tuple(vectors), np.array(list(vectors.values())), "toy.txt")


def test_one_number_for_each_set_of_attribute_words(stimuli: Path, loaded: WordVectors, inference: Inference, words):
    assert isinstance(RND(stimuli=stimuli), Metric)
    evidence = RND(stimuli=stimuli).measure(loaded, subject="run", inference=inference)
    assert len(evidence.estimates) == 4
    near, far = (
        evidence.estimate("relative_norm_distance", conditions={"of": "flowers", "attribute": name})
        for name in ("attribute_a", "attribute_b")
    )
    unit = {name: (lambda v: v / np.linalg.norm(v, axis=1, keepdims=True))(loaded.vectors(some)) for name, some in words.items()}
    gaps = [np.linalg.norm(a - unit["X"].mean(0)) - np.linalg.norm(a - unit["Y"].mean(0)) for a in unit["A"]]
    assert near.value == pytest.approx(np.mean(gaps))
    assert near.value < 0 < far.value
    assert near.interval.low < near.value < near.interval.high
    assert near.conditions["test"] == "exact permutation, 924 partitions, two-sided, words of the groups move"
    assert near.conditions["adjustment"] == "Holm, 4 tests"
    assert (near.n, near.conditions["n attribute_a"]) == (12, 4)
    assert "n attribute_b" not in near.conditions
    back = evidence.estimate("relative_norm_distance", conditions={"of": "reversed", "attribute": "attribute_a"})
    assert back.value == pytest.approx(-near.value)
    assert back.conditions["p_value"] == near.conditions["p_value"]


def test_missing_words_and_margins(stimuli: Path, loaded: WordVectors):
    few = WordVectors(loaded.words[2:], loaded.matrix[2:], "few")
    evidence = RND(stimuli=stimuli, tests=["flowers"]).measure(few, subject="run", inference=Inference())
    assert [estimate.value for estimate in evidence.estimates] == [None, None]
    assert "are missing: rose (target_x), lily (target_x)" in evidence.notes[1]
    kept = RND(stimuli=stimuli, tests=["flowers"], most_missing=0.5)
    assert kept.measure(few, subject="run", inference=Inference(margin=1.9)).estimates[0].conditions["verdict"] == "fair within the margin"


def test_unknown_options_are_refused_at_once():
    with pytest.raises(InputError, match="alternative 'both' is unknown"):
        RND(stimuli="none.json", alternative="both")
