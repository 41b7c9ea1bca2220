"""The study of practical against theoretical privacy: whether promises and what an attack finds go together."""

from holdfast.report.reproductions.edp_sgd import PRESENTATION
from holdfast.study.reproductions.edp_sgd.runs import runs
from holdfast.study.reproductions.edp_sgd.summary import summarise, trimmed
from holdfast.study.reproductions.grid import Study

EDP_SGD = Study(
    name="edp-sgd",
    question="Do promises of privacy and what an attack finds go together?",
    template="edp_sgd/template.toml",
    runs=runs,
    summarise=summarise,
    trimmed=trimmed,
    presentation=PRESENTATION,
    timed=True,
)
"""After Dupuy, Arava, Gupta, Rumshisky 2022 (arXiv 2107.14586), whose tables are not reproduced."""
