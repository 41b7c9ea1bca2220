"""Scores that can be put together, against counts by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import InputError
from holdfast.data import Dataset, Example
from holdfast.federated.findings.scores import ExampleScores, example_scores
from holdfast.tasks import Prediction
from holdfast.tasks.task import NextWords


def labelled(*labels: str) -> Dataset:
    return Dataset.from_examples([Example(tokens=("a",), label=label) for label in labels], name="tiny", split="test")


def words(*losses: float) -> Prediction:
    right = (False,) * len(losses)
    return Prediction(next_words=NextWords(losses, right, right))


PERPLEXITY = ExampleScores("perplexity", "words", "lower is better", np.array([2.0, 0.0, 9.0]), np.array([1.0, 1.0, 3.0]))


def test_labels_are_counted():
    found = example_scores(labelled("x", "y", "x", "z"), [Prediction(label=label) for label in ("x", "x", "x", "z")])
    assert (found.measure, found.unit, found.direction) == ("accuracy", "share", "higher is better")
    assert found.sums.tolist() == [1, 0, 1, 1]
    assert found.of() == 0.75
    assert found.of(np.array([1])) == 0
    assert found.of(np.array([0, 1])) == 0.5
    assert found.of(np.array([], dtype=np.int64)) is None


def test_clients_are_counted_by_hand():
    found = example_scores(labelled(*"xyxyx"), [Prediction(label=label) for label in "xxxyy"])
    by_client = found.by_client(np.array([2, 2, 0, -1, 0]), 4)
    np.testing.assert_array_equal(by_client, [0.5, np.nan, 0.5, np.nan])
    assert found.by_client(np.array([0, 1, 0, 1, -1]), 2).tolist() == [1.0, 0.5]


def test_tags_count_by_words_and_not_by_sentences():
    rows = [Example(tokens=("a", "b", "c"), tags=("O", "B-x", "O")), Example(tokens=("d",), tags=("O",))]
    data = Dataset.from_examples(rows, name="tiny", split="test")
    found = example_scores(data, [Prediction(tags=("O", "O", "B-x")), Prediction(tags=("O",))])
    assert (found.measure, found.sums.tolist(), found.counts.tolist()) == ("tag_accuracy", [1, 1], [3, 1])
    assert found.of() == 0.5  # 2 of 4 words; the mean over sentences would be 2/3
    assert found.by_client(np.array([0, 1]), 2).tolist() == pytest.approx([1 / 3, 1])


def test_a_perplexity_is_taken_of_totals_and_not_of_means():
    found = example_scores(labelled("x", "x"), [words(1.0, 2.0, 3.0), words(0.5)])
    assert (found.measure, found.direction) == ("perplexity", "lower is better")
    assert found.of() == pytest.approx(math.exp(6.5 / 4))
    wrong = (math.exp(2.0) + math.exp(0.5)) / 2
    assert abs(found.of() - wrong) > 0.5
    both = found.by_client(np.array([0, 0]), 1)
    assert both[0] == pytest.approx(found.of())
    np.testing.assert_allclose(found.by_client(np.array([1, 0]), 2), [math.exp(0.5), math.exp(2)])


def test_words_of_a_text_without_labels_are_scored():
    bare = Dataset.from_examples([Example(tokens=("a", "b"))], name="tiny", split="test")
    assert example_scores(bare, [words(1.0, 0.0)]).of() == pytest.approx(math.exp(0.5))


def test_a_perplexity_without_end_is_none_for_all_and_infinite_for_a_client():
    found = ExampleScores("perplexity", "words", "lower is better", np.array([1e4, 1.0]), np.ones(2))
    assert found.of(np.array([0])) is None
    assert found.of(np.array([1])) == pytest.approx(math.e)
    assert np.isposinf(found.by_client(np.array([0, 1]), 2)[0])
    lost = ExampleScores("perplexity", "words", "lower is better", np.array([np.nan]), np.ones(1))
    assert lost.of() is None


def test_an_example_without_words_counts_for_nothing():
    found = ExampleScores("perplexity", "words", "lower is better", np.array([0.0, 2.0]), np.array([0.0, 2.0]))
    assert found.of() == pytest.approx(math.e)
    assert found.of(np.array([0])) is None
    assert np.isnan(found.by_client(np.array([0, 1]), 2)[0])


def test_no_examples_have_no_score():
    nothing = example_scores(labelled("x").take(np.array([], dtype=np.int64)), [])
    assert nothing.of() is None
    assert np.isnan(nothing.by_client(np.array([], dtype=np.int64), 3)).all()


def test_predictions_that_the_data_cannot_score_are_refused():
    with pytest.raises(InputError, match="hold neither a label nor tags nor losses of words"):
        example_scores(labelled("x"), [Prediction()])
    bare = Dataset.from_examples([Example(tokens=("a",))], name="bare", split="test")
    with pytest.raises(InputError, match="'bare'"):
        example_scores(bare, [Prediction(label="x")])
    with pytest.raises(ValueError, match="shorter"):
        example_scores(labelled("x", "y"), [Prediction(label="x")])


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 9), st.integers(-1, 4)), min_size=1, max_size=30),
    measure=st.sampled_from(["accuracy", "perplexity"]),
)
def test_a_client_has_the_score_of_its_examples(rows, measure):
    sums, counts, owners = (np.array(column) for column in zip(*rows, strict=True))
    found = ExampleScores(measure, "share", "neither", sums.astype(float), counts.astype(float))
    by_client = found.by_client(owners, 5)
    for client in range(5):
        own = np.flatnonzero(owners == client)
        assert (np.isnan(by_client[client]) and found.of(own) is None) or by_client[client] == pytest.approx(found.of(own))


def test_the_whole_is_no_mean_of_the_clients():
    by_client = PERPLEXITY.by_client(np.array([0, 0, 1]), 2)
    assert PERPLEXITY.of() == pytest.approx(math.exp(11 / 5))
    assert abs(by_client.mean() - PERPLEXITY.of()) > 1
