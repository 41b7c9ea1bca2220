"""Reading a record: planted secrets apart from controls, the search of least loss, what is missing."""

from dataclasses import replace

import pytest
from tests.extracting import records, secret

from holdfast.core.evidence import Evidence
from holdfast.runs import RunRecord
from holdfast.study.reproductions.canary_extraction.measured import training_of


@pytest.fixture
def record() -> RunRecord:
    return records(defences=("none",), seeds=(3,), repetitions=(10,), controls=True)[0]


def with_secrets(record: RunRecord, *found: list) -> RunRecord:
    return replace(record, evidence=Evidence(estimates=tuple(one for each in found for one in each)))


def test_the_place_in_the_grid_is_read_from_the_settings(record: RunRecord):
    training = training_of(record)
    assert (training.defence, training.place, training.seed) == ("none", (4, 10), 3)
    assert [one.pattern for one in training.planted] == ["call", "pin", "color"]
    assert [one.pattern for one in training.controls] == ["control"]
    assert [one.space for one in training.planted] == [10**4, 10**4, 12**4]
    assert set(training.about) == {"intent_accuracy", "slot_f1"}


def test_the_search_of_least_loss_counts(record: RunRecord):
    misled = secret(record.name, "pin", rank=3, size=10, length=4, copies=10, found=False)
    right = secret(record.name, "pin", rank=3, size=10, length=4, copies=10, found=True, variant="coordinate")[3:]
    for searches in ((misled, right), (misled[:3], right, misled[3:])):
        (found,) = training_of(with_secrets(record, *searches)).planted
        assert (found.figures["extraction_accuracy"], found.figures["optimiser_gap"]) == (1.0, 0.0)
    (alone,) = training_of(with_secrets(record, misled)).planted
    assert alone.figures["extraction_accuracy"] == 0.0


def test_without_gaps_the_first_search_counts(record: RunRecord):
    def blind(**given: object) -> list:
        found = secret(record.name, "pin", rank=3, size=10, length=4, copies=10, **given)
        return [replace(one, value=None, missing="too many fills") if one.name == "optimiser_gap" else one for one in found]

    (found,) = training_of(with_secrets(record, blind(found=False), blind(found=True, variant="gumbel")[3:])).planted
    assert found.figures["extraction_accuracy"] == 0.0
    assert "optimiser_gap" not in found.figures


def test_a_figure_that_one_secret_lacks_has_no_mean(record: RunRecord):
    whole = secret(record.name, "pin", rank=1, size=10, length=4, copies=10, found=True)
    ranked = secret(record.name, "call", rank=4, size=10, length=4, copies=10, found=False)[:3]
    training = training_of(with_secrets(record, whole, ranked))
    assert training.mean("secret_rank", None) == 2.5
    assert training.mean("extraction_accuracy", None) is None
    assert training.mean("extraction_accuracy", "pin") == 1.0
    assert training.mean("extraction_accuracy", "color") is None


def test_a_step_of_the_exposure_is_one_rank(record: RunRecord):
    first, tenth = training_of(
        with_secrets(
            record,
            secret(record.name, "pin", rank=1, size=10, length=4, copies=10, found=True),
            secret(record.name, "call", rank=9, size=10, length=4, copies=10, found=False),
        )
    ).planted
    assert first.step == 1.0
    assert tenth.step == pytest.approx(0.152, abs=1e-3)
    assert first.most == pytest.approx(13.288, abs=1e-3)
