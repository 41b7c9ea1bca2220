"""The benchmark of federated rounds: one job for all engines, a loop that trains what ours trains, and what engines say made into rows."""

import dataclasses
import json
import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def tiny_job(case: str, rounds: int = 3, **changes: object):
    from federation.jobs import SHAPES, TINY
    from federation.ours import job_of

    return job_of(dataclasses.replace(SHAPES[case], **(TINY | changes)), rounds)


def told(**changes: object):
    from federation.host import Told

    base = {"cpu": (1.0, 3.0, 2.0), "wall": (2.0, 2.0, 2.0), "first_cpu": 5.0, "startup_wall": 4.0, "startup_cpu": 3.0, "memory": 100.0}
    return Told(**(base | {"weights": [np.zeros(2)]} | changes))


@pytest.mark.parametrize("case", ["bag-163k", "transformer-0.4M", "cached-head"])
def test_a_job_is_read_as_it_was_written(case: str, tmp_path: Path):
    from federation.jobs import Job

    job = tiny_job(case)
    job.save(tmp_path / "job.npz")
    again = Job.load(tmp_path / "job.npz")
    assert (again.shape, again.rounds) == (job.shape, 3)
    for name in ("words_NT", "labels_N", "orders"):
        np.testing.assert_array_equal(getattr(again, name), getattr(job, name))
    for name in ("weights", "encoder"):
        for mine, other in zip(getattr(again, name), getattr(job, name), strict=True):
            np.testing.assert_array_equal(mine, other)
    assert bool(job.encoder) == (case == "cached-head")


def test_sizes_are_those_of_the_cases():
    from federation.jobs import SHAPES
    from federation.ours import module_of

    counts = {name: sum(value.numel() for value in module_of(shape).parameters() if value.requires_grad) for name, shape in SHAPES.items()}
    assert counts == {"bag-163k": 163_412, "transformer-0.4M": 422_740, "cached-head": 2_580}
    bag = SHAPES["bag-163k"]
    assert (bag.clients, bag.examples, bag.length, bag.batch, bag.learning_rate) == (100, 40, 20, 8, 0.5)
    assert SHAPES["transformer-0.4M"].clients == 40


def test_orders_are_another_one_for_each_client_and_round():
    job = tiny_job("bag-163k", rounds=2, examples=30)
    assert job.orders.shape == (2, 3, 30)
    np.testing.assert_array_equal(np.sort(job.orders, 2), np.broadcast_to(np.arange(30), (2, 3, 30)))
    assert len({row.tobytes() for row in job.orders.reshape(6, 30)}) == 6
    assert set(job.rows(1, 2)) == set(range(60, 90))


def test_labels_can_be_learned_and_no_text_holds_the_unknown_word():
    from federation.jobs import SHAPES, texts

    words_NT, labels_N = texts(SHAPES["bag-163k"])
    assert words_NT.min() == 1
    assert np.bincount(labels_N, minlength=20).min() > 50
    again_NT, _ = texts(SHAPES["bag-163k"])
    np.testing.assert_array_equal(words_NT, again_NT)


@pytest.mark.parametrize("case", ["bag-163k", "transformer-0.4M", "cached-head"])
@pytest.mark.parametrize("cached", [False, True])
def test_the_plain_models_say_what_ours_say(case: str, cached: bool):
    from federation.nets import inputs_of, net_of, travelling
    from federation.ours import workload_of

    job = tiny_job(case)
    workload, net = workload_of(job), net_of(job, cached=cached)
    inputs, _ = inputs_of(job, cached=cached)
    batch = workload.task.collate(workload.encoded, np.arange(5))
    with torch.no_grad():
        torch.testing.assert_close(net(inputs[:5]), workload.module(batch.features).sentence_BK)
    assert [tuple(value.shape) for value in travelling(net).values()] == [tuple(value.shape) for value in workload.weights().values()]


