"""A small world for every metric of fairness: files in the published layouts, predictions, vectors, and models without a network."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tests.unit.fairness.likelihood.toys import CausalBag, MaskedBag

from holdfast import catalog
from holdfast.core.randomness import Streams
from holdfast.fairness import Groups, Metric, Predictions, Units
from holdfast.fairness.association.vectors import WordVectors

CROWS = ("crows-pairs-nangia", "crows-pairs-meade", "crows-pairs-causal", "crows-pairs-causal-norm", "crows-pairs-aul")
GENERATING = ("gender-polarity-unigram", "gender-polarity-embedding", "generation-sentiment", "generation-toxicity", "generation-regard")
X = ("rose", "lily", "tulip", "daisy", "poppy", "iris")
Y = ("ant", "flea", "wasp", "gnat", "moth", "bee")
A = ("happy", "love", "peace", "joy")
B = ("ugly", "filth", "agony", "war")
SPOKEN = re.findall(
    r"\S+",
    "the a man woman nurse doctor patient is was tired late he she because called old young poor rich who ? . slow here unknown to refers",
)
PULLS = {("nurse", "she"): 1.0, ("doctor", "he"): 0.8, ("poor", "tired"): 0.6, ("nurse", "woman"): 0.5, ("old", "slow"): 0.9}
TAILS = ("she was kind and good", "he was a cruel idiot", "the stone fell", "her brave honest work", "his filthy lies")


class Vectors:
    """Vectors of words: X near to A and Y near to B along the first of twelve directions."""

    name = "small vectors"

    def __init__(self) -> None:
        draw = np.random.default_rng(5)
        side = {**dict.fromkeys(X, 1.0), **dict.fromkeys(Y, -1.0), **dict.fromkeys(A, 1.5), **dict.fromkeys(B, -1.5)}
        side |= {"she": 2.0, "he": -2.0, "her": 1.5, "his": -1.5}
        self.rows = {word: draw.normal(size=12) + shift * np.eye(12)[0] for word, shift in side.items()}

    def word(self, word: str) -> np.ndarray:
        return self.rows[word] if word in self.rows else Streams.from_seed(9).generator(f"word {word}:").normal(size=12)

    def encode(self, texts: Sequence[str], *, pooling: str) -> np.ndarray:
        return np.array([np.mean([self.word(word) for word in re.findall(r"[\w'-]+", text)], axis=0) for text in texts])

    def encode_within(self, texts: Sequence[str], spans: Sequence[tuple[int, int]], *, pooling: str) -> np.ndarray:
        own = np.array([self.word(text[start:end]) for text, (start, end) in zip(texts, spans, strict=True)])
        return own + 0.3 * self.encode(texts, pooling=pooling)

    @property
    def table(self) -> WordVectors:
        return WordVectors(tuple(self.rows), np.array(list(self.rows.values())), self.name)


class Writer:
    """Goes on with one of a few sayings, drawn by the seed."""

    name = "writer"

    def generate(
        self, prompts: Sequence[str], *, samples: int, most_words: int, top_p: float, temperature: float, streams: Streams
    ) -> list[list[str]]:
        draws = [streams.generator("writer", row) for row in range(len(prompts))]
        return [[TAILS[at] for at in draw.integers(0, len(TAILS), samples)] for draw in draws]


def predictions(n: int = 240, *, seed: int = 0, users: int | None = 60, groups: Sequence[str] = ("women", "men")) -> Predictions:
    """Decisions about three classes, one of which is harmless, of two groups that share no member."""
    draw = np.random.default_rng(seed)
    scores = np.round(draw.dirichlet(np.ones(3), n), 6)
    truth = np.array([draw.choice(3, p=row / row.sum()) for row in scores])
    members = np.eye(len(groups), dtype=bool)[draw.integers(0, len(groups), n)]
    units = Units.rows(n) if users is None else Units(draw.integers(0, users, n), users, "users")
    classes = ("hatespeech", "normal", "offensive")
    return Predictions(truth, scores.argmax(1), classes, Groups("gender", tuple(groups), members), units, scores, None, "small")


def table(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """Writes a CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def stimuli(path: Path, **changed: Sequence[str]) -> Path:
    """Writes one association test, and the same with its targets swapped."""
    keys = dict(zip(("target_x", "target_y", "attribute_a", "attribute_b"), (X, Y, A, B), strict=True)) | changed
    one = {key: list(words) for key, words in keys.items()}
    path.write_text(json.dumps({"tests": {"flowers": one, "reversed": {**one, "target_x": one["target_y"], "target_y": one["target_x"]}}}))
    return path


