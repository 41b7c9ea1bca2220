"""Scorers of toxicity trained on published sets of labelled text, which lie with the user and never with the library."""

from __future__ import annotations

from pathlib import Path

from holdfast.data.benchmarks import read_hatexplain, read_toxicity
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example
from holdfast.fairness.generation.scorers.trained import TrainedScorer, TrainingSettings


def hatexplain_scorer(folder: Path | str, *, settings: TrainingSettings | None = None) -> TrainedScorer:
    """Trains on the posts of HateXplain, of which about 6 in 10 are hateful or offensive; its AUC is that of the official test posts.

    *Edge cases*: posts of social media in small letters. On other text, such as Wikipedia, the threshold of .5 means little: most
    sentences there are called toxic. Set the threshold by what people wrote.
    """
    parts = {name: Dataset.from_table(table, name="hatexplain", split=name) for name, table in read_hatexplain(folder).items()}
    return TrainedScorer.train(parts["train"], positive=("hatespeech", "offensive"), validation=parts["test"], settings=settings)


def comments_scorer(path: Path | str, *, settings: TrainingSettings | None = None) -> TrainedScorer:
    """Trains on labelled comments of Wikipedia talk pages (``toxicity_nonfuzzed_testset.csv``); its AUC is that of held-out comments."""
    rows = [
        Example(tokens=tuple(comment.text.split()) or (".",), label="toxic" if comment.toxic else "not toxic")
        for comment in read_toxicity(path)
    ]
    return TrainedScorer.train(Dataset.from_examples(rows, name="talk page comments", split="all"), positive=("toxic",), settings=settings)
