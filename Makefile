PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# The BigQuery emulator pins libraries that differ from ours: it lives in an environment of its own.
EMULATOR = .venv-emulator
# The old task queue library, which ours is compared with, needs other versions too.
STUB = .venv-stub
# Engines that are the pipeline's other than Beam's own, of the very version of Beam in use.
ENGINES = .engines
BEAM = $(shell $(BIN)/python -c "from apache_beam.version import __version__; print(__version__)")
COPY_JARS = org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
	-DincludeScope=runtime

# What a browser is called: the tests look for the same names.
BROWSERS = chromium chromium-browser google-chrome google-chrome-stable

# $(call install,EXTRA,HOW MUCH): the package with an extra, in the versions of constraints.txt. pip
# fetches one wheel, uv, which installs the rest in seconds, pip too: Python takes longer to unpack
# its own. An environment that an earlier attempt left unfinished may lack any file, so it is made
# again.
PINNED = --constraint constraints.txt
define install
@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" \
	|| { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
@echo "Installing $(2), into $(VENV)"
@[ ! -e $(VENV)/unfinished ] || rm -rf $(VENV)
@mkdir -p $(VENV) && touch $(VENV)/unfinished
@$(PYTHON) -m venv --without-pip $(VENV)
@$(PYTHON) -m pip --python $(BIN)/python install --quiet $(PINNED) uv \
	&& $(BIN)/uv pip install --python $(BIN)/python $(PINNED) pip --editable '.[$(1)]' \
	|| { echo "uv cannot be used here, so pip installs, which takes two to four minutes"; \
		$(BIN)/python -m ensurepip \
		&& $(BIN)/python -m pip install $(PINNED) --editable '.[$(1)]'; }
@rm $(VENV)/unfinished
@touch $@
endef

.PHONY: demo serve test engines gcloud history month kills images lint format emulators chromium \
	constraints clean

demo: $(VENV)/local  ## make a timeline, analyse it, print what it talks about
	$(BIN)/dfpipe demo

serve: $(VENV)/all  ## the whole system with its pages, on a timeline that grows
	$(BIN)/dfpipe serve --demo

test: $(VENV)/dev  ## the whole suite
	$(BIN)/pytest -n 2 --dist loadscope

engines: $(VENV)/dev $(ENGINES)/prism $(ENGINES)/flink/made  ## the same pipeline on Prism and Flink
	@$(MAKE) --no-print-directory $(EMULATOR)/made \
		|| echo "no BigQuery emulator, Flink's tests are skipped: it could not be fetched, see above"
	$(BIN)/pytest tests/engines

gcloud: $(VENV)/dev  ## the cloud how-tos, followed with gcloud against stand-ins of the APIs
	$(BIN)/pytest -n 2 --dist loadscope tests/gcloud

history: $(VENV)/dev  ## four processes on one queue of 20,000 tasks, checked task by task
	TASKQUEUE_HISTORY=20000 $(BIN)/pytest tests/contract/test_taskqueue_history.py

month: $(VENV)/dev  ## the collector's month with all its 2,541 cron slots, on the embedded store
	COLLECTOR_WHOLE_MONTH=1 $(BIN)/pytest tests/contract/test_collector_month.py -k embedded

images: $(VENV)/dev chromium  ## the pictures of docs/images, made again from the demo
	$(BIN)/python -m tests.support.images

kills: $(VENV)/dev  ## 25 chains of fifty jobs, launcher and dispatcher killed five times in each
	LAUNCHER_KILL_ROUNDS=25 $(BIN)/pytest tests/acceptance/test_launcher_real.py -k fifty

lint: $(VENV)/dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What a laptop needs: a third of the packages.
$(VENV)/local: setup.py constraints.txt
	$(call install,local,about 60 packages (180 MB to download; 540 MB on disk))

# All commands; the demo needs nothing more.
$(VENV)/all: setup.py constraints.txt
	$(call install,all,about 150 packages (220 MB to download; 1 GB on disk))
	@touch $(VENV)/local

# The tools and tests, too.
$(VENV)/dev: setup.py constraints.txt
	$(call install,dev,about 190 packages (340 MB to download; 1.4 GB on disk))
	@touch $(VENV)/local $(VENV)/all

constraints: $(VENV)/dev  ## renew constraints.txt; all of it with UPGRADE=--upgrade
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --extra dev \
		--custom-compile-command "make constraints" $(UPGRADE) -o constraints.txt setup.py > /dev/null

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

# An engine that cannot be had is said to be absent, and its tests skip; the others go on.
$(ENGINES)/prism: setup.py | $(VENV)/dev
	@mkdir -p $(@D); \
	if [ -x $@ ] && [ "$$(cat $@.version)" = "$(BEAM)" ]; then touch $@; exit 0; fi; \
	rm -f $@; \
	if ! command -v go > /dev/null; then \
		echo "no Prism, its tests are skipped: install Go to build it"; \
	elif GOBIN=$(abspath $(@D)) \
		go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM); then \
		echo $(BEAM) > $@.version; \
	else \
		echo "no Prism, its tests are skipped: Go could not build it, see above"; \
	fi

# Flink, Beam's job server for it, and the program that starts a Python worker.
$(ENGINES)/flink/made: tests/support/flink-pom.xml setup.py | $(VENV)/dev
	@rm -rf $(@D); mkdir -p $(@D); \
	for program in java mvn go; do \
		command -v $$program > /dev/null && continue; \
		echo "no Flink, its tests are skipped: install Java 17, Maven and Go"; exit 0; \
	done; \
	if mvn --quiet --batch-mode --file $< $(COPY_JARS) -DoutputDirectory=$(abspath $(@D))/lib \
		&& GOBIN=$(abspath $(@D)) \
		go install github.com/apache/beam/sdks/v2/python/container@v$(BEAM); then \
		touch $@; \
	else \
		echo "no Flink, its tests are skipped: it could not be fetched, see above"; \
	fi

chromium:  ## the browser of the tests, where it is missing and Debian's packages can be installed
	@for name in $(BROWSERS); do command -v $$name > /dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; \
	else \
		echo "no browser for the tests: install Chromium, or set DFPIPE_CHROMIUM to the program"; \
	fi

clean:
	rm -rf $(VENV) $(EMULATOR) $(STUB) $(ENGINES) build dist *.egg-info
