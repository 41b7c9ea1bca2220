"""Metrics of decisions by group: rates, calibration and areas, with intervals that hold for all groups at once."""

from holdfast.fairness.groups.bias_auc import HateXplainBias, UnintendedBiasAUC
from holdfast.fairness.groups.calibration import Calibration
from holdfast.fairness.groups.error_rates import ErrorRateEquality
from holdfast.fairness.groups.frame import GroupRate, GroupTable, group_table, predictions_of
from holdfast.fairness.groups.parity import AccuracyParity, DemographicParity, EqualisedOdds, EqualOpportunity, PredictiveParity
from holdfast.fairness.groups.tpr_gap import TPRGap

__all__ = [
    "AccuracyParity",
    "Calibration",
    "DemographicParity",
    "EqualOpportunity",
    "EqualisedOdds",
    "ErrorRateEquality",
    "GroupRate",
    "GroupTable",
    "HateXplainBias",
    "PredictiveParity",
    "TPRGap",
    "UnintendedBiasAUC",
    "group_table",
    "predictions_of",
]
