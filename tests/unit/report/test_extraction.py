"""Planted secrets on the page: what is said is true of the numbers, whatever they are."""

import json
import math
import re
from dataclasses import replace

import pytest
from tests.reporting import CONTROL, RUNS, SECRETS, Hidden, gradients, record_of, secret_runs, secrets
from tests.unit.report.test_sections import column, spaced, table

from holdfast.core.claim import Verdict
from holdfast.core.evidence import Estimate, Evidence
from holdfast.report import Document, front, gather, html, model_card
from holdfast.report.extraction import reading
from holdfast.report.extraction.secrets import extraction
from holdfast.report.leakage import leakage
from holdfast.report.sections import others
from holdfast.report.view import Section
from holdfast.runs import json_text

pytestmark = pytest.mark.slow

PIN = SECRETS["non-private"][0]


@pytest.fixture(scope="module")
def two() -> Document:
    return gather(secret_runs(), title="t")


@pytest.fixture(scope="module")
def drawn(two: Document) -> str:
    return html.render(two)


def of(*hidden: Hidden, name: str = "a", **fields: object) -> Document:
    return gather([secrets(name, hidden, **fields)], title="t")


def section(document: Document) -> Section:
    found = extraction(document, drawn=False)
    assert found is not None
    return found


def without(document: Document, *names: str) -> Document:
    kept = tuple(one for one in document.evidence.estimates if one.name not in names)
    return replace(document, evidence=replace(document.evidence, estimates=kept))


def test_runs_without_secrets_have_no_such_part(four: Document):
    assert extraction(four) is None
    assert reading.planted(four) == ()
    assert front.support(four) == front.leakage_sentence(four)


def test_the_order_of_the_page(two: Document, drawn: str):
    assert re.findall(r'<h2 id="(\w+)"', drawn) == [
        *("runs", "training", "leakage", "extraction", "gradients", "federation", "fairness", "mitigation", "limits", "reproduce"),
    ]
    assert others(two) is None


def test_each_secret_of_each_run_is_read_once_with_its_search(two: Document):
    found = reading.planted(two)
    assert [secret.name for secret in found if secret.run == 0] == [
        *("pin, 4 words, planted 100 times", "call, 4 words, planted 10 times", "color, 4 words, planted once"),
    ]
    assert [secret.control for secret in found] == [False] * 6 + [True]
    assert [secret.whole for secret in found] == [True, False, False, False, False, False, None]
    first = found[1]
    assert (first.rank, first.space, first.searches[0].variant, first.searches[0].queries) == (3, 10_000, "gumbel", 4_800)
    assert first.exposure == pytest.approx(11.702, abs=1e-3)
    assert first.most == pytest.approx(13.288, abs=1e-3)
    assert (first.expected, first.cap, found[3].cap) == (1.443, None, 9.5)
    assert first.fills is not None


def test_secrets_of_one_name_that_nothing_tells_apart_are_numbered_and_kept():
    twice = of(PIN, replace(PIN, rank=70), searched=False)
    assert [(secret.name, secret.rank) for secret in reading.planted(twice)] == [
        ("pin, 4 words, planted 100 times", 1),
        ("pin 2, 4 words, planted 100 times", 70),
    ]


def test_two_searches_for_one_secret_stand_beside_each_other():
    other = secrets("a", (replace(PIN, found="four one seven six"),)).estimates
    softmax = tuple(replace(one, conditions={**one.conditions, "variant": "softmax"}) for one in other if one.name in reading.SEARCH)
    document = gather([secrets("a", (PIN,)) + Evidence(estimates=softmax)], title="t")
    (secret,) = reading.planted(document)
    assert [(search.variant, search.whole, search.wrong) for search in secret.searches] == [("gumbel", True, 0.0), ("softmax", False, 0.25)]
    assert secret.whole is True
    found = table(section(document), "What the search put together")
    assert column(found, "Words right") == ["4 of 4", "3 of 4"]


def test_a_random_search_of_no_variant_stands_beside_each_search():
    plain = tuple(
        replace(one, conditions={key: value for key, value in one.conditions.items() if key not in ("variant", "found", "truth")})
        if one.name.startswith("random")
        else one
        for one in secrets("a", (PIN,)).estimates
    )
    (secret,) = reading.planted(gather([Evidence(estimates=plain)], title="t"))
    assert [search.variant for search in secret.searches] == ["gumbel"]
    assert secret.searches[0].figures["random_search_hamming"].value == 0.5


