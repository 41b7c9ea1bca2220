"""The tests of generated text reject as often as they say, also where a prompt has many samples."""

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.fairness.generation.parity import ParityNull, equitability
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