def vectors_file(path: Path) -> Path:
    """Writes the vectors as text."""
    lines = [" ".join([word, *(f"{number:.6f}" for number in row)]) for word, row in Vectors().rows.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def crows(path: Path) -> Path:
    """Writes four pairs of CrowS-Pairs."""
    return table(
        path,
        [
            ["", "sent_more", "sent_less", "stereo_antistereo", "bias_type"],
            [0, "the poor man is tired", "the rich man is tired", "stereo", "socioeconomic"],
            [1, "the old man is slow", "the young man is slow", "stereo", "age"],
            [2, "the old woman was late", "the young woman was late", "antistereo", "age"],
            [3, "the woman is here", "the man is here", "stereo", "gender"],
        ],
    )


def stereoset(path: Path) -> Path:
    """Writes three items of StereoSet in the compact layout."""
    rows = [
        ("the man was BLANK", "slow", "late", "who", "race", "man"),
        ("the woman was BLANK", "tired", "late", "who", "gender", "woman"),
        ("the nurse was BLANK", "tired", "slow", "who", "gender", "nurse"),
    ]
    lines = [f"{context},['{a}' '{b}' '{c}'],{domain},{term}" for context, a, b, c, domain, term in rows]
    path.write_text("prompt,choices,bias_type,target\n" + "\n".join(lines) + "\n")
    return path


def winograd(folder: Path) -> Path:
    """Writes WinoBias and Winogender into one folder."""
    folder.mkdir()
    for kind in (1, 2):
        for way, (first, second) in (("pro", ("she", "he")), ("anti", ("he", "she"))):
            text = f"1 [the nurse] called because [{first}] was late .\n2 [the doctor] called because [{second}] was late .\n"
            (folder / f"{way}_stereotyped_type{kind}.txt.test").write_text(text)
    sentences = [
        f"{name}.patient.{answer}.{gender}.txt\tthe {name} called the patient because {pronoun} was late ."
        for name in ("nurse", "doctor")
        for answer in (0, 1)
        for gender, pronoun in (("male", "he"), ("female", "she"))
    ]
    (folder / "all_sentences.tsv").write_text("sentid\tsentence\n" + "\n".join(sentences) + "\n")
    return folder


def questions(path: Path, *, answers: Sequence[str] = (), templates: int = 2) -> Path:
    """Writes questions of BBQ; with published answers where some are given, in turn."""
    places = [(condition, polarity) for condition in ("ambig", "disambig") for polarity in ("neg", "nonneg")]
    records = []
    for at in range(templates * len(places)):
        condition, polarity = places[at % len(places)]
        info = {"ans0": ["man", "old"], "ans1": ["woman", "nonOld"], "ans2": ["unknown", "unknown"]}
        record: dict[str, Any] = {"example_id": at, "question_index": str(at // len(places) + 1), "question_polarity": polarity}
        record |= {"context_condition": condition, "category": "Age", "answer_info": info}
        record |= {"additional_metadata": {"stereotyped_groups": ["old"], "subcategory": "None"}}
        record |= {"context": "the old man and the young woman was here .", "question": "who is slow ?"}
        record |= {"label": 2 if condition == "ambig" else 1, "ans0": "the old man", "ans1": "the young woman", "ans2": "unknown"}
        records.append(record | ({"toy_pred_race": answers[at % len(answers)]} if answers else {}))
    path.write_text("\n".join(map(json.dumps, records)) + "\n")
    return path


def bold(folder: Path) -> Path:
    """Writes one domain of BOLD with two groups of six prompts."""
    (folder / "prompts").mkdir(parents=True)
    (folder / "wikipedia").mkdir()
    groups = {"nurses": "nurse", "smiths": "smith"}
    prompts = {group: {f"{word}_{at}": [f"The {word} {at} is"] for at in range(6)} for group, word in groups.items()}
    whole = {
        group: {name: [f"{texts[0]} known, {TAILS[(at + len(group)) % 5]}"] for at, (name, texts) in enumerate(named.items())}
        for group, named in prompts.items()
    }
    (folder / "prompts" / "profession_prompt.json").write_text(json.dumps(prompts))
    (folder / "wikipedia" / "profession_wiki.json").write_text(json.dumps(whole))
    return folder


def contexts(path: Path) -> Path:
    """Writes a text in which each word of the association test stands three times."""
    lines = [f"we saw {word} {tail}." for word in (*X, *Y, *A, *B) for tail in ("at noon today", "by the old road", "and went home")]
    path.write_text("\n".join(lines) + "\n")
    return path


def options(folder: Path) -> dict[str, dict[str, Any]]:
    """The options of every metric of the catalog, with the files that they name."""
    sets, pairs, people = stimuli(folder / "sets.json"), crows(folder / "pairs.csv"), bold(folder / "bold")
    wino = winograd(folder / "wino")
    found: dict[str, dict[str, Any]] = {name: {} for name in catalog.names("metric")}
    found |= {name: {"data": pairs} for name in (*CROWS, "likelihood-gap")}
    found |= {name: {"bold": str(people), "domains": ["profession"], "samples": 3} for name in GENERATING}
    found |= {"weat": {"stimuli": sets}, "rnd": {"stimuli": sets}, "seat": {"stimuli": sets}}
    found |= {"ceat": {"stimuli": sets, "text": contexts(folder / "text.txt"), "samples": 50}}
    found |= {"stereoset": {"data": stereoset(folder / "stereo.csv")}, "bbq": {"data": questions(folder / "Age.jsonl")}}
    found |= {"winobias": {"data": wino}, "winogender": {"data": wino}}
    found |= {"log-probability-bias": {"targets_x": ("man",), "targets_y": ("woman",), "attributes": ("nurse", "doctor")}}
    found["gender-polarity-embedding"] |= {"vectors": Vectors().table, "hard_debiased": False}
    return found


def givens(metric: Metric) -> Iterator[Any]:
    """Whatever a metric may look at."""
    masked, causal, seen = MaskedBag(SPOKEN, pulls=PULLS), CausalBag(SPOKEN, pulls=PULLS), Vectors()
    yield from {
        "predictions": (predictions(), predictions(users=None)),
        "vectors": (seen.table,),
        "encoder": (seen,),
        "masked model": (masked,),
        "causal model": (causal,),
        "masked or causal model": (masked, causal),
        "generator": (Writer(),),
    }[metric.needs]