def test_space_and_most_follow_from_the_words_where_the_evidence_does_not_say():
    bare = tuple(
        replace(one, conditions={key: value for key, value in one.conditions.items() if key not in ("space", "most", "null_mean")})
        for one in secrets("a", (PIN,), searched=False).estimates
    )
    (secret,) = reading.planted(gather([Evidence(estimates=bare)], title="t"))
    assert secret.space == 10_000
    assert secret.most == pytest.approx(13.288, abs=1e-3)
    assert secret.expected == pytest.approx(1.4427, abs=1e-4)


def test_the_finding_counts_and_says_what_the_search_missed(two: Document):
    assert section(two).finding == (
        "Of 3 secrets planted in non-private, 2 are among the likeliest 0.5% of all fills, against 0 of 3 in dp-sgd-eps-2; a search in "
        "non-private found 1 of 3 whole. Where the search fails the secret may still be there: one that it missed has rank 3 of 10,000."
    )


@pytest.mark.parametrize(
    ("hidden", "finding"),
    [
        ([PIN], "The secret planted in a is among the 50 likeliest of 10,000 fills; a search found it whole."),
        ([replace(PIN, rank=50)], "The secret planted in a is among the 50 likeliest of 10,000 fills; a search found it whole."),
        ([replace(PIN, rank=51)], "The secret planted in a is not among the 50 likeliest of 10,000 fills; a search found it whole."),
        (
            [replace(PIN, rank=2, found="a b c d")],
            "The secret planted in a is among the 50 likeliest of 10,000 fills; a search did not find it. "
            "Where the search fails the secret may still be there: one that it missed has rank 2 of 10,000.",
        ),
        (
            [replace(PIN, rank=9_000, found="a b c d"), replace(PIN, name="call", rank=4_000, found="a b c d")],
            "Of 2 secrets planted in a, none is among the 50 likeliest of 10,000 fills; a search found 0 of 2 whole.",
        ),
        (
            [Hidden(name="digit", rank=1, found="one", truth="one"), Hidden(name="other", rank=2, found="one", truth="two")],
            "Of 2 secrets planted in a, 1 is the likeliest of all fills; a search found 1 of 2 whole.",
        ),
    ],
)
def test_the_finding_is_true_of_other_numbers(hidden: list[Hidden], finding: str):
    assert section(of(*hidden)).finding == finding


def test_the_finding_without_a_search_or_without_ranks(two: Document):
    assert section(of(PIN, searched=False)).finding.endswith("; no search was made for them.")
    blind = without(two, *reading.RANKING, reading.TOGETHER)
    assert section(blind).finding == (
        "Of the planted secrets a search found 1 of 3 in non-private and 0 of 3 in dp-sgd-eps-2 whole; how they rank among all fills "
        "was not measured."
    )
    assert [figure.empty != "" for figure in (extraction(blind) or section(blind)).figures[:2]] == [True, True]


def test_controls_are_no_secrets_of_the_finding_and_have_a_sentence_of_their_own(two: Document):
    points = section(two).points
    assert [point.lead for point in points] == ["non-private:", "dp-sgd-eps-2:", "dp-sgd-eps-2, controls:"]
    assert points[2].text == "a secret that was never planted has rank 5,123 of 10,000; any rank is as likely as any other."
    alone = section(of(CONTROL, searched=False))
    assert alone.finding == "No planted secret could be attacked; how they rank among all fills was not measured."


def test_the_points_hold_exposure_chance_search_and_bound(two: Document):
    first, second = (spaced(point.text) for point in section(two).points[:2])
    assert first == (
        "a mean exposure of 10.5 bits, where a model that knows nothing gives 1.44. 2 of 3 rank higher than chance explains "
        "(all together: p = 3e-4, Simes). The search found 1 of 3 whole, random fills with as many queries 0 of 3. "
        "The best rank proves ε ≥ 1.59 per example."
    )
    assert " 0 of 3 lie beyond what the promise allows, with a chance of 2% at most for each if it holds. 0 of 3 rank higher" in second
    assert second.endswith("No rank proves an ε above 0, where ε = 2 is promised.")
    assert "of at most 13.3, where" in section(of(PIN)).points[0].text


def test_a_secret_beyond_its_cap_is_counted():
    over = section(of(replace(PIN, rank=13), replace(PIN, name="call", rank=14), cap=math.log2(10_000 / 14)))
    assert "1 of 2 lie beyond what the promise allows" in over.points[0].text, "at the cap is not beyond it"