@pytest.mark.parametrize("cached", [False, True])
def test_the_loop_leaves_a_frozen_encoder_as_it_is(cached: bool):
    from federation.engine_loop import Loop

    job = tiny_job("cached-head")
    loop = Loop(job, cached=cached)
    loop.round(0)
    assert [tuple(value.shape) for value in loop.weights.values()] == [value.shape for value in job.weights]
    assert not torch.equal(loop.weights["head.weight"], torch.from_numpy(job.weights[0]))
    if not cached:
        for value, first in zip(loop.net.encoder.parameters(), job.encoder, strict=True):
            torch.testing.assert_close(value, torch.from_numpy(first), rtol=0, atol=0)


def test_a_loop_of_one_client_and_one_batch_is_one_step_of_gradient_descent():
    from federation.engine_loop import Loop

    job = tiny_job("bag-163k", clients=1, batch=10)
    loop = Loop(job, cached=False)
    weights = [value.clone().requires_grad_() for value in loop.weights.values()]
    words, labels = torch.from_numpy(job.words_NT), torch.from_numpy(job.labels_N)
    hidden = torch.relu(weights[0][words].mean(1) @ weights[1].T + weights[2])
    torch.nn.functional.cross_entropy(hidden @ weights[3].T + weights[4], labels).backward()
    loop.round(0)
    for value, first in zip(loop.weights.values(), weights, strict=True):
        torch.testing.assert_close(value, first.detach() - 0.5 * first.grad)


@pytest.mark.parametrize("kernel", ["auto", "stacked", "sequential"])
@pytest.mark.parametrize("case", ["bag-163k", "transformer-0.4M", "cached-head"])
def test_ours_trains_what_the_loop_trains(case: str, kernel: str):
    from federation.engine_holdfast import Ours
    from federation.engine_loop import Loop
    from federation.host import furthest

    job = tiny_job(case)
    loop, ours = Loop(job, cached=False), Ours(job, kernel=kernel)
    for number in range(job.rounds):
        loop.round(number)
        ours.round(number)
    trained = [value.numpy() for value in ours.weights.values()]
    assert furthest(trained, [value.numpy() for value in loop.weights.values()]) < 1e-5
    assert furthest(trained, job.weights) > 1e-2


def test_the_order_of_batches_matters_for_the_comparison():
    """Else weights would agree whatever order an engine takes, and the check of the orders would be none."""
    from federation.engine_loop import Loop
    from federation.host import TOLERANCE, furthest

    job = tiny_job("bag-163k")
    turned = dataclasses.replace(job, orders=job.orders[:, :, ::-1].copy())
    loops = [Loop(one, cached=False) for one in (job, turned)]
    for loop in loops:
        loop.round(0)
    mine, other = ([value.numpy() for value in loop.weights.values()] for loop in loops)
    assert furthest(mine, other) > TOLERANCE


def test_furthest_is_beside_the_largest_weight():
    from federation.host import furthest

    assert furthest([np.array([1.0, 2.0])], [np.array([1.0, 2.5])]) == pytest.approx(0.2)
    assert furthest([np.array([0.1])], [np.array([0.3])]) == pytest.approx(0.2)
    for broken in (np.array([np.nan]), np.zeros(2)):
        with pytest.raises(ValueError, match="cannot be compared"):
            furthest([broken], [np.zeros(1)])


def test_ratios_are_medians_round_by_round():
    from federation.host import rows_of

    rows = rows_of("x", {"holdfast": told(), "loop": told(cpu=(4.0, 6.0, 10.0), memory=None)}, {}, ratio_to="holdfast")
    found = {(row.engine, row.metric): row for row in rows}
    cpu = found["loop", "cpu_seconds_per_round"]
    assert (cpu.value, cpu.ratio, cpu.ratio_to) == (6.0, 4.0, "holdfast")  # of 4, 2 and 5
    assert cpu.note == "median of 3 rounds, 4 to 10"
    assert found["loop", "startup_seconds"].ratio == 1.0
    assert ("loop", "resident_memory") not in found
    assert found["holdfast", "resident_memory"].value == 100.0
    assert {row.bench for row in rows} == {"federated"}


