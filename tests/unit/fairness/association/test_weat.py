import json
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.association import WEAT, WordVectors
from holdfast.fairness.association.metrics.weat import word_cosines
from holdfast.fairness.inference import Inference
from holdfast.fairness.metric import Metric


@pytest.fixture
def loaded(vectors: dict[str, np.ndarray]) -> WordVectors:
    return WordVectors(tuple(vectors), np.array(list(vectors.values())), "toy.txt", "abc")


def without(loaded: WordVectors, *words: str) -> WordVectors:
    kept = [place for place, word in enumerate(loaded.words) if word not in words]
    return WordVectors(tuple(loaded.words[place] for place in kept), loaded.matrix[kept], loaded.name)


def found(evidence: Evidence, of: str = "flowers"):
    return evidence.estimate("weat_effect_size", conditions={"of": of})


def test_an_estimate_says_what_it_rests_on(stimuli: Path, loaded: WordVectors, inference: Inference):
    metric = WEAT(stimuli=stimuli)
    assert isinstance(metric, Metric)
    evidence = metric.measure(loaded, subject="run", inference=inference)
    estimate = found(evidence)
    told = estimate.conditions
    assert (estimate.subject, estimate.unit, estimate.direction, estimate.n) == ("run", "standard deviations", "neither", 12)
    assert estimate.interval.low < estimate.value < estimate.interval.high
    assert told["metric"] == "weat"
    assert told["variant"] == "joint, ddof=1"
    assert (told["x"], told["n target_x"], told["n attribute_b"]) == ("target_x", 6, 4)
    assert told["test"] == "exact permutation, 924 partitions, one-sided, greater, whole words move"
    assert told["largest_possible"] == pytest.approx(2 * np.sqrt(11 / 12))
    assert (told["vectors"], told["vectors_sha256"]) == ("toy.txt", "abc")
    assert told["most_influential_word"] in metric.words()
    assert "missing_words" not in told
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


def test_a_family_is_adjusted_and_reversed_targets_change_the_sign(stimuli: Path, loaded: WordVectors, inference: Inference):
    evidence = WEAT(stimuli=stimuli).measure(loaded, subject="run", inference=inference)
    there, back = found(evidence), found(evidence, "reversed")
    assert back.value == pytest.approx(-there.value)
    assert there.conditions["p_adjusted"] == pytest.approx(2 * there.conditions["p_value"])
    assert there.conditions["adjustment"] == "Holm, 2 tests"
    alone = WEAT(stimuli=stimuli, tests=["flowers"]).measure(loaded, subject="run", inference=inference)
    assert found(alone).conditions["p_adjusted"] == there.conditions["p_value"]
    assert found(alone).interval == there.interval  # a test more does not move the draws of another


def test_missing_words_are_told_in_conditions_and_notes(stimuli: Path, loaded: WordVectors, inference: Inference):
    evidence = WEAT(stimuli=stimuli, tests=["flowers"]).measure(without(loaded, "rose"), subject="run", inference=inference)
    estimate = found(evidence)
    assert estimate.value is not None
    assert estimate.conditions["missing_words"] == "rose"
    assert estimate.conditions["n target_x"] == 5
    assert estimate.n == 11
    assert "flowers: 1 of 20 words is missing: rose (target_x)." in evidence.notes


def test_a_set_that_lost_too_much_is_a_row_without_a_number(stimuli: Path, loaded: WordVectors, inference: Inference):
    few = without(loaded, "rose", "lily")
    estimate = found(WEAT(stimuli=stimuli).measure(few, subject="run", inference=inference))
    assert estimate.value is None
    assert "2 of 6 words of 'target_x' are missing, more than the share 0.2" in estimate.missing
    assert "p_value" not in estimate.conditions
    assert found(WEAT(stimuli=stimuli, most_missing=0.5).measure(few, subject="run", inference=inference)).value is not None
    with pytest.raises(InputError, match="2 words are missing"):
        WEAT(stimuli=stimuli, out_of_vocabulary="refuse").measure(few, subject="run", inference=inference)


def test_balance_makes_the_target_sets_equal(stimuli: Path, loaded: WordVectors, inference: Inference):
    metric = WEAT(stimuli=stimuli, tests=["flowers"], out_of_vocabulary="balance")
    estimate = found(metric.measure(without(loaded, "rose"), subject="run", inference=inference))
    assert (estimate.conditions["n target_x"], estimate.conditions["n target_y"]) == (5, 5)
    assert estimate.conditions["left_out_to_balance"] == "bee"


def test_vectors_of_another_language_are_noticed(stimuli: Path, inference: Inference):
    german = WordVectors(("Rose", "Biene"), np.ones((2, 3)), "cc.de.300.vec")
    evidence = WEAT(stimuli=stimuli).measure(german, subject="run", inference=inference)
    assert all(estimate.value is None for estimate in evidence.estimates)
    assert any("another language" in note for note in evidence.notes)


def test_a_zero_vector_is_refused_by_word(stimuli: Path, loaded: WordVectors, inference: Inference):
    matrix = loaded.matrix.copy()
    matrix[loaded.words.index("wasp")] = 0
    with pytest.raises(InputError, match="'wasp' is all zeros"):
        WEAT(stimuli=stimuli).measure(WordVectors(loaded.words, matrix, "v"), subject="run", inference=inference)


def test_two_sets_that_share_a_word_are_refused(tmp_path: Path, loaded: WordVectors, inference: Inference):
    sets = {"target_x": ["rose", "lily"], "target_y": ["ant", "flea"], "attribute_a": ["joy", "rose"], "attribute_b": ["war", "ugly"]}
    (tmp_path / "shared.json").write_text(json.dumps({"tests": {"T": sets}}))
    with pytest.raises(InputError, match="'rose' stands in 'target_x' and in 'attribute_a'"):
        WEAT(stimuli=tmp_path / "shared.json").measure(loaded, subject="run", inference=inference)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"variant": "ddof=1"}, "variant 'ddof=1' is unknown"),
        ({"alternative": "bigger"}, "alternative 'bigger' is unknown"),
        ({"out_of_vocabulary": "drop"}, "out_of_vocabulary 'drop' is unknown"),
        ({"most_missing": 1.0}, r"most_missing 1.0 is outside \[0, 1\)"),
    ],
)
def test_unknown_options_are_refused_at_once(options: dict[str, object], told: str):
    with pytest.raises(InputError, match=told):
        WEAT(stimuli="none.json", **options)


def test_unknown_tests_and_files_are_refused(stimuli: Path, loaded: WordVectors, inference: Inference):
    with pytest.raises(InputError, match="did you mean 'flowers'"):
        WEAT(stimuli=stimuli, tests=["flower"]).measure(loaded, subject="run", inference=inference)
    with pytest.raises(DataError):
        WEAT(stimuli=stimuli.with_name("none.json")).words()


def test_the_words_asked_for_are_those_of_the_tests(stimuli: Path, words: dict[str, tuple[str, ...]]):
    assert WEAT(stimuli=stimuli).words() == {word for some in words.values() for word in some}


def test_cosines_stand_in_the_order_of_the_sets(stimuli: Path, loaded: WordVectors):
    from holdfast.fairness.association.metrics.family import chosen_tests

    cosines = word_cosines(loaded, chosen_tests(stimuli, ["flowers"])[0])
    u, v = loaded.vectors(["flea"])[0], loaded.vectors(["filth"])[0]
    assert cosines.matrix[7, 5] == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
