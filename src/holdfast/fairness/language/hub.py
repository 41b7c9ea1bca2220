"""Models of `transformers` as the metrics of language models see them: by name or folder, from safetensors alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.fairness.language import scoring
from holdfast.fairness.language.access import Floats, Masked, Pieces
from holdfast.fairness.language.encoding import encoded, encoded_within
from holdfast.fairness.language.networks import States, asked_only
from holdfast.fairness.language.sampling import Feed, Voice, generate
from holdfast.fairness.language.scoring import Ids
from holdfast.models import Hub
from holdfast.models.transformer import import_transformers
from holdfast.training.evaluation import evaluating

Kind = Literal["masked", "causal", "encoder"]
PIECES_A_WORD = 4
"""Pieces that are drawn at most for each word that is asked for."""


def open_access(
    name: str | Path, *, kind: Kind | None = None, device: str = "cpu", download: bool = False, revision: str = "main"
) -> HubEncoder:
    """Opens a model of `transformers`.

    Weights are read as 32-bit numbers from safetensors, never from a pickle, and no code that comes with a model is run.

    Args:
        name: A folder as `save_pretrained` writes it, or "hub:NAME" with a folder, a name of the local Hugging Face cache, or "minilm".
        kind: What to take it for; None for what its configuration says it is.
        device: Where to put it.
        download: Whether a name that is not in the cache may be fetched from the network.
        revision: Branch, tag or commit of a name.

    Returns:
        `HubMasked`, `HubCausal` or, for an encoder without a head over words, `HubEncoder`.

    Raises:
        InputError: If there is no such model, it cannot be read, its weights are pickles or lack a part, its tokenizer is not fast, or
            its architecture is none of these.
    """
    place = str(name).removeprefix("hub:")
    folder = Hub(name=place, download=download, revision=revision).folder()
    transformers = import_transformers()
    config, tokenizer = _config_and_tokenizer(transformers, folder, place)
    kind = kind or _kind(transformers, config, place)
    model = _weights(transformers, folder, place, kind)
    called = f"hub:{Path(place).name if Path(place).is_dir() else place}"
    parts = (called, model.to(device).eval(), tokenizer, _longest(model, tokenizer), torch.device(device))
    if kind == "masked" and tokenizer.mask_token_id is None:
        raise InputError(f"hub: the tokenizer of {place!r} has no mask; give a model with one, or set kind to 'encoder'")
    return {"masked": HubMasked, "causal": HubCausal, "encoder": HubEncoder}[kind](*parts)


@dataclass(frozen=True, eq=False)
class HubEncoder:
    """A model of `transformers` that turns pieces into states; the state of a piece is that of the last layer.

    Args:
        name: What to call it.
        model: The model.
        tokenizer: Its fast tokenizer.
        longest: Pieces that it reads, special ones included; None for no bound.
        device: Where it is.
    """

    name: str
    model: Any
    tokenizer: Any
    longest: int | None
    device: torch.device

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """Cuts texts into pieces, with the special ones that the tokenizer adds by itself.

        A piece is where its characters are in the text, without the blank that some tokenizers put before it. What a word is made of
        is thus read off the text that it stands in: cut alone, without that blank, it would be other pieces.
        """
        if not len(texts):
            return []
        options: dict[str, Any] = {} if self.longest is None else {"truncation": True, "max_length": self._room}
        made = self.tokenizer(list(texts), add_special_tokens=True, return_special_tokens_mask=True, **options)
        unknown = self.tokenizer.unk_token_id
        return [_located(found, text, unknown) for found, text in zip(made.encodings, texts, strict=True)]

    def encode(self, texts: Sequence[str], *, pooling: str) -> Floats:
        """See `EncodingAccess`; of a model without special pieces "cls" is the first piece."""
        pieces = self.pieces(texts)
        return encoded(pieces, self._states(pieces), pooling=pooling)

    def encode_within(self, texts: Sequence[str], spans: Sequence[tuple[int, int]], *, pooling: str) -> Floats:
        """See `EncodingAccess`."""
        pieces = self.pieces(texts)
        return encoded_within(pieces, self._states(pieces), spans, pooling=pooling)

    @property
    def _room(self) -> int | None:
        return self.longest

    @property
    def _padding(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    def _states(self, pieces: Sequence[Pieces]) -> States:
        def states(rows: Ids) -> Tensor:
            ids_BT, mask_BT = scoring.padded([pieces[row].ids for row in rows], fill=self._padding)
            with evaluating(self.model):
                ids, mask = torch.from_numpy(ids_BT).to(self.device), torch.from_numpy(mask_BT).to(self.device)
                found: Tensor = self.model.base_model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            return found.float()

        return states

    def _network(self) -> scoring.Network:
        pieces = int(self.model.config.vocab_size)
        return scoring.Network(self.model, _logits(self.model), pieces, self._padding, self.longest, self.device)


@dataclass(frozen=True, eq=False)
class HubMasked(HubEncoder):
    """A masked language model of `transformers`."""

    def masked(self, questions: Sequence[Masked]) -> list[Floats]:
        """See `MaskedAccess`."""
        return scoring.masked(self._network(), questions, mask=self.tokenizer.mask_token_id)

    def unmasked(self, rows: Sequence[Ids]) -> list[Floats]:
        """See `MaskedAccess`."""
        return scoring.everywhere(self._network(), rows)


@dataclass(frozen=True, eq=False)
class HubCausal(HubEncoder):
    """A causal language model of `transformers`."""

    def causal(self, rows: Sequence[Ids]) -> list[Floats]:
        """See `CausalAccess`; the boundary is the tokenizer's piece for the beginning of a text, where it has one."""
        return scoring.following(self._network(), rows, boundary=self.tokenizer.bos_token_id)

    def generate(
        self, prompts: Sequence[str], *, samples: int, most_words: int, top_p: float, temperature: float, streams: Streams
    ) -> list[list[str]]:
        """See `GeneratingAccess`; a prompt is read as the tokenizer cuts it, without blanks at its end, an empty one as the boundary."""
        rows = [np.array(ids, dtype=np.int64) for ids in self._cut([prompt.rstrip() for prompt in prompts])]
        given: dict[str, Any] = {"samples": samples, "most_words": most_words, "top_p": top_p, "temperature": temperature}
        return generate(self._voice(), rows, **given, streams=streams)

    @property
    def _room(self) -> int | None:
        """One place is left for the boundary."""
        return None if self.longest is None else self.longest - (self.tokenizer.bos_token_id is not None)

    def _cut(self, prompts: Sequence[str]) -> list[list[int]]:
        return list(self.tokenizer(list(prompts), add_special_tokens=True)["input_ids"]) if prompts else []

    def _voice(self) -> Voice:
        boundary, tokenizer = self.tokenizer.bos_token_id, self.tokenizer
        first = np.array([] if boundary is None else [boundary], dtype=np.int64)
        ends = {tokenizer.eos_token_id, self.model.config.eos_token_id if isinstance(self.model.config.eos_token_id, int) else None}
        return Voice(
            module=self.model,
            begin=lambda: _feed(self.model),
            lead=lambda ids: ids if len(ids) else first,
            ends=ends - {None},
            never=(),
            pieces_a_word=PIECES_A_WORD,
            text=lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True)),
            longest=self.longest,
            device=self.device,
        )


