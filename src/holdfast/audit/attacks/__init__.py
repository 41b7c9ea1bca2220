"""Membership scores from arrays of signals, without a model: LiRA, RMIA, shadow classifiers, calibration, language models."""

from holdfast.audit.attacks.calibration import attack_r, difficulty_calibrated, quantile_regression
from holdfast.audit.attacks.features_of_text import text_features
from holdfast.audit.attacks.language_model_scores import TokenMoments, mean_log_likelihood, min_k, min_k_plus_plus, zlib_calibrated
from holdfast.audit.attacks.likelihood_ratio import lira_offline, lira_online
from holdfast.audit.attacks.logits import logit_of_loss, logit_scaled
from holdfast.audit.attacks.rmia import rmia_offline, rmia_online
from holdfast.audit.attacks.shadow_classifiers import shadow_classifier

__all__ = [
    "TokenMoments",
    "attack_r",
    "difficulty_calibrated",
    "lira_offline",
    "lira_online",
    "logit_of_loss",
    "logit_scaled",
    "mean_log_likelihood",
    "min_k",
    "min_k_plus_plus",
    "quantile_regression",
    "rmia_offline",
    "rmia_online",
    "shadow_classifier",
    "text_features",
    "zlib_calibrated",
]
