import json
import logging

import pytest

from holdfast.core.errors import DataError
from holdfast.data import Columns, Dataset, load_data
from holdfast.data.files import read_conll, read_csv, read_jsonl
from holdfast.data.records import moment


def jsonl(path, bad_rows="refuse", **columns):
    return Dataset.from_table(read_jsonl(path, columns=Columns(**columns), bad_rows=bad_rows), name="n", split="s")


def table(path, bad_rows="refuse", delimiter=None, **columns):
    return Dataset.from_table(read_csv(path, columns=Columns(**columns), bad_rows=bad_rows, delimiter=delimiter), name="n", split="s")


def conll(path, bad_rows="refuse"):
    return Dataset.from_table(read_conll(path, bad_rows=bad_rows), name="n", split="s")


FULL = {"tokens": ["call", "Orla"], "tags": ["O", "B-contact"], "label": "call", "user_id": 7, "timestamp": 1704067200, "dialect": "avel"}


class TestJsonLines:
    def test_everything_is_read(self, write):
        data = jsonl(write("a.jsonl", json.dumps(FULL) + "\n\n" + json.dumps(FULL | {"label": "ring"})), groups=["dialect"])
        assert data.tokens() == [["call", "Orla"]] * 2
        assert data.tags() == [["O", "B-contact"]] * 2
        assert data.labels() == ["call", "ring"]
        assert data.user_ids() == ["7", "7"]
        assert str(data.timestamps()[0]) == "2024-01-01T00:00:00"
        assert data.group("dialect") == ["avel", "avel"]

    def test_fields_can_have_other_names_and_words_can_be_one_text(self, write):
        path = write("a.jsonl", '{"utterance": " call  Orla ", "slots": "O B-contact", "intent": "call"}')
        data = jsonl(path, text="utterance", tags="slots", label="intent")
        assert (data.tokens(), data.tags(), data.labels()) == ([["call", "Orla"]], [["O", "B-contact"]], ["call"])

    def test_a_named_field_that_is_not_there_is_an_error_naming_those_that_are(self, write):
        path = write("a.jsonl", '{"text": "a", "intent": "x"}')
        with pytest.raises(DataError, match="line 1: no column 'label2'; it has: 'text', 'intent'"):
            jsonl(path, label="label2")
        with pytest.raises(DataError, match="no column 'text' or 'tokens'; it has: 'words'"):
            jsonl(write("b.jsonl", '{"words": "a"}'))

    @pytest.mark.parametrize(
        ("second", "why"),
        [
            ("{", "not JSON"),
            ('["text"]', "not a JSON object but a list"),
            ('{"text": "\\ud83d", "label": "x"}', "half of a surrogate pair"),
            ('{"label": "x"}', "no column 'text'; it has: 'label'"),
            ('{"text": "a", "label": null}', "'label' is empty"),
            ('{"text": "", "label": "x"}', "'text' is empty"),
            ('{"text": "  ", "label": "x"}', "'text' is empty"),
            ('{"text": 3, "label": "x"}', "'text': 3 is neither a text nor a list"),
            ('{"text": "a", "label": {"x": 1}}', "is no text"),
            ('{"text": "a", "label": 1.5}', "is no text"),
            ('{"text": "a", "label": "x", "user_id": "u"}', "'user_id', which the first record has not"),
        ],
    )
    def test_a_bad_line_is_named_and_can_be_skipped(self, write, caplog, second, why):
        good = '{"text": "a b", "label": "x"}'
        path = write("a.jsonl", f"{good}\n{second}\n{good}\n")
        with pytest.raises(DataError, match=why) as caught:
            jsonl(path)
        assert caught.value.line == 2
        assert caught.value.path == path
        with caplog.at_level(logging.WARNING):
            assert len(jsonl(path, bad_rows="skip")) == 2
        assert "left out 1 bad rows, such as those of lines 2" in caplog.text

    def test_unequal_token_and_tag_counts_name_file_and_line(self, write):
        path = write("a.jsonl", json.dumps(FULL) + "\n" + json.dumps(FULL | {"tags": ["O"]}))
        with pytest.raises(DataError, match=r"a\.jsonl, line 2: 2 tokens but 1 tags"):
            jsonl(path)

    def test_a_file_of_blank_or_bad_lines_has_no_row(self, write):
        with pytest.raises(DataError, match="no row in it"):
            jsonl(write("a.jsonl", "\n\n"))
        with pytest.raises(DataError, match="no row in it that could be used"):
            jsonl(write("a.jsonl", "{\n"), bad_rows="skip")

    def test_an_escaped_surrogate_pair_is_one_character(self, write):
        assert jsonl(write("a.jsonl", '{"text": "\\uD83D\\ude00"}')).tokens() == [["😀"]]

    def test_more_rows_than_one_piece(self, write):
        path = write("a.jsonl", "".join(json.dumps({"text": f"w{i}", "label": "x"}) + "\n" for i in range(20_000)))
        assert jsonl(path).tokens() == [[f"w{i}"] for i in range(20_000)]


