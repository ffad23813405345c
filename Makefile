# The whole interface for people: make run, make test. Needs python3 (3.11 or newer) and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One thread each: two test workers share the machine, and one thread is what results are recorded with.
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: run test test-all check bench clean help

help:
	@echo "make run       watch a population live and die in this terminal"
	@echo "make test      lint, types, import contracts, fast tests"
	@echo "make test-all  the same with the slow tests"
	@echo "make check     lint, types, import contracts only"
	@echo "make bench     measure agent steps and updates a second, and where time goes"
	@echo "make clean     remove what was built (runs/ stays)"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is older than 3.11; set PYTHON=python3.11 or newer" >&2; exit 2; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[test]'
	touch $@

run: $(STAMP)
	@$(BIN)/lineage-arena run --live $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(THREADS) $(BIN)/python -m pytest -q -n 2 -m "not slow" $(ARGS)

test-all: check
	$(THREADS) $(BIN)/python -m pytest -q -n 2 $(ARGS)

bench: $(STAMP)
	@$(BIN)/lineage-arena bench $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
