"""The client of the engine `flower`; a module of its own, so that Ray's actors import it and keep its data from call to call."""

from __future__ import annotations

import functools
import os

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import Tensor, nn

from federation.jobs import Job
from federation.nets import inputs_of, net_of, travelling

JOB, VARIANT = "HOLDFAST_BENCHMARK_JOB", "HOLDFAST_BENCHMARK_VARIANT"
app = ClientApp()


@functools.cache
def held() -> tuple[Job, nn.Module, Tensor, Tensor]:
    """The job, the model and the data, once in each process."""
    torch.set_num_threads(1)
    job, cached = Job.load(os.environ[JOB]), os.environ[VARIANT] == "cached"
    return job, net_of(job, cached=cached), *inputs_of(job, cached=cached)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Trains one client: its number is the partition of the node."""
    from federation.engine_loop import train_client

    job, net, inputs, labels = held()
    net.load_state_dict(message.content["arrays"].to_torch_state_dict(), strict=False)
    client = int(context.node_config["partition-id"])
    rows = torch.from_numpy(job.rows(int(message.content["config"]["server-round"]) - 1, client))
    train_client(net, inputs[rows], labels[rows], job)
    arrays = ArrayRecord({name: value.detach() for name, value in travelling(net).items()})
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": len(rows)})})
    return Message(content=content, reply_to=message)
