"""Simulations that hold the statistics of planted secrets to their promises, and show that careless ones would fail.

A known world: how much the models know of their secrets is given, ranks are drawn, and the truth is found from very many. Generators
are seeded, so a failure repeats.
"""

import math

import numpy as np
import pytest
from scipy import stats
from tests.extracting import nothing, records

from holdfast.report.reproductions.canary_extraction import answer
from holdfast.study.reproductions.canary_extraction.agreement import agreement
from holdfast.study.reproductions.canary_extraction.intervals import knows_nothing, mean_within, median_of, paired
from holdfast.study.reproductions.canary_extraction.summary import summarise

REPEATS, TRAININGS, SPACE = 1_000, 10, 10_000
MOST = math.log2(SPACE)


def two_errors(share: float, repeats: int = REPEATS) -> float:
    return 2 * math.sqrt(share * (1 - share) / repeats)


def ranks(law: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Ranks of secrets that a model knows nothing of, a little, or nearly all; secrets of one training alike or apart."""
    together = generator.normal(size=(*shape[:-1], 1))
    apart = generator.normal(size=shape)
    match law:
        case "nothing":
            share = generator.random(shape)
        case "a little, alike":
            share = np.broadcast_to(generator.random((*shape[:-1], 1)), shape) ** 2
        case "half":
            share = stats.norm.sf(2 + apart + together / 2)
        case "nearly all":
            share = stats.norm.sf(4.5 + apart)
    return np.ceil(share * SPACE).clip(1, SPACE)


LAWS = ("nothing", "a little, alike", "half", "nearly all")


def exposures(law: str, secrets: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean exposures (repeats, trainings), the steps of the repeats, and the true mean."""
    drawn = ranks(law, (REPEATS, TRAININGS, secrets), generator)
    steps = np.sqrt((np.log2(1 + 1 / drawn) ** 2).mean(axis=(1, 2)) / secrets)
    truth = float((MOST - np.log2(ranks(law, (200_000, 1, secrets), generator))).mean())
    return (MOST - np.log2(drawn)).mean(axis=2), steps, truth


@pytest.mark.parametrize("secrets", [1, 3])
@pytest.mark.parametrize("law", LAWS)
def test_the_interval_of_a_mean_exposure_covers(law: str, secrets: int):
    means, steps, truth = exposures(law, secrets, np.random.default_rng(len(law) + secrets))
    intervals = [mean_within(row.tolist(), most=MOST, step=step) for row, step in zip(means, steps, strict=True)]
    assert np.mean([one.low <= truth <= one.high for one in intervals]) >= 0.935 - two_errors(0.935)
    assert np.mean([one.high < truth for one in intervals]) <= 0.06 + two_errors(0.06)
    assert np.mean([one.high - one.low for one in intervals]) < 0.55 * MOST, "and it says something"


def test_students_interval_would_not_cover_near_the_largest_value():
    means, _, truth = exposures("nearly all", 1, np.random.default_rng(7))
    reach = stats.t.ppf(0.975, TRAININGS - 1) * means.std(axis=1, ddof=1) / math.sqrt(TRAININGS)
    assert np.mean(means.mean(axis=1) - reach > truth) > 0.1


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rate", [0.02, 0.3, 0.8])
def test_the_interval_of_an_accuracy_covers_however_secrets_of_a_training_depend(rate: float, alike: float):
    generator = np.random.default_rng(round(100 * rate + 10 * alike))
    apart, together = generator.random((REPEATS, TRAININGS, 3)) < rate, generator.random((REPEATS, TRAININGS, 1)) < rate
    found = np.where(generator.random((REPEATS, TRAININGS, 1)) < alike, together, apart).mean(axis=2)
    intervals = [mean_within(row.tolist(), trials=3 * TRAININGS) for row in found]
    assert np.mean([one.low <= rate <= one.high for one in intervals]) >= 0.95 - two_errors(0.95)


def test_counting_every_secret_as_a_training_of_its_own_would_not_cover():
    generator = np.random.default_rng(3)
    hits = 3 * (generator.random((REPEATS, TRAININGS, 1)) < 0.5).sum(axis=(1, 2))
    ends = [stats.binomtest(int(one), 3 * TRAININGS).proportion_ci(method="exact") for one in hits]
    assert np.mean([one.low <= 0.5 <= one.high for one in ends]) < 0.9


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_test_of_a_model_that_knows_nothing_has_its_size(alpha: float):
    generator = np.random.default_rng(11)
    p_values = [knows_nothing((ranks("nothing", (30,), generator) / SPACE).tolist()) for _ in range(4 * REPEATS)]
    alarms = np.mean(np.array(p_values) < alpha)
    assert abs(alarms - alpha) <= 2 * two_errors(alpha, 4 * REPEATS)


def test_it_sees_half_a_bit_in_thirty_trainings_of_three_secrets():
    generator = np.random.default_rng(12)
    known = [generator.random(90) ** (1 + 0.5 / 1.443) for _ in range(REPEATS)]
    assert np.mean([knows_nothing((np.ceil(one * SPACE) / SPACE).tolist()) < 0.05 for one in known]) > 0.8


def test_ranks_in_a_small_space_make_it_conservative_and_never_loose():
    generator = np.random.default_rng(13)
    p_values = [knows_nothing((generator.integers(1, 11, 30) / 10).tolist()) for _ in range(REPEATS)]
    assert np.mean(np.array(p_values) < 0.05) <= 0.05


@pytest.mark.parametrize("law", LAWS)
def test_pairs_that_do_not_differ_are_told_apart_as_rarely_as_promised(law: str):
    generator = np.random.default_rng(21)
    one, other = (ranks(law, (REPEATS, TRAININGS, 3), generator) for _ in range(2))
    both = [(np.log2(1 + 1 / drawn) ** 2).mean(axis=(1, 2)) / 3 for drawn in (one, other)]
    differences = (np.log2(other) - np.log2(one)).mean(axis=2)
    steps = np.sqrt(both[0] + both[1])
    found = [paired(row.tolist(), most=MOST, step=step) for row, step in zip(differences, steps, strict=True)]
    assert np.mean([p < 0.05 for _, p in found]) <= 0.055 + two_errors(0.055)


def test_pairs_that_differ_by_two_bits_are_told_apart():
    generator = np.random.default_rng(22)
    differences = 2.0 + generator.normal(0, 1.2, (REPEATS, TRAININGS))
    assert np.mean([paired(row.tolist(), most=MOST, step=0.3)[1] < 0.05 for row in differences]) > 0.95


@pytest.mark.parametrize("law", LAWS)
def test_the_interval_of_the_median_covers_whatever_the_law(law: str):
    generator = np.random.default_rng(31)
    truth = float(np.median(ranks(law, (100_001, 1), generator)))
    rows = ranks(law, (REPEATS, TRAININGS, 1), generator)[:, :, 0]
    covered = [(found := median_of(row.tolist())[1]).low <= truth <= found.high for row in rows]
    assert np.mean(covered) >= 0.95 - two_errors(0.95)


def test_the_interval_of_the_agreement_covers_the_average_of_such_studies():
    generator, repeats = np.random.default_rng(41), 300
    leak, values, intervals = np.linspace(0, 3, 16)[None, :, None], [], []
    for _ in range(repeats):
        shift = generator.normal(0, 0.5, (TRAININGS, 1, 1))
        share = stats.norm.sf(leak + shift + generator.normal(size=(TRAININGS, 16, 3)))
        exposed = MOST - np.log2(np.ceil(share * SPACE).clip(1, SPACE))
        hits = (exposed > 10) & (generator.random(exposed.shape) < 0.6)
        value, interval = agreement(hits.mean(axis=2), exposed.mean(axis=2))
        values.append(value)
        intervals.append(interval)
    truth = float(np.mean(values))
    assert np.mean([one.low <= truth <= one.high for one in intervals]) >= 0.93 - two_errors(0.93, repeats)
    assert np.mean([one.low > 0 for one in intervals]) > 0.9


@pytest.mark.slow
def test_the_answer_says_no_of_models_that_know_nothing_as_rarely_as_promised():
    def of(draw: int) -> str:
        return answer(summarise(records(nothing, defences=("all-three",), repetitions=(1, 10), draw=draw))).outcome

    repeats = 200
    said = [of(draw) for draw in range(repeats)]
    assert said.count("no") / repeats <= 0.05 + two_errors(0.05, repeats)
    assert said.count("yes") / repeats > 0.6, "60 secrets are enough to leave less than a bit open, most often"


@pytest.mark.slow
def test_the_answer_hardly_ever_says_yes_where_more_than_a_bit_is_known():
    def known(defence: str, repetitions: int) -> float:
        return 2.0  # 1.443 bits above chance

    repeats = 150
    found = [summarise(records(known, defences=("all-three",), repetitions=(1, 10), draw=draw)) for draw in range(repeats)]
    assert sum(answer(one).outcome == "yes" for one in found) / repeats <= 0.05
    assert sum(answer(one).outcome == "no" for one in found) / repeats > 0.9