def test_a_promise_that_excludes_nothing_is_told_as_such():
    weak = section(of(PIN, cap=math.log2(10_000)))
    assert "The promise is too weak, or the copies are too many, to exclude any exposure." in weak.points[0].text
    assert table(weak, "Every secret").rows[0][6].notes == ("promise excludes none",)


def test_a_verdict_that_is_not_the_one_that_counts_is_told_too(two: Document):
    name = "dp-sgd-eps-2"
    more = Verdict(subject=name, outcome="not testable", reason="Too many copies.", level=0.95)
    document = replace(two, evidence=replace(two.evidence, verdicts=(*two.evidence.verdicts, more)))
    assert section(document).points[-1].lead == f"{name}, by another test: not testable."
    assert section(document).points[-1].text == "Too many copies."
    assert "Too many" not in str(leakage(document, drawn=False).points)
    assert not [point for point in section(two).points if "another test" in point.lead]


def test_a_missing_value_gives_its_reason():
    lost = tuple(
        replace(one, value=None, missing="the fills were not enumerated") if one.name in ("secret_rank", "secret_exposure") else one
        for one in secrets("a", (PIN,)).estimates
    )
    found = section(gather([Evidence(estimates=lost)], title="t"))
    assert "Not everything could be measured: the fills were not enumerated." in found.points[0].text
    every = table(found, "Every secret")
    assert (every.rows[0][4].tone, every.rows[0][4].hint[:29]) == ("missing", "The fills were not enumerated")
    none = tuple(replace(one, value=None, missing="no white-box access") for one in secrets("a", (PIN,)).estimates)
    assert section(gather([Evidence(estimates=none)], title="t")).tone == "missing"


def test_the_tables_hold_every_secret_and_search(two: Document):
    found = section(two)
    every = table(found, "Every secret")
    assert column(every, "Rank") == ["1", "3", "212", "874", "5,120", "16,201", "5,123"]
    assert column(every, "Exposure")[:2] == ["13.3 bits", "11.7 bits"]
    assert column(every, "Against non-private") == ["–", "–", "–", "−9.77", "−10.7", "−6.26", "–"]
    assert column(every, "Planted") == ["100×", "10×", "1×", "100×", "10×", "1×", "never (control)"]
    assert column(every, "Promised ε") == ["none"] * 3 + ["2"] * 4
    assert every.rows[3][6].notes == ("promise allows 9.5",)
    assert every.rows[1][-2].notes == ("of 0.621 provable",)
    search = table(found, "The search")
    assert column(search, "Found whole") == ["yes", "no", "no", "no", "no", "no"]
    assert column(search, "Optimiser gap")[1] == "0.042"
    examples = table(found, "What the search put together")
    assert column(examples, "Found")[0] == "four one seven two"
    assert "invented and planted for this test" in examples.text
    assert {row[0].text for row in table(found, "How these numbers were measured").rows} >= {"Exposure", "Optimiser gap"}


def test_one_run_is_held_against_nothing():
    assert "Against a" not in table(section(of(PIN)), "Every secret").columns


def test_no_quantity_shows_its_raw_name(two: Document, drawn: str):
    for page in (drawn, model_card.render(two).replace("\\_", "_")):
        for name in (*reading.RANKING, *reading.SEARCH, reading.TOGETHER, reading.FILLS, "token_f1", "gradient_rank"):
            assert name not in page


def test_holm_counts_the_secrets_that_were_planted():
    names = ("b", "c", "d")
    low = [replace(PIN, rank=33), *(replace(PIN, name=name, rank=5_000) for name in names)]
    assert len(reading.standing_out(reading.planted(of(*low, searched=False)))) == 0, "4 x .0033 is above .01"
    assert len(reading.standing_out(reading.planted(of(*low[:3], searched=False)))) == 1, "3 x .0033 is not"
    controls = [replace(CONTROL, rank=1, name=name) for name in names]
    assert [one.name for one in reading.standing_out(reading.planted(of(low[0], *controls, searched=False)))] == [
        "pin, 4 words, planted 100 times"
    ]


