# natterjack: `make run` starts it, `make test` tests it; `make help` lists the rest.
CARGO ?= cargo
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

run: ## build the server and start it without Redis, on port 8080; it keeps messages in target/data
	$(CARGO) run --release --quiet --locked -- --data target/data

build: ## build the release binary: target/release/natterjack
	$(CARGO) build --release --locked

# Relocations are packed, the tables that only backtraces need are left out, functions that came out the
# same are there once, and hashes are computed by small code. Only on x86-64 is Rust's linker one that
# can do the third.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
SMALL := --cfg sha2_backend="soft" --cfg sha2_backend_soft="compact" --cfg sha1_backend="soft"
SMALL_LINK = -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--no-eh-frame-hdr \
	$(if $(filter x86_64-%,$(HOST)),-C link-arg=-Wl$(comma)--icf=all)
comma := ,
small: ## build the smallest binary, without Redis, TLS, tokens and the page: target/small/natterjack
	RUSTFLAGS='$(SMALL)' $(CARGO) rustc --profile small --locked --no-default-features \
		--bin natterjack -- $(SMALL_LINK)

# Wherever a binary runs, it must pass the tests that start it as a process.
PROCESS := $(CARGO) test --locked --test e2e --
arm64: ## build the release binary for a 64-bit Raspberry Pi: target/aarch64-unknown-linux-gnu/release/natterjack
	CARGO='$(CARGO)' sh deploy/cross.sh arm64

arm64-test: arm64 tools qemu ## test it on an emulated processor
	NATTERJACK='qemu-aarch64-static -L /usr/aarch64-linux-gnu target/aarch64-unknown-linux-gnu/release/natterjack' \
		$(PROCESS) cli:: program::

armhf: ## build it for a 32-bit one, Pi 2 or later: target/armv7-unknown-linux-gnueabihf/release/natterjack
	CARGO='$(CARGO)' sh deploy/cross.sh armhf

armhf-test: armhf tools qemu ## test it on an emulated processor
	NATTERJACK='qemu-arm-static -L /usr/arm-linux-gnueabihf target/armv7-unknown-linux-gnueabihf/release/natterjack' \
		$(PROCESS) cli:: program::

static: ## build a static binary for this machine: target/static/natterjack
	RUSTFLAGS='-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs' \
		$(CARGO) build --release --locked --target $(HOST)
	install -D target/$(HOST)/release/natterjack target/static/natterjack
	install -d target/static/data

# An empty root has no file of the tests', so TLS with their certificates stays outside. Who is not
# root may change the root in a user namespace of one's own.
EMPTY := target/static/root
static-test: static tools ## test it, also in an empty root directory
	NATTERJACK=target/static/natterjack $(PROCESS) cli:: program::
	rm -rf $(EMPTY)
	mkdir -p $(EMPTY)/etc
	cp target/static/natterjack $(EMPTY)
	cp /etc/resolv.conf /etc/hosts $(EMPTY)/etc
	NATTERJACK='$(if $(SUDO),/usr/bin/unshare --map-root-user) /usr/sbin/chroot $(EMPTY) /natterjack' \
		$(PROCESS) cli:: program:: --skip over_tls

image-test: static image-tools ## build the container image with buildah, run it, test its health check and its volume
	$(SUDO) sh tests/deploy/image.sh

# Most tests wait for a timer or a process most of the time, so several run on each core.
THREADS = $(shell expr 3 \* $$(nproc))
test: tools ## run all tests, with a real redis-server and real browsers
	$(CARGO) test --locked -- --test-threads $(THREADS)

# Its windows share one display, where one of them at a time has the focus.
page-test: tools webkit ## run the main tests of the page in WebKit, too
	BROWSER=webkit xvfb-run -a $(CARGO) test --locked --test e2e -- --test-threads 1 page_browsers::

docs: ## generate files from src/config.rs: man page, settings, completions, manual
	DOCS=write $(CARGO) test --locked --test e2e -- deploy::

# TypeScript reads them, in JavaScript it leaves nothing out.
npm-types: ## generate deploy/npm/client.d.ts from the comments of src/net/page/client.js
	npx --yes --package typescript@5 tsc src/net/page/client.js --declaration --allowJs --emitDeclarationOnly \
		--target es2022 --outDir deploy/npm
	perl -0pi -e 's{\n *\/\*\*(?:(?!\*\/).)*\@internal.*?\*\/\n *(?:constructor\(.*?\)|[^\n]*);}{}gs' deploy/npm/client.d.ts

