"""The runs of a grid of lengths, repetitions, defences and seeds, each with planted secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from holdfast.report.reproductions.canary_extraction.grid import BASE

_SEEDS = 1_000
"""More places of a grid than this would draw the secrets of one seed from those of another."""


def runs(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A run for each seed, length, number of repetitions and defence of a template: whoever stops early has whole seeds.

    Defences of one seed, length and number of repetitions have the same secrets, so that they can be compared in pairs. No two
    lengths, numbers of repetitions or seeds share theirs: what a model knows nothing of then ranks independently everywhere.

    Runs without a defence have one secret more, of the form of another, which is never planted: it shows what the measure shows
    where there is nothing to show.

    Args:
        document: The template; of its table [other] there are runs at one length and number of repetitions alone.
    """
    grid = document["grid"]
    places = list(product(grid["lengths"], grid["repetitions"]))
    special = (grid["others_at"].get("length"), grid["others_at"].get("repetitions"))
    for seed in grid["seeds"]:
        for number, (length, repetitions) in enumerate(places):
            others = document.get("other", {}) if (length, repetitions) == special else {}
            for defence, settings in {**document["defence"], **others}.items():
                secrets = [{"pattern": name, "length": length, "repetitions": repetitions} for name in grid["patterns"]]
                if defence == BASE:
                    template = grid["control"] + " {}" * length
                    secrets.append({"pattern": "control", "template": template, "repetitions": 0})
                yield {
                    "name": f"n{length}-r{repetitions}-{defence}-seed-{seed}",
                    "mechanism": "none",
                    "seed": seed,
                    "cell": {"defence": defence, "length": length, "repetitions": repetitions},
                    "secrets": secrets,
                    "secret_seed": _SEEDS * seed + number,
                    **settings,
                }
