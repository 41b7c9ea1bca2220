"""The runs of a grid of methods, levels of noise and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def runs(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A run for each method, level of noise and seed of a template: seed after seed, so that whoever stops early has whole seeds."""
    grid, methods = document["grid"], document["method"]
    for seed in grid["seeds"]:
        for method, settings in methods.items():
            if method == "none":
                yield {"name": f"non-private-seed-{seed}", "mechanism": method, "seed": seed, **settings}
                continue
            for noise in grid["noise_multipliers"]:
                name = f"{method}-noise-{noise:g}-seed-{seed}"
                yield {"name": name, "mechanism": method, "seed": seed, "noise_multiplier": noise, **settings}
