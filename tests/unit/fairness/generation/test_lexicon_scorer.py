import gzip
import math

import numpy as np
import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.fairness.generation.scorers.lexicon import HurtWords, LexiconScorer, flattened, read_values, valences

TINY = {"good": 2.0, "bad": -2.0}


def score(text: str) -> float:
    return float(LexiconScorer(name="tiny", values=TINY).score([text])[0])


def test_values_are_added_and_flattened():
    assert score("good") == pytest.approx(2 / math.sqrt(4 + 15))
    assert score("good good") == pytest.approx(4 / math.sqrt(16 + 15))
    assert score("good bad") == 0
    assert score("stone") == 0
    assert score("") == 0
    assert score("good " * 1000) < 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("not good", -1.0),
        ("not a very good", -1.3),
        ("not one of the good", 2.0),  # four words away
        ("never bad", 1.0),
        ("very good", 2.6),
        ("slightly good", 1.4),
        ("isn't good", -1.0),
        ("isn’t GOOD", -1.0),
        ("the good's end", 2.0),
    ],
)
def test_negation_and_strength(text, value):
    assert score(text) == pytest.approx(flattened(value))


def test_valences_stand_at_their_words():
    assert valences(["no", "good", "man", "is", "bad"], TINY) == [0, -1.0, 0, 0, -2.0]


def test_any_is_the_chance_that_one_word_is_meant_so():
    scorer = LexiconScorer(name="chances", values={"fool": 0.5, "scum": 0.8}, combine="any")
    found = scorer.score(["fool", "fool scum", "fool fool", "nobody", "not a fool"])
    assert found == pytest.approx([0.5, 0.9, 0.75, 0.0, 0.5])


def test_known_tells_texts_apart_in_which_the_lexicon_sees_nothing():
    scorer = LexiconScorer(name="tiny", values=TINY)
    assert scorer.known(["Good!", "Gut", "the bad's", ""]).tolist() == [True, False, True, False]


def test_the_hash_is_of_words_values_and_rules_and_not_of_name_or_order():
    base = LexiconScorer(name="a", values={"x": 0.5, "y": 0.25})
    assert base.sha256 == LexiconScorer(name="b", values={"y": 0.25, "X": 0.5}).sha256
    assert base.sha256 != LexiconScorer(name="a", values={"x": 0.5, "y": 0.26}).sha256
    assert base.sha256 != LexiconScorer(name="a", values={"x": 0.5, "y": 0.25}, combine="any").sha256


@pytest.mark.parametrize("values", [{}, {"x": math.nan}, {"x": math.inf}])
def test_bad_values_are_refused(values):
    with pytest.raises(InputError, match="lexicon 'l'"):
        LexiconScorer(name="l", values=values)


def test_chances_lie_between_0_and_1():
    with pytest.raises(InputError, match=r"value -1.*'x'.*\[0, 1\]"):
        LexiconScorer(name="l", values={"x": -1}, combine="any")


def test_the_built_in_lists_tell_good_from_bad():
    sentiment, toxicity = LexiconScorer.built_in("sentiment"), LexiconScorer.built_in("toxicity")
    good, bad = sentiment.score(["He was an honest and much admired man.", "A cruel murderer who destroyed lives."])
    assert good > 0.5
    assert bad < -0.5
    assert 300 <= len(sentiment.values) <= 1000
    insult, neutral = toxicity.score(["You are an idiot and a moron.", "She is a doctor in Madrid."])
    assert insult > 0.9
    assert neutral == 0
    with pytest.raises(InputError, match="no built-in lexicon 'regards'"):
        LexiconScorer.built_in("regards")


@pytest.mark.parametrize("term", ["gay", "jewish", "muslim", "black", "white", "woman", "man", "christian", "blind", "old"])
def test_words_for_groups_are_in_no_list_of_ours(term):
    for which in ("sentiment", "toxicity"):
        assert term not in LexiconScorer.built_in(which).values


@pytest.mark.parametrize("between", ["\t", ","])
def test_reads_words_and_values(tmp_path, between):
    path = tmp_path / "own.tsv"
    path.write_text(f"word{between}score\nGood{between}1.5\n\nvery bad{between}-2\n")
    assert read_values(path) == {"good": 1.5, "very bad": -2.0}
    zipped = tmp_path / "own2.tsv.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert LexiconScorer.read(zipped).sha256 == LexiconScorer.read(path).sha256


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("good\t1\nbad\tworse\n", "line 2.*no word and number"),
        ("good\t1\ngood\t2\n", "line 2.*stands twice"),
        ("good\tnan\n", "line 1.*finite"),
        ("word\tscore\n", "no word with a value"),
        ("good\n", "line 1.*no word and number"),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path, text, says):
    path = tmp_path / "own.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=f"(?s){says}"):
        LexiconScorer.read(path)


HURTLEX = (
    "id\tpos\tcategory\tstereotype\tlemma\tlevel\n"
    "EN1\tn\tcds\tno\tsílly goose\tconservative\n"
    "EN2\tn\tan\tno\tpig\tconservative\n"
    "EN3\tn\tre\tno\tthing\tinclusive\n"
)


def test_hurtlex_is_read_by_level_without_accents(tmp_path):
    path = tmp_path / "hurtlex_EN.tsv"
    path.write_text(HURTLEX)
    assert HurtWords.read(path).categories == {"silly goose": "cds", "pig": "an"}
    assert len(HurtWords.read(path, level=None).categories) == 3
    with pytest.raises(DataError, match="no word of the level 'extreme'"):
        HurtWords.read(path, level="extreme")
    path.write_text("word\tscore\nx\t1\n")
    with pytest.raises(DataError, match="no column 'lemma'"):
        HurtWords.read(path)
    path.write_text(HURTLEX + "EN4\tn\n")
    with pytest.raises(DataError, match=r"line 5.*2 cells for 6 columns"):
        HurtWords.read(path)


def test_hurt_words_are_found_whole_with_phrases():
    lexicon = HurtWords(name="l", categories={"silly goose": "cds", "pig": "an"})
    assert lexicon.found("You PÍG, you silly  goose!") == ["pig", "silly goose"]
    assert lexicon.found("pigs, goose, silly") == []
    assert np.array_equal(lexicon.score(["a pig", "a bird"]), [1.0, 0.0])
    assert lexicon.sha256 != HurtWords(name="l", categories={"pig": "an"}).sha256
