PYTHON ?= python3
BIN = .venv/bin
# The BigQuery emulator pins libraries that differ from ours: it lives in an environment of its own.
EMULATOR = .venv-emulator
# The old task queue library, which ours is compared with, needs other versions too.
STUB = .venv-stub

# What a browser is called: the tests look for the same names.
BROWSERS = chromium chromium-browser google-chrome google-chrome-stable

.PHONY: demo test history month lint format emulators chromium clean

demo: .venv/made  ## make a timeline, analyse it, print what it talks about
	$(BIN)/dfpipe demo

test: .venv/made  ## the whole suite
	$(BIN)/pytest -n 2 --dist loadscope

history: .venv/made  ## four processes on one queue of 20,000 tasks, checked task by task
	TASKQUEUE_HISTORY=20000 $(BIN)/pytest tests/contract/test_taskqueue_history.py

month: .venv/made  ## the collector's month with all its 2,541 cron slots, on the embedded store
	COLLECTOR_WHOLE_MONTH=1 $(BIN)/pytest tests/contract/test_collector_month.py -k embedded

lint: .venv/made  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/made
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/made: setup.py constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

emulators: $(EMULATOR)/made $(STUB)/made chromium  ## what the tests start and compare with

$(EMULATOR)/made: tests/support/emulator-requirements.txt
	$(PYTHON) -m venv $(EMULATOR)
	$(EMULATOR)/bin/pip install --quiet --requirement $<
	HOME=$(abspath $(EMULATOR)) $(EMULATOR)/bin/python tests/support/install_extensions.py
	touch $@

$(STUB)/made: tests/support/stub-requirements.txt
	$(PYTHON) -m venv $(STUB)
	$(STUB)/bin/pip install --quiet --requirement $<
	touch $@

chromium:  ## the browser of the tests, where it is missing and Debian's packages can be installed
	@for name in $(BROWSERS); do command -v $$name > /dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; \
	else \
		echo "no browser for the tests: install Chromium, or set DFPIPE_CHROMIUM to the program"; \
	fi

clean:
	rm -rf .venv $(EMULATOR) $(STUB) build dist *.egg-info
