# What a person runs here. Nothing has to be installed first but python3 (3.11 or later) and make.

PYTHON  ?= python3
WORKERS ?= auto
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
# One thread each, or the workers and the commands that they start fight for the cores.
PYTEST  := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal
USER_STAMP := $(VENV)/.installed-user
DEV_STAMP  := $(VENV)/.installed-dev
CORE       := CMakeLists.txt $(wildcard src/holdfast/privacy/kernels/core/*)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint docs commands clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf 'make %-10s %s\n' "$$name" "$$text"; done

setup: $(DEV_STAMP)  ## make .venv with everything that the tests need

demo: $(USER_STAMP)  ## train four ways on the embedded corpus, attack each, and draw demo/trust.html
	$(BIN)/holdfast demo --out demo/ $(if $(wildcard demo/runs),--resume)

test: lint docs  ## lint, types, docs, every test and every doctest
	$(PYTEST)

test-fast: $(DEV_STAMP)  ## the tests without those marked slow or browser
	$(PYTEST) -m "not slow and not browser"

lint: $(DEV_STAMP)  ## ruff, ruff format, mypy --strict on src
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DEV_STAMP)  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

commands: $(DEV_STAMP)  ## write docs/reference/commands.md anew from the help of the commands
	$(BIN)/python docs/write_commands.py

clean:  ## remove what was built; keeps .venv and runs/
	rm -rf build dist site demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests docs examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "holdfast needs python 3.11 or later, '$(PYTHON)' is $$($(PYTHON) --version 2>&1); try: make PYTHON=python3.12 setup" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# torch comes first and alone: it is most of the download, so a broken connection costs one retry of the rest.
$(USER_STAMP): pyproject.toml constraints.txt $(CORE) | $(BIN)/python
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

$(DEV_STAMP): $(USER_STAMP)
	$(PIP) --editable '.[dev]'
	@touch $@
