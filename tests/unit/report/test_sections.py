"""Each section opens with what was found and holds every number that it rests on."""

from collections.abc import Callable
from dataclasses import replace

from tests.reporting import RUNS, record_of, usefulness
from tests.reporting import leakage as leaked

from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.report import Document, gather, view
from holdfast.report.leakage import leakage
from holdfast.report.sections import absent, limits, others, reproduction, sections, training

Make = Callable[..., Document]


def spaced(text: str) -> str:
    """The text with ordinary blanks and hyphens."""
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NON-BREAKING HYPHEN}", "-")


def table(section: view.Section, title: str) -> view.Table:
    return next(found for found in section.tables if found.title == title)


def column(found: view.Table, head: str) -> list[str]:
    place = found.columns.index(head)
    return [row[place].text for row in found.rows]


def test_the_order_of_the_page(four: Document):
    assert [section.title for section in sections(four)] == [
        "Training and promise",
        "Leakage",
        "Federation",
        "Fairness",
        "Mitigation and rewriting",
        "What this does not show",
        "How to reproduce",
    ]


def test_every_section_opens_with_a_sentence(four: Document):
    for section in sections(four):
        assert section.finding.endswith(".")
        assert len(section.finding) > 20


def test_the_finding_on_training_compares_with_the_baseline(four: Document, alone: Document):
    assert spaced(training(four, drawn=False).finding) == (
        "The best run with a promise, dp-sgd (ε = 8), reaches 95.7% (93.9–97.0%) intent accuracy, −2.2 points (−4.2 to −0.3) against "
        "non-private, and takes 1.67 times as long for an epoch."
    )
    assert spaced(training(alone, drawn=False).finding) == "The run dp-sgd (ε = 8) reaches 95.7% (93.9–97.0%) intent accuracy."


def test_no_score_is_told_as_such():
    found = training(gather([leaked(RUNS[0], None)], title="t"), drawn=False)
    assert found.finding == "The usefulness of the runs was not measured."


def test_the_promises_stand_in_full(four: Document):
    found = table(training(four, drawn=False), "The promises in full")
    assert found.columns == ("Property", "edp-sgd", "dp-sgd", "dp-sgd-eps-2")
    values = {row[0].text: [cell.text for cell in row[1:]] for row in found.rows}
    assert values["ε"] == ["31.7", "8", "2"]
    assert values["Kind"] == ["proved"] * 3
    assert values["Strength"] == ["very weak", "weak", "moderate"]
    assert values["TPR allowed at 1% FPR"] == ["100%", "100%", "7.38%"]
    assert values["Other accounts"][0].startswith("34.6 (second opinion: RDP of dp-accounting 0.6.0); 5.83 (naive: takes micro-batch")


def test_conditions_that_all_share_stand_once_and_naive_accounting_is_named(four: Document, promised: Make):
    points = training(four, drawn=False).points
    assert [point.lead for point in points] == ["All of them:", "edp-sgd:"]
    assert points[0].text.startswith("The number of training examples (13084), the batch size and the number of steps are public; seed 7")
    assert spaced(points[1].text).startswith("Naive accounting would have claimed ε = 5.83 (takes micro-batch clipping")
    assert spaced(points[1].text).endswith("The promise is ε = 31.7.")
    own = training(promised("dp-sgd", conditions=("the moon is full",)), drawn=False).points
    assert [point.lead for point in own] == ["edp-sgd:", "edp-sgd:", "dp-sgd:", "dp-sgd-eps-2:"]
    assert own[2].text == "The moon is full."


def test_differences_say_how_they_were_made(four: Document, alone: Document):
    found = table(training(four, drawn=False), "Usefulness")
    assert found.columns[-1] == "Against non-private"
    assert column(found, "Against non-private")[:4] == ["–", "−6.6 points", "−2.2 points", "−5.3 points"]
    assert found.rows[1][-1].notes == ("−9.1 to −4.3",)
    assert "as if they were independent" in found.text
    assert table(training(alone, drawn=False), "Usefulness").text == ""


def test_losses_are_shown_at_about_a_dozen_epochs_with_the_last(four: Document):
    found = table(training(four, drawn=False), "Training loss by epoch")
    assert column(found, "Epoch") == ["1", "3", "5", "7", "9", "11", "13", "15", "17", "19", "20"]
    assert found.rows[0][1].text == "2.900"


