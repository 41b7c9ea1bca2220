"""The embedded corpus: settings, determinism, form, canaries. What is true of it on average stands in tests/statistics."""

import re
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data import Example
from holdfast.data.assistant import AssistantSettings, clean_labels, generate
from holdfast.data.assistant.grammar import INTENTS, SLOTS
from holdfast.data.assistant.lexicon import LISTED

SMALL = AssistantSettings(train=400, validation=60, test=80, users=50, seed=5)
DEFAULT_HASH = "97b55ccbfbd07657195607992f2aa90f20c5bbfdc29914f1d92ae9c5ef81ba3d"


@pytest.fixture(scope="module")
def corpus():
    return generate()


def spans(data):
    """Slot and words of every tagged span."""
    for tokens, tags in zip(data.tokens(), data.tags(), strict=True):
        span: list[str] = []
        slot = ""
        for token, tag in [*zip(tokens, tags, strict=True), ("", "O")]:
            if span and not tag.startswith("I-"):
                yield slot, span
                span = []
            if tag != "O":
                slot, span = tag[2:], [*span, token]


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("trian=5", "no setting 'trian'; did you mean 'train'"),
            ("train=many", "train='many'; give an integer"),
            ("train", "train=''; give an integer"),
            ("drift=x", "drift='x'; give a number"),
            ("train=0", "train is 0; give an integer >= 1"),
            ("users=9", "users is 9; give an integer >= 10"),
            ("seed=-1", "seed is -1"),
            ("drift=-1", "drift is -1.0; give a finite number >= 0"),
            ("drift=inf", "drift is inf"),
            ("drift=nan", "drift is nan"),
            ("split=tmie", "did you mean 'time'"),
            ("minority_share=0", r"minority_share is 0\.0; give a share"),
            ("label_noise=0.9,label_noise_gap=0.2", "label_noise for 'brin' is 1.1"),
            ("rare_wording=-0.1", "rare_wording for 'avel' is -0.1"),
            ("slot_noise=2", r"slot_noise is 2\.0"),
        ],
    )
    def test_what_is_wrong_is_named_with_value_and_bound(self, text, why):
        with pytest.raises(InputError, match=why):
            AssistantSettings.parse(text)

    @pytest.mark.parametrize("train", [True, 1.5, "6"])
    def test_sizes_are_integers(self, train):
        with pytest.raises(InputError, match="give an integer"):
            AssistantSettings(train=train)

    def test_text_is_read_with_blanks_and_defaults(self):
        assert AssistantSettings.parse("") == AssistantSettings()
        assert AssistantSettings.parse(" train = 7, drift=0.5,split=time ", seed=3) == AssistantSettings(
            train=7, drift=0.5, split="time", seed=3
        )

    def test_the_truth_follows_from_the_settings(self):
        truth = AssistantSettings(label_noise=0.1, label_noise_gap=0.2).truth()
        assert truth.label_noise == {"avel": 0.1, "brin": 0.3}
        assert truth.oracle_accuracy == pytest.approx({"avel": 0.9, "brin": 0.7})
        assert truth.accuracy_difference == pytest.approx(0.2)
        assert truth.accuracy_ratio == pytest.approx(7 / 9)

    def test_without_a_gap_there_is_no_disparity(self):
        truth = AssistantSettings(label_noise=0.1, label_noise_gap=0).truth()
        assert (truth.accuracy_difference, truth.accuracy_ratio) == (0, 1)

    def test_the_gap_may_favour_the_minority(self):
        truth = AssistantSettings(label_noise=0.1, label_noise_gap=-0.1).truth()
        assert truth.oracle_accuracy == {"avel": 0.9, "brin": 1.0}
        assert truth.accuracy_difference == pytest.approx(0.1)

    def test_all_wrong_everywhere_is_no_disparity_either(self):
        assert AssistantSettings(label_noise=1, label_noise_gap=0).truth().accuracy_ratio == 1


