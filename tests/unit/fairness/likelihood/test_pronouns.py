"""WinoBias and Winogender: pairs that differ in the pronoun, systems that resolve it, and shares of women."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.unit.fairness.likelihood.toys import CausalBag, Even, MaskedBag

from holdfast.core.errors import DataError, InputError
from holdfast.core.evidence import Evidence
from holdfast.data.benchmarks import WinoBiasItem, read_winobias, read_winogender
from holdfast.fairness.inference import Inference, sign_flip_test
from holdfast.fairness.likelihood import WinoBias, Winogender, pronoun_odds
from holdfast.fairness.likelihood.pronouns import correlation, f1, mismatches, randomisation_test, read_system, resolve, system_pairs
from holdfast.fairness.metric import Metric

INFERENCE = Inference(replicates=200, permutations=500)
WORDS = re.findall(
    r"\S+", "the nurse mechanic doctor called because he she was late him her . ' refers to patient someone that it could be better said"
)
PULLS = {("nurse", "she"): 2.0, ("mechanic", "he"): 1.5, ("doctor", "he"): 0.5, ("doctor", "she"): 1.0}


def sentence(
    way: str, pronoun: str, number: int = 1, *, kind: int = 1, occupation: str = "nurse", tail: str = " was late ."
) -> WinoBiasItem:
    head = f"the {occupation} called because "
    span = (len(head), len(head) + len(pronoun))
    return WinoBiasItem(head + pronoun + tail, "nurse", pronoun, span, (4, 9), way, 1, number)  # type: ignore[arg-type]


class TestPronounOdds:
    PAIR = (sentence("pro", "she"), sentence("anti", "he"))

    def test_a_masked_model_compares_the_hidden_pronouns(self):
        model = MaskedBag(WORDS, weights={"he": 0.3}, pulls=PULLS)
        found = pronoun_odds(model, self.PAIR)
        assert found.log_odds[0] == pytest.approx(2.0 - 0.3, abs=1e-8)

    def test_a_causal_model_compares_the_sentences(self):
        model = CausalBag(WORDS, weights={"he": 0.3}, pulls={**PULLS, ("she", "late"): 3.0})
        seen = ("the", "nurse", "called", "because")
        tail = ("was", "late", ".")
        she, he = (
            model.logit(word, *seen) + sum(model.logit(one, *seen, word, *tail[:at]) for at, one in enumerate(tail))
            for word in ("she", "he")
        )
        assert pronoun_odds(model, self.PAIR).log_odds[0] == pytest.approx(she - he, abs=1e-8)

    def test_pairs_that_differ_in_more_are_skipped_and_counted(self):
        items = [*self.PAIR, sentence("pro", "she", 2), sentence("anti", "he", 2, tail=" is late ."), sentence("pro", "she", 3)]
        found = pronoun_odds(MaskedBag(WORDS), items)
        assert (len(found.log_odds), found.skipped) == (1, 2)

    def test_an_unknown_pronoun_has_no_odds(self):
        model = MaskedBag([word for word in WORDS if word != "she"])
        assert np.isnan(pronoun_odds(model, self.PAIR).log_odds).all()

    def test_no_pair_is_an_error(self):
        with pytest.raises(InputError, match="hold no pair"):
            pronoun_odds(MaskedBag(WORDS), self.PAIR[:1])


@pytest.fixture
def winobias(tmp_path: Path) -> Path:
    for kind in (1, 2):
        for way, pronouns in (("pro", ("she", "he")), ("anti", ("he", "she"))):
            rows = [
                f"{at + 1} [the {name}] called because [{pronouns[at % 2]}] was late ." for at, name in enumerate(["nurse", "mechanic"] * 4)
            ]
            (tmp_path / f"{way}_stereotyped_type{kind}.txt.test").write_text("\n".join(rows) + "\n")
    (tmp_path / "male_occupations.txt").write_text("mechanic\n")
    (tmp_path / "female_occupations.txt").write_text("nurse\n")
    return tmp_path


class TestWinoBias:
    def test_a_model_that_knows_the_stereotype_prefers_it(self, winobias: Path):
        metric = WinoBias(data=winobias)
        assert isinstance(metric, Metric)
        evidence = metric.measure(MaskedBag(WORDS, pulls=PULLS), subject="toy", inference=INFERENCE)
        rows = {(one.name, one.conditions.get("type")): one for one in evidence.estimates if "group" not in one.conditions}
        assert rows["winobias_difference", "all"].value == 1.0
        assert rows["winobias_preference", "1"].value == 1.0
        assert rows["winobias_log_odds", "all"].value == pytest.approx((2.0 + 1.5) / 2, abs=1e-6)
        by_occupation = {one.conditions["group"]: one.value for one in evidence.estimates if "group" in one.conditions}
        assert by_occupation == {"nurse": pytest.approx(2.0, abs=1e-6), "mechanic": pytest.approx(1.5, abs=1e-6)}
        assert rows["winobias_difference", "all"].n == 2, "the unit is the occupation"
        assert Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False))) == evidence

    def test_a_general_preference_for_one_pronoun_cancels(self, winobias: Path):
        evidence = WinoBias(data=winobias).measure(MaskedBag(WORDS, weights={"he": 3.0}), subject="toy", inference=INFERENCE)
        assert evidence.estimate("winobias_difference").value == 0.0
        assert evidence.estimate("winobias_preference").value == 0.5
        assert evidence.estimate("winobias_difference").conditions["p_value"] == 1.0

    def test_a_model_without_preference_ties(self, winobias: Path):
        evidence = WinoBias(data=winobias).measure(CausalBag(WORDS), subject="toy", inference=INFERENCE)
        assert evidence.estimate("winobias_difference").value == 0.0
        assert evidence.estimate("winobias_preference").value == 0.0, "a tie prefers neither"

    def test_a_model_without_the_words_has_no_number(self, winobias: Path):
        evidence = WinoBias(data=winobias).measure(MaskedBag(["la"]), subject="toy", inference=INFERENCE)
        assert {one.missing for one in evidence.estimates} == {"no pair can be scored"}

    def test_options_are_held(self, winobias: Path):
        with pytest.raises(InputError, match="and not both"):
            WinoBias()
        with pytest.raises(InputError, match="did you mean 'test'"):
            WinoBias(data=winobias, split="tests")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="needs a masked or causal"):
            WinoBias(data=winobias).measure(object(), subject="toy", inference=INFERENCE)  # type: ignore[arg-type]

    @pytest.mark.shared
    def test_the_published_files_hold_792_pairs_of_which_few_differ_in_more(self, shared_data: Path):
        found = pronoun_odds(Even(["he"], specials=False), read_winobias(shared_data / "winobias", "test"))
        assert len(found.log_odds) + found.skipped == 792
        assert 10 < found.skipped < 60
        assert len(set(found.occupations)) == 40


class TestSystems:
    def test_differences_by_hand(self, tmp_path: Path):
        path = tmp_path / "system.json"
        pro, anti = {str(at): at < 9 for at in range(12)}, {str(at): at < 6 for at in range(12)}
        path.write_text(json.dumps({"1": {"pro": pro, "anti": anti}}))
        evidence = WinoBias(predictions=path).measure(None, subject="system", inference=INFERENCE)
        row = evidence.estimate("winobias_difference")
        assert (row.value, row.conditions["type"], row.conditions["score"]) == (0.25, "1", "accuracy")
        assert evidence.estimate("winobias_score", conditions={"stereotyped": "pro"}).value == 0.75
        assert row.interval.low < 0.25 < row.interval.high
        assert row.conditions["p_value"] == pytest.approx(0.25, abs=0.06), "three pairs moved, two-sided: 2 / 8"

    def test_the_randomisation_of_accuracies_is_the_sign_flip(self):
        rng = np.random.default_rng(5)
        pro, anti = rng.random(80) < 0.7, rng.random(80) < 0.5
        pairs = system_pairs(dict(enumerate(map(bool, pro))), dict(enumerate(map(bool, anti))))  # type: ignore[arg-type]
        many = Inference(permutations=20_000)
        swapped = randomisation_test(pairs, inference=many, generator=np.random.default_rng(0))
        flipped = sign_flip_test(pro.astype(float) - anti, inference=many, generator=np.random.default_rng(1))
        assert swapped == pytest.approx(flipped, abs=0.006)

    def test_f1_counts_links(self):
        assert float(f1(np.array([6.0, 8.0, 12.0]))) == pytest.approx(2 * (6 / 8) * (6 / 12) / (6 / 8 + 6 / 12))
        pairs = system_pairs({"1": (1, 1, 2), "2": (0, 2, 1)}, {"1": (1, 1, 2), "2": (1, 1, 1)})
        assert pairs.score == "F1"
        assert float(f1(pairs.pro_n3.sum(0))) == pytest.approx(2 / 6)

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ({"3": {}}, "by type of sentence"),
            ({"1": {"pro": {}}}, 'give "pro" and "anti"'),
            ({"1": {"pro": {}, "anti": {}}}, "there is no sentence"),
            ({"1": {"pro": {"1": True}, "anti": {"2": True}}}, "sentence 1 stands on one side only"),
            ({"1": {"pro": {"1": "yes"}, "anti": {"1": True}}}, "sentence 1: 'yes'"),
            ({"1": {"pro": {"1": [2, 1, 1]}, "anti": {"1": [1, 1, 1]}}}, "links"),
            ({"1": {"pro": {"1": [1, 1, 1]}, "anti": {"1": True}}}, "one kind for all"),
        ],
    )
    def test_bad_answers_are_refused(self, document: dict, message: str, tmp_path: Path):
        path = tmp_path / "system.json"
        path.write_text(json.dumps(document))
        with pytest.raises(DataError, match=message):
            read_system(path)


@pytest.fixture
def winogender(tmp_path: Path) -> Path:
    """The published layout: four templates for each of five occupations, three pronouns each."""
    lines = ["sentid\tsentence"]
    for occupation in ("doctor", "nurse", "mechanic", "baker", "clerk"):
        for answer in (0, 1):
            for gender, pronoun in (("male", "he"), ("female", "she"), ("neutral", "they")):
                lines.append(
                    f"{occupation}.patient.{answer}.{gender}.txt\tthe {occupation} said to the patient that {pronoun} could be better ."
                )
    (tmp_path / "all_sentences.tsv").write_text("\n".join(lines) + "\n")
    shares = {"doctor": 38, "nurse": 90, "mechanic": 2, "baker": 60, "clerk": 80}
    rows = [f"{name}\t{share}.0\t{share}.5\t2015" for name, share in shares.items()]
    (tmp_path / "occupations-stats.tsv").write_text("occupation\tbergsma_pct_female\tbls_pct_female\tbls_year\n" + "\n".join(rows) + "\n")
    return tmp_path


def predictions(folder: Path, answers: dict[tuple[str, str], str]) -> Path:
    """Answers by occupation and gender; "participant" where nothing is said."""
    path = folder / "answers.json"
    items = read_winogender(folder)
    path.write_text(json.dumps({item.identifier: answers.get((item.occupation, item.gender), "participant") for item in items}))
    return path


class TestWinogender:
    def test_mismatches_and_their_correlation(self, winogender: Path):
        """She is taken for the nurse and the clerk, he for the mechanic: mismatch in 3 of 5 occupations, along the shares of women."""
        answers = {("nurse", "female"): "occupation", ("clerk", "female"): "occupation", ("mechanic", "male"): "occupation"}
        metric = Winogender(data=winogender, predictions=predictions(winogender, answers))
        assert isinstance(metric, Metric)
        evidence = metric.measure(None, subject="system", inference=INFERENCE)
        assert evidence.estimate("winogender_mismatch").value == pytest.approx(0.6)
        row = evidence.estimate("winogender_correlation")
        expected = stats.pearsonr([0, 1, -1, 0, 1], [0.385, 0.905, 0.025, 0.605, 0.805])
        assert row.value == pytest.approx(expected.statistic)
        np.testing.assert_allclose((row.interval.low, row.interval.high), expected.confidence_interval(0.95), rtol=1e-6)
        assert evidence.estimate("winogender_accuracy", conditions={"group": "male"}).value == pytest.approx(0.5)
        assert Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False))) == evidence

    def test_answers_that_never_change_have_no_mismatch_and_no_correlation(self, winogender: Path):
        evidence = Winogender(data=winogender, predictions=predictions(winogender, {})).measure(None, subject="system", inference=INFERENCE)
        assert evidence.estimate("winogender_mismatch").value == 0.0
        assert evidence.estimate("winogender_correlation").value is None
        assert "never depend on the pronoun" in evidence.estimate("winogender_correlation").missing
        assert any("always gives the same answer" in note for note in evidence.notes)

    def test_answers_that_are_none_are_told(self, winogender: Path):
        path = predictions(winogender, {("nurse", "female"): "the hospital"})
        evidence = Winogender(data=winogender, predictions=path).measure(None, subject="system", inference=INFERENCE)
        assert evidence.estimate("winogender_unparsed").value == pytest.approx(2 / 30)
        row = evidence.estimate("winogender_mismatch")
        assert row.conditions["undefined"] == 2

    def test_a_missing_answer_is_named(self, winogender: Path):
        path = winogender / "answers.json"
        path.write_text(json.dumps({"doctor.patient.0.male.txt": "occupation"}))
        with pytest.raises(DataError, match=r"no answer to 'doctor.patient.0.female.txt'"):
            Winogender(data=winogender, predictions=path).measure(None, subject="system", inference=INFERENCE)

    def test_a_language_model_is_asked_whom_the_pronoun_refers_to(self, winogender: Path):
        items = read_winogender(winogender)
        model = CausalBag(WORDS, pulls={("she", "nurse"): 3.0, ("he", "doctor"): 3.0, ("he", "patient"): 1.0, ("she", "patient"): 1.0})
        found = resolve(model, items, pooling="sum")
        chosen = {(item.occupation, item.gender): one for item, one in zip(items, found.chosen, strict=True)}
        assert (chosen["nurse", "female"], chosen["nurse", "male"]) == (0, 1)
        assert (chosen["doctor", "female"], chosen["doctor", "male"]) == (1, 0)
        assert chosen["baker", "male"] == -1, "the model does not know the word"
        evidence = Winogender(data=winogender).measure(model, subject="toy", inference=INFERENCE)
        row = evidence.estimate("winogender_mismatch")
        assert row.value == pytest.approx(4 / 6), "nurse and doctor of the three occupations that it knows"
        assert row.conditions["unknown_words"] > 0

    def test_options_are_held(self, winogender: Path):
        with pytest.raises(InputError, match="data is missing"):
            Winogender()
        with pytest.raises(InputError, match="pooling"):
            Winogender(data=winogender, pooling="max")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="needs a masked or causal"):
            Winogender(data=winogender).measure(object(), subject="toy", inference=INFERENCE)  # type: ignore[arg-type]


def test_leans_by_hand(winogender: Path):
    items = [item for item in read_winogender(winogender) if item.occupation == "nurse"]
    occupations, leans, undefined = mismatches(items, [1, 0, 1, 0, 1, 1])
    assert (occupations, leans.tolist(), undefined) == (["nurse", "nurse"], [1.0, -1.0], 0)
    assert mismatches(items, [-1, 0, 1, 0, 0, 1])[2] == 1


def test_a_correlation_needs_four_occupations_that_differ():
    generator = np.random.default_rng(0)
    few = correlation({"a": 1.0, "b": 0.0, "c": -1.0}, {"a": 0.1, "b": 0.2, "c": 0.3}, inference=INFERENCE, generator=generator)
    assert math.isnan(few.value)
    exact = {name: float(at) for at, name in enumerate("abcdef")}
    perfect = correlation(exact, exact, inference=INFERENCE, generator=generator)
    assert perfect.value == pytest.approx(1.0)
    assert perfect.p_value < 0.05
