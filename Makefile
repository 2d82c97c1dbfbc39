# Two commands matter: `make demo` shows the main job, `make test` passes every test. Both install what they need.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAB := demo
MINUTES ?= 10

# What the lab and the tests take from Debian: programs that make hosts, and what builds Kubernetes once.
PACKAGES := mmdebstrap systemd-container iproute2 iptables e2fsprogs openssh-client util-linux mount procps dpkg-dev \
    golang-go golang-github-modern-go-reflect2-dev python3-venv git

.PHONY: demo test check bench long soak format clean packages
.DELETE_ON_ERROR:

help:
	@sed -n 's/^## //p' Makefile

## make demo    a lab cluster on this machine, two workers added at once, pods on them (takes root)
demo: $(BIN)/.installed packages
	@scripts/demo.sh $(BIN)/scaler $(LAB)

## make test    every test: linters, units, clouds on loopback, and the lab's real hosts (takes root)
test: check packages
	$(BIN)/python -m pytest tests -m "cloud and not long" -n 2 --dist loadscope --durations=5
	$(BIN)/python -m pytest tests -m "alone and not long" --durations=5
	$(BIN)/python -m pytest tests -m "(ansible or lab) and not alone and not long" -n 2 --dist loadscope --durations=15

## make check   linters, types, unit tests: for every commit
check: $(BIN)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/yamllint .
	ANSIBLE_ROLES_PATH=playbooks/roles $(BIN)/ansible-lint --offline --profile production playbooks
	$(BIN)/python -m pytest tests -n 2 -m "not ansible and not lab and not cloud and not long"

## make long    what takes long on real hosts: each event killed, masters that leave and die, slow links (takes root)
long: $(BIN)/.installed packages
	$(BIN)/python -m pytest tests -m long --durations=15

## make soak    random faults between random changes, for MINUTES, from SEED (takes root)
soak: $(BIN)/.installed packages
	$(BIN)/python -m tests.lab.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

## make bench   adding workers, measured against a raw ssh and a plain playbook (takes root)
bench: $(BIN)/.installed packages
	$(BIN)/python -m benchmarks.add_node

## make format  write the code as the formatter wants it
format: $(BIN)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

## make clean   take the demo's lab down and remove the virtual environment
clean:
	-$(BIN)/scaler lab down --name $(LAB)
	rm -rf $(VENV)

packages:
	@missing=""; for package in $(PACKAGES); do \
	    [ "$$(dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "installing Debian packages:$$missing"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

$(BIN)/.installed: pyproject.toml
	@echo "installing scaler and its tools into $(VENV)"
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; \
	    $(PYTHON) -m venv $(VENV); }
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
