"""The frame of the command: the parser, the options that every command shares, and what becomes of an error.

A command is a module of this package with two functions: `add(commands)` describes its arguments with `command`, and
`run(args) -> int` does the work and returns the exit code. What a command needs of the library is imported in `run`, so
that help and mistakes in the arguments answer at once.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module, metadata
from typing import Any, NoReturn, TextIO

from holdfast.cli.terminal import output
from holdfast.core.errors import HoldfastError, InputError, Interrupted, nearest

COMMANDS = ("demo", "reproduce", "run", "federate", "train", "audit", "fairness", "report", "runs", "data", "budget")
_ACTIONS = {"audit": ("run", "plan"), "fairness": ("run", "weat", "stereoset", "bbq", "predictions", "metrics")}
INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell reports for a program that a closed pipe ended

Commands = argparse._SubParsersAction  # argparse has no public name for what `add_subparsers` returns
_WRONG_PATH = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
_EXIT_CODES = """\
exit codes:
  0    done
  1    training stopped (loss not finite, disk full); the last checkpoint and the spent budget are kept
  2    something given is wrong: a file, an option, a study key
  3    done, and a privacy claim was contradicted by an attack
  130  interrupted; a run that was training can be resumed
"""


class Parser(argparse.ArgumentParser):
    """A parser that raises its complaints, so that they are printed like every other error."""

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would print.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{message} (see: {self.prog} --help)")


def build_parser() -> Parser:
    """Returns the parser of every command. Imports no part of the library but the errors."""
    parser = Parser(
        prog="holdfast",
        description="Train text models privately, measure what they leak, and show it in one report.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"holdfast {metadata.version('holdfast')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name in COMMANDS:
        import_module(f"holdfast.cli.{name}").add(commands)
    return parser


def command(commands: Commands[Any], name: str, *, run: Callable[[argparse.Namespace], int], help: str, text: str) -> Parser:
    """Adds a command, with the options that all commands share.

    Args:
        commands: What `add` was given.
        name: What the user types.
        run: Does the work and returns the exit code.
        help: One line for the list of commands, without a full stop.
        text: A paragraph for its own help, and example lines that begin with "holdfast ".

    Returns:
        The parser to add arguments to.
    """
    parser: Parser = commands.add_parser(
        name, help=help, description=text, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.set_defaults(run=run, parser=parser)
    shared = parser.add_argument_group("shared options")
    shared.add_argument("--json", action="store_true", help="print one JSON document on standard output, and nothing else there")
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments of one call.

    Args:
        argv: The arguments after the program's name.

    Returns:
        The arguments; `run` does the work, and `words` are what was typed.

    Raises:
        InputError: For an unknown command or option (naming the nearest one), and whatever else argparse refuses.
    """
    parser, argv = build_parser(), _with_action(argv)
    first = next((word for word in argv if not word.startswith("-")), None)
    if first is not None and first not in COMMANDS:
        raise InputError(f"there is no command {first!r}; {nearest(first, COMMANDS)}")
    args, unknown = parser.parse_known_args(argv, argparse.Namespace(words=["holdfast", *argv]))
    if unknown:
        raise InputError(_unknown(unknown[0], getattr(args, "parser", parser)))
    return args


def _with_action(argv: Sequence[str]) -> Sequence[str]:
    """Lets `holdfast audit RUN` stand for `holdfast audit run RUN`, and so for `fairness`."""
    actions = _ACTIONS.get(argv[0] if argv else "", ())
    bare = bool(actions) and len(argv) > 1 and argv[1] not in (*actions, "-h", "--help")
    return [argv[0], "run", *argv[1:]] if bare else argv


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        argv: The arguments after the program's name; `sys.argv[1:]` where none are given.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        with _short_warnings():
            code = _dispatch(words)
        sys.stdout.flush()  # here, so that a closed pipe is met inside the try
        return code
    except BrokenPipeError:
        _drop_stdout()
        return BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as error:  # the one place where every error becomes a message
        if "--debug" in words:
            traceback.print_exc()
        message, code = outcome(error)
        sys.stderr.write(message + "\n")
        return code


def outcome(error: BaseException) -> tuple[str, int]:
    """Words an error for a person, and gives the exit code of the command that met it."""
    match error:
        case Interrupted():
            return f"interrupted: {error}", error.exit_code
        case HoldfastError():
            return f"error: {error}", error.exit_code
        case KeyboardInterrupt():
            return "interrupted", INTERRUPTED
        case OSError():
            place = "" if error.filename is None else f"{error.filename}: "
            return f"error: {place}{error.strerror or error}", 2 if isinstance(error, _WRONG_PATH) else 1
        case _:
            return f"error: {type(error).__name__}: {error} (a fault of holdfast, not of what you gave; --debug shows where)", 1


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    options = {*re.findall(r"--[a-z][a-z-]*", parser.format_usage()), "--help"}
    if word in options:
        return f"{word} goes after the command: {parser.prog} {word}"
    if word.startswith("-"):
        return f"{parser.prog} does not know {word!r}; {nearest(word, options)}"
    return f"{parser.prog} does not know what to do with {word!r} (see: {parser.prog} --help)"


def _dispatch(words: Sequence[str]) -> int:
    args = parse(words)
    if args.command is None:
        build_parser().print_help(sys.stderr)
        return 2
    code: int = args.run(args)
    return code


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Prints a warning as one line that a person can read, instead of with a place in our code."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        yield


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    output.warn(str(message))


def _drop_stdout() -> None:
    """Sends what is still buffered nowhere, else Python complains about the closed pipe when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
