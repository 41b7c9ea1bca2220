"""Texts as a model reads them, and the likelihoods that it is asked for."""

import numpy as np
import pytest
from tests.unit.fairness.likelihood.toys import CausalBag, MaskedBag

from holdfast.core.errors import InputError
from holdfast.fairness.language.access import CausalAccess, Masked, MaskedAccess
from holdfast.fairness.likelihood import asking
from holdfast.fairness.likelihood.choosing import NO_CHOICE, choose
from holdfast.fairness.likelihood.reading import joined, own_places, read

WORDS = ["the", "nurse", "doctor", "is", "here", "and", "tired", "he", "she", "."]
PULLS = {("nurse", "she"): 1.5, ("doctor", "he"): 0.7, ("the", "nurse"): 0.4, ("is", "tired"): 2.0, ("here", "is"): -1.0}


@pytest.fixture
def masked() -> MaskedBag:
    return MaskedBag(WORDS, weights={"he": 0.3, "the": 1.0}, pulls=PULLS)


@pytest.fixture
def causal() -> CausalBag:
    return CausalBag(WORDS, weights={"he": 0.3, "the": 1.0}, pulls=PULLS)


def test_the_toys_are_accesses(masked: MaskedBag, causal: CausalBag):
    assert isinstance(masked, MaskedAccess)
    assert not isinstance(masked, CausalAccess)
    assert isinstance(causal, CausalAccess)
    assert not isinstance(causal, MaskedAccess)


def test_reading_counts_unknown_words_and_cut_texts(masked: MaskedBag):
    reading = read(MaskedBag(WORDS, longest=4), ["the nurse is here and tired", "le docteur is here"])
    assert (reading.words, reading.cut) == (10, 1)
    assert reading.unknown == 2, "words that were cut off are not unknown: their text is told to be cut"
    assert reading.conditions == {"unknown_words": 0.2, "cut": 1}
    assert "20 % of the words" in reading.notes[0]
    assert "1 texts were longer" in reading.notes[1]
    assert not read(masked, ["the nurse is here"]).notes
    assert joined(reading, reading).words == 20


def test_a_pseudo_log_likelihood_hides_one_piece_at_a_time(masked: MaskedBag):
    reading = read(masked, ["the nurse is tired", "she"])
    rows = [(pieces, own_places(pieces)) for pieces in reading.pieces]
    long, short = asking.one_by_one(masked, rows)
    words = ["the", "nurse", "is", "tired"]
    slow = [masked.logit(word, "[CLS]", "[SEP]", *(other for other in words if other != word)) for word in words]
    np.testing.assert_allclose(long, slow, rtol=1e-12)
    np.testing.assert_allclose(short, [masked.logit("she", "[CLS]", "[SEP]")], rtol=1e-12)
    assert masked.calls == ["pieces", "masked"], "one batched call"


def test_questions_that_look_alike_are_asked_once(masked: MaskedBag):
    one, two = read(masked, ["the nurse is tired", "the doctor is tired"]).pieces
    hidden = np.array([2], dtype=np.int64)
    target = np.array([4], dtype=np.int64)
    first, second = asking.together(masked, [(one, target, hidden), (two, target, hidden)])
    assert masked.questions == 1, "with nurse and doctor hidden both are the same question"
    assert first == second
    apart = asking.together(masked, [(one, target, hidden[:0]), (two, target, hidden[:0])])
    assert masked.questions == 3
    np.testing.assert_allclose(apart[0], masked.logit("tired", "[CLS]", "[SEP]", "the", "nurse", "is"), rtol=1e-12)


def test_two_fillers_of_one_blank_are_two_questions(masked: MaskedBag):
    one, two = read(masked, ["the nurse is tired", "the doctor is tired"]).pieces
    place = np.array([2], dtype=np.int64)
    nurse, doctor = asking.together(masked, [(one, place, place[:0]), (two, place, place[:0])])
    assert masked.questions == 2
    assert nurse != doctor


def test_a_question_without_a_place_has_no_answer_and_is_not_asked(masked: MaskedBag):
    (pieces,) = read(masked, ["she"]).pieces
    nothing = np.zeros(0, dtype=np.int64)
    assert len(asking.ask(masked, [Masked(pieces.ids, nothing, nothing)])[0]) == 0
    assert masked.questions == 0
    assert np.isnan(asking.total(np.zeros(0)))


