# The front door: `make` lists what there is. Needs Python 3.11 or newer with pip, and nothing else.

PYTHON ?= python3
BIN := .venv/bin
# Debian's python3 comes without the means to put pip into a new environment; its own pip can fill one all the same.
PIP = $$($(BIN)/python -c 'import pip' 2>/dev/null && echo $(BIN)/python -m pip || \
	echo $(PYTHON) -m pip --python $(BIN)/python) --disable-pip-version-check -qq
INSTALL = $(PIP) install --no-input --require-hashes

# Each part is told, and what failed fails the whole. Types are checked beside the tests, which often wait, and told in
# one piece amid their dots; the last word is pytest's.
STYLE = status=0; $(BIN)/ruff check --quiet . || status=1; $(BIN)/ruff format --check --quiet . || status=1
TYPES = ( said=$$($(BIN)/basedpyright 2>&1); failed=$$?; printf '\n%s\n' "$$said"; exit $$failed )

.DEFAULT_GOAL := help
.PHONY: help setup extras run test lint fuzz soak bench clients image audit screenshots types docs lock clean

help: ## List these targets.
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.run ## Install qrelay into .venv, once; .venv/bin/qrelay is the result.

extras: .venv/.extras ## Add what qrelay needs to keep its state in PostgreSQL, read PDFs and shrink images.

run: .venv/.run ## Serve: on the accounts that are stored, else a demonstration (PORT=8000).
	@$(BIN)/qrelay run

test: .venv/.dev .venv/.browser .venv/.nginx .venv/.caddy ## Check style, types and imports, and run every test.
	@$(STYLE); $(TYPES) & types=$$!; \
	$(BIN)/pytest -n 4 --dist worksteal --inline-snapshot=disable || status=1; \
	wait $$types || status=1; exit $$status

lint: .venv/.dev ## Check style and types only.
	@$(STYLE); $(TYPES) || status=1; exit $$status

fuzz: .venv/.dev .cache/fuzz/.there ## Fuzz everything that reads bytes from outside (SECONDS=60 for each target, TARGET=frames).
	@PYTHONPATH=src:.cache/fuzz nice $(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),60) $(TARGET)

soak: .venv/.dev ## Put a server under load for MINUTES=20; fail if it does not return to where it began.
	@$(BIN)/python bench/soak.py --minutes $(or $(MINUTES),20)

bench: .venv/.dev ## Measure CPU per request and per event, beside a pass-through of the same bytes.
	@$(BIN)/python bench/run.py

clients: .venv/.dev ## Run real coding agents against the demonstration (fetches them into .cache).
	@$(BIN)/python tests/clients/run.py

image: .venv/.dev ## Follow the Dockerfile without a container engine, and start what comes out.
	@$(BIN)/python -m tests.deploy.run

