"""Scores that are no shares, or of which less is better: the page says so, and takes the least for the best."""

from dataclasses import replace

import pytest
from tests.reporting import RUNS, record_of

from holdfast.core.evidence import Estimate, Interval
from holdfast.report import Document, front, gather
from holdfast.report.figures import FIGURES, tradeoff
from holdfast.report.numbers import label_of, written
from holdfast.report.sections import others, training

HYPHEN = "\N{NON-BREAKING HYPHEN}"
PROMISES = {"plain": None, "dp-8": 8.0, "dp-2": 2.0}


def scored(name: str, *estimates: Estimate) -> Document:
    """A document of one run with these scores and no others."""
    return gather([_record(name, *estimates)], title="Next words")


def _record(name: str, *estimates: Estimate):
    record = record_of(replace(RUNS[2], name=name, epsilon=PROMISES[name]))
    kept = tuple(one for one in record.evidence.estimates if one.name not in ("intent_accuracy", "slot_f1"))
    return replace(record, evidence=replace(record.evidence, estimates=(*estimates, *kept)))


def perplexity(name: str, value: float) -> Estimate:
    span = Interval(low=0.95 * value, high=1.06 * value, level=0.95, method="bootstrap over users")
    return Estimate(name="perplexity", subject=name, value=value, unit="words", direction="lower is better", interval=span)


def share(measure: str, name: str, value: float, direction: str = "higher is better") -> Estimate:
    return Estimate(name=measure, subject=name, value=value, unit="share", direction=direction)


@pytest.fixture
def words() -> Document:
    """Three runs of which the one without a promise has the least perplexity, and the strongest promise the most."""
    return gather(
        [
            _record(
                name,
                perplexity(name, value),
                share("next_word_accuracy", name, 0.21),
                share("unknown_words", name, 0.043, "lower is better"),
            )
            for name, value in (("plain", 142.31), ("dp-8", 171.9), ("dp-2", 233.4))
        ],
        title="Next words",
    )


def tile(document: Document) -> front.Tile:
    return next(tile for tile in front.tiles(document) if tile.title == "Usefulness")


def test_the_best_perplexity_is_the_least(words: Document):
    found = front.best(words, "perplexity")
    assert (found.subject, found.value) == ("dp-8", 171.9)
    assert tile(words).headline == "172"
    assert tile(words).text == "Perplexity of dp-8, the best with a promise (163\N{EN DASH}182). Lower is better."
    assert tile(words).status == "+30 against plain"


def test_of_an_accuracy_the_best_is_still_the_most(words: Document):
    better = replace(words.estimate("next_word_accuracy", "dp-2"), value=0.3)
    estimates = tuple(
        better if one.name == "next_word_accuracy" and one.subject == "dp-2" else one
        for one in words.evidence.estimates
        if one.name != "perplexity"
    )
    found = replace(words, evidence=replace(words.evidence, estimates=estimates))
    assert front.best(found, "next_word_accuracy").subject == "dp-2"
    assert tile(found).headline == "30%"
    assert "Lower" not in tile(found).text


def test_the_finding_says_which_way_is_better(words: Document):
    found = training(words, drawn=False).finding.replace("\N{NO-BREAK SPACE}", " ")
    assert "dp-8 (ε = 8), reaches a perplexity of 172 (163\N{EN DASH}182), +30 (+17 to +42) against plain, where lower is better" in found
    alone = training(scored("plain", perplexity("plain", 142.31)), drawn=False).finding
    assert alone == "The run plain reaches a perplexity of 142 (135\N{EN DASH}151), where lower is better."


def test_unknown_words_stand_beside_perplexity_and_nowhere_else(words: Document):
    table = next(one for one in training(words, drawn=False).tables if one.title == "Usefulness")
    assert [row[1].text for row in table.rows][::3] == ["Perplexity", f"Next{HYPHEN}word accuracy", "Unknown words"]
    assert [row[2].text for row in table.rows if row[1].text == "Unknown words"] == ["4.3%"] * 3
    assert others(words) is None
    columns = front.overview(words).columns
    assert "Perplexity" in columns
    assert "Unknown words" not in columns
    alone = scored("plain", share("unknown_words", "plain", 0.1, "lower is better"))
    assert [row[1].text for row in others(alone).tables[0].rows] == ["Unknown words"]


@pytest.mark.parametrize(
    ("measure", "label", "shown"),
    [
        ("reply_auc", "Reply AUC", "0.812"),
        ("tag_accuracy", "Tag accuracy", "81.2%"),
        ("next_word_accuracy", f"Next{HYPHEN}word accuracy", "81.2%"),
    ],
)
def test_each_score_has_its_name_and_its_form(measure: str, label: str, shown: str):
    estimate = share(measure, "plain", 0.8123)
    assert (label_of(measure), written(estimate).full) == (label, shown)
    found = scored("plain", estimate)
    assert tradeoff.scores(found) == (measure,)
    assert tile(found).headline == shown


def test_a_difference_is_in_the_form_of_its_score():
    def change(name: str, unit: str, value: float) -> str:
        return written(Estimate(name=f"{name}_difference", subject="a", value=value, unit=unit, direction="neither")).full

    assert change("reply_auc", "share", 0.02) == "+0.02"
    assert change("perplexity", "words", -3.1) == "\N{MINUS SIGN}3.1"
    assert change("tag_accuracy", "share", 0.02) == "+2 points"


def texts(drawing: str) -> str:
    return drawing.replace("</text>", "\n")


def test_the_trade_off_draws_perplexity_in_its_own_unit(words: Document):
    point = {one.name: one for one in tradeoff.points(words, "perplexity")}["dp-2"]
    assert (point.value, point.low, point.high) == pytest.approx((233.4, 0.95 * 233.4, 1.06 * 233.4))
    assert tradeoff.points(words, "next_word_accuracy")[0].value == pytest.approx(21)
    drawn = texts(FIGURES["tradeoff"](words).wide)
    for there in (">240\n", ">Perplexity, lower is better\n", ">21.0%\n", f">Next{HYPHEN}word accuracy\n"):
        assert there in drawn
    assert ">240%\n" not in drawn


@pytest.mark.parametrize("value", [0.52, 1.0])
def test_an_area_without_an_interval_is_drawn_between_narrow_ends(value: float):
    found = tradeoff.points(scored("plain", share("reply_auc", "plain", value)), "reply_auc")
    low, high = tradeoff._limits(found, percent=False)
    assert 0 < low < value < high < value + 0.1
