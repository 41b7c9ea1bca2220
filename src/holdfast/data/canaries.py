"""Plants canaries: invented examples whose presence in the training data an audit looks for later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from holdfast.core.errors import DataError, InputError
from holdfast.core.randomness import Streams
from holdfast.data.dataset import Dataset
from holdfast.data.examples import Example


def plant_canaries(data: Dataset, canaries: Sequence[Example], *, copies: int, streams: Streams) -> Dataset:
    """Adds every canary so many times, at random places; the other rows keep their order.

    A canary that is planted R times is a group of R examples: an example-level claim of epsilon promises R epsilon for it.

    Args:
        data: The training part.
        canaries: Examples with exactly the attributes that the data have; none leaves the data as they are.
        copies: How many times each is planted, at least 1.
        streams: Randomness of the places.

    Raises:
        InputError: For copies below 1.
        DataError: For a canary that lacks an attribute of the data, or has another one.
    """
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise InputError(f"canaries: copies is {copies!r}; give an integer >= 1")
    if not canaries:
        return data
    planted = Dataset.from_examples(canaries, name=data.name, split=data.split)
    if planted.table.column_names != data.table.column_names:
        have, want = ", ".join(planted.table.column_names), ", ".join(data.table.column_names)
        raise DataError(f"the canaries have {have}, the data have {want}; give them the same attributes")
    both = pa.concat_tables([data.table, *[planted.table] * copies])
    places = streams.generator("places").integers(0, len(data) + 1, len(planted) * copies)
    order = np.argsort(np.concatenate([np.arange(len(data)) + 0.5, places]), kind="stable")
    return Dataset.from_table(both, name=data.name, split=data.split).take(order)
