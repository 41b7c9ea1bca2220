"""A linear-chain conditional random field over the tags of a sentence: learned transitions, its likelihood and its marginals."""

from holdfast.models.crf.chain import log_likelihood, log_partition, marginals
from holdfast.models.crf.transitions import TAG_HEADS, TagTransitions, Transitions

__all__ = ["TAG_HEADS", "TagTransitions", "Transitions", "log_likelihood", "log_partition", "marginals"]
