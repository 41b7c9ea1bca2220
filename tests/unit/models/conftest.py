"""Small models, and what every model is held to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from holdfast.core.randomness import Streams
from holdfast.models import Features, Featuriser, Labels, Logits, ModelSettings

SENTENCES = [["play", "Some", "jazz"], ["what", "is", "the", "weather", "unbelievably"], ["stop"], ["jazz", "jazz"]]
LABELS = Labels(("ask", "play"), ("O", "B-genre", "I-genre"))
ALLOWED = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.Conv1d, nn.LSTM, Conv1D)


@pytest.fixture
def sentences() -> list[list[str]]:
    return [list(words) for words in SENTENCES]


@pytest.fixture
def labels() -> Labels:
    return LABELS


@pytest.fixture
def built() -> Callable[[ModelSettings], tuple[nn.Module, Featuriser]]:
    """Builds a model in evaluation mode with its featuriser."""

    def build(settings: ModelSettings, labels: Labels = LABELS, key: int = 1) -> tuple[nn.Module, Featuriser]:
        featuriser = settings.featuriser(SENTENCES)
        return settings.build(featuriser, labels, Streams(key)).eval(), featuriser

    return build


@contextmanager
def _inputs_of_layers(module: nn.Module) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []
    leaves = [m for m in module.modules() if any(True for _ in m.parameters(recurse=False))]
    hooks = [leaf.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for leaf in leaves]
    yield seen
    for hook in hooks:
        hook.remove()


def _loss(logits: Logits) -> Tensor:
    rows = None if logits.transitions is None else logits.transitions.rows_BRS
    return sum(part.square().sum() for part in (logits.sentence_BK, logits.tokens_BWS, rows) if part is not None)


@pytest.fixture
def check_contract() -> Callable[[nn.Module, Featuriser], None]:
    """What a private clipper needs of any model; see the functions below."""

    def check(module: nn.Module, featuriser: Featuriser) -> None:
        encoded = featuriser.encode(SENTENCES)
        together = featuriser.collate(encoded, np.arange(len(SENTENCES)))
        _rows_do_not_meet(module, together, [featuriser.collate(encoded, np.array([row])) for row in range(len(SENTENCES))])
        _layers_see_one_row_for_each_example(module, together)
        _every_parameter_learns_in_a_layer_with_a_rule(module, together)

    return check


def _rows_do_not_meet(module: nn.Module, together: Features, alone: list[Features]) -> None:
    everyone = module(together)
    for row, features in enumerate(alone):
        logits = module(features)
        words = logits.tokens_BWS.shape[1]
        torch.testing.assert_close(everyone.sentence_BK[row], logits.sentence_BK[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(everyone.tokens_BWS[row, :words], logits.tokens_BWS[0], atol=1e-5, rtol=0)


def _layers_see_one_row_for_each_example(module: nn.Module, together: Features) -> None:
    with _inputs_of_layers(module) as seen:
        module(together)
    assert seen
    assert {len(inputs) for inputs in seen} == {len(SENTENCES)}


def _every_parameter_learns_in_a_layer_with_a_rule(module: nn.Module, together: Features) -> None:
    module.zero_grad()
    _loss(module(together)).backward()
    for leaf in module.modules():
        for name, parameter in leaf.named_parameters(recurse=False):
            if parameter.requires_grad:
                assert isinstance(leaf, ALLOWED), f"{type(leaf).__name__}.{name}"
                assert parameter.grad is not None, f"{type(leaf).__name__}.{name} gets no gradient"
        if isinstance(leaf, nn.LSTM):
            assert (leaf.num_layers, leaf.bidirectional, leaf.batch_first) == (1, False, True)
