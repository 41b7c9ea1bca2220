"""Rules that sum updates so that a few bad clients do little, and attacks to try them on."""

from holdfast.federated.robust.attacks import Attack, Noise, Push, SignFlip, attack
from holdfast.federated.robust.bounding import NormBound
from holdfast.federated.robust.contract import Rule, finite
from holdfast.federated.robust.coordinates import Median, TrimmedMean
from holdfast.federated.robust.distances import GeometricMedian, Krum, MultiKrum
from holdfast.federated.robust.rules import RULES, rule

__all__ = [
    "RULES",
    "Attack",
    "GeometricMedian",
    "Krum",
    "Median",
    "MultiKrum",
    "Noise",
    "NormBound",
    "Push",
    "Rule",
    "SignFlip",
    "TrimmedMean",
    "attack",
    "finite",
    "rule",
]
