"""How much clients differ from each other: Jensen-Shannon distances between their labels, or between clusters of their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.core.randomness import Streams
from holdfast.federated.partition import cluster_codes, js_map, label_shares, mean_pairwise

if TYPE_CHECKING:
    from holdfast.federated.simulation.population import Population

CLUSTERS = 10
MOST_CLIENTS = 20_000
"""Clients beyond which some are drawn: the labels of all of ten million do not fit in memory."""
MOST_EXAMPLES = 50_000
"""Examples beyond which texts without labels are not clustered: it would take longer than the simulation."""


def spread_found(subject: str, population: Population) -> Evidence:
    """The mean distance between two clients, and a map of the distances of some.

    Args:
        subject: The run.
        population: Its clients; those without examples are left out.

    Returns:
        `mean_js_distance` and the curve `js_map`; nothing for fewer than two clients.
    """
    there = np.flatnonzero(population.clients.counts)
    if len(there) < 2:
        return Evidence()
    known = len(there)
    if known > MOST_CLIENTS:
        there = np.sort(Streams.from_seed(0).generator("spread").choice(there, size=MOST_CLIENTS, replace=False))
    clients = population.clients.take(there)
    partition = str(population.described.get("clients", "users"))
    facts: dict[str, Any] = {"name": "mean_js_distance", "subject": subject, "unit": "distance", "direction": "neither"}
    reference = "Lin et al. 2022, arXiv 2104.08815 (the map)"
    coded = _coded(population)
    if coded is None:
        unknown = {"of": "clusters", "partition": partition, "log": "e"}
        why = f"texts without labels are clustered up to {MOST_EXAMPLES:,} examples only"
        return Evidence(estimates=(Estimate(value=None, missing=why, conditions=unknown, reference=reference, **facts),))
    of, codes_n, kinds = coded
    shares_NK = label_shares(codes_n, clients, labels=kinds)
    mean, shown = mean_pairwise(shares_NK), js_map(shares_NK)
    conditions: dict[str, Any] = {"of": of, "partition": partition, "log": "e", "pairs": mean.pairs}
    span = None if mean.exact else Interval(low=mean.low, high=mean.high, level=0.95, method="normal, over sampled pairs of clients")
    how = f"mean Jensen-Shannon distance (root of the divergence) of the {of} of two clients, over all pairs"
    how += f" of {MOST_CLIENTS:,} clients that were drawn" if known > MOST_CLIENTS else ""
    estimate = Estimate(value=mean.value, interval=span, n=mean.clients, conditions=conditions, method=how, reference=reference, **facts)
    size = len(shown.clients)
    curve = Curve(
        name="js_map",
        subject=subject,
        x=tuple(map(float, range(size * size))),
        y=tuple(shown.distances.ravel().tolist()),
        x_label="pair of clients, row by row",
        y_label="Jensen-Shannon distance",
        conditions={"clients": size, "shown_of": known, "of": of},
        method="clients ordered by their commonest label",
    )
    return Evidence(estimates=(estimate,), curves=(curve,))


def _coded(population: Population) -> tuple[str, NDArray[np.int64], int] | None:
    """What each example is, as a number: its label, or the cluster of its text."""
    train, sentence = population.train, population.encoded.sentence
    if sentence is not None and population.labels.sentence:
        return "labels", sentence, len(population.labels.sentence)
    if train is None or len(train) > MOST_EXAMPLES:
        return None
    codes_n, kinds = cluster_codes(train, clusters=CLUSTERS, seed=0)
    return "clusters", codes_n, kinds
