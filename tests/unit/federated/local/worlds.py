"""Small workloads in double precision, each of another kind, and cohorts of clients with unequal numbers of examples."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from holdfast import models, tasks
from holdfast.core.randomness import Streams
from holdfast.federated.local import LocalSolver, LocalTraining, Workload
from holdfast.models import Labels
from holdfast.models.causal import Decoder
from holdfast.models.features import Encoded, Features, Logits
from holdfast.models.ragged import Ragged
from holdfast.models.transformer import EncoderTagger
from holdfast.models.vocabulary import KnownWords
from holdfast.models.words import WordFeaturiser

WORDS = 60
EXAMPLES = 2100
STREAMS = Streams(11)
SILENT = {"dropout": 0.0, "word_dropout": 0.0}
DROPPING = {"dropout": 0.3, "word_dropout": 0.2}
BAG = models.Bag(embedding=6, hidden=5, **SILENT)
SETTINGS = {
    "bag": BAG,
    "dropping bag": models.Bag(embedding=6, hidden=5, **DROPPING),
    "bilstm": models.BiLSTM(embedding=6, hidden=4, layers=1, characters=0, **SILENT),
    "transformer": models.Transformer(width=8, layers=1, heads=2, feedforward=12, **SILENT),
    "dropping transformer": models.Transformer(width=8, layers=1, heads=2, feedforward=12, **DROPPING),
}


def words_of(examples: int, *, seed: int = 0) -> Ragged:
    """Random utterances of 1 to 7 words."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 8, examples)
    return Ragged.from_flat(rng.integers(0, WORDS, lengths.sum()).astype(np.int32), lengths)


def encoded(*, tags: bool = False, labels: int = 4, examples: int = EXAMPLES) -> tasks.EncodedDataset:
    """Random utterances with random labels."""
    rng, pieces = np.random.default_rng(1), words_of(examples)
    vocabulary = KnownWords.of_training([[f"w{i}" for i in range(WORDS - 1)]], min_count=1, lowercase=False)
    featuriser = WordFeaturiser(vocabulary, lowercase=False, word_bytes=0, max_words=0)
    names = Labels(tuple(f"label {k}" for k in range(labels)), ("O", "B-x", "I-x") if tags else ())
    tokens = Ragged.from_flat(rng.integers(0, 3, len(pieces.values)).astype(np.int32), pieces.lengths) if tags else None
    return tasks.EncodedDataset(Encoded(pieces), featuriser, names, pieces.lengths, rng.integers(0, labels, examples), tokens)


def workload(kind: str) -> Workload:
    """A workload by name; all but "head" in double precision."""
    if kind == "head":
        return head(dropout=0.0)
    if kind == "language model":
        return language_model()
    if kind == "recurrent":
        given = encoded()
        torch.manual_seed(3)
        return Workload(tasks.Classification(), Recurrent(len(given.labels.sentence)).double(), given)
    given, settings = encoded(tags=kind == "bilstm"), SETTINGS[kind]
    task = tasks.IntentSlot() if kind == "bilstm" else tasks.Classification()
    return Workload(task, settings.build(given.featuriser, given.labels, Streams.from_seed(5)).double(), given)


def head(*, dropout: float) -> Workload:
    """A head over the cached states of a frozen encoder, in single precision as states are."""
    given = encoded()
    torch.manual_seed(2)
    module = EncoderTagger(bert().requires_grad_(False), given.labels, width=8, dropout=dropout)
    cached = module.precompute(given.encoded)
    return Workload(
        tasks.Classification(),
        module,
        tasks.EncodedDataset(cached, given.featuriser, given.labels, given.words, given.sentence, None),
    )


def bert() -> nn.Module:
    """A tiny encoder."""
    import transformers

    return transformers.BertModel(
        transformers.BertConfig(vocab_size=WORDS, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8),
        add_pooling_layer=False,
    )


def language_model() -> Workload:
    """A model that asks its table for a mark that some examples do not hold."""
    task, settings = tasks.LanguageModel(), Decoder(width=8, layers=1, heads=2, feedforward=8, dropout=0.0, tied=False, max_length=5)
    texts = [[f"w{word}" for word in words_of(400)[row]] for row in range(400)]
    featuriser = settings.featuriser(texts)
    given = featuriser.encode(texts)
    labels = Labels(next_words=True)
    module = settings.build(featuriser, labels, Streams.from_seed(5)).double()
    lengths = np.array([len(row) for row in texts])
    return Workload(task, module, tasks.EncodedDataset(given, featuriser, labels, lengths, None, None))


class Recurrent(nn.Module):
    """A model of somebody else's, which nothing but the plain loop can train."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, 4)
        self.walk = nn.GRU(4, 3, num_layers=2, batch_first=True, dropout=0.4)
        self.out = nn.Linear(3, labels)

    def forward(self, features: Features) -> Logits:
        """Reads to the end of each row."""
        states = self.walk(self.table(features.ids_BT))[0]
        last = features.mask_BT.sum(1) - 1
        return Logits(self.out(states[torch.arange(len(last)), last]), None)


def cohort(sizes: Sequence[int], *, first: int = 0) -> list[np.ndarray]:
    """The examples of clients of these sizes, one client behind the other."""
    ends = first + np.cumsum(sizes)
    return [np.arange(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def updates(
    given: Workload,
    solver: LocalSolver,
    examples: Sequence[np.ndarray],
    *,
    kernel: str,
    clients: Sequence[int] | None = None,
    round: int = 3,
    block: int | None = None,
    corrections: Mapping[str, Tensor] | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The update of each client in the order of the cohort, (m, ...) by name, with "losses" and "steps" beside them."""
    training = LocalTraining(given, solver, kernel=kernel, block=block)
    weights = given.weights() if weights is None else weights
    m = len(examples)
    found = {name: torch.full((m, *value.shape), float("nan"), dtype=value.dtype) for name, value in weights.items()}
    found |= {"losses": torch.full((m,), -1.0, dtype=torch.float64), "steps": torch.full((m,), -1)}
    seen = 0
    numbers = np.arange(m) + 100 if clients is None else np.asarray(clients)
    for part in training.train(weights, examples, numbers, streams=STREAMS, round=round, corrections=corrections):
        seen += len(part)
        for row, place in enumerate(part.positions):
            found["losses"][place], found["steps"][place] = part.losses[row], part.steps[row]
            for name, value in part.whole(row, weights).items():
                found[name][place] = value
    assert seen == m, "every client is trained once"
    return found


def apart(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference; both may be not a number at the same place."""
    assert one.keys() == other.keys()
    found = 0.0
    for name in one:
        assert torch.equal(one[name].isfinite(), other[name].isfinite()), name
        found = max(found, float((one[name] - other[name]).nan_to_num(0.0).abs().max()))
    return found
