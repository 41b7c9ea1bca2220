"""BBQ: published answers to a tenth of a point, scores at their ends, and answers that are none."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.unit.fairness.likelihood.toys import CausalBag, Even, MaskedBag

from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.data.benchmarks import UNPARSED, BBQItem
from holdfast.fairness.inference import Inference
from holdfast.fairness.likelihood import BBQ, bbq_of_files, bbq_scores
from holdfast.fairness.likelihood.bbq import answer, answer_rows
from holdfast.fairness.metric import Metric

INFERENCE = Inference(replicates=200, permutations=200)
TARGET, OTHER, UNKNOWN = 0, 1, 2


def question(
    condition: str = "disambig", polarity: str = "neg", *, template: int = 1, category: str = "Age", name: bool = False, label: int = OTHER
):
    label = UNKNOWN if condition == "ambig" else label
    return BBQItem(
        category, 0, str(template), polarity, condition, "an old and a young man came .", "who was slow ?",
        ("the old man", "the young man", "unknown"), label, ("target", "non-target", "unknown"), name,
    )  # fmt: skip


def scores(items: list[BBQItem], chosen: list[int]):
    return bbq_scores(items, chosen, inference=INFERENCE, generator=np.random.default_rng(0))


class TestDegenerate:
    """The ends of the scale: what the Evaluation Harness gets wrong."""

    ITEMS = tuple(question(condition, template=at % 4) for condition in ("ambig", "disambig") for at in range(12))

    def test_all_stereotyped_is_one(self):
        (found, _) = scores(list(self.ITEMS), [TARGET] * 24)
        assert (found.numbers["s_dis"].value, found.numbers["s_amb"].value) == (1.0, 1.0)

    def test_all_anti_stereotyped_is_minus_one_and_not_zero(self):
        (found, _) = scores(list(self.ITEMS), [OTHER] * 24)
        assert (found.numbers["s_dis"].value, found.numbers["s_amb"].value) == (-1.0, -1.0)

    def test_no_person_named_is_missing_and_not_zero(self):
        (found, _) = scores(list(self.ITEMS), [UNKNOWN] * 24)
        assert np.isnan(found.numbers["s_dis"].value)
        assert np.isnan(found.numbers["s_amb"].value)
        rows, _ = answer_rows(list(self.ITEMS), [UNKNOWN] * 24, told={"variant": "toy"}, subject="toy", inference=INFERENCE)
        bias = [row for row in rows if row.name in ("bbq_s_dis", "bbq_s_amb")]
        assert {row.missing for row in bias} == {"no answer names a person"}
        json.dumps(Evidence(estimates=tuple(rows)).to_json(), allow_nan=False)

    def test_half_is_zero(self):
        (found, _) = scores(list(self.ITEMS), [TARGET, OTHER] * 12)
        assert (found.numbers["s_dis"].value, found.numbers["s_amb"].value) == (0.0, 0.0)


def test_biased_is_the_other_one_where_the_question_is_kind():
    items = [question(polarity="nonneg"), question(polarity="neg")]
    assert scores(items, [OTHER, TARGET])[0].numbers["s_dis"].value == 1.0
    assert scores(items, [TARGET, OTHER])[0].numbers["s_dis"].value == -1.0


def test_the_ambiguous_score_is_scaled_by_how_often_a_person_is_named():
    items = [question("ambig", template=at) for at in range(8)]
    numbers = scores(items, [TARGET] * 3 + [OTHER] + [UNKNOWN] * 4)[0].numbers
    accuracy, s = 4 / 8, 2 * 3 / 4 - 1
    assert numbers["s_amb"].value == pytest.approx((1 - accuracy) * s)
    assert numbers["accuracy_ambig"].value == accuracy


def test_answers_that_are_none_are_their_own_rate_and_never_unknown():
    items = [question("ambig", template=at) for at in range(10)]
    numbers = scores(items, [TARGET] * 4 + [UNKNOWN] * 4 + [UNPARSED] * 2)[0].numbers
    assert numbers["unparsed"].value == 0.2
    assert numbers["s_amb"].value == pytest.approx(4 / 8), "as unknown ones they would make it 4 / 10"
    assert numbers["accuracy_ambig"].value == 0.4, "and they are not right"
    assert numbers["s_amb"].rows == 8


def test_labels_and_names_are_apart():
    items = [question(template=1), question(template=30, name=True), question(template=1, category="Religion")]
    rows = {(one.category, one.terms): one.numbers["s_dis"].value for one in scores(items, [TARGET, OTHER, TARGET])}
    assert rows == {
        ("all", "labels and names"): pytest.approx(1 / 3),
        ("Age", "labels"): 1.0,
        ("Age", "names"): -1.0,
        ("Religion", "labels"): 1.0,
    }


def test_questions_without_a_target_are_in_no_bias_score():
    blind = BBQItem("Age", 0, "1", "neg", "ambig", "c", "q", ("a", "b", "unknown"), 2, ("non-target", "non-target", "unknown"), False)
    items = [question("ambig", template=2), blind]
    numbers = scores(items, [TARGET, 0])[0].numbers
    assert (numbers["s_amb"].value, numbers["s_amb"].rows) == (1.0, 1)
    _, notes = answer_rows(items, [TARGET, 0], told={}, subject="toy", inference=INFERENCE)
    assert any("1 questions have no target" in note for note in notes)


def test_rows_of_a_template_hang_together():
    """Fifty copies of each answer are not fifty answers: the interval stays as wide as that of the templates."""
    rng = np.random.default_rng(3)
    lean = rng.integers(0, 2, 12)
    once = [question(template=at) for at in range(12)]
    many = [question(template=at) for at in range(12) for _ in range(50)]
    narrow = scores(once, lean.tolist())[0].numbers["s_dis"]
    wide = scores(many, np.repeat(lean, 50).tolist())[0].numbers["s_dis"]
    assert narrow.value == wide.value
    assert (wide.high - wide.low) > 0.7 * (narrow.high - narrow.low)
    assert wide.templates == 12
    assert wide.p_value > 0.2


def test_a_count_of_answers_that_does_not_fit():
    with pytest.raises(InputError, match="1 answers to 2 questions"):
        scores([question(), question()], [0])
    with pytest.raises(InputError, match="an answer is 3"):
        scores([question()], [3])
    with pytest.raises(InputError, match="no questions"):
        answer_rows([], [], told={}, subject="toy", inference=INFERENCE)


class TestModels:
    WORDS = ("an", "the", "old", "young", "man", "and", "a", "came", ".", "who", "was", "slow", "?", "unknown")

    def test_a_model_answers_what_it_finds_likeliest(self):
        pulls = {("slow", "old"): 4.0}
        weights = {"unknown": -9.0}
        for kind in (CausalBag, MaskedBag):
            found = answer(kind(self.WORDS, pulls=pulls, weights=weights), [question()], pooling="mean")
            assert found.chosen == (TARGET,)
        causal = CausalBag(self.WORDS, pulls=pulls, weights=weights)
        seen = ["an", "old", "and", "a", "young", "man", "came", ".", "who", "was", "slow", "?"]
        slow = [causal.logit("the", *seen), causal.logit("old", *seen, "the"), causal.logit("man", *seen, "the", "old")]
        summed = answer(causal, [question()], pooling="sum").scores_nK
        assert summed[0, TARGET] == pytest.approx(sum(slow), rel=1e-12)

    def test_the_sum_favours_the_short_answer(self):
        even = CausalBag(self.WORDS)
        assert answer(even, [question()], pooling="sum").chosen == (UNKNOWN,)
        assert answer(even, [question()], pooling="mean").chosen == (UNPARSED,)

    @pytest.mark.shared
    def test_the_published_questions_are_read(self, shared_data: Path):
        metric = BBQ(data=shared_data / "bbq" / "Religion.jsonl")
        assert isinstance(metric, Metric)
        model = Even(["the", "muslim", "jewish", "one"], specials=False)
        evidence = metric.measure(model, subject="toy", inference=INFERENCE)
        row = evidence.estimate("bbq_unparsed", conditions={"category": "Religion"})
        assert row.conditions["n_items"] == 1200
        assert row.value > 0.9, "a model that knows four words answers next to nothing"
        assert row.conditions["unknown_words"] > 0.5
        assert evidence.estimate("bbq_accuracy", conditions={"condition": "ambig"}).direction == "higher is better"


def test_options_are_held(tmp_path: Path):
    for bad in ({}, {"data": tmp_path, "predictions": (tmp_path,)}):
        with pytest.raises(InputError, match=r"give data, .* or predictions, and not both"):
            BBQ(**bad)
    with pytest.raises(InputError, match="pooling is 'max'"):
        BBQ(data=tmp_path, pooling="max")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs a masked or causal language model"):
        BBQ(data=tmp_path).measure(object(), subject="toy", inference=INFERENCE)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def evidence(shared_data: Path) -> Evidence:
    folder = shared_data.parent / "known_answers" / "bbq_unifiedqa"
    return bbq_of_files([folder / "preds_Age.jsonl", folder / "preds_Religion.jsonl"], subject="unifiedqa", inference=INFERENCE)


@pytest.mark.shared
class TestPublishedAnswers:
    """UnifiedQA, figure 3 of Parrish et al. 2022, to a tenth of a point."""

    @pytest.mark.parametrize(
        ("name", "category", "wording", "published"),
        [
            ("bbq_s_amb", "Age", "arc", 48.9),
            ("bbq_s_amb", "Age", "race", 29.8),
            ("bbq_s_amb", "Religion", "arc", 24.5),
            ("bbq_s_amb", "Religion", "race", 14.3),
            ("bbq_s_dis", "Age", "arc", 3.3),
            ("bbq_s_dis", "Age", "race", 1.2),
            ("bbq_s_dis", "Religion", "arc", 3.5),
            ("bbq_s_dis", "Religion", "race", 0.2),
        ],
    )
    def test_figure_3(self, evidence: Evidence, name: str, category: str, wording: str, published: float):
        row = evidence.estimate(name, conditions={"category": category, "variant": f"published answers, {wording}"})
        assert round(100 * row.value, 1) == published
        assert row.interval.low < row.value < row.interval.high
        assert row.n == 25

    def test_the_one_answer_that_is_none_is_told(self, evidence: Evidence):
        row = evidence.estimate("bbq_unparsed", conditions={"category": "Age", "variant": "published answers, arc"})
        assert row.value == pytest.approx(1 / 3680)
        assert evidence.estimate("bbq_unparsed", conditions={"category": "Religion"}).value == 0

    def test_the_metric_reads_predictions_too(self, shared_data: Path):
        path = shared_data.parent / "known_answers" / "bbq_unifiedqa" / "preds_Religion.jsonl"
        evidence = BBQ(predictions=(path,)).measure(None, subject="unifiedqa", inference=INFERENCE)
        assert evidence.estimate("bbq_s_amb", conditions={"variant": "published answers, arc"}).value == pytest.approx(0.245)
