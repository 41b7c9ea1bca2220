"""Conformance checks and audits that a third party can run on a part of their own."""

from holdfast.testing.audits import AUDIT_KINDS, MechanismAudit, Reach, audit_mechanism
from holdfast.testing.mechanisms import check_mechanism
from holdfast.testing.tasks import check_task

__all__ = ["AUDIT_KINDS", "MechanismAudit", "Reach", "audit_mechanism", "check_mechanism", "check_task"]
