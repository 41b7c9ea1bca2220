"""The benchmark of fairness: one job for all engines, engines that find the same numbers, turns, and what they say made into rows."""

import dataclasses
import json
import stat
import sys
import textwrap
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"
PAIRS = {
    "more": np.array(["the women are late at work .", "she is always kind , they say .", "a b"]),
    "less": np.array(["the men are late at work .", "he is always kind , they say .", "a c"]),
    "kind": np.array(["gender"] * 3),
}


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def job(case: str, *, amount: int = 100, variant: str = "", arrays=None):
    from measuring.inputs import INPUTS
    from measuring.jobs import Job

    given = PAIRS if case == "crows-pairs" and arrays is None else arrays
    return Job(case=case, amount=amount, variant=variant, arrays=INPUTS[case](True) if given is None else given)


def found(work) -> np.ndarray:
    return np.asarray(work.values(work.run()), dtype=float).ravel()


def told(**changes):
    from measuring.host import Told

    return Told(**({"seconds": (1.0, 3.0, 2.0), "cpu": (0.5, 0.5, 1.5), "values": (0.5, 0.25), "amount": 10, "note": "numpy"} | changes))


@pytest.mark.parametrize("case", ["weat-1e6", "rates-bootstrap", "crows-pairs"])
def test_a_job_is_read_as_it_was_written(case: str, tmp_path: Path):
    from measuring.jobs import Job

    written = job(case, amount=7, variant="alone")
    written.save(tmp_path / "job.npz")
    again = Job.load(tmp_path / "job.npz")
    assert (again.case, again.amount, again.variant) == (case, 7, "alone")
    assert list(again.arrays) == list(written.arrays)
    for name, array in written.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


def test_inputs_have_the_sizes_of_the_cases():
    from measuring.inputs import INPUTS

    rows = INPUTS["rates-bootstrap"](False)
    assert {name: len(array) for name, array in rows.items()} == dict.fromkeys(("group", "y_true", "y_pred", "score"), 100_000)
    assert len(np.unique(rows["group"])) == 10
    assert [array.shape for array in INPUTS["weat-exact-12870"](False).values()] == [(8, 300)] * 4
    assert [array.shape for array in INPUTS["weat-1e6"](False).values()] == [(25, 300)] * 4


def test_sentences_are_made_up_where_the_real_ones_are_not_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from measuring import inputs

    monkeypatch.setattr(inputs, "SHARED", tmp_path)
    drawn = inputs.pairs(20)
    assert inputs.are_made_up(drawn)
    assert not inputs.are_made_up(PAIRS)
    assert not inputs.are_made_up(inputs.words(2))
    for more, less in zip(drawn["more"], drawn["less"], strict=True):
        assert more.split()[1:] == less.split()[1:]
        assert (more.split()[0], less.split()[0]) == ("women", "men")
    assert len(set(drawn["more"])) > 10


@pytest.mark.shared
def test_the_real_sentences_are_all_there(shared_data: Path):
    from measuring.inputs import INPUTS, are_made_up

    real = INPUTS["crows-pairs"](False)
    assert len(real["more"]) == 1_508
    lengths = [np.mean([len(text.split()) for text in part]) for part in (real["more"][:40], real["more"])]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.2)  # the part that others do is like the whole
    assert not are_made_up(real)


@pytest.mark.parametrize("variant", ["metric", "alone"])
@pytest.mark.parametrize("case", ["weat-exact-12870", "weat-1e6", "rates-bootstrap", "auc-bootstrap", "crows-pairs"])
def test_ours_finds_what_the_loop_finds(case: str, variant: str):
    from measuring import engine_holdfast, engine_loop
    from measuring.host import EXACT, ROUNDED, TOLERANCE

    ours = found(engine_holdfast.maker(job(case, variant=variant)))
    theirs = found(engine_loop.maker(job(case, amount=2)))
    assert np.ptp(theirs) > 0 or len(theirs) == 1
    assert len(theirs) > 0
    np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=TOLERANCE if case in ROUNDED else EXACT)


def test_the_whole_work_is_evidence_and_the_part_alone_is_not():
    from measuring import engine_holdfast

    from holdfast.core.evidence import Evidence

    assert isinstance(engine_holdfast.maker(job("weat-exact-12870", variant="metric")).run(), Evidence)
    assert all(isinstance(one, Evidence) for one in engine_holdfast.maker(job("rates-bootstrap", variant="metric")).run())
    assert not isinstance(engine_holdfast.maker(job("weat-exact-12870", variant="alone")).run(), Evidence)


