"""What is true of the corpus `assistant` on average: its planted disparity, its users, its drift, and what a blind attack finds.

Every bound is set so that the right corpus fails about once in a million seeds; the seeds are fixed. Each claim is also
held against a wrong one, which must be rejected.
"""

import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from holdfast.data.assistant import AssistantSettings, clean_labels, generate
from holdfast.data.assistant.grammar import INTENTS
from holdfast.data.assistant.population import START

Z = 5.0  # standard errors
LARGE = AssistantSettings(train=60_000, validation=1000, test=60_000, seed=11, label_noise=0.05, label_noise_gap=0.1)


@pytest.fixture(scope="module")
def large():
    return generate(LARGE)


@pytest.fixture(scope="module")
def clean():
    return clean_labels(LARGE)


def rare_words() -> set[str]:
    """The words that stand in rare wordings and are said nowhere else."""
    written = " ".join(re.sub(r"\{\w+\}", " ", line) for intent in INTENTS.values() for line in intent.rare)
    common = generate(AssistantSettings(train=60_000, validation=1, test=1, seed=16, rare_wording=0.0, rare_wording_gap=0.0))
    return set(re.findall("[a-z]+", written)) - {word for tokens in common.train.tokens() for word in tokens}


def is_rate(hits: np.ndarray, rate: float) -> bool:
    return abs(hits.mean() - rate) < Z * np.sqrt(rate * (1 - rate) / len(hits))


class TestDisparity:
    @pytest.mark.parametrize("part", ["train", "test"])
    def test_the_oracle_is_as_accurate_in_each_group_as_the_truth_says(self, large, clean, part):
        data, truth = getattr(large, part), LARGE.truth()
        right = np.array(clean[part]) == np.array(data.labels())
        group = np.array(data.group("dialect"))
        for name, accuracy in truth.oracle_accuracy.items():
            assert is_rate(right[group == name], accuracy)
        majority, minority = truth.oracle_accuracy["avel"], truth.oracle_accuracy["brin"]
        assert not is_rate(right[group == "avel"], minority)
        assert not is_rate(right[group == "brin"], majority)

    def test_the_control_attribute_carries_nothing(self, large, clean):
        right = np.array(clean["test"]) == np.array(large.test.labels())
        device = np.array(large.test.group("device"))
        hearth, pocket = right[device == "hearth"], right[device == "pocket"]
        error = np.sqrt(right.var() * (1 / len(hearth) + 1 / len(pocket)))
        assert abs(hearth.mean() - pocket.mean()) < Z * error
        assert LARGE.truth().accuracy_difference > 10 * error  # the test could see the planted one

    def test_a_wrong_label_is_any_other_one_with_equal_chance(self, large, clean):
        names = list(INTENTS)
        pairs = [(names.index(intent), names.index(label)) for intent, label in zip(clean["train"], large.train.labels(), strict=True)]
        shift = np.array([(label - intent) % len(names) for intent, label in pairs if intent != label])
        counts = np.bincount(shift, minlength=len(names))
        assert counts[0] == 0
        assert stats.chisquare(counts[1:]).pvalue > 1e-6

    def test_noise_does_not_hang_on_the_intent(self, large, clean):
        wrong = np.array(clean["train"]) != np.array(large.train.labels())
        table = [
            [wrong[np.array(clean["train"]) == intent].sum(), (~wrong[np.array(clean["train"]) == intent]).sum()] for intent in INTENTS
        ]
        assert stats.chi2_contingency(table).pvalue > 1e-6

    def test_rare_wordings_come_at_their_rate(self):
        settings = AssistantSettings(train=60_000, validation=1, test=1, seed=12, rare_wording=0.1, rare_wording_gap=0.2)
        data, rates = generate(settings).train, settings.truth().rare_wording
        words = rare_words()
        rare = np.array([not words.isdisjoint(tokens) for tokens in data.tokens()])
        group = np.array(data.group("dialect"))
        assert is_rate(rare[group == "avel"], rates["avel"])
        assert is_rate(rare[group == "brin"], rates["brin"])
        assert not is_rate(rare[group == "brin"], rates["avel"])

    def test_slots_are_left_untagged_at_their_rate_in_every_group(self):
        sizes = {"train": 60_000, "validation": 1, "test": 1, "seed": 13, "rare_wording": 0.0, "rare_wording_gap": 0.0}
        full = generate(AssistantSettings(**sizes, slot_noise=0.0)).train
        noisy = generate(AssistantSettings(**sizes, slot_noise=0.1)).train
        assert noisy.tokens() == full.tokens()
        begun = [
            (was, now) for before, after in zip(full.tags(), noisy.tags(), strict=True) for was, now in zip(before, after, strict=True)
        ]
        lost = np.array([now == "O" for was, now in begun if was.startswith("B-")])
        assert is_rate(lost, 0.1)

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("share", [0.05, 0.3, 0.62])
    def test_the_minority_has_its_share_of_users_and_nearly_of_utterances(self, seed, share):
        data = generate(AssistantSettings(seed=seed, minority_share=share)).train
        users = dict(zip(data.user_ids(), data.group("dialect"), strict=True))
        assert np.mean([group == "brin" for group in users.values()]) == pytest.approx(share, abs=0.02)
        assert np.mean(np.array(data.group("dialect")) == "brin") == pytest.approx(share, abs=0.05)


