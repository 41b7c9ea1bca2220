"""The study of client selection: whether drawing clients by their activity helps, when, and whom it hurts."""

from holdfast.report.reproductions.client_selection import PRESENTATION
from holdfast.study.kinds import FEDERATIONS
from holdfast.study.reproductions.client_selection.runs import runs
from holdfast.study.reproductions.client_selection.summary import summarise, trimmed
from holdfast.study.reproductions.grid import Study

CLIENT_SELECTION = Study(
    name="client-selection",
    question="Does drawing clients by how much data they have help, when, and whom does it hurt?",
    template="client_selection/template.toml",
    runs=runs,
    summarise=summarise,
    trimmed=trimmed,
    presentation=PRESENTATION,
    kind=FEDERATIONS,
)
"""After Dupuy, Roosta, Long, Chung, Gupta, Avestimehr 2022 (arXiv 2202.03925), whose tables are not reproduced."""
