"""Readers of published fairness sets: each says where a file is malformed, and none brings data along."""

from holdfast.data.benchmarks.bbq import UNPARSED, BBQItem, BBQPredictions, read_bbq, read_bbq_predictions
from holdfast.data.benchmarks.bold import Prompt, read_bold
from holdfast.data.benchmarks.coreference import WinoBiasItem, WinogenderItem, read_winobias, read_winogender
from holdfast.data.benchmarks.hatexplain import read_hatexplain
from holdfast.data.benchmarks.madlibs import Comment, read_madlibs, read_toxicity
from holdfast.data.benchmarks.stereotypes import (
    SentencePair,
    StereoSetItem,
    read_crows_pairs,
    read_stereoset,
    read_stereoset_predictions,
)
from holdfast.data.benchmarks.stimuli import Stimuli, WordTest, read_weat
from holdfast.data.benchmarks.texts import read_texts
from holdfast.data.benchmarks.word_lists import Profession, read_professions, read_word_pairs, read_words

__all__ = [
    "UNPARSED",
    "BBQItem",
    "BBQPredictions",
    "Comment",
    "Profession",
    "Prompt",
    "SentencePair",
    "StereoSetItem",
    "Stimuli",
    "WinoBiasItem",
    "WinogenderItem",
    "WordTest",
    "read_bbq",
    "read_bbq_predictions",
    "read_bold",
    "read_crows_pairs",
    "read_hatexplain",
    "read_madlibs",
    "read_professions",
    "read_stereoset",
    "read_stereoset_predictions",
    "read_texts",
    "read_toxicity",
    "read_weat",
    "read_winobias",
    "read_winogender",
    "read_word_pairs",
    "read_words",
]
