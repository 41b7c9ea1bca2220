"""A scorer from what a study file says: a built-in list, a file of words, or the folder of a trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from holdfast.core.errors import InputError
from holdfast.fairness.generation.scorers.corpora import comments_scorer, hatexplain_scorer
from holdfast.fairness.generation.scorers.lexicon import HurtWords, LexiconScorer
from holdfast.fairness.generation.scorers.regard import RegardRule
from holdfast.fairness.generation.scorers.scorer import Scorer, pinned
from holdfast.fairness.generation.scorers.trained import SETTINGS, TrainedScorer

Purpose = Literal["sentiment", "toxicity", "regard", "hurt"]
BUILT_IN = "built-in"
TRAINERS = {"hatexplain": hatexplain_scorer, "comments": comments_scorer}
"""What trains a scorer of toxicity, by the word before the colon."""


def open_scorer(given: Scorer | str | Path, *, purpose: Purpose, sha256: str | None = None) -> Scorer:
    """Opens a scorer and holds it to its pin.

    Args:
        given: A scorer; or "built-in"; or the path of a file of words, or of a folder that `TrainedScorer.save` wrote; or, for toxicity,
            "hatexplain:FOLDER" or "comments:FILE" to train one there and then.
        purpose: What it is to rate; settles what "built-in" means and how a file of words is read.
        sha256: The content that it must have; None to pin nothing.

    Raises:
        InputError: For a path that holds neither, or a content that is not the pinned one.
    """
    if not isinstance(given, str | Path):
        return pinned(given, sha256)
    kind, mark, place = str(given).partition(":")
    if purpose == "toxicity" and mark and kind in TRAINERS:
        return pinned(TRAINERS[kind](Path(place)), sha256)
    return pinned(_built_in(purpose) if given == BUILT_IN else _read(Path(given), purpose), sha256)


def _built_in(purpose: Purpose) -> Scorer:
    if purpose == "regard":
        return RegardRule()
    return HurtWords.built_in() if purpose == "hurt" else LexiconScorer.built_in(purpose)


def _read(path: Path, purpose: Purpose) -> Scorer:
    if path.is_dir():
        if not (path / SETTINGS).is_file():
            raise InputError(f"scorer {str(path)!r}: a folder without {SETTINGS}; give one that TrainedScorer.save wrote")
        if purpose in ("regard", "hurt"):
            raise InputError(f"scorer {str(path)!r}: it gives one number a text, which does not tell {purpose}; give a list of words")
        return TrainedScorer.load(path)
    if purpose == "hurt":
        return HurtWords.read(path)
    lexicon = LexiconScorer.read(path, combine="any" if purpose == "toxicity" else "signed sum")
    return RegardRule(values=dict(lexicon.values), name=lexicon.name) if purpose == "regard" else lexicon
