# natterjack: `make run` starts it, `make test` tests it; `make help` lists the rest.
CARGO ?= cargo
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

run: ## build it and start it: alone, on port 8080
	$(CARGO) run --release --quiet --locked

build: ## the release binary: target/release/natterjack
	$(CARGO) build --release --locked

test: tools ## every test, with a real redis-server and a real browser
	$(CARGO) test --locked

check: ## formatting, lints, and which way imports go
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	sh tests/imports.sh

tools: # what the tests start
	@missing=; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; }

.PHONY: help run build test check tools
