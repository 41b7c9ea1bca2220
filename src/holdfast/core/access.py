"""What an attack or a metric may ask of a fitted model: the least capability that it needs."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Losses(Protocol):
    """Black-box access to one loss for each example."""

    def losses(self, data: Any) -> NDArray[np.float64]:
        """Returns the loss of each example, (n,), in nats, with the model in evaluation mode."""
        ...


@runtime_checkable
class Confidences(Protocol):
    """Black-box access to the probabilities of a model: several numbers for each example, never its weights."""

    @property
    def confidence_names(self) -> tuple[str, ...]:
        """The F columns of `confidences`, such as "loss" and "posterior 1"."""
        ...

    def confidences(self, data: Any) -> NDArray[np.float64]:
        """Returns what the model says of each example, (n, F), finite, with the model in evaluation mode."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """Black-box access to predicted labels."""

    def predict(self, data: Any) -> Any:
        """Returns one prediction for each example, in the task's own form."""
        ...


@runtime_checkable
class OwnVocabulary(Protocol):
    """A model that says whether its vocabulary was read off its training text."""

    @property
    def vocabulary_min_count(self) -> int | None:
        """How often a word must stand in the training text to be known; None for a public vocabulary."""
        ...


def min_count_of(fitted: object) -> int | None:
    """That number, or None for a model that does not say."""
    return fitted.vocabulary_min_count if isinstance(fitted, OwnVocabulary) else None


@runtime_checkable
class OpenModel(Protocol):
    """White-box access: the model itself, and all that makes its input and reads its output."""

    @property
    def task(self) -> Any:
        """What it was trained for."""
        ...

    @property
    def module(self) -> Any:
        """The module with its weights."""
        ...

    @property
    def featuriser(self) -> Any:
        """What makes its input of words."""
        ...

    @property
    def labels(self) -> Any:
        """What it chooses from."""
        ...

    @property
    def device(self) -> Any:
        """Where it is."""
        ...


@runtime_checkable
class EmbeddedInput(Protocol):
    """A module whose words can be mixed: it says apart what it makes of each word alone, and what it makes of them together.

    Guarantee:
        In evaluation mode ``module(features)`` is ``module.read(module.embed(features), features)``.
    """

    def embed(self, features: Any) -> Any:
        """What each piece is before pieces meet, (B, T, D): vectors of words and of their characters, side by side."""
        ...

    def read(self, states_BTD: Any, features: Any) -> Any:
        """The logits, from what `embed` made of the pieces or a mixture of it; of the features only the masks are looked at."""
        ...
