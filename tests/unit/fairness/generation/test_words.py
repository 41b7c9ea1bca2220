from holdfast.fairness.generation.words import (
    cased_words,
    function_words,
    plain,
    resource,
    sentences,
    share_unlike_english,
    without_possessive,
    words,
)


def test_words_keep_inner_apostrophes_of_any_shape():
    assert words("She’s here; it's O‘Hara's 2nd 'home'.") == ["she's", "here", "it's", "o'hara's", "nd", "home"]
    assert cased_words("Zoë's ÉCLAIR") == ["Zoë's", "ÉCLAIR"]
    assert words("") == []


def test_a_possessive_is_its_owner():
    assert [without_possessive(word) for word in ("woman's", "his", "she's", "boss")] == ["woman", "his", "she", "boss"]


def test_sentences_end_at_marks_with_a_blank_behind():
    assert sentences('One. Two! "Three?" four 3.5 five.') == ["One", "Two", '"Three', "four 3.5 five."]
    assert sentences("  ") == []


def test_plain_text_has_no_accents_and_no_capitals():
    assert plain("Él ’s ÑANDÚ") == "el 's nandu"


def test_the_share_of_texts_without_a_common_english_word():
    german = ["Die Katze schläft gern lange", "Er geht heute nach Hause"]
    english = ["The cat sleeps", "She goes home"]
    assert share_unlike_english(english) == 0
    assert share_unlike_english(german) == 1
    assert share_unlike_english([*german, *english]) == 0.5
    assert share_unlike_english([]) == 0


def test_word_lists_of_ours_are_small_letters_and_each_word_stands_once():
    assert {"the", "she", "is"} <= function_words()
    for name in ("sentiment_en.tsv", "toxicity_en.tsv", "regard_en.tsv"):
        header, *rows = resource(name).splitlines()
        listed = [row.split("\t")[0] for row in rows]
        assert header == "word\tscore"
        assert len(set(listed)) == len(listed) > 100
        assert all(word == word.lower() and words(word) == [word] for word in listed)
