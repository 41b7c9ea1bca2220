"""Fairness of runs and of other models: what a study file or the command asks for, measured and put into the record."""

from holdfast.fairness.inference import Inference
from holdfast.study.fairness.measuring import Found, measure
from holdfast.study.fairness.models import Measured, is_run, open_measured
from holdfast.study.fairness.plan import FairnessTable, MetricTable

__all__ = ["FairnessTable", "Found", "Inference", "Measured", "MetricTable", "is_run", "measure", "open_measured"]
