"""Training: one loop for every mechanism, and what comes out of it."""

from holdfast.training.dp_adam import DPAdamBC
from holdfast.training.fitted import FittedModel
from holdfast.training.fitting import Encoding, train
from holdfast.training.records import new_record
from holdfast.training.settings import TrainingSettings

__all__ = ["DPAdamBC", "Encoding", "FittedModel", "TrainingSettings", "new_record", "train"]
