"""The folders of a study's runs: which runs are asked for, what must not be overwritten, and what is finished already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from holdfast.core.errors import RunError, StudyError, nearest
from holdfast.runs import RunFolder, RunRecord
from holdfast.runs.store import RECORD


class Named(Protocol):
    """A run of a plan."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


R = TypeVar("R", bound=Named)


def chosen(runs: tuple[R, ...], only: str | Sequence[str] | None) -> tuple[R, ...]:
    """The runs that are asked for, in the order of the study.

    Args:
        runs: All of it.
        only: A name, or several; None for all.

    Raises:
        StudyError: For a name that no run has, with the nearest one.
    """
    if only is None:
        return runs
    wanted, known = [only] if isinstance(only, str) else list(only), [run.name for run in runs]
    for name in wanted:
        if name not in known:
            raise StudyError(f"there is no run {name!r} in the study; {nearest(name, known)}")
    return tuple(run for run in runs if run.name in wanted)


def check_folder(folder: RunFolder, settings: Mapping[str, Any], *, resume: bool, later: Sequence[str] = ()) -> None:
    """Refuses to overwrite a run, or to go on with one of other settings: with its ledger the account of what it spent would be lost.

    Args:
        folder: Of the run.
        settings: That the study file asks for.
        resume: Whether runs may be there.
        later: Settings that a record gains when its run is finished, and no study file asks for.

    Raises:
        RunError: If a run is there and must not be, or is another.
    """
    if not (folder.path / RECORD).exists():
        return
    if not resume:
        raise RunError(f"{folder.path} already holds a run; give --resume to go on with it, or another --out")
    kept = {key: value for key, value in folder.read().settings.items() if key not in later}
    if kept != plain(settings):
        raise RunError(f"{folder.path} holds a run of other settings than the study file now asks for; give another --out")


def finished(folder: RunFolder, *, content_hash: str) -> RunRecord | None:
    """The record of a finished run, or None where there is still something to do.

    Args:
        folder: Of the run.
        content_hash: Of the data that it must have been trained on.

    Raises:
        RunError: If it is on other data.
    """
    if not (folder.path / RECORD).exists():
        return None
    record = folder.read()
    if record.data["content_hash"] != content_hash:
        raise RunError(f"{folder.path} holds a run on other data than the source now has; give another --out")
    return record if record.status == "finished" else None


def plain(settings: Mapping[str, Any]) -> Any:
    """Settings as they come back from a record."""
    return json.loads(json.dumps(settings))
