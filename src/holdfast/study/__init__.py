"""Studies: a file that says what to train, measure and show, and the one call that does it."""

from holdfast.study.execute import StudyResult, phases, run_study
from holdfast.study.plan import StudyPlan, parse_plan, read_plan
from holdfast.study.steps import spent_at_most

__all__ = ["StudyPlan", "StudyResult", "parse_plan", "phases", "read_plan", "run_study", "spent_at_most"]
