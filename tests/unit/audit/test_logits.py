"""The signal of the likelihood-ratio attack: exact where naive formulas give infinity, and refusals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from holdfast.audit.attacks import logit_of_loss, logit_scaled
from holdfast.audit.attacks.logits import LEAST_LOSS
from holdfast.core.errors import InputError


def test_by_hand():
    assert logit_scaled(np.log([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]), [0, 1]) == pytest.approx(np.log([0.7 / 0.3, 0.2 / 0.8]), abs=1e-14)
    assert logit_of_loss(-np.log([0.7, 0.2])) == pytest.approx(np.log([0.7 / 0.3, 0.2 / 0.8]), abs=1e-14)


@given(
    logits=st.lists(st.lists(st.integers(-40, 40), min_size=3, max_size=3), min_size=1, max_size=5),
    label=st.integers(0, 2),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_agrees_with_a_sum_over_the_other_classes(logits: list[list[int]], label: int, dtype: type):
    given_logits = np.array(logits, dtype=dtype)
    slow = [row[label] - np.log(sum(np.exp(float(value)) for k, value in enumerate(row) if k != label)) for row in logits]
    assert logit_scaled(given_logits, [label] * len(logits)) == pytest.approx(slow, abs=1e-9)
    shifted = special.log_softmax(given_logits.astype(np.float64), axis=1)
    assert logit_scaled(shifted, [label] * len(logits)) == pytest.approx(slow, abs=1e-9)


def test_stays_finite_where_the_probability_rounds_to_one():
    log_probabilities = special.log_softmax(np.array([[80.0, 0.0, 0.0], [800.0, 0.0, 0.0], [-800.0, 0.0, 0.0]]), axis=1)
    assert np.exp(log_probabilities[0, 0]) == 1
    assert logit_scaled(log_probabilities, [0, 0, 0]) == pytest.approx([80 - np.log(2), 800 - np.log(2), -800 - np.log(2)], abs=1e-9)


def test_leaves_its_input_alone():
    given_logits = np.log([[0.7, 0.3]])
    before = given_logits.copy()
    logit_scaled(given_logits, [0])
    assert np.array_equal(given_logits, before)


def test_masked_classes_add_nothing():
    assert logit_scaled(np.array([[np.log(0.8), np.log(0.2), -np.inf]]), [0]) == pytest.approx([np.log(4)])


@pytest.mark.parametrize("row", [[0.0, -np.inf], [-np.inf, 0.0], [np.nan, 0.0], [0.0, np.nan], [np.inf, 0.0], [-np.inf, -np.inf]])
def test_refuses_what_gives_no_finite_logit(row: list[float]):
    with pytest.raises(InputError, match=r"1 of 2 examples have no finite logit.*log_softmax"):
        logit_scaled(np.array([row, [0.0, 0.0]]), [0, 0])


@pytest.mark.parametrize(
    ("shape", "labels"),
    [((2,), [0, 0]), ((2, 1), [0, 0]), ((2, 3), [0]), ((2, 3), [[0], [0]]), ((2, 3), [0.0, 1.0]), ((2, 3), [True, False])],
)
def test_refuses_other_shapes(shape: tuple[int, ...], labels: list):
    with pytest.raises(InputError, match="at least two classes and N integers"):
        logit_scaled(np.zeros(shape), labels)


@pytest.mark.parametrize("label", [-1, 3])
def test_refuses_labels_that_are_no_class(label: int):
    with pytest.raises(InputError, match="3 classes: 0 to 2"):
        logit_scaled(np.zeros((1, 3)), [label])


@given(loss=st.floats(2**-24, 700))
def test_logit_of_a_loss_is_exact(loss: float):
    """log(p / (1 - p)) = -log(e^loss - 1), with e^loss - 1 from its series in exact arithmetic where the loss is small."""
    if loss < 1:
        term, total = Fraction(1), Fraction(0)
        for power in range(1, 25):
            term *= Fraction(loss) / power
            total += term
        truth = -np.log(float(total))
    else:
        truth = -loss - np.log1p(-np.exp(-loss))
    assert float(logit_of_loss(loss)) == pytest.approx(truth, rel=1e-12, abs=1e-12)


def test_loss_and_probabilities_give_one_signal():
    log_probabilities = special.log_softmax(np.random.default_rng(0).normal(scale=3, size=(50, 4)), axis=1)
    labels = np.arange(50) % 4
    losses = -log_probabilities[np.arange(50), labels]
    assert logit_of_loss(losses) == pytest.approx(logit_scaled(log_probabilities, labels), abs=1e-9)


def test_falls_with_the_loss_and_stays_finite():
    losses = np.concatenate([[0.0], np.geomspace(LEAST_LOSS, 1e300, 2000)])
    signal = logit_of_loss(losses)
    assert np.isfinite(signal).all()
    assert signal[0] == signal[1] == pytest.approx(16.64, abs=0.01)
    assert np.all(np.diff(signal[1:]) < 0)


def test_a_smaller_least_loss_tells_more_apart():
    assert np.ptp(logit_of_loss([1e-10, 1e-12])) == 0
    assert logit_of_loss([1e-10, 1e-12], least_loss=2**-53) == pytest.approx(np.log([1e10, 1e12]), abs=1e-6)


def test_keeps_the_shape_and_forgives_rounding():
    signal = logit_of_loss(np.full((3, 2), -1e-7, dtype=np.float32))
    assert signal.shape == (3, 2)
    assert signal.dtype == np.float64
    assert signal == pytest.approx(16.64, abs=0.01)


@pytest.mark.parametrize("loss", [-0.1, np.nan, np.inf])
def test_refuses_what_is_no_loss(loss: float):
    with pytest.raises(InputError, match="1 of 2 losses are negative or not finite"):
        logit_of_loss([1.0, loss])


@pytest.mark.parametrize("least", [0.0, -1.0, np.nan, np.inf])
def test_refuses_a_least_loss_that_is_not_positive(least: float):
    with pytest.raises(InputError, match="least loss"):
        logit_of_loss([1.0], least_loss=least)