# Debian has it from 13 on.
VALKEY ?= valkey-server
WITH_REDIS := talk:: dialects:: refusals:: presence:: history:: references:: limits:: log_limits:: cluster:: \
	other_servers:: presence_faults:: dead_instances:: secure:: outage:: partition:: overtaking:: slow_line:: \
	numbers:: rollback:: rollback_joins:: readiness:: failover:: redis_cluster:: sentinel:: ledger:: shutdown:: metrics:: check:: \
	rights::
valkey-test: tools ## run the tests that use Redis with Valkey or another Redis: VALKEY=/path/of/valkey-server
	@command -v $(VALKEY) >/dev/null || { $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		$(SUDO) apt-get install -y -qq --no-install-recommends valkey-server; } >/dev/null 2>&1 || true
	@if command -v $(VALKEY) >/dev/null; then \
		REDIS_SERVER=$(VALKEY) $(CARGO) test --locked --test e2e -- $(WITH_REDIS); \
	else \
		echo 'there is no valkey-server here, and this Debian has none: 13 does'; \
	fi

MINUTES ?= 10
SEED ?= 1
soak: tools ## run the delivery test (tests/ledger.rs) with one seed after another: MINUTES=10 SEED=1; ALONE=1 without Redis
	MINUTES=$(MINUTES) SEED=$(SEED) $(CARGO) test --locked --test e2e -- --ignored --nocapture soak

