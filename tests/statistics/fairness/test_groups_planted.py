"""The disparity that was planted in the corpus `assistant` is recovered, and none is found where none was planted.

An oracle answers with the intent that an utterance was made from, so its accuracy in each dialect is known without measuring.
Utterances of one user hang together. Shares over seeds are held to two standard errors; seeds are fixed, so a failure repeats.
"""

import functools
import math

import numpy as np
import pytest

from holdfast.core.evidence import Evidence
from holdfast.data.assistant import AssistantSettings, clean_labels, generate
from holdfast.data.dataset import Dataset
from holdfast.data.load import load_data
from holdfast.fairness.groups import AccuracyParity, EqualOpportunity
from holdfast.fairness.inference import Inference, Units
from holdfast.fairness.predictions import Groups, Predictions

SEEDS = 60
ENOUGH = 0.95 - 2 * math.sqrt(0.95 * 0.05 / SEEDS)
RULES = Inference(replicates=400, permutations=400)
SIZES = {"train": 1, "validation": 1, "test": 800, "users": 160}


@functools.cache
def corpus(settings: AssistantSettings) -> tuple[Dataset, list[str]]:
    """The test part and the intent that each utterance was made from; both attributes are measured on the same."""
    return generate(settings).test, clean_labels(settings)["test"]


def oracle(settings: AssistantSettings, attribute: str) -> Predictions:
    """The oracle's answers to the test part, against labels that carry noise."""
    data, clean = corpus(settings)
    return Predictions.of_names(
        data.labels(),
        clean,
        groups=Groups.of_values(data.group(attribute), attribute=attribute),
        units=Units.named(data.user_ids(), what="users"),
        text="assistant, test",
    )


@functools.cache
def measured(attribute: str, label_noise: float, gap: float) -> tuple[Evidence, ...]:
    found = []
    for seed in range(SEEDS):
        settings = AssistantSettings(**SIZES, seed=seed, label_noise=label_noise, label_noise_gap=gap)
        found.append(AccuracyParity().measure(oracle(settings, attribute), subject="oracle", inference=RULES))
    return tuple(found)


def covered(evidence: Evidence, name: str, truth: float, **conditions: str) -> bool:
    interval = evidence.estimate(name, conditions=conditions).interval
    return interval.low <= truth <= interval.high


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "gap"), [(0.01, 0.03), (0.05, 0.1), (0.05, 0.0)], ids=["as shipped", "large", "none"])
def test_the_interval_of_the_gap_covers_the_planted_one(noise: float, gap: float):
    truth = AssistantSettings(label_noise=noise, label_noise_gap=gap).truth().accuracy_difference
    evidence = measured("dialect", noise, gap)
    assert np.mean([covered(e, "accuracy_parity_difference", truth) for e in evidence]) >= ENOUGH
    values = [e.estimate("accuracy_parity_difference").value for e in evidence]
    if gap:
        assert np.mean(values) == pytest.approx(truth, abs=3 * np.std(values) / math.sqrt(SEEDS))


@pytest.mark.slow
def test_the_rates_of_both_dialects_are_covered_at_once():
    truth = AssistantSettings(label_noise=0.05, label_noise_gap=0.1).truth().oracle_accuracy
    held = [all(covered(e, "accuracy", rate, group=name) for name, rate in truth.items()) for e in measured("dialect", 0.05, 0.1)]
    assert np.mean(held) >= ENOUGH


@pytest.mark.slow
def test_a_large_gap_is_found_and_parity_is_not_called_a_gap():
    large = [e.estimate("accuracy_parity_difference") for e in measured("dialect", 0.05, 0.1)]
    assert np.mean([e.conditions["p_value"] < 0.05 for e in large]) > 0.9
    assert np.mean([e.interval.low > 0 for e in large]) > 0.9
    assert np.mean([e.conditions["worst"] == "brin" for e in large]) > 0.95
    control = [e.estimate("accuracy_parity_difference") for e in measured("device", 0.05, 0.1)]
    allowed = 0.05 + 2 * math.sqrt(0.05 * 0.95 / SEEDS)
    assert np.mean([e.conditions["p_value"] < 0.05 for e in control]) <= allowed
    assert np.mean([e.interval.low > 0 for e in control]) <= allowed


def test_the_corpus_as_users_load_it():
    """One split of the embedded corpus: the planted gap of .03 lies within the interval, and the oracle is told as what it is."""
    data = load_data("assistant").test
    clean = clean_labels(AssistantSettings())["test"]
    given = Predictions.of_names(
        data.labels(),
        clean,
        groups=Groups.of_values(data.group("dialect"), attribute="dialect"),
        units=Units.named(data.user_ids(), what="users"),
    )
    evidence = AccuracyParity().measure(given, subject="oracle", inference=Inference())
    truth = AssistantSettings().truth()
    assert covered(evidence, "accuracy_parity_difference", truth.accuracy_difference)
    for name, rate in truth.oracle_accuracy.items():
        assert covered(evidence, "accuracy", rate, group=name)
    ratio = min(truth.oracle_accuracy.values()) / max(truth.oracle_accuracy.values())
    assert covered(evidence, "accuracy_parity_ratio", ratio)
    by_intent = EqualOpportunity().measure(given, subject="oracle", inference=RULES)
    intents = {e.conditions["class"] for e in by_intent.estimates if "group" in e.conditions}
    assert intents == set(given.classes)
