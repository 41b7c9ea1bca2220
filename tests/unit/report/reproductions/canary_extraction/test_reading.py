"""The words about planted secrets are made from the numbers, and turn when the numbers turn."""

import re
from dataclasses import replace

import pytest
from tests.extracting import ladder, nothing, records

from holdfast.core.evidence import Estimate, Evidence, Interval
from holdfast.report.reproductions.canary_extraction import answer, readings
from holdfast.report.reproductions.canary_extraction.grid import NULL, SecretCell, defences
from holdfast.report.reproductions.canary_extraction.reading import (
    above_chance,
    against_none,
    agreement,
    changed,
    hidden,
    never_planted,
    undefended,
)
from holdfast.study.reproductions.canary_extraction.summary import summarise


@pytest.fixture(scope="module")
def found() -> Evidence:
    return summarise(records(ladder, controls=True))


def exposed(value: float, low: float, high: float, *, p: float, found: int = 0) -> Evidence:
    """Evidence of all three defences together, with a given exposure and test."""
    interval = Interval(low=low, high=high, level=0.95, method="invented")
    conditions = {"defence": "all-three", "trainings": 20, "secret": "all", "secrets": 60, "found": found, "seeds": 10}
    common = {"subject": "all-three", "direction": "lower is better", "conditions": conditions}
    return Evidence(
        estimates=(
            Estimate(name="secret_exposure", value=value, unit="bits", interval=interval, **common),
            Estimate(name="knows_nothing_p_value", value=p, unit="probability", **common),
            Estimate(name="extraction_accuracy", value=found / 60, unit="share", **common),
        )
    )


@pytest.mark.parametrize(
    ("evidence", "outcome", "words"),
    [
        (exposed(6.8, 5.7, 7.9, p=1e-9, found=11), "no", "No: the combination of defences does not remove the risk."),
        (exposed(1.5, 1.1, 2.0, p=0.4), "yes", "Yes, as far as this can see: at most 0.56 bits above chance are left open."),
        (exposed(2.1, 1.2, 3.4, p=0.2), "cannot be told", "and up to 2 bits above chance are left open."),
        (exposed(1.5, 1.1, 2.0, p=0.04), "no", "does not remove the risk"),
        (exposed(1.0, 0.7, 1.3, p=0.9), "yes", "at most 0 bits above chance"),
        (Evidence(), "not measured", "All three together was not tested."),
    ],
)
def test_the_answer_follows_test_and_interval(evidence: Evidence, outcome: str, words: str):
    said = answer(evidence)
    assert said.outcome == outcome
    assert words in said.verdict
    assert said.text.endswith(said.verdict)


def test_the_answer_names_accuracy_and_exposure_side_by_side():
    text = answer(exposed(6.8, 5.7, 7.9, p=1e-9, found=11)).text.replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith("By accuracy: 11 of 60 secrets found whole. By exposure: 6.8 bits (5.7–7.9), 5.4 bits above the 1.44 of chance")
    assert "p < 0.0001 if the models knew nothing" in text


@pytest.mark.parametrize("draw", range(6))
@pytest.mark.parametrize("knows", [ladder, nothing])
def test_the_answer_is_true_of_the_figures_whatever_they_are(knows: object, draw: int):
    evidence = summarise(records(knows, defences=("none", "all-three"), seeds=range(1, 7), draw=draw))
    exposure, p = (evidence.estimate(name, "all-three") for name in ("secret_exposure", "knows_nothing_p_value"))
    said = answer(evidence)
    assert (said.outcome == "no") == (p.value < 0.05)
    assert (said.outcome == "yes") == (p.value >= 0.05 and exposure.interval.high < NULL + 1)
    hits = evidence.estimate("extraction_accuracy", "all-three").conditions
    assert f"{hits['found']} of {hits['secrets']} secrets" in said.text
    side = re.search(r"([\d.]+) bits (above|below) the 1.44|level with the 1.44", said.text)
    gap = exposure.value - NULL
    assert (side[2] is None) == (abs(gap) < 0.05)
    assert side[2] is None or (float(side[1]) == pytest.approx(abs(gap), abs=0.051) and (side[2] == "above") == (gap > 0))


def cell(evidence: Evidence, defence: str) -> SecretCell:
    return next(one for one in defences(evidence) if one.defence == defence)


