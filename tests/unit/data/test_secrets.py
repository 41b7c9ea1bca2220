"""Secrets that are planted: how many, where, what with, that no vocabulary and no other part tells them, and every refusal."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data import (
    Dataset,
    DataSplits,
    Example,
    Secret,
    draw_secrets,
    load_data,
    new_words,
    pattern,
    pattern_of_template,
    plant_secrets,
)
from holdfast.data.secrets import DIGITS
from holdfast.models.vocabulary import KnownWords
from holdfast.tasks import IntentSlot

PIN, CALL = pattern("pin", length=4), pattern("call", length=3)


def splits(rows: int = 100, extra: tuple[str, ...] = (), **change) -> DataSplits:
    """Rows of which each holds two digits and a word of a pattern, so that a vocabulary of the rest knows them all."""
    attributes = {
        "label": lambda row: f"l{row % 3}",
        "tags": lambda row: ("O", "B-x", "I-x", "O"),
        "user_id": lambda row: f"u{row % 7}",
        "timestamp": lambda row: datetime(2020, 1, 1 + row % 28, tzinfo=UTC),
        "groups": lambda row: {"dialect": "north" if row % 2 else "south"},
    } | change
    kept = {name: value for name, value in attributes.items() if value is not None}
    known = ("call", "my", "pin", "code", "is")

    def part(split: str, first: int) -> Dataset:
        texts = [(f"{split}{row}", DIGITS[row % 10], DIGITS[(row + 1) % 10], known[row % 5]) for row in range(rows)]
        made = [Example(tokens=text, **{name: value(row) for name, value in kept.items()}) for row, text in enumerate(texts, first)]
        return Dataset.from_examples(made, name="made up", split=split)

    return DataSplits("made up", part("train", 0), part("validation", 1), part("test", 2))


def plant(data: DataSplits | None = None, *, pairs=((PIN, 10), (CALL, 3)), min_count: int | None = None, seed: int = 0):
    streams = Streams(seed)
    return plant_secrets(data or splits(), draw_secrets(pairs, streams=streams), streams=streams, min_count=min_count)


def places(planted, secret: Secret) -> list[int]:
    return [at for at, words in enumerate(planted.train.tokens()) if tuple(words) == secret.words]


def test_every_secret_stands_so_many_times_and_the_rest_keeps_its_order():
    data = splits()
    planted = plant(data)
    pin, call = planted.secrets
    assert (pin.name, call.name) == ("pin", "call")
    assert [len(places(planted, secret)) for secret in planted.secrets] == [10, 3]
    assert planted.rest is data.train
    assert [row for row in planted.train if row.tokens not in {pin.words, call.words}] == list(data.train)
    assert len(planted.train) == 113
    assert (planted.train.name, planted.train.split) == ("made up", "train")
    assert planted.train.table.column_names == data.train.table.column_names


def test_planted_rows_have_label_and_tags_a_user_of_their_own_and_groups_and_time_of_a_real_row():
    planted = plant(splits(user_id=lambda row: f"secret-{row}"))
    real = {(row.timestamp, row.groups["dialect"]) for row in planted.rest}
    seen = set()
    for secret in planted.secrets:
        rows = {planted.train[at] for at in places(planted, secret)}
        (row,) = rows  # all copies are one example
        assert (row.label, row.tags) == ("canary", secret.pattern.tags)
        assert row.user_id == f"secret--{secret.name}"  # real users are called so too
        assert (row.timestamp, row.groups["dialect"]) in real
        assert secret.example(planted.rest).tags == row.tags
        seen.add(row.timestamp)
    assert len(seen) == 2


def test_a_row_gives_its_groups_and_time():
    data = splits().train
    (secret,) = draw_secrets([(PIN, 1)], streams=Streams(0))
    made = secret.example(data, row=17)
    assert (made.timestamp, made.groups, made.user_id) == (data[17].timestamp, data[17].groups, "secret-pin")
    assert made.text == "my pin code is " + " ".join(secret.fill)


@pytest.mark.parametrize("absent", [["label"], ["tags"], ["label", "tags"], ["user_id", "timestamp", "groups"]])
def test_columns_that_the_data_lack_are_left_out(absent):
    data = splits(**dict.fromkeys(absent))
    planted = plant(data)
    assert planted.train.table.column_names == data.train.table.column_names
    assert len(planted.train) == 113


def test_a_control_is_never_planted():
    planted = plant(pairs=[(PIN, 0), (CALL, 5)])
    assert [len(places(planted, secret)) for secret in planted.secrets] == [0, 5]
    alone = plant(pairs=[(PIN, 0)])
    assert alone.train is alone.rest
    assert alone.unseen_labels == ("canary", "B-canary", "I-canary")
    assert planted.unseen_labels == ()
    assert plant(pairs=[(pattern("pin", length=2, label="l1", slot="x"), 0)]).unseen_labels == ()
    assert plant(splits(label=None), pairs=[(PIN, 0)]).unseen_labels == ("B-canary", "I-canary")
    assert plant(splits(tags=None), pairs=[(PIN, 0)]).unseen_labels == ("canary",)


def test_a_fill_does_not_depend_on_repetitions_or_later_patterns_and_differs_between_streams():
    few = draw_secrets([(PIN, 1)], streams=Streams(0))
    many = draw_secrets([(PIN, 100), (CALL, 1)], streams=Streams(0))
    assert few[0].places == many[0].places
    assert many == draw_secrets([(PIN, 100), (CALL, 1)], streams=Streams(0))
    fills = {draw_secrets([(PIN, 1)], streams=Streams(seed))[0].places for seed in range(50)}
    assert len(fills) > 45


def test_fills_are_uniform_and_independent():
    """Of 5,000 draws each pair of words comes equally often, and the second secret says nothing of the first."""
    drawn = [draw_secrets([(pattern("pin", length=2), 1), (pattern("call", length=1), 1)], streams=Streams(seed)) for seed in range(5000)]
    pairs = np.array([one.places for one, _ in drawn])
    others = np.array([other.places[0] for _, other in drawn])

    def p_value(pairs):
        return stats.chisquare(np.bincount(pairs @ [10, 1], minlength=100)).pvalue

    assert p_value(pairs) > 1e-3
    assert p_value(np.where(pairs == 9, np.arange(5000)[:, None] % 9, pairs)) < 1e-3  # a draw that forgets the last candidate
    for word in range(2):
        table = np.histogram2d(pairs[:, word], others, bins=10)[0]
        assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize(("pairs", "arrangements"), [([(PIN, 2)], 15), ([(PIN, 1), (CALL, 1)], 30)])
def test_every_arrangement_of_the_copies_is_equally_likely(pairs, arrangements):
    """Also those with copies side by side, which a uniform place for each copy among the rows would give too seldom."""
    data, drawn, seen = splits(4), draw_secrets(pairs, streams=Streams(0)), Counter()
    for seed in range(40 * arrangements):
        tokens = plant_secrets(data, drawn, streams=Streams(seed), min_count=None).train.tokens()
        seen["".join({"my": "p", "call": "c"}.get(row[0], "-") for row in tokens)] += 1
    assert len(seen) == arrangements
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


def test_places_depend_on_the_streams_alone():
    """Neither the fill nor the content of the data moves a secret."""
    data, other = splits(), splits(label=lambda row: "other")
    one, two = (Secret(pattern=PIN, places=fill, repetitions=4) for fill in ((1, 2, 3, 4), (9, 9, 9, 9)))
    found = [
        places(plant_secrets(part, [secret], streams=Streams(5), min_count=None), secret) for part in (data, other) for secret in (one, two)
    ]
    assert found == [found[0]] * 4
    assert plant(data, seed=5).train.content_hash == plant(data, seed=5).train.content_hash != plant(data, seed=6).train.content_hash


def test_the_vocabulary_and_the_labels_do_not_tell_the_fill():
    data = splits()
    known = set()
    for fill in ((0, 0, 0, 0), (9, 8, 7, 6)):
        planted = plant_secrets(data, [Secret(pattern=PIN, places=fill, repetitions=20)], streams=Streams(0), min_count=5)
        vocabulary = KnownWords.of_training(planted.train.tokens(), min_count=5, lowercase=False)
        known.add((frozenset(vocabulary.words), IntentSlot().labels(planted.train)))
    assert len(known) == 1
    plain = KnownWords.of_training(data.train.tokens(), min_count=5, lowercase=False)
    assert frozenset(plain.words) == next(iter(known))[0]


def test_without_that_rule_the_vocabulary_does_tell_the_fill():
    data, made = splits(), pattern("call", length=2, candidates=("ann", "bo", "cy"))
    with pytest.raises(DataError, match="ann, bo, cy do not stand in the real training text 1 time,"):
        plant(data, pairs=[(made, 5)], min_count=1)
    planted = plant(data, pairs=[(made, 5)])
    vocabulary = KnownWords.of_training(planted.train.tokens(), min_count=1, lowercase=False)
    assert set(planted.secrets[0].fill) <= set(vocabulary.words)
    assert set(made.candidates) - set(vocabulary.words)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            PIN,
            r"my, pin, code, is, zero, .* and 6 more do not stand in the real training text 21 times.*hashed vocabulary.*other candidates",
        ),
        (pattern("pin", length=1, candidates=tuple("abcdefghij")), "a, b, c, d and 6 more"),
    ],
)
def test_words_that_a_vocabulary_would_not_know_are_named(made, said):
    """A known word stands in 20 of the 100 rows, a digit too."""
    plant(pairs=[(PIN, 1)], min_count=20)
    with pytest.raises(DataError, match=said):
        plant(pairs=[(made, 1)], min_count=21)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("repetitions", [0, 2])
def test_a_secret_that_stands_in_real_data_is_refused(part, repetitions):
    """In the training part it would teach the secret uncounted; in the others it would be evaluated, and stopped, on."""
    data = splits()
    (secret,) = draw_secrets([(PIN, repetitions)], streams=Streams(0))
    there = getattr(data, part)
    row = replace(there[3], tokens=tuple(word.upper() for word in secret.words), tags=secret.pattern.tags)
    spoiled = Dataset.from_examples([*there.take([0, 1, 2]), row, *there], name=there.name, split=part)
    with pytest.raises(DataError, match=rf"'pin' stands in the {part} part of 'made up' already \(row 3\)"):
        plant_secrets(replace(data, **{part: spoiled}), [secret], streams=Streams(0), min_count=None)
    other = replace(secret, places=tuple((place + 1) % 10 for place in secret.places))
    plant_secrets(replace(data, **{part: spoiled}), [other], streams=Streams(0), min_count=None)


@pytest.mark.parametrize(
    ("pairs", "min_count", "said"),
    [
        ([(PIN, 1), (pattern("pin", length=2), 1)], None, "two secrets have the name 'pin'"),
        ([(PIN, 40), (CALL, 11)], None, "51 planted rows for 100 training rows are more than 50% of them; plant at most 50 in all"),
        ([(PIN, -1)], None, "repetitions is -1; give an integer >= 0"),
        ([(PIN, True)], None, "repetitions is True"),
        ([(PIN, 1.0)], None, "repetitions is 1.0"),
        ([(PIN, 1)], 0, "min_count is 0; give an integer >= 1, or None"),
    ],
)
def test_what_cannot_be_planted_is_refused(pairs, min_count, said):
    with pytest.raises(InputError, match=said):
        plant(pairs=pairs, min_count=min_count)


def test_half_of_the_rows_may_be_planted():
    assert len(plant(pairs=[(PIN, 40), (CALL, 10)]).train) == 150


def test_names_and_sentences_are_held_apart_also_where_secrets_were_not_drawn():
    one = Secret(pattern=PIN, places=(1, 2, 3, 4), repetitions=1)
    with pytest.raises(InputError, match="two secrets have the name 'pin'"):
        plant_secrets(splits(), [one, replace(one, places=(0, 0, 0, 0))], streams=Streams(0), min_count=None)
    same = replace(one, pattern=replace(PIN, name="again"), repetitions=0)
    with pytest.raises(InputError, match="'pin' and 'again' are one sentence"):
        plant_secrets(splits(), [one, same], streams=Streams(0), min_count=None)


@pytest.mark.parametrize(("fill", "error"), [((1, 2), InputError), ((1, 2, 3, 10), InputError), ((1, 2, 3, 4.5), TypeError)])
def test_the_truth_must_fit_the_pattern(fill, error):
    with pytest.raises(error):
        Secret(pattern=PIN, places=fill, repetitions=1)


def test_nothing_to_plant_leaves_the_data_alone():
    data = splits()
    assert plant(data, pairs=[]).train is data.train


def test_secrets_in_the_embedded_corpus():
    data = load_data("assistant:train=600,validation=50,test=50,users=30", seed=5)
    safe = pattern_of_template("the code of the safe is {} {}", name="safe")
    planted = plant(data, pairs=[(safe, 7), (PIN, 1)])
    assert len(planted.train) == 608
    assert set(planted.train.user_ids()) - set(data.train.user_ids()) == {"secret-safe", "secret-pin"}
    words = new_words(10, data.parts, streams=Streams(1))
    unheard = plant(data, pairs=[(replace(PIN, candidates=words), 3)])
    assert set(unheard.secrets[0].fill) <= set(words)


def test_new_words_stand_nowhere_and_can_be_said():
    data = splits()
    words = new_words(500, data.parts, streams=Streams(0))
    assert len(set(words)) == 500
    assert all(len(word) == 7 and set(word[1::2]) <= set("aeiou") and not set(word[::2]) & set("aeiou") for word in words)
    assert words == new_words(500, data.parts, streams=Streams(0)) != new_words(500, data.parts, streams=Streams(1))
    assert new_words(0, data.parts, streams=Streams(0)) == ()


def test_new_words_leave_out_those_of_every_part_in_any_case():
    drawn = new_words(30, [], streams=Streams(3))
    parts = [
        Dataset.from_examples([Example(tokens=(word.title(),)) for word in half], name="n", split="s") for half in (drawn[:3], drawn[3:9])
    ]
    again = new_words(30, parts, streams=Streams(3))
    assert not set(again) & set(drawn[:9])
    assert set(drawn[9:]) <= set(again)
    assert len(set(again)) == 30


@pytest.mark.parametrize("count", [-1, True, 2.0, 100_001])
def test_a_count_of_new_words_out_of_bounds_is_refused(count):
    with pytest.raises(InputError, match="made-up words; give an integer"):
        new_words(count, [], streams=Streams(0))
