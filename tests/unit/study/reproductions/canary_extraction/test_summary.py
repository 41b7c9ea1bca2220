"""The summary of planted secrets: cells over trainings, defences against none, the question itself, and what is missing."""

from dataclasses import replace

import numpy as np
import pytest
from tests.extracting import DEFENCES, SEEDS, ladder, nothing, records

from holdfast.core.evidence import Estimate, Evidence
from holdfast.report.reproductions.canary_extraction import cells, defences
from holdfast.report.reproductions.canary_extraction.grid import NULL, leaks, secrets
from holdfast.report.reproductions.canary_extraction.reading import hidden
from holdfast.runs import RunRecord
from holdfast.study.reproductions.canary_extraction.intervals import holm
from holdfast.study.reproductions.canary_extraction.summary import summarise, trimmed

RUNS = records(ladder, controls=True)


@pytest.fixture(scope="module")
def found() -> Evidence:
    return summarise(RUNS)


def of_runs(name: str, subject: str, pattern: str | None = None) -> list[list[float]]:
    """A figure of the records themselves, a row for each run of a cell."""
    rows = []
    for record in RUNS:
        if record.name.rsplit("-seed-", 1)[0] == subject:
            own = [one for one in record.evidence.estimates if one.name == name and one.conditions.get("repetitions") != 0]
            rows.append([one.value for one in own if pattern in (None, one.conditions["secret"])])
    return rows


def test_every_cell_is_there_over_all_patterns_and_by_pattern(found: Evidence):
    assert [(cell.repetitions, cell.defence) for cell in cells(found)] == [(copies, one) for copies in (1, 10) for one in DEFENCES]
    assert {cell.trainings for cell in cells(found)} == {len(SEEDS)}
    assert sorted(secrets(found)) == ["call", "color", "pin"]
    assert len(cells(found, secret="pin")) == 2 * len(DEFENCES)
    assert [cell.defence for cell in defences(found)] == list(DEFENCES)


def test_exposure_and_accuracy_are_means_and_the_rank_is_a_median(found: Evidence):
    subject = "n4-r10-dropout"
    assert found.estimate("secret_exposure", subject).value == pytest.approx(np.mean(of_runs("secret_exposure", subject)))
    accuracy = found.estimate("extraction_accuracy", subject)
    hits = of_runs("extraction_accuracy", subject)
    assert accuracy.value == pytest.approx(np.mean(hits))
    assert (accuracy.conditions["found"], accuracy.conditions["secrets"]) == (np.sum(hits), 30)
    ranks = np.array(of_runs("secret_rank", f"{subject}", "pin")).ravel()
    assert found.estimate("secret_rank", f"{subject}-pin").value == np.median(ranks)
    assert found.estimate("secret_rank", subject).value == np.median(np.median(of_runs("secret_rank", subject), axis=1))
    assert found.estimate("extraction_hamming", subject).value == pytest.approx(np.mean(of_runs("extraction_hamming", subject)))
    assert found.estimate("optimiser_gap", subject).value == pytest.approx(np.mean(of_runs("optimiser_gap", subject)))


def test_a_defence_over_all_its_cells_is_the_mean_of_them(found: Evidence):
    parts = [found.estimate("secret_exposure", f"n4-r{copies}-dropout").value for copies in (1, 10)]
    whole = found.estimate("secret_exposure", "dropout")
    assert whole.value == pytest.approx(np.mean(parts))
    assert (whole.n, whole.conditions["cells"], whole.conditions["trainings"]) == (10, 2, 20)
    assert "length" not in whole.conditions


def test_every_figure_lies_in_its_interval_and_no_interval_is_a_point(found: Evidence):
    for one in found.estimates:
        if one.interval is not None and one.name != "stopped_after":
            assert one.interval.low <= one.value <= one.interval.high, one
            assert one.interval.low < one.interval.high or one.name in ("secret_rank", "optimiser_gap"), one


def test_the_difference_to_no_defence_is_paired_by_seed(found: Evidence):
    change = found.estimate("secret_exposure_difference", "n4-r10-dropout")
    one, other = (np.mean(of_runs("secret_exposure", f"n4-r10-{name}"), axis=1) for name in ("dropout", "none"))
    assert change.value == pytest.approx(np.mean(one - other))
    assert (change.unit, change.n, change.conditions["against"]) == ("bits", 10, "none")
    assert found.estimate("secret_exposure_difference", "n4-r10-none") is None
    missing_a_seed = summarise([record for record in RUNS if record.name != "n4-r10-none-seed-4"])
    assert missing_a_seed.estimate("secret_exposure_difference", "n4-r10-dropout").n == 9


def test_p_values_of_the_defences_are_held_together_after_holm(found: Evidence):
    for name in ("secret_exposure_difference", "extraction_accuracy_difference"):
        tested = [found.estimate(name, one) for one in DEFENCES if one != "none"]
        assert [one.conditions["p_value_together"] for one in tested] == holm([one.conditions["p_value"] for one in tested])
        assert {one.conditions["tests"] for one in tested} == {7}
    tests = [found.estimate("knows_nothing_p_value", one) for one in DEFENCES]
    assert "p_value_together" not in tests[0].conditions, "no defence is not a defence"
    assert [one.conditions["p_value_together"] for one in tests[1:]] == holm([one.value for one in tests[1:]])
    assert "p_value_together" not in found.estimate("secret_exposure_difference", "n4-r10-dropout").conditions


