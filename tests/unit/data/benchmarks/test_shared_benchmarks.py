"""The published sets themselves: their sizes, their categories, and known answers that need nothing but a reader."""

import csv
import gzip
import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from holdfast.data import load_data
from holdfast.data.benchmarks import (
    read_bbq,
    read_bbq_predictions,
    read_bold,
    read_crows_pairs,
    read_professions,
    read_stereoset,
    read_stereoset_predictions,
    read_toxicity,
    read_weat,
    read_winobias,
    read_word_pairs,
    read_words,
)

pytestmark = pytest.mark.shared
STEREOSET = {"race": (962, 976), "profession": (810, 827), "gender": (255, 242), "religion": (79, 78)}
CHOICES = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")  # as the page of the data says


@pytest.fixture
def known(shared_data):
    return shared_data.parent / "known_answers"


def test_stereoset_has_its_published_sizes(shared_data):
    found = read_stereoset(shared_data / "stereoset")
    counts = Counter((one.bias_type, one.kind) for one in found)
    assert counts == {
        (name, kind): size
        for name, sizes in STEREOSET.items()
        for kind, size in zip(("intrasentence", "intersentence"), sizes, strict=True)
    }
    assert sum(one.context.count("BLANK") == 2 for one in found) == 2


def test_the_choices_of_stereoset_are_read_as_its_page_says(shared_data):
    """A slow twin: the regular expression of the page, on every row."""
    for name in ("intersentence", "intrasentence"):
        path = shared_data / "stereoset" / f"{name}_stereo_set.csv.gz"
        with gzip.open(path, "rt", newline="") as stream:
            rows = list(csv.DictReader(stream))
        pairs = [[(one or other).replace("\\'", "'") for one, other in CHOICES.findall(row["choices"])] for row in rows]
        assert [list(one.choices) for one in read_stereoset(path)] == pairs


def test_stereoset_of_gpt2_has_its_published_scores(known):
    items = read_stereoset(known / "stereoset_gpt2" / "race_gold.json.gz")
    scores = read_stereoset_predictions(known / "stereoset_gpt2" / "predictions_gpt2.json.gz")
    assert (len(items), len(scores)) == (962, 12_687)
    by_term = defaultdict(list)
    for one in items:
        stereotype, anti, unrelated = (scores[name] for name in one.identifiers)
        by_term[one.target].append((stereotype > anti, ((stereotype > unrelated) + (anti > unrelated)) / 2))
    prefers, sensible = np.mean([np.mean(rows, axis=0) for rows in by_term.values()], axis=0)
    assert (100 * sensible, 100 * prefers) == pytest.approx((89.756707, 60.350001), abs=1e-6)


def test_both_copies_of_stereoset_agree_on_what_stands_for_the_blank(shared_data, known):
    compact = {(one.context, tuple(map(str.lower, one.choices))) for one in read_stereoset(shared_data / "stereoset")}
    gold = read_stereoset(known / "stereoset_gpt2" / "race_gold.json.gz")
    assert all((one.context, tuple(map(str.lower, one.choices))) in compact for one in gold)


def test_crows_pairs_has_its_published_sizes(shared_data):
    found = read_crows_pairs(shared_data / "crows_pairs" / "crows_pairs_anonymized.csv.gz")
    assert Counter(one.direction for one in found) == {"stereo": 1290, "antistereo": 218}
    kinds = Counter(one.bias_type for one in found)
    assert (len(kinds), kinds["race-color"], kinds["gender"], kinds["disability"]) == (9, 516, 262, 60)


def test_bbq_has_its_published_sizes(shared_data):
    found = read_bbq(shared_data / "bbq")
    sizes = {"Disability_status": 1556, "Gender_identity": 5672, "Religion": 1200, "Sexual_orientation": 864}
    assert Counter(one.category for one in found) == sizes
    assert Counter(one.category for one in found if not one.scored) == {"Gender_identity": 8}  # a man and a boy, about women
    assert all(one.roles.count("unknown") == 1 and one.roles.count("target") <= 1 for one in found)
    ambiguous = [one for one in found if one.condition == "ambig"]
    assert len(ambiguous) == len(found) / 2
    assert all(one.roles[one.label] == "unknown" for one in ambiguous)
    assert not any(one.roles[one.label] == "unknown" for one in found if one.condition == "disambig")
    assert {one.is_name for one in found if one.category == "Religion"} == {False}


@pytest.mark.parametrize(
    ("category", "wording", "ambiguous", "clear"),
    [("Age", "arc", 48.9, 3.3), ("Age", "race", 29.8, 1.2), ("Religion", "arc", 24.5, 3.5), ("Religion", "race", 14.3, 0.2)],
)
def test_bbq_of_unifiedqa_has_its_published_scores(known, category, wording, ambiguous, clear):
    found = read_bbq_predictions(known / "bbq_unifiedqa" / f"preds_{category}.jsonl.gz")
    chosen = found.chosen(wording)
    assert sum(answer < 0 for answer in chosen) == (category, wording).count("Age") * (wording == "arc")

    def score(condition):
        rows = [(one, answer) for one, answer in zip(found.items, chosen, strict=True) if one.condition == condition]
        decided = [(one, answer) for one, answer in rows if answer >= 0 and one.roles[answer] != "unknown"]
        accuracy = np.mean([answer == one.label for one, answer in rows])
        return 2 * np.mean([answer == one.biased for one, answer in decided]) - 1, accuracy

    s_dis, _ = score("disambig")
    s_amb, accuracy = score("ambig")
    assert 100 * s_dis == pytest.approx(clear, abs=0.1)
    assert 100 * (1 - accuracy) * s_amb == pytest.approx(ambiguous, abs=0.1)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_winobias_has_its_published_sizes(shared_data, split):
    found = read_winobias(shared_data / "winobias", split)
    assert Counter((one.stereotyped, one.kind) for one in found) == {(way, kind): 396 for way in ("pro", "anti") for kind in (1, 2)}
    lists = {word.lower() for name in ("male", "female") for word in read_words(shared_data / "winobias" / f"{name}_occupations.txt")}
    assert len(lists) == 40
    assert {one.occupation.lower() for one in found} <= lists
    assert sum(one.other is None for one in found) == (2 if split == "dev" else 0)  # "reported her to the manager" names a third
    assert not any(mark in one.text for one in found for mark in "[]")
    assert all(one.other is None or one.other.lower() != one.occupation.lower() for one in found)


