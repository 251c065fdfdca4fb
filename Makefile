# make demo    set everything up, then run a small federation of real models on real text (or go on with it)
# make demo-link   the same models, one round, as a server and two clients on this machine, over the link
# make test    set everything up, then run every test
# make test-flower-versions   what must hold of Flower, with every release line that is allowed
# make check   lint, format, types, import rules
# make clean   remove the environment and what tests left (results in runs/ stay)

PYTHON ?= python3
# Processes that run tests side by side, each on one thread: two busy cores, and no more memory than two need.
TESTERS ?= 2
# The first release line that the tests were run on; its own step, so that pip settles on it before all else.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
# Most of what is installed is never imported, and what is gets compiled then: 80 s less to wait at first.
PIP := $(BIN)/python -m pip install --quiet --no-compile
INSTALLED := $(VENV)/.installed
MODELS := $(VENV)/.models

export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: demo demo-link test test-flower-versions check format docs proto install models clean

demo: $(MODELS)
	$(BIN)/renga simulate examples/quickstart.toml --resume

demo-link: $(MODELS)
	RENGA=$(BIN)/renga sh examples/demo_link.sh

test: $(MODELS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --dist loadfile

FLOWERS ?= 1.41 1.42
test-flower-versions: $(INSTALLED)
	set -e; for flower in $(FLOWERS); do VENV=$(VENV) sh tests/with_flower.sh $$flower; done

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)
	$(BIN)/python -m renga.reference docs

# The Python side of protocol/link.proto, which is committed: users need no protoc.
proto: $(INSTALLED)
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. renga/protocol/link.proto

install: $(INSTALLED)
models: $(MODELS)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "renga needs Python 3.11 or newer: make PYTHON=python3.11 …" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) '$(TORCH)'
	$(PIP) --editable '.[dev]'
	@touch $@

$(MODELS): $(INSTALLED)
	$(BIN)/renga models fetch SmolLM2-135M-Instruct gemma-3-270m
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
