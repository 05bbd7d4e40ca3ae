# make demo and make test do all of the set-up; all they need is a Python with venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-model test-stages check docs docs-serve format reference setup supervisely-sdk clean

demo: setup
	$(BIN)/icstream demo -o demo --overwrite

# In several processes: with the libraries of all tests in one, the interpreter was seen to crash.
# Those of the pipeline start processes of their own and want the machine to themselves.
test: setup
	$(MAKE) --output-sync=target --jobs=2 test-model test-stages
	$(BIN)/python -m pytest -q --ignore tests/model --ignore tests/stages

test-model test-stages: test-%: setup
	$(BIN)/python -m pytest -q tests/$*

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

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'icstream needs Python 3.11 or newer; set PYTHON=...')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# The SDK pins packages that ours may not have, so it lives in an environment of its own.
supervisely-sdk: .venv-supervisely/.installed

.venv-supervisely/.installed:
	$(PYTHON) -m venv .venv-supervisely
	.venv-supervisely/bin/python -m pip install --quiet --disable-pip-version-check supervisely==6.74.51
	touch $@

clean:
	rm -rf $(VENV) .venv-supervisely demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
