"""Inference for fairness: units of resampling, simultaneous intervals, permutation tests, verdicts."""

from holdfast.fairness.inference.measured import Measured
from holdfast.fairness.inference.settings import Inference, Units

__all__ = ["Inference", "Measured", "Units"]
