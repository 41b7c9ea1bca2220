"""A continual clock: periods of time, what clients keep from one to the next, and how learning through them is judged."""

from holdfast.federated.continual.clock import Clock, Schedule, Static
from holdfast.federated.continual.measures import OverPeriods, forgetting, prequential, score_matrix
from holdfast.federated.continual.named import SCHEDULES, ContinualOptions, StaticOptions, check_schedule, schedule
from holdfast.federated.continual.periods import by_days, equal_counts, equal_spans
from holdfast.federated.continual.retention import RETENTIONS, Cap, Cumulative, Events, Latest, Retention, Sliding, TimeToLive, retention

__all__ = [
    "RETENTIONS",
    "SCHEDULES",
    "Cap",
    "Clock",
    "ContinualOptions",
    "Cumulative",
    "Events",
    "Latest",
    "OverPeriods",
    "Retention",
    "Schedule",
    "Sliding",
    "Static",
    "StaticOptions",
    "TimeToLive",
    "by_days",
    "check_schedule",
    "equal_counts",
    "equal_spans",
    "forgetting",
    "prequential",
    "retention",
    "schedule",
    "score_matrix",
]
