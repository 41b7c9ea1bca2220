"""Data as columns: immutable examples and data sets, loaders of files, and an embedded corpus with a known truth."""

from holdfast.data.canaries import plant_canaries
from holdfast.data.dataset import Dataset, DataSplits
from holdfast.data.examples import Example

__all__ = ["DataSplits", "Dataset", "Example", "plant_canaries"]
