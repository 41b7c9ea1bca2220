import json
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.association import CEAT
from holdfast.fairness.association.contexts import Context
from holdfast.fairness.association.metrics.ceat import encoded_contexts
from holdfast.fairness.inference import Inference
from holdfast.fairness.metric import Metric


@pytest.fixture
def text(tmp_path: Path, words: dict[str, tuple[str, ...]]) -> Path:
    """Five sentences of each word, and one of fewer for the last."""
    lines = [f"{place} there was a {word} by the {place} road." for some in words.values() for word in some for place in "abcde"]
    (tmp_path / "text.txt").write_text("\n".join(lines[:-3]) + "\n")
    return tmp_path / "text.txt"


def measured(stimuli: Path, text: Path, encoder, inference: Inference, **options) -> Evidence:
    return CEAT(stimuli=stimuli, text=text, samples=40, **options).measure(encoder, subject="run", inference=inference)


def test_an_estimate_says_what_it_rests_on(stimuli: Path, text: Path, encoder, inference: Inference):
    evidence = measured(stimuli, text, encoder, inference, tests=["flowers"])
    estimate, published = evidence.estimate("ceat_effect_size"), evidence.estimate("ceat_published_p")
    assert isinstance(CEAT(stimuli=stimuli, text=text), Metric)
    told = estimate.conditions
    assert estimate.value > 0.5
    assert estimate.interval.low < estimate.value < estimate.interval.high
    assert "jackknife" in estimate.interval.method
    assert told["variant"] == "variance: paper; mean pooling"
    assert told["source_text"] == "text.txt"
    assert (told["samples"], told["contexts"], told["fewest_contexts_of_a_word"], estimate.n) == (40, 97, 2, 12)
    assert told["test"] == "exact permutation, 924 partitions of context-averaged words, greater"
    assert 1 / 924 <= told["p_value"] < 0.05
    assert published.value < told["p_value"]
    assert 2 * published.conditions["one_tailed"] == pytest.approx(published.value)
    assert "nine worlds of ten" in published.method
    assert Evidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


def test_hedges_weighs_otherwise_and_the_test_stays(stimuli: Path, text: Path, encoder, inference: Inference):
    one, other = (
        measured(stimuli, text, encoder, inference, tests=["flowers"], variance=variance).estimate("ceat_effect_size")
        for variance in ("paper", "hedges")
    )
    assert other.conditions["variant"] == "variance: hedges; mean pooling"
    assert one.value != other.value
    assert abs(one.value - other.value) < 0.1
    assert one.conditions["p_value"] == other.conditions["p_value"]
    assert other.conditions["published_standard_error"] > one.conditions["published_standard_error"]


def test_words_that_the_text_does_not_hold_are_missing(stimuli: Path, text: Path, encoder, inference: Inference):
    text.write_text("".join(line for line in text.read_text().splitlines(keepends=True) if "rose" not in line))
    evidence = measured(stimuli, text, encoder, inference)
    estimate = evidence.estimate("ceat_effect_size", conditions={"of": "flowers"})
    assert estimate.conditions["missing_words"] == "rose"
    assert "flowers: 1 of 20 words is missing: rose (target_x)." in evidence.notes
    assert estimate.conditions["adjustment"] == "Holm, 2 tests"
    text.write_text("nothing here\n")
    empty = measured(stimuli, text, encoder, inference)
    assert [estimate.value for estimate in empty.estimates] == [None, None]
    assert any("another language" in note for note in empty.notes)


def test_words_that_the_model_does_not_know_are_missing(stimuli: Path, text: Path, shy, inference: Inference):
    evidence = measured(stimuli, text, shy, inference, tests=["flowers"])
    assert evidence.estimate("ceat_effect_size").conditions["missing_words"] == "rose"


def test_a_seed_gives_one_result_and_most_contexts_holds(stimuli: Path, text: Path, encoder, inference: Inference):
    one, same = (measured(stimuli, text, encoder, inference, most_contexts=3) for _ in range(2))
    assert one == same
    assert one.estimate("ceat_effect_size").conditions["contexts"] == 19 * 3 + 2
    other = measured(stimuli, text, encoder, Inference(replicates=200, permutations=500, seed=1), most_contexts=3)
    assert other.estimate("ceat_effect_size").value != one.estimate("ceat_effect_size").value


def test_long_contexts_are_passed_over(stimuli: Path, text: Path, encoder, inference: Inference):
    text.write_text(text.read_text() + "a rose " + "and on " * 20 + "it went.\n")
    counts = [
        measured(stimuli, text, encoder, inference, tests=["flowers"], longest_context=longest).estimates[0].conditions["contexts"]
        for longest in (60, 1000)
    ]
    assert counts == [97, 98]


def test_encoded_contexts_are_of_length_one_and_by_word(encoder):
    contexts = {"rose": (Context("A rose.", 2, 6), Context("rose up", 0, 4)), "ant": (), "bee": (Context("bee", 0, 3),)}
    found = encoded_contexts(encoder, contexts, pooling="first")
    assert {word: part.shape for word, part in found.items()} == {"rose": (2, 12), "bee": (1, 12)}
    assert set(encoder.asked) == {"first"}
    own = encoder.vectors["bee"] * 1.3
    np.testing.assert_allclose(found["bee"][0], own / np.linalg.norm(own))


def test_an_encoder_that_sees_no_difference_gives_a_reason(stimuli: Path, text: Path, encoder, inference: Inference):
    encoder.word = lambda _: np.ones(12)
    evidence = measured(stimuli, text, encoder, inference)
    assert "same association" in evidence.estimate("ceat_effect_size").missing
    assert evidence.estimate("ceat_published_p") is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"variance": "hedge"}, "did you mean 'hedges'"),
        ({"pooling": "cls"}, "pooling 'cls' is unknown"),
        ({"samples": 9}, "samples 9 is below 10"),
        ({"most_contexts": 0}, "most_contexts 0 is below 1"),
        ({"longest_context": 5}, "longest_context 5 is below 20"),
    ],
)
def test_unknown_options_are_refused_at_once(options: dict[str, object], told: str):
    with pytest.raises(InputError, match=told):
        CEAT(stimuli="none.json", text="none.txt", **options)


def test_a_margin_gives_a_verdict(stimuli: Path, text: Path, encoder):
    wide = Inference(replicates=200, permutations=500, margin=1.999)
    evidence = measured(stimuli, text, encoder, wide, tests=["flowers"])
    assert evidence.estimate("ceat_effect_size").conditions["verdict"] == "fair within the margin"
