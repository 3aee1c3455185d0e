PYTHON ?= python
.PHONY: check static lint types layers dead spelling test format docs

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
	$(PYTHON) -m codespell_lib gigakit registry_configs tools tests docs README.md CONTRIBUTING.md CHANGELOG.md

test:
	$(PYTHON) -m pytest

docs: ## the site, in build/site; broken links end it
	$(PYTHON) -m mkdocs build -f docs/site/mkdocs.yml

format: ## rewrite the sources in the house format
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .
