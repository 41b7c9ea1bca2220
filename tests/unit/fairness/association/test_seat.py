from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.association import SEAT, effect_size
from holdfast.fairness.association.metrics.family import chosen_tests
from holdfast.fairness.association.metrics.seat import sentence_cosines
from holdfast.fairness.association.sentences import bleached
from holdfast.fairness.inference import Inference
from holdfast.fairness.language import Pieces
from holdfast.fairness.metric import Metric


def test_sentences_are_measured_and_words_are_moved(stimuli: Path, encoder, inference: Inference):
    metric = SEAT(stimuli=stimuli, tests=["flowers"], pooling="cls")
    assert isinstance(metric, Metric)
    evidence = metric.measure(encoder, subject="run", inference=inference)
    estimate, published = evidence.estimate("seat_effect_size"), evidence.estimate("seat_published_p")
    assert estimate.conditions["variant"] == "joint, ddof=1; cls pooling"
    assert encoder.asked == ["cls"]
    assert estimate.n == 12
    assert estimate.conditions["target_sentences"] == 12 * 14
    assert estimate.conditions["attribute_sentences"] == 2 * 3 + 6 * 4  # adjectives, mass nouns
    assert estimate.conditions["test"].startswith("exact permutation, 924 partitions")
    assert published.conditions["test"].endswith("single sentences move")
    assert published.value <= estimate.conditions["p_value"]
    assert published.interval is None
    assert "no interval" in published.method


def test_the_effect_size_is_that_over_all_sentences(stimuli: Path, encoder, inference: Inference, words):
    estimate = SEAT(stimuli=stimuli, tests=["flowers"]).measure(encoder, subject="run", inference=inference).estimate("seat_effect_size")
    unit = lambda text: (lambda v: v / np.linalg.norm(v))(encoder.encode([text], pooling="mean")[0])  # noqa: E731
    sides = [[unit(text) for word in words[name] for text in bleached(word)] for name in "XYAB"]
    scores = np.array([np.mean([w @ a for a in sides[2]]) - np.mean([w @ b for b in sides[3]]) for w in sides[0] + sides[1]])
    assert estimate.value == pytest.approx(effect_size(scores, np.arange(len(scores)) < len(sides[0])))


def test_units_are_words_in_their_order(stimuli: Path, encoder):
    sets = chosen_tests(stimuli, ["flowers"])[0]
    said = {word: bleached(word) for word in sets.targets + sets.attributes}
    texts = [text for some in said.values() for text in some]
    encoded = dict(zip(texts, encoder.encode(texts, pooling="mean"), strict=True))
    cosines = sentence_cosines(encoded, said, sets)
    assert np.bincount(cosines.targets.of).tolist() == [14] * 12
    assert np.bincount(cosines.attributes.of).tolist() == [len(said[word]) for word in sets.attributes]
    assert cosines.target_words == sets.targets
    assert cosines.matrix[14 * 7 + 2, 4] == pytest.approx(encoded[said["flea"][2]] @ encoded[said["love"][1]])


def test_kinds_change_what_is_said(stimuli: Path, encoder, inference: Inference):
    metric = SEAT(stimuli=stimuli, tests=["flowers"], kinds={"rose": "adjective"})
    estimate = metric.measure(encoder, subject="run", inference=inference).estimate("seat_effect_size")
    assert estimate.conditions["target_sentences"] == 11 * 14 + 3


@pytest.mark.parametrize(
    ("options", "told"),
    [({"pooling": "max"}, "pooling 'max' is unknown"), ({"variant": "x"}, "variant"), ({"kinds": {"a": "adverb"}}, "'adverb' is unknown")],
)
def test_unknown_options_are_refused_at_once(options: dict[str, object], told: str):
    with pytest.raises(InputError, match=told):
        SEAT(stimuli="none.json", **options)


def test_an_encoder_that_sees_no_difference_gives_a_reason(stimuli: Path, encoder, inference: Inference):
    encoder.word = lambda _: np.ones(12)
    evidence = SEAT(stimuli=stimuli).measure(encoder, subject="run", inference=inference)
    estimate = evidence.estimate("seat_effect_size")
    assert estimate.value is None
    assert "same association" in estimate.missing


def test_words_that_the_model_does_not_know_are_missing(stimuli: Path, shy, inference: Inference):
    metric = SEAT(stimuli=stimuli, tests=["flowers"])
    evidence = metric.measure(shy, subject="run", inference=inference)
    estimate = evidence.estimate("seat_effect_size")
    assert estimate.conditions["missing_words"] == "rose"
    assert estimate.conditions["target_sentences"] == 11 * 14
    assert "flowers: 1 of 20 words is missing: rose (target_x)." in evidence.notes
    with pytest.raises(InputError, match="'rose'"):
        SEAT(stimuli=stimuli, out_of_vocabulary="refuse").measure(shy, subject="run", inference=inference)
    strict = SEAT(stimuli=stimuli, tests=["flowers"], most_missing=0.1).measure(shy, subject="run", inference=inference)
    assert [estimate.value for estimate in strict.estimates] == [None]


def test_a_model_that_knows_no_word_gets_a_notice(stimuli: Path, shy, inference: Inference):
    shy.pieces = lambda texts: [Pieces(np.arange(1), np.zeros(1, int), np.ones(1, int), np.zeros(1, bool)) for _ in texts]
    evidence = SEAT(stimuli=stimuli).measure(shy, subject="run", inference=inference)
    assert [estimate.value for estimate in evidence.estimates] == [None, None]
    assert any("another language" in note for note in evidence.notes)
