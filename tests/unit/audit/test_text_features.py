"""Features of text without a network: known answers, rows that never meet, and quantiles that they make learnable."""

import math

import numpy as np
import pytest

from holdfast.audit.attacks import quantile_regression, text_features
from holdfast.core.errors import InputError
from holdfast.data import Dataset, Example


def texts(*rows: str) -> Dataset:
    return Dataset.from_examples([Example(tokens=tuple(row.split())) for row in rows], name="made up", split="train")


KNOWN = texts("play jazz", "stop", "play it again", "it rains and it pours", "Play jazz")


def drawn(examples: int, *, seed: int) -> Dataset:
    """Utterances of common and rare words, mostly on one of two subjects."""
    rng = np.random.default_rng(seed)
    words = np.array([[f"{subject}{rank}" for rank in range(40)] for subject in ("music", "rain")])
    chances = 1 / np.arange(1, 41)
    subjects, lengths = rng.integers(0, 2, size=examples), rng.integers(2, 9, size=examples)
    rows = [
        words[subject, rng.choice(40, size=length, p=chances / chances.sum())] for subject, length in zip(subjects, lengths, strict=True)
    ]
    return texts(*(" ".join(row) for row in rows))


def test_what_is_counted_by_hand():
    """Of five utterances three have "play", two "it" (one of them twice) and two "jazz"; copies of an utterance do not count for it."""
    features = text_features(texts("play jazz", "PLAY it", "call Orla now", "stop", "it it"), fitted_on=KNOWN, width=5)
    log = math.log
    assert features[:, :4] == pytest.approx(
        np.array(
            [
                [log(3), log(2) / 2, 0, 1 / 2],
                [log(3), (log(4) + log(3)) / 2, log(3), 0],
                [log(4), 0, 0, 1],
                [log(2), 0, 0, 1],
                [log(3), log(3), log(3), 0],
            ]
        )
    )


def test_directions_tell_subjects_apart():
    data = drawn(400, seed=1)
    music = np.array([words[0].startswith("music") for words in data.tokens()])
    directions = text_features(data, fitted_on=drawn(1_000, seed=2), width=8)[:, 4:]
    gaps = directions[music].mean(axis=0) - directions[~music].mean(axis=0)
    assert np.max(np.abs(gaps) / directions.std(axis=0)) > 1.5


def test_rows_never_meet_and_a_call_can_be_repeated():
    data, known = drawn(60, seed=3), drawn(200, seed=4)
    whole = text_features(data, fitted_on=known, width=12)
    assert (whole.shape, np.isfinite(whole).all()) == ((60, 12), True)
    assert np.array_equal(text_features(data, fitted_on=known, width=12), whole)
    some = np.array([41, 7, 7, 20])
    assert text_features(data.take(some), fitted_on=known, width=12) == pytest.approx(whole[some], abs=1e-12)
    assert text_features(data.take([]), fitted_on=known, width=12).shape == (0, 12)


def test_all_is_learnt_from_the_rows_to_fit_on():
    data, known = drawn(60, seed=3), drawn(200, seed=4)
    whole = text_features(data, fitted_on=known, width=12)
    assert not np.allclose(text_features(data, fitted_on=drawn(200, seed=5), width=12), whole)
    strangers = text_features(texts("never seen", "nor this"), fitted_on=known, width=12)
    assert not strangers[:, 4:].any(), "unseen words move no direction"


def test_fitted_rows_look_as_others_do():
    """Every fifth word is rare here. Counted with themselves, fitted rows would have no unseen word at all."""
    rng = np.random.default_rng(6)

    def rare(examples: int) -> Dataset:
        words = np.where(rng.random((examples, 5)) < 0.8, rng.integers(0, 20, (examples, 5)), rng.integers(20, 10**6, (examples, 5)))
        return texts(*(" ".join(map(str, row)) for row in words))

    known, others = rare(2_000), rare(2_000)
    fitted, audited = (text_features(data, fitted_on=known, width=8) for data in (known, others))
    assert fitted[:, 3].mean() == pytest.approx(0.2, abs=0.02)
    spread = audited.std(axis=0) * math.sqrt(2 / 2_000)
    assert (np.abs(fitted.mean(axis=0) - audited.mean(axis=0)) < 4 * spread)[:4].all()


@pytest.mark.parametrize(
    ("known", "filled"),
    [
        (texts("a b", "a b", "b a"), 2),  # two words and three utterances
        (texts("a b c d", "d c b a"), 2),
        (texts("a", "b"), 0),  # no word stands in two
        (texts("a b", "a c"), 0),  # one does
    ],
)
def test_columns_without_a_direction_are_zero(known: Dataset, filled: int):
    features = text_features(texts("a b", "c d a"), fitted_on=known, width=9)
    assert features.shape == (2, 9)
    assert np.isfinite(features).all()
    assert not features[:, 4 + filled :].any()
    assert filled == 0 or features[:, 4].any()


def test_quantiles_of_text_find_what_one_threshold_misses():
    """The signal of a non-member falls with the rarest of its words; members are two spreads above it."""
    data = drawn(6_000, seed=7)
    rank = np.array([max(int(word.lstrip("muscrain")) for word in words) for words in data.tokens()])
    member = np.arange(6_000) >= 5_000
    target = -rank / 4 + np.random.default_rng(8).normal(size=6_000) + 2 * member
    fitting, asked = np.arange(4_000), np.arange(4_000, 6_000)
    features = text_features(data, fitted_on=data.take(fitting), width=16)
    score = quantile_regression(features, target, nonmember_rows=fitting, audited_rows=asked, fpr=0.05)
    nonmembers, members = score[:1_000], score[1_000:]
    assert np.mean(nonmembers > 0) == pytest.approx(0.05, abs=0.025)
    plain = target[4_000:]
    threshold = np.quantile(plain[:1_000], 0.95)
    assert np.mean(members > 0) > np.mean(plain[1_000:] > threshold) + 0.15


@pytest.mark.parametrize("width", [4, 0, -1, 8.0, True, None])
def test_refuses_a_width_that_holds_no_direction(width: object):
    with pytest.raises(InputError, match=r"width is .*; give an integer > 4"):
        text_features(KNOWN, fitted_on=KNOWN, width=width)


def test_refuses_to_learn_from_one_example():
    with pytest.raises(InputError, match="fitted_on holds 1 examples; give the non-members that are fitted on, at least 2"):
        text_features(KNOWN, fitted_on=KNOWN.take([0]), width=8)
