"""Tiny models of ours and of `transformers`, as the metrics of language models see them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.oracles import tiny_language_models

from holdfast import models
from holdfast.core.randomness import Streams
from holdfast.fairness.language import open_access
from holdfast.models import Labels

TRAINING = [
    ["the", "doctor", "said", "that", "she", "was", "late", "."],
    ["the", "nurse", "said", "that", "he", "is", "n't", "early", "."],
    ["he", "said", "that", "the", "unbelievably", "kind", "nurse", "was", "here"],
]
WORDS, CLASSES = Labels(next_words=True), Labels(("a", "b"))
SMALL = {"min_count": 1, "dropout": 0.0}
WIDE = {**SMALL, "width": 12, "layers": 2, "heads": 2, "feedforward": 16, "max_length": 64}
OWN: dict[str, tuple[Any, Labels]] = {
    "lstm": (models.LSTMLanguageModel(**SMALL, embedding=6, hidden=8, layers=2), WORDS),
    "lstm, tied": (models.LSTMLanguageModel(**SMALL, embedding=6, hidden=8, tied=True), WORDS),
    "lstm, bytes": (models.LSTMLanguageModel(**SMALL, embedding=6, hidden=8, vocabulary="bytes"), WORDS),
    "decoder": (models.Decoder(**WIDE), WORDS),
    "decoder, bytes": (models.Decoder(**{**WIDE, "max_length": 120}, vocabulary="bytes", tied=True), WORDS),
    "masked": (models.MaskedEncoder(**WIDE), WORDS),
    "masked, two tables": (models.MaskedEncoder(**WIDE, tied=False), WORDS),
    "masked, bytes": (models.MaskedEncoder(**{**WIDE, "max_length": 120}, vocabulary="bytes"), WORDS),
    "bag": (models.Bag(embedding=6, hidden=8, window=0), CLASSES),
    "bilstm": (models.BiLSTM(embedding=6, hidden=5, layers=2, characters=4, character_width=3), CLASSES),
    "transformer": (models.Transformer(width=8, layers=2, heads=2, feedforward=8), CLASSES),
    "transformer, hashed": (models.Transformer(width=8, layers=1, heads=2, feedforward=8, vocabulary="hashed", buckets=50), CLASSES),
}


@dataclass
class Fitted:
    """As much of a trained model as `of_run` asks for."""

    name: str
    module: Any
    featuriser: Any
    labels: Labels
    task: Any = None
    device: str = "cpu"


def fitted(name: str, settings: Any = None, labels: Labels | None = None) -> Fitted:
    """A model with random weights that are large enough to tell things apart."""
    kind, own = OWN[name] if settings is None else (settings, labels)
    featuriser = kind.featuriser(TRAINING)
    module = kind.build(featuriser, own, Streams(3)).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    return Fitted(name, module, featuriser, own)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny models of `transformers`."""
    kinds = ("bert", "roberta", "gpt2", "bert-encoder", "gpt2-encoder")
    return {kind: tiny_language_models.saved(tmp_path_factory.mktemp(kind), kind) for kind in kinds}


@pytest.fixture(scope="session")
def hub(folders: dict[str, Path]) -> dict[str, Any]:
    """Those models, opened."""
    return {kind: open_access(folder) for kind, folder in folders.items()}
