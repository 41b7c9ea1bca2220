"""``[fairness]``: what is measured of each run, on which groups, and how sure the answers must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from holdfast import catalog
from holdfast.core.errors import HoldfastError, InputError, StudyError
from holdfast.fairness.inference import Inference
from holdfast.fairness.metric import Metric
from holdfast.models.checks import known_options
from holdfast.study.fairness.options import as_declared
from holdfast.study.tables import Open, Table

USUAL = ("demographic-parity", "equal-opportunity", "equalised-odds", "predictive-parity", "accuracy-parity")
"""What is measured of decisions where nothing is said."""


class MetricTable(Open):
    """One metric: ``{ name = "stereoset", data = "stereoset.csv" }``; further keys are its options.

    Args:
        name: Of the catalog, or a dotted path.
        vectors: A file of word vectors to look at in the place of the run's own, for metrics of vectors; to others an option like any.
        pooling: How a model's states become the vector of a word, for metrics of vectors; to others an option like any.
    """

    name: str
    vectors: str | None = None
    pooling: str | None = None

    def anchored(self, folder: Path) -> MetricTable:
        """The same with its paths taken from a folder: an option that names something there is a path."""
        given = self.model_dump(exclude_none=True)
        return MetricTable(**{key: _place(value, folder) if key != "name" else value for key, value in given.items()})

    def made(self) -> Metric:
        """The metric with its options.

        Raises:
            InputError: For an unknown metric or option, or what the metric refuses.
        """
        kind: Any = catalog.resolve("metric", self.name)
        if not (hasattr(kind, "__dataclass_fields__") and hasattr(kind, "card") and hasattr(kind, "needs") and hasattr(kind, "measure")):
            raise InputError(f"{self.name} is no metric of fairness: name a dataclass with `card`, `needs` and `measure`")
        own = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(kind)}
        given = self.options | {key: value for key in ("vectors", "pooling") if key in own and (value := getattr(self, key)) is not None}
        known_options(self.name, kind, given)
        absent = [key for key, needed in own.items() if needed and key not in given]
        if absent:
            raise InputError(
                f"{self.name}: the option {absent[0]!r} has no default; give it, as in {{ name = {self.name!r}, {absent[0]} = ... }}"
            )
        metric: Metric = kind(**{key: as_declared(self.name, kind, key, value) for key, value in given.items()})
        return metric


class FairnessTable(Table):
    """``[fairness]``: which metrics, on which groups.

    Args:
        metrics: Names, or tables with options; those of decisions where nothing is said.
        groups: Attributes of the data whose values are compared; none looks at no decisions.
        part: Of the data that decisions are looked at on.
        separator: What stands between several groups of one example, such as "+".
        no_group: Values that are no group, such as "none".
        positive: Labels that count as positive; every label in turn where none are named.
        margin: Differences up to this count as fair enough; no verdict without it.
        level: Coverage of intervals.
        replicates: Of the bootstrap.
        permutations: That are drawn where there are too many to go through.
        power: Chance that the smallest detectable gap is found with.
        seed: Of replicates, permutations and generated text.
    """

    metrics: tuple[str | MetricTable, ...] = USUAL
    groups: tuple[str, ...] = ()
    part: Literal["train", "validation", "test"] = "test"
    separator: str | None = None
    no_group: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    margin: float | None = None
    level: float = 0.95
    replicates: int = 1000
    permutations: int = 10_000
    power: float = 0.8
    seed: int = 0

    @field_validator("metrics")
    @classmethod
    def _at_least_one(cls, metrics: tuple[str | MetricTable, ...]) -> tuple[str | MetricTable, ...]:
        if not metrics:
            raise ValueError("metrics is empty; name at least one, or leave the key out")
        return metrics

    @property
    def tables(self) -> tuple[MetricTable, ...]:
        """Every metric as a table."""
        return tuple(MetricTable(name=one) if isinstance(one, str) else one for one in self.metrics)

    @property
    def inference(self) -> Inference:
        """How intervals and tests are made."""
        names = [f.name for f in fields(Inference)]
        return Inference(**{name: getattr(self, name) for name in names if name in type(self).model_fields})

    def anchored(self, folder: Path) -> FairnessTable:
        """The same with the paths of its metrics taken from a folder."""
        return self.model_copy(update={"metrics": tuple(one.anchored(folder) for one in self.tables)})

    def check_writing(self) -> None:
        """Refuses what stands twice, and settings that mean nothing.

        Raises:
            InputError: For an attribute or a metric with the same options twice, an empty separator, or a number out of its bounds.
        """
        _ = self.inference  # looks at its own bounds
        twice = [name for name in self.groups if self.groups.count(name) > 1]
        if twice:
            raise InputError(f"groups: {twice[0]!r} stands twice; name each attribute once")
        if self.separator == "":
            raise InputError("separator is empty; give what stands between several groups of one example, or leave it out")
        written = [table.model_dump_json() for table in self.tables]
        for table, text in zip(self.tables, written, strict=True):
            if written.count(text) > 1:
                raise InputError(f"metrics: {table.name!r} stands twice with the same options; name it once, or give it others")

    def check(self, where: str) -> None:
        """Has every metric look at its options, and the settings at their bounds.

        Args:
            where: What to call the table in errors.

        Raises:
            StudyError: For whatever they refuse.
        """
        try:
            self.check_writing()
            made = [table.made() for table in self.tables]
            _ = self.inference
        except HoldfastError as error:
            raise StudyError(f"{where}: {error}") from error
        deciding = [one.card.name for one in made if one.needs == "predictions"]
        if deciding and not self.groups:
            raise StudyError(f'{where}: {deciding[0]!r} compares groups; name at least one attribute, such as groups = ["dialect"]')


def _place(value: Any, folder: Path) -> Any:
    if isinstance(value, str) and value and (folder / value).exists():
        return str(folder / value)
    return [_place(item, folder) for item in value] if isinstance(value, list) else value


def plain(table: FairnessTable) -> Mapping[str, Any]:
    """What was asked for, as plain data without what is as usual."""
    return table.model_dump(mode="json", exclude_defaults=True)
