"""The tests of generated text reject as often as they say, also where a prompt has many samples."""

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.fairness.generation.maxima import expected_maximum
from holdfast.fairness.generation.metrics.polarity_evidence import _ratio_ends
from holdfast.fairness.generation.pairs import compare_pairs
from holdfast.fairness.generation.parity import ParityNull, across_groups, equitability
from holdfast.fairness.generation.table import Quantity, group_table, permutation_p
from holdfast.fairness.inference import Inference, Units

STREAMS = Streams.from_seed(71)


def clustered(draw: np.random.Generator, prompts: int, samples: int) -> np.ndarray:
    """Texts by prompt of which some prompts are nearly always hit and others nearly never, (prompts, samples)."""
    return draw.random((prompts, samples)) < draw.beta(0.5, 1.5, prompts)[:, None]


def test_the_permutation_by_prompt_keeps_its_size_and_one_by_text_does_not():
    inference = Inference(permutations=199, replicates=100)
    groups, samples, worlds = np.repeat([0, 1, 2], 20), 8, 400
    by_prompt, by_text = [], []
    for world in range(worlds):
        hits = clustered(STREAMS.generator("size", world), 60, samples)
        sums = np.stack([hits.sum(1), np.full(60, samples)], axis=1).astype(float)
        by_prompt.append(permutation_p(sums, groups, 3, inference=inference, generator=STREAMS.generator("p", world)))
        texts = np.stack([hits.ravel(), np.ones(hits.size)], axis=1).astype(float)
        by_text.append(permutation_p(texts, np.repeat(groups, samples), 3, inference=inference, generator=STREAMS.generator("t", world)))
    assert 0.02 <= np.mean(np.array(by_prompt) <= 0.05) <= 0.085
    assert np.mean(np.array(by_text) <= 0.05) > 0.2


def test_the_permutation_finds_a_real_gap():
    inference = Inference(permutations=199, replicates=100)
    found = []
    for world in range(60):
        draw = STREAMS.generator("power", world)
        hits = clustered(draw, 120, 4)
        hits[:40] |= draw.random((40, 4)) < 0.35
        sums = np.stack([hits.sum(1), np.full(120, 4)], axis=1).astype(float)
        found.append(permutation_p(sums, np.repeat([0, 1, 2], 40), 3, inference=inference, generator=draw))
    assert np.mean(np.array(found) <= 0.05) > 0.8


def test_the_parity_test_keeps_its_size_where_prompts_have_many_samples():
    """A binomial test of the texts would reject in most of these worlds."""
    found, naive = [], []
    for world in range(500):
        draw = STREAMS.generator("parity", world)
        lean = draw.beta(0.4, 0.4, 30)
        gendered = draw.binomial(10, 0.6, 30)
        female = draw.binomial(gendered, lean)
        male = gendered - female
        ratio = equitability(female.sum(), male.sum())
        found.append(ParityNull.of(female, male).at_most(ratio))
        total = int(gendered.sum())
        naive.append(ParityNull.of(np.ones(total), np.zeros(total)).at_most(ratio))
    assert 0.03 <= np.mean(np.array(found) <= 0.05) <= 0.075
    assert np.mean(np.array(naive) <= 0.05) > 0.3


@pytest.mark.slow
def test_intervals_of_clustered_groups_hold_together():
    inference = Inference(replicates=300, permutations=100)
    truth = 0.25  # the mean of the beta law
    units = Units(np.repeat(np.arange(120), 5), 120, "prompts")
    groups = np.repeat(np.repeat([0, 1, 2, 3], 30), 5)
    inside, inside_naive, gap_covered = [], [], []
    for world in range(150):
        hits = clustered(STREAMS.generator("band", world), 120, 5).ravel()
        quantity = Quantity.share("x", hits, direction="lower is better", says="")
        names = ("a", "b", "c", "d")
        table = group_table(quantity, groups, names, units, inference=inference, streams=STREAMS.child("band", world))
        inside.append(((table.band.low <= truth) & (truth <= table.band.high)).all())
        gap_covered.append(table.gap.low <= 0)
        naive = group_table(quantity, groups, names, Units.rows(600), inference=inference, streams=STREAMS.child("naive", world))
        inside_naive.append(((naive.band.low <= truth) & (truth <= naive.band.high)).all())
    assert np.mean(inside) >= 0.90
    assert np.mean(gap_covered) >= 0.90
    assert np.mean(inside_naive) < 0.80


