# `make run` and `make test` are all that a newcomer needs; both set up .venv when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint browser bench clean

run: .venv/.installed
	$(BIN)/maft run

test: .venv/.installed
	$(BIN)/python -m pytest

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The web pages in Chromium alone; MAFT_SCREENSHOTS=FOLDER keeps pictures of them.
browser: .venv/.installed
	$(BIN)/python -m pytest -n 0 tests/operation/test_browser.py

bench: .venv/.installed
	$(BIN)/python -m tests.bench

.venv/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv
