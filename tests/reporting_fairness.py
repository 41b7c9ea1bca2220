"""Invented runs whose fairness was measured, with all that the metrics hand to a report. The figures are of a likely size, not measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from holdfast.core.evidence import Estimate, Evidence, Interval
from holdfast.runs import RunRecord
from tests.reporting import RUNS, record_of

DIALECTS = {"none stated": 4_812, "Indian English": 611, "Nigerian English": 402, "African American": 287, "Scottish": 94, "Jamaican": 31}
EMPTY = "Singapore English"
GENDERS = ("women", "men")
OCCUPATIONS = ("nurse", "surgeon", "teacher", "professor", "model", "pastor", "software engineer")
WORDS = (
    *(("flowers", "insects", "pleasant", "unpleasant"), ("instruments", "weapons", "pleasant", "unpleasant")),
    *(
        ("European names", "African American names", "pleasant", "unpleasant"),
        ("European names 2", "African names 2", "pleasant", "unpleasant"),
    ),
    *(("European names 3", "African names 3", "pleasant 2", "unpleasant 2"), ("male_names", "female_names", "career", "family")),
    *(("mathematics", "arts", "male terms", "female terms"), ("science", "arts", "male terms", "female terms")),
    *(
        ("mental illness", "physical illness", "temporary", "permanent"),
        ("young people's names", "old people's names", "pleasant", "unpleasant"),
    ),
)
CATEGORIES = {
    **{"race or colour": 516, "gender": 262, "occupation": 172, "nationality": 159, "religion": 105, "age": 87},
    **{"sexual orientation": 84, "physical appearance": 63, "disability": 60},
}
SIDES = ("age", "disability", "nationality", "religion", "sexual orientation")
NOTE = "Binary lists of gendered words stand for gender as written in the United States, and for nothing else."
UNDEFINED = "nobody of this group has the positive label, so the rate has no denominator"
MARGIN = 0.05
DETECTED = "a made-up sentence that must never be printed"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is made up of one run.

    Args:
        base: Place of the run in `RUNS` that it is built on.
        name: Of the run.
        gap: By how much the worst dialect lies below the best.
        language: Whether it is a language model too.
        margin: Up to where differences count as fair; None for no verdicts.
    """

    base: int
    name: str
    gap: float
    language: bool = True
    margin: float | None = MARGIN


JUDGED = (
    Judged(base=0, name="non-private", gap=0.08),
    Judged(base=2, name="dp-sgd", gap=0.15),
    Judged(base=3, name="dp-sgd-eps-2", gap=0.31, language=False),
)
METRICS = {  # name: title, notion, kind, level, ideal, criticism
    "demographic-parity": ("Demographic parity", "independence", "extrinsic", "decision", 0, ()),
    "equal-opportunity": ("Equal opportunity", "separation, of the positive class", "extrinsic", "decision", 0, ()),
    "equalised-odds": ("Equalised odds", "separation", "extrinsic", "decision", 0, ()),
    "unintended-bias-auc": (
        *("Unintended bias AUCs (after Borkan et al. 2019)", "separation of scores", "extrinsic", "decision", 1),
        ("A power mean over groups hides which group it is that fares badly",),
    ),
    "tpr-gap": ("True positive rate gap (after De-Arteaga et al. 2019)", "equal opportunity", "extrinsic", "decision", 0, ()),
    "weat": (
        *("WEAT, joint sample deviation (after Caliskan et al. 2017)", "association", "intrinsic", "embedding", 0),
        ("Goldfarb-Tarrant et al. 2021 found no reliable correlation with what models do", "Its size depends on the words chosen"),
    ),
    "stereoset": ("StereoSet (after Nadeem et al. 2021)", "stereotyping", "intrinsic", "language model", 50, ()),
    "crows-pairs-nangia": (
        *("CrowS-Pairs, masked shared words (after Nangia et al. 2020)", "stereotyping", "intrinsic", "language model", 50),
        ("Blodgett et al. 2021 found most of its pairs to be no valid comparison",),
    ),
    "bbq": ("BBQ (after Parrish et al. 2022)", "stereotyped answers", "extrinsic", "language model", 0, ()),
    "winobias": ("WinoBias (after Zhao et al. 2018)", "stereotyped coreference", "intrinsic", "language model", 0, ()),
    "gender-polarity-unigram": ("Gender polarity, counted words (after BOLD)", "representation", "extrinsic", "generation", 1, ()),
    "generation-regard": ("Regard of generated text", "representational harm", "extrinsic", "generation", 0, ()),
}


