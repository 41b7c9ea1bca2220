"""A small transformer encoder over words, on trained or pretrained vectors; the encoder is a plain one of `transformers`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.models import checks
from holdfast.models.crf import TAG_HEADS
from holdfast.models.features import Encoded, Features, Labels, Logits
from holdfast.models.layers import Heads, WordDropout, WordTable, first_weights, mean_pool
from holdfast.models.vectors import Vectors, described, read_vectors
from holdfast.models.vocabulary import UNKNOWN, VOCABULARIES, check_vectors, make_vocabulary
from holdfast.models.words import WordFeaturiser

CHUNK = 256
"""Sentences that a frozen encoder reads together."""
KEPT_STATES = 2**29
"""Numbers (2 GiB) that are kept of a frozen encoder at most; over more text it runs anew for every batch."""


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
        vocabulary: "train" (read off the training text, not public), "hashed" (public) or "vectors" (the words of the
            file of vectors, public).
        min_count: How often a word must stand in the training text ("train").
        buckets: Buckets that words are hashed into ("hashed").
        lowercase: Whether words are lower-cased.
        vectors: A text file of pretrained vectors, which one trained matrix brings to `width`; or None for trained vectors.
        freeze_vectors: Whether the pretrained vectors stay as they are.
        max_vectors: Lines of that file to read at most.
        tag_head: How the tags of words are chosen: "softmax" (each by itself) or "crf" (all of a sentence together, with learned
            scores of tags that follow each other: a linear-chain conditional random field).

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
    vectors: str | None = None
    freeze_vectors: bool = True
    max_vectors: int = 100_000
    tag_head: str = "softmax"

    def __post_init__(self) -> None:
        checks.integer("transformer", least=1, width=self.width, layers=self.layers, heads=self.heads, feedforward=self.feedforward)
        checks.integer("transformer", least=1, max_length=self.max_length, min_count=self.min_count, buckets=self.buckets)
        checks.integer("transformer", least=1, max_vectors=self.max_vectors)
        checks.number("transformer", least=0, below=1, dropout=self.dropout, word_dropout=self.word_dropout)
        checks.flag("transformer", lowercase=self.lowercase, freeze_vectors=self.freeze_vectors)
        checks.choice("transformer", VOCABULARIES, vocabulary=self.vocabulary)
        checks.choice("transformer", TAG_HEADS, tag_head=self.tag_head)
        if self.vectors is not None:
            object.__setattr__(self, "vectors", str(self.vectors))
        check_vectors("transformer", vocabulary=self.vocabulary, vectors=self.vectors)
        if self.width % self.heads:
            raise InputError(f"transformer: width {self.width} is not a multiple of heads {self.heads}; change one of them")

    def featuriser(self, train_tokens: Sequence[Sequence[str]]) -> WordFeaturiser:
        """Makes the featuriser; only the vocabulary "train" looks at the training text."""
        vectors = self._read_vectors()
        return WordFeaturiser(
            vocabulary=make_vocabulary(
                self.vocabulary,
                train_tokens,
                min_count=self.min_count,
                buckets=self.buckets,
                lowercase=self.lowercase,
                pretrained=() if vectors is None else vectors.words,
            ),
            lowercase=self.lowercase,
            word_bytes=0,
            max_words=self.max_length,
            vector_width=0 if vectors is None else vectors.matrix.shape[1],
        )

    def build(self, featuriser: WordFeaturiser, labels: Labels, streams: Streams) -> EncoderTagger:
        """Draws the weights and fills in the pretrained vectors."""
        with first_weights(streams):
            module = self.skeleton(featuriser, labels)
        vectors = self._read_vectors()
        if vectors is not None:
            table: WordTable = module.get_submodule("encoder.embeddings.word_embeddings.table")  # type: ignore[assignment]
            table.fill(vectors, featuriser.vocabulary)
        return module

    def skeleton(self, featuriser: WordFeaturiser, labels: Labels) -> EncoderTagger:
        """Makes the module.

        Raises:
            InputError: If `transformers` is not installed.
        """
        transformers = import_transformers()
        config = transformers.BertConfig(
            vocab_size=1 if featuriser.vector_width else featuriser.vocabulary.size,
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
        if featuriser.vector_width:
            encoder.set_input_embeddings(WidenedWords(featuriser, width=self.width, freeze=self.freeze_vectors))
        return EncoderTagger(
            encoder, labels, width=self.width, dropout=self.dropout, word_dropout=self.word_dropout, tag_head=self.tag_head
        )

    def load_featuriser(self, folder: Path) -> WordFeaturiser:
        """Reads the featuriser that belongs to these settings."""
        return WordFeaturiser.load(folder)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the settings are."""
        return {"model": self.kind, **asdict(self), "vectors": described(self.vectors)}

    def _read_vectors(self) -> Vectors | None:
        return None if self.vectors is None else read_vectors(self.vectors, most=self.max_vectors, lowercase=self.lowercase)


