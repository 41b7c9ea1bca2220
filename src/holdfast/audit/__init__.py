"""Attacks on fitted models, and what they prove against a privacy claim: scores, intervals, lower bounds, verdicts."""

from holdfast.audit.games import MembershipGame
from holdfast.audit.lower_bounds import EpsilonBound, epsilon_from_errors, registered_bound
from holdfast.audit.membership import loss_threshold
from holdfast.audit.scores import Scores

__all__ = ["EpsilonBound", "MembershipGame", "Scores", "epsilon_from_errors", "loss_threshold", "registered_bound"]
