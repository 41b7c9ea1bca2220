"""What a simulation says of its clients: how often each decile took part, how far it moved the model, and how well it is served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.evidence import Curve, Estimate
from holdfast.federated.findings.deciles import deciles, gini, lorenz
from holdfast.federated.findings.scores import ExampleScores
from holdfast.federated.selection import Signals

if TYPE_CHECKING:
    from holdfast.federated.simulation.population import Population

LEAST = 5
"""Examples that a client must have to be one of those whose worst score is told: the score of one with two examples is chance."""
PERCENTILES = (0, 10, 50, 90)
_DUPUY = "after Dupuy et al. 2022, arXiv 2202.03925"


@dataclass(frozen=True, eq=False)
class ClientsFound:
    """Estimates and curves about clients.

    Args:
        subject: The run.
        population: Its clients.
        signals: What is known of each.
        norms: Sum of the norms of each one's updates, (N,).
    """

    subject: str
    population: Population
    signals: Signals
    norms: NDArray[np.float64]

    def activity(self) -> Iterator[Estimate]:
        """How many clients and examples there are, how unequally, and who took part."""
        counts, described = self.population.clients.counts, self.population.described
        partition = str(described.get("clients", "users"))
        for name, value in (("clients", len(counts)), ("examples", int(counts.sum()))):
            yield self._one(
                name, float(value), name, "neither", conditions={"partition": partition}, method="counted, in the training data"
            )
        for name, values in (("activity_gini", counts), ("participation_gini", self.signals.times)):
            there = values[counts > 0]
            yield self._one(name, gini(there), "index", "neither", n=len(there), method="Gini's index over clients with examples")
        whole = float(self.norms.sum())
        for decile, members in enumerate(deciles(counts), start=1):
            if not len(members):
                continue
            conditions = {"decile": decile, "clients": len(members)}
            took = float(self.signals.times[members].mean())
            method = "mean number of rounds that a client of the decile took part in; deciles by examples, 10 = most active"
            yield self._one("participation_decile", took, "rounds", "neither", conditions=conditions, method=method, reference=_DUPUY)
            if whole:
                share = float(self.norms[members].sum()) / whole
                how = "share of the decile in the sum of the norms of all updates"
                yield self._one("update_norm_decile", share, "share", "neither", conditions=conditions, method=how)

    def served(self, scores: ExampleScores) -> Iterator[Estimate]:
        """How well each decile is served, and the worst-served clients.

        Args:
            scores: Of the examples that clients are tested on.
        """
        own, counts = self.population.own, self.population.clients.counts
        by_client = scores.by_client(own.owners, len(counts))
        tested = np.bincount(own.owners[own.owners >= 0], minlength=len(counts))
        beyond = int(((tested > 0) & ~np.isfinite(by_client)).sum())
        where = own.held_out + (f"; {beyond} clients whose score is not finite are left out" if beyond else "")
        for decile, members in enumerate(deciles(counts), start=1):
            known = members[np.isfinite(by_client[members])]
            if len(known):
                conditions = {"decile": decile, "measure": scores.measure, "clients": len(known), "examples": int(tested[known].sum())}
                value = float(by_client[known].mean())
                method = f"mean over the clients of the decile, on {where}"
                yield self._scored("client_score_decile", value, scores, conditions, n=len(known), method=method)
        enough = np.flatnonzero((tested >= LEAST) & np.isfinite(by_client))
        if not len(enough):
            return
        better = scores.direction == "higher is better"
        for percentile in PERCENTILES:
            value = float(np.percentile(by_client[enough], percentile if better else 100 - percentile))
            conditions = {"percentile": percentile, "measure": scores.measure, "clients": len(enough), "least_examples": LEAST}
            method = f"over clients with at least {LEAST} test examples; 0 is the worst-served, on {where}"
            yield self._scored("client_score_percentile", value, scores, conditions, n=len(enough), method=method)

    def curves(self) -> Iterator[Curve]:
        """The Lorenz curves of examples and of participation."""
        counts = self.population.clients.counts
        there = counts > 0
        for name, values, what in (
            ("activity_lorenz", counts[there], "share of the examples"),
            ("participation_lorenz", self.signals.times[there], "share of all participations"),
        ):
            x, y = lorenz(values)
            yield Curve(
                name=name,
                subject=self.subject,
                x=tuple(x.tolist()),
                y=tuple(y.tolist()),
                x_label="share of clients, from the lightest to the most active" if name == "activity_lorenz" else "share of clients",
                y_label=what,
                method="Lorenz curve over clients with examples",
            )

    def _one(self, name: str, value: float, unit: str, direction: Any, **facts: Any) -> Estimate:
        return Estimate(name=name, subject=self.subject, value=value, unit=unit, direction=direction, **facts)

    def _scored(self, name: str, value: float, scores: ExampleScores, conditions: dict[str, Any], **facts: Any) -> Estimate:
        return self._one(name, value, scores.unit, scores.direction, conditions=conditions, **facts)