def test_what_is_known_is_told_and_what_is_not_known_is_not(found: Evidence):
    assert found.estimate("knows_nothing_p_value", "all-three").value < 1e-6
    assert found.estimate("knows_nothing_p_value", "dp-sgd-1").value > 0.01
    assert leaks(found.estimate("secret_exposure", "none"))
    assert not leaks(found.estimate("secret_exposure", "dp-sgd-1"))


def test_secrets_that_were_never_planted_are_kept_apart(found: Evidence):
    never = found.estimate("secret_exposure", "never planted")
    assert never.conditions["secrets"] == 2 * len(SEEDS)
    assert never.interval.low < NULL < never.interval.high
    assert found.estimate("knows_nothing_p_value", "never planted").value > 0.01
    assert summarise(records(seeds=(1, 2, 3))).estimate("secret_exposure", "never planted") is None


def test_accuracy_hides_a_leak_where_nothing_is_found_and_ranks_are_high():
    def unlucky(defence: str, repetitions: int) -> float:
        return 4.0 if defence == "dropout" else 1.0

    blind = [_never_found(record) for record in records(unlucky, defences=("none", "dropout", "dp-sgd-1"))]
    hidden = summarise(blind).estimate("leaks_without_extraction")
    assert (hidden.value, hidden.conditions["silent"], hidden.conditions["cells"]) == (2.0, 6, 6)


def _never_found(record: RunRecord) -> RunRecord:
    def lost(one: Estimate) -> Estimate:
        return replace(one, value=0.0) if one.name == "extraction_accuracy" else one

    return replace(record, evidence=replace(record.evidence, estimates=tuple(map(lost, record.evidence.estimates))))


def test_measures_that_order_the_cells_alike_agree_and_one_that_never_differs_is_named(found: Evidence):
    agree = found.estimate("accuracy_exposure_correlation")
    assert agree.value > 0.7
    assert agree.interval.low > 0
    missing = summarise([_never_found(record) for record in RUNS]).estimate("accuracy_exposure_correlation")
    assert "same in all cells" in missing.missing
    few = summarise(records(seeds=(1, 2))).estimate("accuracy_exposure_correlation")
    assert "2 seeds over 16 cells" in few.missing


def test_usefulness_does_not_gain_from_trainings_that_share_their_test_examples(found: Evidence):
    for subject in ("n4-r1-none", "none"):
        interval = found.estimate("intent_accuracy", subject).interval
        assert interval.high - interval.low == pytest.approx(0.04)


def test_early_stopping_says_when_and_dp_sgd_what_it_promises(found: Evidence):
    ended = found.estimate("stopped_after", "n4-r1-early-stopping")
    assert ended.value == pytest.approx(np.mean([4 + seed % 3 for seed in SEEDS]))
    assert (ended.interval.low, ended.interval.high) == (4, 6)
    assert found.estimate("stopped_after", "n4-r1-none") is None
    assert found.estimate("epsilon", "n4-r10-dp-sgd-8").value == 8
    assert found.estimate("epsilon", "n4-r10-dp-sgd-8").conditions["kind"] == "proved"


def test_a_study_without_a_base_or_a_search_has_a_summary_too():
    alone = summarise(records(defences=("dropout", "all-three")))
    assert alone.estimate("secret_exposure_difference", "dropout") is None
    unsearched = [_without_search(record) for record in records(defences=("none", "all-three"))]
    found = summarise(unsearched)
    assert found.estimate("extraction_accuracy") is None
    assert found.estimate("secret_exposure", "all-three").value > 0
    assert found.estimate("accuracy_exposure_correlation").missing
    assert found.estimate("leaks_without_extraction").missing == "no search was made for the secrets of any cell"
    assert hidden(found) == ""


def _without_search(record: RunRecord) -> RunRecord:
    kept = tuple(one for one in record.evidence.estimates if one.conditions.get("attack") != "inversion")
    return replace(record, evidence=replace(record.evidence, estimates=kept))


def test_the_summary_says_what_it_does_not_show(found: Evidence):
    notes = " ".join(found.notes)
    assert "their tables were not at hand, so this is no reproduction of their figures" in notes
    assert "a group of R, for which R times the ε is promised" in notes
    assert "7 defences are held against none" in notes
    plain = " ".join(summarise(records(nothing, defences=("none", "dropout"), repetitions=(1,))).notes)
    assert "group of R" not in plain
    assert "defences are held" not in plain


def test_a_trimmed_record_has_means_over_its_secrets_and_keeps_its_promise():
    whole = next(record for record in RUNS if record.name == "n4-r10-dp-sgd-8-seed-2")
    kept = trimmed(whole).evidence
    assert (kept.claims, kept.verdicts) == (whole.evidence.claims, whole.evidence.verdicts)
    exposures = [one.value for one in whole.evidence.estimates if one.name == "secret_exposure"]
    assert kept.estimate("secret_exposure").value == pytest.approx(np.mean(exposures))
    assert len(kept.estimates) == 5
    assert not [one for one in kept.estimates if "truth" in one.conditions]
