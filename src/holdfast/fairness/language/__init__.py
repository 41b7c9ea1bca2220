"""Language models as the metrics of fairness see them."""

from holdfast.fairness.language.access import CausalAccess, EncodingAccess, GeneratingAccess, Masked, MaskedAccess, Pieces, ReadsText

__all__ = ["CausalAccess", "EncodingAccess", "GeneratingAccess", "Masked", "MaskedAccess", "Pieces", "ReadsText"]