def test_an_engine_that_said_nothing_has_a_row_with_the_reason():
    from federation.host import rows_of

    rows = rows_of("x", {"loop": told()}, {"flower": "no environment", "loop": "busy"}, ratio_to="holdfast")
    assert rows[-1].engine == "flower"
    assert (rows[-1].value, rows[-1].note, rows[-1].ratio_to) == (None, "no environment", "")
    assert rows[0].note == "median of 3 rounds, 1 to 3; busy"
    assert all(row.ratio is None for row in rows)


def test_an_engine_with_other_weights_is_not_compared():
    import federated

    right, wrong = federated.checked({"holdfast": told(), "loop": told(weights=[np.full(2, 1e-5)]), "pfl": told(weights=[np.ones(2)])})
    assert list(right) == ["holdfast", "loop"]
    assert [(one.engine, one.base) for one in wrong] == [("pfl", "holdfast")]
    assert "its weights are 1 from those of holdfast" in str(wrong[0])


def test_on_a_frozen_encoder_others_run_with_its_vectors_and_without():
    import federated

    assert list(federated.variants("cached-head", ["holdfast", "pfl"])) == [
        ("holdfast", "holdfast", "plain"),
        ("holdfast, simulate", "holdfast", "simulated"),
        ("pfl", "pfl", "plain"),
        ("pfl, cached features", "pfl", "cached"),
    ]
    assert list(federated.variants("bag-163k", ["loop"])) == [("loop", "loop", "plain")]


def test_the_command_line():
    import federated

    plain = federated.read([])
    assert plain.engine == ["holdfast", "loop", "pfl", "flower"]
    assert plain.rounds == 15
    assert "select-1e7" in plain.case
    assert "population-1e7" in plain.case
    assert federated.read(["--quick"]).rounds == 2
    assert federated.read(["--engine", "loop, holdfast,loop"]).engine == ["holdfast", "loop"]
    assert federated.read(["--case", "bag-163k", "--rounds", "4"]).case == ["bag-163k"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "loop,ray"], "ray: give some of holdfast,loop,pfl,flower"),
        (["--engine", ","], "none: give some of"),
        (["--rounds", "0"], "0 rounds: give a whole number from 1 on"),
        (["--rounds", "1.5"], "1.5 rounds"),
        (["--case", "bag"], "invalid choice: 'bag'"),
        (["--make-env", "loop"], "invalid choice: 'loop'"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    import federated

    with pytest.raises(SystemExit):
        federated.read(arguments)
    assert said in capsys.readouterr().err


def test_peers_run_in_their_own_environments(tmp_path: Path):
    from federation import PEERS
    from federation.environments import REQUIREMENTS, missing, python_of

    assert python_of("loop", tmp_path) == Path(sys.executable)
    assert python_of("flower", tmp_path) is None
    assert "--make-env flower" in missing("flower")
    there = tmp_path / "flower" / "bin" / "python"
    there.parent.mkdir(parents=True)
    there.touch()
    assert python_of("flower", tmp_path) == there
    for name in PEERS:
        pins = [line for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines() if line and not line.startswith("#")]
        assert pins
        assert all("==" in pin for pin in pins)


def test_an_environment_is_made_with_the_torch_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from federation import environments

    made, ran = [], []
    monkeypatch.setattr(environments.venv, "create", lambda folder, **options: made.append(folder))
    monkeypatch.setattr(environments.subprocess, "run", lambda command, check: ran.append(command))
    command = environments.make("pfl", tmp_path)
    assert made == [tmp_path / "pfl"]
    assert ran == [command]
    assert f"torch=={torch.__version__.partition('+')[0]}" in command
    assert command[-2:] == ["-r", str(environments.REQUIREMENTS / "pfl.txt")]


def engine(folder: Path, script: str, rounds: int = 2):
    """An engine whose Python is a script that says what it likes."""
    from federation.host import EngineProcess

    python = folder / "python"
    python.write_text(f"#!{sys.executable}\nimport json, sys\nout = sys.argv[4]\n{textwrap.dedent(script)}")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return EngineProcess("said", python, folder / "job.npz", folder / "out")


SPOKEN = """
import numpy as np
print(json.dumps({"event": "ready", "torch_seconds": 0.0, "cpu_seconds": 0.5}), flush=True)
for number in range(3):
    assert sys.stdin.readline() == "go\\n"
    print(json.dumps({"event": "round", "round": number, "cpu_seconds": 1.0 + number, "wall_seconds": 2.0}), flush=True)
np.savez(out, weight0=np.arange(3.0))
print(json.dumps({"event": "end", "memory_mib": None}), flush=True)
"""


def test_what_an_engine_says_is_read(tmp_path: Path):
    from federation.host import in_turn

    one = engine(tmp_path, SPOKEN)
    try:
        assert in_turn({"said": one}, 3) == {}
        said = one.told(1)
    finally:
        one.close()
    assert (said.cpu, said.wall, said.first_cpu, said.startup_cpu, said.memory) == ((2.0, 3.0), (2.0, 2.0), 1.0, 0.5, None)
    assert said.startup_wall > 0
    np.testing.assert_array_equal(said.weights[0], np.arange(3.0))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("sys.exit('it has no wheel')", "it has no wheel"),
        ("print('{}')", "ended without a word"),
        ('print(json.dumps({"event": "ready", "torch_seconds": 0, "cpu_seconds": 0}), flush=True)\nraise ValueError("lost")', "lost"),
    ],
)
def test_an_engine_that_fails_leaves_the_others_running(tmp_path: Path, script: str, why: str):
    from federation.host import in_turn

    (tmp_path / "good").mkdir()
    engines = {"bad": engine(tmp_path, script), "good": engine(tmp_path / "good", SPOKEN)}
    try:
        failed = in_turn(engines, 3)
    finally:
        for one in engines.values():
            one.close()
    assert list(failed) == ["bad"]
    assert why in failed["bad"]
    assert len(engines["good"].rounds) == 3


