"""Attacks on fitted models, and what they prove against a privacy claim: scores, intervals, lower bounds, verdicts."""

from holdfast.audit import canaries, gradients, inversion
from holdfast.audit.auditing import Attack, audit
from holdfast.audit.bounds import AuditPlan, Guesses, one_run_epsilon, one_run_gaussian_epsilon, plan
from holdfast.audit.games import MembershipGame
from holdfast.audit.lower_bounds import EpsilonBound, epsilon_from_errors, registered_bound
from holdfast.audit.membership import loss_threshold, quantile_threshold
from holdfast.audit.one_run_audit import one_run_audit
from holdfast.audit.scores import Scores

__all__ = [
    "Attack",
    "AuditPlan",
    "EpsilonBound",
    "Guesses",
    "MembershipGame",
    "Scores",
    "audit",
    "canaries",
    "epsilon_from_errors",
    "gradients",
    "inversion",
    "loss_threshold",
    "one_run_audit",
    "one_run_epsilon",
    "one_run_gaussian_epsilon",
    "plan",
    "quantile_threshold",
    "registered_bound",
]
