"""Writes docs/reference/commands.md from the help of the commands: `make commands`. A test compares the two."""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from holdfast.cli.frame import build_parser

PAGE = Path(__file__).parent / "reference" / "commands.md"
OPENING = """\
# Commands

Written by `make commands` from the help of the commands.

Every command prints its results on standard output and everything else (progress, warnings, errors) on standard error. With
`--json` standard output holds one JSON document and nothing else.
"""


def page() -> str:
    """The whole page."""
    parser = build_parser()
    return "\n".join([OPENING, *map(section, (parser, *subparsers(parser)))])


def section(parser: argparse.ArgumentParser) -> str:
    """The help of one command, as wide as the page wherever this runs."""
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=100)
    return f"## {parser.prog}\n\n```text\n{parser.format_help()}```\n"


def subparsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command below a parser, those with further commands before these."""
    for action in parser._actions:  # argparse offers no other way to its commands
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield child
                yield from subparsers(child)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
