"""Planted secrets: how likely a model finds each among all that it might have been, and what that proves."""

from holdfast.audit.canaries.combining import MeanExposure, fisher, mean_exposure, simes
from holdfast.audit.canaries.exposure import Exposure, exact_exposure, null_mean_exposure, sampled_exposure
from holdfast.audit.canaries.fills import AskedFills, FillLosses, OpenFills, every_loss, fills_of, open_fills
from holdfast.audit.canaries.rank_bounds import (
    AllowedExposure,
    RankBound,
    exposure_allowed,
    joint_rank_bound,
    p_value_of_claim,
    rank_bound,
    rank_bounds,
)
from holdfast.audit.canaries.ranking import rank_secrets
from holdfast.audit.canaries.tables import FillTable, SecretTables

__all__ = [
    "AllowedExposure",
    "AskedFills",
    "Exposure",
    "FillLosses",
    "FillTable",
    "MeanExposure",
    "OpenFills",
    "RankBound",
    "SecretTables",
    "every_loss",
    "exact_exposure",
    "exposure_allowed",
    "fills_of",
    "fisher",
    "joint_rank_bound",
    "mean_exposure",
    "null_mean_exposure",
    "open_fills",
    "p_value_of_claim",
    "rank_bound",
    "rank_bounds",
    "rank_secrets",
    "sampled_exposure",
    "simes",
]
