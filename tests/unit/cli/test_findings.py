"""What an audit found, as lines: one table for each kind of attack, and no figure twice."""

from holdfast.cli.terminal.findings import words
from holdfast.core.evidence import Estimate, Evidence, Interval


def estimate(name, value, *, unit="share", interval=None, **conditions):
    band = None if interval is None else Interval(low=interval[0], high=interval[1], level=0.95, method="t")
    return Estimate(name=name, subject="run", value=value, unit=unit, direction="neither", interval=band, conditions=conditions)


def secret(name, rank, **figures):
    shared = {"attack": "canary", "secret": name, "length": 4, "candidates": 10, "repetitions": 5, "space": 10_000}
    found = [estimate("secret_rank", rank, unit="rank", **shared)]
    return [*found, *(estimate(f"secret_{key}", value, **shared) for key, value in figures.items())]


def search(name, accuracy, **figures):
    known = {"attack": "inversion", "secret": name, "variant": "softmax", "queries": 4800, "found": "one two", "truth": "one two"}
    found = [estimate("extraction_accuracy", accuracy, **known)]
    return [*found, *(estimate(key, value, **known) for key, value in figures.items())]


def test_a_row_for_each_secret_with_its_own_figures():
    found = Evidence(estimates=(*secret("pin", 3.0, exposure=11.7, p_value=3e-4), *secret("call", 5000.0, exposure=1.0)))
    head, pin, call, *rest = "\n".join(words(found)).splitlines()
    assert head.split()[:4] == ["secret", "words", "planted", "rank"]
    assert pin.split() == ["pin", "4", "5", "3", "of", "10,000", "11.7", "0.0003", "-"]
    assert call.split() == ["call", "4", "5", "5,000", "of", "10,000", "1", "-", "-"]
    assert rest == ["no promise to test: the run was trained without noise"]


def test_a_row_for_each_search():
    found = Evidence(estimates=(*search("pin", 1.0, extraction_hamming=0.0, optimiser_gap=0.25, random_search_accuracy=0.0),))
    head, row = "\n".join(words(found)).splitlines()
    assert head.startswith("secret  search")
    assert row.split() == ["pin", "softmax", "one", "two", "4,800", "1", "0", "0.25", "0"]


def test_rounds_and_what_stands_in_no_table():
    known = {"attack": "gradient", "method": "subspace", "target": "client", "batch_size": 2, "cohort": 1, "noise_multiplier": 0.0}
    found = Evidence(
        estimates=(
            estimate("token_f1", 0.9, interval=(0.8, 1.0), **known),
            estimate("token_recall", 0.85, **known),
            estimate("gradient_rank", 12.0, unit="rank", **known),
        )
    )
    head, row, line = "\n".join(words(found)).splitlines()
    assert head.split()[:2] == ["reads", "words"]
    assert row.split() == ["subspace", "client", "2", "1", "-", "0.0", "0.9", "[0.8,", "1]", "-", "0.85", "-"]
    assert line == "gradient rank (gradient): 12"