def fairness_runs(*judged: Judged) -> list[RunRecord]:
    """Records of runs whose fairness was measured; the three of above unless others are given."""
    return [fairness_record(one) for one in judged or JUDGED]


def fairness_record(one: Judged, *, carded: bool = True) -> RunRecord:
    """A finished record about one invented run.

    Args:
        one: What is made up.
        carded: False leaves out of the record how fairness was measured.
    """
    base = record_of(replace(RUNS[one.base], name=one.name))
    found = fairness_evidence(one)
    metrics = dict.fromkeys(str(estimate.conditions["metric"]) for estimate in found.estimates)
    told = {
        "cards": {metric: card(metric) for metric in metrics},
        "seconds": {metric: 1.5 + len(metric) / 10 for metric in metrics},
        "commands": {metric: f"holdfast fairness runs/{one.name} --metric {metric}" for metric in metrics},
        "source": "snips:data/snips, test split",
        "inference": {"level": 0.95, "replicates": 1000, "margin": one.margin, "power": 0.8, "seed": 0},
    }
    settings = {**base.settings, "fairness": told} if carded else base.settings
    return replace(base, settings=settings, evidence=base.evidence + found)


def card(metric: str) -> dict[str, object]:
    """The card of a metric as a record holds it."""
    title, notion, kind, level, ideal, criticism = METRICS[metric]
    return {
        **{"name": metric, "title": title, "notion": notion, "kind": kind, "level": level, "ideal": ideal},
        **{"groups": "any attribute of the data", "source_text": "the test set", "unit": "share", "direction": "lower is better"},
        **{"criticism": list(criticism), "harms": "A group that is served worse gets wrong answers more often.", "reference": "a paper"},
    }


def fairness_evidence(one: Judged) -> Evidence:
    """All that the metrics hand to the report."""
    language = (*_weat(one), *_stereoset(one), *_crows(one), *_bbq(one), *_winobias(one), *_polarity(one), *_regard(one))
    return Evidence(estimates=(*_decisions(one), *_areas(one), *_classes(one), *(language if one.language else ())), notes=(NOTE,))


def number(
    one: Judged,
    metric: str,
    name: str,
    value: float | None,
    *,
    half: float | None = None,
    unit: str = "share",
    n: int | None = None,
    missing: str | None = None,
    direction: str = "lower is better",
    floor: float = -math.inf,
    ceiling: float = math.inf,
    method: str = "max-T over groups, 1000 bootstrap replicates",
    **conditions: object,
) -> Estimate:
    """An estimate as a metric makes it."""
    interval = None
    if value is not None and half is not None:
        interval = Interval(low=max(floor, value - half), high=min(ceiling, value + half), level=0.95, method=method)
    told: Mapping[str, object] = {"metric": metric, **conditions}
    fields = {"unit": unit, "direction": direction, "interval": interval, "n": n, "conditions": told, "missing": missing}
    return Estimate(name=name, subject=one.name, value=value, method=f"invented {name}", reference="a paper", **fields)


def verdict(one: Judged, value: float, half: float) -> dict[str, object]:
    """The verdict on a gap, where a margin was set."""
    if one.margin is None:
        return {}
    low, high = value - 0.84 * half, value + 0.84 * half
    word = "fair within the margin" if high < one.margin and low > -one.margin else "unfair" if low > one.margin else "not enough data"
    return {"verdict": word}


def gap(one: Judged, metric: str, name: str, value: float, half: float, **conditions: object) -> Estimate:
    """A largest difference between groups."""
    told = {"statistic": "difference", "p_value": 0.004, "test": "10000 permutations of labels", "minimum_detectable": 0.043}
    told |= {"effect_size": 0.31, "effect": "Cohen's h", "resampled": "users"} | verdict(one, value, half) | conditions
    return number(one, metric, name, value, half=half, n=6_268, floor=0.0, **told)


