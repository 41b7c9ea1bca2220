"""Finds the parts that study files and the command name: from our own table, from other packages, or by dotted path."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module, metadata
from types import MappingProxyType
from typing import Any

from holdfast.core.errors import InputError, nearest

ENTRY_POINT_GROUP = "holdfast"

CATALOG: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "task": MappingProxyType(
            {
                "intent-slot": "holdfast.tasks:IntentSlot",
                "classification": "holdfast.tasks:Classification",
                "tagging": "holdfast.tasks:Tagging",
                "language-model": "holdfast.tasks:LanguageModel",
                "masked-language-model": "holdfast.tasks:MaskedLanguageModel",
                "reply-prediction": "holdfast.tasks:ReplyPrediction",
            }
        ),
        "mechanism": MappingProxyType(
            {"none": "holdfast.privacy:non_private", "dp-sgd": "holdfast.privacy:dp_sgd", "edp-sgd": "holdfast.privacy:edp_sgd"}
        ),
        "attack": MappingProxyType(
            {
                "loss-threshold": "holdfast.audit:loss_threshold",
                "quantile-regression": "holdfast.audit:quantile_threshold",
                "lira": "holdfast.audit.shadow.membership:LIRA",
                "lira-offline": "holdfast.audit.shadow.membership:LIRA_OFFLINE",
                "rmia": "holdfast.audit.shadow.membership:RMIA",
                "rmia-offline": "holdfast.audit.shadow.membership:RMIA_OFFLINE",
                "difficulty-calibration": "holdfast.audit.shadow.membership:DIFFICULTY",
                "attack-r": "holdfast.audit.shadow.membership:ATTACK_R",
                "shadow-classifier": "holdfast.audit.shadow.membership:SHADOW_CLASSIFIER",
                "canary": "holdfast.audit.probes:CANARY",
                "inversion": "holdfast.audit.probes:INVERSION",
                "inversion-gumbel": "holdfast.audit.probes:INVERSION_GUMBEL",
                "inversion-coordinate": "holdfast.audit.probes:INVERSION_COORDINATE",
                "gradient": "holdfast.audit.probes:GRADIENT",
            }
        ),
        "metric": MappingProxyType(
            {
                "demographic-parity": "holdfast.fairness.groups:DemographicParity",
                "equal-opportunity": "holdfast.fairness.groups:EqualOpportunity",
                "equalised-odds": "holdfast.fairness.groups:EqualisedOdds",
                "predictive-parity": "holdfast.fairness.groups:PredictiveParity",
                "accuracy-parity": "holdfast.fairness.groups:AccuracyParity",
                "calibration": "holdfast.fairness.groups:Calibration",
                "error-rate-equality": "holdfast.fairness.groups:ErrorRateEquality",
                "unintended-bias-auc": "holdfast.fairness.groups:UnintendedBiasAUC",
                "hatexplain-bias": "holdfast.fairness.groups:HateXplainBias",
                "tpr-gap": "holdfast.fairness.groups:TPRGap",
                "weat": "holdfast.fairness.association:WEAT",
                "seat": "holdfast.fairness.association:SEAT",
                "ceat": "holdfast.fairness.association:CEAT",
                "rnd": "holdfast.fairness.association:RND",
                "log-probability-bias": "holdfast.fairness.likelihood:LogProbabilityBias",
                "stereoset": "holdfast.fairness.likelihood:StereoSet",
                "crows-pairs-nangia": "holdfast.fairness.likelihood:CrowsPairsNangia",
                "crows-pairs-meade": "holdfast.fairness.likelihood:CrowsPairsMeade",
                "crows-pairs-causal": "holdfast.fairness.likelihood:CrowsPairsCausal",
                "crows-pairs-causal-norm": "holdfast.fairness.likelihood:CrowsPairsCausalNorm",
                "crows-pairs-aul": "holdfast.fairness.likelihood:CrowsPairsAUL",
                "bbq": "holdfast.fairness.likelihood:BBQ",
                "winobias": "holdfast.fairness.likelihood:WinoBias",
                "winogender": "holdfast.fairness.likelihood:Winogender",
                "likelihood-gap": "holdfast.fairness.likelihood:LikelihoodGap",
                "gender-polarity-unigram": "holdfast.fairness.generation:GenderPolarityUnigram",
                "gender-polarity-embedding": "holdfast.fairness.generation:GenderPolarityEmbedding",
                "generation-sentiment": "holdfast.fairness.generation:GenerationSentiment",
                "generation-toxicity": "holdfast.fairness.generation:GenerationToxicity",
                "generation-regard": "holdfast.fairness.generation:GenerationRegard",
                "honest": "holdfast.fairness.generation:Honest",
            }
        ),
    }
)


def names(kind: str) -> tuple[str, ...]:
    """Lists the names of one kind, ours and those of installed packages, sorted.

    Args:
        kind: "task", "mechanism", "attack" or "metric".

    Raises:
        InputError: For an unknown kind.
    """
    return tuple(sorted(_table(kind)))


def resolve(kind: str, name: str) -> Any:
    """Imports what a name stands for.

    A name is one of our table, one that an installed package registers, or a dotted path "package.module:Object". A
    package registers a part in the entry-point group "holdfast" under "KIND.NAME"::

        [project.entry-points.holdfast]
        "attack.my-attack" = "my_package.attacks:my_attack"

    Importing runs the code of that module: name only modules that you trust, as you would in a Python script.

    Args:
        kind: "task", "mechanism", "attack" or "metric".
        name: The name or the dotted path.

    Returns:
        The object itself, not an instance of it.

    Raises:
        InputError: For an unknown kind or name (naming the nearest), or a path that leads nowhere.

    >>> resolve("task", "fractions:Fraction").__name__
    'Fraction'
    """
    table = _table(kind)
    if name in table:
        return _load(table[name], named=f"{kind} {name!r}")
    if ":" in name:
        return _load(name, named=f"{kind} {name!r}")
    raise InputError(f"there is no {kind} {name!r}; {nearest(name, table)}; or give a path such as package.module:Object")


def forget() -> None:
    """Looks anew at which packages are installed when a name is next asked for; until then the first look holds."""
    _entry_points.cache_clear()


def _table(kind: str) -> dict[str, str]:
    if kind not in CATALOG:
        raise InputError(f"the catalog has no kind {kind!r}; {nearest(kind, CATALOG)}")
    others = {point.name.partition(".")[2]: point.value for point in _entry_points() if point.name.partition(".")[0] == kind}
    return others | dict(CATALOG[kind])  # our own names cannot be taken over


@cache
def _entry_points() -> metadata.EntryPoints:
    return metadata.entry_points(group=ENTRY_POINT_GROUP)


def _load(path: str, *, named: str) -> Any:
    module_name, _, attribute = path.partition(":")
    if not module_name or module_name.startswith(".") or not attribute:
        raise InputError(f"{named}: {path!r} is not of the form package.module:Object")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(f"{named}: no module {error.name!r}; install it, or put its folder on PYTHONPATH") from error
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(f"{named}: {module_name} has no {attribute!r}; {nearest(part, _public(found))}")
        found = getattr(found, part)
    return found


def _public(owner: object) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]
