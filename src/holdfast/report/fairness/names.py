"""What the numbers of fairness are called, to which family their metrics belong, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from holdfast.core.evidence import Estimate

METRIC = "metric"
"""The condition that every number of fairness carries, and no other number."""

Style = Literal["percent", "points", "plain", "whole percent"]
Family = Literal["groups", "association", "likelihood", "generation"]

FAMILIES: dict[Family, str] = {
    "groups": "decisions by group",
    "association": "associations of words",
    "likelihood": "likelihoods of sentences",
    "generation": "generated text",
}
"""What each family looks at, in the order of the page."""

INTRINSIC: tuple[Family, ...] = ("association", "likelihood")  # where no card tells
_METRICS: dict[Family, tuple[str, ...]] = {  # beginnings of names: a variant may follow
    "groups": (
        *("demographic-parity", "equal-opportunity", "equalised-odds", "predictive-parity", "accuracy-parity", "calibration"),
        *("error-rate-equality", "unintended-bias-auc", "hatexplain-bias", "tpr-gap"),
    ),
    "association": ("weat", "seat", "ceat", "rnd"),
    "likelihood": ("log-probability-bias", "stereoset", "crows-pairs", "bbq", "winobias", "winogender", "likelihood-gap"),
    "generation": ("gender-polarity", "generation", "honest"),
}
_LEVELS: dict[str, Family] = {
    **{"decision": "groups", "embedding": "association", "language model": "likelihood", "generation": "generation"},
}
LABELS = {
    "selection_rate": "Selection rate",
    "true_positive_rate": "True positive rate",
    "false_positive_rate": "False positive rate",
    "false_negative_rate": "False negative rate",
    "tpr_gap": "True positive rate gap",
    "false_positive_equality_difference": "False positive equality difference (FPED)",
    "false_negative_equality_difference": "False negative equality difference (FNED)",
    "rnd": "Relative norm distance",
    "stereoset_lms": "StereoSet language modelling score",
    "stereoset_ss": "StereoSet stereotype score",
    "stereoset_icat": "StereoSet ICAT",
    "crows_pairs_score": "CrowS\N{NON-BREAKING HYPHEN}Pairs score",
    "bbq_s_amb": "BBQ s_AMB, ambiguous questions",
    "bbq_s_dis": "BBQ s_DIS, disambiguated questions",
    "bbq_unparsed": "BBQ answers that could not be read",
    "log_probability_bias": "Log\N{NON-BREAKING HYPHEN}probability bias",
}
_SPELT = {
    **{"auc": "AUC", "bpsn": "BPSN", "bnsp": "BNSP", "weat": "WEAT", "seat": "SEAT", "ceat": "CEAT", "rnd": "RND", "bbq": "BBQ"},
    **{"fped": "FPED", "fned": "FNED", "tpr": "TPR", "fpr": "FPR", "fnr": "FNR", "gmb": "GMB", "honest": "HONEST", "icat": "ICAT"},
    **{"stereoset": "StereoSet", "crows": "CrowS", "winobias": "WinoBias", "winogender": "Winogender", "hatexplain": "HateXplain"},
    **{"lms": "LMS", "ss": "SS", "aeg": "AEG"},
}
_GAPS = ("difference", "gap", "gaps")
"""Last words of names whose numbers are distances between groups."""

_WHOLE = ("percent", "%")


def spelt(name: str) -> str:
    """A name with the capitals that abbreviations and data sets have.

    >>> spelt("subgroup_auc"), spelt("weat_effect_size"), spelt("gender_gap")
    ('Subgroup AUC', 'WEAT effect size', 'Gender gap')
    """
    words = name.replace("-", "_").split("_")
    text = " ".join(_SPELT.get(word, word) for word in words if word)
    return text if not words or words[0] in _SPELT else text[:1].upper() + text[1:]


def family_of(metric: str, card: Mapping[str, object]) -> Family:
    """The family of a metric, by its name, else by the level that its card tells; else that of decisions.

    >>> family_of("crows-pairs-aul", {}), family_of("mine", {"level": "embedding"}), family_of("mine", {})
    ('likelihood', 'association', 'groups')
    """
    for family, beginnings in _METRICS.items():
        if any(metric == beginning or metric.startswith(f"{beginning}-") for beginning in beginnings):
            return family
    return _LEVELS.get(str(card.get("level")), "groups")


def distance(name: str, statistic: object) -> bool:
    """Whether a number is a distance between groups, so that nought is parity.

    >>> distance("demographic_parity_difference", ""), distance("tpr_gap", "root mean square"), distance("accuracy", "worst group")
    (True, True, False)
    """
    told = str(statistic)
    return (
        name.rsplit("_", 1)[-1] in _GAPS or name in ("fped", "fned") or told in ("difference", "gap") or told.startswith("root mean square")
    )


def style_of(name: str, unit: str, statistic: object) -> Style:
    """How a number of fairness is written: shares in percent, distances of shares in points, all else as it is."""
    if unit in _WHOLE:
        return "whole percent"
    if unit != "share" or name.endswith("_ratio") or statistic == "ratio":
        return "plain"
    if "_auc" in name or name.endswith("auc"):
        return "plain"
    return "points" if distance(name, statistic) else "percent"


def unsigned(estimate: Estimate) -> bool:
    """Whether a number of fairness is a distance that says nothing of its direction, as between the best and the worst group."""
    low = estimate.value if estimate.interval is None else min(estimate.interval.low, estimate.value or 0.0)
    return METRIC in estimate.conditions and low is not None and low >= 0