class TestPeopleAndTime:
    def test_a_tenth_of_the_users_own_more_than_half(self):
        data = generate()
        count = sorted(Counter(data.train.user_ids()).values(), reverse=True)
        assert 560 <= len(count) <= 600
        assert 0.5 < sum(count[:60]) / 6000 < 0.75
        assert count[0] > 20 * np.median(count)

    def test_twelve_weeks_and_no_more(self, large):
        since = (large.train.timestamps() - START).astype(np.int64)
        weeks = np.bincount(since // (7 * 86_400), minlength=12)
        assert since.min() >= 0
        assert len(weeks) == 12
        assert stats.chisquare(weeks).pvalue > 1e-6

    def test_days_are_busier_than_nights(self, large):
        hours = (large.train.timestamps().astype(np.int64) // 3600) % 24
        assert (hours == 18).sum() > 5 * (hours == 3).sum()

    @pytest.mark.parametrize(("drift", "moves"), [(0.0, False), (1.0, True), (3.0, True)])
    def test_intents_drift_as_much_as_is_asked(self, drift, moves):
        settings = AssistantSettings(train=60_000, validation=1, test=1, seed=14, drift=drift)
        data = generate(settings).train
        late = data.timestamps() > START + np.timedelta64(6 * 7 * 86_400, "s")
        labels = np.array(data.labels())
        table = np.array([[(labels[late] == intent).sum(), (labels[~late] == intent).sum()] for intent in INTENTS])
        assert (stats.chi2_contingency(table).pvalue < 1e-6) == moves
        ratio = table[:, 0] / table[:, 1]
        trend = np.array([intent.trend for intent in INTENTS.values()])
        if moves:
            assert stats.spearmanr(trend, ratio).statistic > 0.9

    def test_more_drift_moves_more(self):
        def distance(drift):
            data = generate(AssistantSettings(train=60_000, validation=1, test=1, seed=15, drift=drift)).train
            late = data.timestamps() > START + np.timedelta64(6 * 7 * 86_400, "s")
            labels = np.array(data.labels())
            return sum(abs((labels[late] == intent).mean() - (labels[~late] == intent).mean()) for intent in INTENTS)

        assert distance(0.0) < distance(1.0) < distance(3.0)


def blind_auc(data) -> float:
    """How well text, label, user and time tell training from test utterances when no model is asked: one half is not at all."""
    count = len(data.test)
    members = [*data.train.take(np.arange(count)), *data.test]
    texts = [f"{e.text} label={e.label} user={e.user_id} week={e.timestamp.isocalendar().week}" for e in members]
    features = HashingVectorizer(n_features=2**14, ngram_range=(1, 2), token_pattern=r"\S+").transform(texts)
    truth = np.repeat([1, 0], count)
    guess = cross_val_predict(LogisticRegression(max_iter=300), features, truth, cv=5, method="decision_function")
    return float(roc_auc_score(truth, guess))


class TestExchangeable:
    def test_a_blind_attack_finds_nothing(self):
        error = np.sqrt(2 * 3000 / (12 * 3000 * 3000))  # of an AUC at one half, n = m = 3000
        assert abs(blind_auc(generate(AssistantSettings(train=3000, validation=500, test=3000))) - 0.5) < Z * error

    def test_it_would_find_a_split_by_time(self):
        assert blind_auc(generate(AssistantSettings(train=3000, validation=500, test=3000, split="time"))) > 0.9

    def test_lengths_labels_and_groups_are_alike_in_training_and_test(self, large):
        for values in ("labels", "lengths", "users"):
            found = [_values(part, values) for part in (large.train, large.test)]
            keys = sorted(set(found[0]) | set(found[1]))
            table = np.array([[part[key] for key in keys] for part in found])
            assert stats.chi2_contingency(table[:, table.sum(axis=0) >= 20]).pvalue > 1e-6, values


def _values(part, what: str) -> Counter:
    return Counter({"labels": part.labels, "lengths": lambda: map(len, part.tokens()), "users": part.user_ids}[what]())


class TestDifficulty:
    def test_it_can_be_learned_but_not_fully(self):
        settings = AssistantSettings(seed=3)
        data = generate(settings)
        vectors = HashingVectorizer(n_features=2**14, ngram_range=(1, 2), token_pattern=r"\S+")
        model = LogisticRegression(max_iter=500, C=20).fit(vectors.transform([e.text for e in data.train]), data.train.labels())
        accuracy = model.score(vectors.transform([e.text for e in data.test]), data.test.labels())
        assert 0.90 < accuracy < 0.98
        expected = np.dot([0.7, 0.3], list(settings.truth().oracle_accuracy.values()))
        assert accuracy < expected + Z * np.sqrt(expected * (1 - expected) / 1500)

    def test_most_test_utterances_are_new_and_hold_words_that_training_never_saw(self):
        data = generate()
        seen = {tuple(tokens) for tokens in data.train.tokens()}
        words = {word for tokens in seen for word in tokens}
        test = data.test.tokens()
        assert np.mean([tuple(tokens) in seen for tokens in test]) < 0.1
        assert np.mean([not words.issuperset(tokens) for tokens in test]) > 0.1


@pytest.mark.slow
def test_a_million_utterances_are_made_in_under_a_minute_and_do_not_live_as_objects():
    script = """
import resource, time
from holdfast.data import load_data
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
data = load_data("assistant:train=1000000,validation=1000,test=1000", seed=1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(len(data.train), time.process_time() - start, peak / 1024, data.train.table.nbytes / 2**20)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    count, seconds, peak, kept = map(float, told)
    assert count == 1_000_000
    assert seconds < 60
    assert peak < 1024  # MiB while it is made
    assert kept < 160  # MiB for about 8 million tokens and tags; as Python objects it would be gigabytes
