# Run `make` for the list of what can be made.

PYTHON   ?= python3
VENV     := .venv
BIN      := $(VENV)/bin
STAMP    := $(VENV)/installed
EXTRAS   ?= training,serving,text,openvino,s3,embedded,dev
WORKERS  ?= auto
SUBJECTS ?= 20000
SEED     ?= 7
DEMO     := var/demo-$(SUBJECTS)-$(SEED)
PYTEST   := $(BIN)/python -m pytest -n $(WORKERS)
COVERAGE := --cov --cov-report=term

.DEFAULT_GOAL := help
.PHONY: help install check test test-all notebooks bench demo real stop

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with everything in it, from a bare Python 3.11 or newer

# constraints.txt pins every version, torch among them, so that no dependency can pull a newer one.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $(PYTHON) is older than Python 3.11; name a newer one: make install PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "make: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing xinjian[$(EXTRAS)] into $(VENV); the first time takes some minutes"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@$(BIN)/python -m pip check
	@touch $@

check: install ## lint, format, types, import directions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --warnings
	$(BIN)/lint-imports --no-logo

test: check ## check, then the tests that are not slow, with branch coverage
	$(PYTEST) -m 'not slow and not bench' $(COVERAGE)

test-all: check ## check, then every test
	$(PYTEST) -m 'not bench' $(COVERAGE)

notebooks: install ## run the notebooks, each in a kernel of its own
	$(BIN)/python -m pytest -n $(WORKERS) --nbmake --nbmake-timeout=600 notebooks

bench: install ## run the benchmarks; each prints a table
	@set -e; for script in tests/bench/bench_*.py; do \
	  test -e "$$script" || { echo "no benchmark yet"; break; }; \
	  echo "== $$script"; $(BIN)/python "$$script"; done

demo: export XINJIAN_HOME := $(DEMO)
demo: install ## everything once on a made province of SUBJECTS (20000): learn, decide, draw, serve
	@$(BIN)/xinjian demo synthetic --subjects $(SUBJECTS) --seed $(SEED)

real: export XINJIAN_HOME := var/real
real: install ## the same on Beijing's published tables, which lie in DATA
	@test -n "$(DATA)" || { echo "make: name the folder of the tables: make real DATA=FOLDER" >&2; exit 1; }
	@$(BIN)/xinjian demo real "$(DATA)"

stop: install ## stop what make demo and make real started
	@set -e; for home in var/demo-* var/real; do test ! -d "$$home" || { \
	  printf '%s: ' "$$home"; XINJIAN_HOME="$$home" $(BIN)/xinjian demo stop; }; done
