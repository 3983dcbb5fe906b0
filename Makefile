# Thin on purpose: everything here can be typed by hand. `python3 manage.py run` and `python3 manage.py test` need no make.
PYTHON ?= python3
BIN := .venv/bin
TEMPLATES = $(shell find templates -name '*.html')
COMPILE = uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make requirements'
# For what only looks at the code: nothing listens there, and nothing has to.
NO_DATABASE = DATABASE_URL=postgres://nobody@127.0.0.1:9/none MUSTER_BROKER_URL=redis://127.0.0.1:9

.PHONY: check fix test run bench requirements environment

check: environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/djade --check --target-version 5.2 $(TEMPLATES)
	$(NO_DATABASE) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(NO_DATABASE) $(BIN)/python manage.py check_snapshots
	$(PYTHON) manage.py test -q tests/queries

fix: environment
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djade --target-version 5.2 $(TEMPLATES)

test:
	$(PYTHON) manage.py test

run:
	$(PYTHON) manage.py run

bench:
	$(PYTHON) manage.py bench

requirements:
	$(COMPILE) requirements.in --output-file requirements.txt
	$(COMPILE) requirements-dev.in --constraint requirements.txt --output-file requirements-dev.txt

environment:
	@$(PYTHON) -m fleet.embedded.bootstrap dev
