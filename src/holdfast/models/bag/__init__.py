"""A bag of words: the mean of the words' vectors and one hidden layer; tags see a window of words. Small and quick to train."""

from holdfast.models.bag.settings import Bag
from holdfast.models.bag.tagger import BagTagger, WordMeans

__all__ = ["Bag", "BagTagger", "WordMeans"]
