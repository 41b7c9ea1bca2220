"""The models in plain torch, for engines that know nothing of holdfast; their parameters stand in the order of ours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from federation.jobs import Arrays, Job, Shape

CHUNK = 256


class BagNet(nn.Module):
    """The mean of the words' vectors, a hidden layer, a head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.hidden = nn.Linear(shape.width, shape.hidden)
        self.head = nn.Linear(shape.hidden, shape.classes)

    def forward(self, words_BT: Tensor) -> Tensor:
        """Scores the labels, (B, K)."""
        return self.head(F.relu(self.hidden(self.words(words_BT).mean(1))))


class Layer(nn.Module):
    """One layer of BERT, without dropout."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query, self.key, self.value, self.out = (nn.Linear(shape.width, shape.width) for _ in range(4))
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.up, self.down = nn.Linear(shape.width, shape.hidden), nn.Linear(shape.hidden, shape.width)
        self.last_norm = nn.LayerNorm(shape.width, eps=1e-12)

    def forward(self, states_BTD: Tensor) -> Tensor:
        """The next states, (B, T, D)."""
        parts = [part(states_BTD).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        seen_BTD = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        states_BTD = self.norm(states_BTD + self.out(seen_BTD))
        return self.last_norm(states_BTD + self.down(F.gelu(self.up(states_BTD))))


class Encoder(nn.Module):
    """BERT without padding: the mean of the last states."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Embedding(shape.length, shape.width)
        self.types = nn.Embedding(1, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))

    def forward(self, words_BT: Tensor) -> Tensor:
        """The vector of each text, (B, D)."""
        states_BTD = self.norm(self.words(words_BT) + self.types.weight[0] + self.places.weight[: words_BT.shape[1]])
        for layer in self.layers:
            states_BTD = layer(states_BTD)
        return states_BTD.mean(1)


class TransformerNet(nn.Module):
    """An encoder and a head, all trained."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        self.head = nn.Linear(shape.width, shape.classes)

    def forward(self, words_BT: Tensor) -> Tensor:
        """Scores the labels, (B, K)."""
        return self.head(self.encoder(words_BT))


class HeadNet(nn.Module):
    """A trained head on what a frozen encoder makes of a text, or on what it made of it beforehand."""

    def __init__(self, shape: Shape, encoder: Encoder | None) -> None:
        super().__init__()
        self.head = nn.Linear(shape.width, shape.classes)
        self.encoder = encoder

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores the labels, (B, K), of words (B, T) or, without an encoder, of vectors (B, D)."""
        if self.encoder is None:
            return self.head(inputs)
        with torch.no_grad():
            vectors_BD = self.encoder(inputs)
        return self.head(vectors_BD)


@torch.no_grad()
def fill(module: nn.Module, weights: Arrays) -> None:
    """Puts weights into the parameters, in their order."""
    for parameter, weight in zip(module.parameters(), weights, strict=True):
        parameter.copy_(torch.from_numpy(weight))


def frozen_encoder(job: Job) -> Encoder:
    """The encoder of a job, in evaluation mode."""
    encoder = Encoder(job.shape).eval().requires_grad_(False)
    fill(encoder, job.encoder)
    return encoder


def net_of(job: Job, *, cached: bool) -> nn.Module:
    """The model with its first weights; what does not travel takes no gradient."""
    if job.shape.model == "head":
        module: nn.Module = HeadNet(job.shape, None)
        fill(module, job.weights)
        module.encoder = None if cached else frozen_encoder(job)
        return module
    module = {"bag": BagNet, "transformer": TransformerNet}[job.shape.model](job.shape)
    fill(module, job.weights)
    return module


def inputs_of(job: Job, *, cached: bool) -> tuple[Tensor, Tensor]:
    """What goes into the model and the labels: words, or with `cached` the vectors that the frozen encoder makes of them, here and once."""
    words_NT, labels_N = torch.from_numpy(job.words_NT), torch.from_numpy(job.labels_N)
    if not (cached and job.shape.model == "head"):
        return words_NT, labels_N
    encoder = frozen_encoder(job)
    with torch.no_grad():
        return torch.cat([encoder(chunk) for chunk in words_NT.split(CHUNK)]), labels_N


def travelling(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name."""
    return {name: value for name, value in module.named_parameters() if value.requires_grad}
