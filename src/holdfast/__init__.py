"""Train language models privately, prove what leaked, and show it in one report.

>>> import holdfast
>>> data = holdfast.load_data("assistant:train=200,validation=50,test=50")
>>> len(data.train)
200
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast import audit as audit
    from holdfast import data as data
    from holdfast import fairness as fairness
    from holdfast import federated as federated
    from holdfast import models as models
    from holdfast import privacy as privacy
    from holdfast import tasks as tasks
    from holdfast.core.claim import PrivacyClaim as PrivacyClaim
    from holdfast.core.claim import Verdict as Verdict
    from holdfast.core.errors import HoldfastError as HoldfastError
    from holdfast.core.evidence import Curve as Curve
    from holdfast.core.evidence import Estimate as Estimate
    from holdfast.core.evidence import Evidence as Evidence
    from holdfast.data import Dataset as Dataset
    from holdfast.data import DataSplits as DataSplits
    from holdfast.data import load_data as load_data
    from holdfast.report import write_report as write_report
    from holdfast.runs import RunRecord as RunRecord
    from holdfast.study import read_plan as read_plan
    from holdfast.study import run_study as run_study
    from holdfast.training import FittedModel as FittedModel
    from holdfast.training import TrainingSettings as TrainingSettings
    from holdfast.training import train as train

__version__ = metadata.version("holdfast")

_FACE = {  # name -> where it lives; imported when first asked for, so that `import holdfast` stays light
    "Curve": "holdfast.core.evidence",
    "DataSplits": "holdfast.data",
    "Dataset": "holdfast.data",
    "Estimate": "holdfast.core.evidence",
    "Evidence": "holdfast.core.evidence",
    "FittedModel": "holdfast.training",
    "HoldfastError": "holdfast.core.errors",
    "PrivacyClaim": "holdfast.core.claim",
    "RunRecord": "holdfast.runs",
    "TrainingSettings": "holdfast.training",
    "Verdict": "holdfast.core.claim",
    "load_data": "holdfast.data",
    "read_plan": "holdfast.study",
    "run_study": "holdfast.study",
    "train": "holdfast.training",
    "write_report": "holdfast.report",
}
_ROOMS = ("audit", "data", "fairness", "federated", "models", "privacy", "tasks")

__all__ = [*_FACE, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"holdfast.{name}")
    if name in _FACE:
        return getattr(import_module(_FACE[name]), name)
    raise AttributeError(f"module 'holdfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
