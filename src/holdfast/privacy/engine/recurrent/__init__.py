"""Recurrent layers: rules for their functions, and for modules that read packed sequences."""

from holdfast.privacy.engine.recurrent.layers import RECURRENT_RULES, packed_forward

__all__ = ["RECURRENT_RULES", "packed_forward"]