def test_losses_of_two_kinds_and_other_epochs_are_told_apart():
    fields = {"subject": "a", "x_label": "epoch", "y_label": "loss"}
    curves = (
        Curve(name="training_loss", x=(1, 2), y=(3.0, 2.0), **fields),
        Curve(name="validation_loss", x=(2, 3), y=(2.5, 2.25), **fields),
    )
    found = table(training(gather([Evidence(curves=curves)], title="t"), drawn=False), "Training loss by epoch")
    assert found.columns == ("Epoch", "a", "a (validation loss)")
    assert [[cell.text for cell in row] for row in found.rows] == [["1", "3.000", "–"], ["2", "2.000", "2.500"], ["3", "–", "2.250"]]


def test_the_finding_on_leakage_is_the_verdict(four: Document, judged: Make, unpromised: Document):
    assert leakage(four, drawn=False).finding == (
        "The attack contradicts no promise that it could test; it could not test that of edp-sgd and dp-sgd."
    )
    assert leakage(judged("dp-sgd", "contradicted"), drawn=False).finding == "The attack contradicts the promise of dp-sgd."
    assert leakage(judged("dp-sgd-eps-2", "not testable"), drawn=False).finding == (
        "The attack contradicts no promise, but it could test none of them."
    )
    held = replace(four.evidence.verdicts[2], subject="dp-sgd")
    only = replace(four, evidence=replace(four.evidence, verdicts=(held,)))
    assert leakage(only, drawn=False).finding == "The attack contradicts no promise."
    assert leakage(unpromised, drawn=False).finding.startswith("The attack that was run (loss threshold) tells")


def test_each_verdict_gives_its_reason(four: Document):
    points = leakage(four, drawn=False).points
    assert [point.lead for point in points] == ["edp-sgd: not testable.", "dp-sgd: not testable.", "dp-sgd-eps-2: not contradicted."]
    assert points[0].text == "Even an attack without an error on these 3,000 examples would show 5.55, not above the promised 31.7."


def test_the_table_of_the_attack_shows_caps_and_what_was_not_resolvable(four: Document):
    found = table(leakage(four, drawn=False), "The attack on each run")
    assert column(found, "TPR at 0.1% FPR") == ["not resolvable"] * 4
    assert found.rows[0][4].hint.startswith("Not resolvable: 1,500 non-members give 1.5 expected false positives at a rate of 0.001")
    assert found.rows[3][3].notes == ("0.6–1.7%", "promise allows 7.38%")
    assert column(found, "Provable at most") == ["–", "5.55", "5.55", "5.55"]
    assert column(found, "Promised ε") == ["none", "31.7", "8", "2"]


def test_of_several_attacks_each_has_a_row_of_its_own():
    def area(attack: str, value: float) -> Estimate:
        fields = {"unit": "share", "direction": "lower is better", "conditions": {"attack": attack}}
        return Estimate(name="membership_auc", subject=RUNS[0].name, value=value, **fields)

    found = table(
        leakage(gather([Evidence(estimates=(area("loss", 0.6), area("RMIA", 0.7)))], title="t"), drawn=False), "Every attack on each run"
    )
    assert column(found, "Attack") == ["loss", "RMIA"]
    assert [row[2].text for row in found.rows] == ["0.6", "0.7"]


def test_canaries_get_a_sentence_and_a_row():
    counts = {"canaries": 100, "guessed": 30, "correct": 27, "copies": 1}
    fields = {"subject": "a", "direction": "lower is better"}
    accuracy = Estimate(name="one_run_accuracy", value=0.9, unit="share", conditions={**counts, "cap": 0.731}, **fields)
    bound = Estimate(name="one_run_epsilon", value=1.18, unit="nats", conditions=counts, **fields)
    section = leakage(gather([Evidence(estimates=(accuracy, bound))], title="t"), drawn=False)
    assert "27 of 30 guesses, which of 100 canaries it was trained on, are right" in section.points[0].text
    assert "the promise lets at most 73.1% be expected" in section.points[0].text
    assert section.points[0].text.endswith("That proves ε ≥ 1.18.")
    assert [cell.text for cell in table(section, "The audit by canaries").rows[0]][:4] == ["a", "100", "30", "27"]


