"""Private training: samplers, clippers, noise, and the promise that follows from them."""

from holdfast.privacy.accounting import Budget, epsilon
from holdfast.privacy.clipping import (
    AdaptiveClipping,
    AutomaticClipping,
    Clipper,
    ClippingState,
    Execution,
    MicroBatchClipping,
    NoClipping,
    PerExampleClipping,
    PerLayerClipping,
)
from holdfast.privacy.events import Ledger, PrivacyEvent, from_dp_event, to_dp_event
from holdfast.privacy.mechanism import Mechanism
from holdfast.privacy.noise import NoiseSchedule
from holdfast.privacy.own_loop import attach
from holdfast.privacy.recipes import dp_sgd, edp_sgd, non_private
from holdfast.privacy.sampling import PoissonSampler, Sampler, ShuffledSampler, TruncatedPoissonSampler

__all__ = [
    "AdaptiveClipping",
    "AutomaticClipping",
    "Budget",
    "Clipper",
    "ClippingState",
    "Execution",
    "Ledger",
    "Mechanism",
    "MicroBatchClipping",
    "NoClipping",
    "NoiseSchedule",
    "PerExampleClipping",
    "PerLayerClipping",
    "PoissonSampler",
    "PrivacyEvent",
    "Sampler",
    "ShuffledSampler",
    "TruncatedPoissonSampler",
    "attach",
    "dp_sgd",
    "edp_sgd",
    "epsilon",
    "from_dp_event",
    "non_private",
    "to_dp_event",
]
