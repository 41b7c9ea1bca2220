"""The round in pfl's simulator, in one process, as its guide puts the parts together. Runs in pfl's environment."""

from __future__ import annotations

import sys

from federation.line import Line, import_torch

TORCH_SECONDS = import_torch()

import itertools  # noqa: E402  # the import of torch is timed above

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from pfl.aggregate.simulate import SimulatedBackend  # noqa: E402
from pfl.algorithm.base import NNAlgorithmParams  # noqa: E402
from pfl.algorithm.federated_averaging import FederatedAveraging  # noqa: E402
from pfl.callback.base import TrainingProcessCallback  # noqa: E402
from pfl.data.federated_dataset import FederatedDataset  # noqa: E402
from pfl.data.pytorch import PyTorchTensorDataset  # noqa: E402
from pfl.hyperparam.base import NNTrainHyperParams  # noqa: E402
from pfl.metrics import Metrics, Weighted  # noqa: E402
from pfl.model.pytorch import PyTorchModel  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from federation.jobs import Job  # noqa: E402
from federation.nets import inputs_of, net_of, travelling  # noqa: E402


class Learner(nn.Module):
    """A model as pfl wants it: one that knows its loss."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a batch."""
        return F.cross_entropy(self.net(inputs), labels)

    def metrics(self, inputs: Tensor, labels: Tensor) -> dict[str, Weighted]:
        """What pfl asks of every model, and no round here asks for."""
        with torch.no_grad():
            return {"loss": Weighted(float(self.loss(inputs, labels)) * len(labels), len(labels))}


class Turns(TrainingProcessCallback):
    """Waits between rounds for the turn of this engine."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def on_train_begin(self, *, model: PyTorchModel) -> Metrics:
        """Waits for the first turn."""
        self.line.next_round()
        return Metrics()

    def after_central_iteration(self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int) -> tuple[bool, Metrics]:
        """Ends a round; the first says whether to stop."""
        return not self.line.next_round(), Metrics()


def clients_of(job: Job, *, cached: bool) -> FederatedDataset:
    """All clients in turn, each with its examples in the order of the round."""
    inputs, labels = inputs_of(job, cached=cached)
    turns = [itertools.count() for _ in range(job.shape.clients)]

    def dataset(client: int) -> PyTorchTensorDataset:
        rows = torch.from_numpy(job.rows(next(turns[client]), client))
        return PyTorchTensorDataset((inputs[rows], labels[rows]), user_id=str(client))

    sampled = itertools.cycle(range(job.shape.clients))
    return FederatedDataset(dataset, lambda: next(sampled))


def main(path: str, out: str, variant: str) -> None:
    job = Job.load(path)
    line = Line(job.rounds, TORCH_SECONDS)
    clients = clients_of(job, cached=variant == "cached")
    net = net_of(job, cached=variant == "cached")
    trained = travelling(net)
    model = PyTorchModel(Learner(net), local_optimizer_create=torch.optim.SGD, central_optimizer=torch.optim.SGD(trained.values(), lr=1.0))
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=job.rounds,
            evaluation_frequency=job.rounds + 1,
            train_cohort_size=job.shape.clients,
            val_cohort_size=None,
        ),
        backend=SimulatedBackend(training_data=clients, val_data=clients),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=job.shape.learning_rate, local_batch_size=job.shape.batch
        ),
        callbacks=[Turns(line)],
    )
    line.finish([value.detach().numpy() for value in trained.values()], out)


if __name__ == "__main__":
    main(*sys.argv[1:])
