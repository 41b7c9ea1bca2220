"""Gradients on the page: what hides tokens and what does not is read off the numbers."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.reporting import gradients as invented
from tests.unit.report.test_sections import column, table

from holdfast.core.evidence import Estimate, Evidence, Interval
from holdfast.report import Document, gather
from holdfast.report.extraction import rounds
from holdfast.report.extraction.gradients import gradients
from holdfast.report.view import Section

Make = Callable[..., Estimate]
ONE = {"batch_size": 1, "cohort": 1, "noise_multiplier": 0.0}


@pytest.fixture(scope="module")
def document() -> Document:
    return gather([invented("fed")], title="t")


def f1(
    value: float | None, method: str = "embedding-rows", *, half: float | None = None, subject: str = "a", **setting: object
) -> Estimate:
    interval = None if half is None or value is None else Interval(low=value - half, high=value + half, level=0.95, method="m")
    conditions = {"attack": "gradient", "method": method, **ONE, **setting}
    fields = {"unit": "share", "direction": "lower is better", "interval": interval, "missing": None if value is not None else "too large"}
    return Estimate(name="token_f1", subject=subject, value=value, conditions=conditions, **fields)


def of(*estimates: Estimate) -> Document:
    return gather([Evidence(estimates=estimates)], title="t")


def section(document: Document) -> Section:
    found = gradients(document, drawn=False)
    assert found is not None
    return found


def test_runs_without_gradients_have_no_such_part(four: Document):
    assert gradients(four) is None


def test_the_finding_names_the_most_the_guess_and_the_least(document: Document):
    assert section(document).finding == (
        "From a gradient alone (batch size 1, cohort 1, no clipping, no noise) tokens come back with an F1 of 99.0% (97.5–99.6%) by "
        "embedding rows, where guessing without it reaches 13.0% (10.1–16.7%); at batch size 1, cohort 1, no clipping, noise 1, no method "
        "goes beyond 13.0% (10.1–16.7%)."
    )


def test_the_finding_of_little_evidence():
    assert section(of(f1(0.9))).finding == (
        "From a gradient alone (batch size 1, cohort 1, no clipping, no noise) tokens come back with an F1 of 90% by embedding rows."
    )
    assert section(of(f1(None))).finding == "No token was attacked with success on record: too large."
    assert section(of(f1(0.2, "prior"))).finding == "No attack on gradients was measured."
    assert section(of(f1(None))).tone == "missing"
    two = of(f1(0.9), f1(0.5, subject="b"))
    assert section(two).finding.startswith("From a gradient of a alone")


def test_each_parameter_that_varies_gets_a_row_of_settings_that_differ_in_nothing_else(document: Document):
    found = rounds.sweeps(document)
    assert [(sweep.parameter, sweep.values) for sweep in found] == [
        ("batch_size", (1, 2, 4, 8, 16)),
        ("cohort", (1, 2, 4, 8)),
        ("clip_norm", (None, 1.0, 0.1)),
        ("noise_multiplier", (0.0, 0.001, 0.01, 0.1, 1.0)),
    ]
    assert all(set(sweep.lines) == {"embedding-rows", "subspace", "prior"} for sweep in found)
    assert found[0].held == {"cohort": 1, "clip_norm": None, "noise_multiplier": 0.0, "target": "client"}
    assert 1.0 not in found[3].lines["subspace"], "what is missing is not drawn"


def test_of_two_rows_of_settings_the_longer_is_taken_and_of_two_alike_the_less_protected():
    long = [f1(0.9 - 0.1 * size, batch_size=size, noise_multiplier=1.0) for size in (1, 2, 4)]
    short = [f1(0.9, batch_size=size) for size in (1, 2)]
    (sweep,) = [sweep for sweep in rounds.sweeps(of(*short, *long)) if sweep.parameter == "batch_size"]
    assert (sweep.values, sweep.held["noise_multiplier"]) == ((1, 2, 4), 1.0)
    (sweep,) = [sweep for sweep in rounds.sweeps(of(*long[:2], *short)) if sweep.parameter == "batch_size"]
    assert sweep.held["noise_multiplier"] == 0.0


def test_a_condition_that_nobody_foresaw_is_held_too():
    local = [f1(0.9, batch_size=size, local_steps=steps) for size, steps in ((1, 1), (2, 1), (4, 5))]
    (sweep,) = rounds.sweeps(of(*local))
    assert (sweep.values, sweep.held["local_steps"]) == ((1, 2), 1)
    assert "Local steps" in table(section(of(*local)), "Every method under every setting").columns


def test_a_guess_counts_for_every_setting_of_as_many_sentences():
    """Guessing sees no gradient, so it may be measured once for all levels of noise."""
    guess = replace(f1(0.2, "prior"), conditions={"attack": "gradient", "method": "prior", "batch_size": 1, "cohort": 1})
    read = [f1(0.9, noise_multiplier=noise) for noise in (0.0, 1.0)]
    (sweep,) = rounds.sweeps(of(guess, *read))
    assert {value: guess.f1 for value, guess in sweep.lines["prior"].items()} == {0.0: 0.2, 1.0: 0.2}
    other = replace(guess, conditions={**guess.conditions, "batch_size": 8})
    (sweep,) = rounds.sweeps(of(other, *read))
    assert "prior" not in sweep.lines


@pytest.mark.parametrize(
    ("before", "after", "guess", "half", "effect"),
    [
        (0.9, 0.88, 0.1, None, "that does not hide the tokens"),
        (0.9, 0.5, 0.1, None, "that hides a part of them"),
        (0.9, 0.12, 0.1, None, "these attacks are left with what guessing gives"),
        (0.12, 0.1, 0.1, None, "no better than guessing to begin with, so there was nothing to hide"),
        (0.9, 0.84, 0.1, 0.04, "that does not hide the tokens"),
        (0.9, 0.81, 0.1, 0.04, "that hides a part of them"),
        (0.9, 0.3, None, None, "that hides a part of them"),
        (0.5, 0.9, 0.1, None, "that does not hide the tokens"),
    ],
)
def test_the_effect_of_a_parameter(before: float, after: float, guess: float | None, half: float | None, effect: str):
    rows = [f1(before, half=half), f1(after, half=half, clip_norm=0.1)]
    rows += [] if guess is None else [f1(guess, "prior", half=half)]
    (point,) = section(of(*rows)).points
    assert point.lead == "Clipping alone:"
    assert point.text.endswith(f"(no clipping to clip norm 0.1; batch size 1, cohort 1, no noise): {effect}.")


def test_the_strongest_method_at_each_value_counts():
    rows = [f1(0.9), f1(0.1, noise_multiplier=1.0), f1(0.5, "subspace"), f1(0.45, "subspace", noise_multiplier=1.0)]
    (point,) = section(of(*rows)).points
    assert point.text.startswith("token F1 goes from 90% to 45%")


@pytest.mark.parametrize(
    ("low", "effect"), [(-0.01, "these attacks are left with what guessing gives"), (0.02, "that hides a part of them")]
)
def test_where_the_evidence_has_the_difference_to_guessing_it_decides(low: float, effect: str):
    """On the same trials a difference is seen that two intervals hide."""
    after = f1(0.2, half=0.1, clip_norm=0.1)
    gain = Interval(low=low, high=0.15, level=0.95, method="m")
    rows = [f1(0.9, half=0.05), after, replace(after, name="token_f1_gain", value=0.07, interval=gain), f1(0.13, "prior", half=0.1)]
    assert section(of(*rows)).points[0].text.endswith(f": {effect}.")


def test_in_a_crowd_it_is_said_whose_words_count():
    rows = [f1(0.9, target="client"), f1(0.3, cohort=8, target="client"), f1(0.85, cohort=8, target="cohort")]
    (point,) = section(of(*rows)).points
    assert point.text == (
        "token F1 goes from 90% to 30% (cohort 1 to cohort 8; batch size 1, no clipping, no noise, words of one client): that hides a part "
        "of them; held against the words of all clients together it is 85%, since words come back without saying whose they are."
    )
    assert "cohort 8" not in section(of(*rows)).finding, "a crowd is no least: the words are there"
    assert column(table(section(of(*rows)), "Every method under every setting"), "Target") == ["client", "client", "cohort"]


def test_clipping_under_noise_is_not_called_clipping_alone():
    rows = [f1(0.9, noise_multiplier=0.5), f1(0.9, noise_multiplier=0.5, clip_norm=0.1)]
    assert section(of(*rows)).points[0].lead == "Clipping under noise:"
    rows = [f1(0.9, clip_norm=1.0), f1(0.2, clip_norm=1.0, noise_multiplier=0.5)]
    assert section(of(*rows)).points[0].lead == "Noise and clipping:"


def test_runs_are_told_apart():
    rows = [f1(value, subject=subject, batch_size=size) for subject in "ab" for size, value in ((1, 0.9), (2, 0.3))]
    assert [point.lead for point in section(of(*rows)).points] == ["a, larger batches:", "b, larger batches:"]


def test_points_on_whole_sentences_and_on_what_could_not_be_measured(document: Document):
    points = {point.lead: point.text for point in section(document).points}
    assert list(points) == ["Larger batches:", "Larger cohorts:", "Clipping alone:", "Noise:", "Whole sentences:", "Not measured:"]
    assert points["Whole sentences:"].startswith("at most 71% (66–75%) come back whole, by subspace at batch size 1")
    assert points["Not measured:"] == "the noise gives the gradient full rank, so no token can be told."


def test_the_table_holds_every_method_and_setting(document: Document):
    every = table(section(document), "Every method under every setting")
    assert every.columns[:6] == ("Run", "Method", "Batch size", "Cohort", "Clip norm", "Noise multiplier")
    assert every.columns[6:] == (
        *("Target", "Token F1", "F1 above guessing", "Token precision", "Token recall", "Sentences whole", "Rank of the gradient"),
    )
    assert len(every.rows) == (14 + 3) * 3
    assert column(every, "F1 above guessing")[:3] == ["+86.0 points", "+78.0 points", "–"]
    assert set(column(every, "Clip norm")) == {"none", "1", "0.1"}
    missing = [row for row in every.rows if row[7].tone == "missing"]
    assert [row[1].text for row in missing] == ["subspace"]
    assert missing[0][7].hint.startswith("The noise gives the gradient full rank")
