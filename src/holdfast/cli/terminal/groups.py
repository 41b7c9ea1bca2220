"""What a metric of fairness found, in tables and lines that a terminal and a pipe can show."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.cli.terminal import output
from holdfast.core.evidence import Estimate, Evidence

_TELLING = ("of", "category", "condition", "type", "direction", "attribute", "class", "classes", "variant", "statistic", "written_by")
"""Conditions that tell two figures of one name apart, in the order in which they are shown."""
_CLASSES = {"worst": "worst class", "macro mean": "mean over classes", "type all": "all types"}
PART = "some left out"


def words(found: Evidence) -> list[str]:
    """A table of the figures of whole metrics, one of the groups, and what the numbers do not say.

    Names of groups and words come from files: what in them is no letter, mark or blank is shown as its escape.
    """
    whole = [one for one in found.estimates if "group" not in one.conditions]
    groups = [one for one in found.estimates if "group" in one.conditions]
    lines = []
    if whole:
        rows = [[*_named(one), _value(one), _p_value(one), _told(one, "verdict"), _told(one, "worst")] for one in whole]
        lines.append(_table(rows, heads=["metric", "figure", "value", "p", "verdict", "worst"]))
    if groups:
        rows = [[*_named(one), str(one.conditions["group"]), _size(one), _value(one)] for one in groups]
        lines += ["", _table(rows, heads=["metric", "figure", "group", "n", "value"])]
    said = [(one, one.missing) for one in found.estimates if one.value is None]
    said += [(one, f"{PART}: {one.conditions['left out']}") for one in found.estimates if _in_part(one)]
    lines += [f"{' '.join(_named(one))}{_of_group(one)}: {text}" for one, text in said]
    return [*map(_plain, lines), *(_plain(f"note: {note}") for note in found.notes)]


def listing(cards: Sequence[Mapping[str, Any]]) -> str:
    """A row for each metric."""
    rows = [[str(one["name"]), str(one["needs"]), str(one["notion"]), str(one["kind"])] for one in cards]
    return output.table(rows, heads=["metric", "looks at", "notion", "kind"])


def card(one: Mapping[str, Any]) -> str:
    """A whole card."""
    told = [(key, value) for key, value in one.items() if key != "criticism"]
    lines = [f"{key.replace('_', ' ')}: {'-' if value is None else value}" for key, value in told]
    lines += [f"criticism: {text}" for text in one["criticism"]]
    return "\n".join(textwrap.fill(line, 100, subsequent_indent="  ") for line in lines)


def _named(one: Estimate) -> list[str]:
    told = [f"type {one.conditions[key]}" if key == "type" else str(one.conditions[key]) for key in _TELLING if key in one.conditions]
    told = [_CLASSES.get(part, part) for part in told]
    told += [PART] if _in_part(one) else []
    attribute = [f"by {one.conditions['groups']}"] if "groups" in one.conditions else []
    return [str(one.conditions.get("metric", "-")), " ".join([one.name.replace("_", " "), *attribute, *(f"({part})" for part in told)])]


def _in_part(one: Estimate) -> bool:
    return one.value is not None and bool(one.conditions.get("left out"))


def _told(one: Estimate, key: str) -> str:
    return str(one.conditions.get(key, "-"))


def _table(rows: Sequence[Sequence[str]], *, heads: Sequence[str]) -> str:
    """A table without the columns that say nothing."""
    rows = [[_plain(cell, of_a_table=True) for cell in row] for row in rows]
    kept = [at for at in range(len(heads)) if any(row[at] != "-" for row in rows)]
    return output.table([[row[at] for at in kept] for row in rows], heads=[heads[at] for at in kept])


def _plain(text: str, *, of_a_table: bool = False) -> str:
    """Text that a terminal takes for nothing but text."""
    kept = "" if of_a_table else "\n"
    return "".join(one if one.isprintable() or one in kept else one.encode("unicode_escape").decode() for one in text)


def _of_group(one: Estimate) -> str:
    return f", {one.conditions['group']}" if "group" in one.conditions else ""


def _size(one: Estimate) -> str:
    return "-" if one.n is None else f"{one.n:,}"


def _value(one: Estimate) -> str:
    if one.value is None:
        return "-"
    return f"{one.value:.4g}" + ("" if one.interval is None else f" [{one.interval.low:.3g}, {one.interval.high:.3g}]")


def _p_value(one: Estimate) -> str:
    p = one.conditions.get("p_adjusted", one.conditions.get("p_value"))
    return "-" if p is None else f"{float(p):.2g}" + (" adjusted" if "p_adjusted" in one.conditions else "")
