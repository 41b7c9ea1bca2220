"""Batches of questions, and that what is answered is what one question alone is answered."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fairness.language.conftest import fitted
from torch import nn

from holdfast.core.errors import InputError
from holdfast.fairness.language import scoring
from holdfast.fairness.language.scoring import Network, Question, batches, following, log_probabilities, padded


class Table(nn.Module):
    """Scores a piece by a row that belongs to the piece that is seen at the place."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(7, 7, generator=torch.Generator().manual_seed(0)))
        self.seen: list[tuple[int, ...]] = []
        self.modes: list[bool] = []


def network(longest: int | None = None) -> Network:
    module = Table()

    def logits(ids_BT, mask_BT, rows_N, places_N):
        module.seen.append((*ids_BT.shape, len(rows_N)))
        module.modes.append(module.training)
        assert (ids_BT[~mask_BT] == 6).all()
        return module.rows[ids_BT[rows_N, places_N]]

    return Network(module, logits, 7, 6, longest, torch.device("cpu"))


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 50))
def test_batches_hold_every_row_of_which_something_is_asked_once_and_few_enough(lengths: list[int], most: int):
    asked = np.minimum(np.array(lengths, dtype=np.int64), 3)
    made = list(batches(np.array(lengths, dtype=np.int64), asked, most_asked=most))
    assert sorted(row for batch in made for row in batch) == [row for row in range(len(lengths)) if asked[row]]
    for batch in made:
        assert len(batch) == 1 or asked[batch].sum() <= most
    longest = [max(lengths[row] for row in batch) for batch in made]
    assert longest == sorted(longest)


def test_no_batch_holds_more_positions_than_it_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scoring, "POSITIONS", 12)
    made = list(batches(np.array([3, 5, 4, 20, 4]), np.ones(5, dtype=np.int64), most_asked=99))
    assert [batch.tolist() for batch in made] == [[0, 2, 4], [1], [3]]


def test_answers_come_in_the_order_of_the_questions():
    found = network()
    rng = np.random.default_rng(0)
    questions = []
    for _ in range(30):
        shown = rng.integers(0, 6, rng.integers(1, 9))
        places = rng.integers(0, len(shown), rng.integers(0, 5))
        questions.append(Question(shown, places, rng.integers(0, 7, len(places))))
    answers = log_probabilities(found, questions)
    table = found.module.rows.detach().double().log_softmax(-1).numpy()
    for question, answer in zip(questions, answers, strict=True):
        np.testing.assert_allclose(answer, table[question.shown[question.places], question.targets], atol=1e-6)
    assert len(found.module.seen) == 1
    assert found.module.modes == [False]
    assert found.module.training, "the mode is what it was"


def test_scores_are_held_in_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scoring, "SCORES", 35)
    found = network()
    rows = [np.array([1, 2, 3]), np.array([4]), np.array([5, 5])]
    whole = scoring.everywhere(found, rows)
    assert [shape[2] for shape in found.module.seen] == [3, 3]
    assert [len(one) for one in whole] == [3, 1, 2]


def test_what_follows_is_asked_a_place_earlier():
    found, table = network(), network().module.rows.detach().double().log_softmax(-1).numpy()
    led, own, one, none = following(found, [np.array([1, 2, 3]), np.array([5, 2]), np.array([4]), np.array([], dtype=np.int64)], boundary=5)
    np.testing.assert_allclose(led, [table[5, 1], table[1, 2], table[2, 3]], atol=1e-6)
    np.testing.assert_allclose(own, [np.nan, table[5, 2]], atol=1e-6)
    np.testing.assert_allclose(one, [table[5, 4]], atol=1e-6)
    assert none.shape == (0,)
    led, one = following(found, [np.array([1, 2, 3]), np.array([4])], boundary=None)
    np.testing.assert_allclose(led, [np.nan, table[1, 2], table[2, 3]], atol=1e-6)
    np.testing.assert_array_equal(one, [np.nan])


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question(np.arange(5), np.array([0]), np.array([0])), "row 0 has 5 pieces and the model reads 4"),
        (Question(np.arange(3), np.array([3]), np.array([0])), r"give places in \[0, 3\)"),
        (Question(np.arange(3), np.array([-1]), np.array([0])), r"is asked at \[-1\]"),
        (Question(np.arange(3), np.array([0]), np.array([7])), "asks for piece 7; the model has the pieces 0 to 6"),
    ],
)
def test_questions_that_make_no_sense_are_refused(question: Question, message: str):
    with pytest.raises(InputError, match=message):
        log_probabilities(network(longest=4), [question])


def test_rows_are_padded_behind_their_end():
    ids_BT, mask_BT = padded([np.array([1, 2]), np.array([3])], fill=9)
    assert ids_BT.tolist() == [[1, 2], [3, 9]]
    assert mask_BT.tolist() == [[True, True], [True, False]]
    assert padded([], fill=0)[0].shape == (0, 1)


def test_the_scores_of_a_batch_are_made_where_they_are_asked_for_alone():
    """The head of a model of ours sees as many states as there are questions, and not every place of every row."""
    from holdfast.fairness.language import of_run

    model = fitted("decoder")
    seen: list[int] = []
    model.module.head.register_forward_hook(lambda _, inputs, output: seen.append(output.shape[:-1].numel()))
    access = of_run(model)
    rows = [one.ids for one in access.pieces(["the doctor", "the nurse said that he was late"])]
    access.causal(rows)
    assert seen == [sum(map(len, rows))]
