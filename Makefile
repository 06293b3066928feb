# latido: `make demo` runs it, `make test` tests it. Both set up what they need from a bare Python >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SECONDS ?=
SEEDS ?=
SEED ?=
ACCOUNTS ?=
INPUTS ?=
.DEFAULT_GOAL := help

.PHONY: help setup setup-dev demo test compiled lint types imports format lock bench chaos faults fuzz coverage other-tests clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

# The stamps: what is installed is installed again only when a lock or the project's own metadata changed.
# Without byte-compiling, because most of what is installed is never imported. Without dependencies, because a lock names
# them all: pip would look for the newest release of one that is asked for with an extra, and refuse it for want of a hash.
$(VENV)/.run: requirements/build.txt requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "latido needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name another one: make PYTHON=python3.12 ..."; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "making $(VENV) ..."; $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing what latido runs on, by hash ..."
	@$(PIP) install --no-compile --no-deps --require-hashes -r requirements/build.txt -r requirements/run.txt
	@$(PIP) install --no-compile --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "installing what tests it, by hash ..."
	@$(PIP) install --no-compile --no-deps --require-hashes -r requirements/dev.txt
	@$(PIP) check
	@touch $@

setup: $(VENV)/.run ## Make the environment that runs latido

setup-dev: $(VENV)/.dev ## Make the environment that also tests it

demo: $(VENV)/.run ## Run a simulated company through the real worker, with a live view (SECONDS=n: end by itself)
	$(BIN)/latido demo $(if $(SECONDS),--seconds $(SECONDS))

test: compiled coverage other-tests ## Run all tests; on a real Kafka too where Java and Maven are present

PARALLEL := -n auto --dist worksteal
# More than a small machine has cores: these wait for processes, brokers and clocks.
WAITING := -n 4 --dist worksteal
# Bugs planted into workers on a real Kafka, a minute each: `make chaos` runs them.
PLANTED := tests/worker/test_planted.py
EDGES := tests/auditor/test_kernel_agrees.py::test_a_history_concentrated_on_edges_ends_alike_in_every_output_reject_and_note

# The first test of each process waits for the compiler.
compiled: $(VENV)/.dev ## Run the tests of the core and the auditor's edges compiled, with checked bounds
	LATIDO_TEST_COMPILED=1 NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest $(PARALLEL) --timeout 300 tests/core tests/scenarios tests/models/test_laws.py tests/contracts/test_written.py $(EDGES)

lint: $(VENV)/.dev ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

imports: $(VENV)/.dev ## Check that imports point agents -> streams -> schemas
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Where every branch of the core is taken at the least cost; all others run without measuring.
COVERING := tests/core tests/contracts tests/models tests/fuzz tests/auditor/test_rulings.py tests/auditor/test_records.py tests/scenarios/test_merges.py

coverage: $(VENV)/.dev ## Run the tests that must take every branch of the core, and measure it
	$(BIN)/python -m pytest $(PARALLEL) -m "not compiled" $(COVERING) $(EDGES) --cov --cov-report=term

other-tests: $(VENV)/.dev ## Run the tests that `make compiled` and `make coverage` do not run, at last those on a real Kafka
	$(BIN)/python -m pytest $(WAITING) -m "not kafka" $(COVERING:%=--ignore=%) --deselect $(EDGES)
	$(BIN)/python -m pytest $(WAITING) -m kafka $(COVERING:%=--ignore=%) --ignore=$(PLANTED)

fuzz: $(VENV)/.dev ## Judge records and files that nobody would write (INPUTS=n)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  NUMBA_CACHE_DIR="$$folder" NUMBA_BOUNDSCHECK=1 $(BIN)/python -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS))

# Not after an up-to-date environment: a new dependency cannot be installed before it is locked.
lock: ## Lock the dependencies again, with hashes (LOCK_OPTIONS=--upgrade: the newest)
	@test -x $(BIN)/uv || $(MAKE) setup-dev
	for name in build run dev; do \
	  (cd requirements && ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" \
	    $(LOCK_OPTIONS) $$name.in --output-file $$name.txt) || exit 1; \
	done

bench: $(VENV)/.dev ## Measure replay and worker beside a bare consumer
	$(BIN)/python -m benchmarks

chaos: $(VENV)/.dev ## Strike workers, network, disk and broker of a real Kafka (SECONDS=n; SEED=n: the same blows; ACCOUNTS=n)
	LATIDO_REQUIRE_SERVERS=1 LATIDO_TEST_ACCOUNTS=$(or $(ACCOUNTS),270) \
	  LATIDO_TEST_CHAOS_SECONDS=$(or $(SECONDS),300) LATIDO_TEST_CHAOS_SEED=$(SEED) $(BIN)/python -m pytest \
	  -o log_cli=true -o log_cli_level=INFO tests/worker/test_chaos.py tests/worker/test_equals_replay.py \
	  $(PLANTED)

faults: $(VENV)/.dev ## Simulate faults by seed (SEEDS=n: so many; SEED=n: replay one, every step told)
	$(BIN)/python -m tests.faults $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SEED),--seed $(SEED))

clean: ## Remove what `make` made
	rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .coverage
