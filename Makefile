# make demo and make test do all of the set-up; all they need is a Python with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt
EXTRAS := dev

# Some containers set it. The tests start hundreds of processes, each of which would compile all modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast test-python test-lowest coverage check docs docs-serve format reference setup supervisely-sdk clean

demo: setup
	$(BIN)/icstream demo -o demo --overwrite

# The tests of a file stay in one process, and so do those that ask the same service. WORKERS=0 runs
# all of them in one.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -q --durations=30

test: setup
	$(PYTEST) -n $(WORKERS) --dist loadgroup

# What every change should be tried with: nothing that starts runs, services, browsers or trainings.
test-fast: setup
	$(PYTEST) -n $(WORKERS) --dist loadgroup -m "not slow"

# The tests with another Python, in an environment of its own: make test-python PYTHON=python3.13
test-python:
	$(MAKE) test VENV=.venv-$$($(PYTHON) -c "import sys; print('%d.%d' % sys.version_info[:2])")

# The tests with the lowest versions that pyproject.toml allows.
test-lowest:
	$(MAKE) test VENV=.venv-lowest CONSTRAINTS=build/lowest.txt EXTRAS=dev,train

build/lowest.txt: pyproject.toml .ci/lowest.py
	mkdir -p build
	$(PYTHON) .ci/lowest.py > $@

# In the processes of pytest alone, without those that they start: line and branch coverage.
coverage: setup
	$(PYTEST) -n $(WORKERS) --dist loadgroup --cov --cov-report=term

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The pages in docs/reference, which are made from the code.
reference: setup
	$(BIN)/python docs/tools/reference.py

# The site, in build/site; every warning is an error, and nothing in it is loaded from elsewhere.
docs: $(VENV)/.docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Open build/site/index.html"

docs-serve: $(VENV)/.docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

$(VENV)/.docs-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'icstream needs Python 3.11 or newer; set PYTHON=...')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e ".[$(EXTRAS)]"
	touch $@

# The SDK pins packages that ours may not have, so it lives in an environment of its own.
supervisely-sdk: .venv-supervisely/.installed

.venv-supervisely/.installed:
	$(PYTHON) -m venv .venv-supervisely
	.venv-supervisely/bin/python -m pip install --quiet --disable-pip-version-check supervisely==6.74.51
	touch $@

clean:
	rm -rf $(VENV) .venv-* demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