def test_holm_steps_down():
    ranks = (25, 33, 50, 101)
    hidden = [replace(PIN, name=f"s{rank}", rank=rank) for rank in ranks]
    found = reading.standing_out(reading.planted(of(*hidden, searched=False)))
    assert [one.rank for one in found] == [25, 33, 50], ".0025 x 4, .0033 x 3, .005 x 2 pass, .0101 x 1 does not"


def test_rank_one_of_few_fills_is_no_finding():
    few = of(Hidden(name="digit", rank=1, found="one", truth="one"))
    assert reading.secrets_sentence(few) == ""


def test_the_first_screen_speaks_of_secrets_that_stand_out(two: Document, drawn: str):
    said = "Of secrets that were planted, 2 of 3 on non-private rank higher among all their fills than chance explains."
    assert front.support(two).endswith(said)
    assert said in drawn
    assert "stand out" not in front.tiles(two)[1].text, "the tile speaks of runs with a promise"
    assert front.tiles(two)[1].tone == "good"


def test_a_private_run_that_gives_a_secret_away_has_no_green_tile():
    private = record_of(RUNS[3])
    document = gather([replace(private, evidence=private.evidence + secrets(private.name, (PIN, *SECRETS[private.name][1:])))], title="t")
    tile = front.tiles(document)[1]
    assert (tile.tone, tile.text.endswith(" Of 3 secrets planted in dp-sgd-eps-2, 1 stands out.")) == ("caution", True)


def test_without_a_membership_attack_the_page_does_not_say_that_no_attack_was_run(unpromised: Document):
    found = of(PIN, replace(PIN, name="call", rank=4_000), name="non-private")
    assert front.leakage_sentence(found).startswith("No membership attack was run")
    tile = front.tiles(found)[1]
    assert (tile.headline, tile.tone, tile.status) == ("1 of 2 secrets", "caution", "secrets stand out")
    quiet = front.tiles(of(replace(PIN, rank=4_000)))[1]
    assert (quiet.headline, quiet.tone, quiet.text) == ("not measured", "missing", "No membership attack was run.")
    assert front.tiles(gather([gradients("a")], title="t"))[1].text == "No membership attack was run."


def test_the_part_on_leakage_is_as_it_was(two: Document):
    """Neither attacks on secrets nor on gradients are attacks on members."""
    bare = gather([record_of(RUNS[0]), record_of(RUNS[3])], title="t")
    assert leakage(two) == leakage(bare)
    assert [two.attacks(name) for name in two.names] == [("loss threshold",)] * 2
    assert [two.strongest(name) for name in two.names] == ["loss threshold"] * 2
    assert front.overview(two) == front.overview(bare)


def test_what_all_secrets_say_together_is_not_lost_where_it_stands_alone():
    joint = next(one for one in secrets("a", (PIN,)).estimates if one.name == reading.TOGETHER)
    document = gather([Evidence(estimates=(joint,))], title="t")
    assert extraction(document) is None
    rest = others(document)
    assert rest is not None
    assert rest.tables[0].rows[0][1].text.startswith("p\N{NON-BREAKING HYPHEN}value of all secrets")


def test_a_quantity_of_that_name_from_elsewhere_stays_among_the_others():
    elsewhere = Estimate(name="token_f1", subject="a", value=0.5, unit="share", direction="higher is better")
    rest = others(gather([Evidence(estimates=(elsewhere,))], title="t"))
    assert rest is not None
    assert rest.tables[0].rows[0][1].text == "Token F1"


def test_the_page_is_drawn_from_the_stored_evidence(two: Document, drawn: str):
    stored = Document.from_json(json.loads(json_text(two.to_json())))
    assert stored == two
    assert html.render(stored) == drawn


def test_the_card_has_both_parts(two: Document, four: Document):
    card = model_card.render(two)
    headings = [line[3:] for line in card.split("\n") if line.startswith("## ")]
    assert headings[6:9] == ["Leakage", "Extraction of planted secrets", "Gradients of federated rounds"]
    assert "### Every secret" in card
    assert "### Every method under every setting" in card
    assert "### The search\n" not in card
    assert "\n\n\n" not in card
    assert "Extraction of planted" not in model_card.render(four)


HOSTILE = "<script>alert(1)</script>"


def test_what_was_planted_and_found_is_escaped():
    evil = Hidden(name=HOSTILE, rank=2, found=f"{HOSTILE} \u202eb", truth=f"{HOSTILE} b")
    document = of(evil, name=HOSTILE)
    page = html.render(document)
    assert HOSTILE not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in model_card.render(document).replace("\\<script", "")
