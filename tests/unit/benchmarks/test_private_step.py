"""The benchmark of private steps: its reference, what counts as a clean sample, and a row or a reason for every engine."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture
def tiny():
    from private_step.cases import case_named

    return case_named("bilstm-T16", tiny=True)


@pytest.fixture
def work(tiny):
    from private_step.engines import Workload

    return Workload(case=tiny, device=CPU, clip_norm=1.0)


def test_names_are_those_of_the_parts():
    import private_step
    from private_step.cases import CASES
    from private_step.engines import MAKERS

    assert tuple(CASES) == private_step.CASE_NAMES
    assert tuple(MAKERS) == private_step.ENGINE_NAMES


def test_models_have_the_shapes_of_the_table():
    from private_step.cases import CASES

    shapes = {name: (case.shape.batch, case.shape.length) for name, case in CASES.items()}
    assert shapes == {
        "bert-T32": (32, 32),
        "bert-T128": (32, 128),
        "distilbert-T32": (16, 32),
        "gpt2-tied-T128": (8, 128),
        "bilstm-T16": (64, 16),
        "lora-T32": (16, 32),
    }
    model = CASES["bilstm-T16"].model(CPU)
    assert model.embedding.weight.shape == (10_000, 300)
    assert model.lstm.weight_hh_l0.shape == (4 * 256, 256)
    assert model.lstm.bidirectional
    tied = CASES["gpt2-tied-T128"].model(CPU)
    assert tied.lm_head.weight is tied.transformer.wte.weight


@pytest.mark.parametrize("name", ["bert-T32", "gpt2-tied-T128", "bilstm-T16"])
def test_the_loss_of_a_row_depends_on_that_row_alone(name: str):
    from private_step.cases import case_named, losses_of

    case = case_named(name, tiny=True)
    losses = losses_of(case.model(CPU, torch.float64), case.data(CPU))
    together = losses(np.array([0, 1, 2]))
    assert together.shape == (3,)
    torch.testing.assert_close(together, torch.cat([losses(np.array([row])) for row in range(3)]))


def test_the_reference_scales_each_gradient_to_the_clip_norm(tiny):
    from private_step.reference import Reference

    one = Reference(tiny, CPU, tiny.indices(0)[:1])
    whole, clipped = one.per_example(1e9), one.per_example(0.25)
    assert norm(clipped) == pytest.approx(0.25)
    for name, tensor in whole.items():
        torch.testing.assert_close(clipped[name], tensor * 0.25 / norm(whole))
    two = Reference(tiny, CPU, tiny.indices(0)[:2])
    other = Reference(tiny, CPU, tiny.indices(0)[1:2])
    torch.testing.assert_close(two.per_example(0.25)["output.weight"], clipped["output.weight"] + other.per_example(0.25)["output.weight"])


def test_the_clip_norm_lies_amid_the_norms(tiny):
    from private_step.reference import Reference

    rows = tiny.indices(0)[:3]
    norms = [norm(Reference(tiny, CPU, rows[i : i + 1]).per_example(1e9)) for i in range(3)]
    assert min(norms) < Reference(tiny, CPU, rows).clip_norm() < max(norms)


def norm(gradients: dict[str, torch.Tensor]) -> float:
    return float(sum(tensor.square().sum() for tensor in gradients.values()) ** 0.5)


def test_a_wrong_scale_of_one_parameter_and_a_missing_one_both_show():
    from private_step.reference import relative_error

    right = {"a": torch.ones(100, dtype=torch.float64), "b": 0.1 * torch.ones(4, dtype=torch.float64)}
    assert relative_error(right, right) == 0
    assert relative_error({"a": right["a"], "b": 1.05 * right["b"]}, right) == pytest.approx(0.05)
    assert relative_error({"a": right["a"]}, right) == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore:Full backward hook", "ignore:There is a performance drop")
@pytest.mark.parametrize("name", ["holdfast-flat", "loop", "vmap", "opacus-hooks", "opacus-ghost"])
def test_engines_agree_with_the_reference_and_move_the_model(work, tiny, name: str):
    from private_step.engines import MAKERS
    from private_step.reference import Reference, relative_error

    rows = tiny.indices(0)
    engine = MAKERS[name](work)
    assert relative_error(engine.clipped_sum(rows), Reference(tiny, CPU, rows).per_example(1.0)) < 1e-5
    before = engine.model.output.weight.detach().clone()
    engine.step(0)
    assert not torch.equal(before, engine.model.output.weight)
    assert all(parameter.grad is None for parameter in engine.model.parameters())


@pytest.mark.filterwarnings("ignore:Full backward hook", "ignore:There is a performance drop")
def test_an_update_of_every_exact_engine_is_the_same(work):
    from private_step.engines import MAKERS

    moved = {}
    for name in ("holdfast-flat", "loop", "vmap", "opacus-hooks", "opacus-ghost"):
        engine = MAKERS[name](work)
        before = engine.model.output.weight.detach().clone()
        engine.step(0)
        moved[name] = engine.model.output.weight.detach() - before
    for name, moves in moved.items():
        torch.testing.assert_close(moves, moved["loop"], rtol=1e-3, atol=1e-8, msg=name)


def test_micro_batches_are_held_to_their_own_reference(work, tiny):
    from private_step.engines import MAKERS
    from private_step.reference import Reference, relative_error

    rows = tiny.indices(0)
    engine = MAKERS["holdfast-micro-batch"](work)
    reference = Reference(tiny, CPU, rows)
    right = reference.by_micro_batch(engine.clipper, engine.assignment(rows))
    assert relative_error(engine.clipped_sum(rows), right) < 1e-5
    assert relative_error(engine.clipped_sum(rows), reference.per_example(1.0)) > 1e-2


def test_noise_is_left_out_and_put_in(work, tiny):
    from private_step import engines
    from private_step.engines import MAKERS

    quiet, noisy = MAKERS["holdfast-flat"](work), MAKERS["holdfast-flat-noise"](work)
    assert not quiet.mechanism.private
    assert noisy.mechanism.private
    assert noisy.mechanism.divisor == quiet.mechanism.divisor == tiny.shape.batch
    spread = {}
    for name, engine in (("quiet", quiet), ("noisy", noisy)):
        before = engine.model.embedding.weight.detach().clone()
        engine.step(0)
        spread[name] = float((engine.model.embedding.weight.detach() - before).std())
    expected = work.clip_norm / tiny.shape.batch * engines.LEARNING_RATE  # the noise multiplier is 1
    assert spread["quiet"] < 0.2 * expected
    assert spread["noisy"] == pytest.approx(expected, rel=0.1)


def sample(seconds: float, *, unit: float = 1.0, interference: float = -1.0) -> object:
    from private_step.rounds import Sample

    return Sample(seconds=seconds, unit_seconds=unit, interference=interference)


def test_a_timing_rests_on_clean_samples():
    from private_step.rounds import StepTiming

    samples = (sample(2.0), sample(9.0, interference=0.5), sample(2.2), sample(2.1))
    timing = StepTiming(samples=samples, wanted=3)
    assert timing.seconds == 2.1
    assert timing.note == "3 of 4 samples clean"


def test_where_too_few_are_clean_the_quietest_are_used_and_it_says_so():
    from private_step.rounds import StepTiming

    samples = (sample(2.0), sample(9.0, interference=0.9), sample(3.0, interference=0.1), sample(2.5, interference=0.05))
    timing = StepTiming(samples=samples, wanted=3)
    assert timing.seconds == 2.5
    assert timing.note == "busy machine: 1 of 4 samples clean, so the quietest 3"


def test_a_ratio_is_paired_so_that_a_slow_minute_cancels():
    from private_step.rounds import StepTiming

    slow_in_the_middle = tuple(sample(1.1 * unit, unit=unit) for unit in (1.0, 1.0, 5.0, 5.0, 1.0))
    assert StepTiming(samples=slow_in_the_middle, wanted=5).ratio == pytest.approx(1.1)


class FakeMachine:
    """A clock that steps move, with other processes' work beside them."""

    def __init__(self, *, cores: int = 2):
        self.wall, self.busy, self.own, self.cores = 0.0, 0.0, 0.0, cores

    def work(self, seconds: float, foreign: float = 0.0, threads: int = 2) -> None:
        self.wall += seconds
        self.own += threads * seconds
        self.busy += threads * seconds + foreign

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from private_step import rounds

        clock = SimpleNamespace(perf_counter=lambda: self.wall, process_time=lambda: self.own)
        monkeypatch.setattr(rounds, "time", clock)
        monkeypatch.setattr(rounds, "_busy_seconds", lambda: self.busy)
        monkeypatch.setattr(rounds.os, "cpu_count", lambda: self.cores)


