PYTHON ?= python
.PHONY: check static lint types layers dead spelling test format

check: static test ## everything CI checks

static: lint types layers dead spelling ## everything but the tests

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

layers:
	$(PYTHON) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

dead:
	$(PYTHON) -m vulture

spelling:
	$(PYTHON) -m codespell_lib gigakit registry_configs tools tests README.md CONTRIBUTING.md CHANGELOG.md

test:
	$(PYTHON) -m pytest

format: ## rewrite the sources in the house format
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .
