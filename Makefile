# make demo    the whole analysis on example_data/, to results/example
# make test    the tests
# make test-pandas-plink   the tests beside pandas-plink, which needs NumPy 1
# make lint    ruff, mypy and the import contracts
# make bench   the side-by-side measurements of benchmarks/
# make docs    the generated reference pages
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PANDAS_PLINK_VENV ?= .venv-pandas-plink
PANDAS_PLINK_INSTALLED := $(PANDAS_PLINK_VENV)/.installed
DEMO_OUT ?= results/example
PYTEST_ARGS ?= -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo test test-pandas-plink lint bench docs clean

help:
	@sed -n 's/^# //p' Makefile

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gp-elm needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install: $(INSTALLED)

demo: $(INSTALLED)
	rm -rf $(DEMO_OUT)
	$(BIN)/gp-elm run --bfile example_data/example --pheno example_data/example.pheno.tsv \
	  --covar example_data/example.covar.tsv --out $(DEMO_OUT)
	@echo
	@echo "tables:  $(DEMO_OUT)/variants.tsv.gz  $(DEMO_OUT)/pairs.tsv.gz  $(DEMO_OUT)/variance.tsv"
	@echo "report:  $(abspath $(DEMO_OUT))/report.html  (open it in a browser)"

test: $(INSTALLED)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

$(PANDAS_PLINK_INSTALLED): pyproject.toml constraints-pandas-plink.txt
	test -x $(PANDAS_PLINK_VENV)/bin/python || $(PYTHON) -m venv $(PANDAS_PLINK_VENV)
	$(PANDAS_PLINK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  -c constraints-pandas-plink.txt -e '.[test,pandas-plink]'
	@touch $@

test-pandas-plink: $(PANDAS_PLINK_INSTALLED)
	$(PANDAS_PLINK_VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(INSTALLED)
	$(BIN)/python docs/generate.py

clean:
	rm -rf build dist results .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
