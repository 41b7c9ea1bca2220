"""A classifier that holdfast trained, as a scorer of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from holdfast.core.access import OpenModel
from holdfast.core.errors import InputError
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example
from holdfast.fairness.generation.scorers.scorer import Floats, digest

VERSION = "1"


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedScorer:
    """Gives each text the probability that a fitted classifier lays on some of its labels.

    Args:
        fitted: Such as `train` returns, for a task that labels sentences.
        positive: The labels whose probability is the score.
        name: What to call it.

    Raises:
        InputError: For a label that the classifier does not know.

    Edge cases:
        Texts are cut at blanks, as `str.split` does. A text without any word is shown as the one word ".": leave empty texts out.
    """

    fitted: OpenModel
    positive: tuple[str, ...]
    name: str = "fitted classifier"

    def __post_init__(self) -> None:
        known = tuple(self.fitted.labels.sentence)
        strange = [label for label in self.positive if label not in known]
        if strange or not self.positive:
            raise InputError(f"scorer {self.name!r}: positive labels {self.positive}; give some of {', '.join(known)}")

    @property
    def version(self) -> str:
        """Of the rules by which a text is cut into words."""
        return VERSION

    @cached_property
    def sha256(self) -> str:
        """Of the weights, by name and bytes, and of the labels."""
        import torch

        state = self.fitted.module.state_dict()
        parts: list[bytes | str] = ["fitted", VERSION, *self.positive, *self.fitted.labels.sentence]
        for key in sorted(state):
            values = state[key].detach().cpu().contiguous()
            parts += [key, str(values.dtype), str(tuple(values.shape)), values.reshape(-1).view(torch.uint8).numpy().tobytes()]
        return digest(*parts)

    def score(self, texts: Sequence[str]) -> Floats:
        """The probability of the positive labels, (n,)."""
        from holdfast.training.evaluation import posteriors  # here, so that scorers without a model do not wait for torch

        if not len(texts):
            return np.zeros(0)
        known = tuple(self.fitted.labels.sentence)
        task, model = self.fitted.task, self.fitted.module
        rows = [Example(tokens=tuple(text.split()) or (".",)) for text in texts]
        encoded = task.encode(Dataset.from_examples(rows, name="texts", split="scored"), self.fitted.featuriser, self.fitted.labels)
        found = posteriors(task, model, encoded, device=self.fitted.device)
        return np.asarray(found[:, [known.index(label) for label in self.positive]].sum(1))