def _logits(model: Any) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    head = model.get_output_embeddings()

    def logits(ids_BT: Tensor, mask_BT: Tensor, rows_N: Tensor, places_N: Tensor) -> Tensor:
        given = {"input_ids": ids_BT, "attention_mask": mask_BT.long()}
        if not isinstance(head, nn.Linear):
            found: Tensor = model(**given).logits[rows_N, places_N]
            return found
        with asked_only(head, rows_N, places_N):
            scores_NS: Tensor = model(**given).logits
        return scores_NS

    return logits


def _feed(model: Any) -> Feed:
    kept: list[Any] = [None]
    head = model.get_output_embeddings()

    def feed(new_BT: Tensor) -> Tensor:
        rows_B = torch.arange(len(new_BT), device=new_BT.device)
        with asked_only(head, rows_B, torch.full_like(rows_B, new_BT.shape[1] - 1)):
            found = model(input_ids=new_BT, past_key_values=kept[0], use_cache=True)
        kept[0] = found.past_key_values
        scores_BS: Tensor = found.logits
        return scores_BS

    return feed


def _located(made: Any, text: str, unknown: int | None) -> Pieces:
    """Pieces with their places, blanks at the beginning of a piece left out; one of blanks alone belongs to the letter behind it."""
    ids, special = np.array(made.ids, dtype=np.int64), np.array(made.special_tokens_mask, dtype=bool)
    places: NDArray[np.int64] = np.array(made.offsets, dtype=np.int64).reshape(-1, 2)
    for row in np.flatnonzero(~special):
        start, end = places[row]
        letter = len(text) - len(text[start:].lstrip())
        if letter < len(text):
            places[row] = letter, max(end, letter + 1)
    places[special] = -1
    known = np.ones(len(ids), dtype=bool) if unknown is None else (ids != unknown) | special
    return Pieces(ids, places[:, 0].copy(), places[:, 1].copy(), known, cut=bool(made.overflowing))


