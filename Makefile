# Everything that is done with this checkout. It needs make and a Python of 3.11 or newer, nothing else.

VENV := .venv
BIN := $(VENV)/bin
PROCESSES ?= 4
PYTEST = $(BIN)/pytest --numprocesses $(PROCESSES)
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
LOCK := $(BIN)/uv pip compile --quiet --no-config --generate-hashes --no-emit-index-url \
        --universal --python-version 3.11 --custom-compile-command "make lock"

MAILS = set -e; rm -rf var/mails; set -a; . tests/mails/house.env; set +a; \
	$(BIN)/notification-service preview var/mails/house --all-languages; \
	env --ignore-environment $(BIN)/notification-service preview var/mails/bare --language en --language ja --language ar

KINDS = booking.confirmed booking.cancelled.show payment.success payment.failed.retry payment.refunded
LANGUAGES = en en_XA ar ja
comma := ,
empty :=
SHEET = $(subst $(empty) $(empty),$(comma),$(addsuffix .en,$(KINDS)))
SHOWN = $(subst $(empty) $(empty),$(comma),$(foreach kind,$(KINDS),$(foreach language,$(LANGUAGES),$(kind).$(language))))

.DEFAULT_GOAL := help
.PHONY: help demo run check test test-rabbitmq4 soak torture kills-over-distance kills-with-webhooks mutants lint format contract image-check provider-check mail-check mail-pictures mail-thunderbird mail-webkit mail-text console-pictures bench bench-latency bench-stages \
	bench-experiment bench-wire bench-start bench-processes bench-costs scale-model bench-scale bench-records bench-storm bench-channels bench-clicks bench-feedback bench-plot lock audit clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## one of each event through a real local stack, and what became of it
	@$(BIN)/python -m tests.stack.demo

run: $(STAMP) ## the same stack and the service, until Ctrl-C
	@$(BIN)/python -m tests.stack.demo --stay

check: lint ## lint, types, and the tests that need no server: two or three minutes on two free cores
	@$(PYTEST) -m "not soak and not process" tests/unit tests/contract $(ARGS)

test: lint ## lint, then all tests (ARGS="-k name" for some of them; PROCESSES=4)
	@$(PYTEST) --maxschedchunk 1 $(ARGS)

soak: $(STAMP) ## what takes long or judges the judges, long fuzzing, then `make torture`
	@$(PYTEST) --maxschedchunk 1 --timeout 3600 -m soak
	@FUZZ_TIMES=20 $(PYTEST) --timeout 3600 tests/unit tests/fuzz
	@$(MAKE) --no-print-directory torture

test-rabbitmq4: $(STAMP) ## the tests that have a broker, with RabbitMQ 4 from Debian 13 (as root; ARGS="-k name" for some)
	@STACK_RABBITMQ=trixie $(PYTEST) --maxschedchunk 1 tests/integration tests/e2e tests/faults $(ARGS)

torture: $(STAMP) ## a fault every second or two for SECONDS=120 or KILLS=n, judged by what came out (SEED=n, OLD=n)
	@$(BIN)/python -m tests.faults.torture $(if $(KILLS),--kills $(KILLS),--seconds $(or $(SECONDS),120)) \
		$(if $(SEED),--seed $(SEED)) $(if $(OLD),--old $(OLD))

kills-over-distance: $(STAMP) ## KILLS=300 kills of workers whose mail server is 40 ms away (SEED=n)
	@FAULT_KILLS=$(or $(KILLS),300) $(if $(SEED),FAULT_SEED=$(SEED)) $(BIN)/pytest --numprocesses 0 -s -m soak tests/faults/test_kills_over_distance.py

kills-with-webhooks: $(STAMP) ## SECONDS=90 of kills of the listener, the worker and their connections while webhooks arrive (SEED=n)
	@FAULT_SECONDS=$(or $(SECONDS),90) $(if $(SEED),FAULT_SEED=$(SEED)) $(BIN)/pytest --numprocesses 0 --timeout 3600 -s -m soak tests/faults/test_callbacks_under_kills.py

mutants: $(STAMP) ## break each guard once, in a copy, and see a test fail (ONLY=claim for some)
	@$(BIN)/python -m tests.mutants $(ONLY)

