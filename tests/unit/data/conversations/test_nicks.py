import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.data.conversations import NICK, Nicks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada: hello", "<nick>: hello"),
        ("ADA, Ada and ada's", "<nick>, <nick> and <nick>'s"),
        ("adamant canada", "adamant canada"),  # within longer words
        ("ask bo-1 or (bo-1)", "ask <nick> or (<nick>)"),
        ("bo is not bo-1", "bo is not <nick>"),
        ("ada-bo-1", "<nick>-<nick>"),
        ("x^^ x^^^", "<nick> <nick>^"),
        ("[ops] [ops]: hi", "<nick> <nick>: hi"),
        ("!fact | ada", "!fact | <nick>"),
        ("https://example.org/~ada/x", "https://example.org/~<nick>/x"),
        ("mail ada@example.org", "mail <nick>@example.org"),
        ("zed_ zed", "<nick> zed"),
        ("", ""),
    ],
)
def test_names_are_taken_out_wherever_no_letter_or_digit_touches_them(text, expected):
    assert Nicks({"ada", "bo-1", "x^^", "[ops]", "zed_"}).masked(text) == expected


def test_the_longest_name_goes_first():
    assert Nicks({"ann", "ann-marie", "marie-ann"}).masked("ann-marie-ann, ann, marie-ann") == "<nick>-<nick>, <nick>, <nick>"


def test_names_of_others_are_taken_out_where_somebody_is_called():
    nicks = Nicks({"ada"}, anywhere={"Eve", "ok"})
    assert nicks.masked("eve: is eve there") == "<nick>: is eve there"
    assert nicks.masked("@Eve, hi") == "@<nick>, hi"
    assert nicks.masked("ok, ada: ok") == "<nick>, <nick>: ok"
    assert nicks.masked("eve:hi") == "eve:hi"


def test_who_is_called_is_told():
    nicks = Nicks({"Ada"}, anywhere={"eve"})
    assert nicks.addressed("ADA: hello") == "ada"
    assert nicks.addressed(" eve, hello") == "eve"
    assert nicks.addressed("hello ada") is None
    assert nicks.addressed("yes: hello") is None
    assert nicks.addressed("") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada: don't, please!!", "<nick> : don't , please !!"),
        ("sudo apt-get -y install g++ 18.04", "sudo apt-get -y install g ++ 18.04"),
        ("see https://example.org/a?b=1, thanks.", "see https://example.org/a?b=1 , thanks ."),
        ("edit /etc/fstab or ~/.bashrc", "edit /etc/fstab or ~/.bashrc"),
        ("thanks :) ;-P", "thanks :) ;-P"),
        ("what... really??", "what ... really ??"),
        ("Ünïcode wörds", "Ünïcode wörds"),
        ("\x0304,01red\x03 \x02bold\x02 \x1d", "red bold"),
        ("   ", ""),
    ],
)
def test_text_is_cut_into_words_as_written(text, expected):
    assert " ".join(Nicks({"ada"}).words(text)) == expected


def test_a_name_of_signs_alone_is_no_word_either():
    assert Nicks({"^", "__"}).words("a ^ b a^b __ x") == ["a", NICK, "b", "a", NICK, "b", NICK, "x"]


def test_no_names_change_nothing():
    assert Nicks(()).words("ada: hello") == ["ada", ":", "hello"]


NAMES = st.text("aB1-_^[", min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@example(["1", "["], "[1")
@example(["nick"], "nick: hello")
@given(st.lists(NAMES, min_size=1, max_size=4), st.text("aB1-_^[ :,'.", max_size=25))
def test_no_name_is_left_between_signs(names, text):
    """The slow twin: each name, bounded by neither letter nor digit, is nowhere outside of placeholders; and no word is one."""
    nicks = Nicks(set(names))
    pieces = nicks.masked(text).split(NICK)
    for name in names:
        bounded = re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", re.IGNORECASE)
        assert not any(bounded.search(piece) for piece in pieces), (name, pieces)
    assert not {word.lower() for word in nicks.words(text)} & {name.lower() for name in names}


@settings(max_examples=200, deadline=None)
@given(st.text("abc -:.", max_size=30))
def test_words_lose_nothing_but_blanks(text):
    assert "".join(Nicks(()).words(text)) == text.replace(" ", "")
