"""CrowS-Pairs: which sentence of a pair a model prefers, by five ways of scoring that give five different numbers."""

from holdfast.fairness.likelihood.crows_pairs.metric import (
    VARIANTS,
    Alignment,
    CrowsPairsAUL,
    CrowsPairsCausal,
    CrowsPairsCausalNorm,
    CrowsPairsMeade,
    CrowsPairsNangia,
    Scored,
    align,
    pair_evidence,
    scorable,
    score_pairs,
)

__all__ = [
    "VARIANTS",
    "Alignment",
    "CrowsPairsAUL",
    "CrowsPairsCausal",
    "CrowsPairsCausalNorm",
    "CrowsPairsMeade",
    "CrowsPairsNangia",
    "Scored",
    "align",
    "pair_evidence",
    "scorable",
    "score_pairs",
]
