"""The part of the page on planted secrets: how far each stands out, what a search found, and how little the one says of the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from holdfast.core.evidence import Estimate
from holdfast.report import words
from holdfast.report.comparison import difference
from holdfast.report.document import Document
from holdfast.report.extraction.reading import RANKING, SEARCH, Planted, Search, planted, standing_out, together
from holdfast.report.figures import exposures, fill_losses, ranks
from holdfast.report.numbers import label, label_of, named, share, significant, written
from holdfast.report.view import Cell, Point, Section, Table, cell, hint, methods

_TOP = 0.005  # the share of all fills that counts as the likeliest
_INVENTED = (
    "These sentences were invented and planted for this test, with words drawn at random: they are nobody's secret. "
    "What a search for a sentence of your data would find is not shown by them."
)


def extraction(document: Document, *, drawn: bool = True) -> Section | None:
    """What the runs give away of secrets that were planted in their training data; None where nothing was asked.

    Args:
        document: What is known.
        drawn: False leaves the charts out.
    """
    secrets = planted(document)
    if not secrets:
        return None
    points = [point for run in dict.fromkeys(secret.run for secret in secrets) for point in _points(document, run, secrets)]
    tables = (_every(document, secrets), *_searches(document, secrets), *_examples(document, secrets), *_methods(document, secrets))
    return Section(
        name="extraction",
        title="Extraction of planted secrets",
        finding=_finding(document, secrets),
        points=tuple(points),
        points_title="What each run gives away",
        figures=(exposures(document), ranks(document), *fill_losses(document)) if drawn else (),
        tables=tables,
        tone="plain" if any(_known(secret) for secret in secrets) else "missing",
    )


def _finding(document: Document, secrets: Sequence[Planted]) -> str:
    """How many secrets of the run that gives away most are among the likeliest fills, what the search made of them, and the others."""
    by_run = {run: [one for one in secrets if one.run == run and not one.control] for run in dict.fromkeys(one.run for one in secrets)}
    ranked = {run: [one for one in own if one.rank is not None and one.space] for run, own in by_run.items()}
    known = {run: own for run, own in ranked.items() if own}
    if not known:
        return _search_alone(document, by_run)
    limit, words_for = _likeliest([one for own in known.values() for one in own])
    tops = {run: [one for one in own if (one.rank or 0.0) <= max(1.0, limit * (one.space or 1.0))] for run, own in known.items()}
    worst = max(known, key=lambda run: (len(tops[run]) / len(known[run]), fmean(one.exposure or 0.0 for one in known[run])))
    sentence = _counted(len(tops[worst]), len(known[worst]), f"planted in {document.names[worst]}", words_for)
    others = [f"{len(tops[run])} of {len(known[run])} in {document.names[run]}" for run in known if run != worst]
    if others:
        sentence += f", against {words.listed(others)}"
    tried = [one for one in by_run[worst] if one.whole is not None]
    if not tried:
        return f"{sentence}; no search was made for them."
    place = f" in {document.names[worst]}" if others else ""
    hits = sum(bool(one.whole) for one in tried)
    if len(tried) == 1:
        sentence += f"; a search{place} {'found it whole' if hits else 'did not find it'}"
    else:
        sentence += f"; a search{place} found {_of(hits, len(tried))} whole"
    missed = sorted((one for one in tried if not one.whole and one in tops[worst]), key=lambda one: one.rank or 0.0)
    if not missed:
        return f"{sentence}."
    first = missed[0]
    return f"{sentence}. Where the search fails the secret may still be there: one that it missed has rank {_rank_of(first)}."


def _search_alone(document: Document, by_run: dict[int, list[Planted]]) -> str:
    """The finding where no secret was ranked."""
    tried = {run: [one for one in own if one.whole is not None] for run, own in by_run.items()}
    parts = [f"{_of(sum(bool(one.whole) for one in own), len(own))} in {document.names[run]}" for run, own in tried.items() if own]
    opening = f"Of the planted secrets a search found {words.listed(parts)} whole" if parts else "No planted secret could be attacked"
    return f"{opening}; how they rank among all fills was not measured."


def _likeliest(secrets: Sequence[Planted]) -> tuple[float, str]:
    """The share of fills that counts as the likeliest, and how to say it: in numbers where all secrets have as many fills."""
    spaces = {secret.space or 1.0 for secret in secrets}
    if _TOP * min(spaces) < 2:
        return 0.0, "the likeliest of all fills"
    if len(spaces) > 1:
        return _TOP, f"among the likeliest {significant(100 * _TOP)}% of all fills"
    space = spaces.pop()
    return int(_TOP * space) / space, f"among the {int(_TOP * space):,} likeliest of {space:,.0f} fills"


def _counted(found: int, count: int, place: str, words_for: str) -> str:
    if count == 1:
        return f"The secret {place} is {'' if found else 'not '}{words_for}"
    return f"Of {count} secrets {place}, {found or 'none'} {'is' if found <= 1 else 'are'} {words_for}"


def _points(document: Document, run: int, secrets: Sequence[Planted]) -> Iterator[Point]:
    """Exposure, search, chance and bound of one run in a few sentences; controls in a sentence of their own."""
    name = document.names[run]
    own = [one for one in secrets if one.run == run and not one.control]
    parts = list(filter(None, (_exposed(own), _out(document, name, own), _searched(own), _bound(document, name, own))))
    lost = list(dict.fromkeys(one.missing for secret in own for one in secret.figures.values() if one.missing))
    if lost:
        parts.append(f"Not everything could be measured: {'; '.join(lost)}.")
    if parts:
        yield Point(lead=f"{name}:", text=" ".join(parts), run=run)
    controls = [one for one in secrets if one.run == run and one.control and one.rank is not None]
    if controls:
        ranks_of = words.listed([_rank_of(one) for one in controls])
        subject = "a secret that was never planted has" if len(controls) == 1 else "secrets that were never planted have"
        yield Point(lead=f"{name}, controls:", text=f"{subject} rank {ranks_of}; any rank is as likely as any other.", run=run)
    for verdict in document.evidence.verdicts:  # the one that counts stands with the leakage
        if verdict.subject == name and verdict is not document.verdict(name):
            yield Point(lead=f"{name}, by another test: {verdict.outcome}.", text=verdict.reason, run=run)


def _exposed(own: Sequence[Planted]) -> str:
    known = [one for one in own if one.exposure is not None]
    if not known:
        return ""
    most = {one.most for one in known}
    top = most.pop() if len(most) == 1 else None
    limit = f" of at most {significant(top)}" if top else ""
    expected = significant(fmean(one.expected for one in known))
    values = [one.exposure or 0.0 for one in known]
    opening = (
        f"a mean exposure of {significant(fmean(values))} bits" if len(values) > 1 else f"an exposure of {significant(values[0])} bits"
    )
    return f"{opening}{limit}, where a model that knows nothing gives {expected}.{_beyond(known)}"


def _beyond(known: Sequence[Planted]) -> str:
    """Which secrets are exposed more than the promise of their run allows."""
    if all(one.cap is None for one in known):
        return ""
    capped = [one for one in known if one.binding is not None]
    if not capped:
        return " The promise is too weak, or the copies are too many, to exclude any exposure."
    over = [one for one in capped if (one.exposure or 0.0) > (one.binding or 0.0) * (1 + 1e-12)]
    chances = {one.cap_chance for one in capped}
    chance = chances.pop() if len(chances) == 1 else None
    rare = "" if chance is None else f", with a chance of {share(chance)} at most for each if it holds"
    return f" {_of(len(over), len(capped))} lie{'s' * (len(capped) == 1)} beyond what the promise allows{rare}."


def _out(document: Document, name: str, own: Sequence[Planted]) -> str:
    tested = sum(one.chance is not None for one in own)
    if not tested:
        return ""
    joint = together(document, name)
    beside = "" if joint is None or joint.value is None else f" (all together: {_chance(joint)})"
    return f"{_of(len(standing_out(own)), tested)} {'ranks' if tested == 1 else 'rank'} higher than chance explains{beside}."


def _chance(joint: Estimate) -> str:
    value = joint.value or 0.0
    how = joint.conditions.get("combination")
    figure = "p < 1e−15" if value < 1e-15 else f"p = {significant(value)}"
    return f"{figure}, {how}" if how else figure


def _searched(own: Sequence[Planted]) -> str:
    tried = [one for one in own if one.whole is not None]
    if not tried:
        return "No search was made."
    by_chance = [search.figures.get("random_search_accuracy") for one in tried for search in one.searches]
    lucky = [one.value for one in by_chance if one is not None and one.value is not None]
    beside = f", random fills with as many queries {_of(sum(value > 0 for value in lucky), len(lucky))}" if len(lucky) == len(tried) else ""
    return f"The search found {_of(sum(bool(one.whole) for one in tried), len(tried))} whole{beside}."


def _bound(document: Document, name: str, own: Sequence[Planted]) -> str:
    """The largest lower bound on epsilon that a rank gives."""
    bounds = [one for secret in own if (one := secret.figures.get("secret_epsilon")) is not None and one.value is not None]
    if not bounds:
        return ""
    best = max(bounds, key=lambda one: one.value or 0.0)
    claim = document.claim(name)
    promised = "" if claim is None else f", where {named('ε', claim.epsilon)} is promised"
    unit = best.conditions.get("unit", "example")
    if not best.value:
        return f"No rank proves an ε above 0{promised}."
    return f"The best rank proves ε ≥ {significant(best.value)} per {unit}{promised}."


def _every(document: Document, secrets: Sequence[Planted]) -> Table:
    """A row for each secret of each run."""
    bases = {one.name: one for one in secrets if document.names[one.run] == document.baseline}
    several = len({one.run for one in secrets}) > 1 and bool(bases)
    bounded = any("secret_epsilon" in one.figures for one in secrets)
    rows = []
    for one in secrets:
        exposure = one.figures.get("secret_exposure")
        cap = "" if one.cap is None else "promise excludes none" if one.binding is None else f"promise allows {significant(one.binding)}"
        rows.append(
            (
                *_heads(document, one),
                cell(one.figures.get("secret_rank")),
                Cell(text="–" if one.space is None else f"{one.space:,.0f}"),
                cell(exposure, note=cap),
                *([_against(one, bases.get(one.name))] if several else []),
                cell(one.figures.get("secret_p_value")),
                *([_bounded(one), _promised(document, one)] if bounded else []),
            )
        )
    columns = (
        *("Run", "Secret", "Words unknown", "Planted", "Rank", "Of so many fills", label_of("secret_exposure")),
        *([f"Against {document.baseline}"] if several else []),
        label_of("secret_p_value"),
        *([label_of("secret_epsilon"), label_of("epsilon")] if bounded else []),
    )
    return Table(title="Every secret", columns=columns, rows=tuple(rows))


def _heads(document: Document, secret: Planted) -> tuple[Cell, ...]:
    """Run, name, unknown words and repetitions."""
    known = secret.conditions
    name = " ".join(str(known[key]) for key in ("secret", "number") if key in known)
    length, candidates = (known.get(key) for key in ("length", "candidates"))
    unknown = "–" if length is None else f"{length}" if candidates is None else f"{length}, each of {candidates}"
    planted_times = "–" if "repetitions" not in known else f"{known['repetitions']:,}×" if not secret.control else "never (control)"
    return (
        Cell(text=document.names[secret.run], run=secret.run),
        Cell(text=name or "secret"),
        Cell(text=unknown),
        Cell(text=planted_times),
    )


def _against(one: Planted, base: Planted | None) -> Cell:
    pair = [each.figures.get("secret_exposure") for each in (one, base) if each is not None]
    if len(pair) < 2 or one is base or pair[0] is None or pair[1] is None:
        return Cell(text="–")
    change = difference(pair[0], pair[1])
    return Cell(text="–") if change is None else cell(change)


def _bounded(secret: Planted) -> Cell:
    """The bound by the rank, which a secret that was never planted cannot have."""
    bound = secret.figures.get("secret_epsilon")
    most = None if bound is None else bound.conditions.get("detectable")
    note = f"of {significant(float(most))} provable" if isinstance(most, int | float) else ""
    return Cell(text="–") if secret.control else cell(bound, note=note)


def _promised(document: Document, secret: Planted) -> Cell:
    claim = document.claim(document.names[secret.run])
    return Cell(text="none", tone="missing") if claim is None else Cell(text=significant(claim.epsilon))


def _searches(document: Document, secrets: Sequence[Planted]) -> Iterator[Table]:
    """A row for each search, with random fills beside it."""
    rows = []
    for secret in secrets:
        for search in secret.searches:
            rows.append(
                (
                    Cell(text=document.names[secret.run], run=secret.run),
                    Cell(text=secret.name),
                    Cell(text=search.variant or "–"),
                    Cell(text="–" if search.queries is None else f"{search.queries:,}"),
                    _yes_or_no(search.figures.get("extraction_accuracy")),
                    cell(search.figures.get("extraction_hamming")),
                    cell(search.figures.get("optimiser_gap")),
                    _yes_or_no(search.figures.get("random_search_accuracy")),
                    cell(search.figures.get("random_search_hamming")),
                )
            )
    columns = ("Run", "Secret", "Variant", "Queries", "Found whole", "Words wrong", label_of("optimiser_gap"))
    text = (
        "The optimiser gap says by how many nats the one that was found falls short of the likeliest of all fills. Above 0 the search "
        "stopped early, and its failure says nothing about the model; at 0 it found what the model likes best, true or not."
    )
    if rows:
        yield Table(title="The search", columns=(*columns, "Random fills: whole", "Random fills: wrong"), rows=tuple(rows), text=text)


def _yes_or_no(estimate: Estimate | None) -> Cell:
    """One secret is found or not; a share of several trials stays a share."""
    if estimate is None or estimate.value not in (0.0, 1.0) or estimate.interval is not None:
        return cell(estimate)
    return Cell(text="yes" if estimate.value else "no", hint=hint(estimate))


def _examples(document: Document, secrets: Sequence[Planted]) -> Iterator[Table]:
    """What the searches came up with beside what was planted."""
    told = [(secret, search) for secret in secrets for search in secret.searches if search.found or search.truth]
    rows = [
        (
            Cell(text=document.names[secret.run], run=secret.run),
            Cell(text=secret.name),
            Cell(text=search.variant or "–"),
            Cell(text=search.found or "–"),
            Cell(text=search.truth or "–"),
            Cell(text=_right(search)),
        )
        for secret, search in told
    ]
    columns = ("Run", "Secret", "Variant", "Found", "Planted", "Words right")
    if rows:
        yield Table(title="What the search put together", columns=columns, rows=tuple(rows), text=_INVENTED)


def _right(search: Search) -> str:
    found, truth = search.found.split(), search.truth.split()
    if not found or not truth:
        return "–"
    return f"{sum(one == other for one, other in zip(found, truth, strict=False))} of {len(truth)}"


def _methods(document: Document, secrets: Sequence[Planted]) -> Iterator[Table]:
    """How each quantity was measured, once for each way."""
    figures = [secret.figures[name] for name in RANKING for secret in secrets if name in secret.figures]
    figures += [joint for name in document.names if (joint := together(document, name)) is not None]
    figures += [search.figures[name] for name in SEARCH for secret in secrets for search in secret.searches if name in search.figures]
    told = [(label(one), one) for one in figures if one.method or one.reference]
    if told:
        yield methods("How these numbers were measured", told)


def _known(secret: Planted) -> bool:
    return secret.rank is not None or secret.exposure is not None or secret.whole is not None


def _rank_of(secret: Planted) -> str:
    rank = secret.figures.get("secret_rank")
    assert rank is not None
    return f"{written(rank).value} of {secret.space:,.0f}" if secret.space else written(rank).value


def _of(found: int, count: int) -> str:
    return f"{found} of {count}"
