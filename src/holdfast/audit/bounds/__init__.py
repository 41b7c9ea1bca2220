"""Lower bounds on epsilon from one training run or by way of a Gaussian law, and what to expect of them beforehand."""

from holdfast.audit.bounds.gaussian import delta_of_gaussian, epsilon_of_gaussian, mu_from_errors, mu_of_epsilon
from holdfast.audit.bounds.groups import GroupClaim, group_claim, single_epsilon
from holdfast.audit.bounds.one_run import Guesses, one_run_epsilon, one_run_gaussian_epsilon, one_run_mu
from holdfast.audit.bounds.planner import METHODS, AuditPlan, plan

__all__ = [
    "METHODS",
    "AuditPlan",
    "GroupClaim",
    "Guesses",
    "delta_of_gaussian",
    "epsilon_of_gaussian",
    "group_claim",
    "mu_from_errors",
    "mu_of_epsilon",
    "one_run_epsilon",
    "one_run_gaussian_epsilon",
    "one_run_mu",
    "plan",
    "single_epsilon",
]
