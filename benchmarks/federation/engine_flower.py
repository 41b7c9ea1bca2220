"""The round in Flower's simulation (Ray), as many nodes as clients and one CPU for each. Runs in Flower's environment."""

from __future__ import annotations

import os
import sys

from federation.line import Line, import_torch

TORCH_SECONDS = import_torch()

from flwr.app import ArrayRecord, Context  # noqa: E402  # the import of torch is timed above
from flwr.serverapp import Grid, ServerApp  # noqa: E402
from flwr.serverapp.strategy import FedAvg  # noqa: E402
from flwr.simulation import run_simulation  # noqa: E402

from federation.jobs import Job  # noqa: E402
from federation.nets import net_of, travelling  # noqa: E402

BACKEND = {
    "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    "init_args": {"include_dashboard": False, "_node_ip_address": "127.0.0.1"},
}


def main(path: str, out: str, variant: str) -> None:
    from federation import flower_client

    os.environ |= {flower_client.JOB: path, flower_client.VARIANT: variant}
    job = Job.load(path)
    line, server = Line(job.rounds, TORCH_SECONDS), ServerApp()
    first = {name: value.detach() for name, value in travelling(net_of(job, cached=True)).items()}

    @server.main()
    def serve(grid: Grid, context: Context) -> None:
        def between(number: int, arrays: ArrayRecord) -> None:
            line.next_round()

        strategy = FedAvg(
            fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=job.shape.clients, min_available_nodes=job.shape.clients
        )
        result = strategy.start(grid, ArrayRecord(first), num_rounds=job.rounds, evaluate_fn=between)
        trained = result.arrays.to_torch_state_dict()
        line.finish([trained[name].numpy() for name in first], out)

    run_simulation(server, flower_client.app, num_supernodes=job.shape.clients, backend_config=BACKEND)


if __name__ == "__main__":
    main(*sys.argv[1:])
