"""Shadow models the slow way: one after the other, batches drawn by the trainer's own sampler, torch's own optimisers."""

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast.core.randomness import Streams
from holdfast.models import Featuriser, Labels, ModelSettings
from holdfast.privacy import non_private
from holdfast.tasks import EncodedDataset, Task
from holdfast.training import TrainingSettings
from holdfast.training.evaluation import losses


def trained_alone(
    task: Task,
    encoded: EncodedDataset,
    members: NDArray[np.int64],
    *,
    model: ModelSettings,
    featuriser: Featuriser,
    labels: Labels,
    settings: TrainingSettings,
    epochs: float,
    batch_size: int,
    seed: int,
) -> torch.nn.Module:
    """One model in double precision; knows nothing of `training.ensembles`."""
    streams = Streams.from_seed(seed)
    module = model.build(featuriser, labels, streams.child("initialisation")).double().train()
    mechanism = non_private(examples=len(members), batch_size=batch_size, epochs=epochs)
    optimizer = settings.build(module)
    for step in range(mechanism.steps):
        batch = task.collate(encoded, members[mechanism.sampler.indices(step, streams)])
        optimizer.zero_grad()
        (task.per_example_loss(module, batch).sum() / batch_size).backward()
        for group in optimizer.param_groups:
            group["lr"] = group["factor"] * settings.rate_at(step, mechanism.steps)
        optimizer.step()
    return module.eval()


def losses_alone(task: Task, encoded: EncodedDataset, modules: list[torch.nn.Module]) -> NDArray[np.float64]:
    """The loss of each example under each model, (N, k)."""
    return np.stack([losses(task, module, encoded, device=torch.device("cpu")) for module in modules], 1)
