# make run    sets up .venv and runs the main job on the embedded images
# make test   runs the tests; make test-long those that take ten seconds each,
#             make test-slow those that take minutes
# make wheel-test  installs the wheel elsewhere and uses it there
# make lint   checks style
# make docs   builds the pages into site/, in an environment of its own
# make lock   writes the versions in .venv to requirements.lock

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-long test-slow wheel-test lint docs lock clean

run: .venv/.installed
	$(BIN)/python tools/distill.py --flagfile=flags/quickstart.flags

test: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=25

test-long: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m long --durations=25

test-slow: .venv/.installed
	$(BIN)/python -m pytest -m slow

wheel-test:
	PYTHON=$(PYTHON) .ci/wheel_test

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: .venv-docs/.installed
	.venv-docs/bin/mkdocs build --strict

lock: .venv/.installed
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock

clean:
	rm -rf .venv .venv-docs runs build site *.egg-info

# The stamp is written last, so that an interrupted installation is repeated.
.venv/.installed: requirements.lock setup.py pyproject.toml
	@echo "Setting up .venv: a minute or two, 2.9 GB on disk"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--progress-bar on -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps -e .
	touch $@

.venv-docs/.installed: docs/requirements.lock
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet \
		--disable-pip-version-check -r docs/requirements.lock
	touch $@
