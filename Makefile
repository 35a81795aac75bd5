# Needs only python3 (3.11 or later) with venv. `make` alone prints this help.
PYTHON ?= python3
V := .venv
BIN := $(V)/bin

# Hundreds of processes are started by the tests; each would read all of the source again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run serve test torture lint fmt css texts bench lock clean

help: ## Show what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

run: $(V)/.runtime ## Set up, migrate, start the panel and the sandbox upstreams
	@exec $(BIN)/python -m panel --sandbox

serve: $(V)/.runtime ## Set up, migrate, start the panel alone
	@exec $(BIN)/python -m panel

test: $(V)/.dev ## Set up and run all tests (T=path for some)
	@sh tests/need-browser
	@sh tests/need-servers
ifdef T
	@exec $(BIN)/python -m pytest $(T)
else
	@$(BIN)/python -m pytest -m "not alone" --numprocesses 3 --dist loadfile --no-loadscope-reorder
	@exec $(BIN)/python -m pytest -m alone
endif

torture: $(V)/.dev ## Send costly requests to every route for ten minutes
	@PANEL_TEST_TORTURE_S=600 exec $(BIN)/python -m pytest tests/stress/test_cost.py

lint: $(V)/.dev ## Format, style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fmt: $(V)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

css: $(V)/.dev ## Write the part of Bootstrap's CSS that the pages use
	$(BIN)/python tools/bootstrap_css.py

texts: $(V)/.dev ## Collect the texts for people into the catalogues of translations
	PYTHONPATH=. $(BIN)/python tools/texts.py

bench: $(V)/.dev ## Measure what the README states
	@sh tests/need-browser
	@sh tests/need-servers
	@exec $(BIN)/python -m benchmarks

lock: ## Resolve requirements*.in again (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes requirements.in -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes requirements-dev.in -o requirements-dev.txt

clean: ## Remove the environment and what tests left
	rm -rf $(V) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(V)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Leafpanel needs Python 3.11 or later; set PYTHON=…") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(V) || { echo "python3 has no venv here; on Debian: apt-get install python3-venv"; rm -rf $(V); exit 1; }

$(V)/.runtime: requirements.txt | $(V)/bin/python
	@echo "Setting up $(V) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 10 --require-hashes -r requirements.txt
	@touch $@

$(V)/.dev: requirements-dev.txt | $(V)/bin/python
	@echo "Setting up $(V) with what the tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 10 --require-hashes -r requirements-dev.txt
	@touch $@ $(V)/.runtime
