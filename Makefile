# The two commands of the README: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready

.PHONY: help setup demo test long quick check docs audit format acceptance viewer console-picture reliability mutants clean

## help        this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## setup       virtual environment with the tested versions
setup: $(READY)

$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,training,oidc,notify,s3,docs]'
	@touch $(READY)

## demo        node + stand-in PACS on loopback: send a chest CT, wait, show the results (CT=folder, OUT=folder, KEEP=1)
demo: $(READY)
	$(BIN)/dicom-node demo $(if $(CT),--ct $(CT)) --out $(or $(OUT),demo) $(if $(KEEP),--keep)

## test        every test that this machine can run, without the long ones
test: $(READY)
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile --durations=30

## long        the long tests, which are not in `make test`
long: $(READY)
	$(BIN)/python -m pytest -m long -n 2 --dist loadfile

## quick       the tests without the slow, the acceptance and the real-data ones
quick: $(READY)
	$(BIN)/python -m pytest -m "not slow and not long and not acceptance and not real"

## check       format, lint, types, import floors (what CI runs first; as a commit hook: .pre-commit-config.yaml)
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## docs        the documentation as pages, into docs/_build/html, without a network; a warning is an error
docs: $(READY)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs docs/_build/html

## audit       look for known vulnerabilities in the pinned versions (asks PyPI)
audit:
	PYTHON=$(PYTHON) deploy/audit-dependencies.sh

## format      rewrite the code in the house's format
format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

## acceptance  install Debian's orthanc, dcmtk and dicom3tools (root), then run the tests that need them
acceptance: $(READY)
	deploy/install-acceptance.sh
	$(BIN)/python -m pytest -m acceptance

## viewer      install Chromium, OHIF, Playwright and readers (root, npm), look at the results, write docs/viewers.md
viewer: $(READY)
	deploy/install-viewer.sh $(BIN)/python
	$(BIN)/python -m pytest -m viewer
	DICOM_NODE_READERS=.viewer/readers/bin $(BIN)/python -m tests.acceptance.support.readers docs/viewers.md

## console-picture draw docs/images/console.png anew: the demo's synthetic chest in the console, in Chromium
console-picture: $(READY)
	deploy/install-viewer.sh $(BIN)/python
	$(BIN)/python -m tests.acceptance.console_picture docs/images/console.png

## reliability the long form of the tests that break things (hours); writes docs/reliability.md
reliability: $(READY)
	RELIABILITY=long RELIABILITY_TABLE=docs/reliability.md $(BIN)/python -m pytest tests/reliability

## mutants     careless slips in the modules that keep promises: which do the tests see? (hours; taken up again)
mutants: $(READY)
	RELIABILITY=long $(BIN)/python -m tests.mutants --table docs/reliability.md $(MUTANTS)

## clean       remove the virtual environment, builds and the demo
clean:
	rm -rf $(VENV) build dist *.egg-info demo docs/_build
