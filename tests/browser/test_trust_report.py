"""The page as a reader meets it: on a wide screen and a narrow one, by day and by night, and on paper."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.reporting import RUNS, SECRETS, STUDY, Hidden, four_runs, record_of, secret_runs, secrets
from tests.reporting_fairness import JUDGED, fairness_record, fairness_runs
from tests.reporting_federated import CROWDS, federated_runs

from holdfast.report import write_report
from holdfast.runs import RunRecord

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDE, NARROW = 1280, 400
SMALLEST_TEXT = 11  # CSS pixels
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp; {{7*7}} ${7*7} " + "w" * 60
screens = pytest.mark.parametrize("width", [WIDE, NARROW])
schemes = pytest.mark.parametrize("scheme", ["light", "dark"])
KINDS = ("four", "eight", "alone", "secrets", "federated", "crowd", "fairness", "judged")
pages = pytest.mark.parametrize("kind", ["hostile", *KINDS])

Visit = Callable[..., Page]

LETTERS = """() => [...document.querySelectorAll('.chart text')].filter(text => text.textContent.trim() && text.checkVisibility())
  .map(text => [text, text.getScreenCTM()])
  .map(([text, place]) => ({text: text.textContent, height: parseFloat(getComputedStyle(text).fontSize) * Math.hypot(place.a, place.b),
                 box: text.getBoundingClientRect().toJSON(), svg: text.ownerSVGElement.getAttribute('aria-label').slice(0, 12)}))"""


def written(folder: Path, *records: RunRecord, title: str = "SNIPS, four ways") -> str:
    return write_report(folder / "trust.html", *records, title=title, study=STUDY).html.as_uri()


def eight_runs() -> list[RunRecord]:
    """A crowd: epsilons from .5 to 100, two runs with a naive account."""
    private = [
        replace(RUNS[2], name=f"dp-sgd-{place}", epsilon=epsilon, naive=naive, accuracy=0.8 + 0.025 * place, slot_f1=0.7 + 0.03 * place)
        for place, (epsilon, naive) in enumerate([(0.5, None), (1, None), (2, 0.9), (4, None), (8, 3.0), (16, None), (100, None)])
    ]
    return [record_of(run) for run in (RUNS[0], *private)]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    hostile = [
        record_of(replace(run, name=name)) for run, name in zip(RUNS, [HOSTILE, "a" * 80, "日本語の実行", "]]></svg></style>"], strict=True)
    ]
    names = [HOSTILE, "日本語の実行", *(f"activity^0.5, examples weights, seed {seed}" for seed in range(6))]
    crowds = [replace(CROWDS[2], name=name, accuracy=0.7 + 0.004 * place) for place, name in enumerate(names)]
    planted = Hidden(name=HOSTILE, rank=2, found=f"{HOSTILE} b", truth=f"{HOSTILE} c")
    hostile[0] = replace(hostile[0], evidence=hostile[0].evidence + secrets(HOSTILE, (planted, *SECRETS["non-private"])))
    return {
        "four": written(tmp_path_factory.mktemp("four"), *four_runs()),
        "hostile": written(tmp_path_factory.mktemp("hostile"), *hostile, title=HOSTILE),
        "eight": written(tmp_path_factory.mktemp("eight"), *eight_runs()),
        "alone": written(tmp_path_factory.mktemp("alone"), record_of(RUNS[2])),
        "secrets": written(tmp_path_factory.mktemp("secrets"), *secret_runs()),
        "federated": written(tmp_path_factory.mktemp("federated"), *federated_runs()),
        "crowd": written(tmp_path_factory.mktemp("crowd"), *federated_runs(*crowds)),
        "fairness": written(tmp_path_factory.mktemp("fairness"), *fairness_runs()),
        "judged": written(tmp_path_factory.mktemp("judged"), fairness_record(replace(JUDGED[0], name=HOSTILE))),
    }


@pytest.fixture
def visit(browser: Browser, addresses: dict[str, str]) -> Iterator[Visit]:
    """Opens a page, and holds at the end that it asked for nothing else and complained of nothing."""
    opened, asked, complaints = [], [], []

    def open_page(kind: str, *, width: int = WIDE, scheme: str = "light", unfolded: bool = False) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
        opened.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto(addresses[kind])
        if unfolded:
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        return page

    yield open_page
    for context in opened:
        context.close()
    assert set(asked) - {"data:,"} <= set(addresses.values()), "the page asked for more than itself"
    assert complaints == []


@pages
@screens
def test_nothing_sticks_out_sideways(visit: Visit, kind: str, width: int):
    page = visit(kind, width=width, unfolded=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """width => [...document.querySelectorAll('main *')].filter(part => !part.closest('.scroll, pre, svg, .unseen'))
          .map(part => [part, part.getBoundingClientRect()])
          .filter(([part, box]) => part.checkVisibility() && (box.right > width + 0.5 || box.left < -0.5))
          .map(([part, box]) => part.outerHTML.slice(0, 80))""",
        width,
    )
    assert outside == []


@screens
def test_wide_tables_scroll_in_their_own_box(visit: Visit, width: int):
    page = visit("four", width=width, unfolded=True)
    boxes = page.locator(".scroll")
    assert boxes.count() >= 8
    assert page.evaluate(
        "[...document.querySelectorAll('.scroll')].every(box => getComputedStyle(box).overflowX === 'auto' && box.tabIndex === 0)"
    )
    scrolled = page.evaluate("[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length")
    assert scrolled > 0 if width == NARROW else scrolled <= 3


@pytest.mark.parametrize("kind", ["four", "secrets", "federated", "fairness"])
@schemes
@screens
def test_the_accessibility_linter_finds_nothing(visit: Visit, kind: str, width: int, scheme: str):
    page = visit(kind, width=width, scheme=scheme, unfolded=True)
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    checked = {rule["id"] for rule in found.response["passes"]}
    assert {"color-contrast", "svg-img-alt", "heading-order", "region", "scrollable-region-focusable"} <= checked


def test_the_linter_sees_a_fault_that_is_planted(visit: Visit):
    page = visit("four")
    page.add_style_tag(content=".lead { color: #bbb !important; }")
    found = Axe().run(page, options={"runOnly": ["color-contrast"]})
    assert found.violations_count == 1


@pages
@screens
def test_letters_in_charts_are_large_enough(visit: Visit, kind: str, width: int):
    letters = visit(kind, width=width).evaluate(LETTERS)
    assert len(letters) > 20
    small = {letter["text"]: round(letter["height"], 1) for letter in letters if letter["height"] < SMALLEST_TEXT}
    assert small == {}


@pytest.mark.parametrize("kind", KINDS)
@screens
def test_no_two_texts_in_a_chart_overlap(visit: Visit, kind: str, width: int):
    assert overlapping(visit(kind, width=width).evaluate(LETTERS)) == []


def test_two_texts_that_are_put_on_each_other_are_seen(visit: Visit):
    page = visit("four")
    page.evaluate(
        """() => { const text = [...document.querySelectorAll('#tradeoff .wide text')].find(text => text.textContent === 'dp-sgd');
          text.parentElement.appendChild(text.cloneNode(true)); }"""
    )
    assert ("dp-sgd", "dp-sgd") in overlapping(page.evaluate(LETTERS))


def overlapping(letters: list[dict]) -> list[tuple[str, str]]:
    return [
        (one["text"], other["text"])
        for place, one in enumerate(letters)
        for other in letters[place + 1 :]
        if one["svg"] == other["svg"] and shared(one["box"], other["box"]) > 12
    ]


def shared(one: dict[str, float], other: dict[str, float]) -> float:
    """Square pixels that two boxes have in common; a line of text has some empty pixels above and below its letters."""
    wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
    high = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"]) - 3
    return max(0.0, wide) * max(0.0, high)


@schemes
def test_each_run_has_one_colour_through_the_whole_page(visit: Visit, scheme: str):
    page = visit("four", scheme=scheme)
    for name in ("non-private", "edp-sgd", "dp-sgd", "dp-sgd-eps-2"):
        colours = page.evaluate(
            """name => [...document.querySelectorAll('.chart text')].filter(text => text.checkVisibility() && text.textContent === name)
              .map(text => getComputedStyle(text).fill)""",
            name,
        )
        mark = page.evaluate(
            """name => [...document.querySelectorAll('.run')].filter(run => run.textContent === name)
              .map(run => getComputedStyle(run.querySelector('svg')).fill)[0]""",
            name,
        )
        assert len(colours) >= 5
        assert set(colours) == {mark}


def test_charts_follow_the_scheme(visit: Visit):
    fills = [
        visit("four", scheme=scheme).evaluate(
            """[...new Set([...document.querySelectorAll('.chart *')].map(part => getComputedStyle(part))
              .flatMap(style => [style.fill, style.stroke]))]"""
        )
        for scheme in ("light", "dark")
    ]
    kept = set(fills[0]) & set(fills[1])
    assert kept <= {"none", "rgb(0, 0, 0)", "rgba(0, 0, 0, 0)"}, "a colour that is the same by day and by night was not made a variable"


@schemes
def test_texts_in_charts_can_be_read_on_the_page(visit: Visit, scheme: str):
    """Axe does not look at SVG, so the contrast of its letters is measured here."""
    page = visit("four", scheme=scheme)
    colours = page.evaluate("[...new Set([...document.querySelectorAll('.chart text')].map(text => getComputedStyle(text).fill))]")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert len(colours) >= 6
    assert {colour: contrast(colour, ground) for colour in colours if contrast(colour, ground) < 4.5} == {}


def contrast(one: str, other: str) -> float:
    """Contrast of two CSS colours by WCAG 2.2."""
    first, second = sorted((luminance(one), luminance(other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_first_screen_answers(visit: Visit):
    page = visit("four")
    for selector in ("h1", ".lead", ".tile:nth-child(4) .status"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900, f"{selector} is below the first screen"


def test_the_contents_lead_to_every_section(visit: Visit):
    page = visit("four")
    links = page.evaluate("[...document.querySelectorAll('nav a')].map(link => link.getAttribute('href').slice(1))")
    titles = page.evaluate("[...document.querySelectorAll('main section h2[id]')].map(title => title.id)")
    assert links == titles
    assert len(links) == 8


def test_everything_can_be_reached_and_unfolded_by_keyboard(visit: Visit):
    page = visit("four")
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")


def test_no_script_is_needed_or_there(browser: Browser, addresses: dict[str, str]):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(addresses["hostile"])
    assert page.locator("script").count() == 0
    assert page.locator("img").count() == 0
    assert page.locator("h1").inner_text() == HOSTILE
    context.close()


@pytest.mark.parametrize(("kind", "most"), [("four", 14), ("hostile", 18)])  # with planted secrets, whose names are long
def test_it_prints_on_a4_with_every_table_open(visit: Visit, kind: str, most: int):
    page = visit(kind, scheme="dark")
    paper = page.pdf(prefer_css_page_size=True)
    assert paper.startswith(b"%PDF")
    assert 4 <= paper.count(b"/Type /Page\n") + paper.count(b"/Type /Page ") <= most
    page.set_viewport_size({"width": 672, "height": 1000})  # A4 less its margins
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 672
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("[...document.querySelectorAll('details td')].every(cell => cell.checkVisibility({contentVisibilityAuto: true}))")
