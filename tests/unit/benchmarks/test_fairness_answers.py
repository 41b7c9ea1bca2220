"""Known answers and calibration as tables: what counts as met and as kept, and that either can fail."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def answer(published, ours, places=2):
    from measuring.known import Answer

    return Answer(figure="f", published=published, ours=ours, places=places, how="by hand")


def share(event: str, seen: float, nominal: float = 0.95, worlds: int = 100):
    from measuring.calibration import Share

    return Share(world="w", method="m", event=event, nominal=nominal, share=seen, worlds=worlds)


@pytest.mark.parametrize(
    ("published", "ours", "met"),
    [(1.50, 1.504, True), (1.50, 1.506, False), (-1.0, 0.0, False), (None, None, True), (None, 0.0, False), (0.5, None, False)],
)
def test_an_answer_is_met_to_the_decimals_that_are_known(published: float | None, ours: float | None, met: bool):
    one = answer(published, ours)
    assert one.met is met
    assert (one.difference is None) == (published is None or ours is None)


@pytest.mark.parametrize(
    ("event", "seen", "nominal", "kept"),
    [
        ("covers", 0.89, 0.95, True),
        ("covers", 0.88, 0.95, False),
        ("covers", 1.0, 0.95, True),
        ("rejects", 0.11, 0.05, True),
        ("rejects", 0.12, 0.05, False),
        ("rejects", 0.0, 0.05, True),
    ],
)
def test_a_promise_is_kept_to_within_three_standard_errors(event: str, seen: float, nominal: float, kept: bool):
    assert share(event, seen, nominal).kept is kept


def test_the_error_is_that_of_a_share_and_never_nothing():
    assert share("covers", 0.5).error == pytest.approx(0.05)
    assert share("covers", 1.0).error == pytest.approx(math.sqrt(0.95 * 0.05 / 100))


def test_answers_that_need_no_input_are_met(tmp_path: Path):
    from measuring.known import known_answers

    found = known_answers(tmp_path / "nowhere")
    assert [one.figure for one in found if not one.met] == []
    by_name = {one.figure: one for one in found}
    assert by_name["BBQ, s_dis, every answer anti-stereotyped"].ours == -1.0
    assert by_name["BBQ, s_dis, every answer unknown"].ours is None
    assert by_name["polarity ratio at parity, 60 texts"].ours == pytest.approx(0.8226, abs=1e-4)
    assert by_name["CEAT, variance between, Q below N - 1"].ours == 0.0
    assert len(found) == 15


@pytest.mark.shared
def test_answers_that_need_an_input_are_met(shared_data: Path):
    from measuring.known import known_answers

    found = known_answers(shared_data.parent / "known_answers")
    assert [one.figure for one in found if not one.met] == []
    assert len(found) == 47
    assert sum(one.figure.startswith("WEAT") for one in found) == 21
    assert sum(one.figure.startswith("BBQ") for one in found) == 11


def test_worlds_are_drawn_as_they_say():
    from measuring.calibration import WORLDS

    rng = np.random.default_rng(0)
    members, hits, units = WORLDS["10 groups of 100, one .2 higher"].draw(rng)
    assert members.sum(0).tolist() == [100] * 10
    assert units.single
    assert WORLDS["10 groups of 100, one .2 higher"].gap == pytest.approx(0.2)
    shares = np.mean([WORLDS["2 groups of 25 users, .2 apart"].draw(rng)[1].mean() for _ in range(200)])
    assert shares == pytest.approx(0.4, abs=0.02)
    members, hits, units = WORLDS["3 equal groups of 12 users, 8 rows each"].draw(rng)
    assert units.count == 36 < len(units)
    means = np.bincount(units.of, weights=hits) / np.bincount(units.of)
    assert means.var() > 1.5 * 0.3 * 0.7 / 8  # rows of a user are alike


def test_users_that_hang_together_are_told_apart_from_rows():
    from measuring.calibration import gaps

    found = {one.method: one for one in gaps("2 groups of 25 users, .2 apart", 60)}
    assert set(found) == {
        "rates of all groups, max-T",
        "gap, max-T",
        "gap, percentile bootstrap",
        "gap, percentile bootstrap of rows",
    }
    assert found["gap, percentile bootstrap of rows"].share < found["gap, max-T"].share


def test_percentiles_fail_at_parity_and_max_t_does_not():
    from measuring.calibration import gaps

    found = {one.method: one for one in gaps("3 equal groups of 100", 60)}
    assert found["gap, max-T"].kept
    assert found["permuted labels"].kept
    for method in ("gap, percentile bootstrap", "gap, percentile bootstrap within groups"):
        assert found[method].share < 0.1
        assert not found[method].kept
    assert {one.worlds for one in found.values()} == {60}


def test_permutation_tests_keep_their_size():
    from measuring.calibration import tests

    found = {one.method: one for one in tests(200)}
    assert len(found) == 4
    for method in ("all partitions", "399 drawn partitions", "399 sign flips"):
        assert found[method].kept
        assert found[method].nominal == pytest.approx(0.05)


def test_ceat_as_published_rejects_where_nothing_is():
    from measuring.calibration import contexts

    found = {one.method: one for one in contexts(20)}
    assert not found["CEAT as published, N = 500"].kept
    assert found["CEAT as published, N = 500"].share > 0.6
    assert found["whole words permuted"].share < 0.4


def test_tables_and_lines_of_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    import fairness_answers

    asked = []
    monkeypatch.setattr(fairness_answers, "calibration", lambda worlds: asked.append(worlds) or [share("covers", 0.5)])
    fairness_answers.main(["--quick", "--answers", str(tmp_path / "nowhere"), "--json", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert asked == [fairness_answers.QUICK]
    assert "is not there" in printed
    assert "covers" in printed
    assert "missing" in printed
    rows = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [row["table"] for row in rows] == ["known answers"] * 15 + ["calibration"]
    assert rows[-1] | {"kept": False, "error": 0.05} == rows[-1]


def test_an_answer_that_is_not_met_is_named_at_the_end(monkeypatch: pytest.MonkeyPatch):
    import fairness_answers

    monkeypatch.setattr(fairness_answers, "known_answers", lambda folder: [answer(1.0, 2.0), answer(1.0, 1.0)])
    monkeypatch.setattr(fairness_answers, "calibration", lambda worlds: [])
    with pytest.raises(SystemExit, match=r"not met: f$"):
        fairness_answers.main(["--quick"])


def test_cells():
    from fairness_answers import answer_cells, share_cells

    assert answer_cells([answer(1.5, 1.504), answer(None, None), answer(1.0, 0.0)])[1:] == [
        ("f", "1.5", "1.504", "0.004", "to 2 places", "by hand"),
        ("f", "missing", "missing", "", "yes", "by hand"),
        ("f", "1", "0", "-1", "no", "by hand"),
    ]
    assert share_cells([share("rejects", 0.12, 0.05)])[1] == ("w", "m", "rejects", "0.05", "0.120", "0.032", "100", "no")
