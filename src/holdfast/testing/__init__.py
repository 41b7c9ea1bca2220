"""Conformance checks that a third party can run on a part of their own."""

from holdfast.testing.mechanisms import check_mechanism
from holdfast.testing.tasks import check_task

__all__ = ["check_mechanism", "check_task"]