def plan(**changes: object) -> object:
    from private_step.rounds import Plan

    return Plan(**({"wanted": 3, "limit": 6, "allowances": {}, "threads": 2} | changes))


def test_disturbed_samples_are_dropped_and_done_again(monkeypatch: pytest.MonkeyPatch):
    from private_step.rounds import in_rounds

    machine, others = FakeMachine(), iter([1.0, 0.0])
    machine.install(monkeypatch)
    steps = {"plain": lambda number: machine.work(1.0), "slow": lambda number: machine.work(2.0, foreign=next(others, 0.0))}
    timings = in_rounds(steps, unit="plain", plan=plan())
    assert timings["slow"].note == "3 of 4 samples clean"
    assert timings["slow"].samples[0].interference > 0
    assert timings["slow"].ratio == pytest.approx(2.0)


def test_a_disturbed_unit_spoils_the_round(monkeypatch: pytest.MonkeyPatch):
    from private_step.rounds import in_rounds

    machine, others = FakeMachine(), iter([2.0])
    machine.install(monkeypatch)
    steps = {"plain": lambda number: machine.work(1.0, foreign=next(others, 0.0)), "other": lambda number: machine.work(1.0)}
    assert in_rounds(steps, unit="plain", plan=plan())["other"].note == "3 of 4 samples clean"