# Strict: a package whose advisories can't be had fails the audit. Without that no network would look like no fault.
audit: .venv/.dev ## Look up known vulnerabilities of everything in requirements/ (needs PyPI's advisories).
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off \
	$(addprefix -r ,$(wildcard requirements/*.txt)) || { \
	echo "make audit failed: a package above is vulnerable, or its advisories could not be read (is PyPI reachable?)." >&2; \
	exit 1; }

screenshots: .venv/.dev .venv/.browser ## Take the pictures in docs/screenshots anew.
	@$(BIN)/python -m tests.console.screenshots

types: .cache/types/.there ## Check the types of the console's JavaScript (fetches TypeScript into .cache; needs npm).
	@.cache/types/node_modules/.bin/tsc -p src/qrelay/console/jsconfig.json && echo "No type errors."

docs: .venv/.dev ## Write docs/reference anew from the code.
	@$(BIN)/python docs/generate.py

lock: ## Choose dependencies anew and write requirements/*.txt (needs uv).
	@compile='uv pip compile --universal --python-version 3.11 --generate-hashes --upgrade --quiet'; \
	compile="$$compile --no-annotate --no-header --no-emit-index-url"; \
	$$compile pyproject.toml -o requirements/run.txt && \
	$$compile pyproject.toml --group dev --all-extras -c requirements/run.txt -o requirements/dev.txt && \
	$$compile pyproject.toml --all-extras -c requirements/run.txt -o requirements/extras.txt && \
	printf 'hatchling\neditables\n' | $$compile - -o requirements/build.txt && \
	printf 'atheris<3.1\n' | $$compile - -o requirements/fuzz.txt

clean: ## Remove the environment, caches and build results; accounts and settings stay.
	rm -rf .venv .cache dist build .pytest_cache .ruff_cache .hypothesis
	find src tests docs bench -name __pycache__ -type d -prune -exec rm -rf {} +

# The compiler, and the types of what the console brings along, in the versions it brings.
.cache/types/.there: src/qrelay/console/vendor/vendor.json
	@mkdir -p $(@D) && npm install --prefix $(@D) --no-save --no-package-lock --no-audit --no-fund --loglevel=error \
	typescript@5.9.3 $$($(PYTHON) -c 'import json; print(*{"{name}@{version}".format_map(file) for file in json.load(open("$<"))})')
	@touch $@

# The fuzzer, for `make fuzz` only. 3.1 has no wheel for Python 3.11.
.cache/fuzz/.there: requirements/fuzz.txt | .venv/.dev
	@echo "Fetching the fuzzer ..."
	@rm -rf $(@D) && $(INSTALL) --target $(@D) -r requirements/fuzz.txt
	@touch $@

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "qrelay needs Python 3.11 or newer, and $(PYTHON) is not. Name another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || { echo "Making .venv ..."; \
	$(PYTHON) -m venv --clear .venv >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip .venv; }
	@touch $@

.venv/.run: requirements/run.txt requirements/build.txt pyproject.toml | .venv/.python
	@echo "Installing what qrelay needs ..."
	@$(INSTALL) -r requirements/run.txt -r requirements/build.txt
	@$(PIP) install --no-input --no-build-isolation --no-deps -e .
	@touch $@

.venv/.extras: requirements/extras.txt .venv/.run
	@echo "Installing what PostgreSQL, PDFs and images need ..."
	@$(INSTALL) -r requirements/extras.txt
	@touch $@

# Chromium and a Chinese font for the console's tests, where they can be had; without a browser they are left out.
.venv/.browser: | .venv/.python
	@command -v chromium >/dev/null && fc-list :lang=zh | grep -q . || { \
	echo "Installing a browser for the console's tests ..."; root=; test "$$(id -u)" = 0 || root='sudo -n'; \
	{ $$root apt-get -qq update && $$root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
	--no-install-recommends chromium fontconfig fonts-noto-cjk; } >/dev/null 2>&1 || true; }
	@command -v chromium >/dev/null && touch $@ || \
	echo "SKIP the console in a browser: there is no chromium (Debian: chromium, fonts-noto-cjk)"

# nginx for the tests of deploy/nginx.conf: unpacked, as Debian's package would start a server on port 80. Which package
# has the program depends on the version; what it needs (OpenSSL, PCRE, zlib) nearly every machine has.
.venv/.nginx: | .venv/.python
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || { \
	echo "Fetching nginx for its tests ..."; root=; test "$$(id -u)" = 0 || root='sudo -n'; mkdir -p .venv/nginx; \
	cd .venv/nginx && unpacked() { for name in nginx nginx-light nginx-core; do \
	apt-get -qq download $$name && dpkg -x $${name}_*.deb . && ./usr/sbin/nginx -v && return; done; return 1; }; \
	{ unpacked || { $$root apt-get -qq update && unpacked; }; } >/dev/null 2>&1 || true; }
	@PATH="$$PATH:/usr/sbin:.venv/nginx/usr/sbin"; nginx -v 2>/dev/null && touch $@ || \
	echo "SKIP deploy/nginx.conf in nginx: there is none (Debian: nginx-light)"

# Caddy for the tests of deploy/Caddyfile: one program, unpacked for the same reason.
.venv/.caddy: | .venv/.python
	@command -v caddy >/dev/null || { \
	echo "Fetching Caddy for its tests ..."; root=; test "$$(id -u)" = 0 || root='sudo -n'; mkdir -p .venv/caddy; \
	cd .venv/caddy && unpacked() { apt-get -qq download caddy && dpkg -x caddy_*.deb . && ./usr/bin/caddy version; }; \
	{ unpacked || { $$root apt-get -qq update && unpacked; }; } >/dev/null 2>&1 || true; }
	@PATH="$$PATH:.venv/caddy/usr/bin"; caddy version >/dev/null 2>&1 && touch $@ || \
	echo "SKIP deploy/Caddyfile in Caddy: there is none (Debian: caddy)"

.venv/.dev: requirements/dev.txt .venv/.run
	@echo "Installing what its tests need ..."
	@$(INSTALL) -r requirements/dev.txt
	@touch $@
