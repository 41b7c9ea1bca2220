"""The real models under the real clippers: norms and clipped sums against single sentences run alone, padding and all."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import per_example as oracle
from torch import nn

from holdfast import models, tasks
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, Example
from holdfast.models.hub import PieceFeaturiser
from holdfast.privacy import Execution
from holdfast.privacy.sums import clip_weights, per_example, squared_norms
from holdfast.training.evaluation import losses_of

TINY = {"embedding": 5, "hidden": 4, "characters": 3, "character_width": 2}
WORDS = ("play", "Jazz", "in", "Llanfairpwllgwyngyll", "a", "é", "stop")


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("play 1 2\njazz 3 -4\npolka 0 1\n")
    return str(path)


def made(name: str, vectors: str) -> models.ModelSettings:
    return {
        "bag": models.Bag(embedding=5, hidden=4),
        "bag, frozen vectors": models.Bag(embedding=5, hidden=4, vectors=vectors),
        "bag, crf": models.Bag(embedding=5, hidden=4, tag_head="crf"),
        "bilstm": models.BiLSTM(**TINY),
        "bilstm, crf": models.BiLSTM(**TINY, tag_head="crf"),
        "bilstm, two layers": models.BiLSTM(**TINY, layers=2, vocabulary="hashed", buckets=3),
        "bilstm, frozen vectors": models.BiLSTM(**TINY, vectors=vectors),
        "bilstm, trained vectors": models.BiLSTM(**{**TINY, "characters": 0}, vectors=vectors, freeze_vectors=False),
        "transformer": models.Transformer(width=8, layers=1, heads=2, feedforward=8, max_length=5),
        "transformer, crf": models.Transformer(width=8, layers=1, heads=2, feedforward=8, tag_head="crf"),
        "transformer, frozen vectors": models.Transformer(width=8, layers=1, heads=2, feedforward=8, vectors=vectors, vocabulary="vectors"),
    }[name]


NAMES = [
    "bag",
    "bag, frozen vectors",
    "bag, crf",
    "bilstm",
    "bilstm, crf",
    "bilstm, two layers",
    "bilstm, frozen vectors",
    "bilstm, trained vectors",
    "transformer",
    "transformer, crf",
    "transformer, frozen vectors",
]


def corpus(lengths: list[int], seed: int) -> Dataset:
    """Sentences of these lengths, after one that holds every word and label."""
    rng = np.random.default_rng(seed)
    rows = [Example(tokens=WORDS, label="ask", tags=("O", "B-x", "I-x", "O", "O", "O", "O"))]
    rows.append(Example(tokens=("stop",), label="play", tags=("O",)))
    for length in lengths:
        tokens = tuple(WORDS[place] for place in rng.integers(0, len(WORDS), length))
        tags = tuple(("O", "B-x", "I-x")[place] for place in rng.integers(0, 3, length))
        rows.append(Example(tokens=tokens, label=("ask", "play")[length % 2], tags=tags))
    return Dataset.from_examples(rows, name="drawn", split="train")


def check(module: nn.Module, encoded: tasks.EncodedDataset, task: tasks.Task, *, single: bool = False) -> None:
    """Holds the engine, in double and in single precision, to single sentences run alone in double precision.

    States that a frozen encoder left are in single precision: there is nothing else to hold it to.
    """
    rows, reference = np.arange(len(encoded)), module if single else copy.deepcopy(module).double()
    alone_of = losses_of(task, reference, encoded, device=torch.device("cpu"))
    alone = oracle.gradients(reference, lambda row: alone_of(np.array([row])).sum(), len(rows))
    alone = [{name: gradient.double() for name, gradient in one.items()} for one in alone]
    norms = torch.tensor([oracle.norm(one) for one in alone], dtype=torch.float64)
    clip_norm = float(norms.median())
    want = oracle.clipped_sum(alone, clip_norm)
    for model, goal in ((reference, 1e-5 if single else 1e-10), (module, 1e-5)):
        loss_of = losses_of(task, model, encoded, device=torch.device("cpu"))
        torch.testing.assert_close(squared_norms(model, loss_of, rows).sqrt().double(), norms, rtol=goal, atol=goal)
        got = per_example(
            model, loss_of, rows, weigh=lambda squared: clip_weights(squared, clip_norm), execution=Execution(physical_batch_size=4)
        )
        assert got.keys() == want.keys()
        off = oracle.norm({name: got[name].double() - gradient for name, gradient in want.items()})
        assert off <= goal * oracle.norm(want)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=8)
@given(lengths=st.lists(st.integers(1, 8), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_clipped_sums_of_our_models_equal_the_loop(name: str, lengths: list[int], seed: int, vectors: str):
    task, data, model = tasks.IntentSlot(), corpus(lengths, seed), made(name, vectors)
    featuriser, labels = model.featuriser(data.tokens()), task.labels(data)
    module = model.build(featuriser, labels, Streams(seed)).eval()
    check(module, task.encode(data, featuriser, labels), task)


CAUSAL = {"min_count": 1, "max_length": 6}
NEXT_WORDS = {
    "lstm-lm": models.LSTMLanguageModel(embedding=5, hidden=4, **CAUSAL),
    "lstm-lm, two layers, tied": models.LSTMLanguageModel(embedding=5, hidden=4, layers=2, tied=True, **CAUSAL),
    "lstm-lm, bytes": models.LSTMLanguageModel(embedding=5, hidden=4, vocabulary="bytes", min_count=1, max_length=20),
    "decoder": models.Decoder(width=8, layers=2, heads=2, feedforward=8, **CAUSAL),
    "decoder, tied": models.Decoder(width=8, layers=1, heads=2, feedforward=8, tied=True, **CAUSAL),
    "decoder, bytes": models.Decoder(width=8, layers=1, heads=2, feedforward=8, vocabulary="bytes", min_count=1, max_length=20),
}


@pytest.mark.parametrize("name", NEXT_WORDS)
@settings(deadline=None, max_examples=8)
@given(lengths=st.lists(st.integers(1, 8), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_clipped_sums_of_models_of_next_words_equal_the_loop(name: str, lengths: list[int], seed: int):
    """A tied table occurs twice in a pass, once looked up and once as a product: its cross terms count."""
    task, data, model = tasks.LanguageModel(), corpus(lengths, seed), NEXT_WORDS[name]
    featuriser, labels = model.featuriser(data.tokens()), task.labels(data)
    check(model.build(featuriser, labels, Streams(seed)).eval(), task.encode(data, featuriser, labels), task)


@pytest.mark.parametrize("task", [tasks.Classification(), tasks.Tagging()], ids=lambda task: task.name)
def test_clipped_sums_of_one_head_equal_the_loop(task: tasks.Task, vectors: str):
    data, model = corpus([3, 1, 6], 1), made("bilstm", vectors)
    featuriser, labels = model.featuriser(data.tokens()), task.labels(data)
    check(model.build(featuriser, labels, Streams(1)).eval(), task.encode(data, featuriser, labels), task)


@pytest.mark.parametrize("name", ["bag, crf", "bilstm, crf", "transformer, crf"])
def test_clipped_sums_of_learned_transitions_equal_the_loop(name: str, vectors: str):
    """With transitions away from 0, and a word whose tag the model does not have."""
    task, data, model = tasks.IntentSlot(unseen_labels="count as wrong"), corpus([3, 1, 6], 1), made(name, vectors)
    rows = [Example(tokens=("stop", "a", "play"), label="play", tags=("B-x", "B-unseen", "O"))]
    featuriser, labels = model.featuriser(data.tokens()), task.labels(data)
    module = model.build(featuriser, labels, Streams(1)).eval()
    torch.nn.init.normal_(module.heads.transitions.table.weight, generator=torch.Generator().manual_seed(5))
    both = [data, Dataset.from_examples([*data, *rows], name="drawn", split="train")]
    for one in both:
        check(module, task.encode(one, featuriser, labels), task)


@pytest.mark.parametrize(
    "options",
    [{}, {"freeze": "embeddings"}, {"freeze": "encoder"}, {"freeze": "encoder", "lora_rank": 2}, {"freeze": "encoder", "tag_head": "crf"}],
    ids=["all", "above the table", "heads", "low-rank", "heads, crf"],
)
def test_clipped_sums_of_a_pretrained_encoder_equal_the_loop(options: dict, tmp_path: Path):
    import tokenizers

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "jazz", "in", "llan", "##fair", "a", "stop"]
    cutter = tokenizers.Tokenizer(tokenizers.models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    cutter.normalizer = tokenizers.normalizers.Lowercase()
    cutter.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 32}
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(pieces), **sizes)).save_pretrained(tmp_path)
    transformers.PreTrainedTokenizerFast(tokenizer_object=cutter, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(tmp_path)

    task, data = tasks.IntentSlot(), corpus([2, 5, 1], 2)
    model = models.Hub(name=str(tmp_path), max_length=9, **options)
    featuriser, labels = model.featuriser(data.tokens()), task.labels(data)
    assert isinstance(featuriser, PieceFeaturiser)
    module = model.build(featuriser, labels, Streams(2)).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():  # or it is zero, and the gradient of its twin with it
            if ".lora_B." in name:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)))
    encoded = task.encode(data, featuriser, labels)
    check(module, encoded, task)
    if module.frozen:
        check(module, replace(encoded, encoded=module.precompute(encoded.encoded)), task, single=True)