def test_the_exact_case_is_exact_and_the_other_is_not():
    from measuring import engine_holdfast, inputs

    exact = engine_holdfast.maker(job("weat-exact-12870", amount=12_870, variant="alone")).run()
    drawn = engine_holdfast.maker(job("weat-1e6", amount=5_000, variant="alone")).run()
    assert (exact.exact, exact.partitions) == (True, 12_870)
    assert (drawn.exact, drawn.partitions) == (False, 5_000)
    assert exact.p_value == pytest.approx(drawn.p_value, abs=0.02)
    assert len(inputs.words(8)["x"]) == 8


def test_the_loop_over_all_partitions_is_the_exact_test():
    from measuring import engine_holdfast, engine_loop, inputs

    words = inputs.words(4)
    statistic, p_value = engine_loop.maker(job("weat-exact-12870", amount=70, arrays=words)).run()
    exact = engine_holdfast.maker(job("weat-exact-12870", amount=100, variant="alone", arrays=words)).run()
    assert exact.partitions == len(list(combinations(range(8), 4))) == 70
    assert p_value == pytest.approx(exact.p_value, abs=1e-12)
    assert statistic != 0


def test_replicates_are_as_many_as_asked_for():
    from measuring import engine_holdfast

    values, drawn = engine_holdfast.maker(job("rates-bootstrap", amount=120, variant="alone")).run()
    assert drawn.shape == (120, values.size)
    areas = engine_holdfast.maker(job("auc-bootstrap", amount=120, variant="alone")).run()
    assert areas.by_group["subgroup_auc"].shape == (120, 10)


def test_a_pair_is_scored_by_its_shared_words_alone():
    """Another word that only one sentence has changes what the others are worth, but is in no sum itself."""
    from measuring import engine_loop

    scores = found(engine_loop.maker(job("crows-pairs", amount=3))).reshape(3, 2)
    assert (scores < 0).all()
    assert scores[2, 0] > scores[0, 0]  # one shared word against six


def test_engines_with_other_numbers_are_named():
    from measuring.host import disagreeing

    near, far = told(values=(0.5, 0.25 + 5e-4)), told(values=(0.5, 0.3))
    assert list(disagreeing("rates-bootstrap", {"holdfast": told(), "loop": near, "fairlearn": told(values=(0.5,))})) == ["loop"]
    assert list(disagreeing("crows-pairs", {"holdfast": told(), "loop": near})) == []  # scores there are rounded
    wrong = disagreeing("crows-pairs", {"holdfast": told(), "loop": far, "nan": told(values=(np.nan, 0.25))})
    assert list(wrong) == ["loop", "nan"]
    assert "0.05 from those of holdfast" in wrong["loop"]
    assert disagreeing("crows-pairs", {}) == {}


def test_an_engine_without_numbers_cannot_be_compared():
    from measuring.host import furthest

    with pytest.raises(ValueError, match="gave no number"):
        furthest([], [1.0])


def rows(said, notes=None, **options):
    from measuring.host import rows_of
    from measuring.jobs import CASES

    case = dataclasses.replace(CASES["weat-1e6"], goal=2.0)
    made = rows_of("weat-1e6", case, said, notes or {}, **({"ours": ["holdfast", "holdfast, test alone"]} | options))
    return {(row.engine, row.metric): row for row in made}


def test_rows_compare_seconds_for_as_many_partitions():
    made = rows({"holdfast": told(amount=1000), "holdfast, test alone": told(amount=2000, seconds=(1.0, 1.0)), "loop": told(amount=10)})
    assert made["holdfast", "seconds"].value == 2.0
    assert made["holdfast", "seconds"].ratio is None
    each = "seconds per 1,000 partitions"
    assert made["holdfast", each].value == 2.0
    assert made["loop", each].value == 200.0
    assert (made["loop", each].ratio_to, made["loop", each].ratio) == ("holdfast, test alone", 400.0)
    assert made["loop", each].note == "10 partitions a turn"
    assert {row.bench for row in made.values()} == {"fairness"}
    cpu = made["loop", "CPU " + each]
    assert (cpu.value, cpu.ratio) == (50.0, 200.0)
    assert made["loop", "CPU seconds"].note == "median of 3, 0.5 to 1.5"


