"""Models that see a whole utterance with some of its words hidden, and say what stands there."""

from holdfast.models.masked.modules import HiddenWords, MaskedLogits, MaskedTransformer
from holdfast.models.masked.settings import MaskedEncoder

__all__ = ["HiddenWords", "MaskedEncoder", "MaskedLogits", "MaskedTransformer"]
