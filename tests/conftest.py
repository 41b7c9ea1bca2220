"""Fixtures that every test may use, and the one place that decides whether a test may skip."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from holdfast.privacy import kernels

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


LIBRARY = kernels.native.library()
LEVELS = ["compiled"] if LIBRARY is None else [core.level for core in LIBRARY.cores]


@pytest.fixture(scope="module", params=["torch", *LEVELS])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each implementation of the kernels that this machine has, at work meanwhile."""
    if request.param == "compiled":
        _absent("the compiled core was not built")
    with kernels.using(request.param):
        yield request.param


@pytest.fixture(scope="session")
def compiled_core() -> kernels.native.Library:
    """The compiled core."""
    if LIBRARY is None:
        _absent("the compiled core was not built")
    return LIBRARY


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
