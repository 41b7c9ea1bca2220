"""Planting secrets under any data, any patterns and any seed; hypothesis picks them."""

import re
from collections import Counter
from contextlib import nullcontext

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from holdfast.core.errors import DataError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example, SecretPattern, draw_secrets, new_words, pattern_of_template, plant_secrets

FEW = settings(max_examples=60, deadline=None)
WORD = st.text("abcdefgh", min_size=1, max_size=3)
SEED = st.integers(0, 10_000)


@st.composite
def data(draw):
    """Three parts with the same columns; a training row is told by its words alone, so that its order can be followed."""
    label, tags, user = (draw(st.booleans()) for _ in range(3))

    def part(split: str, size: int) -> Dataset:
        rows = [(f"{split}{row}", *draw(st.lists(WORD, max_size=3))) for row in range(size)]
        made = [
            Example(
                tokens=words, label="l" if label else None, tags=["O"] * len(words) if tags else None, user_id=words[0] if user else None
            )
            for words in rows
        ]
        return Dataset.from_examples(made, name="any", split=split)

    return DataSplits("any", part("train", draw(st.integers(1, 25))), part("validation", 3), part("test", 3))


@st.composite
def patterns(draw):
    """Up to three patterns with their repetitions."""
    found = []
    for name in draw(st.lists(st.sampled_from("xyz"), max_size=3, unique=True)):
        made = SecretPattern(
            name=name,
            before=(f"known{name}", *draw(st.lists(WORD, max_size=2))),
            candidates=tuple(draw(st.lists(WORD, min_size=2, max_size=5, unique=True))),
            length=draw(st.integers(1, 3)),
            after=tuple(draw(st.lists(WORD, max_size=2))),
            label=draw(WORD),
            slot=draw(WORD),
        )
        found.append((made, draw(st.integers(0, 6))))
    return found


@FEW
@given(data(), patterns(), SEED)
def test_planting_adds_the_copies_and_changes_nothing_else(splits, pairs, seed):
    assume(2 * sum(times for _, times in pairs) <= len(splits.train))
    secrets = draw_secrets(pairs, streams=Streams(seed))
    planted = plant_secrets(splits, secrets, streams=Streams(seed), min_count=None)
    sentences = {secret.words: secret for secret in secrets}
    assert [row for row in planted.train if row.tokens not in sentences] == list(splits.train)
    counts = Counter(row.tokens for row in planted.train)
    assert [counts[secret.words] for secret in secrets] == [times for _, times in pairs]
    assert planted.train.table.column_names == splits.train.table.column_names
    for row in planted.train:
        if row.tokens in sentences:
            made = sentences[row.tokens].pattern
            assert row.label == (made.label if splits.train.has("label") else None)
            assert row.tags == (made.tags if splits.train.has("tags") else None)
    again = plant_secrets(splits, secrets, streams=Streams(seed), min_count=None)
    assert again.train.content_hash == planted.train.content_hash


@FEW
@given(data(), patterns(), st.integers(1, 4), SEED)
def test_either_every_word_is_frequent_enough_or_the_missing_ones_are_named(splits, pairs, min_count, seed):
    pairs = [(made, 0) for made, _ in pairs]
    counts = Counter(word for row in splits.train.tokens() for word in row)
    rare = [word for made, _ in pairs for word in (*made.before, *made.candidates, *made.after) if counts[word] < min_count]
    secrets = draw_secrets(pairs, streams=Streams(seed))
    with pytest.raises(DataError, match=re.escape(rare[0])) if rare else nullcontext():
        plant_secrets(splits, secrets, streams=Streams(seed), min_count=min_count)


@FEW
@given(patterns())
def test_a_pattern_comes_back_from_its_template(pairs):
    for made, _ in pairs:
        template = " ".join([*made.before, *["{}"] * made.length, *made.after])
        found = pattern_of_template(template, name=made.name, candidates=made.candidates, label=made.label, slot=made.slot)
        assert found == made
        assert len(made.words([0] * made.length)) == len(made.tags)
        assert made.size == len(made.candidates) ** made.length


@FEW
@given(data(), st.integers(0, 40), SEED)
def test_made_up_words_stand_nowhere(splits, count, seed):
    words = new_words(count, splits.parts, streams=Streams(seed))
    assert len(set(words)) == len(words) == count
    assert not set(words) & {word.casefold() for part in splits.parts for row in part.tokens() for word in row}
