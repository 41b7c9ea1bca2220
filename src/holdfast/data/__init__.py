"""Data as columns: immutable examples and data sets, loaders of files, and an embedded corpus with a known truth."""

from holdfast.data.canaries import plant_canaries
from holdfast.data.coin_canaries import CoinCanaries, coin_canaries
from holdfast.data.dataset import Dataset, DataSplits
from holdfast.data.examples import Example
from holdfast.data.load import Fractions, load_data
from holdfast.data.records import Columns

__all__ = ["CoinCanaries", "Columns", "DataSplits", "Dataset", "Example", "Fractions", "coin_canaries", "load_data", "plant_canaries"]
