"""What is documented is true: snippets run, commands parse, links to make targets exist, public names say what they take."""

import dataclasses
import inspect
import re
import runpy
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from holdfast.cli.frame import COMMANDS, build_parser, parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = [
    "holdfast",
    *(f"holdfast.{name}" for name in ("audit", "data", "models", "privacy", "report", "runs", "study", "tasks", "training")),
    *(f"holdfast.audit.{name}" for name in ("attacks", "bounds", "leakage", "shadow")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(path.read_text(encoding="utf-8")) if language in languages]


def shell_lines(text: str) -> Iterator[str]:
    """Commands of a console or shell block, without prompts, comments and output."""
    prompted = any(line.startswith("$ ") for line in text.splitlines())
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ ") or not prompted:
            yield line.removeprefix("$ ")


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Every documented call of a program, with the page that it stands on."""
    lines = [(page, line) for page in PAGES for block in blocks(page, "console", "bash") for line in shell_lines(block)]
    helps = [(Path("help"), line) for parser in helps_of_commands() for line in parser.replace("\\\n", " ").splitlines()]
    words = [(page.name, shlex.split(line, comments=True)) for page, line in lines + helps if re.match(rf"\s*{program}\s", line)]
    return [(page, parts[1:]) for page, parts in words]


def helps_of_commands() -> list[str]:
    return [str(import_module(f"holdfast.cli.{name}")._TEXT) for name in COMMANDS]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: str(page.relative_to(ROOT)))
def test_python_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "snippet"}
    for number, block in enumerate(blocks(page, "python"), start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)


@pytest.mark.parametrize(("page", "words"), commands("holdfast"), ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_documented_commands_parse(page: str, words: list[str]):
    assert parse(words).command in COMMANDS


def test_documented_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {words[0] for _, words in commands("make")}
    assert {"demo", "test"} <= used
    assert used <= targets


def test_commands_page_is_the_help_of_the_commands():
    script = runpy.run_path(str(ROOT / "docs" / "write_commands.py"))
    assert script["PAGE"].read_text(encoding="utf-8") == script["page"](), "run: make commands"


def test_every_command_has_a_one_line_summary_and_an_example():
    assert all(f"\n    {name} " in build_parser().format_help() for name in COMMANDS)
    shown = [words for page, words in commands("holdfast") if page == "help"]
    assert {words[0] for words in shown} == set(COMMANDS)


def undocumented(thing: object) -> list[str]:
    """The arguments of a public function, or the fields of a public dataclass, that its docstring never mentions."""
    if dataclasses.is_dataclass(thing):
        taken = [field.name for field in dataclasses.fields(thing) if field.init]
    elif inspect.isfunction(thing):
        taken = list(inspect.signature(thing).parameters)
    else:
        return []  # a protocol, an error or a plain class says in its own words what it is
    words = set(re.findall(r"\w+", inspect.getdoc(thing) or ""))
    return [name for name in taken if name not in words and not name.startswith("_")]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_say_what_they_take(package: str):
    module = import_module(package)
    things = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    described = {name: thing for name, thing in things.items() if inspect.isclass(thing) or inspect.isfunction(thing)}
    assert not [name for name, thing in described.items() if not inspect.getdoc(thing)]
    assert not {name: missing for name, thing in described.items() if (missing := undocumented(thing))}


def test_an_argument_that_is_not_described_is_found():
    def halve(value: float, *, twice: bool) -> float:
        """Halves.

        Args:
            value: What to halve.
        """
        return value / 2

    assert undocumented(halve) == ["twice"]