def test_silence_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from federation import host

    monkeypatch.setattr(host, "PATIENCE", 0.2)
    one = engine(tmp_path, "import time\ntime.sleep(60)")
    try:
        assert host.in_turn({"mute": one}, 1) == {"mute": "silent for 0 seconds"}
    finally:
        began = time.monotonic()
        monkeypatch.setattr(host, "LAST_WAIT", 0.2)
        one.close()
    assert time.monotonic() - began < 30


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="other systems do not tell of processes that left the family")
def test_a_detached_process_is_counted_and_ended(tmp_path: Path):
    from federation.host import EngineProcess
    from federation.meter import belonging

    script = """
    import os, subprocess, time
    busy = "import time\\nwhile time.process_time() < .3: pass\\ntime.sleep(60)"
    subprocess.Popen([sys.executable, "-c", busy], start_new_session=True, stdin=-3, stdout=-3)
    sys.path.insert(0, os.environ["PYTHONPATH"])
    from federation.meter import TOKEN, Meter
    meter = Meter(os.environ[TOKEN])
    meter.start()
    time.sleep(1)
    cpu, wall = meter.stop()
    print(json.dumps({"event": "ready", "torch_seconds": 0, "cpu_seconds": cpu, "mib": meter.memory()}), flush=True)
    """
    one: EngineProcess = engine(tmp_path, script)
    one.until_ready()
    assert 0.25 <= one.ready["cpu_seconds"] < 0.9
    assert one.ready["mib"] > 5
    assert len(belonging(one.token)) >= 1
    one.close()
    assert belonging(one.token) == {}


def test_a_span_holds_the_cpu_seconds_between_its_ends():
    from federation.meter import Meter

    meter = Meter()
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    meter.start()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    time.sleep(0.05)
    cpu, wall = meter.stop()
    assert 0.05 <= cpu < 0.08
    assert wall >= 0.1
    assert meter.total() >= 0.15


def run(*arguments: str) -> list[dict]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / "federated.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in Path(arguments[arguments.index("--json") + 1]).read_text().splitlines()]