lint: $(STAMP) ## ruff, mypy, import-linter
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }

format: $(STAMP) ## let ruff mend what it can
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

contract: $(STAMP) ## write the AsyncAPI document, the schemas of log lines and records, and the list of public names
	@$(BIN)/python -m tests.schemas
	@$(BIN)/python -m tests.public_names

image-check: $(STAMP) ## build the image and run the compose file in a Docker engine of its own (as root; ARGS=--if-possible)
	@$(BIN)/python -m tests.image $(ARGS)

mail-check: $(STAMP) ## judge every mail in every language (or IN="ar ja") by other people's tools
	@$(BIN)/python -m tests.mails.install
	@$(MAILS)
	@$(BIN)/python -m tests.mails.check --self-test --eml var/mails/house --eml var/mails/bare $(addprefix --language ,$(IN))

mail-pictures: $(STAMP) ## the pictures under docs/mails
	@$(BIN)/python -m tests.mails.install
	@$(MAILS)
	@$(BIN)/python -m tests.mails.shoot --eml var/mails/house --out docs/mails --names '$(SHOWN)'
	@$(BIN)/python -m tests.mails.shoot --eml var/mails/house --out var/mails --widths 375 \
		--names '$(SHEET)' --sheet docs/mails/sheet.png

mail-thunderbird: $(STAMP) ## pictures of mails in Thunderbird under var/mails/thunderbird, where it is installed
	@$(MAILS)
	@$(BIN)/python -m tests.mails.thunderbird --eml var/mails/house --out var/mails/thunderbird \
		--names '$(foreach kind,$(KINDS),$(foreach language,en ar ja,$(kind).$(language)))'

mail-webkit: $(STAMP) ## the same in WebKit under var/mails/webkit, where its MiniBrowser is installed
	@$(MAILS)
	@$(BIN)/python -m tests.mails.webkit --eml var/mails/house --out var/mails/webkit \
		--names '$(foreach kind,$(KINDS),$(foreach language,en ar ja,$(kind).$(language)))'

mail-text: $(STAMP) ## every mail as mutt, w3m and lynx show it in 80 columns, where they are installed
	@$(MAILS)
	@$(BIN)/python -m tests.mails.terminal --eml var/mails/house --out var/mails/terminal

console-pictures: $(STAMP) ## the pictures under docs/console
	@$(BIN)/python -m tests.console.pictures

bench: $(STAMP) ## events/s and CPU beside the floor and Node at DELAYS=0,10,40 ms, in ROUNDS=3 interleaved rounds (ONLY=ours,node)
	@$(BIN)/python -m benchmarks.compare --events 1000 --rounds $(or $(ROUNDS),3) --delays $(or $(DELAYS),0$(comma)10$(comma)40) \
		$(if $(ONLY),--only $(ONLY)) --json var/bench/compare.json

bench-latency: $(STAMP) ## publish to 250 under an open load, half of the floor's and of ours
	@$(BIN)/python -m benchmarks.latency

bench-stages: $(STAMP) ## where the CPU of an event goes, a profile that adds up
	@$(BIN)/python -m benchmarks.stages

bench-wire: $(STAMP) ## the SMTP channel alone: mails/s and CPU a mail by what the server offers, at 0 and 40 ms
	@$(BIN)/python -m benchmarks.wire

bench-experiment: $(STAMP) ## what a test of two variants costs an event; fails above 0.05 ms
	@$(BIN)/python -m benchmarks.experiment

bench-start: $(STAMP) ## start of the process to ready, and to its first mail
	@$(BIN)/python -m benchmarks.startup

bench-processes: $(STAMP) ## one backlog and 1, 2 and 4 processes
	@$(BIN)/python -m benchmarks.processes

bench-scale: $(STAMP) ## cost beside WAITING=100000 events and RECORDS=100000 records
	@$(BIN)/python -m benchmarks.scale $(if $(WAITING),--waiting $(WAITING)) $(if $(RECORDS),--records $(RECORDS))

bench-records: $(STAMP) ## every page of the console and every search beside COUNT=200000 records
	@$(BIN)/python -m benchmarks.records $(if $(COUNT),--count $(COUNT))

