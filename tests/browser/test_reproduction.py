"""The page of a grid as a reader meets it: nothing sticks out, the linter finds nothing, no two texts lie on each other."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.browser.test_trust_report import LETTERS, NARROW, SMALLEST_TEXT, WIDE, overlapping
from tests.extracting import ladder
from tests.extracting import records as secret_records
from tests.reporting_selection import records as selection_records
from tests.reporting_selection import summary as selection_summary
from tests.reproducing import records, rising

from holdfast.report.reproductions import write_reproduction
from holdfast.report.reproductions.client_selection import PRESENTATION
from holdfast.study.reproductions import study_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RUNS = {"edp-sgd": lambda: records(rising), "canary-extraction": lambda: secret_records(ladder, controls=True, seeds=(1, 2, 3, 4))}
screens = pytest.mark.parametrize("page", [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")], indirect=True)


@pytest.fixture(scope="module", params=[*RUNS, "client-selection"])
def address(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> str:
    folder = tmp_path_factory.mktemp("grid")
    if request.param not in RUNS:  # of which the summary alone is invented
        found = write_reproduction(folder, selection_records(), selection_summary(), title="A grid", study="x", presentation=PRESENTATION)
        return found.html.as_uri()
    runs, study = RUNS[request.param](), study_of(request.param)
    kept, summary = [study.trimmed(run) for run in runs], study.summarise(runs)
    return write_reproduction(folder, kept, summary, title="A grid", study="x", presentation=study.presentation).html.as_uri()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    opened.goto(address)
    opened.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    yield opened
    context.close()


@screens
def test_nothing_sticks_out_sideways(page: Page):
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@screens
def test_the_accessibility_linter_finds_nothing(page: Page):
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()


@screens
def test_texts_in_charts_are_large_enough_and_lie_apart(page: Page):
    letters = page.evaluate(LETTERS)
    assert len(letters) > 20
    assert {letter["text"] for letter in letters if letter["height"] < SMALLEST_TEXT} == set()
    assert overlapping(letters) == []
