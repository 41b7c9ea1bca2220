"""The study file: TOML in, a checked plan out; an unknown key is an error that names the nearest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from holdfast import catalog, models
from holdfast.core.errors import InputError, StudyError
from holdfast.privacy.clipping import check_style, clipper_of
from holdfast.study.fairness.plan import FairnessTable
from holdfast.study.tables import DataPlan, ModelPlan, Table, TaskPlan, anchored_model, check_options, read_text, validated
from holdfast.training.settings import TrainingSettings

MechanismName = Literal["none", "dp-sgd", "edp-sgd"]


class TrainingPlan(Table):
    """``[training]``: settings of all runs, which a run may override."""

    epochs: float | None = None
    batch_size: int | None = None
    seed: int | None = None
    optimizer: str | None = None
    second_moment_floor: float | None = None
    learning_rate: float | None = None
    rates: dict[str, float] | None = None
    schedule: str | None = None
    weight_decay: float | None = None
    averaging: float | None = None
    physical_batch_size: int | None = None
    engine: str | None = None
    checkpoint_every: int | None = None
    evaluate_every: int | None = None
    patience: int | None = None


class SecretTable(Table):
    """A secret to plant: a known sentence with unknown words, ``{ pattern = "pin", length = 4, repetitions = 10 }``.

    Args:
        pattern: "call", "pin" or "color"; with a template, the name to call it by.
        length: Unknown words; a template says it by itself.
        repetitions: How often it stands in the training data; 0 for a control that is never planted.
        template: A sentence of one's own with ``{}`` for each unknown word, such as "the safe opens with {} {} {}".
        candidates: Words that an unknown one may be; those of the pattern by default, digits as words with a template.
        label: Of the sentence.
        slot: Of the unknown words.
    """

    pattern: str
    length: int | None = Field(default=None, ge=1)
    repetitions: int = Field(ge=0)
    template: str | None = None
    candidates: tuple[str, ...] | None = None
    label: str = "canary"
    slot: str = "canary"

    @model_validator(mode="after")
    def _says_its_length_once(self) -> Self:
        if (self.length is None) == (self.template is None):
            raise ValueError(f"secret {self.pattern!r}: give length, or a template that shows it, not both")
        return self


class RunPlan(TrainingPlan):
    """``[[run]]``: one training; its keys override those of ``[training]``, and ``model = {...}`` those of ``[model]``.

    `secrets` and `secret_seed` override those of ``[audit]``. `cell` says for people and for summaries where in a grid the run stands.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    mechanism: MechanismName
    epsilon: float | None = None
    delta: float | None = None
    noise_multiplier: float | None = None
    clip_norm: float | None = None
    clipping: str | None = None
    gamma: float | None = None
    quantile: float | None = None
    clip_learning_rate: float | None = None
    count_noise: float | None = None
    unit: str | None = None
    examples_per_user: int | None = None
    sampler: str | None = None
    micro_batch_size: int | None = None
    layer_scaling: str | dict[str, float] | None = None
    noise_decay: str | None = None
    noise_decay_rate: float | None = None
    noise_hardening: str | None = None
    model: dict[str, Any] = Field(default_factory=dict)
    secrets: tuple[SecretTable, ...] | None = None
    secret_seed: int | None = Field(default=None, ge=0)
    cell: dict[str, str | int | float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_mechanism(self) -> Self:
        given = {key for key in _PRIVACY_KEYS if getattr(self, key) is not None}
        allowed, needed = _KEYS[self.mechanism]
        who = f"run {self.name!r}: mechanism {self.mechanism!r}"
        if given - allowed:
            raise ValueError(f"{who} has no {', '.join(sorted(given - allowed))}")
        if needed - given:
            raise ValueError(f"{who} needs {', '.join(sorted(needed - given))}; there is no default")
        if self.unit == "user" and self.examples_per_user is None:
            raise ValueError(f"{who}: unit 'user' needs examples_per_user, how many examples of one user take part in a step at most")
        if allowed and (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError(f"{who} needs either epsilon or noise_multiplier, not both")
        return self


CLIPPING_KEYS = ("clip_norm", "layer_scaling", "gamma", "quantile", "clip_learning_rate", "count_noise")
_NOISE_KEYS = {"epsilon", "delta", "noise_multiplier", "sampler", "noise_decay", "noise_decay_rate", "noise_hardening"}
_DP_KEYS = {*_NOISE_KEYS, "clipping", *CLIPPING_KEYS, "unit", "examples_per_user"}
_EDP_KEYS = _NOISE_KEYS | {"clip_norm", "micro_batch_size", "layer_scaling"}
_PRIVACY_KEYS = _DP_KEYS | _EDP_KEYS
_KEYS: Mapping[MechanismName, tuple[set[str], set[str]]] = {  # what each mechanism knows, and what it cannot do without
    "none": (set(), set()),
    "dp-sgd": (_DP_KEYS, {"delta"}),  # and what its clipping style needs
    "edp-sgd": (_EDP_KEYS, {"delta", "clip_norm", "micro_batch_size"}),
}


class AuditTable(Table):
    """``[audit]``: how the trained models are attacked.

    Args:
        attacks: Names or dotted paths of attacks.
        shadow_models: How many shadow models those of them get that need any; each costs about as much as the run.
        canaries: How many canaries are made, each of which is trained on if a fair coin says so; 0 for none.
        canary_kind: "label-noise", "random-words" or, for models with a public vocabulary, "new-token"; see `coin_canaries`.
        canary_seed: Of canaries and coins.
        secrets: Sentences with unknown words that are planted in the training data; how likely the model finds each is then measured.
        secret_seed: Of the unknown words and of where they are planted.
        most_fills: Of how many fills of a secret the loss is taken at most; where there are more, the rank is estimated from some
            that are drawn. None for a million.
    """

    attacks: tuple[str, ...] = ("loss-threshold",)
    shadow_models: int = 0
    canaries: int = Field(default=0, ge=0)
    canary_kind: Literal["label-noise", "random-words", "new-token"] = "label-noise"
    canary_seed: int = Field(default=0, ge=0)
    secrets: tuple[SecretTable, ...] = ()
    secret_seed: int = Field(default=0, ge=0)
    most_fills: int | None = Field(default=None, ge=0)


class StudyPlan(Table):
    """A whole study file.

    Args:
        title: Of the report.
        data: Where the utterances come from.
        task: What to learn.
        model: What learns it.
        training: Settings of all runs.
        run: The runs, in the order of the report.
        audit: How they are attacked.
        fairness: What is measured of how they treat groups; nothing where the table is left out.
        threads: Threads of torch; None leaves them as they are. Small models are no faster with two, and much slower where
            another program wants a core.
    """

    title: str
    data: DataPlan
    task: TaskPlan = TaskPlan()
    model: ModelPlan = ModelPlan()
    training: TrainingPlan = TrainingPlan()
    run: tuple[RunPlan, ...] = Field(min_length=1)
    audit: AuditTable = AuditTable()
    fairness: FairnessTable | None = None
    threads: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [run.name for run in self.run]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"run names must differ, {', '.join(twice)} stands twice")
        for run in self.run:
            for key in ("epochs", "batch_size"):
                if self.setting(run, key) is None:
                    raise ValueError(f"run {run.name!r} has no {key}; give it in [training] or in the run")
        return self

    def setting(self, run: RunPlan, key: str) -> Any:
        """A training key of a run: its own, or that of ``[training]``, or None."""
        own = getattr(run, key)
        return getattr(self.training, key) if own is None else own

    def audit_of(self, run: RunPlan) -> AuditTable:
        """How the model of a run is attacked: ``[audit]`` with the run's own secrets."""
        own = {key: value for key in ("secrets", "secret_seed") if (value := getattr(run, key)) is not None}
        return self.audit.model_copy(update=own)

    def training_settings(self, run: RunPlan) -> TrainingSettings:
        """Optimiser and the like of a run."""
        keys = [f.name for f in fields(TrainingSettings)]
        return TrainingSettings(**{key: value for key in keys if (value := self.setting(run, key)) is not None})

    def model_settings(self, run: RunPlan) -> models.ModelSettings:
        """Settings of the model of a run: those of ``[model]`` with its own on top, or its own alone where it names another model."""
        own = dict(run.model)
        name = own.pop("name", None)
        return models.settings(self.model.name, {**self.model.options, **own}) if name is None else models.settings(name, own)


def read_plan(path: Path) -> StudyPlan:
    """Reads a study file.

    Args:
        path: The TOML file. A path behind a source, such as ``snips:data``, is taken from the file's own folder.

    Raises:
        StudyError: For a file that is missing or no TOML, an unknown key (naming the nearest), or a value out of range.
    """
    return parse_plan(read_text(path), origin=str(path), folder=path.parent)


def parse_plan(text: str, *, origin: str, folder: Path) -> StudyPlan:
    """Checks the text of a study file.

    Args:
        text: TOML.
        origin: What to call it in errors.
        folder: Where relative paths start.

    Raises:
        StudyError: As `read_plan`.
    """
    plan = validated(StudyPlan, text, origin=origin, located=_table_of)
    plan = _with_paths_from(plan, folder)
    _check_parts(plan, origin)
    return plan


def _check_parts(plan: StudyPlan, origin: str) -> None:
    """Has every part look at its own options now, not after the run before it has trained."""
    from holdfast.data import load_data
    from holdfast.study.attacking import AttackSettings
    from holdfast.study.planting import patterns_of

    check_options(f"{origin}: [data]", plan.data.options, load_data)
    check_options(f"{origin}: [task]", plan.task.options, catalog.resolve("task", plan.task.name))
    catalog.resolve("task", plan.task.name)(**plan.task.options)
    if plan.fairness is not None:
        plan.fairness.check(f"{origin}: [fairness]")
    settings = AttackSettings(attacks=plan.audit.attacks, shadow_models=plan.audit.shadow_models)
    for run in plan.run:
        settings.check_secrets(bool(plan.audit_of(run).secrets), who=f"run {run.name!r}")
        patterns_of(plan.audit_of(run))
        plan.training_settings(run)
        plan.model_settings(run)
        if run.mechanism == "dp-sgd":
            _check_clipping(run, plan.setting(run, "batch_size"), origin)


def _check_clipping(run: RunPlan, batch_size: int, origin: str) -> None:
    options = {key: getattr(run, key) for key in CLIPPING_KEYS}
    try:
        clipper_of(check_style("flat" if run.clipping is None else run.clipping), batch_size=batch_size, **options)
    except InputError as error:
        raise StudyError(f"{origin}: run {run.name!r}: {error}") from error


def _with_paths_from(plan: StudyPlan, folder: Path) -> StudyPlan:
    """Takes the paths of a study file from its own folder, wherever the command was started."""
    runs = tuple(run.model_copy(update={"model": anchored_model(run.model, folder)}) for run in plan.run)
    fairness = None if plan.fairness is None else plan.fairness.anchored(folder)
    found = {"data": plan.data.anchored(folder), "model": plan.model.anchored(folder), "run": runs, "fairness": fairness}
    return plan.model_copy(update=found)


_TABLES: Mapping[str, type[BaseModel]] = {"training": TrainingPlan, "run": RunPlan, "audit": AuditTable, "fairness": FairnessTable}


def _table_of(place: Sequence[str | int]) -> type[BaseModel]:
    return SecretTable if "secrets" in place[:-1] else _TABLES[str(place[0])] if len(place) > 1 else StudyPlan
