"""`holdfast budget`: the published figures, the way back from epsilon to noise, and mistakes in a plan."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli import main

PLAN = ["--examples", "13000", "--batch-size", "512", "--steps", "500", "--delta", "1e-5"]
MICRO = ["--mechanism", "edp-sgd", "--micro-batch-size", "16"]


def budget(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["budget", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_epsilon_of_exact_clipping(capsys: pytest.CaptureFixture[str]):
    found = budget(capsys, *PLAN, "--noise-multiplier", "1")
    assert found["claim"]["epsilon"] == pytest.approx(5.78, abs=0.01)
    assert found["claim"]["neighbouring"] == "zero-out"
    assert found["mechanism"]["sensitivity"] == 1.0
    assert found["true_positive_rate_cap"]["0.001"] == pytest.approx(0.324, abs=0.005)


def test_micro_batches_cost_twice_the_sensitivity_and_the_naive_account_stands_beside(capsys: pytest.CaptureFixture[str]):
    found = budget(capsys, *MICRO, *PLAN, "--noise-multiplier", "1")
    assert found["claim"]["epsilon"] == pytest.approx(31.7, abs=0.1)
    naive = [value for name, value in found["claim"]["other_accounts"].items() if name.startswith("naive")]
    assert naive == [pytest.approx(5.78, abs=0.01)]
    assert found["mechanism"]["sensitivity"] == 2.0


def test_noise_for_a_target_keeps_the_target(capsys: pytest.CaptureFixture[str]):
    found = budget(capsys, *PLAN, "--epsilon", "3")
    assert 2.95 < found["claim"]["epsilon"] <= 3.0
    multiplier = str(found["mechanism"]["noise_multiplier"])
    assert budget(capsys, *PLAN, "--noise-multiplier", multiplier)["claim"]["epsilon"] == pytest.approx(found["claim"]["epsilon"])


def test_the_relation_follows_from_the_sampler(capsys: pytest.CaptureFixture[str]):
    found = budget(capsys, *PLAN, "--noise-multiplier", "1", "--sampler", "poisson")
    assert found["claim"]["neighbouring"] == "add/remove"
    assert found["claim"]["epsilon"] == pytest.approx(5.78, abs=0.02)
    shuffled = budget(capsys, *PLAN, "--noise-multiplier", "1", "--sampler", "shuffled")
    assert shuffled["claim"]["epsilon"] == pytest.approx(28.4, abs=0.1)  # no gain from sampling
    assert "accounted without amplification" in shuffled["claim"]["sampler"]


def test_a_plan_may_protect_users(capsys: pytest.CaptureFixture[str]):
    found = budget(capsys, *PLAN, "--noise-multiplier", "1", "--unit", "user")
    assert found["claim"]["unit"] == "user"
    assert found["claim"]["epsilon"] == budget(capsys, *PLAN, "--noise-multiplier", "1")["claim"]["epsilon"]


def test_words_carry_what_the_document_carries(capsys: pytest.CaptureFixture[str]):
    assert main(["budget", *MICRO, *PLAN, "--noise-multiplier", "1", "--clip-norm", "0.5"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(
        "epsilon = 31.7 at delta = 1e-05 per example (zero-out neighbouring; truncated Poisson, probability 0.03938, "
    )
    assert "noise multiplier 1 (constant), sensitivity 1 at clip norm 0.5" in printed
    assert "epsilon 5.78 by another account (naive" in printed
    assert "condition: the number of training examples (13000)" in printed


def test_a_delta_above_one_over_n_is_named(capsys: pytest.CaptureFixture[str]):
    assert main(["budget", "--examples", "50", "--batch-size", "5", "--steps", "1", "--delta", "0.1", "--noise-multiplier", "1"]) == 0
    assert "condition: delta 0.1 is not below 1/n = 0.02" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*PLAN, "--epsilon", "-1"], "error: epsilon is -1.0; a promise needs one in (0, 1e+06]"),
        ([*PLAN, "--epsilon", "3", "--delta", "1.5"], "error: delta is 1.5; it must lie in (0, 1)"),
        ([*PLAN, "--noise-multiplier", "0"], "error: noise_multiplier is 0.0; it must be a finite number > 0"),
        ([*PLAN, "--epsilon", "3", "--batch-size", "13001"], "error: batch_size is 13001; it must lie between 1 and"),
        ([*PLAN, "--epsilon", "3", "--epochs", "2"], "error: argument --epochs: not allowed with argument --steps"),
        ([*PLAN, "--epsilon", "3", "--noise-multiplier", "1"], "error: argument --noise-multiplier: not allowed with argument --epsilon"),
        (PLAN, "error: one of the arguments --noise-multiplier --epsilon is required"),
        ([*PLAN, "--epsilon", "3", "--mechanism", "edp-sgd"], "error: edp-sgd needs --micro-batch-size"),
        ([*PLAN, "--epsilon", "3", "--micro-batch-size", "4"], "error: --micro-batch-size belongs to edp-sgd"),
        ([*MICRO, *PLAN, "--epsilon", "3", "--unit", "user"], "error: edp-sgd protects examples"),
        ([*PLAN, "--epsilon", "many"], "error: argument --epsilon: invalid float value: 'many'"),
    ],
)
def test_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(["budget", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message)


@pytest.mark.slow
def test_answers_within_three_seconds():
    def processor_seconds() -> float:  # not those of the clock, which tests that run beside this one would slow down
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([Path(sys.executable).with_name("holdfast"), "budget", *PLAN, "--epsilon", "8"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(processor_seconds() for _ in range(2)) < 3.0
