"""Who is exposed: every membership figure by group, the records at most risk, and the scores that both rest on."""

from holdfast.audit.leakage.by_group import GroupedScores
from holdfast.audit.leakage.risk import record_hashes, records_at_risk, risk_evidence, score_histograms

__all__ = ["GroupedScores", "record_hashes", "records_at_risk", "risk_evidence", "score_histograms"]
