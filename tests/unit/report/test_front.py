"""The first screen says what is known, and never more."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.reporting import RUNS, four_runs, record_of, usefulness

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report import Document, front, gather

Make = Callable[..., Document]


def spaced(text: str) -> str:
    """The text with ordinary blanks and hyphens."""
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NON-BREAKING HYPHEN}", "-")


def tile(document: Document, title: str) -> front.Tile:
    return next(tile for tile in front.tiles(document) if tile.title == title)


def test_what_was_trained_on_what_and_when(four: Document):
    assert front.facts(four) == [
        ("Model", "bilstm, 1.2 million parameters"),
        ("Task", "intent-slot"),
        ("Data", "snips: 13,084 train, 700 validation, 700 test"),
        ("Data hash", "3f9ac1d07be24b7c"),
        ("Trained", "22 November 2026, 17:03 UTC"),
    ]


def test_what_no_record_tells_is_not_made_up():
    facts = front.facts(gather([usefulness(RUNS[0])], title="t"))
    assert {value for _, value in facts} == {"not recorded"}


def test_data_without_splits_and_models_of_two_kinds_are_named():
    one, two = (replace(record_of(RUNS[0]), data={"name": "mine"}, model={"name": kind}) for kind in ("bilstm", "transformer"))
    facts = dict(front.facts(gather([one, two], title="t")))
    assert (facts["Model"], facts["Data"]) == ("bilstm and transformer", "mine")
    assert dict(front.facts(gather([replace(one, model={"model": "bilstm", "hidden": 64})], title="t")))["Model"].startswith("bilstm")


def test_the_sentence_speaks_of_the_strongest_proved_promise(four: Document, promised: Make):
    assert front.lead(four).startswith(
        "Whoever sees the model dp-sgd-eps-2 reaches any given conclusion about one training example at most e^2"
    )
    assert "the model dp-sgd reaches" in front.lead(promised("dp-sgd-eps-2", kind="unproved"))


def test_one_run_is_this_model(alone: Document):
    assert front.lead(alone).startswith("Whoever sees this model reaches")


def test_no_promise_is_told_as_such(unpromised: Document):
    assert front.lead(unpromised) == "Nothing is promised: no run bounds what its model gives away about a single training example."
    assert front.lead(gather([usefulness(RUNS[2])], title="t")).startswith("No promise is on record: no run bounds")


def test_a_contradicted_promise_comes_first_and_in_red(judged: Make):
    document = judged("dp-sgd-eps-2", "contradicted", lower_bound=2.7, detectable=5.5, level=0.95)
    assert front.lead(document) == (
        "The promise of dp-sgd-eps-2 does not hold as stated: an attack found more than it allows (95% confidence)."
    )
    alert = front.alerts(document)[0]
    assert (alert.lead, alert.text, alert.tone) == ("The promise of dp-sgd-eps-2 is contradicted.", "So the attack found.", "bad")
    promise, leakage = tile(document, "Promise"), tile(document, "Measured leakage")
    assert (promise.tone, promise.status) == ("bad", "1 of 3 contradicted")
    assert "the strongest is weak" in promise.text, "a promise that fell is not the strongest"
    assert (leakage.tone, leakage.status) == ("bad", "1 contradicted, 2 not testable")
    assert "proves ε ≥ 2.7" in leakage.text
    assert front.overview(document).rows[3][-1].tone == "bad"


def test_the_only_promise_may_fall(alone: Document, judged: Make):
    verdict = replace(alone.evidence.verdicts[0], outcome="contradicted", level=None)
    document = replace(alone, evidence=replace(alone.evidence, verdicts=(verdict,)))
    assert front.lead(document).endswith("an attack found more than it allows.")
    assert (tile(document, "Promise").status, "None of it stands." in tile(document, "Promise").text) == ("contradicted", True)


@pytest.mark.parametrize("kind", ["conditional", "disputed", "unproved"])
def test_a_promise_that_is_not_proved_shows_its_conditions(promised: Make, kind: str):
    document = promised("dp-sgd", kind=kind, conditions=("the moon is full", "nobody looks"))
    alert = front.alerts(document)[0]
    assert alert.lead == f"The promise of dp-sgd is {kind}."
    assert alert.text == "It holds only if: the moon is full; nobody looks."
    assert tile(document, "Promise").tone == "caution"
    assert front.overview(document).rows[2][1].tone == "caution"


def test_unfinished_runs_and_other_data_are_announced():
    records = four_runs()
    records[1] = replace(records[1], status="interrupted", data={**records[1].data, "content_hash": "0"})
    document = gather(records, title="t")
    assert [alert.lead for alert in front.alerts(document)] == [
        "The run edp-sgd is interrupted.",
        "The runs were trained on different data.",
    ]
    assert front.overview(document).rows[1][0].notes == ("interrupted",)


def test_nothing_is_announced_without_need(four: Document):
    assert front.alerts(four) == []


def test_the_tiles_of_four_runs(four: Document):
    promise, leakage, useful, fairness = front.tiles(four)
    assert spaced(promise.headline) == "ε = 2 to 31.7"
    assert spaced(promise.text).startswith(
        "3 of 4 runs carry a promise. Per example, δ = 1e-5. As a worst-case promise the strongest is moderate:"
    )
    assert (promise.status, promise.tone) == ("proved, very weak to moderate", "caution")
    assert leakage.headline == "AUC 0.517"
    assert leakage.text.startswith("AUC of dp-sgd, the highest of 3 runs with a promise (0.484–0.549); 0.5 is guessing.")
    assert leakage.text.endswith("The attack proves ε ≥ 0; without an error it could have proved 5.5.")
    assert (leakage.status, leakage.tone) == ("1 not contradicted, 2 not testable", "plain")
    assert (useful.headline, useful.text) == ("95.7%", "Intent accuracy of dp-sgd, the best with a promise (93.9–97.0%).")
    assert useful.status == "−2.2 points against non-private"
    assert (fairness.headline, fairness.tone) == ("not measured", "missing")


def test_runs_that_all_promise_are_not_counted_twice(named: Make):
    document = named({"name": "a"}, {"name": "b"})
    assert tile(document, "Promise").text.startswith("All 2 runs carry a promise.")


def test_a_tile_without_evidence_is_grey_and_says_so():
    bare = gather([replace(record_of(RUNS[0]), evidence=Evidence())], title="t")
    for found in front.tiles(bare):
        assert (found.headline, found.tone) == ("not measured", "missing")
    assert tile(gather([record_of(RUNS[0])], title="t"), "Promise").text == "Trained without noise, so nothing is promised."


def test_green_is_for_proved_promises_that_rule_something_out_and_tests_that_could_have_failed(named: Make):
    document = named({"name": "dp-sgd", "epsilon": 1.0})
    assert tile(document, "Promise").tone == "good"
    assert tile(document, "Measured leakage").tone == "good"
    assert tile(named({"name": "dp-sgd", "epsilon": 8.0}), "Promise").tone == "caution"
    assert tile(named({"name": "dp-sgd", "epsilon": 8.0}), "Measured leakage").tone == "plain", "not testable is no success"


def test_leakage_in_one_sentence(four: Document, alone: Document, unpromised: Document):
    opening = "The attack that was run (loss threshold) tells training examples from others with an AUC of"
    assert front.leakage_sentence(four) == (
        f"{opening} 0.595 (0.563–0.627) on non-private and at most 0.517 (0.484–0.549) on the runs with a promise, where 0.5 is guessing."
    )
    assert front.leakage_sentence(alone) == f"{opening} 0.517 (0.484–0.549) on dp-sgd, where 0.5 is guessing."
    assert front.leakage_sentence(unpromised) == f"{opening} 0.595 (0.563–0.627) on non-private, where 0.5 is guessing."
    assert front.leakage_sentence(gather([usefulness(RUNS[0])], title="t")) == "No attack was run, so what leaks was not measured."


def test_of_several_attacks_the_sentence_says_that_it_takes_the_strongest(four: Document):
    area = four.estimate("membership_auc", "dp-sgd")
    assert area is not None
    more = replace(area, value=0.7, interval=None, conditions={"attack": "LiRA"})
    document = replace(four, evidence=replace(four.evidence, estimates=(*four.evidence.estimates, more)))
    assert front.leakage_sentence(document).startswith("The strongest of the attacks that were run tells")
    assert "at most 0.7 on the runs with a promise" in front.leakage_sentence(document)


def test_the_overview_has_a_row_for_each_run(four: Document):
    table = front.overview(four)
    assert table.columns == (
        "Run",
        "Promise",
        "Intent accuracy",
        "Slot F1",
        "Attack AUC",
        "Seconds per epoch",
        "Verdict on the promise",
    )
    texts = [[spaced(cell.text) for cell in row] for row in table.rows]
    assert texts[0] == ["non-private", "none", "97.9%", "93.1%", "0.595", "4.11 s", "no promise"]
    assert texts[3] == ["dp-sgd-eps-2", "ε = 2", "92.6%", "77.8%", "0.506", "6.8 s", "not contradicted"]
    assert [cell.run for cell, *_ in table.rows] == [0, 1, 2, 3]
    assert spaced(table.rows[1][1].notes[0]) == "δ = 1e-5, proved"
    assert table.rows[2][5].notes == ("1.67×",)
    assert "Poisson sampling with probability 512/13084" in table.rows[1][1].hint
    assert "Source: Wilson 1927" in table.rows[0][2].hint
    assert "under a time how many times that of non-private" in table.text


def test_the_overview_of_one_run_compares_with_nothing(alone: Document):
    table = front.overview(alone)
    assert table.title == "The run"
    assert table.rows[0][5].notes == ()
    assert "how many times" not in table.text


def test_a_run_that_was_not_tested_says_so(four: Document):
    document = replace(four, evidence=replace(four.evidence, verdicts=()))
    assert [row[-1].text for row in front.overview(document).rows] == ["no promise", "not tested", "not tested", "not tested"]
    assert tile(document, "Measured leakage").status == "not tested"


def test_canaries_that_were_guessed_stand_on_the_first_screen(four: Document):
    fields = {"unit": "share", "direction": "lower is better"}
    guessed = [
        Estimate(name="one_run_accuracy", subject=name, value=right / 60, conditions={"guessed": 60, "correct": right}, **fields)
        for name, right in (("non-private", 60), ("dp-sgd", 32))
    ]
    document = replace(four, evidence=four.evidence + Evidence(estimates=tuple(guessed)))
    said = front.leakage_sentence(document)
    assert said.startswith(front.leakage_sentence(four))
    assert said.endswith("it was guessed rightly 60 of 60 on non-private and 32 of 60 on dp-sgd, where half is guessing.")
