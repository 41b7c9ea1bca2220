import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import InputError
from holdfast.federated.continual import forgetting, prequential, score_matrix

NAN = float("nan")
SCORES = score_matrix(
    [(-1, 0, 0.1), (0, 0, 0.8), (0, 1, 0.4), (1, 0, 0.9), (1, 1, 0.7), (1, 2, 0.5), (2, 0, 0.6), (2, 1, 0.75), (2, 2, 0.9)],
    periods=3,
)


def test_scores_are_laid_out_with_the_untrained_model_first():
    assert SCORES.shape == (4, 3)
    assert SCORES[0, 0] == 0.1
    assert SCORES[3].tolist() == [0.6, 0.75, 0.9]
    assert np.isnan(SCORES[1, 2])
    with pytest.raises(InputError, match="stands there twice"):
        score_matrix([(0, 0, 1.0), (0, 0, 1.0)], periods=1)
    for after, on in ((-2, 0), (1, 0), (0, 1), (0, -1)):
        with pytest.raises(InputError, match="periods 0 to 0"):
            score_matrix([(after, on, 1.0)], periods=1)


def test_prequential_is_the_score_of_the_model_of_the_period_before():
    found = prequential(SCORES)
    assert found.periods == (0, 1, 2)
    assert found.values.tolist() == [0.1, 0.4, 0.5]
    assert found.mean == pytest.approx(1 / 3)
    later = SCORES.copy()
    later[0] = NAN
    assert prequential(later).periods == (1, 2)
    assert prequential(later).mean == pytest.approx(0.45)
    with pytest.raises(InputError, match="no period was scored before"):
        prequential(np.full((3, 2), NAN))


def test_forgetting_is_the_best_past_score_less_the_present_one():
    found = forgetting(SCORES, direction="higher is better")
    assert found.periods == (0, 1)
    np.testing.assert_allclose(found.values, [0.9 - 0.6, 0.7 - 0.75])  # the score ahead of training, .4, is no past score of period 1
    assert found.mean == pytest.approx((0.3 - 0.05) / 2)
    assert forgetting(SCORES, direction="higher is better", after=1).values.tolist() == pytest.approx([-0.1])


def test_forgetting_turns_with_the_direction():
    lower = forgetting(-SCORES, direction="lower is better")
    np.testing.assert_allclose(lower.values, forgetting(SCORES, direction="higher is better").values)
    wrong = forgetting(SCORES, direction="lower is better")
    np.testing.assert_allclose(wrong.values, [0.6 - 0.8, 0.75 - 0.7])


def test_what_cannot_be_forgotten_is_refused():
    with pytest.raises(InputError, match="nothing to forget"):
        forgetting(SCORES, direction="higher is better", after=0)
    with pytest.raises(InputError, match="nothing to forget"):
        forgetting(SCORES, direction="higher is better", after=3)
    with pytest.raises(InputError, match="does not say what is better"):
        forgetting(SCORES, direction="neither")
    holes = SCORES.copy()
    holes[3, 1] = NAN
    with pytest.raises(InputError, match="the events of period 1 were not scored"):
        forgetting(holes, direction="higher is better")
    with pytest.raises(InputError, match=r"shape \(3, 3\)"):
        forgetting(SCORES[1:], direction="higher is better")


def test_the_interval_is_students_and_there_is_none_for_one_period():
    found = prequential(SCORES)
    low, high = stats.t.interval(0.95, 2, loc=found.mean, scale=stats.sem(found.values))
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert found.interval.level == 0.95
    assert "3 periods" in found.interval.method
    assert forgetting(SCORES, direction="higher is better", after=1).interval is None


def test_the_interval_covers_the_mean_of_independent_periods():
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(400):
        scores = np.full((7, 6), NAN)
        np.fill_diagonal(scores, rng.normal(0.5, 0.1, 6))
        interval = prequential(scores).interval
        hits += interval.low <= 0.5 <= interval.high
    assert stats.binom.cdf(hits, 400, 0.95) > 1e-4
    assert stats.binom.sf(hits, 400, 0.95) > 1e-4


def test_noise_alone_looks_like_forgetting_as_the_docstring_says():
    rng = np.random.default_rng(7)
    means = [forgetting(rng.normal(0.5, 0.1, (9, 8)), direction="higher is better").mean for _ in range(200)]
    assert np.mean(means) > 0.05  # the best of up to seven draws lies above the mean of draws
