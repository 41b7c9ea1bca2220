"""`holdfast audit plan`: what is printed, and what is refused."""

import json

from holdfast.audit import plan
from holdfast.cli import main

CLAIM = ["--epsilon", "4", "--delta", "1e-5", "--canaries", "1000"]


def test_the_plan_in_words(capsys):
    assert main(["audit", "plan", *CLAIM]) == 0
    printed = capsys.readouterr().out
    found = plan(epsilon=4, delta=1e-5, canaries=1000)
    assert f"{found.expected:.2f}" in printed
    assert f"{found.smallest_bug:.2f} times the promised noise" in printed
    assert "guess 300 of them" in printed
    assert "valid if the mechanism is Gaussian" in printed


def test_the_plan_as_json(capsys):
    assert main(["audit", "plan", *CLAIM, "--method", "gaussian", "--power", "0.9", "--level", "0.9", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["method"] == "gaussian"
    assert (document["power"], document["level"]) == (0.9, 0.9)
    assert document["guessed"] is None
    assert 0 < document["expected"] < document["cap"]


def test_a_plan_that_can_find_nothing_says_so(capsys):
    assert main(["audit", "plan", "--epsilon", "8", "--delta", "1e-5", "--canaries", "20", "--method", "one-run"]) == 0
    assert "no bug would show" in capsys.readouterr().out


def test_bad_values_are_refused(capsys):
    assert main(["audit", "plan", "--epsilon", "4", "--delta", "1e-5", "--canaries", "3"]) == 2
    assert "at least 20" in capsys.readouterr().err
    assert main(["audit", "plan", *CLAIM, "--method", "guess"]) == 2
    assert main(["audit", "plan", "--epsilon", "4"]) == 2