def test_others_on_idle_cores_do_not_disturb(monkeypatch: pytest.MonkeyPatch):
    from private_step.rounds import in_rounds

    machine = FakeMachine(cores=8)
    machine.install(monkeypatch)
    timings = in_rounds({"plain": lambda number: machine.work(1.0, foreign=4.0)}, unit="plain", plan=plan())
    assert timings["plain"].note == "3 of 3 samples clean"


def test_a_machine_that_is_never_quiet_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch):
    from private_step.rounds import in_rounds

    machine = FakeMachine()
    machine.install(monkeypatch)
    timings = in_rounds({"plain": lambda number: machine.work(1.0, foreign=1.0)}, unit="plain", plan=plan())
    assert timings["plain"].note == "busy machine: 0 of 6 samples clean, so the quietest 3"


def test_an_engine_out_of_time_is_left_with_what_it_has(monkeypatch: pytest.MonkeyPatch):
    from private_step.rounds import in_rounds

    machine = FakeMachine()
    machine.install(monkeypatch)
    steps = {"plain": lambda number: machine.work(1.0), "slow": lambda number: machine.work(30.0)}
    timings = in_rounds(steps, unit="plain", plan=plan(allowances={"slow": 10.0}))
    assert timings["slow"].note == "1 of 3 samples, 1 of them clean"
    assert timings["slow"].ratio == pytest.approx(30.0)


def test_short_steps_are_timed_several_at_a_time(monkeypatch: pytest.MonkeyPatch):
    from private_step.rounds import in_rounds

    machine, batches = FakeMachine(), []
    machine.install(monkeypatch)

    def step(number: int) -> None:
        batches.append(number)
        machine.work(0.1)

    timing = in_rounds({"plain": step}, unit="plain", plan=plan(wanted=1))["plain"]
    assert timing.seconds == pytest.approx(0.1)
    assert batches == [0, 0, 1, 2]  # one to lead in, three that count


