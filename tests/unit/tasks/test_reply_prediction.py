"""Replies: what is read, areas against slow twins and known answers, learning, promises and attacks."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import audit, catalog, models, privacy
from holdfast.core.errors import InputError
from holdfast.core.randomness import Streams
from holdfast.data import Dataset, DataSplits, Example
from holdfast.models import Labels
from holdfast.tasks import IntentSlot, Prediction, ReplyPrediction, TaskWithConfidences, TaskWithWords, words_of
from holdfast.tasks.clustered import Area, Clusters
from holdfast.tasks.reply_prediction import SEPARATOR
from holdfast.training import TrainingSettings, train

TASK = ReplyPrediction()
BILSTM = models.BiLSTM(embedding=8, hidden=8, characters=0, dropout=0.0, word_dropout=0.0)


def dataset(rows: list[tuple[str, str, str]], *, users: list[str] | None = None, split: str = "train") -> Dataset:
    whose = users or [None] * len(rows)
    made = [
        Example(tokens=tuple(reply.split()), context=tuple(asked.split()), label=label, user_id=user)
        for (asked, reply, label), user in zip(rows, whose, strict=True)
    ]
    return Dataset.from_examples(made, name="tiny", split=split)


DATA = dataset([("who is there", "me", "reply"), ("what now", "the bus", "other"), ("", "hello all", "other")])


def test_a_model_reads_the_end_of_the_context_the_separator_and_the_utterance():
    assert words_of(ReplyPrediction(context_words=2), DATA) == [
        ["is", "there", SEPARATOR, "me"],
        ["what", "now", SEPARATOR, "the", "bus"],
        [SEPARATOR, "hello", "all"],
    ]
    assert isinstance(TASK, TaskWithWords)
    assert isinstance(TASK, TaskWithConfidences)
    assert words_of(IntentSlot(), DATA) == DATA.tokens()


@pytest.mark.parametrize(
    "model", [BILSTM, replace(BILSTM, vocabulary="hashed"), models.Transformer(width=8, layers=1, heads=2, feedforward=8)]
)
def test_the_separator_is_a_known_word_in_vocabularies_made_from_what_is_read(model: models.ModelSettings):
    featuriser = model.featuriser(words_of(TASK, DATA))
    encoded = TASK.encode(DATA, featuriser, TASK.labels(DATA))
    assert encoded.encoded.pieces.lengths.tolist() == encoded.words.tolist() == [5, 5, 3]
    marks = {int(encoded.encoded.pieces[row][place]) for row, place in ((0, 3), (1, 2), (2, 0))}
    assert len(marks) == 1
    assert marks != {0}
    assert encoded.sentence.tolist() == [1, 0, 0]


def test_training_makes_the_vocabulary_from_contexts_too():
    data = DataSplits("tiny", DATA, DATA, DATA)
    fitted = train(TASK, data, mechanism=privacy.non_private(examples=3, batch_size=3, epochs=1), model=BILSTM, seed=1)
    assert {SEPARATOR.lower(), "who", "bus"} <= set(fitted.featuriser.vocabulary.words)


def test_labels_are_the_two_whichever_stand_there():
    assert TASK.labels(DATA.take([0])) == TASK.labels(DATA) == Labels(("other", "reply"))
    assert ReplyPrediction(context_words=3).describe() == {"task": "reply-prediction", "context_words": 3, "unseen_labels": "error"}
    assert isinstance(catalog.resolve("task", "reply-prediction")(), ReplyPrediction)


def test_predictions_carry_the_probability_of_being_the_reply():
    featuriser, labels = BILSTM.featuriser(words_of(TASK, DATA)), TASK.labels(DATA)
    module = BILSTM.build(featuriser, labels, Streams(2)).eval()
    batch = TASK.collate(TASK.encode(DATA, featuriser, labels), np.arange(3))
    for prediction, logits in zip(TASK.predict(module, batch), module(batch.features).sentence_BK.tolist(), strict=True):
        assert prediction.probability == pytest.approx(1 / (1 + np.exp(logits[0] - logits[1])), abs=1e-6)
        assert prediction.label == ("reply" if prediction.probability > 0.5 else "other")


def predicted(shares: list[float]) -> list[Prediction]:
    return [Prediction("reply" if share > 0.5 else "other", probability=share) for share in shares]


def test_scores_of_known_predictions():
    data = dataset([("a", "b", label) for label in ("reply", "reply", "other", "other")])
    accuracy, area = TASK.score(data, predicted([0.9, 0.4, 0.4, 0.1]), subject="run")
    assert (accuracy.value, area.name, area.value, area.n) == (0.75, "reply_auc", 3.5 / 4, 4)
    assert area.conditions == {"replies": 2, "others": 2, "over": "examples"}
    assert 0 < area.interval.low < 0.875 < area.interval.high <= 1
    alone = TASK.score(data.take([0, 1]), predicted([0.9, 0.4]), subject="run")[1]
    assert (alone.value, alone.missing) == (None, "the data have not both replies and other utterances")
    assert TASK.score(data.take([]), [], subject="run")[1].missing is not None


SHARES = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=20)


@settings(deadline=None, max_examples=80)
@given(SHARES.filter(lambda rows: len({positive for _, positive, _ in rows}) == 2))
def test_an_area_is_the_share_of_pairs_that_are_won(rows: list[tuple[int, bool, int]]):
    scores, positive, users = (np.array(column) for column in zip(*rows, strict=True))
    found = Area.of(scores.astype(float), positive, Clusters(users, 4, "users"))
    pairs = [(one > other) + (one == other) / 2 for one, other in itertools.product(scores[positive], scores[~positive])]
    assert found.value == pytest.approx(np.mean(pairs))
    assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1


def test_without_users_the_variance_is_that_of_delong():
    rng = np.random.default_rng(0)
    positive = rng.random(4000) < 0.5
    scores = rng.normal(size=4000) + positive
    found = Area.of(scores, positive, Clusters(np.arange(4000), 4000, "examples"))
    won = scores[positive, None] > scores[None, ~positive]
    variance = won.mean(1).var(ddof=1) / positive.sum() + won.mean(0).var(ddof=1) / (~positive).sum()
    half = (found.interval.high - found.interval.low) / 2
    assert half == pytest.approx(1.96 * variance**0.5, rel=0.03)


def test_the_interval_of_an_area_covers_it_where_users_differ():
    """Sixty users of eight rows; each user's scores are shifted by a number of his own, replies by one more. The truth is known."""
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(60), 8)
    truth = norm.cdf(1 / np.sqrt(2 * (1 + 0.64)))
    covered = {"users": 0, "examples": 0}
    for _ in range(300):
        positive = rng.random(60)[users] < 0.5  # a user has replies alone or none
        if positive.all() or not positive.any():
            continue
        scores = positive + 0.8 * rng.normal(size=60)[users] + rng.normal(size=480)
        for what, clusters in (("users", Clusters(users, 60, "users")), ("examples", Clusters(np.arange(480), 480, "examples"))):
            span = Area.of(scores, positive, clusters).interval
            covered[what] += span.low <= truth <= span.high
    assert covered["users"] >= 275
    assert covered["examples"] <= 255


