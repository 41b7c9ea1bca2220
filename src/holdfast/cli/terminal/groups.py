"""What a metric of fairness found, in tables and lines that a terminal and a pipe can show."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.cli.terminal import output
from holdfast.core.evidence import Estimate, Evidence

_TELLING = ("of", "category", "condition", "attribute", "class", "kind", "direction", "written_by", "variant", "statistic")
"""Conditions that tell two figures of one name apart, in the order in which they are shown."""


def words(found: Evidence) -> list[str]:
    """A table of the figures of whole metrics, one of the groups, and what the numbers do not say."""
    whole = [one for one in found.estimates if "group" not in one.conditions]
    groups = [one for one in found.estimates if "group" in one.conditions]
    lines = []
    if whole:
        rows = [[*_named(one), _value(one), _p_value(one), str(one.conditions.get("verdict", "-"))] for one in whole]
        lines.append(output.table(rows, heads=["metric", "figure", "value", "p", "verdict"]))
    if groups:
        rows = [[*_named(one), str(one.conditions["group"]), _size(one), _value(one)] for one in groups]
        lines += ["", output.table(rows, heads=["metric", "figure", "group", "n", "value"])]
    missing = [one for one in found.estimates if one.value is None]
    lines += [f"{' '.join(_named(one))}{_of_group(one)}: {one.missing}" for one in missing]
    return [*lines, *(f"note: {note}" for note in found.notes)]


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
    told = [str(one.conditions[key]) for key in _TELLING if key in one.conditions]
    attribute = [f"by {one.conditions['groups']}"] if "groups" in one.conditions else []
    return [str(one.conditions.get("metric", "-")), " ".join([one.name.replace("_", " "), *attribute, *(f"({part})" for part in told)])]


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
