"""Exact per-example gradient norms and weighted sums in one ordinary backward pass."""

from holdfast.privacy.engine.interception import recording, trainable
from holdfast.privacy.engine.occurrences import Gradients
from holdfast.privacy.engine.tape import Tape, add_into

__all__ = ["Gradients", "Tape", "add_into", "recording", "trainable"]