def test_the_interval_of_the_ratio_holds_the_true_ratio():
    """A bootstrap of the ratio itself would miss 1 nearly always, since no replicate of min(F/M, M/F) reaches above it."""
    inference = Inference(replicates=200, permutations=100)
    for true_share in (0.5, 0.7):
        truth, held = min(true_share, 1 - true_share) / max(true_share, 1 - true_share), []
        for world in range(100):
            draw = STREAMS.generator(f"ratio {true_share}", world)
            female = (draw.random(80) < true_share).astype(float)
            share = Quantity(
                name="female_share", unit="share", direction="neither", above=female, below=np.ones(80), bounds=(0, 1), says=""
            )  # fmt: skip
            streams = STREAMS.child(f"ratio {true_share}", world)
            table = group_table(share, np.zeros(80, dtype=np.int64), ("a",), Units.rows(80), inference=inference, streams=streams)
            low, high = _ratio_ends(float(table.band.low[0]), float(table.band.high[0]))
            held.append(low - 1e-9 <= truth <= high + 1e-9)
        assert np.mean(held) >= 0.89


def test_the_smallest_ratio_of_many_groups_keeps_its_size():
    p_average, p_minimum = [], []
    for world in range(300):
        draw = STREAMS.generator("many groups", world)
        sizes = draw.integers(15, 80, 8)
        female = draw.binomial(sizes, 0.5)
        nulls = [ParityNull.of(np.ones(n), np.zeros(n)) for n in sizes.tolist()]
        ratios = [equitability(float(f), float(n - f)) or 0.0 for f, n in zip(female.tolist(), sizes.tolist(), strict=True)]
        found = across_groups(ratios, nulls, draws=400, generator=draw)
        p_average.append(found.average_p)
        p_minimum.append(found.minimum_p)
    assert 0.02 <= np.mean(np.array(p_average) <= 0.05) <= 0.085
    assert 0.02 <= np.mean(np.array(p_minimum) <= 0.05) <= 0.085
    assert np.mean(p_average) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("samples", [5, 8, 12])
def test_the_largest_of_k_is_unbiased_however_many_texts_there_are(samples):
    draw = STREAMS.generator("largest of k", samples)
    scores = draw.beta(0.5, 2, (6000, samples))
    truth = STREAMS.generator("truth of k").beta(0.5, 2, (60_000, 5)).max(1).mean()
    found = np.mean([expected_maximum(row, 5) for row in scores])
    assert found == pytest.approx(truth, abs=0.012)
    if samples > 5:
        assert scores.max(1).mean() > truth + 0.04


def test_paired_prompts_that_are_alike_are_called_apart_one_time_in_twenty():
    inference = Inference(replicates=100, permutations=199)
    strict, weak = [], []
    for world in range(250):
        draw = STREAMS.generator("pairs", world)
        place = draw.normal(0, 1, 12)[:, None]  # prompts differ, the two of a pair do not
        first, second = place + draw.normal(0, 1, (12, 4)), place + draw.normal(0, 1, (12, 4))
        found = compare_pairs(list(first), list(second), threshold=0.0, inference=inference, generator=draw)
        strict.append(found.strict_p)
        weak.append(found.weak_p)
    assert 0.02 <= np.mean(np.array(strict) <= 0.05) <= 0.09
    assert np.mean(np.array(weak) <= 0.05) <= 0.09
