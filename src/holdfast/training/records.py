"""The record of a run as training knows it: settings, environment, data and mechanism, before any evidence."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import torch

from holdfast.core.evidence import Evidence
from holdfast.data import DataSplits
from holdfast.privacy import Mechanism, kernels
from holdfast.runs import RunRecord, now

VERSIONS = ("holdfast", "torch", "dp-accounting", "numpy", "scikit-learn", "seqeval")


def new_record(
    name: str, data: DataSplits, *, mechanism: Mechanism, model: Mapping[str, Any], settings: Mapping[str, Any], command: str = ""
) -> RunRecord:
    """A record without evidence, dated now.

    Args:
        name: Of the run.
        data: What it trains on; counts and hashes are kept, no utterance.
        mechanism: What it trains with.
        model: Settings of the model, as plain data.
        settings: Every setting of the run with its resolved value.
        command: What was typed, if it came from a command.
    """
    return RunRecord(
        name=name,
        status="running",
        created=now(),
        settings=settings,
        environment=environment(),
        data=data.summary(),
        model=model,
        mechanism=mechanism.describe(),
        evidence=Evidence(),
        command=command,
    )


def environment() -> dict[str, Any]:
    """Versions, platform, threads, and what does the arithmetic of private training."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "kernels": kernels.backend(),
        "products": kernels.products_by(),
        "versions": {name: metadata.version(name) for name in VERSIONS},
    }
