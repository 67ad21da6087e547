# A contributor's day. Every target works on a clean clone with Python 3.11 or newer, make and git.

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
WORKERS ?= 2

BIN := .venv/bin
# Two quiets: what pip warns of is not ours to mend. Its errors still show.
PIP := $(BIN)/python -m pip install --quiet --quiet --no-input --disable-pip-version-check --progress-bar off
TORCH := $(shell grep '^torch==' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile

# torch comes first and by its plain version: pip then takes the build that it is given for this machine.
.venv/installed: constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "found no Python 3.11 or newer; hint: make PYTHON=path/to/python"; exit 1; }
	@test -x $(BIN)/python || { echo "Making .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv .venv; }
	@echo "Installing $(TORCH) (the longest step)"
	@$(PIP) --constraint constraints.txt $(TORCH)
	@echo "Installing docendo with what it needs to answer and learn on this machine"
	@$(PIP) --constraint constraints.txt --editable '.[local]'
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "Installing what its checks need"
	@$(PIP) --constraint constraints.txt --editable '.[local,dev]'
	@touch $@

install: .venv/installed-dev ## install docendo and all that its checks need into .venv

demo: .venv/installed ## run the main job: the built-in model teaches itself, and the evidence is weighed
	$(BIN)/docendo run rest-em --name demo

test: .venv/installed-dev ## run the tests, on WORKERS=2 processes
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --quiet

check: .venv/installed-dev ## format, lint, types, import contracts, tests: what CI runs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --quiet

bench: .venv/installed-dev ## measure, and write benchmarks/results.json
	$(BIN)/python benchmarks/run.py

clean: ## remove .venv, caches and builds; runs stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist src/*.egg-info
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
