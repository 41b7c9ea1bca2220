"""Training across clients on the page: who took part, whom it serves and what it cost is read off the numbers."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.reporting import RUNS, record_of
from tests.reporting_federated import CROWDS, TWICE, Crowd, federated_evidence, federated_record, federated_runs
from tests.unit.report.test_sections import column, table

from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.report import Document, front, gather, html, model_card, numbers
from holdfast.report.federation import reading
from holdfast.report.federation.section import federation
from holdfast.report.federation.tables import SETTINGS
from holdfast.report.sections import absent, limits, others, training
from holdfast.report.view import Section

UNIFORM, ROOT, CONTINUAL = (crowd.name for crowd in CROWDS)
HOSTILE = "<b>&amp;\"'</b>"


@pytest.fixture(scope="module")
def document() -> Document:
    return gather(federated_runs(), title="Across clients")


@pytest.fixture(scope="module")
def found(document: Document) -> tuple[reading.Federated, ...]:
    return reading.runs(document)


@pytest.fixture(scope="module")
def hostile() -> Document:
    crowd = Crowd(name=HOSTILE, tau=0.5, accuracy=0.7, skew=0.1, weighting=HOSTILE, trainable=HOSTILE, compression=HOSTILE, left_out=1)
    return gather(federated_runs(crowd), title="t")


@pytest.fixture(scope="module")
def page(hostile: Document) -> str:
    return html.render(hostile)


def section(document: Document) -> Section:
    made = federation(document, drawn=False)
    assert made is not None
    return made


def spaced(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NON-BREAKING HYPHEN}", "-")


def of(*estimates: Estimate, curves: tuple[Curve, ...] = (), notes: tuple[str, ...] = ()) -> Document:
    return gather([Evidence(estimates=estimates, curves=curves, notes=notes)], title="t")


def one(
    name: str, value: float | None, *, subject: str = "a", half: float | None = None, unit: str = "share", **conditions: object
) -> Estimate:
    interval = None if half is None or value is None else Interval(low=value - half, high=value + half, level=0.95, method="m")
    fields = {"unit": unit, "direction": "higher is better", "interval": interval, "missing": None if value is not None else "lost"}
    return Estimate(name=name, subject=subject, value=value, conditions=conditions, **fields)


def without(document: Document, *names: str) -> Document:
    """The document without some quantities and curves."""
    kept = document.evidence
    estimates = tuple(estimate for estimate in kept.estimates if estimate.name not in names)
    curves = tuple(curve for curve in kept.curves if curve.name not in names)
    return replace(document, evidence=replace(kept, estimates=estimates, curves=curves))


def test_runs_that_saw_no_client_have_no_such_part(four: Document):
    assert federation(four) is None
    assert reading.runs(four) == ()
    assert absent()[0].title == "Federation"


def test_the_part_takes_the_place_of_the_word_that_it_is_absent(document: Document, page: str):
    assert re.findall(r'<h2 id="([^"]+)"', page)[1:] == [
        "training",
        "leakage",
        "federation",
        "fairness",
        "mitigation",
        "limits",
        "reproduce",
    ]
    assert [part.name for part in absent(["Federation"])] == ["fairness", "mitigation"]
    assert section(document).tone == "plain"


def test_the_finding_says_how_many_how_they_compare_and_whom_they_serve(document: Document):
    assert section(document).finding == (
        "3 runs were trained across 1,204 clients: activity^1, continual reaches 73.5% (71.8–75.2%) accuracy and uniform 71.2% "
        "(69.5–72.9%), a difference of +2.3 points (−0.1 to +4.7), which these test examples cannot tell from none; from the lightest "
        "tenth of clients to the heaviest the mean accuracy goes from 61% to 82.0% under activity^1, continual, and from 67% to 71.2% "
        "(no difference can be seen) under uniform."
    )


def test_a_difference_that_can_be_seen_is_not_doubted():
    far = gather(federated_runs(CROWDS[0], replace(CROWDS[1], accuracy=0.80)), title="t")
    assert "a difference of +8.8 points (+6.4 to +11.2); from the lightest" in section(far).finding
    assert "cannot tell" not in section(far).finding


def test_one_run_is_told_by_name():
    alone = gather(federated_runs(CROWDS[1]), title="t")
    assert section(alone).finding == (
        "activity^0.5 was trained across 1,204 clients and reaches 73.1% (71.4–74.8%) accuracy; from the lightest tenth of clients to the "
        "heaviest the mean accuracy goes from 66% to 76.6%."
    )


def test_the_finding_of_little_evidence(document: Document):
    few = without(document, "accuracy", "client_score_decile", "clients")
    assert section(few).finding == "3 runs were trained across clients; no score of the whole was measured."
    lonely = gather([federated_record(CROWDS[0]), replace(federated_record(CROWDS[1]), evidence=Evidence())], title="t")
    assert section(lonely).finding.startswith(
        "2 runs were trained across 1,204 clients: uniform reaches 71.2% (69.5–72.9%) accuracy, the others were not measured; from"
    )


def test_where_lower_is_better_the_lowest_is_the_best():
    def perplexed(subject: str, value: float) -> list[Estimate]:
        told = [one("perplexity", value, subject=subject, unit="ratio")]
        told.append(one("client_score_decile", value + 1, subject=subject, unit="ratio", decile=1, measure="perplexity"))
        return [replace(estimate, direction="lower is better") for estimate in told]

    assert "b reaches 3 perplexity and a 5" in section(of(*perplexed("a", 5.0), *perplexed("b", 3.0))).finding


def test_clients_are_counted_once_or_from_least_to_most(found: tuple[reading.Federated, ...]):
    assert reading.across(found) == "1,204 clients"
    assert reading.across(()) == ""
    two = reading.runs(
        of(
            *(one(name, value, subject=s, unit="clients") for s, value in (("a", 30.0), ("b", 7.0)) for name in ("clients",)),
            one("activity_gini", 0.1, subject="a"),
            one("activity_gini", 0.1, subject="b"),
        )
    )
    assert reading.across(two) == "7 to 30 clients"


def test_each_run_says_who_took_part(document: Document):
    said = {point.lead: spaced(point.text) for point in section(document).points}
    assert said[f"{ROOT}:"] == (
        "50 of 1,204 clients in a round; selection: activity, tau 0.5; weights: examples; 40 rounds of fedavg. A client of the lightest "
        "tenth took part in 0.3 rounds on average, one of the heaviest in 3; the Gini index of participation is 0.32, that of activity "
        "0.61. By accuracy the worst-served client has 11.1% and a tenth of all have 36.6% or worse. Updates left out: 3 (not finite)."
    )
    assert "40 rounds of fedavg, period by period." in said[f"{CONTINUAL}:"]
    assert "On texts of the next period it scores 67.5% (65.5–69.5%)." in said[f"{CONTINUAL}:"]
    assert "Forgetting, the best past score less the present one, is +3.4 points on average over the periods." in said[f"{CONTINUAL}:"]
    assert said[f"{CONTINUAL}:"].endswith("differs by +1.2 points (−0.3 to +2.7), which these test examples cannot tell from none.")
    assert "next period" not in said[f"{UNIFORM}:"]
    assert [point.run for point in section(document).points] == [0, 1, 2, None]


def test_notes_on_selection_stand_beside_the_figures_and_among_the_limits(document: Document):
    assert section(document).points[-1].text == TWICE
    assert TWICE in [point.text for point in limits(document).points]
    uniform = gather(federated_runs(CROWDS[0]), title="t")
    assert TWICE not in [point.text for point in section(uniform).points]


def test_settings_as_a_run_records_them_are_read_by_name_and_option():
    told = {
        "select": {"strategy": "activity", "tau": 0.5, "sampling": "poisson", "signal": None},
        "weighting": {"weighting": "capped", "cap": 30},
        "availability": None,
        "clock": {"schedule": "static", "rounds": 24},
    }
    assert reading.selection(told) == "activity, tau 0.5, sampling poisson"
    assert reading.weighting(told) == "capped, cap 30"
    record = replace(federated_record(CROWDS[0]), settings={"federation": told})
    assert column(table(section(gather([record], title="t")), SETTINGS), "Other settings") == ["clock schedule static, rounds 24"]


def test_rounds_and_clients_that_were_left_out_are_not_mixed_up():
    lost = [
        one("clients_left_out", 2.0, unit="rounds", reason="nobody drawn"),
        one("clients_left_out", 5.0, unit="clients", reason="failed"),
    ]
    (point,) = section(of(*lost)).points
    assert point.text == "Updates left out: 2 rounds (nobody drawn) and 5 (failed)."


@pytest.mark.parametrize(
    ("note", "shown"),
    [
        ("Selection follows activity.", True),
        ("top-k favours active clients and the weights are examples (n), so they count twice.", True),
        ("activity draws clients in proportion to n: the update is unbiased, and nobody counts twice.", True),
        ("The population was simulated in one place.", False),
    ],
)
def test_what_selection_and_weights_do_together_is_shown_beside_the_figures(note: str, shown: bool):
    document = of(one("participation_gini", 0.3, unit="index"), notes=(note,))
    assert (note in [point.text for point in section(document).points]) == shown


def test_a_run_without_settings_is_known_by_its_evidence():
    bare = gather([federated_evidence(CROWDS[0])], title="t")
    (only,) = reading.runs(bare)
    assert (only.settings, only.clients, only.continual) == ({}, 1_204, False)
    assert SETTINGS in [made.title for made in section(bare).tables]


def test_a_run_that_left_nothing_but_settings_is_shown():
    bare = gather([replace(federated_record(CROWDS[0]), evidence=Evidence())], title="t")
    assert section(bare).finding == "uniform was trained across clients; no score of the whole was measured."
    assert [made.title for made in section(bare).tables] == [SETTINGS]
    drawn = federation(bare)
    assert drawn is not None
    assert drawn.figures == ()


def test_of_a_mixed_page_only_the_runs_across_clients_are_spoken_of():
    mixed = gather([record_of(RUNS[0]), federated_record(CROWDS[1])], title="t")
    (only,) = reading.runs(mixed)
    assert (only.run, only.name) == (1, ROOT)
    assert section(mixed).points[0].run == 1
    assert front.lead(mixed).startswith("Trained in part across 1,204 clients, and nothing is promised: no run bounds")


def test_names_that_others_may_bear_are_shown_elsewhere_where_no_run_is_federated():
    document = of(one("clients", 3.0, unit="clients"), one("forgetting", None))
    assert reading.runs(document), "forgetting is a word of this part"
    plain = of(one("clients", 3.0, unit="clients"))
    assert reading.runs(plain) == ()
    made = others(plain)
    assert made is not None
    assert made.tables[0].rows[0][1].text == "Clients"


def test_no_figure_of_a_federated_run_is_left_to_the_other_measurements(document: Document):
    assert others(document) is None
    more = replace(document, evidence=document.evidence + Evidence(estimates=(one("gender_gap", 0.1, subject=UNIFORM),)))
    made = others(more)
    assert made is not None
    assert [row[1].text for row in made.tables[0].rows] == ["Gender gap"]


def test_every_estimate_stands_among_the_methods(document: Document):
    told = {row[0].text for row in table(section(document), "How these numbers were measured").rows}
    shown = reading.shown(document)
    assert {numbers.label(estimate) for estimate in document.evidence.estimates if shown(estimate)} == told
    assert len(told) == len({estimate.name for estimate in document.evidence.estimates} - {"accuracy", "epsilon"})


def test_the_settings_stand_in_a_row(document: Document):
    made = table(section(document), SETTINGS)
    assert column(made, "Run") == [UNIFORM, ROOT, CONTINUAL]
    assert column(made, "Selection") == ["uniform", "activity, tau 0.5", "activity, tau 1"]
    assert column(made, "Schedule") == ["static", "static", "continual"]
    assert column(made, "Clients") == ["1,204"] * 3
    assert column(made, "Examples") == ["18,212"] * 3
    assert column(made, "Split by") == ["users"] * 3
    assert column(made, "Other settings") == ["–"] * 3
    own = federated_record(CROWDS[0])
    own = replace(
        own, settings={"federation": {**own.settings["federation"], "clip_norm": 1.0, "weighting": {"name": "capped", "cap": 30}}}
    )
    made = table(section(gather([own], title="t")), SETTINGS)
    assert (column(made, "Other settings"), column(made, "Weights")) == (["clip norm 1"], ["capped, cap 30"])


def test_the_rounds_of_the_table_are_about_a_dozen_and_hold_the_last(document: Document):
    made = table(section(document), "Score and loss by round")
    assert made.columns[:3] == ("Round", f"{UNIFORM}, accuracy", f"{ROOT}, accuracy")
    assert made.columns[-1] == f"{CONTINUAL}, loss"
    rounds = column(made, "Round")
    assert (rounds[0], rounds[-1]) == ("1", "40")
    assert len(rounds) <= 13
    assert column(made, f"{UNIFORM}, accuracy")[-1] == "67.9%"
    late = replace(document.evidence.curves[0], subject=ROOT, x=(41.0,), y=(0.5,))
    other = replace(document, evidence=replace(document.evidence, curves=(*document.evidence.curves[:1], late)))
    assert column(table(section(other), "Score and loss by round"), f"{UNIFORM}, loss")[-1] == "–"


def test_deciles_stand_with_their_counts(document: Document):
    made = table(section(document), "By decile of activity")
    assert len(made.rows) == 3 * 10
    first, last = made.rows[10], made.rows[19]
    assert [cell.text for cell in first][:5] == [ROOT, "1", "120", "40", "0.302"]
    assert [cell.text for cell in last][:5] == [ROOT, "10", "120", "4000", "3.02"]
    assert made.columns[-1] == "Mean accuracy"
    assert sum(float(cell.text.rstrip("%")) for cell in (row[5] for row in made.rows[10:20])) == pytest.approx(100, abs=0.2)


def test_percentiles_stand_with_the_worst_first(document: Document):
    made = table(section(document), "Score of a client at a percentile")
    assert made.columns[:5] == ("Run", "Worst", "10th percentile", "Median", "90th percentile")
    assert [cell.text for cell in made.rows[0]] == [UNIFORM, "9.2%", "38.2%", "73.2%", "91.2%", "911", "5"]


def test_lorenz_curves_stand_as_shares(document: Document):
    made = table(section(document), "Activity and participation")
    assert column(made, "Of") == ["activity", UNIFORM, ROOT, CONTINUAL]
    assert column(made, "Gini index") == ["0.61", "0.12", "0.32", "0.52"]
    halves = [float(text.rstrip("%")) for text in column(made, "Lowest 50% of clients hold")]
    assert halves == [pytest.approx(100 * 0.5**power, abs=0.1) for power in (4.1, 1.15, 1.95, 2.75)]


def test_what_is_sent_stands_with_what_was_left_out(document: Document):
    made = table(section(document), "What is sent, and what was left out")
    assert column(made, "What is sent") == ["whole model, not compressed"] * 2 + ["trained part: head, compressed: int8"]
    assert column(made, "Bytes up, one client and round") == ["2.6 MB", "2.6 MB", "16.2 kB"]
    assert column(made, "Bytes sent down in all") == ["5.2 GB", "5.2 GB", "130 MB"]
    assert column(made, "Updates left out") == ["none", "3 (not finite)", "none"]


def test_distances_stand_for_each_client_of_the_map(document: Document):
    made = table(section(document), "Distances between clients")
    assert len(made.rows) == 24
    assert made.text == "Mean of 2000 pairs over all clients: 0.53, by labels."
    for row in made.rows:
        least, mean, most = (float(cell.text) for cell in row[1:])
        assert least <= mean <= most


def test_periods_stand_before_and_after(document: Document):
    made = table(section(document), "The score on the texts of each period")
    assert len(made.rows) == 4 + 15
    assert [cell.text for cell in made.rows[0]] == [CONTINUAL, "before it", "2", "66%"]
    assert [cell.text for cell in made.rows[8]] == [CONTINUAL, "after period 5", "1", "70.5%"]
    short = table(section(document), "Period by period, in short")
    assert [cell.text for cell in short.rows[0]] == [CONTINUAL, "67.5%", "+3.4 points", "+1.2 points"]
    static = gather(federated_runs(CROWDS[0]), title="t")
    assert not {"Period by period, in short", "The score on the texts of each period"} & {made.title for made in section(static).tables}


def test_every_table_has_one_width_and_a_row(document: Document):
    for made in section(document).tables:
        assert made.rows, made.title
        assert {len(row) for row in made.rows} == {len(made.columns)}, made.title


def test_the_first_screen_speaks_of_clients(document: Document, four: Document):
    assert front.lead(document) == (
        "Trained across 1,204 clients, and nothing is promised: no run bounds what its model gives away about a single training example."
    )
    assert ("Clients", "1,204") in front.facts(document)
    assert "Clients" not in dict(front.facts(four))
    unknown = gather([replace(federated_record(CROWDS[0]), evidence=Evidence())], title="t")
    assert front.lead(unknown).startswith("Trained across clients, and no promise is on record: no run bounds")


def test_a_promise_of_a_federated_run_speaks_first(claim: Callable[..., PrivacyClaim]):
    record = federated_record(CROWDS[0])
    record = replace(record, evidence=record.evidence + Evidence(claims=(claim(2.0, subject=UNIFORM, unit="user"),)))
    assert front.lead(gather([record], title="t")).startswith("Whoever sees this model reaches any given conclusion about one user")


def test_an_epoch_that_nobody_counted_is_no_gap_in_a_federated_run(document: Document, unpromised: Document):
    assert [figure.name for figure in training(document).figures] == ["tradeoff"]
    assert len(training(unpromised).figures) == 3
    assert training(document, drawn=False).figures == ()


def test_the_card_has_the_part_and_what_was_sent(document: Document, four: Document):
    card = model_card.render(document)
    assert "## Federation\n\n3 runs were trained across 1,204 clients" in card
    assert f"### {SETTINGS}" in card
    assert "- Not measured: fairness, mitigation and rewriting." in card
    assert "- Not measured: federation, fairness, mitigation and rewriting." in model_card.render(four)
    assert "## Federation" not in model_card.render(four)


def test_the_same_evidence_gives_the_same_part_from_its_json(document: Document):
    assert section(Document.from_json(document.to_json())) == section(document)


def test_what_a_user_named_is_escaped(page: str):
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;amp;" in page


@pytest.mark.parametrize(
    ("name", "unit", "value", "shown"),
    [
        ("bytes_up", "bytes", 5.2e9, "5.2 GB"),
        ("bytes_down_per_client", "bytes", 16_249.0, "16.2 kB"),
        ("bytes_up", "bytes", 999_999.0, "1 MB"),
        ("bytes_up", "bytes", 17.0, "17 bytes"),
        ("clients", "clients", 18_212.0, "18,212"),
        ("forgetting", "share", 0.034, "+3.4 points"),
        ("static_gap", "share", -0.01, "−1 points"),
        ("static_gap", "nats", -0.01, "−0.01 nats"),
        ("client_score_decile", "share", 0.61, "61%"),
        ("client_score_percentile", "ratio", 12.5, "12.5"),
        ("participation_gini", "index", 0.3216, "0.322"),
    ],
)
def test_each_quantity_is_written_in_its_unit(name: str, unit: str, value: float, shown: str):
    assert numbers.written(one(name, value, unit=unit)).full == shown.removesuffix(" nats")


def test_the_measure_is_that_of_the_clients_where_it_was_measured_on_all():
    found = of(one("accuracy", 0.7), one("macro_f1", 0.6), one("client_score_decile", 0.5, measure="macro_f1", decile=1))
    assert reading.main_score(found, "macro_f1") == "macro_f1"
    assert reading.main_score(found, "never_measured") == "accuracy"
    assert reading.runs(found)[0].measure == "macro_f1"


def test_what_has_no_value_is_as_good_as_absent():
    lost = of(
        one("participation_gini", None), one("client_score_decile", None, decile=3), one("client_score_percentile", None, percentile=0)
    )
    (only,) = reading.runs(lost)
    assert (only.estimate("participation_gini"), only.deciles("client_score_decile"), only.percentiles()) == (None, {}, {})
    assert section(lost).finding.startswith("a was trained across clients")


def test_deciles_come_in_order_whatever_the_order_of_the_evidence():
    shuffled = of(*(one("participation_decile", float(decile), decile=decile) for decile in (10, 1, 5)))
    assert list(reading.runs(shuffled)[0].deciles("participation_decile")) == [1, 5, 10]
