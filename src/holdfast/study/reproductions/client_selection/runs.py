"""The runs of a grid of strategies, weights, clocks and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

UNPAIRED = {"top-k", "power-of-choice", "oort", "active"}
"""Strategies that leave clients without a chance, or do not know it: inverse propensities are not to be had of them."""


def runs(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A run for each seed, clock, weighting and strategy of a template: whoever stops early has whole seeds.

    Runs of one seed begin with the same weights, and are compared in pairs.

    Args:
        document: The template.
    """
    grid = document["grid"]
    for seed in grid["seeds"]:
        for clock, settings in document["clock"].items():
            for weighting in grid["weightings"]:
                for strategy, select in document["strategy"].items():
                    name = select if isinstance(select, str) else select["name"]
                    if weighting == "inverse-propensity" and name in UNPAIRED:
                        continue
                    yield {
                        "name": f"{clock}-{weighting}-{strategy.replace('^', '-')}-seed-{seed}",
                        "select": select,
                        "weighting": weighting,
                        "seed": seed,
                        "cell": {"strategy": strategy, "weighting": weighting, "schedule": clock},
                        **settings,
                    }
