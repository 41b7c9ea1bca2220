"""The metrics of association: WEAT, SEAT, CEAT and the relative norm distance."""

from holdfast.fairness.association.metrics.ceat import CEAT
from holdfast.fairness.association.metrics.rnd import RND
from holdfast.fairness.association.metrics.seat import SEAT
from holdfast.fairness.association.metrics.weat import WEAT

__all__ = ["CEAT", "RND", "SEAT", "WEAT"]