class WidenedWords(nn.Module):
    """Pretrained vectors, brought to the width of an encoder by one trained matrix; stands in for the encoder's own table.

    Args:
        featuriser: Says how many ids there are and how wide the pretrained rows are.
        width: Of the encoder.
        freeze: Whether the pretrained rows stay as they are.
    """

    def __init__(self, featuriser: WordFeaturiser, *, width: int, freeze: bool) -> None:
        super().__init__()
        self.table = WordTable(featuriser, width=0, freeze=freeze)
        self.widen = nn.Linear(featuriser.vector_width, width)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Returns the vector of each word, (B, T, width)."""
        widened: Tensor = self.widen(self.table(ids_BT))
        return widened


class EncoderTagger(nn.Module):
    """An encoder of `transformers` with our heads; the vector of a sentence is the mean of its states.

    Args:
        encoder: Takes `input_ids` and `attention_mask`, gives `last_hidden_state`. One without trainable parameters is frozen:
            it runs without dropout in training too, and can look at a data set beforehand (`precompute`).
        labels: What to choose from.
        width: Width of the states, of all `layers` together.
        dropout: Share of numbers dropped before each head in training.
        word_dropout: Share of words turned into the unknown word in training.
        encoder_dropout: Whether an encoder that is trained drops numbers in training, as its configuration says.
        layers: Layers whose states the heads see end to end, 0 for what goes into the first; none for the last layer alone.
        tag_head: See `Transformer`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        labels: Labels,
        *,
        width: int,
        dropout: float,
        word_dropout: float = 0.0,
        encoder_dropout: bool = True,
        layers: tuple[int, ...] = (),
        tag_head: str = "softmax",
    ) -> None:
        super().__init__()
        self.frozen = not any(parameter.requires_grad for parameter in encoder.parameters())
        self.encoder_dropout = encoder_dropout and not self.frozen
        self.word_dropout = WordDropout(word_dropout, unknown=UNKNOWN)
        self.encoder = encoder
        self.heads = Heads(labels, sentence_width=width, word_width=width, dropout=dropout, tag_head=tag_head)
        self._layers = layers
        self._counts_from = _counts_from(encoder)
        self._inputs = _inputs(encoder)

    def train(self, mode: bool = True) -> EncoderTagger:
        """Sets the mode; an encoder without dropout stays in evaluation mode."""
        super().train(mode)
        if not self.encoder_dropout:
            self.encoder.eval()
        return self

    def forward(self, features: Features) -> Logits:
        """Scores the labels of the sentences and of their words."""
        return self._scored(self._states(features) if features.states_BTD is None else features.states_BTD, features)

    def embed(self, features: Features) -> Tensor:
        """The row of each piece in the encoder's own table, (B, T, D), before places are added; in training some are the unknown word."""
        table: nn.Module = self.encoder.get_input_embeddings()  # type: ignore[operator]  # every encoder of transformers has it
        states_BTD: Tensor = table(self.word_dropout(features.ids_BT))
        return states_BTD

    def read(self, states_BTD: Tensor, features: Features) -> Logits:
        """Scores the labels from what `embed` made of the pieces, or from a mixture of it; the encoder runs.

        Args:
            states_BTD: One row for each piece; anything finite where the mask is False.
            features: Of which only the masks and the first pieces of words are looked at.
        """
        return self._scored(self._states(features, states_BTD), features)

    def _scored(self, states_BTD: Tensor, features: Features) -> Logits:
        words_BWD = states_BTD
        if features.words_BW is not None:
            words_BWD = states_BTD.take_along_dim(features.words_BW[:, :, None], 1)
        logits: Logits = self.heads(mean_pool(states_BTD, features.mask_BT), words_BWD)
        return logits

    @torch.no_grad()
    def precompute(self, encoded: Encoded) -> Encoded:
        """Runs a frozen encoder over a data set once, so that the heads train in a hundredth of the time.

        Sentences of about the same length go together, in an order that depends on the data set alone, so that a resumed
        run sees the very numbers that the stopped one saw.

        Args:
            encoded: The data set.

        Returns:
            The data set with its states, in memory; as it was where the encoder learns or the states would fill 2 GiB.
        """
        device = next(self.heads.parameters()).device
        width = self.heads.sentence_width
        if not self.frozen or self.word_dropout.share or len(encoded.pieces.values) * width > KEPT_STATES:
            return encoded
        states = np.empty((len(encoded.pieces.values), width), dtype=np.float32)
        by_length = np.argsort(encoded.pieces.lengths, kind="stable")
        for start in range(0, len(by_length), CHUNK):
            rows = by_length[start : start + CHUNK]
            features = encoded.collate(rows).to(device)
            states[encoded.places(rows)] = self._states(features)[features.mask_BT].cpu().numpy()
        return encoded.with_states(states)

    def _states(self, features: Features, rows_BTE: Tensor | None = None) -> Tensor:
        """The states of each piece, from its id or from a row in the place of its row of the table."""
        mask_BT = features.mask_BT
        B, T = mask_BT.shape
        # One row of positions and of types for each example: a private clipper must not see one row that all examples share.
        optional: dict[str, Any] = {
            "position_ids": torch.arange(T, device=mask_BT.device).expand(B, T),
            "token_type_ids": torch.zeros_like(mask_BT, dtype=torch.int64),
            "use_cache": False,
        }
        given = {name: value for name, value in optional.items() if name in self._inputs}
        if rows_BTE is None:
            given["input_ids"] = self.word_dropout(features.ids_BT)
        else:
            given["inputs_embeds"] = rows_BTE
            if self._counts_from is not None:  # without ids RoBERTa's kin would count the padding too
                given["position_ids"] = mask_BT.cumsum(1) * mask_BT + self._counts_from
        found = self.encoder(attention_mask=mask_BT.to(torch.int64), output_hidden_states=bool(self._layers), **given)
        states_BTD: Tensor = found.last_hidden_state
        return torch.cat([found.hidden_states[layer] for layer in self._layers], -1) if self._layers else states_BTD


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
    if _counts_from(encoder) is None:
        wanted.add("position_ids")
    if hasattr(encoder.config, "type_vocab_size"):  # GPT-2 looks types up among its words: there a type is not nothing
        wanted.add("token_type_ids")
    return frozenset(takes & wanted)


def _counts_from(encoder: nn.Module) -> int | None:
    """The padding id that RoBERTa's kin count the places of a row from, each row by itself; None for all others."""
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return module.padding_idx
    return None
