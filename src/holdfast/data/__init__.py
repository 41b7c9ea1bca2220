"""Data as columns: immutable examples and data sets, loaders of files, and an embedded corpus with a known truth."""

from holdfast.data.canaries import plant_canaries
from holdfast.data.coin_canaries import CoinCanaries, coin_canaries
from holdfast.data.conversations import Replies, replies
from holdfast.data.dataset import Dataset, DataSplits
from holdfast.data.examples import Example
from holdfast.data.load import Fractions, load_data
from holdfast.data.records import Columns
from holdfast.data.secrets import (
    PlantedSecrets,
    Secret,
    SecretPattern,
    draw_secrets,
    new_words,
    pattern,
    pattern_of_template,
    plant_secrets,
)

__all__ = [
    "CoinCanaries",
    "Columns",
    "DataSplits",
    "Dataset",
    "Example",
    "Fractions",
    "PlantedSecrets",
    "Replies",
    "Secret",
    "SecretPattern",
    "coin_canaries",
    "draw_secrets",
    "load_data",
    "new_words",
    "pattern",
    "pattern_of_template",
    "plant_canaries",
    "plant_secrets",
    "replies",
]