def test_rows_say_whether_the_goal_is_held():
    slow = told(seconds=(2.5,), cpu=(2.5,), note="")
    made = rows({"holdfast": told(), "holdfast, test alone": slow, "loop": slow})
    assert made["holdfast", "seconds"].note == "goal 2 s: held; numpy; median of 3, 1 to 3"
    assert made["holdfast, test alone", "seconds"].note == "goal 2 s: missed; once"
    assert made["loop", "seconds"].note == "once"
    assert "goal" not in rows({"holdfast": told()}, goals=False)["holdfast", "seconds"].note


def test_an_engine_that_said_nothing_has_a_row_with_the_reason():
    made = rows({"loop": told()}, {"wefe": "no environment", "loop": "known"}, ours=[])
    assert (made["wefe", "seconds"].value, made["wefe", "seconds"].note) == (None, "no environment")
    assert made["loop", "seconds per 1,000 partitions"].ratio_to == "loop"


def engine(folder: Path, script: str):
    """An engine whose Python is a script that says what it likes."""
    from measuring.host import EngineProcess

    python = folder / "python"
    python.write_text(f"#!{sys.executable}\nimport json, os, sys\n{textwrap.dedent(script)}")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return EngineProcess("said", python, folder / "job.npz", folder / "out", 1)


SPOKEN = """
assert sys.argv[1:3] == ["-m", "measuring.engine_said"]
assert os.environ["OMP_NUM_THREADS"] == "1"
print(json.dumps({"event": "ready"}), flush=True)
for number in range(3):
    assert sys.stdin.readline() == "go\\n"
    print(json.dumps({"event": "turn", "seconds": 1.0 + number, "cpu_seconds": 0.5}), flush=True)
assert sys.stdin.readline() == "answer\\n"
print(json.dumps({"event": "answer", "values": [1, 2], "amount": 5, "note": "said"}), flush=True)
"""


def test_what_an_engine_says_is_read(tmp_path: Path):
    from measuring.host import in_turn

    one = engine(tmp_path, SPOKEN)
    try:
        assert in_turn({"said": one}, 3) == {}
        said = one.told(1)
    finally:
        one.close()
    assert (said.seconds, said.cpu, said.values, said.amount, said.note) == ((2.0, 3.0), (0.5, 0.5), (1.0, 2.0), 5, "said")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("sys.exit('it has no wheel')", "it has no wheel"),
        ("print('{}')", "ended without a word"),
        ('print(json.dumps({"event": "ready"}), flush=True)\nraise ValueError("lost")', "lost"),
    ],
)
def test_an_engine_that_fails_leaves_the_others_running(tmp_path: Path, script: str, why: str):
    from measuring.host import in_turn

    (tmp_path / "good").mkdir()
    engines = {"bad": engine(tmp_path, script), "good": engine(tmp_path / "good", SPOKEN)}
    try:
        failed = in_turn(engines, 3)
    finally:
        for one in engines.values():
            one.close()
    assert list(failed) == ["bad"]
    assert why in failed["bad"]
    assert len(engines["good"].seconds) == 3


def test_turns_move_by_one(tmp_path: Path):
    from measuring.host import in_turn

    order = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def start(self) -> None:
            order.append(self.name.upper())

        def turn(self) -> None:
            order.append(self.name)

    assert in_turn({name: Named(name) for name in "abc"}, 3) == {}
    assert "".join(order) == "ABCabcbcacab"


def test_a_real_engine_serves_its_turns(tmp_path: Path):
    from measuring.host import EngineProcess

    one = job("weat-1e6", amount=50)
    one.save(tmp_path / "job.npz")
    process = EngineProcess("loop", Path(sys.executable), tmp_path / "job.npz", tmp_path / "out", 1)
    try:
        process.start()
        process.turn()
        process.turn()
        said = process.told(1)
    finally:
        process.close()
    assert len(said.seconds) == 1
    assert 0 < said.cpu[0] < 5
    assert said.seconds[0] > 0
    assert said.amount == 50
    from measuring import engine_loop

    assert said.values == pytest.approx(tuple(found(engine_loop.maker(one))))


