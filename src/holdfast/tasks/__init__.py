"""What models are trained for: batches, losses by example, predictions, confidences and scores."""

from holdfast.tasks.classification import Classification
from holdfast.tasks.intent_slot import IntentSlot
from holdfast.tasks.tagging import Tagging
from holdfast.tasks.task import Batch, EncodedDataset, Prediction, Task, TaskWithConfidences

__all__ = ["Batch", "Classification", "EncodedDataset", "IntentSlot", "Prediction", "Tagging", "Task", "TaskWithConfidences"]
