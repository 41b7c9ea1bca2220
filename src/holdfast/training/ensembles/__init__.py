"""Many models of one architecture trained at once, each on its own examples: shadow models."""

from holdfast.training.ensembles.ensemble import Ensemble
from holdfast.training.ensembles.training import EngineName, train_ensemble

__all__ = ["EngineName", "Ensemble", "train_ensemble"]