def test_left_to_right_leaves_the_rest_of_the_filler_away():
    model = MaskedBag([*WORDS, "au"], pulls={("au", "##nt"): 3.0, ("is", "au"): 1.0, ("##nt", "au"): 5.0}, cut=["aunt"])
    (pieces,) = read(model, ["the aunt is"]).pieces
    found = asking.left_to_right(model, [(pieces, pieces.within(4, 8))])[0]
    seen = ["[CLS]", "[SEP]", "the", "is"]
    np.testing.assert_allclose(found, [model.logit("au", *seen), model.logit("##nt", *seen, "au")], rtol=1e-12)
    alone = asking.one_by_one(model, [(pieces, pieces.within(4, 8))])[0]
    assert alone[0] > found[0] + 1, "the second half gives the first away, which is why the published way hides it"


def test_a_causal_model_sees_what_comes_before(causal: CausalBag):
    (found,) = asking.whole(causal, read(causal, ["the nurse is tired"]).pieces)
    slow = [causal.logit("the"), causal.logit("nurse", "the"), causal.logit("is", "the", "nurse")]
    np.testing.assert_allclose(found[:3], slow, rtol=1e-12)
    bare = CausalBag(WORDS, pulls=PULLS, weights={"he": 0.3, "the": 1.0}, boundary=False)
    pieces = read(bare, ["the nurse is tired"]).pieces
    np.testing.assert_allclose(asking.whole(bare, pieces)[0], found[1:], rtol=1e-12)
    assert asking.first_piece(bare, pieces) == {"first_piece": "without probability, left out"}
    assert asking.first_piece(causal, pieces) == {"first_piece": "read after the boundary of the model"}
    assert asking.first_piece(MaskedBag(WORDS), pieces) == {}


def test_sums_and_means_of_what_is_not_finite_are_not_numbers():
    assert asking.total(np.array([-1.0, -2.0])) == -3
    assert asking.mean(np.array([-1.0, -2.0])) == -1.5
    assert np.isnan(asking.total(np.array([-1.0, -np.inf])))


class TestChoosing:
    def test_the_likeliest_ending_is_chosen(self, causal: CausalBag):
        found = choose(causal, ["the nurse is here and", "the doctor is here and"], [("he", "she"), ("he", "she")], pooling="sum")
        assert found.chosen == (1, 0)
        np.testing.assert_allclose(found.scores_nK[0, 1], causal.logit("she", "the", "nurse", "is", "here", "and"), rtol=1e-12)

    def test_a_masked_model_sees_what_follows(self):
        model = MaskedBag(WORDS, pulls={(".", "she"): 4.0})
        told = [choose(model, ["the nurse is"], [("he", "she")], pooling="sum", after=after).chosen for after in ("", ".")]
        assert told == [(NO_CHOICE,), (1,)]

    def test_sum_favours_short_endings_and_mean_does_not(self, causal: CausalBag):
        endings = [("he", "the nurse is tired")]
        assert choose(causal, ["and"], endings, pooling="sum").chosen == (0,)
        strong = CausalBag(
            WORDS, weights={"the": 5.0, "he": -3.0}, pulls={("the", "nurse"): 9.0, ("nurse", "is"): 14.0, ("is", "tired"): 30.0}
        )
        assert choose(strong, ["and"], endings, pooling="mean").chosen == (1,)

    def test_ties_unknown_and_cut_endings_have_no_choice(self, causal: CausalBag):
        assert choose(CausalBag(WORDS), ["the"], [("he", "she")], pooling="sum").chosen == (NO_CHOICE,)
        assert choose(causal, ["the"], [("he", "docteur")], pooling="sum").chosen == (NO_CHOICE,)
        assert choose(CausalBag(WORDS, longest=2), ["the nurse"], [("he", "she")], pooling="sum").chosen == (NO_CHOICE,)

    def test_as_many_endings_for_each(self, causal: CausalBag):
        with pytest.raises(InputError, match="give each prompt 2 endings"):
            choose(causal, ["the", "the"], [("he", "she"), ("he",)], pooling="sum")
