# Two commands for a newcomer: `make demo` and `make test`.
# Wanted of the machine: make, Python 3.11 or newer with its venv module. Everything else comes by hash from lock files into
# .venv and node_modules; only what .ci/test-programs lists, the browser above all, are Debian packages that `make test` wants.

# The distribution's Python where it will do, whichever is first on the PATH: it is built with what its compiler learned from
# a profile, and a request costs it 8 % less than one that was built without (as pyenv does). Else python3.
PYTHON ?= $(shell /usr/bin/python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
DB ?= sqlite
SCENE ?= online
PEER ?= node-oidc-provider
ROUNDS ?= 10000
# One more than there are cores: many tests wait for processes, locks and clocks, and use none meanwhile.
JOBS ?= $(shell expr $$(nproc) + 1)
# Tests of pages and messages meet one of the two databases, by turns, unless only some tests are named.
DATABASES ?= $(if $(TESTS),both,turns)

BIN := .venv/bin
# uv, of the lock itself, takes a tenth of pip's time. Pip where uv can't: behind a mirror that only pip is told of, say.
PIP := $(BIN)/python -m pip install --disable-pip-version-check
UV := $(BIN)/uv pip install --python $(BIN)/python
LOCKED := .venv/.locked
READY := .venv/.ready
installed = $(patsubst %/package-lock.json,%/node_modules/.package-lock.json,$(wildcard $(addsuffix /package-lock.json,$(1))))
BANK_PACKAGES := $(call installed,client_examples/node_bank)
TEST_PACKAGES := $(call installed,tests/browser tests/support/node_provider)
STYLE_PACKAGES := $(call installed,authz_server/portal/stylesheet)

# The machine's Node.js if it is new enough, else the one that the Python lock brings.
NODE_IS_FIT := $(shell node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm)
ifeq ($(NODE_IS_FIT),)
export PATH := $(CURDIR)/$(BIN):$(PATH)
endif

# Each of the many programs that are started here would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo sandbox journey test check format race bench css lock clean programs

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## create the environment in .venv (the other targets do it by themselves)

demo: $(READY) $(BANK_PACKAGES) ## start everything, drive one journey, keep serving until Ctrl-C
	@$(BIN)/python -m client_examples.sandbox demo --db $(DB)

sandbox: $(READY) $(BANK_PACKAGES) ## the same without a journey; goes on with what lies in the folder sandbox
	@$(BIN)/python -m client_examples.sandbox up --work sandbox --db $(DB)

journey: $(READY) $(BANK_PACKAGES) ## scenes against fresh servers on free ports; SCENE=all or SCENE="online freeze", DB=postgresql for the real database
	@$(BIN)/python -m client_examples.sandbox journey --scene $(SCENE) --db $(DB)

test: $(READY) $(BANK_PACKAGES) $(TEST_PACKAGES) programs ## every test: both databases, several processes, browser, Node.js; DATABASES=both for pages on each, too
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --databases $(DATABASES) $(TESTS)

check: $(READY) ## lint, format, types, import walls
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY) ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

race: $(READY) ## the race tests with ROUNDS=10000
	MYDATA_RACE_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -m race $(TESTS)

bench: $(READY) ## measure against PostgreSQL, node-oidc-provider beside us in the same run; PEER=none without
	$(BIN)/python -m tests.bench $(if $(filter none,$(PEER)),--only ours)

css: $(READY) $(STYLE_PACKAGES) ## compile authz_server/static/mydata.css from its source
	cd authz_server/portal/stylesheet && npm run css

lock: $(READY) ## bring requirements.lock in line with setup.cfg; UPGRADE=--upgrade for new versions
	$(BIN)/uv pip compile setup.cfg --extra dev --extra examples --generate-hashes --universal --python-version 3.11 \
		$(UPGRADE) -o requirements.lock

clean: ## delete the environment and everything that was made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name node_modules -prune -exec rm -rf {} +

programs:
	@sh .ci/debian-packages $$(cat .ci/test-programs)

%/node_modules/.package-lock.json: %/package-lock.json | $(READY)
	@echo "== Node.js packages of $*"
	cd $* && npm ci --no-fund --no-audit --no-update-notifier
	@touch $@

# Compiled, as pip does it: whoever runs it may not be allowed to write here, and would compile all of it at each start.
$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, not $$($(PYTHON) --version 2>&1): make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "== environment in .venv: downloads about 250 MB, half a minute or so"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements.lock | $(PIP) --quiet --require-hashes -r /dev/stdin
	$(UV) --system-certs --compile-bytecode --require-hashes -r requirements.lock || $(PIP) --require-hashes -r requirements.lock
	@touch $@

$(READY): $(LOCKED) setup.cfg pyproject.toml
	@echo "== this project, as it lies here, and its command $(BIN)/mydata"
	$(UV) --quiet --offline --no-deps --no-build-isolation --editable . \
		|| $(PIP) --quiet --no-deps --no-build-isolation --editable .
	@touch $@