class TestCsv:
    @pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
    def test_the_delimiter_is_read_off_the_first_line(self, write, mark):
        path = write("a.csv", f'text{mark}label\n"call Orla{mark} now"{mark}call\nstop{mark}stop\n')
        assert table(path).tokens() == [["call", f"Orla{mark}", "now"] if mark != "\t" else ["call", "Orla", "now"], ["stop"]]
        assert table(path).labels() == ["call", "stop"]

    def test_the_delimiter_can_be_given(self, write):
        assert table(write("a.csv", "text;label,x\na;b,c\n"), delimiter=";", label="label,x").labels() == ["b,c"]
        with pytest.raises(DataError, match="give one character"):
            table(write("b.csv", "text\na\n"), delimiter=";;")

    def test_quoted_line_ends_stay_in_their_row_and_lines_are_counted_through_them(self, write):
        path = write("a.csv", 'text,label\n"one\ntwo",x\n\nthree\n')
        with pytest.raises(DataError, match="line 5: 1 fields, the first line names 2"):
            table(path)
        assert table(path, bad_rows="skip").tokens() == [["one", "two"]]

    def test_a_wrong_column_names_those_that_there_are(self, write):
        path = write("a.csv", "utterance,intent\na,x\n")
        with pytest.raises(DataError, match=r"a\.csv, line 1: no column 'text' or 'tokens'; it has: 'utterance', 'intent'"):
            table(path)
        with pytest.raises(DataError, match="no column 'intnet'; it has: 'utterance', 'intent'"):
            table(path, text="utterance", label="intnet")

    def test_tags_are_told_apart_by_blanks(self, write):
        assert table(write("a.csv", "tokens,tags\ncall Orla,O B-contact\n")).tags() == [["O", "B-contact"]]
        with pytest.raises(DataError, match="line 2: 2 tokens but 3 tags"):
            table(write("b.csv", "tokens,tags\ncall Orla,O B-contact O\n"))

    def test_a_header_alone_has_no_row(self, write):
        with pytest.raises(DataError, match="no row in it"):
            table(write("a.csv", "text,label\n"))

    def test_what_the_csv_module_refuses_is_a_data_error(self, write):
        with pytest.raises(DataError, match="not CSV: field larger than"):
            table(write("a.csv", "text,label\n" + "x" * 200_000 + ",y\n"))


class TestConll:
    def test_sentences_stand_between_blank_lines(self, write):
        data = conll(write("a.conll", "-DOCSTART- -X- O\n\nOrla\tB-PER\nsings\tO\n\n\n  \nyes\tO"))
        assert data.tokens() == [["Orla", "sings"], ["yes"]]
        assert data.tags() == [["B-PER", "O"], ["O"]]

    def test_first_and_last_column_count(self, write):
        assert conll(write("a.conll", "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n")).tags() == [["B-ORG", "O"]]

    def test_a_number_sign_is_a_token_like_any_other(self, write):
        assert conll(write("a.conll", "#\tO\n# O\n")).tokens() == [["#", "#"]]

    @pytest.mark.parametrize("bad", ["lonely", "\tO", "token\t"])
    def test_a_line_without_a_token_and_a_tag_is_named(self, write, bad):
        path = write("a.conll", f"one\tO\n\ntwo\tO\n{bad}\n\nthree\tO\n")
        with pytest.raises(DataError, match="is not a token and a tag") as caught:
            conll(path)
        assert caught.value.line == 4
        assert conll(path, bad_rows="skip").tokens() == [["one"], ["three"]]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl", '{"text": "a b", "label": "x"}\n' * 10), ("a.csv", "text,label\n" + "a b,x\n" * 10), ("a.conll", "a\tO\nb\tO\n\n" * 10)],
)
def test_gzipped_equals_plain(write, name, text):
    kind = name.split(".")[1]
    plain = load_data(f"{kind}:{write('plain/' + name, text)}")
    zipped = load_data(f"{kind}:{write('zipped/' + name, text, zipped=True)}")
    assert zipped.summary() == plain.summary()


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("2024-03-01", "2024-03-01T00:00:00+00:00"),
        ("20240301", "2024-03-01T00:00:00+00:00"),
        ("2024-03-01T12:00:00Z", "2024-03-01T12:00:00+00:00"),
        ("2024-03-01 12:00:00-05:00", "2024-03-01T17:00:00+00:00"),
        (1709294400, "2024-03-01T12:00:00+00:00"),
        ("1709294400", "2024-03-01T12:00:00+00:00"),
        (1709294400.9, "2024-03-01T12:00:00+00:00"),
    ],
)
def test_times_are_read_in_the_usual_forms(value, meant):
    assert moment(value, "when").isoformat() == meant


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("yesterday", "is no time"),
        ("1709294400123", "milliseconds"),
        (True, "is no time"),
        (float("nan"), "is no time"),
        ([1], "is no time"),
        ("", "is no time"),
    ],
)
def test_what_is_no_time_is_refused(value, why):
    with pytest.raises(ValueError, match=why):
        moment(value, "when")


def test_text_and_tokens_exclude_each_other():
    with pytest.raises(DataError, match="give one of the two"):
        Columns(text="a", tokens="b")
    with pytest.raises(DataError, match=r"give a list, such as \['dialect'\]"):
        Columns(groups="dialect")
