# Everything starts from nothing: a target makes the environment it needs with plain pip.
# PYTHON may name another interpreter (3.11 or newer) for the making of it.
PYTHON ?= python3
BIN    := .venv/bin
DEV    := .venv/.installed
BENCH  := .venv-bench/.installed
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help run test test-real check check-code check-law law bench nightly docs format clean

help: ## say what each target does
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

run: $(DEV) ## the main job: decide June 2026 again, person by person
	@$(BIN)/carnet replay june-2026

test: $(DEV) ## every test that needs nothing but the dev tools (under 8 minutes)
	$(PYTEST) -n 2 --dist loadgroup -m "not real and not slow"

test-real: $(DEV) ## the tests that start real things: the wheel outside the tree, the pages as a user reads them
	$(PYTEST) -n 3 --dist loadgroup -m "real and not slow"

check: check-code check-law ## format, lint, types, imports, the rules and what is generated (-j2: both halves at once)

check-code: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-law: $(DEV)
	$(BIN)/carnet rules check
	$(BIN)/carnet rules test
	$(BIN)/python docs/generate.py --check

law: $(DEV) ## load every shelf, run every case, print the tables that they hold
	$(BIN)/carnet rules check
	$(BIN)/carnet rules test
	$(BIN)/carnet rules timeline

bench: $(BENCH) ## compare with the other engines (QUICK=1: under a minute)
	CARNET_REQUIRE=peers .venv-bench/bin/python -m pytest tests/bench
	nice .venv-bench/bin/python bench/decide.py $(if $(QUICK),--quick)
	nice .venv-bench/bin/python bench/fail_open.py $(if $(QUICK),--quick)
	nice .venv-bench/bin/python bench/ledger.py $(if $(QUICK),--quick)
	nice .venv-bench/bin/python bench/gateway.py $(if $(QUICK),--quick)

nightly: $(DEV) ## the long comparisons of the engines, the mutants, the faults in number
	nice $(BIN)/python -m tests.nightly

docs: $(DEV) ## write what is generated, then check every link and every example
	$(BIN)/python docs/generate.py
	$(PYTEST) tests/docs

format: $(DEV) ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove the environments and everything made
	rm -rf .venv .venv-bench .venv-bench-litellm build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(DEV): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(BENCH): pyproject.toml
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench,dev]'
	@touch $@
