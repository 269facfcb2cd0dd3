# `make demo` and `make test` need only Python 3.10 or later (with venv), pip and make.

PYTHON ?= python3
# Processes that pytest runs in: a number, or auto for one a core.
WORKERS ?= auto
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := build/clients
# Tables of loop nests, which tests and pages share: computed once.
export HWGYM_CACHE ?= $(abspath build)/cache

# A virtual environment may be missing, half made, or left without its Python by an upgrade.
USABLE := $(shell $(BIN)/python -c 'import pip, sys; print(sys.version_info >= (3, 10))' 2>/dev/null)
VENV_RULE := $(if $(filter True,$(USABLE)),,venv)

.DEFAULT_GOAL := help
.PHONY: help demo notebooks test lint docs wheel clients clean venv

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)$$/make \1\t\2/p' Makefile

demo: $(VENV)/.agents  ## Search, refine and compare with the proven optimum: two to six minutes
	$(BIN)/python -m hwgym_agents.demo

notebooks: $(VENV)/.notebooks  ## Execute the notebooks anew, output and all: about two minutes
	$(BIN)/python -m notebooks.execute

test: $(VENV)/.test  ## Run the tests; WORKERS=2 for two processes
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(VENV)/.test  ## Check style, format, types, and that imports point down the house
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-cache

wheel: $(VENV)/.test  ## Build sdist and wheel, install the wheel elsewhere, use both
	$(BIN)/python .ci/wheel.py

docs: $(VENV)/.docs  ## Build the documentation into build/docs, and check its links
	rm -rf build/docs build/doctrees
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/docs
	$(BIN)/python docs/check_links.py build/docs

clients: $(CLIENTS)/.installed  ## Train with other RL libraries; CLEANRL=folder for a clone of CleanRL, too
	@set -e; export OMP_NUM_THREADS=1 PYTHON=$(abspath $(CLIENTS))/bin/python; \
	for script in $(filter-out %/rollout.py,$(wildcard examples/clients/*.py)); do $$PYTHON $$script; done; \
	sh examples/clients/rl_zoo3.sh; \
	if [ -n "$(CLEANRL)" ]; then sh examples/clients/cleanrl.sh "$(CLEANRL)"; fi

clean:  ## Remove the virtual environment, caches and build output; runs/ stays
	rm -rf $(VENV) build dist docs/_generated *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@$(PYTHON) -c 'import sys; sys.exit("hwgym needs Python 3.10 or later; try: make PYTHON=python3.11" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv --clear $(VENV)

# A stamp a set of extras: installed once, and again when the pins or the package's own change.
$(VENV)/.%: pyproject.toml constraints.txt $(VENV_RULE)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

$(CLIENTS)/.installed: pyproject.toml examples/clients/requirements.txt
	$(PYTHON) -m venv --clear $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --disable-pip-version-check -r examples/clients/requirements.txt -e .
	@touch $@
