"""Tiny encoders of several families with their tokenizer, in folders as `save_pretrained` writes them."""

from pathlib import Path

import tokenizers
import torch
import transformers

KINDS = ("bert", "roberta", "distilbert", "gpt2")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "jazz", "some", "the", "what", "is", "weather", "un", "##believ", "##ably", "stop"]
SIZES = {"vocab_size": len(PIECES), "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}


def tokenizer(folder: Path) -> None:
    cutter = tokenizers.Tokenizer(tokenizers.models.WordPiece({piece: place for place, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    cutter.normalizer = tokenizers.normalizers.BertNormalizer()
    cutter.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    cutter.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    transformers.PreTrainedTokenizerFast(tokenizer_object=cutter, **special).save_pretrained(folder)


def encoder(kind: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    if kind == "roberta":
        config = transformers.RobertaConfig(**SIZES, max_position_embeddings=40, pad_token_id=0, type_vocab_size=1)
        return transformers.RobertaModel(config)
    if kind == "gpt2":
        return transformers.GPT2Model(transformers.GPT2Config(vocab_size=len(PIECES), n_embd=8, n_layer=2, n_head=2, n_positions=40))
    if kind == "distilbert":
        config = transformers.DistilBertConfig(vocab_size=len(PIECES), dim=8, n_layers=2, n_heads=2, hidden_dim=12)
        return transformers.DistilBertModel(config)
    return transformers.BertModel(transformers.BertConfig(**SIZES, max_position_embeddings=40))


def saved(folder: Path, kind: str) -> Path:
    """Writes a tiny encoder of this kind and its tokenizer into a folder, and gives the folder back."""
    encoder(kind).save_pretrained(folder)
    tokenizer(folder)
    return folder
