# Two commands matter: `make demo` and `make test`. Both do all their set-up, and are quick when run again.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
STAMPS := $(VENV)/.stamps
DATASETS ?= $(or $(INTAKE_DATASETS),../shared/datasets)

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types audit schemas settings bench bench-gpu chaos soak lab test-lab lab-table train-embedder train-segmenter wheel clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMPS)/venv:
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml constraints.txt
	@echo "installing what the demo needs (no torch)"
	@$(PIP) install -c constraints.txt -e '.[embedded]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/demo pyproject.toml constraints.txt
	@echo "installing what the tests need"
	@$(PIP) install -c constraints.txt -e '.[embedded,dev,serve,tracing]'
	@touch $@

demo: $(STAMPS)/demo  ## Everything on this machine: Kafka, S3, index, worker, arrivals, a page to look at
	@$(BIN)/intake demo $(DEMO_ARGS)

test: $(STAMPS)/dev check  ## Lint, types, and all tests with coverage (starts its own servers)
	@$(BIN)/python -m tests.infra.prepare
	@$(BIN)/python -m pytest --cov --cov-report=term --durations=15 $(PYTEST_ARGS)

check: $(STAMPS)/dev lint types audit  ## What can be checked without running: lint, types, schemas, security scan
	@$(BIN)/python -m worker.events.generate --check

lint: $(STAMPS)/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMPS)/dev
	@$(BIN)/mypy

audit: $(STAMPS)/dev
	@$(BIN)/bandit --quiet --recursive worker --configfile pyproject.toml

schemas: $(STAMPS)/dev  ## Generate schemas/ from the models
	@$(BIN)/python -m worker.events.generate

settings: $(STAMPS)/dev  ## Generate deploy/SETTINGS.md from the settings
	@$(BIN)/python -m worker.ops.settings_reference > deploy/SETTINGS.md

bench: $(STAMPS)/dev  ## Measure speed: models, end to end, stages, Kafka alone
	@$(BIN)/python -m tests.bench $(BENCH_ARGS)

$(VENV)-gpu/.stamp: pyproject.toml constraints.txt
	@echo "creating $(VENV)-gpu, with torch and with onnxruntime-gpu in place of onnxruntime: two wheels of one module"
	@$(PYTHON) -m venv $(VENV)-gpu
	@$(VENV)-gpu/bin/python -m pip --quiet install -c constraints.txt -e '.[lab]'
	@$(VENV)-gpu/bin/python -m pip --quiet uninstall --yes onnxruntime
	@$(VENV)-gpu/bin/python -m pip --quiet install -c constraints.txt onnxruntime-gpu
	@touch $@

bench-gpu: $(VENV)-gpu/.stamp  ## Photos/s of our models on a GPU: by batch, fp32 and fp16, IO binding, CUDA graphs, torch beside them
	@$(VENV)-gpu/bin/python -m tests.bench.bench_models --provider cuda $(BENCH_ARGS)

chaos: $(STAMPS)/dev  ## Break everything for a while and count what is lost (CHAOS_ARGS="--arrivals 10000 --kills 200")
	@$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

soak: $(STAMPS)/dev  ## Steady load with rebalances for half an hour: memory, lag, latency, then a burst (SOAK_ARGS="--minutes 30")
	@$(BIN)/python -m tests.soak $(SOAK_ARGS)

$(STAMPS)/lab: $(STAMPS)/dev pyproject.toml constraints.txt
	@echo "installing the lab (torch)"
	@$(PIP) install -c constraints.txt -e '.[lab]'
	@touch $@

lab: $(STAMPS)/lab  ## Install the lab extra (torch)

test-lab: $(STAMPS)/lab  ## The tests that need the lab extra
	@$(BIN)/python -m pytest tests/lab tests/vision $(PYTEST_ARGS)

lab-table: $(STAMPS)/lab  ## The table "method x data set" (LAB_TABLE_ARGS="--queries held-out --unseen 300": what no shipped model learned from)
	@$(BIN)/intake lab bench-data --datasets "$(DATASETS)" --output build/lab-table $(LAB_TABLE_ARGS)
	@$(BIN)/intake lab evaluate --manifest build/lab-table/manifest.csv --methods-file worker/lab/table.txt --memory \
	  --attributes build/lab-table/attributes.csv \
	  --json build/lab-table/table.json --html build/lab-table/table.html --markdown build/lab-table/table.md

TRAIN = $(BIN)/intake lab train worker/lab/training/configs/$(1).toml --output build/$(2) --set recipe.data="$(abspath $(DATASETS))" $(TRAIN_ARGS)
AFTER = --set recipe.first="$(abspath build/$(1))"

train-embedder: $(STAMPS)/lab  ## Train our embedder, in four runs; goes on where it was stopped
	@$(call TRAIN,instance,embedder-first)
	@$(call TRAIN,instance-laid,embedder-laid) $(call AFTER,embedder-first)
	@$(call TRAIN,instance-hard,embedder-hard) $(call AFTER,embedder-laid)
	@$(call TRAIN,instance-joined,embedder) --set recipe.members='["$(abspath build/embedder-laid)", "$(abspath build/embedder-hard)"]'

train-segmenter: $(STAMPS)/lab  ## Train our segmenter, in four runs; goes on where it was stopped
	@$(call TRAIN,segment-light-first,segmenter-first)
	@$(call TRAIN,segment-light,segmenter-second) $(call AFTER,segmenter-first)
	@$(call TRAIN,segment-light-phone,segmenter-third) $(call AFTER,segmenter-second)
	@$(call TRAIN,segment-light-long,segmenter) $(call AFTER,segmenter-third)

wheel: $(STAMPS)/dev  ## Build the wheel into dist/
	@$(BIN)/python -m build --wheel --outdir dist .

clean:  ## Remove what was built; keeps the virtual environment
	@rm -rf build dist *.egg-info htmlcov .coverage* .mypy_cache .pytest_cache .ruff_cache demo-output
