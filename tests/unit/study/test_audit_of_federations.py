"""A run that was trained across clients is not audited as if all training examples were members."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.reporting import RUNS, record_of

from holdfast.core.errors import RunError
from holdfast.runs import RunFolder
from holdfast.study.auditing import open_stored


def test_a_federated_run_is_refused_with_the_reason(tmp_path: Path):
    record = record_of(RUNS[0])
    folder = RunFolder(tmp_path / "run")
    folder.write(replace(record, status="finished", settings={"task": {}, "data": {}, "federation": {"cohort": 3}}))
    (folder.path / "model").mkdir()
    with pytest.raises(RunError, match="examples of those that took part"):
        open_stored(folder.path)
