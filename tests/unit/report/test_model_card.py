"""The model card holds what a reader of the weights must know, in Markdown that nothing can break."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.reporting import RUNS, record_of

from holdfast.report import Document, gather, model_card

HEADINGS = [
    "Model and data",
    "Intended use",
    "Results",
    "Training settings",
    "Promise",
    "Evaluation",
    "Leakage",
    "Limits",
    "How to reproduce",
]


def blocks(card: str) -> list[list[str]]:
    """Tables of the card, as lists of lines."""
    return [block.split("\n") for block in card.split("\n\n") if block.startswith("| ")]


def test_the_parts_of_the_card(four: Document):
    card = model_card.render(four)
    assert card.startswith("# Model card: SNIPS, four ways\n\n**Whoever sees the model dp-sgd-eps-2")
    assert [line[3:] for line in card.split("\n") if line.startswith("## ")] == HEADINGS
    assert "\n\n\n" not in card
    assert card.endswith("|\n")


def test_every_table_has_one_width(four: Document):
    found = blocks(model_card.render(four))
    assert len(found) >= 8
    for table in found:
        assert len({line.replace("\\|", "").count("|") for line in table if line}) == 1


def test_a_promise_stands_with_everything_it_needs(four: Document):
    card = model_card.render(four).replace("\N{NO-BREAK SPACE}", " ").replace("\N{NON-BREAKING HYPHEN}", "-")
    assert "Precisely: ε = 8, δ = 1e-5, per example, add/remove neighbouring, proved;" in card
    assert "Poisson sampling with probability 512/13084; PLD of dp-accounting 0.6.0; 508 noisy steps." in card
    assert "  - Holds if seed 7 stays secret" in card
    assert "  - Other account: 5.83, naive: takes micro-batch clipping" in card
    assert "- **non-private**: none, trained without noise, so nothing is promised." in card


def test_settings_that_all_share_stand_once(four: Document, alone: Document):
    card = model_card.render(four)
    assert card.count("training.epochs = 20") == 1
    assert "- **edp-sgd**: mechanism.name = edp-sgd; mechanism.clip\\_norm = 1" in card
    assert "- All runs:" not in model_card.render(alone)


def test_limits_and_what_was_not_measured(four: Document):
    card = model_card.render(four)
    assert "- A promise for one example is weaker for a person who wrote many." in card
    assert "- Not measured: federation, fairness, mitigation and rewriting." in card


def test_alerts_come_first(judged: Callable[..., Document]):
    card = model_card.render(judged("dp-sgd", "contradicted"))
    assert card.split("\n")[2] == "> **The promise of dp-sgd is contradicted.** So the attack found."


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("dp-sgd, eps 2", "dp-sgd, eps 2"),
        ("a|b\nc", "a\\|b c"),
        ("<script>", "\\<script\\>"),
        ("[x](javascript:y)", "\\[x\\](javascript:y)"),
        ("`*_~", "\\`\\*\\_\\~"),
        ("see https://x www.y a@b", "see https\\://x www\\.y a\\@b"),
        ("back\\slash \u202e\x00", "back\\\\slash \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        ("&lt; $x$ #1", "\\&lt; \\$x\\$ \\#1"),
    ],
)
def test_escaping(text: str, escaped: str):
    assert model_card.escape(text) == escaped


def test_names_of_users_are_no_markup():
    name = "evil | <img src=x> [a](b)\n# heading"
    card = model_card.render(gather([record_of(replace(RUNS[2], name=name)), record_of(RUNS[0])], title=name, study="```\nescape\n````"))
    assert "<img" not in card.replace("\\<img", "")
    assert "\n# heading" not in card
    assert "\n`````\n```\nescape\n````\n`````\n" in card, "the fence is longer than any in the study file"
    for table in blocks(card):
        assert len({line.replace("\\|", "").count("|") for line in table if line}) == 1


def test_a_card_of_little_evidence(unpromised: Document):
    bare = replace(unpromised, evidence=type(unpromised.evidence)())
    card = model_card.render(bare)
    assert "- **non-private**: none." in card
    assert "No attack was run, so what leaks was not measured." in card
    assert "\n\n\n" not in card