def _served(one: Judged, base: float) -> dict[str, tuple[float, int]]:
    """A rate of each dialect: the fewer its speakers, the lower it is."""
    sizes = DIALECTS
    return {name: (base - one.gap * place / (len(sizes) - 1), count) for place, (name, count) in enumerate(sizes.items())}


def _decisions(one: Judged) -> list[Estimate]:
    found, told = [], {"groups": "dialect"}
    better = "higher is better"
    for metric, name, base, direction in (
        ("demographic-parity", "selection_rate", 0.42, "neither"),
        ("equal-opportunity", "true_positive_rate", 0.91, better),
        ("equalised-odds", "true_positive_rate", 0.91, better),
        ("equalised-odds", "false_positive_rate", 0.34, "neither"),
    ):
        for group, (value, count) in _served(one, base).items():
            half = min(0.3, 2.5 * math.sqrt(value * (1 - value) / count))
            sizes = {"floor": 0.0, "ceiling": 1.0, "half": half, "n": count // 3, f"n {group}": count}
            found.append(number(one, metric, name, value, direction=direction, group=group, **told, **sizes))
        found.append(number(one, metric, name, None, n=0, missing=UNDEFINED, direction=direction, group=EMPTY, **told, **{f"n {EMPTY}": 0}))
    found.append(number(one, "demographic-parity", "selection_rate", 0.36, half=0.01, n=6_237, direction="neither", group="all", **told))
    worst = {**told, "worst": "Jamaican", "best": "none stated"}
    found += [
        *_with_and_without(one, worst),
        gap(one, "equal-opportunity", "equal_opportunity_difference", one.gap, 0.06, **worst),
        gap(one, "equalised-odds", "equalised_odds_difference", one.gap * 0.9, 0.11, **worst),
        number(one, "demographic-parity", "demographic_parity_ratio", 1 - one.gap, half=0.09, unit="ratio", statistic="ratio", **worst),
    ]
    return found


def _with_and_without(one: Judged, told: Mapping[str, str]) -> list[Estimate]:
    """A gap that is missing because one group has no rate, and the same over the groups that have one."""
    told = {**told, "left out": f"{EMPTY}: {UNDEFINED}"}
    kept = gap(one, "demographic-parity", "demographic_parity_difference", 0.8 * one.gap, 0.035, **told)
    conditions = {key: value for key, value in kept.conditions.items() if key not in ("left out", "worst", "best", "verdict", "p_value")}
    return [replace(kept, value=None, interval=None, missing=f"{EMPTY}: {UNDEFINED}", conditions=conditions), kept]


def _areas(one: Judged) -> list[Estimate]:
    found = []
    for name, base in (("subgroup_auc", 0.93), ("bpsn_auc", 0.88), ("bnsp_auc", 0.95)):
        for group, (value, count) in _served(one, base).items():
            told = {"groups": "dialect", "group": group, "ceiling": 1.0, "half": 1.1 / math.sqrt(count), "n": count}
            found.append(number(one, "unintended-bias-auc", name, value, direction="higher is better", **told))
    told = {"groups": "dialect", "statistic": "generalised mean, p = -5", "worst": "Jamaican"}
    summed = {"groups": "dialect", "statistic": "sum of absolute differences", "unit": "sum of shares", "half": 0.1}
    found.append(number(one, "unintended-bias-auc", "false_positive_equality_difference", 4 * one.gap, **summed))
    whole = number(one, "unintended-bias-auc", "unintended_bias_auc", 0.91 - one.gap / 2, half=0.02, direction="higher is better", **told)
    return [*found, whole]


def _classes(one: Judged) -> list[Estimate]:
    found, told = [], {"groups": "gender"}
    for place, occupation in enumerate(OCCUPATIONS):
        tilt = one.gap * math.cos(place)
        for sign, group in zip((1, -1), GENDERS, strict=True):
            where = {**told, "group": group, "class": occupation}
            value = 0.8 + sign * tilt / 2
            found.append(number(one, "tpr-gap", "true_positive_rate", value, half=0.07, n=140, direction="higher is better", **where))
        found.append(number(one, "tpr-gap", "true_positive_rate_gap", tilt, half=0.1, direction="neither", **told, **{"class": occupation}))
    return [
        *found,
        gap(one, "tpr-gap", "true_positive_rate_gap", one.gap * 0.7, 0.04, groups="gender", statistic="root mean square over classes"),
    ]


def _weat(one: Judged) -> list[Estimate]:
    told = {
        "variant": "joint sample deviation",
        "adjustment": "Holm over 10 tests",
        "test": "exact permutation, 12870 partitions, one-sided",
    }
    found = []
    for place, words in enumerate(WORDS):
        value = 1.6 - 0.17 * place - one.gap
        p = {"p_value": 0.0001 * 4**place / 10, "p_adjusted": min(1.0, 0.0001 * 4**place)}
        where = {
            "of": f"WEAT {place + 1}",
            "unknown_words": 0.04,
            "most_influential_word": DETECTED,
            **dict(zip("xyab", words, strict=True)),
        }
        found.append(
            number(one, "weat", "weat_effect_size", value, half=0.5, unit="standard deviations", direction="neither", **told, **p, **where)
        )
    reason = "every word of one set is unknown to the model, so there is nothing to compare"
    return [*found[:-1], replace(found[-1], value=None, interval=None, missing=reason)]


def _stereoset(one: Judged) -> list[Estimate]:
    found = []
    for place, (domain, terms) in enumerate({"all": 79, "gender": 10, "profession": 30, "race": 36, "religion": 3}.items()):
        ss, lms = 57 + 2 * place - 8 * one.gap, 84 + place
        values = {"stereoset_icat": lms * min(ss, 100 - ss) / 50, "stereoset_ss": ss, "stereoset_lms": lms}
        for name, value in values.items():
            told = {"half": 26 / math.sqrt(terms), "ceiling": 100.0, "n": terms, "category": domain, "variant": "intrasentence"}
            found.append(number(one, "stereoset", name, value, unit="points", **told))
    return found


def _crows(one: Judged) -> list[Estimate]:
    found = []
    for place, (category, pairs) in enumerate({"all": 1_508, **CATEGORIES}.items()):
        value = 58 + 1.5 * place - 50 * one.gap
        told = {"half": 98 / math.sqrt(pairs), "n": pairs, "unit": "points", "category": category}
        found.append(number(one, "crows-pairs-nangia", "crows_pairs_score", value, direction="neither", **told))
    return found


def _bbq(one: Judged) -> list[Estimate]:
    found = []
    for place, category in enumerate(SIDES):
        for name, value in (("bbq_s_amb", 0.31 - 0.07 * place), ("bbq_s_dis", 0.04 - 0.02 * place)):
            found.append(number(one, "bbq", name, value, half=0.06, n=800 + 97 * place, direction="neither", category=category))
    reason = "no answer named a person, so none leans either way"
    return [*found, number(one, "bbq", "bbq_s_dis", None, missing=reason, direction="neither", category="religion, names")]


def _winobias(one: Judged) -> list[Estimate]:
    return [
        number(one, "winobias", "winobias_difference", 0.27 - 0.1 * kind, half=0.05, n=396, category=f"type {kind}", direction="neither")
        for kind in (1, 2)
    ]


def _polarity(one: Judged) -> list[Estimate]:
    metric, found = "gender-polarity-unigram", []
    told = {"groups": "profession", "direction": "higher is better", "unit": "ratio", "half": 0.09, "n": 60}
    for place, occupation in enumerate(OCCUPATIONS):
        where = {"group": occupation, "expected_at_parity": 0.82 - 0.01 * place, "p_adjusted": 0.02}
        found.append(number(one, metric, "gender_polarity_ratio", 0.3 + 0.08 * place, **told, **where))
    for statistic, value, null in (("average", 0.61, 0.82), ("minimum", 0.22, 0.58)):
        found.append(number(one, metric, "gender_polarity_ratio", value, statistic=statistic, expected_at_parity=null, **told))
    return found


def _regard(one: Judged) -> list[Estimate]:
    found = []
    for group, value in zip(GENDERS, (0.14, 0.21), strict=True):
        where = {"groups": "gender of the prompt", "group": group}
        found.append(number(one, "generation-regard", "negative_regard_share", value, half=0.03, n=1_000, **where))
    worst = {"groups": "gender of the prompt", "worst": "men"}
    return [*found, gap(one, "generation-regard", "negative_regard_difference", 0.07, 0.04, **worst)]
