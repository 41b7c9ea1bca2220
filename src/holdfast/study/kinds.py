"""The kinds of study files: how each is read and carried out, so that a grid or a pool of processes need not know which it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.study.execute import StudyResult, phases, run_study
from holdfast.study.federation import FederatedPlan, federated_phases, parse_federated_plan, run_federated
from holdfast.study.plan import StudyPlan, parse_plan

Plan = StudyPlan | FederatedPlan


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How studies of one kind are done.

    Args:
        parse: Checks the text of a file, called as `parse_plan`.
        carry_out: Does the study, called as `run_study`.
        phases: What progress is told of, each phase with its share of the time.
    """

    parse: Callable[..., Any]
    carry_out: Callable[..., StudyResult]
    phases: Callable[[Any], Mapping[str, float]]


TRAININGS = Kind(parse=parse_plan, carry_out=run_study, phases=phases)
"""Each run is one training on all data."""
FEDERATIONS = Kind(parse=parse_federated_plan, carry_out=run_federated, phases=federated_phases)
"""Each run is a training across clients."""


def kind_of(plan: Plan) -> Kind:
    """The kind of a plan."""
    return FEDERATIONS if isinstance(plan, FederatedPlan) else TRAININGS
