"""Likelihood sets where the truth is known: intervals that cover, and tests that reject as often as they say."""

import numpy as np
import pytest
from scipy import stats

from holdfast.data.benchmarks import BBQItem
from holdfast.fairness.inference import Inference
from holdfast.fairness.likelihood import Preferences, bbq_scores, domain_scores, preference_shares
from holdfast.fairness.likelihood.log_probability_bias import bias_replicates
from holdfast.fairness.likelihood.pronouns import randomisation_test, system_pairs
from holdfast.fairness.likelihood.rows import band
from holdfast.fairness.likelihood.stereoset import Triplets

INFERENCE = Inference(replicates=200, permutations=200)


def coins(rng: np.random.Generator, sizes: dict[str, int], share: float) -> Preferences:
    n = sum(sizes.values())
    categories = tuple(name for name, size in sizes.items() for _ in range(size))
    return Preferences((rng.random(n) < share).astype(float), np.full(n, 0.5), categories, ("stereo",) * n)


@pytest.mark.parametrize("share", [0.5, 0.65])
def test_intervals_of_crows_categories_hold_together(share: float):
    sizes = {"disability": 60, "gender": 262, "age": 87, "religion": 105}
    rng = np.random.default_rng(11)
    all_hold = []
    for _ in range(400):
        rows = [one for one in preference_shares(coins(rng, sizes, share), level=0.95) if one.category in sizes]
        all_hold.append(all(one.low <= share <= one.high for one in rows))
    assert np.mean(all_hold) == pytest.approx(0.95, abs=0.03)


def test_plain_intervals_would_not_hold_together():
    sizes = dict.fromkeys("abcdefghi", 100)
    rng = np.random.default_rng(12)
    plain = []
    for _ in range(300):
        found = coins(rng, sizes, 0.5)
        parts = [found.where(np.array(found.categories, dtype=object) == name) for name in sizes]
        per = [preference_shares(part, level=0.95)[0] for part in parts]
        plain.append(all(one.low <= 0.5 <= one.high for one in per))
    assert np.mean(plain) < 0.8


def test_holm_over_categories_keeps_the_family():
    rng = np.random.default_rng(13)
    sizes = dict.fromkeys("abcdefghi", 100)
    rejected = [min(one.p_adjusted for one in preference_shares(coins(rng, sizes, 0.5), level=0.95)[3:]) <= 0.05 for _ in range(400)]
    assert np.mean(rejected) <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(("terms", "least"), [(36, 0.91), (6, 0.88)])
def test_intervals_of_stereoset_cover_the_mean_over_terms(terms: int, least: float):
    """Each term leans its own way; what is asked for is the mean of a population of terms."""
    rng = np.random.default_rng(14)
    held = []
    for _ in range(200):
        lean = rng.beta(3, 2, terms)
        names = np.repeat(np.arange(terms), 12)
        stereo = (rng.random(len(names)) < lean[names]).astype(float)
        scores = np.stack([stereo, np.full(len(names), 0.5), np.full(len(names), -1.0)], axis=1)
        found = Triplets(scores, tuple(map(str, names)), ("d",) * len(names))
        one = domain_scores(found, inference=INFERENCE, generator=rng)[0]
        held.append(one.lows["ss"] <= 60 <= one.highs["ss"])
    assert least <= np.mean(held) <= 0.995


def test_an_interval_over_items_would_not_cover_the_mean_over_terms():
    """What the unit is for: terms that lean strongly make items of one term copies of each other."""
    rng = np.random.default_rng(15)
    held = []
    for _ in range(300):
        lean = rng.beta(0.6, 0.4, 36)
        hits = rng.binomial(27, lean).sum()
        low, high = stats.binomtest(int(hits), 36 * 27).proportion_ci(0.95, method="wilson")
        held.append(low <= 0.6 <= high)
    assert np.mean(held) < 0.7


def bbq_world(rng: np.random.Generator, templates: int, spread: float) -> tuple[list[BBQItem], list[int]]:
    items, chosen = [], []
    for template in range(templates):
        lean = rng.beta(0.5 / spread, 0.5 / spread)
        for _ in range(20):
            roles = ("target", "non-target", "unknown")
            items.append(BBQItem("Age", 0, str(template), "neg", "disambig", "c", "q", ("a", "b", "u"), 1, roles, False))
            chosen.append(0 if rng.random() < lean else 1)
    return items, chosen


@pytest.mark.slow
def test_bbq_intervals_and_tests_count_templates():
    rng = np.random.default_rng(16)
    held, rejected = [], []
    for _ in range(150):
        number = bbq_scores(*bbq_world(rng, 25, 0.3), inference=INFERENCE, generator=rng)[0].numbers["s_dis"]
        held.append(number.low <= 0 <= number.high)
        rejected.append(number.p_value <= 0.05)
    assert np.mean(held) >= 0.89
    assert np.mean(rejected) <= 0.1
    worlds = [bbq_world(rng, 25, 0.3)[1] for _ in range(150)]
    naive = [stats.binomtest(sum(one == 0 for one in chosen), len(chosen)).pvalue <= 0.05 for chosen in worlds]
    assert np.mean(naive) > 0.2, "questions of a template hang together; counting them one by one rejects too often"


def test_randomisation_rejects_as_often_as_it_says_and_finds_a_gap():
    rng = np.random.default_rng(17)

    def p_value(pro: float, anti: float) -> float:
        sides = [{str(at): bool(one) for at, one in enumerate(rng.random(120) < share)} for share in (pro, anti)]
        return randomisation_test(system_pairs(*sides), inference=INFERENCE, generator=rng)

    assert np.mean([p_value(0.7, 0.7) <= 0.05 for _ in range(400)]) == pytest.approx(0.045, abs=0.03)
    assert np.mean([p_value(0.8, 0.6) <= 0.05 for _ in range(60)]) > 0.7


@pytest.mark.slow
def test_the_two_way_interval_covers_and_one_over_templates_alone_does_not():
    """Templates and target words are both draws of a population, and the words' own leanings must be in the interval."""
    rng = np.random.default_rng(18)
    in_x = np.repeat([True, False], 8)
    two_way, one_way = [], []
    for _ in range(200):
        scores = rng.normal(0, 0.3, (6, 16, 1)) + rng.normal(0, 0.5, (1, 16, 1)) + rng.normal(0, 0.5, (6, 1, 1))
        value = scores[:, in_x].mean() - scores[:, ~in_x].mean()
        drawn = bias_replicates(scores, in_x, replicates=200, generator=rng)
        ends = band(np.array([value]), drawn, level=0.95, bounds=(-np.inf, np.inf), what="both")
        two_way.append(ends.low[0] <= 0 <= ends.high[0])
        by_template = scores[:, in_x].mean((1, 2)) - scores[:, ~in_x].mean((1, 2))
        low, high = stats.t.interval(0.95, 5, by_template.mean(), stats.sem(by_template))
        one_way.append(low <= 0 <= high)
    assert np.mean(two_way) >= 0.88
    assert np.mean(one_way) < 0.75
