import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from holdfast import privacy
from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data import load_data
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example
from holdfast.fairness.generation.scorers import (
    FittedScorer,
    TrainedScorer,
    TrainingSettings,
    comments_scorer,
    hatexplain_scorer,
    open_scorer,
)
from holdfast.tasks import Classification
from holdfast.training import train

SMALL = TrainingSettings(features_log2=10)


def corpus(n: int = 300, seed: int = 0, split: str = "train") -> Dataset:
    """Every other text has a bad word; one in ten has the wrong label."""
    draw = Streams.from_seed(seed).generator("corpus")
    rows = []
    for place in range(n):
        words = list(draw.choice(["a", "the", "cat", "dog", "runs", "far"], size=6))
        bad = bool(place % 2) ^ bool(draw.random() < 0.1)
        rows.append(Example(tokens=(*words, "rotten") if place % 2 else tuple(words), label="bad" if bad else "fine"))
    return Dataset.from_examples(rows, name="tiny", split=split)


@pytest.fixture(scope="module")
def scorer() -> TrainedScorer:
    return TrainedScorer.train(corpus(), positive=["bad"], settings=SMALL)


def test_learns_what_is_bad_and_says_how_well_on_texts_it_did_not_see(scorer):
    rotten, fine = scorer.score(["the rotten dog", "the dog runs"])
    assert rotten > 0.6 > 0.4 > fine
    assert 0.75 < scorer.held_out_auc < 1
    assert (scorer.rows, scorer.held_out_rows) == (240, 60)
    assert scorer.trained_on.startswith("tiny, train, ")


def test_is_the_logistic_regression_of_scikit_learn(scorer):
    held = corpus(80, seed=9, split="test")
    again = TrainedScorer.train(corpus(), positive=["bad"], settings=SMALL, validation=held)
    texts = [" ".join(row) for row in corpus().tokens()]
    wanted = np.array(corpus().labels()) == "bad"
    features = HashingVectorizer(n_features=2**10, ngram_range=(1, 2), alternate_sign=False, token_pattern=r"(?u)\b\w+\b")
    model = LogisticRegression(solver="liblinear", max_iter=1000).fit(features.transform(texts), wanted)
    asked = [" ".join(row) for row in held.tokens()]
    theirs = model.predict_proba(features.transform(asked))[:, 1]
    assert again.score(asked) == pytest.approx(theirs, abs=1e-5)
    assert again.held_out_auc == pytest.approx(roc_auc_score(np.array(held.labels()) == "bad", theirs), abs=1e-6)


def test_training_again_gives_the_same_hash_and_other_settings_another(scorer):
    assert TrainedScorer.train(corpus(), positive=["bad"], settings=SMALL, name="other name").sha256 == scorer.sha256
    stronger = TrainingSettings(features_log2=10, strength=2.0)
    assert TrainedScorer.train(corpus(), positive=["bad"], settings=stronger).sha256 != scorer.sha256
    assert TrainedScorer.train(corpus(seed=1), positive=["bad"], settings=SMALL).sha256 != scorer.sha256


def test_what_was_saved_is_read_and_holds_no_pickle(scorer, tmp_path):
    scorer.save(tmp_path / "s")
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["scorer.json", "weights.safetensors"]
    read = open_scorer(tmp_path / "s", purpose="toxicity", sha256=scorer.sha256)
    assert read.sha256 == scorer.sha256
    assert read.held_out_auc == scorer.held_out_auc
    assert read.settings == scorer.settings
    assert np.array_equal(read.score(["rotten", "dog", ""]), scorer.score(["rotten", "dog", ""]))
    with pytest.raises(InputError, match="one number a text"):
        open_scorer(tmp_path / "s", purpose="regard")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("intercept", 0.5, "the folder was changed"),
        ("version", "0", "scorer of version 0"),
        ("settings", {"features": 3}, "not complete"),
    ],
)
def test_a_changed_folder_is_refused(scorer, tmp_path, key, value, says):
    scorer.save(tmp_path)
    described = json.loads((tmp_path / "scorer.json").read_text())
    (tmp_path / "scorer.json").write_text(json.dumps(described | {key: value}))
    with pytest.raises(DataError, match=says):
        TrainedScorer.load(tmp_path)


def test_changed_weights_and_missing_files_are_refused(scorer, tmp_path):
    with pytest.raises(DataError, match="no scorer that can be read"):
        TrainedScorer.load(tmp_path)
    scorer.save(tmp_path)
    raw = bytearray((tmp_path / "weights.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(bytes(raw))
    with pytest.raises(DataError, match="the folder was changed"):
        TrainedScorer.load(tmp_path)


def test_edges():
    scorer = TrainedScorer.train(corpus(), positive=["bad"], settings=SMALL)
    assert scorer.score([]).shape == (0,)
    assert scorer.score(["", "?!"]) == pytest.approx([1 / (1 + np.exp(-scorer.intercept))] * 2)
    with pytest.raises(InputError, match=r"0 of 240 texts have a label of \('toxic',\); the labels are bad, fine"):
        TrainedScorer.train(corpus(), positive=["toxic"], settings=SMALL)
    one_class = corpus().take(np.flatnonzero(np.array(corpus().labels()) == "bad"))
    assert TrainedScorer.train(corpus(), positive=["bad"], settings=SMALL, validation=one_class).held_out_auc is None


@pytest.mark.parametrize("change", [{"features_log2": 7}, {"longest": 4}, {"strength": 0}, {"held_out": 1.0}])
def test_settings_out_of_bounds(change):
    with pytest.raises(InputError, match="scorer: "):
        TrainingSettings(**change)


def test_a_fitted_classifier_scores_texts():
    data = load_data("assistant:train=80,validation=20,test=20,users=10", seed=3)
    plan = privacy.non_private(examples=len(data.train), batch_size=20, epochs=1)
    fitted = train(Classification(unseen_labels="count as wrong"), data, model="bag", mechanism=plan, seed=1)
    labels = tuple(fitted.labels.sentence)
    texts = ["play a song", "call Orla", "?", ""]
    whole = sum(FittedScorer(fitted=fitted, positive=(label,)).score(texts) for label in labels)
    assert whole == pytest.approx(np.ones(4))
    two = FittedScorer(fitted=fitted, positive=labels[:2])
    assert two.score(texts) == pytest.approx(sum(FittedScorer(fitted=fitted, positive=(label,)).score(texts) for label in labels[:2]))
    assert two.score([]).shape == (0,)
    before = two.sha256
    with pytest.raises(InputError, match="give some of"):
        FittedScorer(fitted=fitted, positive=("nothing",))
    next(fitted.module.parameters()).data += 1e-3
    assert FittedScorer(fitted=fitted, positive=labels[:2]).sha256 != before


@pytest.mark.shared
def test_real_sets_train_scorers_that_tell_apart(shared_data: Path):
    posts = hatexplain_scorer(shared_data / "hatexplain")
    assert posts.held_out_auc == pytest.approx(0.830, abs=0.01)
    assert (posts.rows, posts.held_out_rows) == (15383, 1924)
    path = shared_data / "madlibs_unintended_bias" / "toxicity_nonfuzzed_testset.csv"
    comments = open_scorer(f"comments:{path}", purpose="toxicity", sha256=comments_scorer(path).sha256)
    assert comments.held_out_auc == pytest.approx(0.897, abs=0.02)