class TestDeterminism:
    def test_the_default_corpus_never_changes(self, corpus):
        assert corpus.content_hash == DEFAULT_HASH  # a change here changes every published figure: say so in CHANGELOG

    def test_the_same_seed_gives_the_same_corpus_in_another_process(self):
        script = (
            "from holdfast.data.assistant import AssistantSettings, generate\n"
            "print(generate(AssistantSettings(train=400, validation=60, test=80, users=50, seed=5)).content_hash)"
        )
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
        assert told == generate(SMALL).content_hash

    def test_another_seed_gives_other_utterances_of_one_language(self, corpus):
        other = generate(AssistantSettings(seed=1))
        assert other.content_hash != corpus.content_hash
        assert set(other.train.labels()) == set(corpus.train.labels())
        assert set(zip(other.train.user_ids(), map(tuple, other.train.tokens()), strict=True)).isdisjoint(
            (user, tuple(tokens)) for user, tokens in zip(corpus.train.user_ids(), corpus.train.tokens(), strict=True) if len(tokens) > 8
        )

    @pytest.mark.parametrize("change", [{"label_noise": 0.5}, {"drift": 0.0}, {"slot_noise": 0.3}, {"users": 60}])
    def test_every_setting_matters(self, change):
        settings = AssistantSettings(train=400, validation=60, test=80, **{"users": 50, "seed": 5} | change)
        assert generate(settings).content_hash != generate(SMALL).content_hash

    def test_label_noise_changes_labels_and_nothing_else(self):
        noisy = generate(AssistantSettings(train=400, validation=60, test=80, users=50, seed=5, label_noise=0.5)).train
        assert noisy.tokens() == generate(SMALL).train.tokens()
        assert noisy.labels() != generate(SMALL).train.labels()


class TestForm:
    def test_sizes_columns_and_names(self, corpus):
        assert [len(part) for part in corpus.parts] == [6000, 1000, 1500]
        assert [part.split for part in corpus.parts] == ["train", "validation", "test"]
        assert corpus.name == "assistant"
        for part in corpus.parts:
            assert part.table.column_names == ["tokens", "label", "tags", "user_id", "timestamp", "group:device", "group:dialect"]

    def test_every_intent_and_slot_is_there(self, corpus):
        assert set(corpus.train.labels()) == set(INTENTS)
        assert {slot for slot, _ in spans(corpus.train)} == set(SLOTS)

    def test_parts_know_no_label_or_tag_that_training_lacks(self, corpus):
        for part in corpus.parts[1:]:
            assert set(part.labels()) <= set(corpus.train.labels())
            assert {tag for tags in part.tags() for tag in tags} <= {tag for tags in corpus.train.tags() for tag in tags}

    def test_tags_are_valid_bio(self, corpus):
        for tags in corpus.train.tags():
            for before, tag in zip(["O", *tags], tags, strict=False):
                assert not tag.startswith("I-") or before[2:] == tag[2:]

    def test_users_keep_their_groups(self, corpus):
        for attribute, values in (("dialect", {"avel", "brin"}), ("device", {"hearth", "pocket"})):
            groups = defaultdict(set)
            for part in corpus.parts:
                for user, value in zip(part.user_ids(), part.group(attribute), strict=True):
                    groups[user].add(value)
            assert all(len(found) == 1 for found in groups.values())
            assert set.union(*groups.values()) == values

    def test_user_ids_do_not_tell_the_activity(self, corpus):
        count = Counter(corpus.train.user_ids())
        number = {user: int(user.removeprefix("user-")) for user in count}
        ranks = [number[user] for user, _ in count.most_common(60)]
        assert abs(np.mean(ranks) - 299.5) < 5 * 173 / np.sqrt(60)  # 173 = 600 / sqrt(12)

    def test_a_split_by_time_puts_the_test_last(self):
        data = generate(AssistantSettings(train=400, validation=60, test=80, users=50, split="time"))
        assert [len(part) for part in data.parts] == [400, 60, 80]
        assert data.train.timestamps().max() <= data.validation.timestamps().min()
        assert data.validation.timestamps().max() <= data.test.timestamps().min()

    def test_the_smallest_corpus_there_can_be(self):
        assert [len(part) for part in generate(AssistantSettings(train=1, validation=1, test=1, users=10)).parts] == [1, 1, 1]

    def test_ids_of_many_users_have_one_width(self):
        ids = generate(AssistantSettings(train=20_000, validation=1, test=1, users=12_000)).train.user_ids()
        assert {len(user) for user in ids} == {len("user-00000")}


