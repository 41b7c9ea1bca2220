"""Shadow models: which examples each is trained on, their scores on disk, and a loop that can be killed and goes on."""

from holdfast.audit.shadow.design import balanced, balanced_block, balanced_column
from holdfast.audit.shadow.ensemble import TrainAndScore, shadow_scores
from holdfast.audit.shadow.header import StoreHeader
from holdfast.audit.shadow.store import ScoreStore

__all__ = ["ScoreStore", "StoreHeader", "TrainAndScore", "balanced", "balanced_block", "balanced_column", "shadow_scores"]
