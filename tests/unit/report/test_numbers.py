"""Numbers carry as many digits as their interval supports, and one form each."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.evidence import Estimate, Interval
from holdfast.report import numbers

NBSP = "\N{NO-BREAK SPACE}"


def estimate(value: float | None, half: float | None = None, **fields: object) -> Estimate:
    interval = None if half is None or value is None else Interval(low=value - half, high=value + half, level=0.95, method="Wilson")
    given = {"name": "intent_accuracy", "subject": "a", "unit": "share", "direction": "higher is better", "interval": interval}
    return Estimate(value=value, **{**given, **fields})


@pytest.mark.parametrize(
    ("value", "half", "shown"),
    [
        (0.95312, 0.011, "95.3% (94.2–96.4%)"),
        (0.95312, 0.0047, "95.3% (94.8–95.8%)"),
        (0.95312, 0.00047, "95.31% (95.27–95.36%)"),
        (0.95312, 0.049, "95% (90–100%)"),
        (0.95312, None, "95.3%"),
        (0.5, 0.0, "50%"),
        (0.05, 1e-17, "5%"),  # seeds that all gave the same, but for rounding
        (1.0, None, "100%"),
    ],
)
def test_shares_are_percentages_with_the_digits_of_their_interval(value: float, half: float | None, shown: str):
    assert numbers.written(estimate(value, half)).full == shown


@pytest.mark.parametrize(
    ("name", "unit", "value", "half", "shown"),
    [
        ("membership_auc", "share", 0.51683, 0.032, "0.517 (0.485–0.549)"),
        ("membership_auc", "share", 0.51683, 0.0006, "0.5168 (0.5162–0.5174)"),
        ("epsilon", "nats", 7.99961, None, "8"),
        ("epsilon", "nats", 31.7234, None, "31.7"),
        ("seconds_per_epoch", "seconds", 4.1142, 0.2, "4.11 s (3.91–4.31 s)"),
        ("seconds_per_epoch", "seconds", 612.4, None, "612 s"),
        ("parameters", "parameters", 1_204_332.0, None, "1,204,332"),
        ("intent_accuracy_difference", "share", -0.0223, 0.0195, "−2.2 points (−4.2 to −0.3)"),
        ("intent_accuracy_difference", "share", 0.0223, 0.0195, "+2.2 points (+0.3 to +4.2)"),
        ("intent_accuracy_difference", "share", 0.0, None, "0 points"),
        ("seconds_per_epoch_ratio", "ratio", 1.6716, 0.095, "1.67× (1.58–1.77×)"),
        ("weat_effect_size", "standard deviations", -0.42, 0.11, "−0.42 (−0.53 to −0.31)"),
        ("gender_gap", "share", 0.021, 0.004, "2.1% (1.7–2.5%)"),
    ],
)
def test_each_quantity_has_its_form(name: str, unit: str, value: float, half: float | None, shown: str):
    assert numbers.written(estimate(value, half, name=name, unit=unit)).full == shown


def test_a_missing_value_says_so():
    found = numbers.written(estimate(None, missing="not resolvable: too few non-members"))
    assert (found.full, found.missing) == ("not resolvable", "not resolvable: too few non-members")
    assert numbers.written(estimate(None, missing="no attack was run")).full == "not measured"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_the_last_digit_is_worth_at_most_the_half_width_and_at_least_a_hundredth_of_it(value: float, half: float):
    decimals = numbers.supported(half)
    if half < 1 and decimals < 6:
        assert half / 100 <= 10.0**-decimals <= half
    shown = numbers.fixed(value, decimals).replace(numbers.MINUS, "-").replace(",", "")
    assert abs(float(shown) - value) <= 0.5 * 10.0**-decimals * (1 + 1e-6) + 1e-9


@given(st.floats(-1e300, 1e300))
def test_significant_digits_round_and_never_show_an_empty_sign(value: float):
    shown = numbers.significant(value)
    read = float(shown.replace(numbers.MINUS, "-").replace(",", ""))
    assert math.isclose(read, value, rel_tol=5.1e-3, abs_tol=0.0) or abs(value) < 1e-300
    assert not shown.startswith(f"{numbers.MINUS}0") or "." in shown


def test_labels_are_the_same_everywhere():
    tpr = estimate(0.1, name="tpr_at_fpr", conditions={"fpr": 0.001})
    assert numbers.label(tpr) == "TPR at 0.1% FPR"
    assert numbers.label(estimate(0.1)) == numbers.label_of("intent_accuracy") == "Intent accuracy"
    assert numbers.label_of("weat_effect_size") == "WEAT effect size"


def test_a_sign_and_its_value_stay_on_one_line():
    assert numbers.named("ε", 2.0) == f"ε{NBSP}={NBSP}2"
    assert numbers.named("δ", 1e-5) == f"δ{NBSP}={NBSP}1e\N{NON-BREAKING HYPHEN}5"


@pytest.mark.parametrize(
    ("epsilon", "words"),
    [(0.0, "1"), (1.0, "2.72"), (8.0, "2,980"), (13.0, "442,000"), (14.0, "1.2 million"), (34.0, "583 trillion"), (500.0, "10^217")],
)
def test_powers_of_e_in_words(epsilon: float, words: str):
    assert numbers.factor(epsilon) == words


def test_small_chances_and_large_counts_in_words():
    assert numbers.one_in(1e-6) == "one in 1,000,000"
    assert numbers.one_in(1 / 13_084) == "one in 13,084"
    assert [numbers.large(count) for count in (12, 1_500, 66e6, 7e9)] == ["12", "1,500", "66 million", "7 billion"]
