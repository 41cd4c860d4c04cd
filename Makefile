# Every target works in a fresh clone: .venv is made if there is none, and what the target needs is installed.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 2
WORKERS ?= 2

.PHONY: setup quickstart test check acceptance bench load clean

setup: .venv/installed

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

quickstart: setup  ## the whole loop on the embedded world, with a report
	$(BIN)/accordant quickstart --out runs/quickstart

# Two processes, each on one thread, each with its own database cluster, browser and server of forks. They begin with one half
# each and keep to the order, so that what a file shares is made once; who is done takes over from the other. A file named to
# plain `pytest` runs in one process, which has nothing to start.
test: setup  ## the tests, in under 10 minutes on 2 cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

check: setup  ## format, lint, types
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

acceptance: setup  ## real data and models: ACCORDANT_DATA=PATH make acceptance
	$(BIN)/python -m pytest -m acceptance tests/acceptance

bench: setup  ## speed and quality, written to the console
	$(BIN)/python benchmarks/ppo_stories.py

load: setup  ## the studio under load: 8 labelers, 5,000 answers, ten kills, on SQLite and on PostgreSQL
	$(BIN)/python benchmarks/studio_load.py
	$(BIN)/python benchmarks/studio_load.py --postgres

clean:  ## what the tools left behind; runs/ stays
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
