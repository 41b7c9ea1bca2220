"""Draws accuracy against epsilon, and writes the table, from what train.py kept of the chosen runs.

python benchmarks/utility/chart.py benchmarks/utility/results.jsonl --trials benchmarks/utility/trials.jsonl
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt

from holdfast.report.figures.labels import spread, text_width
from holdfast.report.figures.svg import over, render
from holdfast.report.figures.svg import written as text
from holdfast.report.figures.theme import colour, role, shape, variables

SCORES = {"intent_accuracy": "Intent accuracy (%)", "slot_f1": "Slot F1 (%)"}
WIDTH, HEIGHT, LEFT = 500, 250, 36
LOWEST, HIGHEST = 0.85, 9.4  # of the axis of epsilon


@dataclass(frozen=True, kw_only=True)
class Family:
    """The runs of one kind of model with one mechanism.

    Args:
        name: What the chart calls them.
        study: The study file that they are in.
        start: How the names of its runs begin.
        trains: What is trained.
    """

    name: str
    study: str
    start: str
    trains: str


FAMILIES = (
    Family(name="BiLSTM", study="snips_frontier", start="dp-sgd", trains="all but the public vectors"),
    Family(name="MiniLM, all layers", study="minilm_frontier", start="full", trains="all but the table of pieces"),
    Family(name="MiniLM, LoRA", study="minilm_frontier", start="lora", trains="rank-8 matrices and the heads"),
    Family(name="MiniLM, heads", study="minilm_frontier", start="heads", trains="the heads"),
    Family(name="transformer", study="transformer_frontier", start="dp-sgd", trains="all but the public vectors"),
    Family(name="BiLSTM, eDP-SGD", study="snips_frontier", start="edp-sgd", trains="all but the public vectors"),
)
_FONT = "font-family:'Liberation Sans',Arial,sans-serif"
_BOX = re.compile(r'viewBox="[^"]*"')
NOT_PRIVATE = {"intent_accuracy": 97.6, "slot_f1": 92.5}  # a BiLSTM, the non-private run of examples/snips.toml


def of(family: Family, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The private runs of a family, by epsilon."""
    own = [row for row in rows if row["study"] == family.study and row["run"].startswith(family.start) and row["epsilon"] is not None]
    return sorted(own, key=lambda row: float(row["epsilon"]))


def chart(rows: Sequence[Mapping[str, Any]]) -> Any:
    """One panel for each score, one line for each family."""
    return alt.concat(*(_panel(rows, score, title) for score, title in SCORES.items()), columns=1, bounds="flush", spacing={"row": 78})


