# make run: the demo on a fresh machine · make test: the tests · make help: the rest
VENV := .venv
PYTHON ?= python3
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help run test lint docs limits faults slow idle bench bench-parts report-bench controls corpora fuzz clean

help:             ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Postjet needs Python 3.11 or later; try: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV) || { echo "cannot create $(VENV); on Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing Postjet and what it needs into $(VENV) …"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(STAMP)     ## install into .venv and run the demo: 200 mails to 40 domains, all on loopback
	@$(VENV)/bin/postjet demo $(ARGS)

test: $(STAMP)    ## all tests, two files at a time
	$(VENV)/bin/python -m pytest -n 3 --dist loadfile $(ARGS)

lint: $(STAMP)    ## ruff, mypy, import rules, generated pages
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/postjet config reference | diff -u docs/configuration.md - || { echo "run: make docs"; exit 1; }
	$(VENV)/bin/python -m common.metrics_text | diff -u docs/metrics.md - || { echo "run: make docs"; exit 1; }
	$(VENV)/bin/python -m common.classify.classes | diff -u docs/bounce-classes.md - || { echo "run: make docs"; exit 1; }

docs: $(STAMP)    ## write the generated pages again
	$(VENV)/bin/postjet config reference > docs/configuration.md
	$(VENV)/bin/python -m common.metrics_text > docs/metrics.md
	$(VENV)/bin/python -m common.classify.classes > docs/bounce-classes.md

# how long disk and broker are gone (seconds), how large the stores are that are filled; rounds, mails and faults
# of the campaign, of which FAULT_SEED=n FAULT_ROUNDS=1 repeats one
faults: export FAULT_FULL ?= 75
faults: export FAULT_GONE ?= 75
faults: export FAULT_STORE ?= 200MB
faults: export FAULT_EVENTS ?= 30MB
faults: export FAULT_ROUNDS ?= 20
faults: export FAULT_MAILS ?= 5000
faults: export FAULT_COUNT ?= 12
faults: $(STAMP)  ## everything dies at random moments of 20 rounds of 5,000 mails; disk, broker, database gone (40 minutes)
	$(VENV)/bin/python -m pytest tests/fault -s

limits: export LIMITS_SLOW ?= 2000
limits: export LIMITS_OTHERS ?= 10000
limits: export LIMITS_KILL_MAILS ?= 2500
limits: export LIMITS_KILLS ?= 8
limits: $(STAMP)  ## limits over four workers by the sink's clock; their owner killed eight times, and standing still (9 minutes)
	$(VENV)/bin/python -m pytest -s --timeout 900 tests/scenario/test_limits*.py tests/fault/test_limits_*.py \
		tests/unit/common/limits

slow: $(STAMP)    ## 100,000 mails to a slow domain in front of 10,000 to others, then to dead ones (15 minutes)
	SLOW_MAILS=100000 DEAD_FACTOR=17 DEAD_OTHERS=10000 $(VENV)/bin/python -m pytest -s tests/scenario/test_slow_domain.py \
		tests/scenario/test_dead_domains.py

idle: $(STAMP)    ## 5,000 clients that say nothing while 20 send at full speed, with memory (1 minute)
	SILENT=5000 $(VENV)/bin/python -m pytest -s tests/scenario/test_silent_clients.py

bench: $(STAMP)   ## the whole path beside Debian's Postfix with and without OpenDKIM (10 minutes; ARGS=--help)
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -m bench.relaying $(ARGS)

bench-parts: $(STAMP)  ## signatures a second against dkimpy; submissions a second by ways of gathering them; events recorded (6 minutes)
	$(VENV)/bin/python -m bench.dkim
	$(VENV)/bin/python -m bench.accepting
	$(VENV)/bin/python -m bench.recording
	$(VENV)/bin/python -m bench.receiving
	$(VENV)/bin/python -m bench.classifying
	$(VENV)/bin/python -m bench.webhooks --mails 1000 --rate 50
	$(VENV)/bin/python -m bench.feedback

report-bench: $(STAMP)  ## every report over a million events in the embedded ClickHouse, in seconds (3 minutes)
	$(VENV)/bin/python -m bench.reporting

controls: $(STAMP)  ## a campaign of 100,000 queued mails stopped, held and resumed while others flow (5 minutes; ARGS=--help)
	$(VENV)/bin/python -m bench.controls $(ARGS)

corpora: $(STAMP)  ## how well real bounces, auto-replies and replies are read that others have labelled (ARGS=--misses)
	@$(VENV)/bin/python -m tests.corpora $(ARGS)

fuzz: export FUZZ_SECONDS ?= 3600
fuzz: $(STAMP)    ## sessions nobody would write, checked by a model, for an hour; FUZZ_SEED=… repeats one
	$(VENV)/bin/python -m tests.fuzz

clean:            ## remove what make made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
