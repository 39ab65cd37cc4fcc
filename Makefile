# `make` lists the targets. Everything runs in .venv, made on first use from the pins in constraints.txt.

PYTHON ?= python3
BENCH ?=

BIN := .venv/bin
INSTALLED := .venv/installed

# Files of tests are shared out among processes; threads that have to wait do not keep a core busy.
WORKERS ?= 2
TESTS := OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.NOTPARALLEL:  # the checks report one after the other, pytest last
.PHONY: help setup demo test test-all lint format bench clean check-wheel

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED)  ## Make .venv with the package (editable), its extras cpu and train, and the tools

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'seqsearch needs Python 3.11 or newer; name one: make PYTHON=python3.12 setup' >&2; exit 1; }
	@echo 'Setting up .venv (a few minutes the first time) ...'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cpu,dev,train]'
	@touch $@

demo: setup  ## Simulate a library and reads, build, classify and report, into demo/
	$(BIN)/seqsearch demo --overwrite -o demo

test: lint check-wheel  ## Every check: style, types, layers, the wheel, then the tests
	$(TESTS)

test-all: lint check-wheel  ## The same with the slow tests
	$(TESTS) -m ''

lint: setup  ## Style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check-wheel: setup
	scripts/check_wheel.sh

format: setup  ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup  ## Measure beside the peers; options: make bench BENCH='--libraries coi --fragments'
	$(BIN)/python scripts/bench.py $(BENCH)

clean:  ## Remove demo/, built packages and caches (.venv and indexes/ stay)
	rm -rf build dist demo .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find seqsearch tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
