"""Models that read from left to right and predict each word from those before it."""

from holdfast.models.causal.featuriser import NextWordFeaturiser
from holdfast.models.causal.modules import CausalLSTM, CausalTransformer, TiedHead
from holdfast.models.causal.settings import CausalSettings, Decoder, LSTMLanguageModel

__all__ = [
    "CausalLSTM",
    "CausalSettings",
    "CausalTransformer",
    "Decoder",
    "LSTMLanguageModel",
    "NextWordFeaturiser",
    "TiedHead",
]
