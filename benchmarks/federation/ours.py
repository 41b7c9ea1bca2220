"""The cases as holdfast sees them: its own model, its own data set in flat arrays, and its own order of batches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from federation.jobs import Job, Shape, texts
from holdfast.core.randomness import Streams
from holdfast.federated import LocalSolver, Workload
from holdfast.federated.local.blocks import Cohort
from holdfast.models import Bag, Labels
from holdfast.models.features import Encoded
from holdfast.models.ragged import Ragged
from holdfast.models.transformer import EncoderTagger, Transformer
from holdfast.models.vocabulary import KnownWords
from holdfast.models.words import WordFeaturiser
from holdfast.tasks import Classification
from holdfast.tasks.task import EncodedDataset

SEED = 0


def streams() -> Streams:
    """Those of every run of the benchmark."""
    return Streams.from_seed(SEED)


def solver_of(shape: Shape) -> LocalSolver:
    """How the clients train."""
    return LocalSolver(learning_rate=shape.learning_rate, batch_size=shape.batch)


def labels_of(shape: Shape) -> Labels:
    """Labels by number."""
    return Labels(tuple(f"{label:03}" for label in range(shape.classes)))


def featuriser_of(shape: Shape) -> WordFeaturiser:
    """Words by number, behind the unknown one, which stands in no text."""
    words = tuple(f"w{number}" for number in range(1, shape.vocabulary))
    vocabulary = KnownWords(words=words, seen=len(words), is_public=True)
    return WordFeaturiser(vocabulary, lowercase=True, word_bytes=0, max_words=shape.length)


def module_of(shape: Shape) -> nn.Module:
    """The model with weights drawn from the seed; the encoder under a head that is trained alone is frozen."""
    featuriser, labels = featuriser_of(shape), labels_of(shape)
    if shape.model == "bag":
        settings: Bag | Transformer = Bag(embedding=shape.width, hidden=shape.hidden, dropout=0.0, word_dropout=0.0)
        return settings.build(featuriser, labels, streams().child("initialisation"))
    settings = Transformer(
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        feedforward=shape.hidden,
        dropout=0.0,
        word_dropout=0.0,
        max_length=shape.length,
    )
    module = settings.build(featuriser, labels, streams().child("initialisation"))
    if shape.model == "transformer":
        return module
    tagger = EncoderTagger(module.encoder.requires_grad_(False), labels, width=shape.width, dropout=0.0)
    tagger.heads = module.heads  # drawn from the seed, as all else
    return tagger


@torch.no_grad()
def fill(module: nn.Module, job: Job) -> nn.Module:
    """Puts the weights of a job into a model, and gives the model back."""
    for trained, weights in ((True, job.weights), (False, job.encoder)):
        parameters = [value for value in module.parameters() if value.requires_grad is trained]
        for parameter, weight in zip(parameters, weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return module


def workload_of(job: Job) -> Workload:
    """What clients train, with the weights of the job; a frozen encoder looks at the texts once, here."""
    module, shape = fill(module_of(job.shape), job), job.shape
    encoded = Encoded(Ragged.from_flat(job.words_NT.reshape(-1), np.full(len(job.words_NT), shape.length)))
    if isinstance(module, EncoderTagger):
        encoded = module.precompute(encoded)
    words = np.full(len(job.words_NT), shape.length, dtype=np.int64)
    dataset = EncodedDataset(encoded, featuriser_of(shape), labels_of(shape), words, job.labels_N, None)
    return Workload(Classification(), module, dataset)


def job_of(shape: Shape, rounds: int) -> Job:
    """The job that every engine gets: our first weights and our order of batches, since only ours are drawn from a seed and a round."""
    words_NT, labels_N = texts(shape)
    parameters = list(module_of(shape).parameters())
    return Job(
        shape=shape,
        rounds=rounds,
        words_NT=words_NT,
        labels_N=labels_N,
        orders=np.stack([orders_of(shape, number) for number in range(rounds)]),
        weights=[value.detach().numpy() for value in parameters if value.requires_grad],
        encoder=[value.detach().numpy() for value in parameters if not value.requires_grad],
    )


def orders_of(shape: Shape, round: int) -> NDArray[np.int64]:
    """In which order each client takes its examples in a round, (clients, examples), counted within the client."""
    solver, clients, all_examples = solver_of(shape), np.arange(shape.clients), np.arange(shape.clients * shape.examples)
    cohort = Cohort.of(solver, list(all_examples.reshape(shape.clients, -1)), clients, streams=streams(), round=round)
    owners, taken = [], []
    for block in cohort.blocks(solver, most=shape.clients):
        owners.append(block.places[block.clients()][block.real])  # step after step, so a client's rows stand in its order
        taken.append(block.examples[block.real])
    order = np.argsort(np.concatenate(owners), kind="stable")
    return np.concatenate(taken)[order].reshape(shape.clients, -1) - clients[:, None] * shape.examples
