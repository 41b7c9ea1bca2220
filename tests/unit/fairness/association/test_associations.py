from itertools import combinations

import numpy as np
import pytest

from holdfast.core.randomness import Streams
from holdfast.fairness.association import Cosines, associate, effect_size
from holdfast.fairness.association.associations import most_influential
from holdfast.fairness.inference import Inference, Units


@pytest.fixture
def cosines(vectors, words) -> Cosines:
    parts = [np.array([vectors[word] for word in some]) for some in words.values()]
    return Cosines.of_words(*parts, words=tuple(words.values()))


def run(cosines: Cosines, alternative: str = "greater", variant: str = "joint, ddof=1", **settings):
    inference = Inference(replicates=200, permutations=500, **settings)
    return associate(cosines, inference=inference, streams=Streams.from_seed(1), alternative=alternative, variant=variant)


def reversed_targets(cosines: Cosines) -> Cosines:
    return Cosines(
        cosines.matrix, ~cosines.first, cosines.near, cosines.targets, cosines.attributes, cosines.target_words, cosines.attribute_words
    )


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
@pytest.mark.parametrize("shift", [0.0, 0.4, -0.4])
def test_exact_p_values_equal_a_count_over_all_partitions(alternative: str, shift: float):
    rng = np.random.default_rng(3)
    scores = rng.normal(size=9) + shift * (np.arange(9) < 4)
    cosines = Cosines.of_matrix(np.stack([scores, 0 * scores], 1), words=(tuple("abcd"), tuple("efghi"), ("j",), ("k",)))
    gap = lambda chosen: scores[list(chosen)].mean() - np.delete(scores, list(chosen)).mean()  # noqa: E731
    seen, gaps = gap(range(4)), np.array([gap(chosen) for chosen in combinations(range(9), 4)])
    hits = {"greater": gaps >= seen - 1e-12, "less": gaps <= seen + 1e-12, "two-sided": np.abs(gaps) >= abs(seen) - 1e-12}
    found = run(cosines, alternative)
    assert found.tested.p_value == pytest.approx(hits[alternative].mean())
    assert (found.tested.partitions, found.tested.exact) == (126, True)


def test_reversing_the_targets_keeps_the_two_sided_p_value(cosines: Cosines):
    """The test that WEFE 1.0.1 fails: there the reversed p-value is 1."""
    there, back = run(cosines, "two-sided"), run(reversed_targets(cosines), "two-sided")
    assert back.effect_size == pytest.approx(-there.effect_size)
    assert back.tested.p_value == there.tested.p_value < 0.05
    assert run(reversed_targets(cosines)).tested.p_value > 0.99


def test_drawn_partitions_are_seeded_and_never_zero(cosines: Cosines):
    drawn = [run(cosines, exact_up_to=10).tested for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert not drawn[0].exact
    assert 1 / 501 <= drawn[0].p_value < 0.1


def test_the_most_influential_word_equals_leaving_out_each(cosines: Cosines):
    full, sizes = effect_size(cosines.scores, cosines.first), {}
    for place, word in enumerate(cosines.target_words):
        sizes[word] = effect_size(np.delete(cosines.scores, place), np.delete(cosines.first, place))
    for place, word in enumerate(cosines.attribute_words):
        matrix, near = np.delete(cosines.matrix, place, 1), np.delete(cosines.near, place)
        sizes[word] = effect_size(matrix[:, near].mean(1) - matrix[:, ~near].mean(1), cosines.first)
    worst = max(sizes, key=lambda word: abs(sizes[word] - full))
    found = most_influential(cosines, variant="joint, ddof=1")
    assert found.word == worst
    assert found.without == pytest.approx(sizes[worst])


def test_a_planted_word_is_found():
    matrix = np.zeros((8, 2))
    matrix[:, 0] = [0.1, 0.12, 0.11, -0.9, 0.01, 0.02, 0.0, 0.01]
    cosines = Cosines.of_matrix(matrix, words=(("a", "b", "c", "odd"), tuple("efgh"), ("j",), ("k",)))
    assert run(cosines).influence.word == "odd"


def test_verdicts_need_a_margin_and_never_pass_on_little(cosines: Cosines):
    assert run(cosines).verdict is None
    assert run(cosines, margin=1.99).verdict == "fair within the margin"
    assert run(cosines, margin=0.01).verdict == "unfair"
    few = Cosines.of_matrix(cosines.matrix[[0, 11]], words=(("rose",), ("bee",), tuple("klmn"), tuple("pqrs")))
    assert run(few, margin=1.9).verdict == "not enough data"


def test_constant_scores_give_a_reason_and_no_number():
    found = run(Cosines.of_matrix(np.full((4, 2), 0.25), words=(("a", "b"), ("c", "d"), ("e",), ("f",))))
    measured = found.measured(alternative="greater", sizes={})
    assert measured.value is None
    assert "same association" in measured.missing
    assert found.tested.p_value == 1
    assert found.influence is None


def test_sentences_of_a_word_move_together(cosines: Cosines):
    units = Units(np.repeat(np.arange(12), 5), 12, "target words")
    many = Cosines(
        cosines.matrix.repeat(5, 0),
        cosines.first.repeat(5),
        cosines.near,
        units,
        cosines.attributes,
        cosines.target_words,
        cosines.attribute_words,
    )
    assert run(many).tested == run(cosines).tested
