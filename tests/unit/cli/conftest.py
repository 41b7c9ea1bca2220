"""A command that does what a test asks of it."""

import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from holdfast.cli import frame


@pytest.fixture
def a_command(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Registers a command named `try` whose work is the given function."""

    def register(run: Callable) -> None:
        module = ModuleType("holdfast.cli.try")

        def add(commands: frame.Commands) -> None:
            parser = frame.command(commands, "try", run=run, help="for a test", text="For a test.")
            parser.add_argument("--amount", type=float)

        module.add = add
        monkeypatch.setitem(sys.modules, "holdfast.cli.try", module)
        monkeypatch.setattr(frame, "COMMANDS", (*frame.COMMANDS, "try"))

    return register
