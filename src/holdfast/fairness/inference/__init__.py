"""Inference for fairness: units of resampling, simultaneous intervals, permutation tests, verdicts."""

from holdfast.fairness.inference.bootstrap import ratio_replicates, unit_weights
from holdfast.fairness.inference.custom import ByGroup, from_function, from_functions, from_metric_frame
from holdfast.fairness.inference.families import benjamini_hochberg, holm
from holdfast.fairness.inference.measured import Measured, gap_measured
from holdfast.fairness.inference.permutation import PartitionResult, group_label_test, partition_test, rate_label_test, sign_flip_test
from holdfast.fairness.inference.power import detectable, minimum_detectable_difference
from holdfast.fairness.inference.proportions import Bounds, LogOdds, clopper_pearson, cohen_h, log_odds, mcnemar, wilson
from holdfast.fairness.inference.seeds import Hierarchical, hierarchical
from holdfast.fairness.inference.settings import Inference, Units
from holdfast.fairness.inference.simultaneous import Band, GapResult, estimable, max_gap, max_t_band, worst_group
from holdfast.fairness.inference.verdicts import Fairness, equivalence

__all__ = [
    "Band",
    "Bounds",
    "ByGroup",
    "Fairness",
    "GapResult",
    "Hierarchical",
    "Inference",
    "LogOdds",
    "Measured",
    "PartitionResult",
    "Units",
    "benjamini_hochberg",
    "clopper_pearson",
    "cohen_h",
    "detectable",
    "equivalence",
    "estimable",
    "from_function",
    "from_functions",
    "from_metric_frame",
    "gap_measured",
    "group_label_test",
    "hierarchical",
    "holm",
    "log_odds",
    "max_gap",
    "max_t_band",
    "mcnemar",
    "minimum_detectable_difference",
    "partition_test",
    "rate_label_test",
    "ratio_replicates",
    "sign_flip_test",
    "unit_weights",
    "wilson",
    "worst_group",
]