def test_a_run_that_was_not_attacked_is_grey():
    found = leakage(gather([usefulness(RUNS[0])], title="t"), drawn=False)
    assert (found.tone, found.tables, found.points) == ("missing", (), ())
    assert found.finding == "No attack was run, so what leaks was not measured."


def test_what_has_no_evidence_says_so_in_grey():
    assert {section.tone for section in absent()} == {"missing"}
    assert [section.name for section in absent()] == ["federation", "fairness", "mitigation"]


def test_no_figure_is_left_out_in_silence(four: Document):
    assert others(four) is None
    gap = Estimate(name="gender_gap", subject="dp-sgd", value=0.021, unit="share", direction="lower is better", method="means")
    document = replace(four, evidence=replace(four.evidence, estimates=(*four.evidence.estimates, gap)))
    found = others(document)
    assert found is not None
    assert [cell.text for cell in found.tables[0].rows[0]] == ["dp-sgd", "Gender gap", "2.1%"]
    assert found.finding == "1 other figure was measured."
    assert "others" in [section.name for section in sections(document)]


def test_every_estimate_of_the_evidence_stands_in_some_table(four: Document):
    methods = {row[0].text for section in (training(four, drawn=False), leakage(four, drawn=False)) for row in section.tables[-1].rows}
    from holdfast.report.numbers import label

    assert {label(estimate) for estimate in four.evidence.estimates} <= methods


def test_limits_hold_the_notes_and_what_follows_from_the_runs(four: Document, unpromised: Document):
    said = [spaced(point.text) for point in limits(four).points]
    assert set(four.evidence.notes) <= set(said)
    assert any("The promise of edp-sgd (ε = 31.7) and dp-sgd (ε = 8) rules out little in the worst case" in text for text in said)
    assert any("Whoever has a seed can replay the noise" in text for text in said)
    assert limits(four).finding == f"{len(said)} limits bear on the figures above."
    open_ = [point.text for point in limits(unpromised).points]
    assert not any("replay the noise" in text or "worst case" in text for text in open_)
    bare = gather([replace(record_of(RUNS[0]), evidence=Evidence())], title="t")
    assert limits(bare).finding == "One limit bears on the figures above."


def test_how_to_reproduce_holds_command_study_versions_seeds_and_hashes(four: Document):
    found = reproduction(four)
    assert dict(found.blocks)["Command"] == "holdfast run study.toml"
    assert dict(found.blocks)["Study file"] == four.study
    assert column(table(found, "Versions"), "Software") == ["holdfast", "python", "torch", "dp-accounting"]
    assert column(table(found, "Machine"), "Value") == ["Linux x86_64", "2"]
    assert column(table(found, "Seeds"), "Seed") == ["training.seed 7"] * 4
    assert column(table(found, "Hashes of the data (sha256)"), "Part") == ["all of it", "train", "validation", "test"]
    assert reproduction(gather([usefulness(RUNS[0])], title="t")).tables == ()


def test_what_is_seen_on_hovering_stands_in_a_table_too(four: Document):
    for section in (training(four, drawn=False), leakage(four, drawn=False)):
        assert section.tables[-1].title == "How these numbers were measured"
    attack = table(leakage(four, drawn=False), "How these numbers were measured")
    assert "attack: Yeom et al. 2018, arXiv 1709.01604" in column(attack, "Source")


def test_values_in_words():
    assert [view.plain(value) for value in (None, True, False, 0.25, 1e-5, [1, "a"], {"a": 1}, "x")] == [
        "none",
        "yes",
        "no",
        "0.25",
        "1e-5",
        "1, a",
        "a 1",
        "x",
    ]


def test_a_hint_says_all_there_is_to_say():
    interval = Interval(low=0.5, high=0.6, level=0.95, method="Wilson")
    estimate = Estimate(
        name="a",
        subject="b",
        value=0.55,
        unit="share",
        direction="neither",
        interval=interval,
        n=1200,
        method="share of hits",
        access="losses",
    )
    assert view.hint(estimate) == "Share of hits. 95% interval: Wilson. n = 1,200. Access: losses"
    assert view.hint(None) == ""
