"""What every metric of this room keeps to: names, conditions, intervals or reasons, seeds, and options that study files can give."""

import csv
import json
import re
import typing
from pathlib import Path

import pytest
from tests.unit.fairness.likelihood.toys import CausalBag, MaskedBag

from holdfast import catalog
from holdfast.core.errors import InputError
from holdfast.core.evidence import Evidence
from holdfast.fairness import likelihood
from holdfast.fairness.inference import Inference
from holdfast.fairness.metric import Metric

NAMES = (
    "crows-pairs-nangia",
    "crows-pairs-meade",
    "crows-pairs-causal",
    "crows-pairs-causal-norm",
    "crows-pairs-aul",
    "stereoset",
    "bbq",
    "winobias",
    "winogender",
    "log-probability-bias",
    "likelihood-gap",
)
WORDS = re.findall(
    r"\S+",
    "the a man woman nurse doctor patient is was tired late he she because called old young poor rich who ? . slow here unknown to refers",
)
PULLS = {("nurse", "she"): 1.0, ("doctor", "he"): 0.8, ("poor", "tired"): 0.6, ("nurse", "woman"): 0.5, ("old", "slow"): 0.9}
INFERENCE = Inference(replicates=150, permutations=150)


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The smallest data of each metric."""
    folder = tmp_path_factory.mktemp("sets")
    pairs = [
        ["", "sent_more", "sent_less", "stereo_antistereo", "bias_type"],
        ["0", "the poor man is tired", "the rich man is tired", "stereo", "socioeconomic"],
        ["1", "the old man is slow", "the young man is slow", "stereo", "age"],
        ["2", "the old woman was late", "the young woman was late", "antistereo", "age"],
        ["3", "the woman is here", "the man is here", "stereo", "gender"],
    ]
    crows = write_csv(folder / "pairs.csv", pairs)
    stereoset = folder / "intra.csv"
    rows = [
        ("the man was BLANK", "slow", "late", "who", "race", "man"),
        ("the woman was BLANK", "tired", "late", "who", "gender", "woman"),
        ("the nurse was BLANK", "tired", "slow", "who", "gender", "nurse"),
    ]
    lines = [f"{context},['{a}' '{b}' '{c}'],{domain},{term}" for context, a, b, c, domain, term in rows]
    stereoset.write_text("prompt,choices,bias_type,target\n" + "\n".join(lines) + "\n")
    wino = folder / "wino"
    wino.mkdir()
    for kind in (1, 2):
        for way, (first, second) in (("pro", ("she", "he")), ("anti", ("he", "she"))):
            text = f"1 [the nurse] called because [{first}] was late .\n2 [the doctor] called because [{second}] was late .\n"
            (wino / f"{way}_stereotyped_type{kind}.txt.test").write_text(text)
    sentences = [
        f"{name}.patient.{answer}.{gender}.txt\tthe {name} called the patient because {pronoun} was late ."
        for name in ("nurse", "doctor")
        for answer in (0, 1)
        for gender, pronoun in (("male", "he"), ("female", "she"))
    ]
    (wino / "all_sentences.tsv").write_text("sentid\tsentence\n" + "\n".join(sentences) + "\n")
    questions = folder / "Age.jsonl"
    records = []
    for at, (condition, polarity) in enumerate((c, p) for c in ("ambig", "disambig") for p in ("neg", "nonneg")):
        info = {"ans0": ["man", "old"], "ans1": ["woman", "nonOld"], "ans2": ["unknown", "unknown"]}
        record = {"example_id": at, "question_index": str(at % 2 + 1), "question_polarity": polarity, "context_condition": condition}
        record |= {"category": "Age", "answer_info": info, "additional_metadata": {"stereotyped_groups": ["old"], "subcategory": "None"}}
        record |= {
            "context": "the old man and the young woman was here .",
            "question": "who is slow ?",
            "label": 2 if condition == "ambig" else 1,
        }
        records.append(record | {"ans0": "the old man", "ans1": "the young woman", "ans2": "unknown"})
    questions.write_text("\n".join(map(json.dumps, records)) + "\n")
    words = {"targets_x": ("man",), "targets_y": ("woman",), "attributes": ("nurse", "doctor")}
    found: dict[str, dict] = {name: {"data": crows} for name in NAMES}
    found |= {"stereoset": {"data": stereoset}, "bbq": {"data": questions}, "winobias": {"data": wino}, "winogender": {"data": wino}}
    return found | {"log-probability-bias": words}


def models(metric: Metric) -> list:
    masked, causal = MaskedBag(WORDS, pulls=PULLS), CausalBag(WORDS, pulls=PULLS)
    return {"masked model": [masked], "causal model": [causal], "masked or causal model": [masked, causal]}[metric.needs]


@pytest.mark.parametrize("name", NAMES)
class TestEveryMetric:
    def test_the_catalog_finds_it_by_the_name_on_its_card(self, name: str):
        kind = catalog.resolve("metric", name)
        assert kind.card.name == name
        assert kind.__name__ in likelihood.__all__

    def test_each_number_says_what_it_is(self, name: str, options: dict):
        metric = catalog.resolve("metric", name)(**options[name])
        for model in models(metric):
            evidence = metric.measure(model, subject="toy", inference=INFERENCE)
            assert evidence.estimates
            assert evidence.notes, "each has something to say of what it does not show"
            for one in evidence.estimates:
                assert one.name.startswith(name.replace("-", "_").split("_nangia")[0].split("_meade")[0][:8])
                assert one.conditions["metric"] == name
                assert one.conditions["variant"]
                assert one.conditions["source_text"] == metric.card.source_text
                assert {"unknown_words", "cut"} <= set(one.conditions)
                assert one.interval is not None or one.missing or "no interval:" in one.method, (one.name, one.method)
                assert one.reference == metric.card.reference
            assert Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False))) == evidence

    def test_the_seed_decides_everything_that_is_drawn(self, name: str, options: dict):
        metric = catalog.resolve("metric", name)(**options[name])
        (model, *_) = models(metric)
        first, again = (metric.measure(model, subject="toy", inference=INFERENCE) for _ in range(2))
        assert first == again
        other = metric.measure(model, subject="toy", inference=Inference(replicates=150, permutations=150, seed=1))
        assert [one.value for one in first.estimates] == [one.value for one in other.estimates], "a seed moves no value"

    def test_the_vocabulary_of_another_language_gives_no_number_or_says_so(self, name: str, options: dict):
        metric = catalog.resolve("metric", name)(**options[name])
        stranger = (CausalBag if metric.needs == "causal model" else MaskedBag)(["le", "chat", "noir"])
        if name == "log-probability-bias":
            with pytest.raises(InputError, match="the model knows none of man, woman"):
                metric.measure(stranger, subject="toy", inference=INFERENCE)
            return
        evidence = metric.measure(stranger, subject="toy", inference=INFERENCE)
        assert any("of the words of the texts are unknown" in note for note in evidence.notes)
        numbers = [one for one in evidence.estimates if one.value is not None]
        assert {one.name for one in numbers} <= {"bbq_accuracy", "bbq_unparsed", "winogender_accuracy", "winogender_unparsed"}
        assert all(one.value == (1.0 if one.name.endswith("unparsed") else 0.0) for one in numbers), "no answer is right, all are none"

    def test_study_files_can_give_its_options(self, name: str):
        hints = typing.get_type_hints(catalog.resolve("metric", name))
        assert "Path" in str(hints["data"])

    def test_its_card_is_full(self, name: str):
        card = catalog.resolve("metric", name).card
        assert len(card.criticism) >= 3
        assert all(one.endswith(".") for one in card.criticism)
        assert all([card.title, card.notion, card.groups, card.source_text, card.harms, card.reference])
        assert json.loads(json.dumps(card.describe()))["name"] == name


def test_names_and_titles_are_told_apart():
    cards = [catalog.resolve("metric", name).card for name in NAMES]
    assert len({card.title for card in cards}) == len(NAMES)
    assert sum(card.name.startswith("crows-pairs-") for card in cards) == 5
