"""Clippers: each turns a batch into a sum whose change by one example is bounded by its own stated sensitivity.

The objects stand here, without torch, so that a plan can be accounted for in no time; `sums` does their arithmetic.
"""

from holdfast.privacy.clipping.adaptive import AdaptiveClipping
from holdfast.privacy.clipping.contract import Clipper, ClippingState, Engine, ExampleRule, Execution, Indices, LossesOf
from holdfast.privacy.clipping.examples import AutomaticClipping, NoClipping, PerExampleClipping
from holdfast.privacy.clipping.layers import LayerScaling, PerLayerClipping
from holdfast.privacy.clipping.micro_batches import MicroBatchClipping
from holdfast.privacy.clipping.styles import ClippingStyle, check_style, clipper_of, with_cheap_count

__all__ = [
    "AdaptiveClipping",
    "AutomaticClipping",
    "Clipper",
    "ClippingState",
    "ClippingStyle",
    "Engine",
    "ExampleRule",
    "Execution",
    "Indices",
    "LayerScaling",
    "LossesOf",
    "MicroBatchClipping",
    "NoClipping",
    "PerExampleClipping",
    "PerLayerClipping",
    "check_style",
    "clipper_of",
    "with_cheap_count",
]
