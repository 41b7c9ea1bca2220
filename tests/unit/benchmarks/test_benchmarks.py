"""Every benchmark runs with --quick and writes figures that a program can read; the harness times what it says."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"
OTHERS = {"harness.py", "fairness_answers.py"}  # what they share; and answers and shares, not times: its own test reads its tables
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.name not in OTHERS)
KEYS = ["bench", "case", "engine", "metric", "value", "unit", "ratio_to", "ratio", "note"]
SMALLER = {"clipping": ["--tiny", "--threads", "1", "--cases", "bilstm-T16"]}  # its --quick takes minutes and has figures that count


@pytest.fixture(scope="module")
def harness() -> ModuleType:
    spec = importlib.util.spec_from_file_location("holdfast_benchmark_harness", FOLDER / "harness.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_quick_benchmark_writes_one_object_a_line_and_prints_a_table(script: Path, tmp_path: Path):
    done = run(script, "--quick", *SMALLER.get(script.stem, []), "--json", str(tmp_path / "figures.jsonl"))
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:
        assert list(row) == KEYS
        assert row["bench"] == script.stem
        assert row["value"] > 0 or row["unit"] == "share" if row["value"] is not None else row["note"]  # no false alarm is a figure
        assert (row["ratio"] is None) == (row["ratio_to"] == "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["case", "engine", "metric", "value", "ratio", "note"]
    assert len(lines) == len(rows) + 1


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_benchmark_says_what_it_measures(script: Path):
    done = run(script, "--help")
    assert done.returncode == 0
    assert "--quick" in done.stdout
    assert "--json" in done.stdout
    assert "usage" in done.stdout


def test_engines_take_turns_and_the_order_moves(harness: ModuleType):
    order: list[str] = []
    engines = {name: lambda name=name: order.append(name) for name in "abc"}
    timings = harness.interleaved(engines, repeats=2, warm_up=1)
    assert "".join(order) == "abcbcacab"
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2, 2]
    assert list(timings) == ["a", "b", "c"]


def test_a_timing_is_a_median_without_the_warm_up_and_keeps_the_last_result(harness: ModuleType, monkeypatch: pytest.MonkeyPatch):
    clock, durations = [0.0], iter([90.0, 1.0, 7.0, 2.0])  # the first is warm-up

    def work() -> float:
        clock[0] += next(durations)
        return clock[0]

    monkeypatch.setattr(harness.time, "perf_counter", lambda: clock[0])
    timing = harness.interleaved({"worker": work}, repeats=3)["worker"]
    assert timing.seconds == (1.0, 7.0, 2.0)
    assert timing.median == 2.0
    assert timing.result == 100.0


def test_no_round_is_no_timing(harness: ModuleType):
    with pytest.raises(ValueError, match="at least one round"):
        harness.interleaved({"a": dict}, repeats=0)


def test_ratios_compare_like_with_like(harness: ModuleType):
    rows = [
        harness.Row(bench="b", case=case, engine=engine, metric=metric, value=value, unit="s")
        for case, engine, metric, value in [
            ("x", "old", "seconds", 4.0),
            ("x", "new", "seconds", 1.0),
            ("x", "none", "seconds", None),
            ("x", "new", "epsilon", 8.0),
            ("y", "old", "seconds", 0.0),
            ("y", "new", "seconds", 1.0),
        ]
    ]
    found = [(row.ratio_to, row.ratio) for row in harness.compared(rows, "old")]
    assert found == [("old", 1.0), ("old", 0.25), ("", None), ("", None), ("", None), ("", None)]


def test_an_engine_that_is_absent_is_reported_as_such(harness: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    row = harness.Row(bench="b", case="x", engine="opacus", metric="seconds", value=None, unit="s")
    harness.report([row], tmp_path / "figures.jsonl")
    assert json.loads((tmp_path / "figures.jsonl").read_text())["value"] is None
    assert "absent" in capsys.readouterr().out
