# Everything a person does with this checkout; each target sets up what it needs first. docs/install.md explains.
#
#   make demo                             the whole loop on synthetic grains, then the virtual machine
#   make test                             every test that needs neither hardware nor network
#   make TORCH_WHEEL=path/to.whl test     takes torch from a local file at the first set-up

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
TORCH_WHEEL ?=
WORKERS ?= 2

BIN := .venv/bin
READY := .venv/.ready
LOCKS := requirements/base.txt requirements/trainer.txt requirements/dev.txt
TORCH := $(if $(TORCH_WHEEL),$(TORCH_WHEEL),-r requirements/torch.txt)
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --require-virtualenv
# Prints how long the rest of the recipe took, whether it passed or failed.
TIMED = started=$$(date +%s); trap 'echo "make $@: $$(( $$(date +%s) - started )) s"' EXIT;

.PHONY: help setup demo test test-long check bench golden docs wheel wheel-sizes lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

setup: $(READY)  ## virtual environment with the locked packages and the four programs

# The locked packages come first and are held in place while pip resolves torch, the only one that differs by machine.
$(READY): $(LOCKS) requirements/torch.txt pyproject.toml
	@$(TIMED) \
	$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "need Python 3.11 or newer with pip and venv (Debian: apt install python3-venv python3-pip); or name one: make PYTHON=python3.12 ..." >&2; exit 1; }; \
	$(PYTHON) -m venv .venv; \
	$(PIP) install --quiet --no-deps --require-hashes $(LOCKS:%=-r %); \
	$(PIP) freeze --quiet --exclude-editable --exclude torch --exclude sortloop > .venv/held.txt; \
	$(PIP) install --quiet --constraint .venv/held.txt $(TORCH); \
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .; \
	$(PIP) check; \
	touch $@

demo: $(READY)  ## train on synthetic grains, export, sort on the virtual machine
	@$(TIMED) $(BIN)/sortloop-train demo --out demo-out; \
	$(BIN)/sortloop-deploy build demo-out/runs/retrained/model --out demo-out/retrained.sbun

test: $(READY)  ## all tests but the long ones
	@$(TIMED) $(BIN)/python -m pytest -n $(WORKERS) -m "not long"

test-long: $(READY)  ## the long ones: kill, power cut, fuzz, soak
	@$(TIMED) $(BIN)/python -m pytest -n $(WORKERS) -m long

check: $(READY)  ## style, types, layers
	@$(TIMED) $(BIN)/ruff check .; $(BIN)/ruff format --check .; $(BIN)/mypy; $(BIN)/lint-imports

bench: $(READY)  ## speed of this machine, into bench-results.json
	@$(TIMED) $(BIN)/python tests/bench/run.py

golden: $(READY)  ## rewrite tests/golden; review the difference
	@$(TIMED) shopt -s nullglob; for script in tests/golden/rewrite_*.py; do $(BIN)/python "$$script"; done; \
	git --no-pager diff --stat -- tests/golden

docs: $(READY)  ## rewrite the generated pages of docs/ and what is made from firmware_bridge/sel1.toml
	@$(TIMED) $(BIN)/python -m firmware_bridge.generate; \
	shopt -s nullglob; for script in docs/generate_*.py; do $(BIN)/python "$$script"; done

wheel: $(READY)  ## both wheels, sortloop and sortloop-edge, into dist/
	@$(TIMED) $(BIN)/python -m build --wheel --no-isolation --outdir dist .; \
	$(BIN)/python -m build --wheel --no-isolation --outdir dist deploy/edge_dist

wheel-sizes: $(READY)  ## measure the edge's packages for aarch64 again (downloads them)
	@$(TIMED) $(BIN)/python requirements/wheel_sizes.py

lock: $(READY)  ## pin the requirements of pyproject.toml again, keeping what may stay
	@$(TIMED) $(BIN)/python requirements/lock.py $(LOCK_OPTIONS)

clean:  ## remove everything that can be made again, the virtual environment included
	rm -rf .venv demo-out dist build bench-results.json .coverage .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
