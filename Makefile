# `make demo` and `make test` each do everything on a fresh machine with Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# glibc keeps freed tensors for the next ones: 5 % of the time of a test that trains
MEMORY := MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=536870912 MALLOC_TOP_PAD_=67108864
# what is compiled is kept: each process that a test starts would compile the package anew where the environment forbids it
COMPILED := PYTHONDONTWRITEBYTECODE=
PYTEST := $(MEMORY) $(COMPILED) OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

# Runs a command and shows what it printed only if it failed.
quietly = $(1) > .venv/log.txt 2>&1 || { cat .venv/log.txt >&2; exit 1; }

.PHONY: help demo test test-slow soak test-all lint types check coverage lowest docs lock helptexts clean

help:
	@printf '%s\n' \
	  'make demo       install zeroconv here and draw four pictures without and with a ControlNet' \
	  'make test       run the tests' \
	  'make test-all   run the slow ones too' \
	  'make soak       kill and corrupt runs for a quarter of an hour' \
	  'make check      lint, types and all tests: what a change must pass' \
	  'make docs       build the pages of every class and function: site/index.html' \
	  'make coverage   say which lines no test runs' \
	  'make lowest     test with the oldest versions that pyproject.toml allows' \
	  'make lock       write requirements.lock again, and make helptexts the frozen --help texts' \
	  'make clean      remove what the others made'

demo: $(READY)
	@printf 'Drawing four pictures, each from its prompt alone, then with a ControlNet: about a minute.\n'
	@$(BIN)/zeroconv demo --out outputs/demo

test: $(READY)
	@printf 'Running the tests, about 12 minutes on two cores. Each dot is one that passed.\n'
	@$(PYTEST) $(PARALLEL)
	@printf 'All of them passed. `make test-all` runs the slow ones too.\n'

test-slow: $(READY)
	@printf 'Running the slow tests: networks at full size and long runs.\n'
	@$(PYTEST) $(PARALLEL) -m slow

soak: $(READY)
	@printf 'Killing, racing and corrupting runs: a quarter of an hour on two cores.\n'
	@$(PYTEST) -m soak -s tests

test-all: test test-slow

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell

types: $(READY)
	@$(BIN)/pyright

check: lint types test-all

coverage: $(READY)
	@printf 'Running all tests and noting which lines they run.\n'
	@$(PYTEST) $(PARALLEL) -m 'not soak' --cov --cov-report=term:skip-covered --cov-report=html
	@printf 'Line by line: outputs/coverage/index.html\n'

docs: $(READY)
	@printf 'Building the pages of every class and function: about a minute.\n'
	@$(call quietly,$(PIP) -c constraints.txt -e '.[docs]')
	@$(BIN)/python docs/api.py site

lowest: $(READY)
	@$(BIN)/python tests/lowest.py

lock: $(READY)
	@$(call quietly,$(PIP) uv)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev --extra docs \
	  --constraint constraints.txt --custom-compile-command 'make lock' pyproject.toml --output-file requirements.lock

helptexts: $(READY)
	@$(BIN)/python -m tests.cli.help_texts

clean:
	@rm -rf .venv outputs site
	@printf 'Removed .venv, outputs and site.\n'

# torch first and alone: the pinned version decides which build is taken, everything else follows it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "zeroconv needs Python 3.11 or newer, and this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12")'
	@printf 'Installing zeroconv into the folder .venv: a few minutes and some gigabytes the first time.\n'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@printf '  1 of 2: PyTorch\n'
	@$(call quietly,$(PIP) -c constraints.txt torch)
	@printf '  2 of 2: everything else\n'
	@$(call quietly,$(PIP) -c constraints.txt -e '.[dev]')
	@rm -f .venv/log.txt
	@touch $(READY)
	@printf 'Installed. `source .venv/bin/activate` makes the command `zeroconv` available.\n'