def test_a_defence_is_held_against_none_by_its_p_value_after_holm(found: Evidence):
    less = against_none(found, cell(found, "dp-sgd-8"))
    assert "Exposure against no defence: lower, −" in less
    assert "Secrets found against no defence: fewer, −" in less
    assert "That the models know nothing of their secrets is not refuted" in less
    assert "The models know something of their secrets (p" in against_none(found, cell(found, "dropout"))
    assert less.count(" after Holm") == 3
    flat = summarise(records(nothing, defences=("none", "dropout")))
    same = against_none(flat, cell(flat, "dropout"))
    assert "Exposure against no defence: not to be told apart" in same
    assert "Secrets found against no defence: not to be told apart, 0 points" in same


def test_a_defence_that_helps_the_attacker_is_called_so():
    worse = summarise(records(lambda defence, copies: 8.0 if defence == "dropout" else 3.0, defences=("none", "dropout")))
    assert "Exposure against no defence: higher, " in (text := against_none(worse, cell(worse, "dropout")))
    assert "Secrets found against no defence: more, +" in text


def test_a_difference_carries_its_unit():
    interval = Interval(low=-2.7, high=-1.0, level=0.95, method="invented")
    common = {"subject": "dropout", "direction": "lower is better", "interval": interval}
    assert changed(Estimate(name="secret_exposure_difference", value=-1.9, unit="bits", **common)) == "−1.9 bits (−2.7 to −1.0)"


def test_an_exposure_of_chance_is_level_with_it():
    def of(value: float) -> str:
        return above_chance(Estimate(name="secret_exposure", subject="x", value=value, unit="bits", direction="lower is better"))

    assert of(1.44).endswith("level with the 1.44 of chance")
    assert of(1.0).endswith("0.4 bits below the 1.44 of chance")
    assert of(3.0).endswith("1.6 bits above the 1.44 of chance")


def test_what_is_found_without_a_defence_stands_beside_random_fills(found: Evidence):
    assert re.match(r"\d+ of 60 secrets found whole \(as many random fills: 0% \(0–31%\)\); \d", undefended(found))
    assert undefended(Evidence()) == ""


def test_agreement_is_worded_by_its_interval(found: Evidence):
    assert agreement(found).startswith("Cells with a higher exposure tend to a higher accuracy: rank correlation 0.")
    alone = found.estimate("accuracy_exposure_correlation")
    for low, high, words in ((-0.2, 0.9, "cannot be told"), (-0.9, -0.3, "against each other")):
        turned = replace(alone, value=(low + high) / 2, interval=Interval(low=low, high=high, level=0.95, method="invented"))
        assert words in agreement(Evidence(estimates=(turned,)))
    missing = agreement(summarise(records(seeds=(1, 2))))
    assert missing.startswith("Whether they order the cells alike was not found: 2 seeds over 16 cells")


@pytest.mark.parametrize(
    ("count", "silent", "words"),
    [
        (0, 0, "In each of the 8 cells at least one secret was found whole."),
        (0, 3, "In 3 of 8 cells the search found not one secret whole; the interval of the exposure lies above chance in none of them."),
        (2, 3, "lies above chance all the same in 2 of them: accuracy hides the leak."),
    ],
)
def test_hidden_leaks_are_counted_in_words(count: int, silent: int, words: str):
    conditions = {"silent": silent, "cells": 8}
    figure = Estimate(
        name="leaks_without_extraction", subject="all cells", value=float(count), unit="cells", direction="neither", conditions=conditions
    )
    assert words in hidden(Evidence(estimates=(figure,)))


def test_controls_are_read_where_there_are_any(found: Evidence):
    assert never_planted(found).startswith("20 secrets of the same form that were in no training data: ")
    assert [one.lead for one in readings(found)][-2:] == ["Accuracy and exposure:", "Never planted:"]
    assert never_planted(summarise(records(seeds=(1, 2, 3)))) == ""


def test_every_defence_has_its_reading_and_the_question_comes_first(found: Evidence):
    leads = [one.lead for one in readings(found)]
    assert leads[0] == "Does the combination of defences remove the risk?"
    assert leads[1:9] == [
        *("No defence:", "Dropout:", "Early stopping:", "Character embeddings:", "Dropout, early stopping:"),
        *("All three together:", "DP-SGD, ε = 8:", "DP-SGD, ε = 1:"),
    ]
    assert len({one.colour for one in readings(found)[1:9]}) == 8
