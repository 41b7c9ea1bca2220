"""Tiny language models of several families with the tokenizers that are theirs, in folders as `save_pretrained` writes them."""

import string
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import decoders, normalizers, pre_tokenizers, processors

WORDS = ("the", "doctor", "nurse", "said", "that", "she", "he", "was", "is", "late", "early", "unbeliev", "ably")
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def wordpiece(folder: Path) -> int:
    """BERT's tokenizer, lower-casing, and how many pieces it has."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*string.ascii_lowercase, *string.punctuation]
    pieces = [*special, *letters, *(f"##{letter}" for letter in string.ascii_lowercase), *WORDS, "##ably", "##s"]
    table = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    cutter = tokenizers.Tokenizer(tokenizers.models.WordPiece(table, unk_token="[UNK]"))
    cutter.normalizer, cutter.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    cutter.decoder = decoders.WordPiece()
    cutter.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    named = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    transformers.PreTrainedTokenizerFast(tokenizer_object=cutter, **named).save_pretrained(folder)
    return cutter.get_vocab_size()


def byte_pairs(folder: Path, *, like: str) -> int:
    """The byte-level tokenizer of RoBERTa or GPT-2, and how many pieces it has: every word of `WORDS` is one piece behind a blank."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if like == "roberta" else ["<|endoftext|>"]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        spelled = "\u0120" + word
        merges += [(spelled[:end], spelled[end]) for end in range(1, len(spelled))]
    merges = list(dict.fromkeys(merges))
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(first + second for first, second in merges)]
    table = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    cutter = tokenizers.Tokenizer(tokenizers.models.BPE(table, merges))
    cutter.pre_tokenizer, cutter.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    if like == "roberta":
        cutter.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
        named = {f"{name}_token": "<s>" for name in ("bos", "cls")} | {f"{name}_token": "</s>" for name in ("eos", "sep")}
        named |= {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": tokenizers.AddedToken("<mask>", lstrip=True)}
    else:
        cutter.post_processor = processors.ByteLevel(trim_offsets=False)
        named = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    transformers.PreTrainedTokenizerFast(tokenizer_object=cutter, **named).save_pretrained(folder)
    return cutter.get_vocab_size()


def saved(folder: Path, kind: str) -> Path:
    """Writes a tiny model with random weights and its tokenizer.

    Args:
        folder: Where to.
        kind: "bert", "roberta", "gpt2", or one of them with "-encoder" behind it for a model without a head over words.
    """
    family, _, part = kind.partition("-")
    torch.manual_seed(0)
    size = wordpiece(folder) if family == "bert" else byte_pairs(folder, like=family)
    heads = {"bert": "BertForMaskedLM", "roberta": "RobertaForMaskedLM", "gpt2": "GPT2LMHeadModel"}
    bodies = {"bert": "BertModel", "roberta": "RobertaModel", "gpt2": "GPT2Model"}
    if family == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=size, n_embd=16, n_layer=2, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=0, initializer_range=0.3
        )
    elif family == "roberta":
        places = {"max_position_embeddings": 42, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
        config = transformers.RobertaConfig(vocab_size=size, **SIZES, **places, initializer_range=0.3)
    else:
        config = transformers.BertConfig(vocab_size=size, **SIZES, max_position_embeddings=40, initializer_range=0.3)
    model = getattr(transformers, (bodies if part == "encoder" else heads)[family])(config)
    for name, value in model.named_parameters():  # a head with a bias of zeros would hide that it is left out
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.3)
    model.save_pretrained(folder)
    return folder
