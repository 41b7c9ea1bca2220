"""Blocks of updates, some of them rows of a table, for every test of what travels."""

import numpy as np
import pytest
import torch

from holdfast.core.randomness import Streams
from holdfast.federated.local import TableRows, Updates

LIKE = {"heads.weight": torch.zeros(3, 4), "heads.bias": torch.zeros(3), "table": torch.zeros(50, 2)}


@pytest.fixture
def like() -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in LIKE.items()}


@pytest.fixture
def streams() -> Streams:
    return Streams.from_seed(11)


@pytest.fixture
def block(streams: Streams) -> Updates:
    """Three clients: the first moved two rows, the second none, the third all five that there was room for."""
    draw = streams.generator("block")
    rows = np.stack([draw.permutation(50)[:5] for _ in range(3)])
    values = draw.normal(size=(3, 5, 2)).astype(np.float32)
    values[0, 2:] = 0
    values[1] = 0
    rows[0, 2:] = rows[0, 0]  # behind its own end a row may stand again
    dense = {name: torch.from_numpy(draw.normal(size=(3, *LIKE[name].shape)).astype(np.float32)) for name in ("heads.weight", "heads.bias")}
    table = TableRows(torch.from_numpy(rows), torch.from_numpy(values), 50)
    return Updates(np.arange(3), dense, {"table": table}, np.ones(3, dtype=np.int64), np.zeros(3))
