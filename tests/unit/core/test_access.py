"""Access protocols and progress: duck types that a caller can check at run time."""

import numpy as np
import pytest

from holdfast.core.access import Confidences, Losses, Predictor
from holdfast.core.progress import Progress, silent


class OnlyLosses:
    def losses(self, data: object) -> np.ndarray:
        return np.zeros(len(data))


class OnlyPredictions:
    def predict(self, data: object) -> list[str]:
        return [""] * len(data)


class OnlyConfidences:
    confidence_names = ("loss",)

    def confidences(self, data: object) -> np.ndarray:
        return np.zeros((len(data), 1))


def test_an_object_offers_what_its_methods_say():
    assert isinstance(OnlyLosses(), Losses)
    assert not isinstance(OnlyLosses(), Predictor)
    assert isinstance(OnlyPredictions(), Predictor)
    assert not isinstance(OnlyPredictions(), Losses)
    assert isinstance(OnlyConfidences(), Confidences)
    assert not isinstance(OnlyConfidences(), Losses)
    assert not isinstance(OnlyLosses(), Confidences)


def test_silence_takes_any_report():
    assert silent(Progress(phase="train", done=1, total=2, note="loss .42")) is None


def test_progress_is_named_not_counted():
    with pytest.raises(TypeError):
        Progress("train", 1, 2)
