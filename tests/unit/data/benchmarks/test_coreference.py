"""WinoBias and Winogender: brackets become spans, pronouns are found."""

import pytest

from holdfast.core.errors import DataError, InputError
from holdfast.data.benchmarks import read_winobias, read_winogender

LINE = "1 [The developer] argued with the designer because [she] did not like it.\n"


@pytest.fixture
def winobias(write):
    def make(line=LINE, zipped=False, occupations=True):
        for kind in (1, 2):
            for way in ("pro", "anti"):
                path = write(f"wino/{way}_stereotyped_type{kind}.txt.dev", line, zipped=zipped)
        if occupations:
            write("wino/male_occupations.txt", "developer\nCEO\nconstruction worker\n")
            write("wino/female_occupations.txt", "designer\nwriter\n")
        return path.parent

    return make


@pytest.mark.parametrize("zipped", [False, True])
def test_a_sentence_of_winobias(winobias, zipped):
    found = read_winobias(winobias(zipped=zipped), "dev")
    assert [(one.stereotyped, one.kind) for one in found] == [("pro", 1), ("anti", 1), ("pro", 2), ("anti", 2)]
    first = found[0]
    assert first.text == "The developer argued with the designer because she did not like it."
    assert (first.occupation, first.pronoun, first.gender, first.number) == ("developer", "she", "female", 1)
    assert first.text[slice(*first.occupation_span)] == "developer"
    assert first.text[slice(*first.pronoun_span)] == "she"
    assert first.other == first.text[slice(*first.other_span)] == "designer"


@pytest.mark.parametrize(
    ("line", "text", "occupation", "pronouns"),
    [
        ("7 [The CEO] went, [she] said in [her] office.", "The CEO went, she said in her office.", "CEO", ["she", "her"]),
        ("8 He told the [the chief] and asked [her].", "He told the chief and asked her.", "chief", ["her"]),
        ("9 He asked the [ physician] and told [Him ].", "He asked the physician and told Him.", "physician", ["Him"]),
        ("10  [Construction worker] saw [himself].", "Construction worker saw himself.", "Construction worker", ["himself"]),
    ],
)
def test_slips_of_the_files_are_taken_as_meant(winobias, line, text, occupation, pronouns):
    first = read_winobias(winobias(line + "\n\n"), "dev")[0]
    assert (first.text, first.occupation) == (text, occupation)
    assert first.text[slice(*first.occupation_span)] == occupation
    assert [first.text[slice(*span)] for span in (first.pronoun_span, *first.more_pronouns)] == pronouns
    assert first.number == int(line.split()[0])


def test_the_other_occupation_is_told_only_where_there_is_one(winobias):
    many = "1 [The developer] met the designer, the writer and [she] left.\n"
    assert read_winobias(winobias(many), "dev")[0].other is None
    assert read_winobias(winobias("1 [The developer] met us and [she] left.\n"), "dev")[0].other_span is None


def test_without_the_lists_no_other_occupation_is_known(winobias):
    assert read_winobias(winobias(occupations=False), "dev")[0].other is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[The developer] left and [she] ran.", "no number"),
        ("1 The developer left and [she] ran.", "0 occupations and 1 pronouns"),
        ("1 [The developer] left.", "1 occupations and 0 pronouns"),
        ("1 [The developer] saw [the clerk] and [she] ran.", "2 occupations and 1 pronouns"),
        ("1 [The developer] left and [she] [ran.", "a bracket does not end"),
    ],
)
def test_malformed_winobias(winobias, line, message):
    with pytest.raises(DataError, match=f"type1.txt.dev, line 2: {message}"):
        read_winobias(winobias(LINE + line + "\n"), "dev")


def test_unknown_split_and_missing_file(winobias):
    with pytest.raises(InputError, match="split is 'train'"):
        read_winobias(winobias(), "train")
    with pytest.raises(DataError, match="no such file"):
        read_winobias(winobias(), "test")


SCHEMAS = "sentid\tsentence\n" + "".join(
    f"technician.customer.{answer}.{gender}.txt\tThe technician told the customer that {pronoun} {end}.\n"
    for answer, end in ((1, "could pay"), (0, "had fixed it"))
    for gender, pronoun in (("male", "he"), ("female", "she"), ("neutral", "they"))
)
STATS = "occupation\tbergsma_pct_female\tbls_pct_female\tbls_year\ntechnician\t9.2\t40.34\t2015\n"


@pytest.mark.parametrize("zipped", [False, True])
def test_sentences_of_winogender(write, zipped):
    write("wino/occupations-stats.tsv", STATS, zipped=zipped)
    found = read_winogender(write("wino/all_sentences.tsv", SCHEMAS, zipped=zipped).parent)
    assert [one.gender for one in found] == ["male", "female", "neutral"] * 2
    assert [one.answer for one in found] == ["participant"] * 3 + ["occupation"] * 3
    assert {one.template for one in found} == {"technician.customer.1", "technician.customer.0"}
    assert [one.text[slice(*one.pronoun_span)] for one in found] == [one.pronoun for one in found] == ["he", "she", "they"] * 2
    assert found[0].female_share == pytest.approx(0.4034)
    assert (found[0].occupation, found[0].participant) == ("technician", "customer")


def test_winogender_without_shares(write):
    assert read_winogender(write("wino/all_sentences.tsv", SCHEMAS).parent)[0].female_share is None


def test_the_pronoun_is_the_word_in_which_a_template_differs(write):
    rows = [("male", "his"), ("female", "her"), ("neutral", "their")]
    text = "sentid\tsentence\n" + "".join(f"a.b.0.{gender}.txt\tA saw they and her men in {word} car.\n" for gender, word in rows)
    found = read_winogender(write("wino/all_sentences.tsv", text).parent)
    assert [one.text[slice(*one.pronoun_span)] for one in found] == ["his", "her", "their"]
    assert len({one.pronoun_span[0] for one in found}) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("technician.customer.male.txt\tHe left.", "sentid is 'technician.customer.male.txt'"),
        ("a.b.2.male.txt\tHe left.", "sentid is"),
        ("a.b.1.other.txt\tHe left.", "sentid is"),
        ("a.b.1.male.txt\tShe left.", "0 male pronouns"),
        ("a.b.1.male.txt\tHe saw his car.", "2 male pronouns"),
        ("a.b.1.male.txt\t ", "sentence: the text is empty"),
        ("a.b.1.male.txt", "1 fields"),
    ],
)
def test_malformed_winogender(write, row, message):
    with pytest.raises(DataError, match=f"line 2: {message}"):
        read_winogender(write("wino/all_sentences.tsv", f"sentid\tsentence\n{row}\n").parent)


@pytest.mark.parametrize("share", ["x", "140", "nan"])
def test_malformed_shares(write, share):
    write("wino/occupations-stats.tsv", STATS.replace("40.34", share))
    with pytest.raises(DataError, match="line 2: bls_pct_female is"):
        read_winogender(write("wino/all_sentences.tsv", SCHEMAS).parent)
    with pytest.raises(DataError, match="there is no sentence"):
        read_winogender(write("empty/all_sentences.tsv", "sentid\tsentence\n").parent)
