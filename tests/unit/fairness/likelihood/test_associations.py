"""Increased log-probability: closed forms, words of several pieces, the two-way bootstrap against a slow twin."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from tests.unit.fairness.likelihood.toys import CausalBag, MaskedBag

from holdfast.core.errors import DataError, InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness.inference import Inference
from holdfast.fairness.likelihood import LogProbabilityBias, associations, fill
from holdfast.fairness.likelihood.log_probability_bias import bias_replicates, contrast_weights
from holdfast.fairness.likelihood.word_lists import (
    CAUSAL_TEMPLATES,
    FEMALE_TERMS,
    MALE_TERMS,
    MASKED_TEMPLATES,
    PROFESSIONS,
    PRONOUN_TEMPLATES,
    looks_english,
)
from holdfast.fairness.metric import Metric

INFERENCE = Inference(replicates=200, permutations=500)
WORDS = ["the", "man", "woman", "boy", "girl", "nurse", "doctor", "engineer", "person", "is", "a", "an", "here", "was", ".", "he", "she"]
TEMPLATES = ("The TARGET is a ATTRIBUTE.", "The TARGET was a ATTRIBUTE here.")
PULLS = {("nurse", "woman"): 1.2, ("nurse", "girl"): 0.8, ("engineer", "man"): 0.5, ("engineer", "boy"): 0.7}


class TestFilling:
    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ("The TARGET is a ATTRIBUTE.", "The woman is an engineer."),
            ("A TARGET, an ATTRIBUTE", "A woman, an engineer"),
            ("a ATTRIBUTE and a TARGET", "an engineer and a woman"),
            ("TARGET/ATTRIBUTE", "woman/engineer"),
        ],
    )
    def test_words_and_articles(self, template: str, text: str):
        found = fill(template, target="woman", attribute="engineer")
        assert found.text == text
        assert text[slice(*found.target)] == "woman"
        assert text[slice(*found.attribute)] == "engineer"

    @pytest.mark.parametrize("template", ["The TARGET.", "The TARGET is a TARGET.", "TARGETS are ATTRIBUTE", ""])
    def test_each_slot_once(self, template: str):
        with pytest.raises(InputError, match="give TARGET once and ATTRIBUTE once"):
            fill(template, target="a", attribute="b")

    def test_the_shipped_lists_fit(self):
        assert len(MALE_TERMS) == len(FEMALE_TERMS) == 8
        assert not set(MALE_TERMS) & set(FEMALE_TERMS)
        assert len(set(PROFESSIONS)) == len(PROFESSIONS) == 40
        for template in (*MASKED_TEMPLATES, *CAUSAL_TEMPLATES, *PRONOUN_TEMPLATES):
            fill(template, target="man", attribute="nurse")
        assert all(template.index("ATTRIBUTE") < template.index("TARGET") for template in CAUSAL_TEMPLATES)
        assert looks_english(MASKED_TEMPLATES)
        assert not looks_english(("TARGET ist ATTRIBUTE.", "Der TARGET war ATTRIBUTE."))


class TestScores:
    def test_the_masked_closed_form(self):
        model = MaskedBag(WORDS, weights={"man": 0.6}, pulls={**PULLS, ("is", "girl"): 0.4})
        found = associations(model, TEMPLATES, ("man", "woman"), ("nurse", "engineer"))
        seen = ("[CLS]", "[SEP]", "the", "is", "a", ".")
        expected = model.logit("woman", *seen, "nurse") - model.logit("woman", *seen)
        assert found.scores_MTA[0, 1, 0] == pytest.approx(expected, rel=1e-12)
        assert found.scores_MTA.shape == (2, 2, 2)

    def test_the_prior_takes_the_frequency_of_a_word_off(self):
        even = associations(MaskedBag(WORDS, weights={"man": 5.0}), TEMPLATES, ("man", "woman"), ("nurse",))
        np.testing.assert_allclose(even.scores_MTA, 0, atol=1e-12)

    def test_the_causal_closed_form(self):
        model = CausalBag(WORDS, weights={"man": 0.6}, pulls=PULLS)
        found = associations(model, ("The ATTRIBUTE is a TARGET",), ("woman",), ("nurse",))
        expected = model.logit("woman", "the", "nurse", "is", "a") - model.logit("woman", "the", "person", "is", "a")
        assert found.scores_MTA[0, 0, 0] == pytest.approx(expected, rel=1e-12)
        assert "prior with 'person'" in found.variant

    def test_a_causal_model_needs_the_attribute_first(self):
        with pytest.raises(InputError, match="put ATTRIBUTE before TARGET"):
            associations(CausalBag(WORDS), TEMPLATES, ("man",), ("nurse",))

    def test_words_of_several_pieces(self):
        model = MaskedBag(WORDS, pulls={("nurse", "wo"): 1.0, ("nurse", "##man"): 0.5, ("wo", "##man"): 9.0}, cut=["woman"])
        found = associations(model, TEMPLATES, ("man", "woman"), ("nurse",))
        seen = ("[CLS]", "[SEP]", "the", "is", "a", ".")
        both = sum(model.logit(piece, *seen, "nurse") - model.logit(piece, *seen) for piece in ("wo", "##man"))
        assert found.scores_MTA[0, 1, 0] == pytest.approx(both, rel=1e-12), "hidden at once, one half does not give the other away"
        assert found.jointly == ("woman",)
        skipped = associations(model, TEMPLATES, ("man", "woman"), ("nurse",), several_pieces="skip")
        assert (skipped.targets, skipped.several) == (("man",), ("woman",))
        with pytest.raises(InputError, match="woman: cut into several pieces"):
            associations(model, TEMPLATES, ("man", "woman"), ("nurse",), several_pieces="refuse")

    def test_unknown_words_are_in_no_number(self):
        found = associations(MaskedBag(WORDS), TEMPLATES, ("man", "homme"), ("nurse", "infirmier"))
        assert (found.targets, found.attributes, found.unknown) == (("man",), ("nurse",), ("homme", "infirmier"))

    def test_lists_of_another_language_are_refused(self):
        with pytest.raises(InputError, match="the model knows none of homme"):
            associations(MaskedBag(WORDS), TEMPLATES, ("homme", "femme"), ("nurse",))

    def test_the_prior_is_asked_once_for_all_attributes(self):
        model = MaskedBag(WORDS)
        associations(model, TEMPLATES[:1], ("man", "woman"), ("nurse", "doctor", "person"))
        assert model.questions == 2 * 3 + 2
        assert model.calls == ["pieces", "masked"]

    def test_an_unknown_policy(self):
        with pytest.raises(InputError, match="several_pieces is 'all'"):
            associations(MaskedBag(WORDS), TEMPLATES, ("man",), ("nurse",), several_pieces="all")  # type: ignore[arg-type]


def test_weights_of_a_contrast():
    np.testing.assert_allclose(contrast_weights(np.array([True, False, True, False])), [0.5, -0.5, 0.5, -0.5])
    np.testing.assert_allclose(contrast_weights(np.array([True, True])), [0.5, 0.5])


def test_the_bootstrap_draws_templates_and_words():
    """Its spread is that of a plain loop over templates and target words."""
    rng = np.random.default_rng(7)
    scores = rng.normal(size=(5, 6, 3)) + rng.normal(size=(5, 1, 1)) + 2 * rng.normal(size=(1, 6, 1))
    in_x = np.array([True] * 3 + [False] * 3)
    fast = bias_replicates(scores, in_x, replicates=4000, generator=np.random.default_rng(0))
    slow = []
    for _ in range(4000):
        kept = scores[rng.integers(0, 5, 5)]
        slow.append(kept[:, rng.integers(0, 3, 3)].mean((0, 1)) - kept[:, 3 + rng.integers(0, 3, 3)].mean((0, 1)))
    np.testing.assert_allclose(fast.mean(0), np.mean(slow, 0), atol=0.06)
    np.testing.assert_allclose(fast.std(0), np.std(slow, 0), rtol=0.06)


class TestMetric:
    LISTS: ClassVar = {"targets_x": ("man", "boy"), "targets_y": ("woman", "girl"), "attributes": ("nurse", "engineer")}

    def test_rows(self):
        metric = LogProbabilityBias(templates=TEMPLATES, **self.LISTS)
        assert isinstance(metric, Metric)
        evidence = metric.measure(MaskedBag(WORDS, pulls=PULLS), subject="toy", inference=INFERENCE)
        rows = {one.conditions["category"]: one for one in evidence.estimates if one.conditions["statistic"] == "difference"}
        assert rows["nurse"].value == pytest.approx(-1.0, abs=1e-9), "(0 + 0) / 2 - (1.2 + .8) / 2, as the normaliser is the same"
        assert rows["engineer"].value == pytest.approx(0.6, abs=1e-9)
        mean = evidence.estimate("log_probability_bias", conditions={"category": "all", "statistic": "mean difference"})
        assert mean.value == pytest.approx(-0.2, abs=1e-9)
        spread = evidence.estimate("log_probability_bias", conditions={"statistic": "standard deviation over attribute words"})
        assert spread.value == pytest.approx(np.std([-1.0, 0.6], ddof=1))
        assert rows["nurse"].conditions["p_value"] == pytest.approx(2 / 6), "two of six partitions of four words are as far apart"
        assert rows["nurse"].conditions["p_adjusted"] >= rows["nurse"].conditions["p_value"]
        assert Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False))) == evidence

    def test_a_contrast_of_attributes_takes_what_they_share_off(self):
        lists = {**self.LISTS, "attributes": ("engineer",), "attributes_other": ("nurse",)}
        evidence = LogProbabilityBias(templates=TEMPLATES, **lists).measure(
            MaskedBag(WORDS, pulls=PULLS), subject="toy", inference=INFERENCE
        )
        row = evidence.estimate("log_probability_bias", conditions={"statistic": "mean difference of differences"})
        assert row.value == pytest.approx(0.6 + 1.0, abs=1e-9)

    def test_the_shipped_lists_work_for_both_kinds(self):
        words = sorted({word for text in (*MASKED_TEMPLATES, *CAUSAL_TEMPLATES) for word in text.lower().replace(".", " ").split()})
        everything = [*words, *MALE_TERMS, *FEMALE_TERMS, *PROFESSIONS, "an", "person", "."]
        for kind in (MaskedBag, CausalBag):
            evidence = LogProbabilityBias().measure(kind(everything, pulls={("nurse", "woman"): 2.0}), subject="toy", inference=INFERENCE)
            row = evidence.estimate("log_probability_bias", conditions={"category": "nurse"})
            assert row.value < -0.1
            assert row.n == 16
            assert row.conditions["unknown_words"] == 0.0

    def test_lists_may_come_from_a_file(self, tmp_path: Path):
        path = tmp_path / "lists.json"
        lists = {"targets_x": ["he"], "targets_y": ["she"], "attributes": ["nurse"], "templates": ["TARGET is a ATTRIBUTE."]}
        path.write_text(json.dumps(lists))
        model = MaskedBag(WORDS, pulls={("nurse", "she"): 1.0})
        evidence = LogProbabilityBias(data=path).measure(model, subject="toy", inference=INFERENCE)
        row = evidence.estimate("log_probability_bias", conditions={"category": "nurse"})
        assert row.value == pytest.approx(-1.0, abs=1e-9)
        assert row.interval is None, "one template and one word a side leave nothing to draw"
        path.write_text(json.dumps({"target_x": ["he"]}))
        with pytest.raises(DataError, match="did you mean 'targets_x'"):
            LogProbabilityBias(data=path).measure(model, subject="toy", inference=INFERENCE)
        path.write_text(json.dumps({"targets_x": "he"}))
        with pytest.raises(DataError, match="give a list of words"):
            LogProbabilityBias(data=path).measure(model, subject="toy", inference=INFERENCE)

    def test_templates_of_another_language_are_told(self):
        model = MaskedBag([*WORDS, "ist"])
        metric = LogProbabilityBias(templates=("TARGET ist ATTRIBUTE.",), targets_x=("man",), targets_y=("woman",), attributes=("nurse",))
        assert any("the templates do not look so" in note for note in metric.measure(model, subject="toy", inference=INFERENCE).notes)

    def test_unknown_words_are_told(self):
        metric = LogProbabilityBias(templates=TEMPLATES, **{**self.LISTS, "attributes": ("nurse", "astronaut")})
        evidence = metric.measure(MaskedBag(WORDS, pulls=PULLS), subject="toy", inference=INFERENCE)
        assert any("does not know astronaut" in note for note in evidence.notes)
        assert evidence.estimates[0].conditions["unknown_list_words"] == 1

    def test_a_side_that_is_left_empty_is_refused(self):
        metric = LogProbabilityBias(templates=TEMPLATES, **{**self.LISTS, "targets_y": ("femme",)})
        with pytest.raises(InputError, match="nothing is left of one list"):
            metric.measure(MaskedBag(WORDS), subject="toy", inference=INFERENCE)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"targets_x": ()}, "targets_x is empty"),
            ({"targets_x": ("man",), "targets_y": ("man",)}, "'man' stands in targets_x and targets_y"),
            ({"attributes": ("nurse", "nurse")}, "a word stands twice"),
            ({"several_pieces": "some"}, "several_pieces is 'some'"),
        ],
    )
    def test_options_are_held(self, options: dict, message: str):
        with pytest.raises(InputError, match=message):
            LogProbabilityBias(**options)


def test_templates_are_looked_at_before_a_model_is():
    with pytest.raises(InputError, match="give TARGET once and ATTRIBUTE once"):
        LogProbabilityBias(templates=("TARGET is kind.",))
