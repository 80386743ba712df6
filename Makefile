# `make` alone lists the targets. What `make up` does is written in stack/, in Python's standard library.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
STACK = $(PYTHON) -m stack
BIN = .venv/bin
UV = var/dev/uv/bin/uv
LOCKS = $(sort $(wildcard requirements/*.in))
# Twice the two processors of a small machine: a test waits for what it started, too.
SPREAD = -n 4 --no-loadscope-reorder
ANY_SHAPE = tests/stack/test_counters_stack.py tests/stack/test_tutorial.py
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: help up rollout down status logs user token metrics clean backup drill restore rotate psql doctor fixes sbom promote rejoin drain rebalance remove recover challenge engine check lint tools images test test-host run-host test-containers run-containers test-load test-all load prove bench docs lock format environment machine deploy lab lab-down test-lab

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## start the chat and everything it needs; twice changes nothing
	@$(STACK) up

rollout: ## in containers: replace the app while clients are connected; what does not get well is taken back
	@$(STACK) rollout

down: ## stop it, sockets told to come back first
	@$(STACK) down

status: ## health, addresses, certificate; fails when anything is wrong
	@$(STACK) status

logs: ## follow all logs; REQUEST=…: what they have about one request, edge to event
	@$(STACK) logs

user: ## NAME=alice: create an account and print its password, once
	@$(STACK) user "$$NAME"

token: ## NAME=alice: print a short-lived access token (make -s)
	@$(STACK) token "$$NAME"

metrics: ## print the metrics of app and edge (make -s)
	@$(STACK) metrics

clean: ## stop, and delete accounts, messages, keys and logs; asks first, or CONFIRM=yes
	@$(STACK) clean

backup: ## a backup of the database, tried out; TO=path; in a cluster FULL=yes
	@$(STACK) backup

drill: ## restore a backup beside what is there and look through it, FROM=path or the newest one; IDENTITY=path if encrypted
	@$(STACK) drill

restore: ## FROM=path: put a backup in the place of what is there; asks first, or CONFIRM=yes; IDENTITY=path if encrypted
	@$(STACK) restore

rotate: ## new passwords for the stores and a new signing key, while clients are connected
	@$(STACK) rotate

psql: ## in containers: a prompt at the database
	@$(STACK) psql

doctor: ## everything an operator would look at; fails when anything is wrong
	@$(STACK) doctor

fixes: ## in containers: new images where something newer is out for what is in them; then make rollout
	@$(STACK) fixes

sbom: ## write what each image is made of (CycloneDX), and print where
	@$(STACK) sbom

promote: ## in a cluster: a standby in the place of the database's primary; PLANNED=yes, UNPROVEN=yes
	@$(STACK) promote

rejoin: ## in a cluster: NAME=postgres-1: make a server of the database anew, as a standby
	@$(STACK) rejoin "$$NAME"

drain: ## in a cluster: NAME=host: let nothing run there
	@$(STACK) drain "$$NAME"

rebalance: ## in a cluster: let every host take part, and spread the apps
	@$(STACK) rebalance

remove: ## in a cluster: NAME=host: forget it
	@$(STACK) remove "$$NAME"

recover: ## in a cluster: a database of what the repository has, where all servers lost theirs; MOMENT=…, RESTORED=yes
	@$(STACK) recover

# In a cluster, for certbot: every edge answers.
challenge:
	@$(STACK) challenge

engine: ## give this machine a container engine and the base image; asks first, or YES=1
	@$(STACK) engine

environment:
	@$(PYTHON) -m stack.development environment

machine:
	@$(PYTHON) -m stack.development machine

check: lint ## format, lint, types, import rule and unit tests, in under a minute
	$(BIN)/python -m pytest -q $(SPREAD) tests/unit

lint: environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

tools: environment
	@$(BIN)/python -m tests.tools >/dev/null

images: machine
	@YES=1 $(STACK) engine
	@$(STACK).ship images >/dev/null

# What the tests need, side by side, since much of it waits for the archive; then the tests.
test: machine environment ## everything, against real servers, stores, containers and a real browser
	@$(MAKE) --no-print-directory -j3 lint tools images
	@$(MAKE) --no-print-directory run-host
	@$(MAKE) --no-print-directory run-containers

test-host: machine environment ## what needs no containers; COVERAGE=1 measures what of the app it runs
	@$(MAKE) --no-print-directory -j2 lint tools
	@$(MAKE) --no-print-directory run-host

test-containers: environment images ## images and containers, in a real engine
	@$(MAKE) --no-print-directory run-containers

# COVERAGE=1 takes a fifth more time.
run-host:
	$(if $(COVERAGE),$(BIN)/coverage erase)
	$(BIN)/$(if $(COVERAGE),coverage run,python) -m pytest $(SPREAD) --durations=25 --ignore=tests/containers --ignore=tests/load/runs --ignore=tests/lab tests
	$(if $(COVERAGE),$(BIN)/coverage combine -q && $(BIN)/coverage report --include='app/*' --fail-under=95)

# After the others: a browser takes each network that an engine makes or removes for a change of its own. The page of the
# administrators has a stack and a Prometheus of its tests' own, without containers: run-host has it, tests/containers
# asks a whole stack what the page asks.
run-containers:
	TEST_SHAPE=containers $(BIN)/python -m pytest $(SPREAD) --durations=15 $(if $(THOROUGH),--ignore=tests/containers/crowds) tests/containers $(ANY_SHAPE)
	$(if $(THOROUGH),TEST_SHAPE=containers $(BIN)/python -m pytest --durations=15 tests/containers/crowds)
	$(if $(THOROUGH),TEST_SHAPE=containers $(BIN)/python -m pytest -q --ignore=tests/browser/test_ops.py tests/browser)

# One after the other: who is told how much passes a limit may not be kept from sending.
test-load: machine environment ## the limits under real load, right, off and off by one
	$(BIN)/python -m pytest --durations=15 tests/load/runs

# Not part of `make test`: it makes a host's image and installs an engine on it from the archive. The five hosts and the
# one are two labs side by side, each in a process of its own.
test-lab: machine environment ## the playbooks, against real hosts on this machine: five, and one beside them
	@YES=1 $(STACK) engine
	@$(STACK).ship images --cluster >/dev/null
	@$(PYTHON) -m stack.development ansible
	@$(BIN)/python -m tests.tools ssh-audit >/dev/null
	$(BIN)/python -m pytest -n 2 --durations=15 tests/lab$(if $(THOROUGH),,/five tests/lab/test_one_host.py)

test-all: export THOROUGH = 1
test-all: export COVERAGE = 1
test-all: test test-load test-lab ## with more kills, more examples, more time, and branch coverage of the app

LOAD = @$(PYTHON) -m stack.development load && var/dev/load/bin/python -m loadtest
load: ## a stack under load beside honest users, and a verdict: the short suite, or SCENARIO=… USERS=… TIME=… HOST=…
	$(LOAD) $${SCENARIO:-suite} $${USERS:+--users "$$USERS"} $${TIME:+--time "$$TIME"} $${HOST:+--host "$$HOST"} $${MORE:-}

prove: ## every scenario five times, the report in var/load; SCENARIO=… for one of them
	$(LOAD) $${SCENARIO:-prove} --repeat 5 $${MORE:-}

deploy: ## INVENTORY=folder: from bare hosts to a running chat (docs/deploy.md); PLAYBOOK=backup, MORE="--check" …
	@$(PYTHON) -m stack.development ansible
	@inventory=$$(realpath "$${INVENTORY:?which hosts? Add INVENTORY=folder}") && cd ansible && \
	    ../var/dev/ansible/bin/ansible-playbook --inventory "$$inventory" "$${PLAYBOOK:-site}.yml" $${MORE:-}

lab: ## the same on a bare host that this machine plays, spoken to from outside, torn down; KEEP=1 keeps it
	@YES=1 $(STACK) engine
	@$(PYTHON) -m stack.development ansible
	@$(PYTHON) -m lab up

lab-down: ## remove the lab that KEEP=1 left
	@$(PYTHON) -m lab down

bench: environment ## the side-by-side benchmark against peers
	$(BIN)/python -m bench

format: environment ## let ruff format and fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: environment ## write the reference pages and the dashboard anew from the code
	$(BIN)/python -m docs.generate
	@$(BIN)/python -m tests.tools grafana >/dev/null
	var/tools/grafana/bin/python -m monitoring.dashboard monitoring/grafana/portcullis.json

lock: environment ## choose the newest allowed versions anew, hash by hash
	@for file in $(LOCKS); do \
	    $(UV) pip compile -q --upgrade --generate-hashes --no-header --no-annotate \
	        --universal --python-version 3.11 --output-file "$${file%.in}.txt" "$$file" || exit 1; \
	done
