"""The study of planted secrets: whether an attacker completes them, and what stops it."""

from holdfast.report.reproductions.canary_extraction import PRESENTATION
from holdfast.study.reproductions.canary_extraction.runs import runs
from holdfast.study.reproductions.canary_extraction.summary import summarise, trimmed
from holdfast.study.reproductions.grid import Study

CANARY_EXTRACTION = Study(
    name="canary-extraction",
    question="Does an attacker complete planted secrets, and does a combination of defences remove the risk?",
    template="canary_extraction/template.toml",
    runs=runs,
    summarise=summarise,
    trimmed=trimmed,
    presentation=PRESENTATION,
)
"""After Parikh, Dupuy, Gupta 2022 (arXiv 2203.13920), whose tables are not reproduced."""
