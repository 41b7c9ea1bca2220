"""Holds the table of who may import whom, and keeps optional packages inside the functions that need them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "holdfast"
ALLOWED = {
    "core": set(),
    "privacy": {"core"},
    "data": {"core"},
    "models": {"core"},
    "runs": {"core"},
    "catalog": {"core"},
    "tasks": {"data", "models", "core"},
    "report": {"runs", "core"},
    "training": {"tasks", "models", "data", "runs", "privacy", "core"},  # models and runs: decision 0002
    "audit": {"tasks", "data", "core"},
    "federated": {"training", "privacy", "tasks", "models", "data", "runs", "core"},  # models and runs: decision 0002
    "fairness": {"training", "tasks", "models", "data", "core"},
    "study": {"fairness", "federated", "training", "audit", "tasks", "report", "privacy", "data", "models", "runs", "catalog", "core"},
    "testing": {"fairness", "federated", "training", "audit", "tasks", "models", "data", "privacy", "core"},
    "cli": {"study", "report", "runs", "privacy", "catalog", "data", "core"},  # data and core: decision 0002
}
TORCHLESS = {"core", "data", "runs", "catalog", "report"}  # and the command until it runs something
OPTIONAL = {"flwr", "opacus", "peft", "playwright", "selenium"}  # each inside functions of at most one module
MODULES = sorted(SOURCE.rglob("*.py"))


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Every module that is imported anywhere in the tree, `from x import y` as both x and x.y."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, [base, node.module]))
            yield from (origin, *(f"{origin}.{alias.name}" for alias in node.names))


def imported_by(path: Path) -> set[str]:
    package = ".".join(["holdfast", *path.relative_to(SOURCE).parts[:-1]])
    return set(imports(ast.parse(path.read_text()), package))


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "holdfast" and len(parts) > 1 and parts[1] in ALLOWED else None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_what_its_floor_allows(path: Path):
    owner = path.relative_to(SOURCE).with_suffix("").parts[0]
    if owner in ("__init__", "__main__"):
        return  # the public face shows parts of every floor; `python -m holdfast` is the command
    assert owner in ALLOWED, f"{owner} has no row in the table of docs/explain/architecture.md"
    rooms = {room(module) for module in imported_by(path)} - {None, owner}
    assert rooms <= ALLOWED[owner], f"{path.name} imports {sorted(rooms - ALLOWED[owner])}, which {owner} must not"
    if owner in TORCHLESS:
        assert not any(module.split(".")[0] == "torch" for module in imported_by(path))


@pytest.mark.parametrize("package", sorted(OPTIONAL))
def test_optional_packages_stay_inside_functions_of_one_module(package: str):
    users = [path for path in MODULES if any(module.split(".")[0] == package for module in imported_by(path))]
    assert len(users) <= 1, f"{package} is imported by {[path.name for path in users]}; keep it behind one module"
    for path in users:
        functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        inside = {module for function in functions for module in imports(function, "")}
        everywhere = {module for module in imported_by(path) if module.split(".")[0] == package}
        assert everywhere <= inside, f"{path.name} imports {package} outside a function"


def test_the_parser_sees_each_form_of_import():
    lines = [
        "import holdfast.data.files",
        "from holdfast import audit",
        "def f():",
        "    from . import noise",
        "    from ..core import errors",
    ]
    tree = ast.parse("\n".join(lines))
    found = set(imports(tree, "holdfast.privacy"))
    assert {"holdfast.data.files", "holdfast.audit", "holdfast.privacy.noise", "holdfast.core.errors"} <= found
    assert {room(module) for module in found} == {"data", "audit", "privacy", "core", None}
