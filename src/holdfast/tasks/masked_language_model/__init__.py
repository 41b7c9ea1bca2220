"""Words from those on both sides of them."""

from holdfast.tasks.masked_language_model.hiding import Hiding
from holdfast.tasks.masked_language_model.task import MaskedLanguageModel

__all__ = ["Hiding", "MaskedLanguageModel"]
