# natterjack: `make run` starts it, `make test` tests it; `make help` lists the rest.
CARGO ?= cargo
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

run: ## build it and start it: alone, on port 8080
	$(CARGO) run --release --quiet --locked

build: ## the release binary: target/release/natterjack
	$(CARGO) build --release --locked

test: tools ## every test, with a real redis-server
	$(CARGO) test --locked

check: ## formatting, lints, and which way imports go
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	sh tests/imports.sh

tools: # what the tests start
	@command -v redis-server >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends redis-server; }

.PHONY: help run build test check tools
