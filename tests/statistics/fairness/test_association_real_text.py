"""All published tests of sentences and contexts, on real lists, real vectors and a real novel, with a plain encoder."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from holdfast.fairness.association import CEAT, SEAT, WEAT, WordVectors, encoded_words, read_word_vectors
from holdfast.fairness.inference import Inference

pytestmark = pytest.mark.shared

SETTINGS = Inference(replicates=200, permutations=2000)


class MeanOfWords:
    """The mean of word vectors; a word in a sentence is drawn half-way to its mean."""

    name = "mean of words"

    def __init__(self, vectors: WordVectors):
        self.vectors = vectors

    def word(self, word: str) -> np.ndarray:
        found = self.vectors.find(word)
        return self.vectors.vectors([found])[0] if found else np.full(self.vectors.matrix.shape[1], 1e-3)

    def encode(self, texts: Sequence[str], *, pooling: str) -> np.ndarray:
        return np.array([np.mean([self.word(word) for word in re.findall(r"[\w'-]+", text)], axis=0) for text in texts])

    def encode_within(self, texts: Sequence[str], spans: Sequence[tuple[int, int]], *, pooling: str) -> np.ndarray:
        own = np.array([self.word(text[start:end]) for text, (start, end) in zip(texts, spans, strict=True)])
        return own + 0.5 * self.encode(texts, pooling=pooling)


@pytest.fixture(scope="module")
def encoder(shared_data: Path) -> MeanOfWords:
    return MeanOfWords(read_word_vectors(shared_data / "glove_twitter_25d_12k" / "glove_twitter_25d_12k.txt.gz"))


def test_all_fourteen_tests_of_ceat_have_a_row(shared_data: Path, encoder: MeanOfWords):
    lists, novel = shared_data / "weat_seat_ceat" / "ceat_word_lists.json", shared_data / "gutenberg_novels" / "cbronte_jane_1847.txt.gz"
    metric = CEAT(stimuli=lists, text=novel, samples=200, most_contexts=50, most_missing=0.7)
    evidence = metric.measure(encoder, subject="run", inference=SETTINGS)
    rows = [estimate for estimate in evidence.estimates if estimate.name == "ceat_effect_size"]
    assert [row.conditions["of"][:2] for row in rows] == [*(f"C{n}" for n in range(1, 10)), "C1", "I1", "I2", "I3", "I4"]
    made = {row.conditions["of"] for row in rows if row.value is not None}
    assert made == {"C6", "C9"}
    # the novel knows few of the names and of the flowers
    assert all("are missing" in row.missing for row in rows if row.value is None)
    assert evidence.estimate("ceat_effect_size", conditions={"of": "C6"}).value > 0.5
    published = [estimate for estimate in evidence.estimates if estimate.name == "ceat_published_p"]
    assert len(published) == len(made)
    assert any("missing" in note for note in evidence.notes)


def test_all_ten_tests_of_weat_become_sentences(shared_data: Path, encoder: MeanOfWords):
    metric = SEAT(stimuli=shared_data / "weat_seat_ceat" / "wefe_WEAT.json")
    evidence = metric.measure(encoder, subject="run", inference=SETTINGS)
    rows = [estimate for estimate in evidence.estimates if estimate.name == "seat_effect_size"]
    assert len(rows) == 10
    assert all(row.interval.low < row.value < row.interval.high for row in rows)
    names = evidence.estimate("seat_effect_size", conditions={"of": "WEAT6"})
    assert names.conditions["target_sentences"] == 16 * 8
    assert names.value > 0.5
    assert names.conditions["p_adjusted"] >= names.conditions["p_value"]


def test_a_model_may_stand_in_for_word_vectors(shared_data: Path, encoder: MeanOfWords):
    metric = WEAT(stimuli=shared_data / "weat_seat_ceat" / "wefe_WEAT.json", tests=["WEAT6", "WEAT7"])
    direct = metric.measure(encoder.vectors, subject="run", inference=SETTINGS)
    known = [word for word in sorted(metric.words()) if word in encoder.vectors]
    assert len(known) < len(metric.words())
    through = metric.measure(encoded_words(encoder, known, pooling="mean"), subject="run", inference=SETTINGS)
    for one, other in zip(direct.estimates, through.estimates, strict=True):
        assert other.value == pytest.approx(one.value)
        assert other.conditions["vectors"] == "mean of words, mean pooling"
        assert other.conditions["vectors_sha256"] == "no file"
