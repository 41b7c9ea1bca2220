"""The page is one file, drawn from the document alone, in which nothing that a user named is markup."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.reporting import RUNS, record_of

from holdfast.report import Document, gather, html
from holdfast.report.figures import theme
from holdfast.runs import json_text

VOID = {"meta", "link", "br", "img", "input", "hr"}
DRAWING = {"svg", "g", "path", "rect", "line", "text", "circle", "defs", "clippath", "tspan"}
HOSTILE = '</style></svg></pre><script>alert(1)</script><img src=x onerror=alert(1)>" onmouseover="alert(1)" \' & {{7*7}}\x00\u202e'


class Reader(HTMLParser):
    """Collects tags, attributes and words, and holds that every tag is closed in its order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def having(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def page(four: Document) -> str:
    return html.render(four)


@pytest.fixture(scope="module")
def hostile() -> str:
    record = record_of(replace(RUNS[1], name=HOSTILE))
    evidence = replace(record.evidence, notes=(HOSTILE,), verdicts=(replace(record.evidence.verdicts[0], reason=HOSTILE),))
    named = replace(record, evidence=evidence, command=HOSTILE, data={"name": HOSTILE, "content_hash": HOSTILE}, model={"name": HOSTILE})
    return html.render(gather([named, record_of(RUNS[0])], title=HOSTILE, study=HOSTILE))


def test_the_page_is_well_formed(page: str, hostile: str):
    assert page.startswith("<!doctype html>\n<html lang=")
    assert len(Reader(page).tags) > 500
    assert len(Reader(hostile).tags) > 300


def test_the_page_is_small_and_reaches_for_nothing(page: str):
    assert len(page.encode()) < 500_000
    read = Reader(page)
    assert set(read.having("href")) - {"data:,"} == {href for href in read.having("href") if href.startswith("#")}
    assert read.having("src") == []
    assert "@import" not in page
    assert set(re.findall(r"https?://[^\"' <]+", page)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "default-src 'none'" in page


def test_there_is_no_script(page: str, hostile: str):
    for drawn in (page, hostile):
        read = Reader(drawn)
        assert not {"script", "img", "iframe", "object", "embed", "form"} & {tag for tag, _ in read.tags}
        assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
        assert {tag for tag, _ in read.tags} - DRAWING <= {
            *("html", "head", "meta", "link", "title", "style", "body", "main", "header", "section", "nav", "footer", "figure"),
            *("figcaption", "div", "p", "span", "strong", "small", "sup", "h1", "h2", "h3", "dl", "dt", "dd", "ul", "ol", "li", "a"),
            *("table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre"),
        }


def test_what_a_user_named_is_shown_as_it_is_less_what_cannot_be_seen(hostile: str):
    shown = HOSTILE.replace("\x00", "\N{REPLACEMENT CHARACTER}").replace("\u202e", "\N{REPLACEMENT CHARACTER}")
    words = "".join(Reader(hostile).words)
    assert words.count(shown) >= 8
    assert "49" not in re.findall(r"\{\{.*?\}\}|\b49\b", words)
    assert "\x00" not in hostile
    assert "\u202e" not in hostile


def test_ids_are_unique_and_every_link_of_the_contents_has_its_place(page: str):
    read = Reader(page)
    ids = read.having("id")
    assert len(set(ids)) == len(ids)
    targets = {href[1:] for href in read.having("href") if href.startswith("#")}
    assert targets <= set(ids)
    assert {"runs", "training", "leakage", "federation", "fairness", "mitigation", "limits", "reproduce"} == targets
    assert set(read.having("aria-labelledby")) <= set(ids)


def test_the_page_is_drawn_from_evidence_json_alone(four: Document, page: str):
    assert html.render(Document.from_json(json.loads(json_text(four.to_json())))) == page


def test_every_figure_has_a_text_alternative_and_a_title(page: str):
    labels = [attributes["aria-label"] for tag, attributes in Reader(page).tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(labels) == 8
    assert all(label and len(label) > 60 for label in labels)
    assert page.count("<figcaption><strong>") == 4


def test_powers_are_raised_and_the_rest_is_escaped():
    assert html.powers("at most e^8 <b> & e^31.7, 10^21, be^2") == (
        "at most e<sup>8</sup> &lt;b&gt; &amp; e<sup>31.7</sup>, 10<sup>21</sup>, be^2"
    )


def test_empty_states_are_drawn(unpromised: Document):
    bare = replace(unpromised, evidence=type(unpromised.evidence)())
    drawn = html.render(bare)
    assert drawn.count('class="empty"') == 4
    assert drawn.count('class="tile missing"') == 4
    assert "tile good" not in drawn
    assert "<svg xmlns" not in drawn


def test_a_contradiction_stands_in_red_before_the_tiles(judged: Callable[..., Document]):
    drawn = html.render(judged("dp-sgd", "contradicted", lower_bound=9.1, level=0.95))
    assert drawn.index('class="alert bad"') < drawn.index('class="lead"') < drawn.index('class="tile bad"')


def test_colours_of_light_and_dark_are_those_of_the_theme():
    style = html.stylesheet()
    assert f"--run-2:{theme.RUNS_LIGHT[1]};" in style.split("@media")[0]
    assert f"--run-2:{theme.RUNS_DARK[1]};" in style.split("@media")[1]
    assert style.count("{") == style.count("}")
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", style))
    assert used <= set(theme.variables())


def test_marks_have_the_shape_and_colour_of_their_run():
    marks = [str(html.mark(run)) for run in range(12)]
    assert len(set(marks)) == 12
    assert f"fill:var(--run-2,{theme.colour(1)})" in marks[1]
    assert "var(--run-1," in marks[6]


def test_users_are_counted_and_never_named():
    data = {"name": "mine", "splits": {"train": {"examples": 9, "users": 3}}}
    record = replace(record_of(RUNS[0]), data=data)
    assert "9 train" in html.render(gather([record], title="t"))


def test_the_kind_of_page_is_not_said_twice(four: Document, page: str):
    kind = '<p class="kind">Trust report</p>'
    assert kind in page
    assert kind not in html.render(replace(four, title="Trust report"))
