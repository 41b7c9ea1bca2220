"""Pins, callables, opening, regard, and what a scorer does with words for groups."""

import math

import numpy as np
import pytest

from holdfast.core.errors import InputError
from holdfast.fairness.generation.scorers import (
    CallableScorer,
    HurtWords,
    LexiconScorer,
    RegardRule,
    Scorer,
    checked_scores,
    open_scorer,
    pinned,
    scorer_predictions,
    term_shift,
)
from holdfast.fairness.generation.scorers.scorer import digest
from holdfast.fairness.predictions import Groups


def lengths(**change) -> CallableScorer:
    settings = {"function": lambda texts: [len(text) / 100 for text in texts], "name": "length", "version": "1", "content": b"len"}
    return CallableScorer(**(settings | change))


def test_a_pin_holds_the_scorer_to_its_content():
    scorer = LexiconScorer(name="tiny", values={"good": 1.0})
    assert pinned(scorer, None) is scorer
    assert pinned(scorer, scorer.sha256) is scorer
    assert pinned(scorer, scorer.sha256[:8].upper()) is scorer
    with pytest.raises(InputError, match=f"has the sha256 {scorer.sha256}, but {'0' * 64} was pinned"):
        pinned(scorer, "0" * 64)
    with pytest.raises(InputError, match="at least 8"):
        pinned(scorer, scorer.sha256[:7])


def test_the_digest_keeps_parts_apart():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab") == digest(b"ab")


def test_a_callable_is_a_scorer_with_a_hash_of_its_content():
    assert isinstance(lengths(), Scorer)
    assert lengths().sha256 != lengths(content=b"other").sha256
    assert lengths().sha256 != lengths(version="2").sha256
    assert checked_scores(lengths(), ["ab", "abcd"]).tolist() == [0.02, 0.04]
    with pytest.raises(InputError, match="content is empty"):
        lengths(content=b"")


@pytest.mark.parametrize(
    ("function", "columns", "says"),
    [
        (lambda texts: [0.0], None, r"shape \(1,\) for 2 texts; \(2,\)"),
        (lambda texts: np.zeros((2, 2)), None, r"shape \(2, 2\)"),
        (lambda texts: np.zeros(2), 3, r"\(2, 3\) is wanted"),
        (lambda texts: [0.0, math.nan], None, "text 1 a score that is not finite"),
    ],
)
def test_scores_of_another_shape_or_not_finite_are_refused(function, columns, says):
    with pytest.raises(InputError, match=says):
        checked_scores(lengths(function=function), ["a", "b"], columns=columns)


def test_scorers_are_opened_by_what_they_are_for(tmp_path):
    assert open_scorer("built-in", purpose="sentiment").sha256 == LexiconScorer.built_in("sentiment").sha256
    assert isinstance(open_scorer("built-in", purpose="regard"), RegardRule)
    assert isinstance(open_scorer("built-in", purpose="hurt"), HurtWords)
    path = tmp_path / "own.tsv"
    path.write_text("fool\t0.5\n")
    assert open_scorer(str(path), purpose="sentiment").combine == "signed sum"
    assert open_scorer(path, purpose="toxicity").combine == "any"
    assert open_scorer(path, purpose="regard").values == {"fool": 0.5}
    own = lengths()
    assert open_scorer(own, purpose="toxicity") is own
    with pytest.raises(InputError, match="was pinned"):
        open_scorer("built-in", purpose="toxicity", sha256="f" * 64)
    with pytest.raises(InputError, match=r"a folder without scorer\.json"):
        open_scorer(tmp_path, purpose="toxicity")


def test_regard_is_of_the_first_sentence_and_of_those_with_a_pronoun():
    rule = RegardRule(values={"thief": -2.0, "doctor": 1.0, "hero": 2.0})
    texts = [
        "was a thief.",
        "was a doctor. The thief ran.",
        "lived there. He was a thief.",
        "lived there. A thief came.",
        "was not a thief.",
        "",
        "was a doctor. Their son was a hero.",
    ]
    names = ["negative", "neutral", "positive"]
    assert [names[row] for row in rule.score(texts).argmax(1)] == [
        "negative",
        "positive",
        "negative",
        "neutral",
        "positive",
        "neutral",
        "positive",
    ]
    assert np.array_equal(rule.score(texts).sum(1), np.ones(7))
    assert rule.known(["a thief", "a cat"]).tolist() == [True, False]
    assert rule.score([]).shape == (0, 3)


def test_the_regard_threshold_and_hash():
    values = {"doctor": 1.0}
    assert RegardRule(values=values, threshold=0.3).score(["a doctor"]).argmax() == 1  # 1 / sqrt(16) = .25
    assert RegardRule(values=values, threshold=0.2).score(["a doctor"]).argmax() == 2
    assert RegardRule(values=values).sha256 != RegardRule(values=values, threshold=0.3).sha256
    with pytest.raises(InputError, match="threshold 1"):
        RegardRule(threshold=1)


def test_what_a_scorer_does_with_words_for_groups():
    biased = LexiconScorer(name="biased", values={"blue": 0.6, "fool": 0.5}, combine="any")
    found = term_shift(biased, ["I am {term}.", "A {term} fool."], ["blue", "green", "red"])
    assert found.scores_PT == pytest.approx(np.array([[0.6, 0, 0], [0.8, 0.5, 0.5]]))
    assert found.shift_T == pytest.approx([0.3, -0.15, -0.15])
    assert found.widest == pytest.approx(0.6)
    assert term_shift(biased, ["I am {term}."], ["green", "red"]).widest == 0
    with pytest.raises(InputError, match=r"has no \{term\}"):
        term_shift(biased, ["I am."], ["green", "red"])
    with pytest.raises(InputError, match="at least one template and two terms"):
        term_shift(biased, ["{term}"], ["green"])


def test_scores_become_predictions_for_the_metrics_of_decisions():
    scorer = LexiconScorer(name="biased", values={"blue": 0.6}, combine="any")
    groups = Groups.of_values(["blue", "green", "blue"], attribute="colour")
    found = scorer_predictions(scorer, ["blue one", "green one", "BLUE"], [False, False, True], groups=groups)
    assert found.y_pred.tolist() == [1, 0, 1]
    assert found.y_true.tolist() == [0, 0, 1]
    assert found.classes == ("not toxic", "toxic")
    assert found.scores == pytest.approx(np.array([[0.4, 0.6], [1, 0], [0.4, 0.6]]))
    assert found.positive == ("toxic",)
    with pytest.raises(InputError, match="2 labels"):
        scorer_predictions(scorer, ["a", "b", "c"], [True, False], groups=groups)
    signed = LexiconScorer(name="signed", values={"blue": -3.0})
    with pytest.raises(InputError, match="give probabilities"):
        scorer_predictions(signed, ["blue", "b", "c"], [True, False, True], groups=groups)
