"""Conformance checks and audits that a third party can run on a part of their own."""

from holdfast.testing.audits import AUDIT_KINDS, MechanismAudit, Reach, audit_mechanism
from holdfast.testing.federations import check_algorithm, check_partition, check_selector
from holdfast.testing.mechanisms import check_mechanism
from holdfast.testing.metrics import check_metric
from holdfast.testing.tasks import check_task

__all__ = [
    "AUDIT_KINDS",
    "MechanismAudit",
    "Reach",
    "audit_mechanism",
    "check_algorithm",
    "check_mechanism",
    "check_metric",
    "check_partition",
    "check_selector",
    "check_task",
]
