# Every target sets up what it needs in .venv; nothing else has to be installed but Python (>= 3.11) and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test soak soak-runs soak-readers check bench format clean

demo: $(READY)  ## train MemN2N and the LSTM on generated stories, beside their known floor
	$(BIN)/memlm data get stories
	$(BIN)/memlm train --recipe demo-memn2n --run-dir runs/demo-memn2n --overwrite
	$(BIN)/memlm train --recipe demo-lstm --run-dir runs/demo-lstm --overwrite
	$(BIN)/memlm compare runs/demo-memn2n runs/demo-lstm

test: check  ## every check of the project, on up to four cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

soak: $(READY)  ## the tests of trust in their long form, on two cores; within 30 minutes
	OMP_NUM_THREADS=1 $(MAKE) --jobs=2 --output-sync=line soak-runs soak-readers

soak-runs: $(READY)
	$(BIN)/python -m pytest --soak -m soak tests/whole/test_soak_resume.py

soak-readers: $(READY)
	$(BIN)/python -m pytest --soak -m soak --ignore tests/whole/test_soak_resume.py

check: $(READY)  ## formatting, lint and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: $(READY)  ## speed of this machine; leave it alone meanwhile
	$(BIN)/memlm bench

format: $(READY)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

$(READY): pyproject.toml constraints.txt $(wildcard memlm/kernels/c/*.[ch])
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("memlm needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:  ## the environment and caches; data/ and runs/ stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info build memlm/kernels/*.so
