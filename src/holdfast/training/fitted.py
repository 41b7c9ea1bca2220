"""A trained model with its promise: what every pillar looks at, through the least access that it needs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdfast.core.claim import PrivacyClaim
from holdfast.core.evidence import Curve, Estimate, Evidence, Interval
from holdfast.data import Dataset, DataSplits
from holdfast.models import Featuriser, Labels
from holdfast.privacy import Mechanism, MicroBatchClipping
from holdfast.privacy.mechanism import NAIVE, SECOND_OPINION
from holdfast.runs import RunRecord
from holdfast.tasks import EncodedDataset, Prediction, Task
from holdfast.training import evaluation
from holdfast.training.checkpoints import TrainingState


@dataclass(eq=False)
class FittedModel:
    """What `train` returns.

    Args:
        name: Of the run.
        task: What the model was trained for.
        module: The model itself.
        featuriser: Turns words into its input.
        labels: What it chooses from.
        mechanism: What it was trained with.
        claim: The promise, or None where there is none.
        data: What it was trained on.
        history: Times and validation losses.
        described: The record of the run without its evidence.
        device: Where the module is.
    """

    name: str
    task: Task
    module: nn.Module
    featuriser: Featuriser
    labels: Labels
    mechanism: Mechanism
    claim: PrivacyClaim | None
    data: DataSplits
    history: TrainingState
    described: RunRecord
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _encoded: dict[str, EncodedDataset] = field(default_factory=dict, repr=False)

    def losses(self, data: Dataset) -> NDArray[np.float64]:
        """The loss of each example, (n,), in nats, in evaluation mode."""
        return evaluation.losses(self.task, self.module, self.encoded(data), device=self.device)

    @property
    def vocabulary_min_count(self) -> int | None:
        """How often a word must stand in the training text to be known; None for a public vocabulary."""
        return None if self.featuriser.vocabulary_is_public else int(self.described.model.get("min_count", 1))

    @property
    def confidence_names(self) -> tuple[str, ...]:
        """Names of the columns of `confidences`; InputError for a task that tells none."""
        return evaluation.confidence_names(self.task, self.labels)

    def confidences(self, data: Dataset) -> NDArray[np.float64]:
        """What the model says of each example by its probabilities, (n, F), in evaluation mode; InputError for a task that tells none."""
        return evaluation.confidences(self.task, self.module, self.encoded(data), device=self.device)

    def predict(self, data: Dataset) -> list[Prediction]:
        """What the model predicts for each example."""
        return evaluation.predictions(self.task, self.module, self.encoded(data), device=self.device)

    def evaluate(self, data: Dataset) -> Evidence:
        """Usefulness on a data set, by the task's own measures, with intervals."""
        return Evidence(estimates=self.task.score(data, self.predict(data), subject=self.name))

    def encoded(self, data: Dataset) -> EncodedDataset:
        """The data set as the model sees it; made once for each content."""
        if data.content_hash not in self._encoded:
            self._encoded[data.content_hash] = self.task.encode(data, self.featuriser, self.labels)
        return self._encoded[data.content_hash]

    @property
    def record(self) -> RunRecord:
        """The run as a report takes it: settings, promise, cost, and usefulness on the test set."""
        return replace(self.described, status="finished").adding(self.evidence() + self.evaluate(self.data.test))

    def evidence(self) -> Evidence:
        """The promise, the cost in time, and the training curve."""
        return Evidence(
            estimates=(*self._promise(), self._seconds_per_epoch(), self._parameters(), *self._left_out(), *self._stopped()),
            curves=self._curves(),
            claims=() if self.claim is None else (self.claim,),
            notes=NOTES if self.claim else (),
        )

    def _promise(self) -> Iterator[Estimate]:
        fields: dict[str, Any] = {"subject": self.name, "unit": "nats", "direction": "lower is better"}
        claim = self.claim
        if claim is None:
            yield Estimate(name="epsilon", value=None, missing="trained without noise, so nothing is promised", **fields)
            return
        fields["conditions"] = {name: getattr(claim, name) for name in ("delta", "unit", "neighbouring", "sampler", "accountant", "kind")}
        yield Estimate(name="epsilon", value=claim.epsilon, method=claim.accountant, reference="Abadi et al. 2016", **fields)
        for account, value in claim.other_accounts.items():
            if account == NAIVE:
                fields["conditions"] = fields["conditions"] | {"kind": "unproved"}
                yield Estimate(name="epsilon_naive", value=value, method=account, reference="after Dupuy et al. 2022", **fields)
            elif account.startswith(SECOND_OPINION):
                fields["conditions"] = fields["conditions"] | {"accountant": account.removeprefix(f"{SECOND_OPINION}: ")}
                yield Estimate(name="epsilon_rdp", value=value, method=account, reference="Mironov 2017", **fields)

    def _seconds_per_epoch(self) -> Estimate:
        seconds = self.history.epoch_seconds
        fields: dict[str, Any] = {
            "name": "seconds_per_epoch",
            "subject": self.name,
            "unit": "seconds",
            "direction": "lower is better",
            "method": "median over epochs of the time of their training steps; the interval spans all epochs",
            "conditions": {"threads": torch.get_num_threads(), "batch_size": self.mechanism.sampler.batch_size},
        }
        if not seconds:
            return Estimate(value=None, missing="not one epoch was finished", **fields)
        span = Interval(low=min(seconds), high=max(seconds), level=0.95, method="smallest and largest epoch, no coverage promised")
        return Estimate(value=statistics.median(seconds), interval=span, n=len(seconds), **fields)

    def _parameters(self) -> Estimate:
        count = sum(parameter.numel() for parameter in self.module.parameters() if parameter.requires_grad)
        return Estimate(
            name="parameters",
            subject=self.name,
            value=float(count),
            unit="parameters",
            direction="neither",
            method="trainable ones, counted",
        )

    def _left_out(self) -> Iterator[Estimate]:
        mechanism = self.mechanism
        if not self.history.clipping.not_finite:
            return
        yield Estimate(
            name="gradients_left_out",
            subject=self.name,
            value=float(self.history.clipping.not_finite),
            unit="micro-batches" if isinstance(mechanism.clipper, MicroBatchClipping) else f"{mechanism.unit}s",
            direction="lower is better",
            method="counted over all steps, because the norm of their gradient was not finite",
            conditions={"privacy": "counted without noise, so it is not covered by the claim"},
        )

    def _stopped(self) -> Iterator[Estimate]:
        if self.history.kept is None:
            return
        each, planned = self.mechanism.sampler.steps_per_epoch, self.mechanism.steps
        yield Estimate(
            name="stopped_after",
            subject=self.name,
            value=self.history.step / each,
            unit="epochs",
            direction="neither",
            method="counted; training stops early once the loss on the validation set has not fallen for a while",
            conditions={
                "early": self.history.step < planned,
                "planned_epochs": planned / each,
                "kept_epoch": self.history.validation[self.history.kept][0],
                "privacy": "the claim is that of the planned epochs; the validation data are not covered by it",
            },
        )

    def _curves(self) -> tuple[Curve, ...]:
        points = self.history.validation
        if not points:
            return ()
        return (
            Curve(
                name="validation_loss",
                subject=self.name,
                x=tuple(epoch for epoch, _ in points),
                y=tuple(loss for _, loss in points),
                x_label="epoch",
                y_label="loss on the validation set (nats)",
                conditions={} if self.history.kept is None else {"kept_epoch": points[self.history.kept][0]},
                method="mean over the validation set, in evaluation mode; the promise does not cover training losses",
            ),
        )


NOTES = (
    "A promise bounds what the trained weights say about single training examples. It does not cover figures that were "
    "measured on private data and printed, such as those of this report, nor the choice of settings by looking at such figures.",
    "A promise for one example is weaker for a person who wrote many: k examples of one person have k times the epsilon, "
    "and a larger delta.",
)
"""What no promise covers."""