def _config_and_tokenizer(transformers: Any, folder: Path, name: str) -> tuple[Any, Any]:
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **local)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, **local)
    except Exception as error:  # whatever a library raises over a folder of somebody else's making is an error of the input
        raise InputError(f"hub: {name!r} cannot be read as a language model ({type(error).__name__}: {error}); give another") from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"hub: {name!r} has no fast tokenizer (tokenizer.json); save one beside it with save_pretrained")
    if len(tokenizer) < config.vocab_size / 2:  # without its files `transformers` makes one of a handful of pieces and says nothing
        raise InputError(
            f"hub: the tokenizer of {name!r} knows {len(tokenizer)} pieces, the model {config.vocab_size}: its files are missing; save "
            "tokenizer.json beside the weights"
        )
    if config.is_encoder_decoder:
        raise InputError(f"hub: {name!r} is an encoder with a decoder; give a masked or causal model, such as a BERT or a GPT-2")
    return config, tokenizer


def _kind(transformers: Any, config: Any, name: str) -> Kind:
    """What a model is, by the class that its configuration names."""
    tables = transformers.models.auto.modeling_auto
    classes = config.architectures or []
    if not classes:
        raise InputError(f"hub: the configuration of {name!r} names no architecture; set kind to 'masked', 'causal' or 'encoder'")
    known: dict[Kind, set[str]] = {
        "masked": _classes(tables.MODEL_FOR_MASKED_LM_MAPPING_NAMES) | _classes(tables.MODEL_FOR_PRETRAINING_MAPPING_NAMES),
        "causal": _classes(tables.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
        "encoder": _classes(tables.MODEL_MAPPING_NAMES),
    }
    for kind in ("causal", "masked", "encoder"):
        if classes[0] in known[kind]:
            return kind
    raise InputError(
        f"hub: {name!r} is a {classes[0]}, which is neither a masked nor a causal language model nor an encoder; "
        "set kind to 'encoder' to look at its states"
    )


def _classes(table: Any) -> set[str]:
    return {one for value in table.values() for one in (value if isinstance(value, list | tuple) else [value])}


def _weights(transformers: Any, folder: Path, name: str, kind: Kind) -> Any:
    auto = {"masked": "AutoModelForMaskedLM", "causal": "AutoModelForCausalLM", "encoder": "AutoModel"}[kind]
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    try:
        model, found = getattr(transformers, auto).from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **options)
    except Exception as error:
        raise InputError(f"hub: {name!r} cannot be read as {auto} ({type(error).__name__}: {error}); give another kind") from error
    finally:
        if shown:
            logging.enable_progress_bar()
    missing = sorted(key for key in found["missing_keys"] if "pooler." not in key)
    if missing:  # transformers would draw them at random and go on
        raise InputError(f"hub: {name!r} lacks weights that a model of kind {kind!r} has, such as {missing[0]!r}; give another kind")
    return model


def _longest(model: Any, tokenizer: Any) -> int | None:
    """Pieces that a model has places for; RoBERTa's kin count theirs from behind the padding id."""
    positions = getattr(model.config, "max_position_embeddings", None)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            positions = module.num_embeddings - module.padding_idx - 1
    bounds = [bound for bound in (positions, tokenizer.model_max_length) if bound is not None and 0 < bound < 10**6]
    return int(min(bounds)) if bounds else None
