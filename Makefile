# Thin on purpose: everything here can be typed by hand. `python3 manage.py run` and `python3 manage.py test` need no make.
PYTHON ?= python3
BIN := .venv/bin
TEMPLATES = $(shell find templates -name '*.html')
COMPILE = uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make requirements'
# For what only looks at the code: nothing listens there, and nothing has to.
NO_DATABASE = DATABASE_URL=postgres://nobody@127.0.0.1:9/none MUSTER_BROKER_URL=redis://127.0.0.1:9

.PHONY: check fix test run bench reliability slow-clients clusters soak month schemathesis sbom audit requirements environment architecture pictures chart docs

check: environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/djade --check --target-version 5.2 $(TEMPLATES)
	$(BIN)/djlint --check --quiet templates
	$(NO_DATABASE) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(NO_DATABASE) $(BIN)/python manage.py check_snapshots
	$(PYTHON) manage.py test -q tests/queries

fix: environment
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	-$(BIN)/djlint --reformat --quiet templates
	$(BIN)/djade --target-version 5.2 $(TEMPLATES)

test:
	$(PYTHON) manage.py test

run:
	$(PYTHON) manage.py run

bench:
	$(PYTHON) manage.py bench

# Kills, stops and locks the parts of a whole `manage.py run`, and measures what users see: about 12 minutes.
reliability: environment
	MUSTER_NO_BOOTSTRAP=1 $(BIN)/python -m tests.bench.reliability

# Forty clusters of which ten are dead, MINUTES (5) long.
clusters: environment
	MUSTER_NO_BOOTSTRAP=1 $(BIN)/python -m tests.bench.clusters

# Fifty viewers for MINUTES (60): memory, connections, tables and logs.
soak: environment
	MUSTER_NO_BOOTSTRAP=1 $(BIN)/python -m tests.bench.soak

# What 200 idle, slow and dripping clients cost everybody else: about three minutes.
slow-clients: environment
	MUSTER_NO_BOOTSTRAP=1 $(BIN)/python -m tests.bench.slow_clients

# Every operation of the API with generated input, as each role, three minutes for each.
schemathesis: environment
	$(BIN)/python -m tests.fuzz $(FUZZ)

# Bill of materials of what an installation runs (CycloneDX), from the pinned requirements.
sbom: environment
	mkdir -p build
	$(BIN)/python -m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --of JSON -o build/muster.cdx.json
	@echo "Wrote build/muster.cdx.json"

# Known vulnerabilities of the pinned packages. Exit 1 where there are some, 2 where the database could not be asked.
audit: environment
	$(BIN)/python -m tests.vulnerabilities

# Lives a month (DAYS) of the simulated fleet with scripted faults at speed, on a Postgres of its own.
month: environment
	$(PYTHON) manage.py bench month

# Builds the documentation site into build/site, without network once its builder is installed in an environment of its own.
docs: environment build/docs-venv/installed
	$(BIN)/python -m tests.site build/docs
	NO_MKDOCS_2_WARNING=1 build/docs-venv/bin/mkdocs build --quiet --strict --config-file mkdocs.yml
	@echo "Wrote build/site/index.html"

build/docs-venv/installed: requirements-docs.txt
	$(PYTHON) -m venv --clear build/docs-venv
	build/docs-venv/bin/pip install --quiet --no-deps --require-hashes --requirement requirements-docs.txt
	touch $@

requirements:
	$(COMPILE) requirements.in --output-file requirements.txt
	$(COMPILE) requirements-dev.in --constraint requirements.txt --output-file requirements-dev.txt
	$(COMPILE) requirements-docs.in --output-file requirements-docs.txt

environment:
	@$(PYTHON) -m fleet.embedded.bootstrap dev

# Renders the examples of the Helm chart for its tests; needs Go and Sprig (see tests/deploy/chart.py).
chart: environment
	$(BIN)/python -m tests.deploy.chart

# Retakes the pictures of docs/img, on a demo that has lived its month: some minutes.
pictures: environment
	$(BIN)/python -m tests.pictures

# Draws docs/img/architecture.svg from the imports.
architecture:
	$(BIN)/python tests/architecture/picture.py
