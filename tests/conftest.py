"""Fixtures that every test may use, and the one place that decides whether a test may skip."""

import os
import shutil
from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _absent(reason: str) -> None:
    """Skips elsewhere; in continuous integration nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; nothing may be skipped in CI")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout."""
    if not (SHARED / "data").is_dir():
        _absent("the real data are not beside this checkout (../shared/data)")
    return SHARED / "data"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium to drive."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        _absent("no chromium on the path")
    return str(path)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
