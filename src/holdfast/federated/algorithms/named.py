"""Algorithms by name, as study files give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from holdfast.core.errors import InputError, nearest
from holdfast.federated.algorithms.averaging import Averaging
from holdfast.federated.algorithms.contract import FederatedAlgorithm
from holdfast.federated.algorithms.nova import FedNova
from holdfast.federated.algorithms.scaffold import Scaffold
from holdfast.federated.algorithms.server import ServerOptimiser
from holdfast.federated.local import LocalSolver
from holdfast.models import checks

_SERVERS = {
    "fedsgd": "sgd",
    "fedavg": "sgd",
    "fedprox": "sgd",
    "fedavgm": "momentum",
    "fedadam": "adam",
    "fedyogi": "yogi",
    "fedadagrad": "adagrad",
    "scaffold": "sgd",
    "fednova": "sgd",
}
ALGORITHMS = tuple(_SERVERS)


def algorithm(name: str, *, local: LocalSolver, server: Mapping[str, Any] | None = None) -> FederatedAlgorithm:
    """Makes an algorithm.

    Args:
        name: "fedsgd", "fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi", "fedadagrad", "scaffold" or "fednova".
        local: What every client does. "fedsgd" makes one step over all examples of it, whatever it says of batches and passes;
            "fedprox" needs a `proximal`, which may be 0.
        server: Settings of the server's optimiser, such as ``{"learning_rate": 0.1}``; its kind follows from the name.

    Raises:
        InputError: For an unknown name or setting, with the nearest one, or a local solver that the algorithm cannot use.

    >>> algorithm("fedavgm", local=LocalSolver(learning_rate=0.1)).describe()["server"]["optimizer"]
    'momentum'
    """
    if name not in _SERVERS:
        raise InputError(f"there is no federated algorithm {name!r}; {nearest(name, _SERVERS)}")
    options = dict(server or {})
    checks.known_options(f"server of {name}", ServerOptimiser, options)
    if options.setdefault("optimizer", _SERVERS[name]) != _SERVERS[name]:
        raise InputError(f"{name}: its server is {_SERVERS[name]!r}, not {options['optimizer']!r}; name the algorithm that you mean")
    optimiser = ServerOptimiser(**options)
    if name == "scaffold":
        return Scaffold(local=local, server=optimiser)
    if name == "fednova":
        return FedNova(local=local, server=optimiser)
    if name == "fedsgd":
        local = replace(local, optimizer="sgd", batch_size=None, epochs=1, steps=None)
    elif local.proximal and name == "fedavg":
        raise InputError(f"fedavg: proximal is {local.proximal:g}; call the algorithm fedprox, or leave it out")
    return Averaging(local=local, server=optimiser, name=name)