def test_others_take_part_where_they_can():
    import fairness
    from measuring.jobs import CASES

    everybody = ["holdfast", "loop", "wefe", "fairlearn"]
    names = {case: [row for row, _, _ in fairness.variants(CASES[case], everybody)] for case in CASES}
    assert names["weat-1e6"] == ["holdfast", "holdfast, test alone", "loop", "wefe"]
    assert names["rates-bootstrap"] == ["holdfast, three metrics", "holdfast, replicates alone", "loop", "fairlearn"]
    assert names["auc-bootstrap"] == ["holdfast, metric", "holdfast, replicates alone", "loop"]
    assert names["crows-pairs"] == ["holdfast", "loop"]
    assert list(fairness.variants(CASES["weat-1e6"], ["wefe"])) == [("wefe", "wefe", "")]


def test_goals_are_those_that_were_set():
    from measuring import CASE_NAMES
    from measuring.jobs import CASES

    assert tuple(CASES) == CASE_NAMES
    assert {name: case.goal for name, case in CASES.items()} == dict(zip(CASE_NAMES, (0.05, 3, 0.1, 10, 180), strict=True))
    assert CASES["weat-exact-12870"].amount("holdfast") == 12_870
    assert CASES["weat-exact-12870"].amount("loop") == 2_000


def test_the_command_line():
    import fairness

    plain = fairness.read([])
    assert plain.engine == ["holdfast", "loop", "wefe", "fairlearn"]
    assert (plain.turns, plain.threads, len(plain.case)) == (None, 1, 5)
    assert fairness.read(["--engine", "loop, holdfast,loop"]).engine == ["holdfast", "loop"]
    quick = fairness.case_of("crows-pairs", fairness.read(["--quick"]))
    assert (quick.turns, quick.whole, quick.parts) == (1, 12, {"loop": 2})
    assert fairness.case_of("weat-1e6", fairness.read(["--turns", "5"])).turns == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "loop,aif360"], "aif360: give some of holdfast,loop,wefe,fairlearn"),
        (["--engine", ","], "none: give some of"),
        (["--turns", "0"], "0: give a whole number from 1 on"),
        (["--threads", "1.5"], "1.5: give a whole number"),
        (["--case", "weat"], "invalid choice: 'weat'"),
        (["--make-env", "loop"], "invalid choice: 'loop'"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    import fairness

    with pytest.raises(SystemExit):
        fairness.read(arguments)
    assert said in capsys.readouterr().err


def test_peers_run_in_their_own_environments(tmp_path: Path):
    from measuring import PEERS
    from measuring.environments import REQUIREMENTS, missing, python_of

    assert python_of("loop", tmp_path) == Path(sys.executable)
    assert python_of("wefe", tmp_path) is None
    assert "--make-env wefe" in missing("wefe")
    there = tmp_path / "wefe" / "bin" / "python"
    there.parent.mkdir(parents=True)
    there.touch()
    assert python_of("wefe", tmp_path) == there
    for name in PEERS:
        pins = [line for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines() if line and not line.startswith("#")]
        assert pins
        assert all("==" in pin for pin in pins)


def test_an_environment_is_made_of_the_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from measuring import environments

    made, ran = [], []
    monkeypatch.setattr(environments.venv, "create", lambda folder, **options: made.append(folder))
    monkeypatch.setattr(environments.subprocess, "run", lambda command, check: ran.append(command))
    command = environments.make("fairlearn", tmp_path)
    assert made == [tmp_path / "fairlearn"]
    assert ran == [command]
    assert command[-2:] == ["-r", str(environments.REQUIREMENTS / "fairlearn.txt")]


def test_a_case_from_the_command_line_to_lines_of_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    import fairness

    given = [
        "fairness",
        "--quick",
        "--case",
        "weat-1e6",
        "--engine",
        "loop,wefe",
        "--envs",
        str(tmp_path),
        "--json",
        str(tmp_path / "rows"),
    ]
    monkeypatch.setattr(sys, "argv", given)
    fairness.main()
    written = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [(row["engine"], row["metric"]) for row in written] == [
        ("loop", "seconds"),
        ("loop", "seconds per 1,000 partitions"),
        ("loop", "CPU seconds"),
        ("loop", "CPU seconds per 1,000 partitions"),
        ("wefe", "seconds"),
    ]
    assert written[0]["value"] > 0
    assert written[4]["value"] is None
    assert "--make-env wefe" in capsys.readouterr().out


def test_words_lean_and_so_there_is_something_to_find():
    from measuring import engine_holdfast

    assert found(engine_holdfast.maker(job("weat-exact-12870", amount=12_870, variant="alone")))[0] > 0
