# What a person does here. On a bare machine these need Python 3.11 or newer and make, and use uv if it is there.
#
#   make demo         installs, and makes a corpus of the sample in tests/data
#   make test         the tests, without what needs PyTorch, a browser, network namespaces or peers
#   make test-heavy   those
#   make test-long    what takes minutes each: gigabytes of input, a cluster under blows, an estimate and what came of it
#   make lint         ruff, mypy, import rules
#   make format       puts the code into ruff's form
#   make clean        removes what runs, tests and tools left; .venv stays

.DELETE_ON_ERROR:
.PHONY: demo test test-heavy test-long lint format clean browser

BIN := .venv/bin
OUT := runs/quickstart
# A process of tests for each core, four at most: a test may start a Ray of its own.
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

demo: .venv/installed
	$(BIN)/datapipe run configs/quickstart.yaml --out $(OUT) --replace

test: .venv/installed-dev
	$(PYTEST)

# One after the other: each may start a cluster.
test-heavy: .venv/installed-heavy browser
	$(BIN)/pytest -p no:xdist -m heavy

test-long: .venv/installed-heavy
	$(BIN)/pytest -p no:xdist -m long

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf runs dist .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find datapipe stages tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The lock is a constraint: of the versions that it pins, each set takes what it needs.
UV := $(shell command -v uv 2>/dev/null)
INSTALL = $(if $(UV),uv pip install --compile-bytecode --python .venv,$(BIN)/python -m pip install --quiet) --constraint requirements.lock

.venv/installed: pyproject.toml requirements.lock | .venv/bin/python
	@echo 'installing what datapipe runs on; this takes some minutes the first time'
	$(INSTALL) --editable .
	@$(COMPILE)
	@touch $@

.venv/installed-dev: pyproject.toml requirements.lock | .venv/bin/python
	@echo 'installing what datapipe, its tests and its checks run on; this takes some minutes the first time'
	$(INSTALL) --editable '.[dev]'
	@$(COMPILE)
	@touch .venv/installed $@

.venv/installed-heavy: .venv/installed-dev
	$(INSTALL) --editable '.[dev,heavy]'
	@touch .venv/installed .venv/installed-dev $@

# The page of a report is tested in a browser; on Debian, root gets one.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo 'installing Chromium'; \
	    apt-get update -q=2 && DEBIAN_FRONTEND=noninteractive apt-get install -q=2 --no-install-recommends chromium >/dev/null; \
	else echo 'make: install Chromium (on Debian: apt-get install chromium); tests of the page need it' >&2; exit 1; fi

# Text kernels compile when they first run. One process does it here; else each worker of the first run would.
COMPILE = echo 'compiling the text kernels, a minute or two of one core' && \
    for config in quickstart copies; do \
        $(BIN)/datapipe run configs/$$config.yaml --executor local --out .venv/compiled >.venv/compiled.log 2>&1 || \
            { cat .venv/compiled.log; exit 1; }; \
        rm -rf .venv/compiled; \
    done

# A name on PATH may be a shim that does not run, an older Python, or (without uv) one that has no pip: so each is tried.
PYTHON ?= python3 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
HAS_PIP := import ensurepip, venv

.venv/bin/python:
	@for name in $(PYTHON); do \
	    $$name -c '$(NEW_ENOUGH)' 2>/dev/null || continue; \
	    if [ -n '$(UV)' ]; then echo "making .venv with uv and $$name"; exec uv venv --quiet --python $$name .venv; fi; \
	    $$name -c '$(HAS_PIP)' 2>/dev/null || continue; \
	    echo "making .venv with $$name"; exec $$name -m venv .venv; \
	done; \
	echo 'make: none of $(PYTHON) is a Python 3.11 or newer that can make an environment (on Debian, python3-venv adds that);' \
	    'install one, or name it: make PYTHON=/path/to/python3.12' >&2; exit 1