bench-storm: $(STAMP) ## tickets beside 5,000 refunds and cancellations of one show
	@$(BIN)/python -m benchmarks.storm

bench-costs: $(STAMP) ## CPU of an event in each program, for docs/scale.md
	@$(BIN)/python -m benchmarks.scale_costs

scale-model: $(STAMP) ## from 1 to 10,000 mails a second: how many of each part, and docs/scale.png (ACCOUNT=14 mails/s)
	@$(BIN)/python -m benchmarks.scale_model --out docs/scale.png $(if $(ACCOUNT),--account $(ACCOUNT))

bench-channels: $(STAMP) ## mails beside a provider of SMS that hangs for SECONDS=600, and what an SMS and a push cost beside an e-mail
	@$(BIN)/python -m benchmarks.channels --seconds $(or $(SECONDS),600) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-clicks: $(STAMP) ## what a counted click costs, and 200 redirects a second (RATE=200)
	@$(BIN)/python -m benchmarks.clicks $(if $(RATE),--rate $(RATE))

bench-feedback: $(STAMP) ## mails beside 1,000 signed webhooks and 200 clicks a second, and without, in ROUNDS=10 interleaved rounds (SECONDS=15)
	@$(BIN)/python -m benchmarks.feedback --rounds $(or $(ROUNDS),10) --seconds $(or $(SECONDS),15)

bench-plot: $(STAMP) ## benchmarks/figures.png of what the runs have kept
	@$(BIN)/python -m benchmarks.plot

provider-check: $(STAMP) ## judge the requests to the providers of SMS and push by Twilio's and Google's own descriptions, and by moto
	@$(BIN)/python -m tests.providers.check
	@$(BIN)/pytest --quiet --numprocesses 0 tests/integration/test_push.py

lock: $(STAMP) ## pin the lock files anew (UPGRADE=--upgrade for newer releases)
	@$(LOCK) $(UPGRADE) pyproject.toml --output-file requirements.lock
	@$(LOCK) $(UPGRADE) --group build --output-file requirements.build.lock
	@$(LOCK) $(UPGRADE) pyproject.toml --extra tracing --group dev --constraint requirements.lock --output-file tests/requirements.lock

audit: $(STAMP) ## look the locked packages up among the known advisories; it asks the package index itself
	@test -x var/audit/bin/pip-audit || { $(BIN)/python -m venv var/audit; \
		var/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	@var/audit/bin/pip-audit --strict --progress-spinner off --requirement requirements.lock --require-hashes --disable-pip || \
		{ echo "make audit: where the lines above say that something could not be audited or connected to, the advisories are" \
		  "out of reach from here, and nothing is known about the lock; else they name the packages to raise" >&2; exit 1; }

clean: ## remove the virtual environment and every cache; mail in outbox/ stays
	@rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ── the virtual environment, made once, and again when a lock file changes ───────────────────────────
$(STAMP): tests/requirements.lock pyproject.toml
	@set -eu; \
	$(BIN)/python -m pip --version > /dev/null 2>&1 || { $(NEW_VENV) }; \
	echo "installing what tests/requirements.lock pins into $(VENV), once: a minute or two ..."; \
	$(PIP) install --require-hashes -r tests/requirements.lock; \
	$(PIP) install --no-deps --no-build-isolation --editable .; \
	touch $@

# A Python that only looks right does not count: pyenv, for one, puts names into PATH that start nothing.
define NEW_VENV
python=; \
for each in python3.13 python3.12 python3.11 python3; do \
	if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then python=$$each; break; fi; \
done; \
if [ -z "$$python" ]; then \
	echo "make: Python 3.11 or newer is missing: install the package python3 of Debian 12, Ubuntu 24.04 or newer" >&2; exit 1; \
fi; \
if ! $$python -c 'import ensurepip, venv' 2> /dev/null; then \
	package=$$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then \
		echo "make: $$package is missing: apt-get install $$package (as root), then try again" >&2; exit 1; \
	fi; \
	echo "installing $$package ..."; \
	apt-get update --quiet=2; \
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 $$package > /dev/null; \
fi; \
$$python -m venv --clear $(VENV);
endef
