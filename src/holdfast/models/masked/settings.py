"""The settings of models that say which words are hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.core.errors import InputError
from holdfast.models import checks
from holdfast.models.causal.settings import CausalSettings
from holdfast.models.masked.modules import MaskedTransformer


@dataclass(frozen=True, kw_only=True)
class MaskedEncoder(CausalSettings):
    """Settings of a small BERT-like encoder that says which words are hidden: norms first, learned positions, a head over all words.

    Its words are made as those of models that predict next words, end marker included; what differs is that it sees both sides.

    Args:
        width: Width of the states; a multiple of `heads`.
        layers: Layers.
        heads: Attention heads.
        feedforward: Width inside a layer.
        dropout: See `models.causal.CausalSettings`, as for the others below.
        tied: There.
        max_length: There.
        vocabulary: There.
        min_count: There.
        most_words: There.
        lowercase: There.

    Raises:
        InputError: For a value out of its bounds.

    >>> MaskedEncoder(width=10)
    Traceback (most recent call last):
        ...
    holdfast.core.errors.InputError: encoder-mlm: width 10 is not a multiple of heads 4; change one of them

    References:
        Devlin et al. 2019, "BERT: pre-training of deep bidirectional transformers", section 3.1 (masked words).
    """

    kind: ClassVar[str] = "encoder-mlm"
    predicts: ClassVar[str] = "says which words are hidden"
    task: ClassVar[str] = "masked-language-model"
    labelling: ClassVar[str] = "transformer"

    width: int = 128
    layers: int = 2
    heads: int = 4
    feedforward: int = 256
    dropout: float = 0.1
    tied: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer(self.kind, least=1, width=self.width, layers=self.layers, heads=self.heads, feedforward=self.feedforward)
        if self.width % self.heads:
            raise InputError(f"encoder-mlm: width {self.width} is not a multiple of heads {self.heads}; change one of them")

    def _module(self, pieces: int) -> MaskedTransformer:
        return MaskedTransformer(
            pieces,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            feedforward=self.feedforward,
            positions=self.max_length,
            dropout=self.dropout,
            tied=self.tied,
        )
