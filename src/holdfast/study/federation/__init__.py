"""Federated studies: a file that says who learns what together, and the one call that simulates it."""

from holdfast.study.federation.carrying import federated_phases, run_federated
from holdfast.study.federation.plan import FederatedPlan, parse_federated_plan, read_federated_plan

__all__ = ["FederatedPlan", "federated_phases", "parse_federated_plan", "read_federated_plan", "run_federated"]