def test_the_load_of_this_machine_can_be_read():
    from private_step.rounds import _busy_seconds

    assert _busy_seconds() > 0


def test_memory_of_a_step_is_its_peak_and_not_what_is_held():
    from private_step.memory import MemoryLab, Question

    lab = MemoryLab()
    plain, copies = (
        lab.ask(Question(case="bilstm-T16", engine=name, tiny=True, batch=512, threads=1, steps=1)) for name in ("plain", "vmap")
    )
    assert plain.growth is not None
    assert copies.growth is not None
    assert copies.growth > 512 * 7_000 * 4  # a copy of every gradient for each example
    assert plain.growth < copies.growth / 2


@pytest.mark.slow
def test_flat_clipping_frees_its_records_while_it_forms_the_sum():
    """Kept to the end beside the sum, they would take 1.6 times the memory of an ordinary step."""
    from private_step.memory import MemoryLab, Question

    lab = MemoryLab()
    plain, flat = (lab.ask(Question(case="bert-T32", engine=name, tiny=False, threads=1, steps=1)) for name in ("plain", "holdfast-flat"))
    assert plain.growth is not None
    assert flat.growth is not None
    assert flat.growth < 1.2 * plain.growth


def test_an_engine_that_refuses_gives_its_reason_instead_of_memory():
    from private_step.memory import MemoryLab, Question

    answer = MemoryLab().ask(Question(case="gpt2-tied-T128", engine="opacus-ghost", tiny=True, threads=1, steps=1))
    assert answer.growth is None
    assert "tying" in answer.reason


def test_a_wrong_engine_is_reported_and_neither_timed_nor_measured(monkeypatch: pytest.MonkeyPatch):
    from private_step import case_run, comparators, engines

    class Unclipped(comparators.Loop):
        def __init__(self, *parts: object, **settings: object):
            super().__init__(*parts, **settings)
            self.clip_norm = 1e9

    monkeypatch.setitem(engines.MAKERS, "loop", lambda work: Unclipped(*work.parts(), case=work.case, clip_norm=work.clip_norm))
    rows = list(case_run.CaseRun("bilstm-T16", setting(engines=("loop",), metrics=("step_seconds", "relative_error"))).rows())
    wrong = {row.metric: row for row in rows if row.engine == "loop"}
    assert wrong["relative_error"].value > 1e-3
    assert wrong["step_seconds"].value is None
    assert "wrong by" in wrong["step_seconds"].note


def test_without_time_comparators_are_left_to_the_full_run():
    from private_step import case_run

    no_time = setting(engines=("loop",), metrics=("step_seconds",), left=lambda: 0.0)
    plain, loop = case_run.CaseRun("bilstm-T16", no_time).rows()
    assert plain.value > 0
    assert (loop.value, loop.note) == (None, case_run.LATER)


def setting(**changes: object) -> object:
    from private_step.case_run import Effort, Setting

    effort = Effort(wanted=1, limit=1, warm_up=1, memory_steps=1, long_enough=0.0, lead_in=0.0)
    given = {"effort": effort, "device": CPU, "threads": 1, "micro_batches": 2, "tiny": True, "lab": None, "left": lambda: math.inf}
    return Setting(**(given | changes))


def test_reasons_are_one_line():
    from private_step.reasons import LONGEST, reason

    from holdfast.core.errors import InputError

    assert reason(InputError("cannot do it:\n  - because of this\n  - and that")) == "because of this"
    assert reason(ValueError("no\nsuch thing")) == "ValueError: no"
    assert len(reason(ValueError("x" * 500))) == LONGEST


def test_a_line_through_memory_gives_the_largest_batch():
    import memory

    line = memory.Line.through((10, 300.0), (30, 700.0))
    assert (line.fixed, line.each) == (100.0, 20.0)
    assert line.largest(1101.0) == 50
    assert line.largest(50.0) == 0