def _panel(rows: Sequence[Mapping[str, Any]], score: str, title: str) -> Any:
    kept = [(number, family, of(family, rows)) for number, family in enumerate(FAMILIES) if of(family, rows)]
    level = NOT_PRIVATE[score]
    lowest = min(100 * row["scores"]["test"][score][1] for _, _, own in kept for row in own)
    floor, top = 10 * math.floor(lowest / 10), 100.0
    x_axis = alt.Axis(title="epsilon (delta 0.00001, one example)", values=[1, 3, 8], grid=False, labelExpr="datum.value")
    x = alt.X("x:Q", scale=alt.Scale(type="log", domain=[LOWEST, HIGHEST], nice=False), axis=x_axis)
    left = alt.Axis(title=None, tickCount=6, domain=False, ticks=False, minExtent=LEFT, maxExtent=LEFT)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[floor, top], nice=False), axis=left)
    rule = over([{"y": level}]).mark_rule(color=role("muted"), strokeDash=[5, 4]).encode(y=y)
    layers = [rule, text("BiLSTM, not private", x=4, y=HEIGHT * (top - level) / (top - floor) - 9, ink="muted")]
    for number, _, own in kept:
        points = [_point(row, score) for row in own]
        ink = colour(number)
        layers.append(over(points).mark_rule(color=ink, strokeWidth=1.2, opacity=0.7).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"))
        layers.append(over(points).mark_line(color=ink, strokeWidth=2).encode(x=x, y=y))
        layers.append(over(points).mark_point(filled=True, size=55, opacity=1, color=ink, shape=shape(number)).encode(x=x, y=y))
    wishes = [HEIGHT * (top - _point(own[-1], score)["y"]) / (top - floor) for _, _, own in kept]
    for (number, family, _), place in zip(kept, spread(wishes, gap=15, low=7, high=HEIGHT - 7), strict=True):
        layers.append(text(family.name, x=WIDTH + 8, y=place, bold=True, ink=colour(number)))
    layers.append(text(title, x=-LEFT, y=-16, size=13, bold=True))
    return alt.layer(*layers, width=WIDTH, height=HEIGHT)


def _point(row: Mapping[str, Any], score: str) -> dict[str, float]:
    value, low, high = row["scores"]["test"][score]
    return {"x": row["epsilon"], "y": 100 * value, "low": 100 * low, "high": 100 * high}


def standing_alone(svg: str) -> str:
    """The drawing with the colours of the report, light or dark as the reader's screen is."""
    pairs = variables()
    light, dark = (";".join(f"{name}:{pair[side]}" for name, pair in pairs.items()) for side in (0, 1))
    style = f"svg{{{light}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}text{{paint-order:stroke;{_FONT}}}"
    wide = LEFT + WIDTH + 8 + max(text_width(family.name) for family in FAMILIES)
    head, _, body = _BOX.sub(f'viewBox="-6 -14 {wide + 16:.0f} {2 * HEIGHT + 78 + 96}"', svg).partition(">")
    return f"{head}><style>{style}</style>{body}\n"


def in_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the drawing shows, for whoever does not see it."""
    parts = []
    for family in FAMILIES:
        found = [f"{row['epsilon']:.1f}: {' and '.join(_shown(row, score) for score in SCORES)}" for row in of(family, rows)]
        parts.append(f"{family.name}: {'; '.join(found)}")
    return f"Intent accuracy and slot F1 in percent by epsilon. {'. '.join(parts)}."


def table(rows: Sequence[Mapping[str, Any]], trials: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    head = ["model", "what trains", "epsilon", "intent accuracy", "slot F1", "seconds an epoch", "epochs", "tried"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for family in FAMILIES:
        for row in of(family, rows):
            tried = sum(kind(trial) == kind(row) for trial in trials)
            scores = [_with_span(row, score) for score in SCORES]
            cells = [
                family.name,
                family.trains,
                f"{math.ceil(100 * row['epsilon']) / 100:.2f}",
                *scores,
                _seconds(row),
                _epochs(row),
                str(tried),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def kind(row: Mapping[str, Any]) -> tuple[object, ...]:
    """What a training has in common with the others that its settings were chosen among."""
    model = row["settings"]["model"]
    return row["settings"]["run"]["mechanism"], model["model"], model.get("freeze"), bool(model.get("lora_rank"))


def _epochs(row: Mapping[str, Any]) -> str:
    return f"{row['settings']['training']['epochs']:.0f}"


def _seconds(row: Mapping[str, Any]) -> str:
    training = row["settings"]["training"]
    return f"{row['processor_seconds'] / training['epochs']:.1f}"


def _shown(row: Mapping[str, Any], score: str) -> str:
    return _cut(row["scores"]["test"][score][0])


def _with_span(row: Mapping[str, Any], score: str) -> str:
    """A score in percent, never flattered: cut down, its interval cut outwards."""
    value, low, high = row["scores"]["test"][score]
    return f"{_cut(value)} ({_cut(low)} to {math.ceil(1000 * high) / 10:.1f})"


def _cut(share: float) -> str:
    return f"{math.floor(1000 * share) / 10:.1f}"


def _read(path: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("results", type=Path, help="what train.py kept of the chosen runs")
    made.add_argument("--trials", type=Path, help="what it kept of the search, to count it")
    made.add_argument("--chart", type=Path, help="write the drawing to this file")
    arguments = made.parse_args()
    rows = _read(arguments.results)
    if arguments.chart is not None:
        drawing = render(chart(rows), name="utility", alternative=in_words(rows))
        arguments.chart.write_text(standing_alone(drawing), encoding="utf-8")
    print(table(rows, [] if arguments.trials is None else _read(arguments.trials)))


if __name__ == "__main__":
    main()
