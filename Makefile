# Every target makes what it needs in .venv, and says first what it will download.
# A second run needs no network.

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$name; break; }; done)
CHECK := .venv/bin/python scripts/run_checks.py

.PHONY: help demo test lint docs bench test-slow venv-demo venv-dev clean
.DEFAULT_GOAL := help

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv-demo  ## commit a real model and two fine-tunes, get them back bit for bit, compare sizes
	@.venv/bin/python -m demo

test: venv-dev  ## everything that must pass: format, lint, types, import contracts, tests, docs
	@$(CHECK) lint types imports tests docs

lint: venv-dev  ## format, lint, types, import contracts
	@$(CHECK) lint types imports

docs: venv-dev  ## the documentation, into site/
	@$(CHECK) docs

bench: venv-dev venv-demo  ## every program in benchmarks/; some train a real model
	@$(CHECK) bench

test-slow: venv-dev  ## the tests that take minutes: crashes, many processes, large files
	@$(CHECK) slow

venv-demo venv-dev: venv-%:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer is on PATH; say where it is:" \
		"make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) scripts/setup_venv.py $*

clean:  ## remove .venv and everything built
	rm -rf .venv site build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
