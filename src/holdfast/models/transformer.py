"""A small transformer encoder over words, trained from scratch; the encoder is a plain one of `transformers`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.models import checks
from holdfast.models.features import Features, Labels, Logits
from holdfast.models.layers import Heads, WordDropout, first_weights, mean_pool
from holdfast.models.vocabulary import UNKNOWN, HashedWords, KnownWords
from holdfast.models.words import WordFeaturiser


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """Settings of a small BERT-like encoder that labels a sentence and its words.

    Args:
        width: Width of the states; a multiple of `heads`.
        layers: Encoder layers.
        heads: Attention heads.
        feedforward: Width inside a layer.
        dropout: Share of numbers and of attention dropped in training, in [0, 1).
        word_dropout: Share of words turned into the unknown word in training, in [0, 1).
        max_length: Words behind this many are not read; they get no logits.
        vocabulary: "train" (read off the training text, not public) or "hashed" (public).
        min_count: How often a word must stand in the training text ("train").
        buckets: Buckets that words are hashed into ("hashed").
        lowercase: Whether words are lower-cased.

    Raises:
        InputError: For a value out of its bounds.
    """

    kind: ClassVar[str] = "transformer"

    width: int = 128
    layers: int = 2
    heads: int = 4
    feedforward: int = 256
    dropout: float = 0.1
    word_dropout: float = 0.05
    max_length: int = 128
    vocabulary: str = "train"
    min_count: int = 1
    buckets: int = 16384
    lowercase: bool = True

    def __post_init__(self) -> None:
        checks.integer("transformer", least=1, width=self.width, layers=self.layers, heads=self.heads, feedforward=self.feedforward)
        checks.integer("transformer", least=1, max_length=self.max_length, min_count=self.min_count, buckets=self.buckets)
        checks.number("transformer", least=0, below=1, dropout=self.dropout, word_dropout=self.word_dropout)
        checks.flag("transformer", lowercase=self.lowercase)
        checks.choice("transformer", ("train", "hashed"), vocabulary=self.vocabulary)
        if self.width % self.heads:
            raise InputError(f"transformer: width {self.width} is not a multiple of heads {self.heads}; change one of them")

    def featuriser(self, train_tokens: Sequence[Sequence[str]]) -> WordFeaturiser:
        """Makes the featuriser; only the vocabulary "train" looks at the training text."""
        known = self.vocabulary == "train"
        return WordFeaturiser(
            vocabulary=KnownWords.of_training(train_tokens, min_count=self.min_count, lowercase=self.lowercase)
            if known
            else HashedWords(self.buckets),
            lowercase=self.lowercase,
            word_bytes=0,
            max_words=self.max_length,
        )

    def build(self, featuriser: WordFeaturiser, labels: Labels, streams: Streams) -> EncoderTagger:
        """Draws the weights."""
        with first_weights(streams):
            return self.skeleton(featuriser, labels)

    def skeleton(self, featuriser: WordFeaturiser, labels: Labels) -> EncoderTagger:
        """Makes the module.

        Raises:
            InputError: If `transformers` is not installed.
        """
        transformers = import_transformers()
        config = transformers.BertConfig(
            vocab_size=featuriser.vocabulary.size,
            hidden_size=self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.feedforward,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            max_position_embeddings=self.max_length,
            type_vocab_size=1,
            pad_token_id=None,
        )
        encoder = transformers.BertModel(config, add_pooling_layer=False)
        return EncoderTagger(encoder, labels, width=self.width, dropout=self.dropout, word_dropout=self.word_dropout)

    def load_featuriser(self, folder: Path) -> WordFeaturiser:
        """Reads the featuriser that belongs to these settings."""
        return WordFeaturiser.load(folder)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the settings are."""
        return {"model": self.kind, **asdict(self)}


class EncoderTagger(nn.Module):
    """An encoder of `transformers` with our heads; the vector of a sentence is the mean of its states.

    Args:
        encoder: Takes `input_ids` and `attention_mask`, gives `last_hidden_state`.
        labels: What to choose from.
        width: Width of the states.
        dropout: Share of numbers dropped before each head in training.
        word_dropout: Share of words turned into the unknown word in training.
        frozen: Whether the encoder stays as it is; it then runs without dropout in training too.
    """

    def __init__(
        self, encoder: nn.Module, labels: Labels, *, width: int, dropout: float, word_dropout: float = 0.0, frozen: bool = False
    ) -> None:
        super().__init__()
        self.frozen = frozen
        self.word_dropout = WordDropout(word_dropout, unknown=UNKNOWN)
        self.encoder = encoder
        self.heads = Heads(labels, sentence_width=width, word_width=width, dropout=dropout)
        self._inputs = _inputs(encoder)

    def train(self, mode: bool = True) -> EncoderTagger:
        """Sets the mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, features: Features) -> Logits:
        """Scores the labels of the sentences and of their words."""
        mask_BT = features.mask_BT
        B, T = mask_BT.shape
        # One row of positions and of types for each example: a private clipper must not see one row that all examples share.
        optional: dict[str, Any] = {
            "position_ids": torch.arange(T, device=mask_BT.device).expand(B, T),
            "token_type_ids": torch.zeros_like(features.ids_BT),
            "use_cache": False,
        }
        states_BTD = self.encoder(
            input_ids=self.word_dropout(features.ids_BT),
            attention_mask=mask_BT.to(torch.int64),
            **{name: value for name, value in optional.items() if name in self._inputs},
        ).last_hidden_state
        words_BWD = states_BTD
        if features.words_BW is not None:
            words_BWD = states_BTD.take_along_dim(features.words_BW[:, :, None], 1)
        logits: Logits = self.heads(mean_pool(states_BTD, mask_BT), words_BWD)
        return logits


def import_transformers() -> Any:
    """Imports `transformers`, which is heavy and optional.

    Raises:
        InputError: Naming the extra that brings it.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"this model needs the package transformers ({error}); install holdfast[hub], or choose the model 'bilstm'"
        ) from None
    return transformers


def _inputs(encoder: nn.Module) -> frozenset[str]:
    """Which of the inputs that we can make are to be handed to an encoder instead of left to it."""
    takes = set(inspect.signature(encoder.forward).parameters)
    wanted = {"use_cache"}
    tables = [
        module for name, module in encoder.named_modules() if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
    ]
    if all(table.padding_idx is None for table in tables):  # RoBERTa's kin count from the padding id, and do so for each row by themselves
        wanted.add("position_ids")
    if hasattr(encoder.config, "type_vocab_size"):  # GPT-2 looks types up among its words: there a type is not nothing
        wanted.add("token_type_ids")
    return frozenset(takes & wanted)
