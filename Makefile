# Three commands, which set up everything they need in .venv first: `make run` (the default study, to its
# report), `make test` (what to run before a change is proposed) and `make test-all` (that, and the rest).
#
#   make run STUDY=config/my_study.yaml CORES=8
#   make run TORCH="torch==2.13.0"           another torch, for example with CUDA
#
# `make docs` builds the documentation site, in which a warning or a dead link is an error; `make release-check` builds
# it and the wheel, and tries the wheel in an empty environment.
# `make setup-sevennet` makes .venv-sevennet, the environment of a foundation potential: docs/engines.md.
STUDY ?= config/config.yaml
# OMP_NUM_THREADS, which many set to 1, would make nproc answer 1.
CORES ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
PYTHON ?= python3
TORCH ?= torch==2.13.0
PIP_OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin
SEVENNET := .venv-sevennet
SITE := build/site
# An empty folder, with an environment that has the wheel alone.
RELEASE := build/release
export OMP_NUM_THREADS := 1
export MPLBACKEND := Agg
# The programs of the environment come first, so that rules find `defectscape`.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Marks of the tests that take long or need other programs; pyproject.toml says what each means.
REST := cluster or deployment or dft or fault or pipeline
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: run test test-all docs release-check setup setup-test setup-docs setup-sevennet lint check clean

run: setup
	$(BIN)/defectscape run $(STUDY) --cores $(CORES)

test: setup-test lint
	$(PYTEST) -m "not ($(REST))"

test-all: test
	$(PYTEST) -m "$(REST)"

docs: setup-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --fresh-env --conf-dir docs . $(SITE)
	@echo "the site begins at $(SITE)/index.html"

release-check: docs
	rm -rf $(RELEASE)
	$(BIN)/python -m hatchling build --target wheel --directory $(RELEASE)
	$(PYTHON) -m venv $(RELEASE)/environment
	$(RELEASE)/environment/bin/python -m pip install --quiet $(PIP_OPTIONS) "$(TORCH)"
	$(RELEASE)/environment/bin/python -m pip install --quiet $(PIP_OPTIONS) $(RELEASE)/*.whl
	cd $(RELEASE) && environment/bin/defectscape new --example cdte my
	cd $(RELEASE) && environment/bin/defectscape check my/study.yaml
	cd $(RELEASE) && environment/bin/defectscape run my/study.yaml -- -n --quiet

setup: $(VENV)/.installed
setup-test: $(VENV)/.installed-test
setup-docs: $(VENV)/.installed-docs
setup-sevennet: $(SEVENNET)/.installed

# torch comes first and by itself: other packages would bring a build with CUDA.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "defectscape needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) "$(TORCH)"
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.lock
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --requirement requirements-test.lock
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet $(PIP_OPTIONS) --no-build-isolation --editable ".[docs]"
	touch $@

# An environment of its own: sevenn needs a newer e3nn than MACE can have. Its lock file names all that torch needs.
$(SEVENNET)/.installed: requirements-sevennet.lock
	test -x $(SEVENNET)/bin/python || $(PYTHON) -m venv $(SEVENNET)
	$(SEVENNET)/bin/python -m pip install --quiet $(PIP_OPTIONS) --no-deps --requirement requirements-sevennet.lock
	$(SEVENNET)/bin/python -m pip install --quiet $(PIP_OPTIONS) "$(TORCH)"
	touch $@

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow benchmarks/Snakefile
	$(BIN)/snakemake --lint

check: setup
	$(BIN)/defectscape check $(STUDY)

clean:
	rm -rf build results .snakemake