class TestPrivateLookingEntities:
    DIGITS = dict(zip(LISTED["DIGIT"].split(), "0123456789", strict=True)) | {"oh": "0"}

    def test_every_phone_number_is_one_kept_for_fiction(self, corpus):
        forms = Counter()
        for slot, words in spans(corpus.train):
            if slot == "phone":
                digits = "".join(self.DIGITS.get(word, word) for word in words).replace("-", "")
                assert re.fullmatch(r"([2-7]\d\d)?55501\d\d", digits), words
                forms["spelt" if words[0] in self.DIGITS else "written"] += 1
        assert forms["spelt"] > 30
        assert forms["written"] > 100

    def test_no_other_token_is_long_enough_to_be_a_phone_number(self, corpus):
        for tokens in corpus.train.tokens():
            for token in tokens:
                if sum(letter.isdigit() for letter in token) > 4:
                    assert re.fullmatch(r"([2-7]\d\d-)?555-01\d\d", token)

    def test_pins_are_four_digits_spelt_or_written(self, corpus):
        forms = Counter()
        for slot, words in spans(corpus.train):
            if slot == "pin":
                assert re.fullmatch(r"\d{4}", "".join(self.DIGITS.get(word, word) for word in words))
                forms[len(words)] += 1
        assert set(forms) == {1, 4}
        assert min(forms.values()) > 100

    @pytest.mark.parametrize("slot", ["contact", "phone", "address", "pin"])
    def test_what_a_person_owns_is_said_by_that_person_again(self, slot):
        data = generate(AssistantSettings(train=20_000, validation=1, test=1, users=10, slot_noise=0.0)).train
        said = defaultdict(Counter)
        for user in sorted(set(data.user_ids())):
            said[user].update(" ".join(words) for name, words in spans(data.for_user(user)) if name == slot)
        favourites = [{value for value, count in said[user].items() if count >= 5} for user in said]
        assert all(favourites)
        if slot in ("address", "pin"):  # names are few enough to be shared by chance
            assert len(set.union(*favourites)) > 0.9 * sum(map(len, favourites))


class TestOracle:
    def test_clean_labels_are_in_the_order_of_the_corpus(self):
        settings = AssistantSettings(train=400, validation=60, test=80, users=50, label_noise=0, label_noise_gap=0)
        for split in ("random", "time"):
            exact = AssistantSettings(**{**vars(settings), "split": split})
            clean = clean_labels(exact)
            for part in generate(exact).parts:
                assert part.labels() == clean[part.split]

    def test_noise_of_one_leaves_no_label_clean(self):
        settings = AssistantSettings(train=400, validation=60, test=80, users=50, label_noise=1, label_noise_gap=0)
        clean = clean_labels(settings)["train"]
        assert all(label != intent for label, intent in zip(generate(settings).train.labels(), clean, strict=True))


class TestCanaries:
    CANARY = Example(
        tokens=("my", "code", "is", "seven", "seven"),
        label="enter_pin",
        tags=("O", "O", "O", "B-pin", "I-pin"),
        user_id="user-0001",
        timestamp=next(iter(generate(SMALL).train)).timestamp,
        groups={"dialect": "avel", "device": "hearth"},
    )

    def test_they_stand_in_training_only_and_the_rest_is_as_without_them(self):
        planted, plain = generate(SMALL, canaries=[self.CANARY], copies=7), generate(SMALL)
        assert Counter(planted.train)[self.CANARY] == 7
        assert [example for example in planted.train if example != self.CANARY] == list(plain.train)
        assert planted.validation.content_hash == plain.validation.content_hash
        assert planted.test.content_hash == plain.test.content_hash

    def test_one_that_lacks_an_attribute_is_refused(self):
        with pytest.raises(DataError, match="give them the same attributes"):
            generate(SMALL, canaries=[Example(tokens=("a",), label="enter_pin")])
