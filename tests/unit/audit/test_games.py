"""The membership game: copies and overlap are counted, and sides that differ in more than membership are noticed."""

import time
from pathlib import Path

import numpy as np
import pytest

from holdfast.audit import MembershipGame
from holdfast.audit.games import FEWEST_ROWS, MOST_ROWS, blind_auc
from holdfast.core.errors import InputError
from holdfast.data import Dataset, Example, load_data

from .conftest import WORDS


def dataset(*texts: str, label: str = "x") -> Dataset:
    return Dataset.from_examples([Example(tokens=text.split(), label=label) for text in texts], name="tiny", split="train")


def rows(n: int, *, seed: int, words: np.ndarray = WORDS) -> list[tuple[tuple[str, ...], ...]]:
    rng = np.random.default_rng(seed)
    return [(tuple(rng.choice(words, size=6)), ("label",), ()) for _ in range(n)]


def test_rows_with_a_copy_anywhere_are_not_alone():
    game = MembershipGame.between(dataset("a", "b", "b", "c"), dataset("c", "d", "e", "e"))
    assert game.members_alone.tolist() == [True, False, False, False]
    assert game.nonmembers_alone.tolist() == [False, True, False, False]
    assert game.overlap == 1


def test_equal_words_with_another_label_or_other_tags_are_another_row():
    assert MembershipGame.between(dataset("a", "b"), dataset("a", "b", label="y")).overlap == 0
    tagged = [Example(tokens=["a"], tags=["O"]), Example(tokens=["b"], tags=["O"])]
    others = [Example(tokens=["a"], tags=["B-x"]), Example(tokens=["b"], tags=["O"])]
    sides = [Dataset.from_examples(side, name="tiny", split="train") for side in (tagged, others)]
    assert MembershipGame.between(*sides).overlap == 1


def test_user_and_name_do_not_make_another_row():
    one = [Example(tokens=[word], label="x", user_id="u1") for word in "ab"]
    two = [Example(tokens=[word], label="x", user_id="u2") for word in "bc"]
    game = MembershipGame.between(
        Dataset.from_examples(one, name="one", split="train"), Dataset.from_examples(two, name="two", split="test")
    )
    assert game.overlap == 1


@pytest.mark.parametrize("nonmembers", [("a", "b", "c"), ("b", "a", "a"), ("c", "c")])
def test_non_members_that_are_all_members_are_refused(nonmembers: tuple[str, ...]):
    with pytest.raises(InputError, match="not trained on"):
        MembershipGame.between(dataset("a", "b", "c"), dataset(*nonmembers))


def test_a_side_of_one_row_is_refused():
    with pytest.raises(InputError, match="1 members"):
        MembershipGame.between(dataset("a"), dataset("b", "c"))
    with pytest.raises(InputError, match="1 non-members"):
        MembershipGame.between(dataset("b", "c"), dataset("a"))


def test_notes_count_copies_and_overlap():
    notes = MembershipGame.between(dataset("a", "b", "b", "c"), dataset("c", "d")).notes()
    assert notes[0].startswith("4 of 6 audited examples")
    assert "1 non-members those of a member" in notes[0]
    assert "was not checked: one side has only 1 examples without a copy" in notes[1]


def test_notes_without_copies_speak_of_the_blind_classifier_alone(utterances):
    game = MembershipGame.between(utterances(300, seed=1), utterances(300, seed=2))
    (note,) = game.notes()
    assert not game.told_apart
    assert f"does not tell members from non-members (AUC {game.blind.value:.3f} [" in note


def test_a_random_split_is_not_told_apart():
    blind = blind_auc(rows(600, seed=1), rows(400, seed=2))
    assert blind.interval.low < 0.5 < blind.interval.high
    assert blind.n == 500
    assert blind.access == "no model: texts and labels"


def test_a_shift_in_the_words_is_noticed():
    later = np.concatenate([WORDS, ["snow", "frost"]])
    blind = blind_auc(rows(600, seed=1), rows(400, seed=2, words=later))
    assert blind.interval.low > 0.6


def test_a_shift_in_the_labels_alone_is_noticed():
    members = [(words, ("music",), tags) for words, _, tags in rows(300, seed=1)]
    nonmembers = [(words, ("lights" if index % 2 else "music",), tags) for index, (words, _, tags) in enumerate(rows(300, seed=2))]
    assert blind_auc(members, nonmembers).interval.low > 0.6


