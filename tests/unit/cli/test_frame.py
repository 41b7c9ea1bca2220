"""The frame of the command: exit codes, messages, warnings, pipes, and help that answers at once."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from holdfast.cli import frame, main
from holdfast.core.errors import DataError, InputError, Interrupted, PreflightError, RunError, TrainingStopped

HOLDFAST = Path(sys.executable).with_name("holdfast")


def test_version(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"holdfast {metadata.version('holdfast')}\n"


def test_without_a_command_prints_help_and_fails(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "exit codes:" in printed.err
    assert all(f"    {name} " in printed.err for name in frame.COMMANDS)


@pytest.mark.parametrize("name", frame.COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: holdfast {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rnus"], "error: there is no command 'rnus'; did you mean 'runs'? Valid: "),
        (["report", "x", "--uot", "y"], "error: holdfast report does not know '--uot'; did you mean '--out'? Valid: --debug, "),
        (["--json", "runs"], "error: --json goes after the command: holdfast runs --json"),
        (["runs", "a", "b"], "error: holdfast runs does not know what to do with 'b' (see: holdfast runs --help)"),
        (["report"], "error: the following arguments are required: RUN (see: holdfast report --help)"),
        (["report", "x", "--tit", "y"], "error: holdfast report does not know '--tit'; did you mean '--title'?"),
        (["data"], "error: the following arguments are required: ACTION (see: holdfast data --help)"),
    ],
)
def test_wrong_arguments_are_one_line_with_the_cure(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(expected)
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (InputError("epsilon is -1; give a number above 0"), "error: epsilon is -1; give a number above 0\n", 2),
        (DataError("empty", path="a.csv", line=3), "error: a.csv, line 3: empty\n", 2),
        (PreflightError(["BatchNorm couples rows"]), "error: cannot train this model privately:\n  - BatchNorm couples rows\n", 2),
        (RunError("no record"), "error: no record\n", 2),
        (TrainingStopped("the loss is not finite"), "error: the loss is not finite\n", 1),
        (Interrupted("go on with --resume"), "interrupted: go on with --resume\n", 130),
        (KeyboardInterrupt(), "interrupted\n", 130),
        (FileNotFoundError(2, "No such file or directory", "study.toml"), "error: study.toml: No such file or directory\n", 2),
        (OSError(28, "No space left on device", "trust.html"), "error: trust.html: No space left on device\n", 1),
        (OSError("odd"), "error: odd\n", 1),
    ],
)
def test_every_error_is_a_message_and_an_exit_code(
    error: BaseException, message: str, code: int, a_command: Callable, capsys: pytest.CaptureFixture[str]
):
    def fail(args: object) -> int:
        raise error

    a_command(fail)
    assert main(["try"]) == code
    assert capsys.readouterr() == ("", message)


def test_a_fault_of_ours_is_named_as_one_and_debug_shows_where(a_command: Callable, capsys: pytest.CaptureFixture[str]):
    a_command(lambda args: {}["absent"])
    assert main(["try"]) == 1
    plain = capsys.readouterr().err
    assert plain == "error: KeyError: 'absent' (a fault of holdfast, not of what you gave; --debug shows where)\n"
    assert main(["try", "--debug"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):")
    assert shown.endswith(plain)


@pytest.mark.parametrize("code", [0, 3])
def test_hands_on_the_exit_code_of_the_command(code: int, a_command: Callable):
    a_command(lambda args: code)
    assert main(["try"]) == code


def test_gives_a_command_its_own_and_the_shared_options(a_command: Callable):
    seen = []
    a_command(lambda args: seen.append((args.amount, args.json, args.debug)) or 0)
    main(["try", "--amount", "2.5", "--json"])
    assert seen == [(2.5, True, False)]


def test_a_warning_is_one_line(a_command: Callable, capsys: pytest.CaptureFixture[str]):
    def warn(args: object) -> int:
        warnings.warn("delta is above 1/n", stacklevel=1)
        return 0

    a_command(warn)
    main(["try"])
    assert capsys.readouterr().err == "warning: delta is above 1/n\n"


def test_the_installed_command_stops_quietly_when_the_reader_goes_away():
    code = (
        "import sys; from holdfast.cli import frame, main; frame._dispatch = lambda words: [print('x' * 100) for _ in range(10**5)] and 0; "
    )
    code += "sys.exit(main([]))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == frame.BROKEN_PIPE
        assert process.stderr.read() == ""


def test_the_installed_command_runs():
    done = subprocess.run([HOLDFAST, "rnus"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no command 'rnus'")
