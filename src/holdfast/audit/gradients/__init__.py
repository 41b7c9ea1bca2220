"""What an observer of federated rounds learns from updates: words by embedding rows, sentences by the span of gradients."""

from holdfast.audit.gradients.auditing import audit_gradients
from holdfast.audit.gradients.candidates import Candidates, Recovered, prior_only
from holdfast.audit.gradients.measuring import Measured, measured
from holdfast.audit.gradients.projections import Readers
from holdfast.audit.gradients.ranking import Rehearsal, rehearse
from holdfast.audit.gradients.rounds import Round, observe
from holdfast.audit.gradients.subspace import Tolerances, subspace
from holdfast.audit.gradients.tables import WordTables, embedding_tokens

__all__ = [
    "Candidates",
    "Measured",
    "Readers",
    "Recovered",
    "Rehearsal",
    "Round",
    "Tolerances",
    "WordTables",
    "audit_gradients",
    "embedding_tokens",
    "measured",
    "observe",
    "prior_only",
    "rehearse",
    "subspace",
]