def test_bold_has_its_published_sizes(shared_data):
    found = read_bold(shared_data / "bold")
    sizes = {"gender": 3204, "race": 7657, "profession": 10_195, "religious_ideology": 639, "political_ideology": 1984}
    assert Counter(one.domain for one in found) == sizes
    assert len({(one.domain, one.group, one.name) for one in found}) == 7201
    assert all(one.continuation.startswith(one.text.rstrip()) for one in found)
    assert sum(not one.text for one in found) == 5


def test_all_layouts_of_word_sets_agree(shared_data, known):
    glove = read_weat(known / "weat_glove840b" / "items.csv")
    own = read_weat(known / "weat_word2vec" / "weat_stimuli.json")
    wefe = read_weat(shared_data / "weat_seat_ceat" / "wefe_WEAT.json")
    ceat = read_weat(shared_data / "weat_seat_ceat" / "ceat_word_lists.json")
    names = [f"WEAT{number}" for number in range(1, 11)]
    assert sorted(glove.names) == sorted(names)
    assert list(own.names) == list(wefe.names) == names
    assert (len(ceat), len(ceat.lists), len(wefe.lists)) == (14, 46, 31)
    sizes = [(len(test.targets_x), len(test.attributes_a)) for test in own]
    assert sizes == [(25, 25), (25, 25), (32, 25), (16, 25), (16, 8), (8, 8), (8, 8), (8, 8), (6, 7), (8, 8)]
    for name in names:
        one, other = own[name], glove[name]
        for ours, theirs in zip((one.targets_x, one.targets_y, one.attributes_a, one.attributes_b),
                                (other.targets_x, other.targets_y, other.attributes_a, other.attributes_b), strict=True):  # fmt: skip
            assert len(ours) == len(theirs)
            assert len(set(map(str.lower, ours)) & set(map(str.lower, theirs))) >= 0.8 * len(ours), name
        mate = wefe[name]
        assert len(set(map(str.lower, mate.targets_x)) & set(map(str.lower, one.targets_x))) >= 0.8 * len(one.targets_x), name


def test_word_lists_have_their_published_sizes(shared_data):
    folder = shared_data / "gender_word_lists"
    pairs = read_word_pairs(folder)
    assert len(pairs) == 222
    assert pairs[0] == ("countryman", "countrywoman")
    assert len(read_word_pairs(folder / "debiaswe_definitional_pairs.json")) == 10
    assert len(read_word_pairs(folder / "debiaswe_equalize_pairs.json")) == 52
    assert len(read_words(folder / "debiaswe_gender_specific_full.json")) == 1441
    assert len(read_professions(folder / "debiaswe_professions.json")) == 320
    assert len(read_word_pairs(shared_data / "winobias" / "generalized_swaps.txt")) == 104
    assert len(read_word_pairs(shared_data / "winobias" / "extra_gendered_words.txt")) == 92


def test_hatexplain_has_its_published_sizes(shared_data):
    data = load_data(f"hatexplain:{shared_data / 'hatexplain'}")
    assert [len(part) for part in data.parts] == [15_383, 1922, 1924]
    assert Counter(data.train.labels()) == {"normal": 6251, "hatespeech": 4748, "offensive": 4384}
    about = Counter(name for part in (data.validation, data.test) for value in part.group("target") for name in value.split("+"))
    assert (about["African"], about["Islam"], about["Jewish"], about["Homosexual"], about["Women"]) == (625, 398, 374, 364, 298)
    assert set(data.train.group("target")) == {"unknown"}


def test_madlibs_have_their_published_sizes(shared_data):
    folder = shared_data / "madlibs_unintended_bias"
    data = load_data(f"madlibs:{folder}", seed=1)
    assert sum(map(len, data.parts)) == 76_564
    assert len(data.test) == pytest.approx(7656.4, abs=25)
    frames = [set(part.group("template")) for part in data.parts]
    assert sum(map(len, frames)) == len(set.union(*frames)) == 1514
    identities = Counter(value for part in data.parts for value in part.group("identity"))
    assert identities.pop("none") == 864
    assert (len(identities), set(identities.values())) == (50, {1514})
    for name in ("fuzzed", "nonfuzzed"):
        comments = read_toxicity(folder / f"toxicity_{name}_testset.csv.gz")
        assert (len(comments), sum(one.toxic for one in comments)) == (1492, 248)


def test_texts_to_train_language_models_on(shared_data):
    wiki = load_data(f"lines:{shared_data / 'wikitext2_valid_test'}", most_words=64)
    assert sum(len(words) for part in wiki.parts for words in part.tokens()) == 213_886 + 241_211
    assert max(len(words) for part in wiki.parts for words in part.tokens()) == 64
    bold = load_data(f"lines:{shared_data / 'bold' / 'wikipedia'}")
    assert sum(map(len, bold.parts)) == 23_679
    assert bold.train.group_names == ("subject",)
