"""The datasheet of the corpus `assistant` says what is so: its figures are read off the page and counted again."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from holdfast.data.assistant import AssistantSettings, generate
from holdfast.data.assistant.compiled import compiled
from holdfast.data.assistant.grammar import BELONGINGS, INTENTS, SLOTS
from holdfast.data.assistant.population import DAYS, START

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "explain" / "assistant-corpus.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())


@pytest.fixture(scope="module")
def corpus():
    return generate()


def said(pattern: str) -> list[float]:
    """The numbers that stand in a sentence of the page."""
    found = re.search(pattern, TEXT)
    assert found, f"the page no longer says {pattern!r}"
    return [float(number.replace(",", "")) for number in found.groups()]


def test_sizes(corpus):
    assert said(r"([\d,]+) training, ([\d,]+) validation, ([\d,]+) test") == [len(part) for part in corpus.parts]
    assert said(r"\| (\d+), such as `play_music`") == [len(INTENTS)]
    assert said(r"any of the other (\d+) intents") == [len(INTENTS) - 1]
    assert said(r"\| (\d+), tagged in BIO") == [len(SLOTS)]
    assert said(r"users \| (\d+);") == [AssistantSettings().users]


def test_lengths_and_words(corpus):
    tokens = corpus.train.tokens()
    assert said(r"([\d.]+) tokens on average")[0] == pytest.approx(np.mean([len(words) for words in tokens]), abs=0.05)
    can, does = said(r"about ([\d,]+) can be said; a training part of 6,000 uses about ([\d,]+)")
    assert can == pytest.approx(len(compiled().words), rel=0.01)
    assert does == pytest.approx(len({word for words in tokens for word in words}), rel=0.01)


def test_the_busiest_users(corpus):
    count = sorted(Counter(corpus.train.user_ids()).values(), reverse=True)
    assert said(r"busiest tenth makes (\d+) %")[0] == pytest.approx(100 * sum(count[:60]) / 6000, abs=0.5)


def test_the_weeks():
    assert "twelve weeks from 1 January 2024" in TEXT
    assert (str(START), DAYS) == ("2024-01-01T00:00:00", 7 * 12)


def test_words_that_training_never_had(corpus):
    seen = {word for words in corpus.train.tokens() for word in words}
    assert "a quarter of the test utterances hold a word that the training part never had" in TEXT
    assert np.mean([not seen.issuperset(words) for words in corpus.test.tokens()]) == pytest.approx(0.25, abs=0.02)


def test_belongings():
    contacts, phones, addresses, pins = said(r"has (\d+) contacts, (\d+) numbers, (\d+) addresses and (\d+) PINs")
    owned = {slot: count for slot, (count, _) in BELONGINGS.items()}
    assert owned == {"contact": contacts, "phone": phones, "address": addresses, "pin": pins}


def test_the_planted_truth():
    settings = AssistantSettings()
    truth = settings.truth()
    for group, share in (("avel", 1 - settings.minority_share), ("brin", settings.minority_share)):
        row = said(rf"`dialect` \| `{group}` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|")
        assert row == pytest.approx([share, truth.label_noise[group], truth.oracle_accuracy[group], truth.rare_wording[group]])
    assert said(r"an accuracy difference of ([\d.]+) between")[0] == pytest.approx(truth.accuracy_difference)
    assert said(r"labels of ([\d.]+) % of the `avel` and ([\d.]+) % of the `brin`") == pytest.approx(
        [100 * r for r in truth.label_noise.values()]
    )
    assert said(r"([\d.]+) % of the slots are left untagged")[0] == pytest.approx(100 * settings.slot_noise)
