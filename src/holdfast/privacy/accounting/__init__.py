"""Accounting: epsilon of a ledger, and the noise that a target epsilon needs. Needs no torch."""

from holdfast.privacy.accounting.account import Accountant, Budget, accountant_name, check_delta, epsilon
from holdfast.privacy.accounting.calibration import calibrate

__all__ = ["Accountant", "Budget", "accountant_name", "calibrate", "check_delta", "epsilon"]
