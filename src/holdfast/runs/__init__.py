"""Run folders: what was trained, with what, and what was found, as JSON that survives a crash."""

from holdfast.core.files import atomic_write
from holdfast.runs.documents import json_text, validate
from holdfast.runs.record import RunRecord, Status
from holdfast.runs.store import Listing, RunFolder, RunStore, now

__all__ = ["Listing", "RunFolder", "RunRecord", "RunStore", "Status", "atomic_write", "json_text", "now", "validate"]
