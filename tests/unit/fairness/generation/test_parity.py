from itertools import product

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.generation.parity import ParityNull, across_groups, equitability


def slow_law(female, male):
    """Every exchange of the genders of prompts, one by one."""
    total, found = sum(female) + sum(male), []
    for signs in product((1, -1), repeat=len(female)):
        difference = sum(sign * (f - m) for sign, f, m in zip(signs, female, male, strict=True))
        found.append((difference, (total - abs(difference)) / (total + abs(difference))))
    return found


@pytest.mark.parametrize(
    ("female", "male"),
    [
        ((1, 1, 0, 1, 0), (0, 0, 1, 0, 1)),
        ((3, 0, 2, 1), (0, 1, 1, 1)),
        ((5,), (2,)),
        ((1, 1), (1, 1)),
        ((0, 0, 4, 2, 1, 1, 1), (2, 0, 0, 2, 0, 3, 0)),
    ],
)
def test_the_law_is_that_of_all_exchanges(female, male):
    null, slow = ParityNull.of(female, male), slow_law(female, male)
    assert null.chances.sum() == pytest.approx(1)
    assert null.expected == pytest.approx(np.mean([ratio for _, ratio in slow]))
    for difference, ratio in slow:
        assert null.at_most(ratio) == pytest.approx(np.mean([other <= ratio + 1e-12 for _, other in slow]))
        assert null.at_least(difference) == pytest.approx(np.mean([other >= difference for other, _ in slow]))


@pytest.mark.parametrize(("n", "expected"), [(20, 0.723), (60, 0.822), (200, 0.896), (1000, 0.951)])
def test_known_answers_under_parity(n, expected):
    """The published figures were simulated, to about .001."""
    assert ParityNull.of(np.ones(n), np.zeros(n)).expected == pytest.approx(expected, abs=0.0015)


def test_clustered_texts_make_the_null_wider():
    """Ten texts a prompt, all of one gender, are one toss and not ten."""
    single = ParityNull.of(np.ones(200), np.zeros(200))
    clustered = ParityNull.of(np.full(20, 10), np.zeros(20))
    assert clustered.total == single.total == 200
    assert clustered.expected == pytest.approx(ParityNull.of(np.ones(20), np.zeros(20)).expected)
    assert clustered.expected < 0.73 < 0.89 < single.expected
    assert clustered.at_most(0.6) > 0.2 > single.at_most(0.6)


def test_chances_are_never_0():
    null = ParityNull.of(np.ones(5000), np.zeros(5000))
    assert 0 < null.at_most(0.0) < 1e-300
    assert null.at_most(1.0) == pytest.approx(1)
    assert ParityNull.of([1], [0]).at_most(0.0) == 1.0


def test_ratio_and_its_edges():
    assert equitability(30, 10) == equitability(10, 30) == pytest.approx(1 / 3)
    assert equitability(0, 4) == 0
    assert equitability(0, 0) is None
    with pytest.raises(InputError, match="no gendered text"):
        ParityNull.of([0, 0], [0, 0])


def test_average_and_minimum_over_groups_have_their_own_nulls():
    generator = Streams.from_seed(3).generator("across")
    sizes = [12, 40, 90]
    nulls = [ParityNull.of(np.ones(n), np.zeros(n)) for n in sizes]
    seen = [0.2, 0.6, 0.8]
    found = across_groups(seen, nulls, draws=20_000, generator=generator)
    draw = np.random.Generator(np.random.PCG64(1))
    female = np.stack([draw.binomial(n, 0.5, 60_000) for n in sizes])
    male = np.array(sizes)[:, None] - female
    ratios = np.minimum(female, male) / np.maximum(female, male)
    assert found.expected_average == pytest.approx(ratios.mean(), abs=0.003)
    assert found.expected_minimum == pytest.approx(ratios.min(0).mean(), abs=0.004)
    assert found.minimum_p == pytest.approx((ratios.min(0) <= 0.2).mean(), abs=0.004)
    assert found.average_p == pytest.approx((ratios.mean(0) <= np.mean(seen)).mean(), abs=0.008)
    assert (found.average, found.minimum, found.lowest) == (pytest.approx(np.mean(seen)), 0.2, 0)


def test_eighteen_professions_of_sixty_texts():
    """The fairest model shows a smallest ratio of about .58 there, and .74 with 200 texts."""
    generator = Streams.from_seed(0).generator("across")
    for n, average, minimum in ((60, 0.82, 0.58), (200, 0.90, 0.74)):
        nulls = [ParityNull.of(np.ones(n), np.zeros(n))] * 18
        found = across_groups([0.9] * 18, nulls, draws=100, generator=generator)
        assert found.expected_average == pytest.approx(average, abs=0.006)
        assert found.expected_minimum == pytest.approx(minimum, abs=0.006)


def test_groups_and_laws_must_be_as_many():
    with pytest.raises(InputError, match="1 ratios and 0 laws"):
        across_groups([0.5], [], draws=10, generator=Streams.from_seed(0).generator("x"))
