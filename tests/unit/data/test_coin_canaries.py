"""Canaries by fair coins: what they are made of, that nothing but the data tells the coins, and every refusal."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example, coin_canaries, load_data
from holdfast.models.vocabulary import KnownWords
from holdfast.tasks import IntentSlot

KINDS = ("label-noise", "random-words")
ALL_KINDS = {"label-noise": 1, "random-words": 1, "new-token": None}  # and how often their words must stand in the data
both_kinds = pytest.mark.parametrize("kind", KINDS)
all_kinds = pytest.mark.parametrize("kind", ALL_KINDS)


@pytest.fixture(scope="module")
def train() -> Dataset:
    return load_data("assistant:train=600,validation=5,test=5,users=30", seed=5).train


@pytest.fixture(scope="module")
def made(train):
    return {kind: coin_canaries(train, count=120, kind=kind, streams=Streams(3), min_count=least) for kind, least in ALL_KINDS.items()}


def content(data: Dataset) -> list[tuple]:
    return [(one.tokens, one.label, one.tags) for one in data]


def make(rows: int = 100, **change) -> Dataset:
    """Rows of three words, each word in twelve rows or more."""
    attributes = {"label": lambda row: f"l{row % 3}", "tags": lambda row: ("O", "B-x", "I-x")} | change
    kept = {name: value for name, value in attributes.items() if value is not None}
    names = [f"w{word}" for word in range(25)]
    rng = np.random.default_rng(0)
    return Dataset.from_examples(
        [Example(tokens=tuple(rng.choice(names, 3)), **{name: value(row) for name, value in kept.items()}) for row in range(rows)],
        name="made up",
        split="train",
    )


@all_kinds
def test_the_training_data_are_the_rest_with_the_included_canaries(made, train, kind):
    coins = made[kind]
    canaries, there = content(coins.candidates), Counter(content(coins.train))
    assert len(canaries) == len(coins.included) == 120
    assert coins.included.dtype == bool
    assert [there[one] for one in canaries] == coins.included.astype(int).tolist()
    assert len(coins.rest) == (480 if kind == "label-noise" else 600)
    assert there - Counter(canaries) == Counter(content(coins.rest))
    known = set(canaries)
    assert [one for one in content(coins.train) if one not in known] == content(coins.rest)  # in their order
    assert not Counter(content(coins.rest)) - Counter(content(train))
    assert (coins.train.name, coins.train.split) == (train.name, train.split) == (coins.candidates.name, coins.candidates.split)
    assert (coins.kind, coins.copies) == (kind, 1)


@all_kinds
def test_no_canary_is_equal_to_another_or_to_a_real_row(made, train, kind):
    canaries = content(made[kind].candidates)
    assert len(set(canaries)) == len(canaries)
    assert not set(canaries) & set(content(train))


def test_a_mislabelled_canary_has_the_words_of_a_row_that_was_taken_out_and_another_label(made, train):
    coins = made["label-noise"]
    taken = Counter(content(train)) - Counter(content(coins.rest))
    assert sum(taken.values()) == 120
    right = {words: label for words, label, _ in taken}
    for words, label, tags in content(coins.candidates):
        assert label != right[words]
        assert len(tags) == len(words)
    assert len({words for words, *_ in content(coins.candidates)}) == 120


def test_rows_whose_words_stand_elsewhere_come_last(train, made):
    alike = Counter(words for words, *_ in content(train))
    assert max(alike.values()) > 1
    assert all(alike[words] == 1 for words, *_ in content(made["label-noise"].candidates))


def test_rows_that_stand_twice_give_one_canary_and_none_that_a_real_row_contradicts():
    """Half of the texts have both labels, so any wrong label is a real row; the others stand there twice with one label."""
    texts = [(f"w{row % 6}", f"w{row // 6}") for row in range(60)]
    rows = [Example(tokens=text, label=label) for at, text in enumerate(texts) for label in ("x", "y" if at < 30 else "x")]
    data = Dataset.from_examples(rows, name="twice", split="train")
    canaries = content(coin_canaries(data, count=25, kind="label-noise", streams=Streams(0)).candidates)
    assert len(set(canaries)) == 25
    assert {words for words, *_ in canaries} <= set(texts[30:])


@both_kinds
def test_what_a_model_knows_by_name_does_not_tell_the_coins(made, kind):
    """The same words, labels and tags are read off the data whether all canaries are in, some, or none."""
    coins = made[kind]
    task, parts = IntentSlot(), [coins.rest, coins.train, whole(coins)]
    vocabularies = [{*KnownWords.of_training(part.tokens(), min_count=1, lowercase=False).words} for part in parts]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]
    assert task.labels(parts[0]) == task.labels(parts[1]) == task.labels(parts[2])


def whole(coins) -> Dataset:
    return Dataset.from_examples([*coins.rest, *coins.candidates], name="whole", split="train")


@both_kinds
@pytest.mark.parametrize("lowercase", [False, True])
def test_nor_does_a_vocabulary_of_frequent_words(train, kind, lowercase):
    coins = coin_canaries(train, count=60, kind=kind, streams=Streams(0), min_count=4)
    known = [{*KnownWords.of_training(part.tokens(), min_count=4, lowercase=lowercase).words} for part in (coins.rest, whole(coins))]
    assert known[0] == known[1]
    careless = coin_canaries(train, count=60, kind=kind, streams=Streams(0))
    known = [{*KnownWords.of_training(part.tokens(), min_count=4, lowercase=lowercase).words} for part in (careless.rest, whole(careless))]
    assert known[0] < known[1]


def test_random_words_are_those_of_the_data_in_rows_as_long_as_real_ones(made, train):
    coins = made["random-words"]
    words = {word for row in train.tokens() for word in row}
    assert all(set(row) <= words for row in coins.candidates.tokens())
    assert {len(row) for row in coins.candidates.tokens()} <= {len(row) for row in train.tokens()}
    assert len(set(map(tuple, coins.candidates.tokens())) - set(map(tuple, train.tokens()))) > 100


@all_kinds
def test_tags_go_on_with_no_chunk(made, kind):
    tags = {tag for row in made[kind].candidates.tags() for tag in row}
    assert len(tags) > 5
    assert not [tag for tag in tags if tag.startswith("I-")]


@all_kinds
def test_the_other_columns_are_filled_and_no_canary_is_of_a_real_user(made, train, kind):
    found = made[kind].candidates
    assert found.table.column_names == train.table.column_names
    users = found.user_ids()
    assert len(set(users)) == 120
    assert not set(users) & set(train.user_ids())
    for name in train.group_names:
        assert set(found.group(name)) <= set(train.group(name))
    assert set(found.timestamps()) <= set(train.timestamps())


def test_a_mislabelled_canary_keeps_groups_and_time_of_its_row():
    data = make(user_id=lambda row: f"canary-{row}", timestamp=lambda row: datetime(2020, 1, 1 + row % 28, row % 24, tzinfo=UTC))
    found = coin_canaries(data, count=20, kind="label-noise", streams=Streams(0)).candidates
    times = {one.tokens: one.timestamp for one in data}
    assert all(one.timestamp == times[one.tokens] for one in found)
    assert all(user.startswith("canary--") for user in found.user_ids())  # real users are called so too


@all_kinds
def test_canaries_depend_on_the_streams_alone(made, train, kind):
    given = {"count": 120, "kind": kind, "min_count": ALL_KINDS[kind]}
    again, other = (coin_canaries(train, streams=Streams(key), **given) for key in (3, 4))
    assert again.train.content_hash == made[kind].train.content_hash
    assert again.candidates.content_hash == made[kind].candidates.content_hash
    assert (again.included == made[kind].included).all()
    assert other.train.content_hash != made[kind].train.content_hash
    assert (other.included != made[kind].included).any()


def test_coins_are_fair_and_each_canary_has_its_own():
    data = make()
    coins = np.stack([coin_canaries(data, count=40, kind="random-words", streams=Streams(seed)).included for seed in range(50)])
    assert stats.binomtest(int(coins.sum()), coins.size).pvalue > 1e-3
    assert stats.kstest(coins.sum(1), stats.binom(40, 0.5).cdf).statistic < 0.25  # a fixed number of heads gives .44 or more
    assert 0.2 < coins.mean(0).min() < coins.mean(0).max() < 0.8


def test_copies_are_planted_so_many_times():
    coins = coin_canaries(make(), count=20, kind="label-noise", streams=Streams(0), copies=3)
    there = Counter(content(coins.train))
    assert [there[one] for one in content(coins.candidates)] == (3 * coins.included).tolist()
    assert coins.copies == 3


def test_a_new_token_canary_is_a_real_row_with_a_word_of_its_own_and_another_label(made, train):
    coins = made["new-token"]
    real, known = train.tokens(), {word.lower() for row in train.tokens() for word in row}
    rows: dict[tuple, set] = {}
    for words, label in zip(real, train.labels(), strict=True):
        rows.setdefault(tuple(words), set()).add(label)
    places, made_up = set(), Counter()
    for words, label, tags in content(coins.candidates):
        (at,) = [at for at, word in enumerate(words) if word not in known]
        row = (*words[:at], *words[at + 1 :])
        assert rows[row] != {label}
        assert len(tags) == len(words)
        places.add("first" if at == 0 else "last" if at == len(words) - 1 else "middle")
        made_up[words[at]] += 1
    assert places == {"first", "middle", "last"}
    assert len(made_up) == 120
    assert len(coins.rest) == len(train)


def test_new_tokens_do_not_change_what_labels_a_model_knows(made):
    parts = [made["new-token"].rest, made["new-token"].train, whole(made["new-token"])]
    assert IntentSlot().labels(parts[0]) == IntentSlot().labels(parts[1]) == IntentSlot().labels(parts[2])


@both_kinds
def test_a_public_vocabulary_asks_nothing_of_the_words(kind):
    """Words that stand in few rows are too rare for a vocabulary of words that stand there thirty times, not for a hashed one."""
    data = make(rows=60)
    given = {"count": 30, "kind": kind, "streams": Streams(0)}
    assert len(coin_canaries(data, min_count=None, **given).candidates) == 30
    with pytest.raises(InputError):
        coin_canaries(data, min_count=30, **given)


@all_kinds
@pytest.mark.parametrize("absent", ["label", "tags"])
def test_labels_or_tags_alone_will_do(kind, absent):
    data = make(**{absent: None})
    coins = coin_canaries(data, count=20, kind=kind, streams=Streams(0), min_count=ALL_KINDS[kind])
    assert not coins.candidates.has(absent)
    assert not set(content(coins.candidates)) & set(content(data))


@pytest.mark.parametrize(
    ("data", "change", "said"),
    [
        ({}, {"count": 19}, "19 canaries prove next to nothing; give an integer >= 20"),
        ({}, {"count": 51}, "51 canaries for 100 training rows are more than 50% of them; give at most 50"),
        ({}, {"count": True}, "integer"),
        ({}, {"kind": "label noise"}, "label-noise"),
        ({}, {"min_count": 0}, "min_count is 0"),
        ({}, {"kind": "new-token", "min_count": 1}, r"take a model with a hashed vocabulary and min_count None \(it is 1\)"),
        ({}, {"copies": 0}, "copies is 0"),
        ({}, {"min_count": 10, "kind": "label-noise"}, "training rows can become canaries"),
        ({}, {"min_count": 1000}, "no word stands in the training data 1000 times"),
        ({"label": None, "tags": None}, {}, "neither labels nor tags"),
        ({"label": lambda row: "one"}, {}, r"only the labels \['one'\]"),
        ({"label": None, "tags": lambda row: ("O", "O", "O")}, {}, r"only the tags \['O'\]"),
    ],
)
def test_what_cannot_be_done_is_refused(data, change, said):
    given = {"count": 30, "kind": "random-words", "streams": Streams(0), **change}
    with pytest.raises(InputError, match=said):
        coin_canaries(make(**data), **given)


def test_data_with_too_few_different_rows_are_refused():
    rows = [Example(tokens=("a",), label=label) for label in ("x", "y") for _ in range(30)]
    with pytest.raises(InputError, match="no row that is not there already"):
        coin_canaries(Dataset.from_examples(rows, name="n", split="train"), count=20, kind="random-words", streams=Streams(0))
