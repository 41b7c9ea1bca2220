"""Worst errors of each family of models, as Markdown: `python -m tests.oracles.figures` prints the tables of the documentation."""

import sys

import torch

from tests.oracles.exactness import Errors, errors
from tests.oracles.families import ADAPTED, COMMON, FURTHER, OURS, Batch, Family

USUAL = [7, 5, 2, 7]
"""Lengths of sentences; the longest is no multiple of their number."""
DRAWS = 5
HEAD = "| | norm, float64 | sum, float64 | norm, float32 | sum, float32 |\n|---|---|---|---|---|"
TABLES = {"models": {**COMMON, **OURS, **FURTHER}, "adapters": ADAPTED}


def measured(family: Family, dtype: torch.dtype, *, seed: int = 0, lengths: list[int] | None = None) -> Errors:
    """The errors of a model with the weights and sentences of a seed."""
    drawn = lengths or USUAL
    return errors(family.make, family.losses(Batch.drawn(drawn, seed=seed)), examples=len(drawn), dtype=dtype, seed=seed)


def row(name: str, family: Family) -> str:
    """The worst of some draws of weights and sentences."""
    figures = []
    for dtype in (torch.float64, torch.float32):
        found = [measured(family, dtype, seed=seed) for seed in range(DRAWS)]
        figures += [max(one.norms for one in found), max(one.sums for one in found)]
    return f"| {name} | {' | '.join(f'{figure:.0e}' for figure in figures)} |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for families in TABLES.values():
        sys.stdout.write("\n".join([HEAD, *(row(name, family) for name, family in families.items())]) + "\n\n")