def test_a_word_is_not_mistaken_for_a_label_of_the_same_name():
    members = [((("music",)), ("lights",), ()) for _ in range(50)]
    nonmembers = [((("lights",)), ("music",), ()) for _ in range(50)]
    assert blind_auc(members, nonmembers).value == 1.0


@pytest.mark.shared
def test_the_test_part_of_snips_is_a_fair_game_and_its_dev_part_is_not(shared_data: Path):
    data = load_data(f"snips:{shared_data / 'snips'}")
    fair = MembershipGame.between(data.train, data.test)
    assert not fair.told_apart
    assert (fair.overlap, int((~fair.members_alone).sum())) == (26, 395)
    unfair = MembershipGame.between(data.train, data.validation)  # other words: a classifier sees it
    assert unfair.told_apart
    assert unfair.blind.value > 0.57


def test_too_few_rows_are_missing_not_guessed():
    blind = blind_auc(rows(FEWEST_ROWS - 1, seed=1), rows(500, seed=2))
    assert blind.value is None
    assert f"only {FEWEST_ROWS - 1} examples" in blind.missing
    assert blind_auc(rows(FEWEST_ROWS, seed=1), rows(500, seed=2)).value is not None


def test_blind_auc_is_a_function_of_the_rows_and_looks_at_no_more_than_its_share():
    members, nonmembers = rows(MOST_ROWS + 1000, seed=1), rows(200, seed=2)
    blind = blind_auc(members, nonmembers)
    assert blind == blind_auc(members, nonmembers)
    assert blind.n == MOST_ROWS // 2 + 100


def test_a_game_of_the_usual_size_is_quick(utterances):
    members, nonmembers = utterances(1500, seed=1), utterances(1500, seed=2)
    MembershipGame.between(members.take(range(50)), nonmembers.take(range(50)))  # loads scikit-learn
    began = time.perf_counter()
    MembershipGame.between(members, nonmembers)
    assert time.perf_counter() - began < 2


def said(words: str, *, label: str = "x") -> Example:
    return Example(tokens=words.split(), label=label)


def test_rows_with_a_word_that_no_other_member_has_are_not_alone_where_the_vocabulary_is_the_models_own():
    members = Dataset.from_examples([said("play a"), said("play b"), said("a b c"), said("b play a")], name="m", split="train")
    nonmembers = Dataset.from_examples([said("play c"), said("play d"), said("a b")], name="n", split="test")
    own = MembershipGame.between(members, nonmembers, min_count=1)
    assert own.members_alone.tolist() == [True, True, False, True]  # "c" stands in the third row alone
    assert own.nonmembers_alone.tolist() == [True, False, True]  # "c" is known, "d" is not
    public = MembershipGame.between(members, nonmembers)
    assert public.members_alone.all()
    assert public.nonmembers_alone.all()


def test_a_word_must_stand_as_often_as_the_vocabulary_asks():
    members = Dataset.from_examples([said("a b"), said("a c"), said("a b c"), said("a b d")], name="m", split="train")
    nonmembers = Dataset.from_examples([said("b a"), said("c a"), said("d a")], name="n", split="test")
    game = MembershipGame.between(members, nonmembers, min_count=2)
    assert game.members_alone.tolist() == [True, False, False, False]  # elsewhere "b" stands twice, "c" once, "d" never
    assert game.nonmembers_alone.tolist() == [True, True, False]


def test_a_label_that_no_other_member_has_counts_whatever_the_vocabulary():
    members = Dataset.from_examples([said("a"), said("b"), said("c", label="rare")], name="m", split="train")
    nonmembers = Dataset.from_examples([said("d"), said("e", label="rare"), said("f", label="new")], name="n", split="test")
    game = MembershipGame.between(members, nonmembers)
    assert game.members_alone.tolist() == [True, True, False]
    assert game.nonmembers_alone.tolist() == [True, True, False]


def test_the_game_among_some_rows_keeps_what_was_found_among_all():
    game = MembershipGame.between(dataset("a", "b", "b", "c"), dataset("c", "d", "e", "e"))
    some = game.of_rows(np.array([0, 1]), np.array([1]))
    assert some.members_alone.tolist() == [True, False]
    assert some.nonmembers_alone.tolist() == [True]
