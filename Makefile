# One door to everything. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PYTHONPATH := hack
ARGS ?=

.PHONY: help setup controlplane demo test unit check format bench mutation lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Yunchi needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "==> Python packages into $(VENV)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Cannot make a virtual environment. On Debian/Ubuntu: apt-get install python3-venv"; exit 2; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(STAMP) ## Python environment from the hashed lock

controlplane: setup ## Kubernetes, etcd, kwok and helm: found, or built once and cached
	@echo "==> Control plane binaries"
	@$(BIN)/python -m controlplane build

demo: controlplane ## The Jiangsu example, live; ARGS=--once ends by itself
	@echo "==> Demo"
	@$(BIN)/python -m demo $(ARGS)

test: controlplane ## Every test: unit, then on a real control plane
	@echo "==> Tests"
	@$(BIN)/python -m pytest $(ARGS)

unit: setup ## Only the tests that need no control plane
	@$(BIN)/python -m pytest -m "not cluster and not netlab and not e2e and not browser" $(ARGS)

check: setup ## Linters, types, import contracts, chart
	@echo "==> ruff";           $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "==> mypy --strict";  $(BIN)/mypy
	@echo "==> import-linter";  $(BIN)/lint-imports
	@echo "==> yamllint";       $(BIN)/yamllint --strict .
	@echo "==> helm lint";      $(BIN)/python -m controlplane run helm lint --strict charts/yunchi

format: setup ## Rewrite the code in the project's style
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: controlplane ## Benchmarks beside their baselines; see bench/RESULTS.md
	@$(BIN)/python bench/placement.py
	@$(BIN)/python bench/plan_cli.py
	@$(BIN)/python bench/live.py

mutation: setup ## Do the tests notice broken rules? Changes each line of the checker and the rules (about half an hour)
	@echo "==> Mutation tests"
	@rm -rf build/mutation && mkdir -p build/mutation/src
	@cp -r placement/yunchi_placement build/mutation/src && cp -r pyproject.toml tests hack bench examples build/mutation
	@test -x build/.mutation/bin/mutmut || { $(PYTHON) -m venv build/.mutation && build/.mutation/bin/pip install --quiet \
	  --disable-pip-version-check --require-hashes -r requirements/mutation.txt; }
	@cd build/mutation && ../.mutation/bin/mutmut run && ../.mutation/bin/mutmut results

lock: setup ## Refresh the hashed requirement locks
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header pyproject.toml --output-file requirements/runtime.txt
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra dev --constraint requirements/runtime.txt pyproject.toml --output-file requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra dev --extra mutation --constraint requirements/dev.txt pyproject.toml \
	  --output-file requirements/mutation.txt

clean: ## Remove what was built here (the user's cache stays)
	@rm -rf $(VENV) run build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
