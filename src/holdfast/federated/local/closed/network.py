"""Which models have gradients by hand: features of an example, perhaps one hidden layer, and a linear head with a cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from holdfast.core.errors import InputError
from holdfast.federated.local.workload import Workload
from holdfast.models.bag import BagTagger, WordMeans
from holdfast.models.layers import Heads
from holdfast.models.transformer import EncoderTagger
from holdfast.models.words import WordFeaturiser
from holdfast.tasks import Classification


class DeclinedError(InputError):
    """A model that a kernel does not know; another one can train it."""


@dataclass(frozen=True, eq=False)
class Network:
    """A model as the closed form sees it.

    Args:
        table: Name of the trained table of words; None where there is none.
        pretrained: Its pretrained one, which stays as it is; None where there is none.
        known: Words from this id on have no trained row of their own.
        word_dropout: Share of words turned into the unknown word in training.
        hidden: Beginning of the names of the hidden layer; None where there is none.
        head: Beginning of the names of the head.
        dropout: Share of numbers dropped before the head.
    """

    table: str | None
    pretrained: Tensor | None
    known: int
    word_dropout: float
    hidden: str | None
    head: str
    dropout: float

    @property
    def reads_words(self) -> bool:
        """Whether features are means of words' vectors; otherwise they are cached."""
        return self.table is not None or self.pretrained is not None


def network_of(workload: Workload) -> Network:
    """Takes a model apart.

    Raises:
        DeclinedError: For a model that is not known, saying why.
    """
    module, task = workload.module, workload.task
    if type(task) is not Classification:
        raise DeclinedError(f"the task is {type(task).__name__}; gradients by hand are known for Classification")
    if workload.encoded.sentence is None:
        raise DeclinedError("the examples have no labels")
    if any(part._forward_hooks or part._forward_pre_hooks for part in module.modules()):
        raise DeclinedError("the model has hooks")
    if type(module) is BagTagger:
        return _bag(workload, module)
    if type(module) is EncoderTagger:
        return _head(workload, module)
    raise DeclinedError(
        f"the model is a {type(module).__name__}; gradients by hand are known for a bag of words and for a head on cached states"
    )


def _bag(workload: Workload, module: BagTagger) -> Network:
    words = module.words
    if type(words) is not WordMeans or type(workload.encoded.featuriser) is not WordFeaturiser or type(module.sentence) is not nn.Linear:
        raise DeclinedError("a layer of the bag of words was put in the place of another")
    _check_heads(module.heads)
    if module.window is not None:
        raise DeclinedError("the bag of words labels words too, by a window")
    if words.pretrained is not None and words.pretrained.weight.requires_grad:
        raise DeclinedError("the pretrained vectors are trained; set freeze_vectors to true")
    if (workload.encoded.encoded.pieces.lengths == 0).any():
        raise DeclinedError("an example has no words")
    return Network(
        table=None if words.trained is None else "words.trained.weight",
        pretrained=None if words.pretrained is None else words.pretrained.weight.detach(),
        known=words.known,
        word_dropout=module.word_dropout.share,
        hidden="sentence",
        head="heads.sentence",
        dropout=module.heads.dropout.p,
    )


def _head(workload: Workload, module: EncoderTagger) -> Network:
    _check_heads(module.heads)
    if not module.frozen or any(not name.startswith("heads.") for name in workload.trainable):
        raise DeclinedError("the encoder is trained; set freeze to 'encoder', without low-rank matrices")
    if workload.encoded.encoded.states is None:
        raise DeclinedError("the states of the encoder are not cached; hand over examples that went through `precompute` of the model")
    return Network(
        table=None, pretrained=None, known=0, word_dropout=0.0, hidden=None, head="heads.sentence", dropout=module.heads.dropout.p
    )


def _check_heads(heads: Heads) -> None:
    if type(heads) is not Heads or type(heads.sentence) is not nn.Linear or type(heads.dropout) is not nn.Dropout:
        raise DeclinedError("the head is not the linear one of our models")
    if heads.words is not None or heads.transitions is not None:
        raise DeclinedError("the model labels words too")
