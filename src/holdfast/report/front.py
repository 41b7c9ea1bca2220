"""The first screen: what was trained, what is promised, what leaked, how useful it is, and the verdict of each run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Estimate
from holdfast.report import words
from holdfast.report.comparison import difference, ratio
from holdfast.report.document import UNRECORDED, Document
from holdfast.report.extraction.reading import planted, secrets_sentence, standing_out
from holdfast.report.extraction.rounds import attempts
from holdfast.report.fairness import section as fairness
from holdfast.report.fairness.reading import headline
from holdfast.report.federation.reading import across, runs
from holdfast.report.figures.tradeoff import scores
from holdfast.report.numbers import label_of, large, named, share, significant, written
from holdfast.report.view import NOT_MEASURED, Cell, Point, Table, Tile, Tone, cell, hint

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_TONES: dict[str, Tone] = {"contradicted": "bad", "not contradicted": "good", "not testable": "missing"}


def facts(document: Document) -> list[tuple[str, str]]:
    """What was trained, on what, and when: pairs of a name and a value."""
    found = [("Model", _model(document)), ("Task", _name(_first(document, "settings").get("task"))), ("Data", _data(document))]
    found.append(("Data hash", str(document.data.get("content_hash", ""))[:16]))
    found.append(("Trained", moment(document.created)))
    federated = across(runs(document))
    told = [("Clients", federated.removesuffix(" clients"))] if federated else []
    return [*((name, value or "not recorded") for name, value in found), *told]


def moment(created: str) -> str:
    """A time for people, in UTC.

    >>> moment("2026-11-22T17:04:55+00:00")
    '22 November 2026, 17:04 UTC'
    """
    if not created:
        return ""
    when = datetime.fromisoformat(created)
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}, {when:%H:%M} UTC"


def alerts(document: Document) -> list[Point]:
    """What a reader must know before anything else: refuted promises, unfinished runs, runs that cannot be compared."""
    found = []
    for run, name in enumerate(document.names):
        verdict, claim = document.verdict(name), document.claim(name)
        if verdict is not None and verdict.outcome == "contradicted":
            found.append(Point(lead=f"The promise of {name} is contradicted.", text=verdict.reason, tone="bad"))
        if claim is not None and claim.kind != "proved":
            text = f"It holds only if: {'; '.join(claim.conditions)}." if claim.conditions else "No condition makes it so."
            found.append(Point(lead=f"The promise of {name} is {claim.kind}.", text=text, tone="caution"))
        if document.runs[run].status not in ("finished", UNRECORDED):
            text = "Its figures are those of an unfinished run."
            found.append(Point(lead=f"The run {name} is {document.runs[run].status}.", text=text, tone="caution"))
    if not document.same_data:
        text = "Differences between them may come from the data, not from the mechanism."
        found.append(Point(lead="The runs were trained on different data.", text=text, tone="caution"))
    return found


def lead(document: Document) -> str:
    """The sentence that a person remembers."""
    broken = [name for name in document.private if _contradicted(document, name)]
    if broken:
        level = min(verdict.level or 0.0 for name in broken if (verdict := document.verdict(name)) is not None)
        sure = f" ({share(level)} confidence)" if level else ""
        return f"The promise of {words.listed(broken)} does not hold as stated: an attack found more than it allows{sure}."
    claims = [claim for name in document.private if (claim := document.claim(name)) is not None]
    if not claims:
        found = "Nothing is promised" if _no_promise(document) else "No promise is on record"
        return f"{_across(document, found)}: no run bounds what its model gives away about a single training example."
    best = _strongest(claims)
    return words.promise(best, model="this model" if len(document.runs) == 1 else f"the model {best.subject}")


def leakage_sentence(document: Document) -> str:
    """What the attacks found, in one sentence, and what canaries gave away, in another."""
    return " ".join(filter(None, (_attack_sentence(document), _canary_sentence(document))))


def support(document: Document) -> str:
    """What stands below the tiles: what the attacks and the canaries found, and which planted secrets stand out."""
    return " ".join(filter(None, (leakage_sentence(document), secrets_sentence(document))))


def _canary_sentence(document: Document) -> str:
    """How many of the guesses at canaries are right: a model may hide its average member and give these away."""
    found = [estimate for name in document.names if (estimate := _known(document, "one_run_accuracy", name)) is not None]
    if not found:
        return ""
    parts = [f"{one.conditions['correct']:,} of {one.conditions['guessed']:,} on {one.subject}" for one in found]
    return f"Of canaries that a coin put into training or not, it was guessed rightly {words.listed(parts)}, where half is guessing."


def _attack_sentence(document: Document) -> str:
    areas = {name: estimate for name in document.names if (estimate := _known(document, "membership_auc", name)) is not None}
    if not areas:
        if planted(document) or attempts(document):
            return "No membership attack was run, so whether training examples can be told from others was not measured."
        return "No attack was run, so what leaks was not measured."
    attacks = list(dict.fromkeys(str(area.conditions["attack"]) for area in areas.values() if "attack" in area.conditions))
    called = f"The attack that was run ({attacks[0]})" if len(attacks) == 1 else "The strongest of the attacks that were run"
    private = {name: area for name, area in areas.items() if name in document.private}
    open_ = [f"{written(area).full} on {name}" for name, area in areas.items() if name not in private]
    parts = open_[:1]
    if private:
        worst = max(private.values(), key=lambda area: area.value or 0.0)
        many = "at most " if len(private) > 1 else ""
        place = "the runs with a promise" if len(private) > 1 else worst.subject
        parts.append(f"{many}{written(worst).full} on {place}")
    return f"{called} tells training examples from others with an AUC of {words.listed(parts)}, where 0.5 is guessing."


def tiles(document: Document) -> list[Tile]:
    """Promise, measured leakage, usefulness, fairness; each says so where there is no evidence."""
    return [_promise(document), _leakage(document), _usefulness(document), fairness.tile(document)]


def overview(document: Document) -> Table:
    """A row for each run: promise, usefulness, leakage, worst gap between groups, time, verdict."""
    measures, compared = scores(document), headline(document) is not None
    base = document.estimate("seconds_per_epoch", document.baseline)
    rows = []
    for run, entry in enumerate(document.runs):
        name = entry.name
        seconds = document.estimate("seconds_per_epoch", name)
        slower = None if seconds is None or base is None or name == document.baseline else ratio(seconds, base)
        status = () if entry.status in ("finished", UNRECORDED) else (entry.status,)
        rows.append(
            (
                Cell(text=name, run=run, notes=status),
                _promised(document, name),
                *(cell(document.estimate(measure, name)) for measure in measures),
                cell(document.estimate("membership_auc", name)),
                *([fairness.overview_cell(document, name)] if compared else []),
                _time(seconds, slower),
                _verdict(document, name),
            )
        )
    columns = (
        "Run",
        "Promise",
        *map(label_of, measures),
        label_of("membership_auc"),
        *(["Surest gap"] if compared else []),
        label_of("seconds_per_epoch"),
        "Verdict on the promise",
    )
    alone = len(document.runs) == 1
    against = "" if alone else f", under a time how many times that of {document.baseline} it is"
    text = f"Under a score stands its interval{against}. Hover over a number, or open a table of methods below, to see how it was measured."
    return Table(title="The run" if alone else "The runs side by side", columns=columns, rows=tuple(rows), text=text)


def best(document: Document, measure: str) -> Estimate | None:
    """The best score among the runs with a promise, or among all where there is none."""
    names = document.private or document.names
    found = [estimate for name in names if (estimate := _known(document, measure, name)) is not None]
    return max(found, key=lambda one: (one.value or 0.0) * (-1 if one.direction == "lower is better" else 1), default=None)


def _across(document: Document, sentence: str) -> str:
    """A sentence that says first across how many clients the runs were trained, where they were."""
    federated = runs(document)
    if not federated:
        return sentence
    opening = "Trained" if len(federated) == len(document.runs) else "Trained in part"
    return f"{opening} across {across(federated) or 'clients'}, and {sentence[0].lower()}{sentence[1:]}"


def _no_promise(document: Document) -> list[str]:
    """Why runs have no promise, where their evidence says so."""
    return [estimate.missing for name in document.names if (estimate := document.estimate("epsilon", name)) and estimate.missing]


def _strongest(claims: Sequence[PrivacyClaim]) -> PrivacyClaim:
    """The least epsilon among the promises that are proved, else among all."""
    return min(claims, key=lambda claim: (claim.kind != "proved", claim.epsilon))


def _promise(document: Document) -> Tile:
    claims = [claim for name in document.private if (claim := document.claim(name)) is not None]
    if not claims:
        reasons = _no_promise(document)
        headline, text = ("none", reasons[0][0].upper() + reasons[0][1:] + ".") if reasons else (NOT_MEASURED, "No run carries a promise.")
        return Tile(title="Promise", headline=headline, text=text, status="no promise", tone="missing")
    deltas = list(dict.fromkeys(named("δ", claim.delta) for claim in claims))
    units = list(dict.fromkeys(claim.unit for claim in claims))
    runs = len(document.runs)
    count = "" if runs == 1 else f"{'All' if len(claims) == runs else f'{len(claims)} of'} {runs} runs carry a promise. "
    standing = [claim for claim in claims if not _contradicted(document, claim.subject)]
    opening = "As a worst-case promise this is" if len(standing) == 1 else "As a worst-case promise the strongest is"
    strongest = words.in_words(_strongest(standing), opening=opening) if standing else "None of it stands."
    text = f"{count}Per {' or '.join(units)}, {words.listed(deltas)}. {strongest}"
    broken = len(claims) - len(standing)
    firm = all(claim.kind == "proved" and words.strength(claim) in ("strong", "moderate") for claim in claims)
    several = f"{broken} of {len(claims)} contradicted"
    status = ("contradicted" if len(claims) == 1 else several) if broken else f"{words.kinds(claims)}, {words.strengths(claims)}"
    return Tile(
        title="Promise", headline=words.span(claims), text=text, status=status, tone="bad" if broken else "good" if firm else "caution"
    )


def _leakage(document: Document) -> Tile:
    names = document.private or document.names
    found = [estimate for name in names if (estimate := _known(document, "membership_auc", name)) is not None]
    if not found:
        return _leakage_by_secrets(document)
    worst = max(found, key=lambda estimate: estimate.value or 0.0)
    shown = written(worst)
    among = f", the highest of {len(found)} runs with a promise" if len(document.private) > 1 else ""
    text = f"AUC of {worst.subject}{among}{f' ({shown.interval})' if shown.interval else ''}; 0.5 is guessing."
    verdicts = [document.verdict(name) for name in document.private]
    bounds = [verdict for verdict in verdicts if verdict is not None and verdict.detectable is not None]
    if bounds:
        reached = max(verdict.lower_bound or 0.0 for verdict in bounds)
        power = max(verdict.detectable or 0.0 for verdict in bounds)
        text += f" The attack proves ε ≥ {significant(reached, 2)}; without an error it could have proved {significant(power, 2)}."
    outcomes = {verdict.outcome for verdict in verdicts if verdict is not None}
    tone: Tone = "bad" if "contradicted" in outcomes else "good" if outcomes == {"not contradicted"} else "plain"
    out, of, who = _most_out(document, names)
    if out:  # a secret that stands out is no good news, whatever members do
        text += f" Of {of} secrets planted in {who}, {out} stand{'s' * (out == 1)} out."
        tone = "caution" if tone == "good" else tone
    status = words.verdicts(verdicts) if document.private else "no promise to test"
    return Tile(title="Measured leakage", headline=f"AUC {shown.value}", text=text, status=status, tone=tone)


def _leakage_by_secrets(document: Document) -> Tile:
    """The tile where members were not attacked: it speaks of planted secrets only where one stands out."""
    out, of, who = _most_out(document, document.private or document.names)
    asked = planted(document) or attempts(document)
    if not out:
        text = "No membership attack was run." if asked else "No attack was run."
        return Tile(title="Measured leakage", headline=NOT_MEASURED, text=text, status="no evidence", tone="missing")
    headline, text = f"{out} of {of} secrets", f"So many of those planted in {who} stand out. No membership attack was run."
    return Tile(title="Measured leakage", headline=headline, text=text, status="secrets stand out", tone="caution")


def _most_out(document: Document, names: Sequence[str]) -> tuple[int, int, str]:
    """How many planted secrets stand out, of how many, in the run of these with the largest share; nought where none does."""
    secrets = [one for one in planted(document) if not one.control]
    counts = []
    for name in names:
        own = [one for one in secrets if document.names[one.run] == name]
        if own:
            counts.append((len(standing_out(own)), len(own), name))
    return max(counts, key=lambda count: count[0] / count[1], default=(0, 0, ""))


def _usefulness(document: Document) -> Tile:
    measures = scores(document)
    score = best(document, measures[0]) if measures else None
    if score is None:
        return Tile(title="Usefulness", headline=NOT_MEASURED, text="No score was measured.", status="no evidence", tone="missing")
    shown, base = written(score), document.estimate(score.name, document.baseline)
    among = ", the best with a promise" if len(document.private) > 1 else ""
    text = f"{label_of(score.name)} of {score.subject}{among}{f' ({shown.interval})' if shown.interval else ''}."
    text += " Lower is better." if score.direction == "lower is better" else ""
    status = "measured"
    if base is not None and base.subject != score.subject:
        change = difference(score, base)
        if change is not None:
            status = f"{written(change).value} against {base.subject}"
    return Tile(title="Usefulness", headline=shown.value, text=text, status=status, tone="plain")


def _promised(document: Document, name: str) -> Cell:
    claim = document.claim(name)
    if claim is None:
        missing = document.estimate("epsilon", name)
        return Cell(text="none", tone="missing", hint=hint(missing))
    detail = f"{claim.neighbouring} neighbouring. {claim.sampler}. {claim.accountant}. {claim.steps:,} steps"
    tone: Tone = "plain" if claim.kind == "proved" else "caution"
    return Cell(text=words.short(claim), notes=(f"{named('δ', claim.delta)}, {claim.kind}",), hint=detail, tone=tone)


def _verdict(document: Document, name: str) -> Cell:
    verdict = document.verdict(name)
    if verdict is None:
        return Cell(text="no promise" if document.claim(name) is None else "not tested", tone="missing")
    bound = () if verdict.lower_bound is None else (f"proves ε ≥ {significant(verdict.lower_bound, 2)}",)
    return Cell(text=verdict.outcome, notes=bound, hint=verdict.reason, tone=_TONES[verdict.outcome])


def _time(seconds: Estimate | None, slower: Estimate | None) -> Cell:
    found = cell(seconds)
    if found.tone == "missing":
        return found
    return Cell(text=found.text, hint=found.hint, notes=() if slower is None else (written(slower).value,))


def _contradicted(document: Document, name: str) -> bool:
    verdict = document.verdict(name)
    return verdict is not None and verdict.outcome == "contradicted"


def _known(document: Document, quantity: str, name: str) -> Estimate | None:
    estimate = document.estimate(quantity, name)
    return estimate if estimate is not None and estimate.value is not None else None


def _first(document: Document, field: str) -> dict[str, object]:
    return next((dict(getattr(run, field)) for run in document.runs if getattr(run, field)), {})


def _name(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("name") or value.get("model")
    return str(value or "")


def _model(document: Document) -> str:
    kinds = list(dict.fromkeys(filter(None, (_name(dict(run.model)) for run in document.runs))))
    size = next((estimate for name in document.names if (estimate := _known(document, "parameters", name)) is not None), None)
    counted = "" if size is None or len(kinds) > 1 else f", {large(size.value or 0.0)} parameters"
    return f"{words.listed(kinds)}{counted}" if kinds else ""


def _data(document: Document) -> str:
    data = document.data
    splits = data.get("splits")
    sizes = [f"{part['examples']:,} {name}" for name, part in splits.items() if "examples" in part] if isinstance(splits, dict) else []
    return f"{data.get('name', '')}{': ' if sizes else ''}{', '.join(sizes)}"
