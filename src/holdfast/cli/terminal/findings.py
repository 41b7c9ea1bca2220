"""What an audit found, in tables and lines that a terminal and a pipe can show."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.cli.terminal import output
from holdfast.core.evidence import Estimate, Evidence

_FIGURES = {
    "AUC": ("membership_auc", None),
    "TPR at FPR .1": ("tpr_at_fpr", 0.1),
    "at .01": ("tpr_at_fpr", 0.01),
    "at .001": ("tpr_at_fpr", 0.001),
    "advantage": ("membership_advantage", None),
    "epsilon at least": ("epsilon_lower_bound", None),
}
"""The columns of the table of attacks: name and false positive rate of the estimate."""


def words(found: Evidence) -> list[str]:
    """Tables of what was found, a line for each figure that stands in none, and the verdict."""
    whole = [one for one in found.estimates if not {"group", "record"} & one.conditions.keys()]  # the page has the others
    lines = [*_attack_table(whole), *_secret_table(whole), *_search_table(whole), *_round_table(whole)]
    lines += [_line(one) for one in whole if one.name not in _TABLED]
    if any(one.missing and "not resolvable" in one.missing for one in whole):
        lines.append("not resolvable: too few non-members for that false positive rate; the page says how many would do")
    verdicts = [f"{verdict.subject}: {verdict.outcome}. {verdict.reason}" for verdict in found.verdicts]
    tested = any(one.name in ("membership_auc", "secret_rank", "one_run_epsilon") for one in whole)  # what a promise would be held to
    return [*lines, *(verdicts or ["no promise to test: the run was trained without noise"] * tested)]


def _attack_table(whole: Sequence[Estimate]) -> list[str]:
    """A row for each membership attack."""
    figures = {(one.conditions.get("attack"), one.name, one.conditions.get("fpr")): one for one in whole}
    attacks = [str(one.conditions["attack"]) for one in whole if one.name == "membership_auc"]
    rows = [[attack, *(_cell(figures[attack, *figure]) for figure in _FIGURES.values())] for attack in attacks]
    return [output.table(rows, heads=["attack", *_FIGURES])] if rows else []


_SECRETS = {"exposure (bits)": "secret_exposure", "p-value": "secret_p_value", "epsilon at least": "secret_epsilon"}
_SEARCHES = {
    "found whole": "extraction_accuracy",
    "words wrong": "extraction_hamming",
    "gap (nats)": "optimiser_gap",
    "by random search": "random_search_accuracy",
}
_ROUNDS = {"F1": "token_f1", "precision": "token_precision", "recall": "token_recall", "sentences": "sentences_recovered"}
_TABLED = {name for name, _ in _FIGURES.values()} | {
    *("secret_rank", *_SECRETS.values()),
    *("random_search_hamming", *_SEARCHES.values()),
    *_ROUNDS.values(),
}
"""What stands in a table, and therefore gets no line of its own."""


def _secret_table(whole: Sequence[Estimate]) -> list[str]:
    """A row for each planted secret: where it stands among all that it might be."""
    rows = []
    for one in whole:
        if one.name == "secret_rank":
            known = {key: str(one.conditions[key]) for key in ("secret", "length", "repetitions")}
            others = [_cell(_of(whole, name, secret=one.conditions["secret"])) for name in _SECRETS.values()]
            rows.append([*known.values(), _rank(one), *others])
    return [output.table(rows, heads=["secret", "words", "planted", "rank", *_SECRETS])] if rows else []


def _rank(one: Estimate) -> str:
    if one.value is None:
        return _cell(one)
    band = "" if one.interval is None else f" [{one.interval.low:,.0f}, {one.interval.high:,.0f}]"
    return f"{one.value:,.0f}{band} of {one.conditions['space']:,}"


def _search_table(whole: Sequence[Estimate]) -> list[str]:
    """A row for each secret and search."""
    rows = []
    for one in whole:
        if one.name == "extraction_accuracy":
            known = {key: one.conditions[key] for key in ("secret", "variant")}
            figures = [_cell(_of(whole, name, **known)) for name in _SEARCHES.values()]
            rows.append([*map(str, known.values()), str(one.conditions["found"]), f"{one.conditions['queries']:,}", *figures])
    return [output.table(rows, heads=["secret", "search", "found", "queries", *_SEARCHES])] if rows else []


def _round_table(whole: Sequence[Estimate]) -> list[str]:
    """A row for each kind of round and way to read it."""
    keys = ("method", "target", "batch_size", "cohort", "clip_norm", "noise_multiplier")
    rows = []
    for one in whole:
        if one.name == "token_f1":
            known = {key: one.conditions[key] for key in keys if key in one.conditions}
            rows.append([*(str(known.get(key, "-")) for key in keys), *(_cell(_of(whole, name, **known)) for name in _ROUNDS.values())])
    return [output.table(rows, heads=["reads", "words of", "batch", "cohort", "clip", "noise", *_ROUNDS])] if rows else []


def _of(whole: Sequence[Estimate], name: str, **conditions: object) -> Estimate | None:
    return next((one for one in whole if one.name == name and conditions.items() <= one.conditions.items()), None)


def _cell(one: Estimate | None) -> str:
    if one is None:
        return "-"
    if one.value is None:
        return "not resolvable" if one.missing and one.missing.startswith("not resolvable") else "-"
    return f"{one.value:.3g}" + ("" if one.interval is None else f" [{one.interval.low:.3g}, {one.interval.high:.3g}]")


def _line(one: Estimate) -> str:
    attack, attribute = one.conditions.get("attack"), one.conditions.get("attribute")
    name = one.name.replace("_", " ") + ("" if attribute is None else f" by {attribute}") + ("" if attack is None else f" ({attack})")
    return f"{name}: {one.missing if one.value is None else _cell(one)}"