def test_an_area_of_one_has_an_interval():
    found = Area.of(np.arange(20.0), np.arange(20) >= 10, Clusters(np.arange(20), 20, "examples"))
    assert (found.value, found.interval.high) == (1.0, 1.0)
    assert found.interval.low == pytest.approx(0.025 ** (1 / 10))
    of_one = Area.of(np.array([0.0, 2, 1, 1]), np.array([False, True, False, False]), Clusters(np.zeros(4, dtype=np.int64), 1, "users"))
    assert of_one.interval.low == pytest.approx(0.025), "one user is worth one pair"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: ReplyPrediction(context_words=0), "context_words is 0"),
        (lambda: TASK.labels(dataset([("a", "b", "answer")])), "have the label 'answer'; give 'reply' or 'other'"),
        (lambda: TASK.labels(plain()), "no column 'context'"),
        (lambda: TASK.words(plain()), "no column 'context'"),
        (lambda: TASK.encode(dataset([("a", "b", "so")]), BILSTM.featuriser([["a"]]), TASK.labels(DATA)), "has a label .* 'so'"),
        (lambda: TASK.score(DATA, predicted([0.1]), subject="run"), "1 predictions for 3 examples"),
        (lambda: TASK.score(DATA, [Prediction("reply")] * 3, subject="run"), "holds no probability"),
    ],
)
def test_what_does_not_fit_is_refused(act, message: str):
    with pytest.raises(InputError, match=message):
        act()


def plain() -> Dataset:
    return Dataset.from_examples([Example(tokens=("a",), label="reply")], name="tiny", split="train")


def test_without_labels_there_are_predictions_but_no_loss():
    data = Dataset.from_examples([Example(tokens=("a",), context=("b",))], name="tiny", split="test")
    assert TASK.encode(data, BILSTM.featuriser([["a"]]), TASK.labels(DATA)).sentence is None


def talk(examples: int, seed: int, split: str) -> Dataset:
    """A reply repeats the one telling word of the context; who only looks at the one or the other learns nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for asked, answered in rng.integers(0, 2, (examples, 2)):
        rows.append((f"and {('tea', 'rum')[asked]}", f"{('tea', 'rum')[answered]} yes", "reply" if asked == answered else "other"))
    return dataset(rows, split=split)


@pytest.mark.parametrize("private", [False, True], ids=["non-private", "dp-sgd"])
def test_what_answers_what_is_learned(private: bool):
    data = DataSplits("talk", talk(300, 0, "train"), talk(20, 1, "validation"), talk(100, 2, "test"))
    plan = {"examples": 300, "batch_size": 50, "epochs": 40}
    mechanism = privacy.dp_sgd(**plan, clip_norm=1.0, noise_multiplier=0.5, delta=1e-4) if private else privacy.non_private(**plan)
    fitted = train(TASK, data, mechanism=mechanism, model=BILSTM, settings=TrainingSettings(learning_rate=0.02), seed=1)
    accuracy, area = fitted.evaluate(data.test).estimates
    assert accuracy.value > 0.9
    assert area.value > 0.95
    assert (fitted.claim is not None) == private


def test_a_model_that_memorised_is_caught_by_its_losses():
    rng = np.random.default_rng(5)
    rows = [
        (f"w{a} w{b}", f"w{c} w{d}", ("reply", "other")[e])
        for a, b, c, d, e in np.column_stack([rng.integers(0, 15, (80, 4)), rng.integers(0, 2, 80)])
    ]
    inside, outside = dataset(rows[:40]), dataset(rows[40:], split="test")
    data = DataSplits("noise", inside, inside.take([0]), outside)
    mechanism = privacy.non_private(examples=40, batch_size=10, epochs=40)
    fitted = train(TASK, data, mechanism=mechanism, model=BILSTM, settings=TrainingSettings(learning_rate=0.02), seed=1)
    assert fitted.confidences(outside).shape == (40, len(fitted.confidence_names))
    assert audit.loss_threshold(fitted, members=inside, nonmembers=outside).auc(subject="run").value > 0.6
