"""The embedded corpus `assistant`: utterances to an invented voice assistant, with a disparity whose truth is known."""

from holdfast.data.assistant.generate import clean_labels, generate
from holdfast.data.assistant.settings import AssistantSettings, Truth

__all__ = ["AssistantSettings", "Truth", "clean_labels", "generate"]
