"""The steps of a study for one run: the mechanism, the training, the evaluation, the attacks, the record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from holdfast import catalog, models, privacy
from holdfast.core.errors import Interrupted, TrainingStopped
from holdfast.core.evidence import Evidence
from holdfast.core.progress import OnProgress, silent
from holdfast.data import Dataset, DataSplits
from holdfast.privacy import Mechanism
from holdfast.runs import RunFolder, RunRecord
from holdfast.study.attacking import AttackSettings, attack_model
from holdfast.study.plan import CLIPPING_KEYS, RunPlan, StudyPlan
from holdfast.study.planting import AuditedData
from holdfast.study.shadowing import Recipe
from holdfast.tasks import Task
from holdfast.training import Encoding, FittedModel, new_record, train
from holdfast.training.checkpoints import read_ledger


def make_task(plan: StudyPlan) -> Task:
    """The task that the plan names."""
    task: Task = catalog.resolve("task", plan.task.name)(**plan.task.options)
    return task


def make_mechanism(plan: StudyPlan, run: RunPlan, train: Dataset) -> Mechanism:
    """The mechanism of a run on these training data, with its noise found where a target epsilon is given."""
    common: dict[str, Any] = {key: plan.setting(run, key) for key in ("epochs", "batch_size")}
    common |= {"users": len(set(train.user_ids()))} if run.unit == "user" else {"examples": len(train)}
    if run.mechanism == "none":
        return privacy.non_private(**common)
    noise = ("noise_multiplier", "noise_decay", "noise_decay_rate", "noise_hardening")
    keys = ("clipping", *CLIPPING_KEYS, "unit", "examples_per_user", "sampler", "micro_batch_size", *noise)
    common |= {key: getattr(run, key) for key in keys if getattr(run, key) is not None}
    assert run.delta is not None, "the plan refuses private runs without delta"
    if run.epsilon is None:
        common["delta"] = run.delta
    else:
        common["target"] = privacy.Budget(epsilon=run.epsilon, delta=run.delta)
    make = privacy.dp_sgd if run.mechanism == "dp-sgd" else privacy.edp_sgd
    return make(**common)


def train_run(
    plan: StudyPlan, run: RunPlan, data: DataSplits, folder: RunFolder, *, command: str, resume: bool, on_progress: OnProgress
) -> tuple[FittedModel, RunRecord]:
    """Trains one run and writes its record, which also tells of a run that did not reach its end."""
    mechanism = make_mechanism(plan, run, data.train)
    settings = plan.model_settings(run)
    record = new_record(run.name, data, mechanism=mechanism, model=settings.describe(), settings=resolved(plan, run), command=command)
    folder.write(record)
    try:
        fitted = train(
            make_task(plan),
            data,
            mechanism=mechanism,
            model=settings,
            settings=plan.training_settings(run),
            seed=plan.setting(run, "seed"),
            name=run.name,
            folder=folder.checkpoints,
            resume=resume,
            on_progress=on_progress,
        )
    except (Interrupted, TrainingStopped) as error:
        folder.write(replace(record, status="interrupted" if isinstance(error, Interrupted) else "stopped"))
        raise
    models.save(folder.path / "model", fitted.module, settings, fitted.featuriser, fitted.labels)
    return fitted, record.adding(fitted.evidence() + fitted.evaluate(data.test))


def share_run(plan: StudyPlan, run: RunPlan, data: DataSplits, *, resume: bool) -> None:
    """Does the share of one training that falls to a process other than the first, which keeps the results."""
    train(
        make_task(plan),
        data,
        mechanism=make_mechanism(plan, run, data.train),
        model=plan.model_settings(run),
        settings=plan.training_settings(run),
        seed=plan.setting(run, "seed"),
        name=run.name,
        resume=resume,
    )


def attack_run(
    plan: StudyPlan, run: RunPlan, fitted: FittedModel, audited: AuditedData, folder: RunFolder, *, on_progress: OnProgress = silent
) -> Evidence:
    """Attacks one fitted model with every attack of the plan, and by its canaries."""
    recipe = Recipe(
        task=fitted.task,
        model=plan.model_settings(run),
        training=plan.training_settings(run),
        mechanism=fitted.mechanism,
        encoding=Encoding(fitted.featuriser, fitted.labels),
        data=audited.data,
    )
    settings = AttackSettings(attacks=plan.audit.attacks, shadow_models=plan.audit.shadow_models, most_fills=plan.audit.most_fills)
    return attack_model(
        fitted, recipe, audited, settings=settings, claim=fitted.claim, subject=fitted.name, folder=folder.path, on_progress=on_progress
    )


def spent_at_most(folder: RunFolder) -> dict[str, float] | None:
    """Epsilon and delta that a run may have spent by now, finished or killed at any moment.

    Args:
        folder: Of the run.

    Returns:
        "epsilon" and "delta" by the ledger that is written before the steps; None where nothing is promised.

    Raises:
        RunError: If the ledger is damaged.
    """
    found = read_ledger(folder.checkpoints)
    return None if found is None else {"epsilon": privacy.epsilon(*found), "delta": found[1]}


def resolved(plan: StudyPlan, run: RunPlan) -> dict[str, Any]:
    """All settings of a run, as plain data: what decides whether a finished run may be used again."""
    return {
        "data": plan.data.model_dump(),
        "task": plan.task.model_dump(),
        "model": plan.model_settings(run).describe(),
        "training": {key: plan.setting(run, key) for key in ("epochs", "batch_size", "seed")}
        | dict(plan.training_settings(run).describe()),
        "run": _said(run),
        "audit": plan.audit_of(run).model_dump(mode="json", exclude_defaults=True) | {"attacks": list(plan.audit.attacks)},
    }


def _said(run: RunPlan) -> dict[str, Any]:
    """What a run says of itself; a place in a grid is left out where it has none."""
    return run.model_dump(mode="json", exclude_none=True, exclude=set() if run.cell else {"cell"})