@pytest.mark.slow
def test_engines_of_a_case_are_run_in_their_processes(tmp_path: Path):
    rows = run("--quick", "--case", "bag-163k", "--envs", str(tmp_path / "none"), "--json", str(tmp_path / "figures.jsonl"))
    found = {(row["engine"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    for name in ("holdfast", "holdfast, simulate", "loop"):
        row = found[name, "cpu_seconds_per_round"]
        assert row["value"] > 0
        assert row["ratio_to"] == "holdfast"
        assert found[name, "startup_seconds"]["value"] > 0
    for name in ("pfl", "flower"):
        assert found[name, "cpu_seconds_per_round"]["value"] is None
        assert "--make-env" in found[name, "cpu_seconds_per_round"]["note"]


class Turns:
    """A line on which it is always this engine's turn."""

    def __init__(self) -> None:
        self.taken = 0

    def next_round(self) -> bool:
        self.taken += 1
        return True


@pytest.mark.parametrize("case", ["bag-163k", "cached-head"])
def test_the_simulator_trains_what_the_loop_trains(case: str):
    from federation.engine_loop import Loop
    from federation.host import furthest
    from federation.simulated import simulate

    job, line = tiny_job(case), Turns()
    loop = Loop(job, cached=True)
    for number in range(job.rounds):
        loop.round(number)
    trained, kernel = simulate(job, line)
    assert line.taken == job.rounds + 1  # and the end of the last
    assert kernel in ("closed form", "stacked", "sequential")
    assert furthest(trained, [value.numpy() for value in loop.weights.values()]) < 1e-5


MEASURED = """
import dataclasses, json, time
import numpy as np
from federation.alone import measured

calls = []

def work(number):
    calls.append(number)
    if not number:
        np.ones(2**22)  # 32 MiB, in the call that is not timed
    time.sleep(0.01)

answer = measured("work", work, 3, note="said")
print(json.dumps([calls, dataclasses.asdict(answer)]))
"""


def test_a_call_is_timed_and_its_memory_seen():
    """In a fresh process, as in the benchmark: one that has worked before may hand out memory that it holds already."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3] / "benchmarks")}
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, env=environment)
    calls, answer = json.loads(done.stdout)
    assert calls == [0, 1, 2, 3]
    figures = {metric: (value, unit) for metric, value, unit in answer["figures"]}
    assert 0.01 <= figures["seconds"][0] < 0.5
    assert figures["seconds"][1] == "s"
    assert answer["note"] == "said"
    if Path("/proc/self/clear_refs").exists():
        assert figures["added_memory"][0] == pytest.approx(32, abs=8)


def test_answers_travel_as_json():
    from federation.alone import Answer, read_answer

    answer = Answer(name="uniform", figures=(("seconds", 0.5, "s"), ("added_memory", None, "MiB")), note="x")
    assert read_answer(json.dumps(dataclasses.asdict(answer))) == answer


def test_every_strategy_selects_from_the_population_of_the_benchmark():
    from federation.selections import CHOICE, LIST, STRATEGIES, call_of, view_of

    view = view_of(3_000)
    assert 0.3 < (view.counts == 1).mean() < 0.7
    for name in STRATEGIES:
        drawn = call_of(name, view)(1)
        clients = np.asarray(drawn if name in (LIST, CHOICE) else drawn.clients)
        assert 800 <= len(np.unique(clients)) <= 1_000, name


def test_a_strategy_is_asked_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch):
    from federation import alone

    monkeypatch.setattr(alone, "names", lambda kind: ["uniform", "no such strategy"])
    good, bad = alone.ask("select", 1_500, 1)
    assert good.figures[0][0] == "seconds"
    assert good.figures[0][1] > 0
    assert good.note == "1,000 of 1,500 clients"
    assert bad.figures == (("seconds", None, "s"),)
    assert "no such strategy" in bad.note


def test_a_population_is_opened_and_a_round_of_it_run():
    from federation.populations import answers

    (answer,) = answers("holdfast", 500, 1)
    figures = {metric: value for metric, value, _ in answer.figures}
    for metric in ("write_seconds", "open_seconds", "first_round_seconds", "round_seconds"):
        assert figures[metric] > 0
    assert 0.01 < figures["disk"] < 5
    assert answer.note == "100 of 500 clients a round"
