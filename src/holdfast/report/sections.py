"""The parts of the page below the first screen: each says first what was found, then shows it, then holds the numbers."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Curve, Estimate
from holdfast.report import words
from holdfast.report.comparison import HOW_DIFFERENCES, difference, ratio
from holdfast.report.document import Document
from holdfast.report.extraction.gradients import gradients
from holdfast.report.extraction.reading import planted
from holdfast.report.extraction.reading import shown as of_secrets
from holdfast.report.extraction.rounds import shown as of_gradients
from holdfast.report.extraction.secrets import extraction
from holdfast.report.fairness.reading import shown as of_fairness
from holdfast.report.fairness.section import fairness
from holdfast.report.federation.reading import runs as federated
from holdfast.report.federation.reading import shown as of_federation
from holdfast.report.federation.section import federation
from holdfast.report.figures import losses, times, trade_off
from holdfast.report.figures.cost import LOSSES
from holdfast.report.figures.tradeoff import beside, scores
from holdfast.report.front import best
from holdfast.report.leakage import QUANTITIES, leakage
from holdfast.report.numbers import in_percent, label, label_of, named, share, significant, written
from holdfast.report.view import Cell, Point, Section, Table, cell, listing, methods

_PROMISE = ("epsilon", "epsilon_naive", "epsilon_rdp", "seconds_per_epoch", "parameters")
_SHOWN_EPOCHS = 12
_ABSENT = {
    "Federation": "No run was trained across clients.",
    "Fairness": "No group was compared with another: nothing here says that the model serves all alike.",
    "Mitigation and rewriting": "No text was rewritten and no measure against unfairness was taken.",
}


def sections(document: Document) -> list[Section]:
    """Every part of the page, in order."""
    asked = (extraction(document), gradients(document), federation(document), fairness(document), others(document))
    found = [training(document), leakage(document), *(part for part in asked if part is not None)]
    return [*found, *absent([part.title for part in found]), limits(document), reproduction(document)]


def training(document: Document, *, drawn: bool = True) -> Section:
    """How useful the runs are, what they promise, and what that costs.

    Args:
        document: What is known.
        drawn: False leaves the charts out.
    """
    claims = [claim for name in document.private if (claim := document.claim(name)) is not None]
    tables = [table for table in (_promises(document, claims), _usefulness(document), _times(document), _losses(document)) if table]
    measured = [estimate for quantity in (*scores(document), *beside(document), *_PROMISE) for estimate in _all(document, quantity)]
    figures = [trade_off(document), times(document), losses(document)] if drawn else []
    if federated(document):  # its rounds stand in a part of their own, so that an epoch that nobody counted is no gap
        figures = [figure for figure in figures if not figure.empty]
    return Section(
        name="training",
        title="Training and promise",
        finding=_training_finding(document),
        points=tuple(_conditions(document, claims)),
        points_title="What the promises rest on" if claims else "",
        figures=tuple(figures),
        tables=(*tables, methods("How these numbers were measured", [(label(estimate), estimate) for estimate in measured])),
    )


def others(document: Document) -> Section | None:
    """Whatever was measured that no other part shows; nothing is left out in silence."""
    known = {*scores(document), *beside(document), *_PROMISE, *QUANTITIES}
    secrets = bool(planted(document))  # without any, no part speaks of them
    tests = (of_gradients, of_fairness, of_federation(document), *([of_secrets] if secrets else []))
    extra = [one for one in document.evidence.estimates if one.name not in known and not any(test(one) for test in tests)]
    if not extra:
        return None
    rows = tuple((_named(document, estimate.subject), Cell(text=label(estimate)), cell(estimate)) for estimate in extra)
    count = f"{len(extra)} other figure{'s were' if len(extra) > 1 else ' was'} measured."
    tables = (Table(title="The figures", columns=("Run", "Quantity", "Value"), rows=rows), _sources(extra))
    return Section(name="others", title="Other measurements", finding=count, tables=tables)


def absent(there: Container[str] = ()) -> list[Section]:
    """What no part of the evidence speaks of.

    Args:
        there: Titles of the parts that the page has.
    """
    missing = [(title, sentence) for title, sentence in _ABSENT.items() if title not in there]
    return [Section(name=title.split()[0].lower(), title=title, finding=sentence, tone="missing") for title, sentence in missing]


def limits(document: Document) -> Section:
    """What the reader must not take from the page."""
    found = list(document.evidence.notes)
    found.append("Each run was trained once. Intervals say how far a figure moves with other test examples, not with another seed.")
    weak = [claim for name in document.private if (claim := document.claim(name)) and words.strength(claim) in ("weak", "very weak")]
    if weak:
        named = words.listed([f"{claim.subject} ({words.short(claim)})" for claim in weak])
        found.append(
            f"The promise of {named} rules out little in the worst case; that an attack found little is a measurement, not a proof."
        )
    if document.private and any(document.seeds.values()):
        found.append(
            "The seeds stand below so that the runs can be repeated. Whoever has a seed can replay the noise: "
            "train a model for release again, with a secret seed."
        )
    if any(document.estimate("seconds_per_epoch", name) for name in document.names):
        found.append("Times hold for the machine and the settings named below.")
    points = tuple(Point(lead="", text=text) for text in dict.fromkeys(found))
    count = "One limit bears" if len(points) == 1 else f"{len(points)} limits bear"
    return Section(name="limits", title="What this does not show", finding=f"{count} on the figures above.", points=points)


def reproduction(document: Document) -> Section:
    """Study file, commands, versions, seeds and hashes."""
    blocks = [("Command", "\n".join(document.commands)), ("Study file", document.study)]
    hashes = {"all of it": document.data["content_hash"]} if "content_hash" in document.data else {}
    splits = document.data.get("splits")
    if isinstance(splits, Mapping):
        hashes |= {name: part["content_hash"] for name, part in splits.items() if "content_hash" in part}
    seeds = {name: found for name, found in document.seeds.items() if found}
    machine = {key: value for key, value in document.environment.items() if key != "versions"} if "versions" in document.environment else {}
    tables = (
        listing(document.versions, title="Versions", columns=("Software", "Version")),
        listing(machine, title="Machine", columns=("Property", "Value")),
        listing(seeds, title="Seeds", columns=("Run", "Seed")),
        listing(hashes, title="Hashes of the data (sha256)", columns=("Part", "Hash")),
    )
    return Section(
        name="reproduce",
        title="How to reproduce",
        finding="The runs were made with the command, settings and versions below; evidence.json, beside this page, holds every setting.",
        blocks=tuple((title, text) for title, text in blocks if text.strip()),
        tables=tuple(table for table in tables if table is not None),
    )


def _training_finding(document: Document) -> str:
    measures = scores(document)
    score = best(document, measures[0]) if measures else None
    if score is None:
        return "The usefulness of the runs was not measured."
    claim, base = document.claim(score.subject), document.estimate(score.name, document.baseline)
    who = f"{score.subject} ({words.short(claim)})" if claim else score.subject
    opening = f"The best run with a promise, {who}," if len(document.private) > 1 else f"The run {who}"
    shown, called = written(score).full, _lower(label_of(score.name))
    sentence = f"{opening} reaches {f'{shown} {called}' if in_percent(score.name) else f'a {called} of {shown}'}"
    change = difference(score, base) if base is not None and base.subject != score.subject else None
    if change is not None:
        sentence += f", {written(change).full} against {document.baseline}"
    sentence += ", where lower is better" if score.direction == "lower is better" else ""
    seconds, slowest = (document.estimate("seconds_per_epoch", name) for name in (document.baseline, score.subject))
    longer = ratio(slowest, seconds) if seconds and slowest and seconds.subject != slowest.subject else None
    if longer is None:
        return f"{sentence}."
    return f"{sentence}, and takes {written(longer).value.removesuffix('×')} times as long for an epoch."


def _conditions(document: Document, claims: list[PrivacyClaim]) -> Iterator[Point]:
    """The conditions of the promises: those that all share once, the others under their run; then other ways of accounting."""
    shared = [text for text in claims[0].conditions if all(text in claim.conditions for claim in claims)] if claims else []
    if shared:
        yield Point(lead="All of them:" if len(claims) > 1 else "", text=f"{_sentence('; '.join(shared))}")
    for claim in claims:
        run = document.names.index(claim.subject)
        own = [text for text in claim.conditions if text not in shared]
        if own:
            yield Point(lead=f"{claim.subject}:", text=_sentence("; ".join(own)), run=run)
        naive = document.estimate("epsilon_naive", claim.subject)
        if naive is not None and naive.value is not None:
            why = naive.method.removeprefix("naive: ")
            text = f"Naive accounting would have claimed {named('ε', naive.value)} ({why}). The promise is {words.short(claim)}."
            yield Point(lead=f"{claim.subject}:", text=text, run=run)


def _promises(document: Document, claims: list[PrivacyClaim]) -> Table | None:
    """A column for each promise, a row for each thing that gives it a meaning."""
    if not claims:
        return None
    rows: list[tuple[str, list[str]]] = [
        ("ε", [significant(claim.epsilon) for claim in claims]),
        ("δ", [significant(claim.delta) for claim in claims]),
        ("Unit of privacy", [claim.unit for claim in claims]),
        ("Neighbouring", [claim.neighbouring for claim in claims]),
        ("Kind", [claim.kind for claim in claims]),
        ("Strength", [words.strength(claim) for claim in claims]),
        ("TPR allowed at 1% FPR", [share(claim.cap(words.ALARM)) for claim in claims]),
        ("Sampler", [claim.sampler for claim in claims]),
        ("Accountant", [claim.accountant for claim in claims]),
        ("Noisy steps", [f"{claim.steps:,}" for claim in claims]),
        (
            "Other accounts",
            ["; ".join(f"{significant(value)} ({name})" for name, value in claim.other_accounts.items()) or "–" for claim in claims],
        ),
    ]
    body = tuple((Cell(text=name), *(Cell(text=value) for value in values)) for name, values in rows)
    return Table(title="The promises in full", columns=("Property", *(claim.subject for claim in claims)), rows=body)


def _usefulness(document: Document) -> Table | None:
    rows = []
    for measure in (*scores(document), *beside(document)):
        base = document.estimate(measure, document.baseline)
        for estimate in _worst(document, measure):
            change = None if base is None or estimate.subject == document.baseline else difference(estimate, base)
            last = Cell(text="–") if change is None else cell(change)
            rows.append((_named(document, estimate.subject), Cell(text=label(estimate)), cell(estimate), last))
    if not rows:
        return None
    columns = ("Run", "Measure", "Value", f"Against {document.baseline}")
    return Table(title="Usefulness", columns=columns, rows=tuple(rows), text=HOW_DIFFERENCES if len(document.runs) > 1 else "")


def _times(document: Document) -> Table | None:
    base = document.estimate("seconds_per_epoch", document.baseline)
    rows = []
    for estimate in _worst(document, "seconds_per_epoch"):
        longer = None if base is None else ratio(estimate, base)
        rows.append((_named(document, estimate.subject), cell(estimate), Cell(text="–") if longer is None else cell(longer)))
    if not rows:
        return None
    return Table(title="Times", columns=("Run", label_of("seconds_per_epoch"), f"Against {document.baseline}"), rows=tuple(rows))


def _losses(document: Document) -> Table | None:
    """Losses at about a dozen epochs; evidence.json holds them all."""
    curves = [curve for quantity in LOSSES for name in document.names if (curve := document.curve(quantity, name)) and curve.x]
    if not curves:
        return None
    epochs = sorted({epoch for curve in curves for epoch in curve.x})
    step = -(-len(epochs) // _SHOWN_EPOCHS)
    shown = sorted({*epochs[::step], epochs[-1]})
    rows = tuple((Cell(text=f"{epoch:g}"), *(Cell(text=_loss_at(curve, epoch)) for curve in curves)) for epoch in shown)
    heads = [curve.subject if curve.name == curves[0].name else f"{curve.subject} ({label_of(curve.name).lower()})" for curve in curves]
    return Table(title=f"{label_of(curves[0].name)} by epoch", columns=("Epoch", *heads), rows=rows, text=_sentence(curves[0].method))


def _loss_at(curve: Curve, epoch: float) -> str:
    return f"{curve.y[curve.x.index(epoch)]:.3f}" if epoch in curve.x else "–"


def _sources(estimates: list[Estimate]) -> Table:
    return methods("How these numbers were measured", [(label(estimate), estimate) for estimate in estimates])


def _named(document: Document, name: str) -> Cell:
    return Cell(text=name, run=document.names.index(name))


def _all(document: Document, quantity: str) -> list[Estimate]:
    return [one for one in document.evidence.estimates if one.name == quantity and not of_fairness(one)]


def _worst(document: Document, quantity: str) -> list[Estimate]:
    return [estimate for name in document.names if (estimate := document.estimate(quantity, name)) is not None]


def _lower(name: str) -> str:
    """A label inside a sentence; abbreviations keep their capitals."""
    return name[0].lower() + name[1:] if name[1:2].islower() else name


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""