# cargo-fuzz needs a nightly Rust only for its sanitizers. They look for what only unsafe code can
# do, and here is none; without them stable Rust is enough, with a C++ compiler for libFuzzer. The
# corpora are only read: what is found on the way stays in target/, what does harm is named.
SECONDS ?= 60
fuzz: fuzz-tools ## fuzz each parser in turn: SECONDS=60
	@set -e; for target in $(notdir $(wildcard tests/fuzz/corpus/*)); do \
		mkdir -p target/fuzz/found/$$target; \
		$(CARGO) fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz --sanitizer none $$target \
			target/fuzz/found/$$target tests/fuzz/corpus/$$target -- \
			-max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=512 -print_final_stats=1; \
	done

BENCH := $(CARGO) run --release --quiet --locked --manifest-path tests/bench/Cargo.toml --
bench: build small bench-tools ## measure speed, memory and size; takes ten minutes on an idle machine
	$(BENCH) target/release/natterjack

bench-quick: build bench-tools ## measure the same less exactly, in about a minute
	$(BENCH) --quick target/release/natterjack

bench-beside: build bench-tools ## measure an older binary and this one in turn: OLD=path, ROW=name for one row
	$(BENCH) $(if $(ROW),--row $(ROW)) --beside $(OLD) target/release/natterjack

bench-growth: build bench-tools ## draw how the cost grows with peers, rooms and messages: tests/bench/growth*.svg
	$(BENCH) --growth tests/bench/growth.svg target/release/natterjack

bench-others: build bench-others-tools ## measure other chat servers: axum + tokio, node ws, nchan, NATS
	$(BENCH) --others target/release/natterjack

bench-pi: build ## measure it in 64 MiB and a fifth of a core; as root or with sudo
	$(CARGO) build --release --quiet --locked --manifest-path tests/bench/Cargo.toml
	$(SUDO) sh tests/bench/pi.sh

bench-page: tools ## measure how long a busy conversation keeps a slow phone from anything else; takes a minute
	$(CARGO) test --locked --test e2e -- --ignored --nocapture page_speed::

check: ## check formatting, lints, the smallest build, the imports, documentation, links and dependencies
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path tests/fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path tests/bench/Cargo.toml
	$(CARGO) fmt --check --manifest-path tests/bench/peers/axum/Cargo.toml
	$(CARGO) fmt --check --manifest-path tests/model/Cargo.toml
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --all-targets -- -D warnings
	$(MAKE) small
	NATTERJACK=target/small/natterjack $(CARGO) test --quiet --locked --no-default-features
	$(CARGO) test --quiet --locked --test house
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --quiet --locked --no-deps
	sh tests/links.sh
	CARGO='$(CARGO)' sh tests/dependencies.sh

check-model: ## explore the models of what instances and Redis tell one another, with every fault
	$(CARGO) clippy --quiet --locked --manifest-path tests/model/Cargo.toml -- -D warnings
	$(CARGO) run --release --quiet --locked --manifest-path tests/model/Cargo.toml

audit: audit-tools ## check dependencies for licenses and known vulnerabilities (RustSec)
	$(CARGO) deny --locked --config tests/deny.toml check

# Debian packages
deb: build deb-tools ## build the Debian package: target/debian/natterjack_*.deb
	$(CARGO) deb --no-build --quiet --output target/debian/
	sh tests/deploy/depends.sh target/release/natterjack

deb-arm64: arm64 deb-tools ## build the Debian package for 64-bit ARM: target/debian/natterjack_*_arm64.deb
	$(CARGO) deb --no-build --quiet --target aarch64-unknown-linux-gnu --output target/debian/
	sh tests/deploy/depends.sh target/aarch64-unknown-linux-gnu/release/natterjack

deb-test: deb deploy-check ## install, upgrade under load, pull the plug, remove and purge it in a booted Debian container
	$(SUDO) bash tests/deploy/deb.sh

deploy-check: deb ## lint what is installed: units and their sandbox, man page, completions, scripts, package
	sh tests/deploy/check.sh

release: deb-tools image-tools release-tools ## build all files of a release, for three processors: target/dist
	CARGO='$(CARGO)' sh deploy/release.sh

release-test: deb-tools image-tools release-tools ## build a release twice, in two folders: it is the same to the bit
	CARGO='$(CARGO)' sh tests/deploy/release.sh

tools: target/tools/usr/bin/promtool target/tools/axe.min.js # what the tests start
	@missing=; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v firefox-esr >/dev/null || command -v firefox >/dev/null || missing="$$missing firefox-esr"; \
	command -v faketime >/dev/null || missing="$$missing faketime"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	[ -e /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ] || missing="$$missing fonts-noto-color-emoji"; \
	[ -e /usr/sbin/nginx ] || missing="$$missing nginx-light"; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; }

# The linters come from Debian; what builds the package from crates.io.
deb-tools: # what packages are made and tested with
	@$(CARGO) deb --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deb
	@missing=; \
	for tool in debootstrap systemd-nspawn:systemd-container systemd-analyze:systemd lintian mandoc shellcheck zsh fish; do \
		command -v $${tool%:*} >/dev/null || missing="$$missing $${tool#*:}"; \
	done; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; }

# It looks for what keeps people from using the page. Away from npm's registry its test is skipped.
target/tools/axe.min.js:
	@command -v npm >/dev/null || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends npm; }
	@mkdir -p target/tools && cd target/tools && { npm pack --silent axe-core@4.14.1 >/dev/null && \
		tar -xzf axe-core-4.14.1.tgz --strip-components=1 package/axe.min.js && rm axe-core-4.14.1.tgz; } || \
		echo 'axe-core can not be had: the page is tested without it'

# Only its linter is wanted, not a server that starts by itself.
target/tools/usr/bin/promtool:
	@command -v promtool >/dev/null || { mkdir -p target/tools && cd target/tools && { apt-get download -qq prometheus 2>/dev/null || { \
		$(SUDO) apt-get update -qq && apt-get download -qq prometheus; } } && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && rm prometheus_*.deb; }

webkit: # WebKit's browser for tests, and a display without a screen
	@command -v WebKitWebDriver >/dev/null && command -v xvfb-run >/dev/null && command -v xauth >/dev/null || { \
		$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq \
		--no-install-recommends webkit2gtk-driver xvfb xauth; }

image-tools: # what builds images without a registry and without Docker
	@missing=; \
	command -v buildah >/dev/null || missing="$$missing buildah"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v pgrep >/dev/null || missing="$$missing procps"; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; }

release-tools: # what lists dependencies, inside the binary and beside it
	@$(CARGO) auditable --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-auditable
	@$(CARGO) cyclonedx --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-cyclonedx
	@command -v npm >/dev/null || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends npm; }

qemu: # what runs binaries for other processors
	@command -v qemu-arm-static >/dev/null || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends qemu-user-static; }

bench-tools: # what the bench starts
	@command -v redis-server >/dev/null && command -v openssl >/dev/null || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends redis-server openssl; }

# What can't be had is skipped.
bench-others-tools: # what it compares with
	@$(CARGO) build --release --quiet --locked --manifest-path tests/bench/peers/axum/Cargo.toml || true
	@npm install --prefix tests/bench/peers/node --silent --no-audit --no-fund --no-package-lock || true
	@[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] && [ -e /usr/sbin/nats-server ] || { $(SUDO) apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends libnginx-mod-nchan nats-server; } || true

audit-tools: # what looks at dependencies
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-deny

fuzz-tools: # what fuzzing needs
	@command -v c++ >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq g++; }
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz

.PHONY: help run build small arm64 arm64-test armhf armhf-test static static-test image-test test page-test docs npm-types valkey-test soak fuzz audit bench bench-quick bench-beside bench-growth bench-others bench-pi check deb deb-arm64 deb-test deploy-check release release-test tools deb-tools webkit image-tools release-tools qemu bench-tools bench-others-tools audit-tools fuzz-tools
