"""A linear scorer over hashed word pairs, trained here on labelled text, kept as safetensors and JSON, and told by its hash."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data.dataset import Dataset
from holdfast.fairness.generation.scorers.scorer import Floats, digest

FORMAT = "holdfast.scorer"
VERSION = "1"
WEIGHTS, SETTINGS = "weights.safetensors", "scorer.json"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a scorer is trained.

    Args:
        features_log2: Logarithm of the number of hashed features, integer in [8, 22].
        longest: Words in the longest run of words that is a feature, 1 to 3.
        strength: Inverse strength of the L2 penalty, above 0, as C of scikit-learn.
        held_out: Share of the data on which the AUC is taken where no validation data are given, in (0, 1).
        seed: Which rows those are.

    Raises:
        InputError: For a value out of its bounds.
    """

    features_log2: int = 17
    longest: int = 2
    strength: float = 1.0
    held_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 8 <= self.features_log2 <= 22 or not 1 <= self.longest <= 3:
            raise InputError(f"scorer: features_log2 {self.features_log2} must be in [8, 22] and longest {self.longest} in [1, 3]")
        if not self.strength > 0 or not 0 < self.held_out < 1:
            raise InputError(f"scorer: strength {self.strength} must be above 0 and held_out {self.held_out} in (0, 1)")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedScorer:
    """Gives each text the probability of the positive labels, (n,), by logistic regression over hashed word n-grams.

    Args:
        name: What to call it.
        weights: One for each hashed feature, (2^features_log2,), float32.
        intercept: Added to the product.
        settings: How it was trained.
        positive: The labels that count as positive.
        trained_on: What it was trained on, with its content hash.
        rows: How many texts that were.
        held_out_auc: Area under the ROC curve on texts that it was not trained on; None where those have one class only.
        held_out_rows: How many texts that rests on.

    Edge cases:
        A text without any word gets the probability at the intercept, which is the base rate of the training data.
        Rows of templates that differ in one word stand on both sides of a random cut, so the held-out AUC of such data says little:
        give `validation` data of other templates.
    """

    name: str
    weights: NDArray[np.float32]
    intercept: float
    settings: TrainingSettings
    positive: tuple[str, ...]
    trained_on: str
    rows: int
    held_out_auc: float | None
    held_out_rows: int

    @classmethod
    def train(
        cls,
        data: Dataset,
        *,
        positive: Sequence[str],
        name: str | None = None,
        settings: TrainingSettings | None = None,
        validation: Dataset | None = None,
    ) -> Self:
        """Trains on labelled text.

        Args:
            data: Texts with labels.
            positive: The labels whose probability is the score.
            name: What to call it; "linear scorer of <data>" where None.
            settings: How; the defaults where None.
            validation: Where the AUC is taken; a random share of the data where None.

        Raises:
            InputError: For labels of which none, or all, are positive.
        """
        chosen = settings or TrainingSettings()
        fit, held = (data, validation) if validation is not None else _cut(data, chosen)
        wanted = _targets(fit, positive)
        if wanted.all() or not wanted.any():
            known = ", ".join(sorted(set(data.labels())))
            raise InputError(
                f"scorer: {int(wanted.sum())} of {len(wanted)} texts have a label of {tuple(positive)}; the labels are {known}"
            )
        weights, intercept = _fitted(_texts(fit), wanted, chosen)
        untested = cls(
            name=name or f"linear scorer of {data.name}",
            weights=weights,
            intercept=intercept,
            settings=chosen,
            positive=tuple(positive),
            trained_on=f"{data.name}, {data.split}, {fit.content_hash}",
            rows=len(fit),
            held_out_auc=None,
            held_out_rows=len(held),
        )
        auc = _auc(untested.score(_texts(held)), _targets(held, positive))
        return cls(**{**_fields(untested), "held_out_auc": auc})

    @property
    def version(self) -> str:
        """Of the rules by which text becomes features."""
        return VERSION

    @cached_property
    def sha256(self) -> str:
        """Of the rules, the weights and what they were trained on; not of the name."""
        rules = json.dumps({"version": VERSION, "settings": asdict(self.settings), "positive": self.positive}, sort_keys=True)
        weights = np.ascontiguousarray(self.weights, dtype="<f4").tobytes()
        return digest("linear", rules, repr(self.intercept), self.trained_on, weights)

    def score(self, texts: Sequence[str]) -> Floats:
        """The probability of the positive labels, (n,)."""
        if not len(texts):
            return np.zeros(0)
        logits = _features(texts, self.settings) @ self.weights.astype(np.float64) + self.intercept
        return np.asarray(0.5 * (1 + np.tanh(logits / 2)))  # the logistic function, without overflow

    def save(self, folder: Path) -> None:
        """Writes `weights.safetensors` and `scorer.json` into a folder; nothing is pickled."""
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.numpy.save_file({"weights": self.weights}, folder / WEIGHTS)
        described = {key: value for key, value in _fields(self).items() if key != "weights"}
        described |= {"settings": asdict(self.settings), "format": FORMAT, "version": VERSION, "sha256": self.sha256}
        (folder / SETTINGS).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            DataError: For a file that is missing or damaged, another version, or weights that do not have the hash written down.
        """
        try:
            described = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
            weights = safetensors.numpy.load_file(folder / WEIGHTS)["weights"]
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            raise DataError(
                f"holds no scorer that can be read ({error}); give a folder that TrainedScorer.save wrote", path=folder
            ) from error
        kept, version = described.pop("sha256", None), described.pop("version", None)
        if described.pop("format", None) != FORMAT or version != VERSION:
            raise DataError(f"scorer of version {version}, this holdfast reads {VERSION}; train it anew", path=folder / SETTINGS)
        try:
            described |= {"settings": TrainingSettings(**described["settings"]), "positive": tuple(described["positive"])}
            found = cls(weights=weights, **described)
        except (TypeError, KeyError) as error:
            raise DataError(f"is not complete: {error}", path=folder / SETTINGS) from error
        if found.sha256 != kept:
            raise DataError(f"the weights have the sha256 {found.sha256}, but {kept} was written down; the folder was changed", path=folder)
        return found


def _fields(scorer: TrainedScorer) -> dict[str, Any]:
    return {name: getattr(scorer, name) for name in scorer.__dataclass_fields__}


def _texts(data: Dataset) -> list[str]:
    return [" ".join(tokens) for tokens in data.tokens()]


def _targets(data: Dataset, positive: Sequence[str]) -> NDArray[np.bool_]:
    return np.isin(np.array(data.labels(), dtype=object), list(positive))


def _cut(data: Dataset, settings: TrainingSettings) -> tuple[Dataset, Dataset]:
    order = Streams.from_seed(settings.seed).generator("scorer held out").permutation(len(data))
    held = max(1, round(settings.held_out * len(data)))
    return data.take(np.sort(order[held:])), data.take(np.sort(order[:held]))


def _features(texts: Sequence[str], settings: TrainingSettings) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    vectoriser = HashingVectorizer(
        n_features=2**settings.features_log2, ngram_range=(1, settings.longest), alternate_sign=False, token_pattern=r"(?u)\b\w+\b"
    )
    return vectoriser.transform(texts)


def _fitted(texts: Sequence[str], wanted: NDArray[np.bool_], settings: TrainingSettings) -> tuple[NDArray[np.float32], float]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=settings.strength, max_iter=1000, solver="liblinear", random_state=settings.seed)
    model.fit(_features(texts, settings), wanted)
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])


def _auc(scores: Floats, wanted: NDArray[np.bool_]) -> float | None:
    from sklearn.metrics import roc_auc_score

    if wanted.all() or not wanted.any():
        return None
    found = float(roc_auc_score(wanted, scores))
    return found if math.isfinite(found) else None
