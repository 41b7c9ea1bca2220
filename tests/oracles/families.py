"""Small random models of every family that must work untouched, bare and with adapters."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.oracles.exactness import Losses

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import transformers  # after the switch that keeps it off the network

from holdfast import models, tasks
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example
from holdfast.training.evaluation import losses_of

WORDS = 40
PADDING = 1
SHAPE = {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
ENCODER = {**SHAPE, **QUIET, "max_position_embeddings": 40, "pad_token_id": PADDING}
DECODER = {**SHAPE, "num_key_value_heads": 1, "max_position_embeddings": 40, "pad_token_id": PADDING}
SILENT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
DROPOUTS = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
LAYERS = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
WIDTHS = {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 40}
PAIR = {"vocab_size": WORDS, **LAYERS, **WIDTHS, **DROPOUTS, "decoder_start_token_id": 2, "pad_token_id": PADDING}
T5 = {"vocab_size": WORDS, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
T5_START = {"decoder_start_token_id": 0, "pad_token_id": PADDING}
GPT2 = {"vocab_size": WORDS, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40, **SILENT}
DISTILBERT = {"vocab_size": WORDS, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "pad_token_id": PADDING}
DISTILBERT_SILENT = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
OPT = {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 24}
OPT_REST = {"max_position_embeddings": 40, "dropout": 0.0, "attention_dropout": 0.0, "word_embed_proj_dim": 8, "layerdrop": 0.0}
SQUEEZE_GROUPS = {f"{part}_groups": 2 for part in ("q", "k", "v", "intermediate", "output")}
CONV_BERT = {"num_attention_heads": 4, "embedding_size": 16, "head_ratio": 2, "conv_kernel_size": 3}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 8, "pooler_dropout": 0.0}
DEBERTA_V3 = {"position_buckets": 4, "norm_rel_ebd": "layer_norm", "share_att_key": True}
MODERN_BERT = dict.fromkeys(("embedding_dropout", "mlp_dropout", "attention_dropout", "classifier_dropout"), 0.0)
MODERN_LOCAL = {"global_attn_every_n_layers": 2, "local_attention": 4}
FUNNEL = {"vocab_size": WORDS, "block_sizes": [1, 1], "num_decoder_layers": 1, "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24}
FUNNEL_SILENT = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
MOBILE_BERT = {"embedding_size": 8, "true_hidden_size": 8, "intra_bottleneck_size": 8}
XLNET = {"vocab_size": WORDS, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24, "dropout": 0.0, "summary_last_dropout": 0.0}
BLOOM = {"vocab_size": WORDS, "hidden_size": 16, "n_layer": 2, "n_head": 2, "hidden_dropout": 0.0, "attention_dropout": 0.0}
MAMBA = {"vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 1, "state_size": 4, "time_step_rank": 2}


@dataclass(frozen=True)
class Batch:
    """Sentences of their own lengths, padded behind.

    Args:
        ids_BT: Pieces.
        mask_BT: 1 for a piece, 0 for padding.
        labels_B: A class each.
    """

    ids_BT: Tensor
    mask_BT: Tensor
    labels_B: Tensor

    @classmethod
    def drawn(cls, lengths: list[int], *, seed: int) -> "Batch":
        """Random pieces, some of which repeat; a length of 0 is a sentence of one piece that is padding."""
        generator = torch.Generator().manual_seed(seed)
        longest = max(1, *lengths)
        ids = torch.randint(PADDING + 1, WORDS, (len(lengths), longest), generator=generator)
        ids[:, longest // 2] = ids[:, 0]
        places = torch.arange(longest)
        for row, length in enumerate(lengths):
            ids[row, length:] = PADDING
        mask = (places < torch.tensor(lengths).clamp_min(1)[:, None]).long()
        return cls(ids, mask, torch.randint(0, 2, (len(lengths),), generator=generator))


def classified(model: nn.Module, batch: Batch, rows: np.ndarray) -> Tensor:
    """Cross-entropy of the class."""
    logits = model(input_ids=batch.ids_BT[rows], attention_mask=batch.mask_BT[rows]).logits
    return F.cross_entropy(logits, batch.labels_B[rows], reduction="none")


def predicted(model: nn.Module, batch: Batch, rows: np.ndarray) -> Tensor:
    """Cross-entropy of every next piece, summed over the sentence."""
    ids_BT, mask_BT = batch.ids_BT[rows], batch.mask_BT[rows]
    logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT).logits[:, -ids_BT.shape[1] :]  # behind a soft prompt
    targets = torch.cat([ids_BT[:, 1:], ids_BT[:, :1]], 1)
    return (F.cross_entropy(logits_BTV.transpose(1, 2), targets, reduction="none") * mask_BT).sum(1)


def rewritten(model: nn.Module, batch: Batch, rows: np.ndarray) -> Tensor:
    """Cross-entropy of the sentence itself, from an encoder with a decoder."""
    ids_BT, mask_BT = batch.ids_BT[rows], batch.mask_BT[rows]
    logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT, labels=ids_BT).logits
    return (F.cross_entropy(logits_BTV.transpose(1, 2), ids_BT, reduction="none") * mask_BT).sum(1)


@dataclass(frozen=True)
class Family:
    """A model and its loss."""

    make: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Batch, np.ndarray], Tensor]

    def losses(self, batch: Batch) -> Losses:
        """The losses of some rows of a batch."""
        return lambda model, rows: self.loss(model, batch, rows)


def _family(name: str, kind: str, loss: Callable[..., Tensor], *settings: dict[str, Any], **more: Any) -> Family:
    config = {key: value for part in (*settings, more) for key, value in part.items()}

    def make() -> nn.Module:
        return getattr(transformers, f"{name}{kind}")(getattr(transformers, f"{name}Config")(**config)).train()

    return Family(make, loss)


def _encoder(name: str, *settings: dict[str, Any], **more: Any) -> Family:
    return _family(name, "ForSequenceClassification", classified, *settings, **more)


def _decoder(name: str, *settings: dict[str, Any], **more: Any) -> Family:
    return _family(name, "ForCausalLM", predicted, *settings, use_cache=False, **more)


def _pair(name: str, *settings: dict[str, Any], kind: str = "ForConditionalGeneration", **more: Any) -> Family:
    return _family(name, kind, rewritten, *settings, **more)


def _ours(settings: models.ModelSettings) -> Family:
    """Our own models, which read sentences of their own lengths through their own featurisers."""
    rows = [
        Example(tokens=("play", "Jazz", "in", "Llanfairpwllgwyngyll", "é", "a", "a"), label="ask", tags=("O", "B-x", "I-x", *"OOOO")),
        Example(tokens=("stop",), label="play", tags=("O",)),
        Example(tokens=("in", "in", "é"), label="ask", tags=("O", "O", "B-x")),
        Example(tokens=("play", "a", "play", "unseen"), label="play", tags=("B-x", "I-x", "O", "O")),
    ]
    data, task = Dataset.from_examples(rows, name="drawn", split="train"), tasks.IntentSlot()
    featuriser, labels = settings.featuriser(data.tokens()), task.labels(data)
    encoded = task.encode(data, featuriser, labels)

    def loss(model: nn.Module, batch: Batch, rows: np.ndarray) -> Tensor:
        return losses_of(task, model, encoded, device=torch.device("cpu"))(rows)

    return Family(lambda: settings.build(featuriser, labels, Streams(0)).eval(), loss)


OURS = {
    "our BiLSTM": _ours(models.BiLSTM(embedding=5, hidden=4, characters=3, character_width=2)),
    "our transformer": _ours(models.Transformer(width=8, layers=2, heads=2, feedforward=8)),
    "our BiLSTM with a conditional random field": _ours(
        models.BiLSTM(embedding=5, hidden=4, characters=3, character_width=2, tag_head="crf")
    ),
}
"""Our own models."""

COMMON = {
    "BERT": _encoder("Bert", ENCODER),
    "DistilBERT": _encoder("DistilBert", DISTILBERT, DISTILBERT_SILENT),
    "RoBERTa": _encoder("Roberta", ENCODER, max_position_embeddings=50),
    "ALBERT (shared layers)": _encoder("Albert", ENCODER, embedding_size=8, classifier_dropout_prob=0.0),
    "GPT-2 (tied head)": _family("GPT2", "LMHeadModel", predicted, GPT2, use_cache=False),
    "OPT (tied head)": _decoder("OPT", OPT, OPT_REST),
    "Llama": _decoder("Llama", DECODER),
    "T5 (tied head, relative bias)": _pair("T5", T5, T5_START),
    "BART (tied head)": _pair("Bart", PAIR, scale_embedding=True),
}
"""The models that must work untouched."""

FURTHER = {
    "BERT as a masked language model (tied head)": _family("Bert", "ForMaskedLM", predicted, ENCODER),
    "XLM-RoBERTa": _encoder("XLMRoberta", ENCODER, max_position_embeddings=50),
    "ELECTRA": _encoder("Electra", ENCODER, embedding_size=8),
    "MPNet (relative bias)": _encoder("MPNet", ENCODER, max_position_embeddings=50),
    "DeBERTa v2, v3": _encoder("DebertaV2", ENCODER, DISENTANGLED, DEBERTA_V3),
    "ModernBERT": _encoder("ModernBert", SHAPE, MODERN_BERT, MODERN_LOCAL, pad_token_id=PADDING),
    "Funnel": _encoder("Funnel", FUNNEL, FUNNEL_SILENT),
    "MobileBERT": _encoder("MobileBert", ENCODER, MOBILE_BERT),
    "SqueezeBERT (grouped convolutions)": _encoder("SqueezeBert", ENCODER, SQUEEZE_GROUPS, post_attention_groups=1, embedding_size=16),
    "ConvBERT": _encoder("ConvBert", ENCODER, CONV_BERT),
    "FNet": _family("FNet", "ForMaskedLM", predicted, SHAPE, hidden_dropout_prob=0.0, pad_token_id=PADDING),
    "GPT-NeoX": _decoder("GPTNeoX", SHAPE, max_position_embeddings=40, hidden_dropout=0.0, attention_dropout=0.0),
    "BLOOM (tied head)": _decoder("Bloom", BLOOM),
    "Falcon": _decoder("Falcon", SHAPE, hidden_dropout=0.0, attention_dropout=0.0),
    "Mistral": _decoder("Mistral", DECODER, sliding_window=4),
    "Qwen2": _decoder("Qwen2", DECODER),
    "Qwen3": _decoder("Qwen3", DECODER, head_dim=8),
    "Gemma (tied head)": _decoder("Gemma", DECODER, head_dim=8),
    "Gemma 2 (tied head)": _decoder("Gemma2", DECODER, head_dim=8, sliding_window=16),
    "Phi-3": _decoder("Phi3", DECODER, num_key_value_heads=2, **SILENT),
    "OLMo 2": _decoder("Olmo2", DECODER),
    "Mamba": _decoder("Mamba", MAMBA),
    "T5 v1.1": _pair("T5", T5, T5_START, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "mBART (tied head)": _pair("MBart", PAIR),
    "Marian (tied head)": _pair("Marian", PAIR, kind="MTModel"),
    "Pegasus (tied head)": _pair("Pegasus", PAIR),
}
"""Models that work as well."""

REFUSED = {
    "DeBERTa v1": (_encoder("Deberta", ENCODER, DISENTANGLED), "div_, which writes in place"),
    "XLNet": (_encoder("XLNet", XLNET), "embedding|einsum"),
    "Longformer": (_encoder("Longformer", ENCODER, attention_window=[4, 4], max_position_embeddings=50), "linear"),
}
"""Models that are refused, and at what."""


def _adapted(base: Family, kind: str, *, peft_type: str, **settings: Any) -> Family:
    def make() -> nn.Module:
        import peft

        return peft.get_peft_model(base.make(), getattr(peft, f"{peft_type}Config")(task_type=kind, **settings)).train()

    return Family(make, base.loss)


def _adapted_bert(peft_type: str, **settings: Any) -> Family:
    return _adapted(COMMON["BERT"], "SEQ_CLS", peft_type=peft_type, **settings)


def _adapted_gpt2(peft_type: str, **settings: Any) -> Family:
    return _adapted(COMMON["GPT-2 (tied head)"], "CAUSAL_LM", peft_type=peft_type, **settings)


def _adapted_t5(peft_type: str, **settings: Any) -> Family:
    return _adapted(COMMON["T5 (tied head, relative bias)"], "SEQ_2_SEQ_LM", peft_type=peft_type, **settings)


TWO = {"target_modules": ["query", "value"]}
LOW = {"r": 4, **TWO}

ADAPTED = {
    "LoRA": _adapted_bert("Lora", **LOW),
    "LoRA, biases as well": _adapted_bert("Lora", **LOW, bias="all"),
    "LoRA on GPT-2": _adapted_gpt2("Lora", r=4, target_modules=["c_attn"], fan_in_fan_out=True),
    "LoRA on the tied table of GPT-2": _adapted_gpt2("Lora", r=4, target_modules=["wte", "c_attn"], fan_in_fan_out=True),
    "LoRA on T5": _adapted_t5("Lora", r=4, target_modules=["q", "v"]),
    "LoRA on a table of words": _adapted_bert("Lora", r=4, target_modules=["word_embeddings", "query"]),
    "DoRA": _adapted_bert("Lora", **LOW, use_dora=True),
    "IA3": _adapted_bert("IA3", target_modules=["key", "value", "output.dense"], feedforward_modules=["output.dense"]),
    "prompt tuning, BERT": _adapted_bert("PromptTuning", num_virtual_tokens=3),
    "prompt tuning, GPT-2": _adapted_gpt2("PromptTuning", num_virtual_tokens=3),
    "prompt tuning, T5": _adapted_t5("PromptTuning", num_virtual_tokens=3),
    "prefix tuning": _adapted_gpt2("PrefixTuning", num_virtual_tokens=3),
    "prefix tuning through a network": _adapted_gpt2("PrefixTuning", num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=8),
    "p-tuning": _adapted_gpt2("PromptEncoder", num_virtual_tokens=3, encoder_hidden_size=8),
    "p-tuning, LSTM": _adapted_gpt2(
        "PromptEncoder", num_virtual_tokens=3, encoder_hidden_size=8, encoder_reparameterization_type="LSTM", encoder_num_layers=1
    ),
    "norms alone": _adapted_bert("LNTuning", target_modules=["LayerNorm"]),
    "VeRA": _adapted_bert("Vera", **LOW),
    "AdaLoRA": _adapted_bert("AdaLora", target_r=2, init_r=4, total_step=10, **TWO),
    "LoKr": _adapted_bert("LoKr", **LOW),
    "HRA": _adapted_bert("HRA", **LOW),
}
"""Adapters of `peft`."""

REFUSED_ADAPTERS = {
    "LoHa": (_adapted_bert("LoHa", **LOW), "cannot be seen from Python"),
    "OFT": (_adapted_bert("OFT", oft_block_size=4, **TWO), "cannot be seen from Python"),
    "FourierFT": (_adapted_bert("FourierFT", n_frequency=10, **TWO), "writes in place"),
    "VB-LoRA": (_adapted_bert("VBLoRA", topk=2, num_vectors=8, vector_length=8, **LOW), "__getitem__"),
    "trainable tokens": (_adapted_bert("TrainableTokens", token_indices=[3, 5], target_modules=["word_embeddings"]), "index_copy"),
}
"""Adapters that are refused, and at what."""
