"""Partitions by name, as study files ask for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from holdfast.core.errors import InputError, nearest
from holdfast.data import Dataset
from holdfast.federated.partition.assignment import Partition
from holdfast.federated.partition.clusters import feature_clusters
from holdfast.federated.partition.dirichlet import label_dirichlet, label_dirichlet_by_label
from holdfast.federated.partition.plain import iid, natural, quantity_dirichlet, shards, temporal

SCHEMES: Mapping[str, Callable[..., Partition]] = {
    made.__name__: made
    for made in (iid, label_dirichlet, label_dirichlet_by_label, quantity_dirichlet, shards, feature_clusters, natural, temporal)
}
"""Every scheme by its name."""


def partition(
    scheme: str, dataset: Dataset, options: Mapping[str, Any] | None = None, *, clients: int | None = None, seed: int = 0
) -> Partition:
    """Makes a partition by the name of its scheme.

    Args:
        scheme: One of `SCHEMES`.
        dataset: The data.
        options: What that scheme takes besides, such as ``{"alpha": 0.1}``.
        clients: How many; None for "natural", which has as many as the column has values.
        seed: Of all draws, at least 0.

    Raises:
        InputError: For an unknown scheme or option, with the nearest valid one, or a value out of its bounds.

    >>> from holdfast.data import Example
    >>> data = Dataset.from_examples([Example(tokens=("stop",)), Example(tokens=("go",))], name="tiny", split="train")
    >>> partition("iid", data, clients=2, seed=1).clients_of().counts.tolist()
    [1, 1]
    >>> partition("idd", data, clients=2)
    Traceback (most recent call last):
        ...
    holdfast.core.errors.InputError: unknown partition 'idd'; did you mean 'iid'? Valid: feature_clusters, ...
    """
    if scheme not in SCHEMES:
        raise InputError(f"unknown partition {scheme!r}; {nearest(scheme, SCHEMES)}")
    valid = [name for name in inspect.signature(SCHEMES[scheme]).parameters if name not in ("dataset", "clients", "seed")]
    for name in options or {}:
        if name not in valid:
            hint = nearest(name, valid) if valid else "it takes none"
            raise InputError(f"partition {scheme!r}: unknown option {name!r}; {hint}")
    return SCHEMES[scheme](dataset, clients=clients, seed=seed, **(options or {}))
