"""Environments of the peers' own: their pins go with nothing else. Made once, by a command, in a folder outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from measuring import PEERS

DEFAULT_FOLDER = Path(tempfile.gettempdir()) / "bench-envs"
REQUIREMENTS = Path(__file__).parent / "requirements"


def python_of(engine: str, folder: Path) -> Path | None:
    """The Python that runs an engine, or None for a peer without an environment."""
    if engine not in PEERS:
        return Path(sys.executable)
    found = folder / engine / "bin" / "python"
    return found if found.exists() else None


def missing(engine: str) -> str:
    """What a row says whose engine has no environment."""
    return f"no environment of its own: make one by --make-env {engine}"


def make(engine: str, folder: Path) -> list[str]:
    """Makes the environment of a peer.

    Returns:
        The command that installed the packages.
    """
    venv.create(folder / engine, with_pip=True)
    command = [str(folder / engine / "bin" / "python"), "-m", "pip", "install", "-r", str(REQUIREMENTS / f"{engine}.txt")]
    subprocess.run(command, check=True)
    return command
