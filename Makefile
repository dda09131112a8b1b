# Everything is set up on its own: stack/setup.sh makes .venv and installs RabbitMQ where they are missing.
# ARGS goes to the program that is run: make run ARGS="--consumers 2", make test ARGS="-k requeue".

PYTHON := .venv/bin/python
ARGS ?=
# Without what this machine's pip is told: where it finds packages is nobody else's business.
COMPILE = $(PYTHON) -m piptools compile --quiet --strip-extras --allow-unsafe --no-header \
	--no-emit-find-links --no-emit-index-url --no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help run demo test test-compose test-long fuzz chaos lint bench compare lock clean

help:  ## Show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

run:  ## Start everything in the foreground; Ctrl-C stops it
	@stack/setup.sh run
	@exec $(PYTHON) -m stack run $(ARGS)

demo:  ## Against a running `make run`: send mixed emails, take the provider down, follow them to their ends
	@stack/setup.sh run
	@exec $(PYTHON) -m stack demo $(ARGS)

# Three workers on two cores, for half of the time they wait: 10.5 minutes instead of 14. Without the
# reordering, which puts files of few tests last: these take longest, and one worker would wait.
test:  ## Run all tests against real private servers on free ports
	@stack/setup.sh test
	@exec $(PYTHON) -m pytest -m "not compose and not chaos and not long and not fuzz" -n 3 --dist loadfile \
		--no-loadscope-reorder --durations=10 $(ARGS)

test-compose:  ## Run docker-compose.yml for real; needs a Docker engine
	@stack/setup.sh lint
	@exec $(PYTHON) -m pytest tests/e2e/test_compose.py -m compose $(ARGS)

test-long:  ## Run what takes minutes: thousands of emails, stalls of half a minute
	@stack/setup.sh test
	@exec $(PYTHON) -m pytest -s -m long $(ARGS)

fuzz:  ## A hundred thousand wrong requests, which take some minutes: prints how each was answered
	@stack/setup.sh test
	@exec $(PYTHON) -m pytest -s -m fuzz $(ARGS)

chaos:  ## Every fault at once, while parts are killed: prints what became of each email
	@stack/setup.sh test
	@exec timeout --signal=INT --kill-after=30 20m \
		$(PYTHON) -m pytest tests/chaos -m chaos -n 2 --dist load --maxschedchunk 1 $(ARGS)

lint:  ## Check style, types and the direction of imports
	@stack/setup.sh lint
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports

bench:  ## Measure rates, latencies and memory
	@stack/setup.sh bench
	@exec $(PYTHON) -m bench $(ARGS)

compare:  ## Measure beside Celery, Dramatiq and aio-pika, and beside what broker, store and HTTP allow
	@stack/setup.sh bench
	@exec $(PYTHON) -m bench.comparison $(ARGS)

lock:  ## Pin what the requirements*.in ask for
	@stack/setup.sh lint
	@$(COMPILE) --output-file requirements.txt requirements.in
	@$(COMPILE) --output-file requirements-dev.txt requirements-dev.in
	@$(COMPILE) --output-file requirements-bench.txt requirements-bench.in

clean:  ## Remove what can be made again: .venv and caches. The data in .postroom/ stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