def test_batches_are_doubled_until_memory_lies_on_a_line():
    """Up to 90 examples the gradients of the weights decide; a line from there would be too flat and promise too much."""
    import memory
    from private_step.memory import Answer

    asked = []

    def ask(batch: int) -> Answer:
        asked.append(batch)
        return Answer(growth=max(900.0, 10.0 * batch), held=100.0)

    points, _ = memory.measured(ask, first=16, last=1024)
    assert asked == [16, 32, 64, 128, 256, 512]  # from 128 on it is straight, which takes three to see
    assert memory.straight_end(points).largest(10_100.0) == 1000
    assert memory.straight_end(memory.measured(ask, first=16, last=128)[0]) is None


def test_what_ends_the_doubling_is_said():
    import memory
    from private_step.memory import Answer

    points, why = memory.measured(lambda batch: Answer(growth=None, reason="refused"), first=1, last=8)
    (row,) = memory.rows_of_engine("loop", points, why, gib=24.0, case="x")
    assert (row.value, row.note) == (None, "refused")


def test_tables_for_the_documentation():
    from harness import Row
    from private_step.markdown import tables

    def row(engine: str, value: float | None, ratio: float | None = None) -> Row:
        against = "" if ratio is None else "plain"
        return Row(bench="clipping", case="x", engine=engine, metric="step_seconds", value=value, unit="s", ratio_to=against, ratio=ratio)

    written = tables([row("plain", 0.2), row("ours", 0.21, 1.054), row("slow", 4.0, 20.4), row("none", None)])
    assert (
        written == "Time of a step:\n\n|  | plain | ours | slow | none |\n| --- | --- | --- | --- | --- |\n| x | 200 ms | 1.05 | 20 | - |\n"
    )


def test_a_profile_shows_what_an_engine_does_more_than_plain(tiny):
    from private_step.profile import profiled

    head, columns, *lines = profiled(tiny, ["plain", "loop"], CPU, 2)
    assert head.startswith("bilstm-T16: loop takes")
    assert columns.split() == ["operation", "loop", "plain", "more"]
    only_there = [line.split() for line in lines if line.split()[-2] == "0.00"]
    assert any(float(cells[-3]) == float(cells[-1]) > 0 for cells in only_there)


def run(*arguments: str) -> list[dict]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / "clipping.py"), "--tiny", "--threads", "1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in Path(arguments[arguments.index("--json") + 1]).read_text().splitlines()]


@pytest.mark.slow
def test_every_case_has_every_engine_with_a_figure_or_a_reason(tmp_path: Path):
    import private_step

    rows = run("--json", str(tmp_path / "figures.jsonl"))
    found = {(row["case"], row["engine"], row["metric"]): row for row in rows}
    assert len(found) == len(rows)
    for case in private_step.CASE_NAMES:
        for engine in private_step.ENGINE_NAMES:
            for metric in ("step_seconds", "peak_memory"):
                row = found[case, engine, metric]
                assert row["note"]
                assert row["value"] is not None or engine in private_step.OTHERS, row
                assert (row["ratio"] is None) == (row["value"] is None or engine == "plain")
            if engine in private_step.OURS:
                assert found[case, engine, "relative_error"]["value"] < 1e-4
    assert "tying" in found["gpt2-tied-T128", "opacus-ghost", "step_seconds"]["note"]


@pytest.mark.slow
def test_cases_engines_metrics_and_kernels_are_chosen(tmp_path: Path):
    chosen = ["--cases", "bilstm-T16", "--engines", "holdfast-micro-batch", "--metrics", "step_seconds", "--kernels", "torch"]
    rows = run(*chosen, "--micro-batches", "1", "--json", str(tmp_path / "figures.jsonl"))
    assert [(row["engine"], row["metric"]) for row in rows] == [("plain", "step_seconds"), ("holdfast-micro-batch", "step_seconds")]
    assert "1 micro-batches; kernels: torch" in rows[1]["note"]
