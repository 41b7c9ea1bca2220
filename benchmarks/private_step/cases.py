"""The models that a step is timed on: random weights, random tokens, one loss for each row.

Shapes: B rows of a batch, N rows in all, T tokens, V vocabulary, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCHES = 4


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a case.

    Args:
        batch: B.
        length: T.
        vocabulary: V.
        layers: Blocks.
        width: Of the residual stream, or of one direction of the LSTM.
        heads: Of attention.
        classes: K, or 0 for a language model.
    """

    batch: int
    length: int
    vocabulary: int
    layers: int = 1
    width: int
    heads: int = 0
    classes: int = 2

    @property
    def tiny(self) -> Shape:
        """The same form at a size that takes milliseconds."""
        return replace(self, batch=4, length=8, vocabulary=60, width=16, layers=min(self.layers, 2), heads=min(self.heads, 2))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model and its batches.

    Args:
        name: As in the table, such as "bert-T32".
        shape: Sizes.
        make: Builds the model from its sizes.
    """

    name: str
    shape: Shape
    make: Callable[[Shape], nn.Module]

    def model(self, device: torch.device, dtype: torch.dtype = torch.float32) -> nn.Module:
        """The model in training mode; the same weights each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.make(self.shape).to(device=device, dtype=dtype).train()

    def data(self, device: torch.device) -> Data:
        """Rows for a few batches; some tokens repeat within a row, as words do."""
        shape = self.shape
        generator = torch.Generator().manual_seed(1)
        rows = BATCHES * shape.batch
        tokens_NT = torch.randint(1, shape.vocabulary, (rows, shape.length), generator=generator)
        half, repeated = shape.length // 2, min(4, shape.length // 2)
        tokens_NT[:, half : half + repeated] = tokens_NT[:, :repeated]
        labels_N = torch.randint(0, shape.classes, (rows,), generator=generator) if shape.classes else None
        return Data(tokens_NT.to(device), None if labels_N is None else labels_N.to(device))

    def indices(self, number: int) -> np.ndarray:
        """Rows of the batch with this number; the batches come round again."""
        first = number % BATCHES * self.shape.batch
        return np.arange(first, first + self.shape.batch, dtype=np.int64)


@dataclass(frozen=True)
class Data:
    """Tokens and labels of all rows.

    Args:
        tokens_NT: Token ids.
        labels_N: Classes; None for a language model, whose targets are its tokens.
    """

    tokens_NT: Tensor
    labels_N: Tensor | None

    def batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        """Tokens (B, T), and targets: labels (B,) or the tokens themselves."""
        rows = torch.from_numpy(indices).to(self.tokens_NT.device)
        tokens_BT = self.tokens_NT[rows]
        return tokens_BT, tokens_BT if self.labels_N is None else self.labels_N[rows]


def losses(model: nn.Module, tokens_BT: Tensor, targets: Tensor) -> Tensor:
    """One loss a row, (B,): of its class, or the mean over its own next tokens."""
    found: Any = model(tokens_BT)
    logits = found if isinstance(found, Tensor) else found.logits
    if targets.dim() == 1:
        return F.cross_entropy(logits, targets, reduction="none")
    shifted = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten(), reduction="none")
    return shifted.view(len(targets), -1).mean(1)


def losses_of(model: nn.Module, data: Data) -> Callable[[np.ndarray], Tensor]:
    """What a clipper asks for: one loss for each of the indices."""
    return lambda indices: losses(model, *data.batch(indices))


class PooledBiLSTM(nn.Module):
    """Embedding, one bidirectional LSTM, a linear layer on the mean over positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        embedding = 300 if shape.width > 16 else shape.width
        self.embedding = nn.Embedding(shape.vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, shape.width, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * shape.width, shape.classes)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Logits, (B, K)."""
        return self.output(self.lstm(self.embedding(tokens_BT))[0].mean(1))


def bert(shape: Shape) -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=4 * shape.width,
            num_labels=shape.classes,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation="sdpa",
        )
    )


def distilbert(shape: Shape) -> nn.Module:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    return DistilBertForSequenceClassification(
        DistilBertConfig(
            vocab_size=shape.vocabulary,
            dim=shape.width,
            hidden_dim=4 * shape.width,
            n_layers=shape.layers,
            n_heads=shape.heads,
            num_labels=shape.classes,
            dropout=0.0,
            attention_dropout=0.0,
            seq_classif_dropout=0.0,
            attn_implementation="sdpa",
        )
    )


def gpt2(shape: Shape) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=shape.vocabulary,
            n_positions=2 * shape.length,
            n_embd=shape.width,
            n_layer=shape.layers,
            n_head=shape.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            use_cache=False,
            attn_implementation="sdpa",
        )
    )


def lora(shape: Shape) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    adapters = LoraConfig(
        r=8,
        lora_alpha=16,
        lora_dropout=0.0,
        target_modules=["q_lin", "v_lin"],
        modules_to_save=["pre_classifier", "classifier"],
        init_lora_weights=False,  # both factors random: with one of them zero half of the gradients would be
    )
    return get_peft_model(distilbert(shape), adapters)


_BERT = Shape(batch=32, length=32, vocabulary=30522, layers=4, width=256, heads=4)
_DISTILBERT = Shape(batch=16, length=32, vocabulary=30522, layers=6, width=768, heads=12)
_GPT2 = Shape(batch=8, length=128, vocabulary=8000, layers=4, width=256, heads=4, classes=0)
_BILSTM = Shape(batch=64, length=16, vocabulary=10_000, width=256, classes=64)

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case(name="bert-T32", shape=_BERT, make=bert),
        Case(name="bert-T128", shape=replace(_BERT, length=128), make=bert),
        Case(name="distilbert-T32", shape=_DISTILBERT, make=distilbert),
        Case(name="gpt2-tied-T128", shape=_GPT2, make=gpt2),
        Case(name="bilstm-T16", shape=_BILSTM, make=PooledBiLSTM),
        Case(name="lora-T32", shape=_DISTILBERT, make=lora),
    )
}


def case_named(name: str, *, tiny: bool = False, batch: int | None = None) -> Case:
    """The case of that name, perhaps at its tiny size or with another batch size."""
    case = CASES[name]
    shape = case.shape.tiny if tiny else case.shape
    return replace(case, shape=shape if batch is None else replace(shape, batch=batch))
