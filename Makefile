# Everything that one does with this tree. `make help` lists the targets; docs/development.md explains them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# What is built once and kept between runs and clones: parts of the lab, images, tools, and what cargo compiles.
export XFED_CACHE ?= $(HOME)/.cache/xmpp-federation
export CARGO_TARGET_DIR ?= $(XFED_CACHE)/target
# Messages of programs are read by scripts and tests, in whatever language their user works.
export LC_ALL := C.UTF-8
CHART := charts/xmpp-federation-operator
NAMESPACE ?= xmpp-federation-system

LAB := scripts/lab
# The default members of Cargo.toml: their tests need neither root nor network.
UNPRIVILEGED = $(shell sed -n '/^default-members/,/^]/s/^  "\(.*\)",$$/\1/p' Cargo.toml)

.PHONY: help
help: ## Print this list.
	@echo "XMPP federation on Kubernetes: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##: What people run first: the whole product on this machine.

.PHONY: demo
demo: ## Two people on two XMPP servers chat through the engine on a real cluster. NETWORK=nat: behind a firewall. BACKEND=ejabberd, jabberd2 or bot: another backend. Root; network when cold.
	@scripts/require root cargo cc go lab
	@scripts/alone "make demo" scripts/demo $(if $(NETWORK),--network $(NETWORK)) $(if $(BACKEND),--backend $(BACKEND))

.PHONY: test
test: ## Everything: lint, unit, API server tier, end to end. Root; network when cold.
	@scripts/require root cargo cc go python3 lab
	@scripts/alone "make test" scripts/test

##: The parts of it.

.PHONY: unit
unit: ## All tests that need neither root nor network (but for crates not yet fetched).
	@scripts/require cargo cc python3
	@scripts/cargo build --quiet --locked --workspace --bins
	@XFED_BINARIES="$(CARGO_TARGET_DIR)/debug" scripts/cargo test --no-fail-fast --locked --workspace --lib --bins \
	  $(patsubst %.rs,--test %,$(notdir $(wildcard $(addsuffix /tests/*.rs,$(UNPRIVILEGED)))))
	@$(MAKE) doc-tests

.PHONY: doc-tests
doc-tests: ## The example on the front page of the core, compiled and run. nextest runs no doc tests.
	@scripts/cargo test --quiet --locked --doc -p s2s-proto

.PHONY: fuzz
fuzz: ## libFuzzer on the engine's fuzz targets, SECONDS=60 each, and new streams against libexpat and rxml.
	@scripts/require cargo cc c++ python3
	@scripts/fuzz $(or $(SECONDS),60) $(TARGETS)

.PHONY: lint
lint: fmt check-circles check-generated clippy deny ## Formatting, import circles, generated files, clippy without warnings, licences and sources.

.PHONY: fmt
fmt: ## Check the formatting against rustfmt.toml.
	@scripts/cargo fmt --all --check

.PHONY: clippy
clippy: ## Clippy, all targets, a warning is an error.
	@scripts/cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

.PHONY: deny
deny: ## Licences, banned crates and sources of the dependencies.
	@scripts/cargo-tool cargo-deny --log-level error --all-features check licenses bans sources

.PHONY: check-circles
check-circles: ## No more than two files of a crate import each other in a circle. Needs Python 3.
	@scripts/check-circles --self-test
	@scripts/check-circles

.PHONY: check-generated
check-generated: ## The CRDs match the Rust types, and the chart's copies match the CRDs.
	@scripts/check-generated

.PHONY: crds
crds: ## Regenerate the CRDs and the chart's copies of them.
	@scripts/cargo build --quiet --locked --workspace --bins
	@"$(CARGO_TARGET_DIR)/debug/crdgen" --write crds
	@cp crds/*.xmppfederation.dev.yaml $(CHART)/files/

.PHONY: messages
messages: ## Regenerate docs/messages.md, the texts of the programs. `make unit` compares it with the source.
	@UPDATE_GOLDEN=1 scripts/cargo test --quiet --locked --workspace --test literals messages

.PHONY: signals
signals: ## Regenerate docs/metrics.md and the dashboard from the metrics of both programs. `make unit` compares them.
	@UPDATE_GOLDEN=1 scripts/cargo test --quiet --locked --workspace --test signals

.PHONY: troubleshooting
troubleshooting: ## Regenerate docs/troubleshooting.md, the explanation of each reason with the messages of the last recorded run.
	@UPDATE_GOLDEN=1 scripts/cargo test --quiet --locked --workspace --test troubleshooting

.PHONY: chart
chart: ## Lint and render the chart under many values, accepted and refused. Needs helm (make lab-parts).
	@scripts/check-chart

.PHONY: manifests
manifests: ## Plain manifests for kubectl: dist/xmpp-federation-operator.yaml. Needs helm (make lab-parts).
	@scripts/manifests $(NAMESPACE)

.PHONY: build
build: ## All binaries, unoptimised.
	@scripts/cargo build --locked --workspace --bins

.PHONY: images
images: ## Static binaries and their images without a container engine: dist/*.tar.
	@scripts/require cargo cc
	@scripts/images

.PHONY: release
release: ## Everything that a release publishes: dist/release, as docs/releasing.md says. Needs helm and both targets of rustup.
	@scripts/require cargo cc python3
	@scripts/release

##: The lab: a real cluster with a small internet around it, in namespaces of this machine.

.PHONY: lab-parts
lab-parts: ## Install packages and build Kubernetes, helm, external-dns, ... into the cache. Root and network.
	@scripts/require root cargo cc go lab
	@$(LAB) build

.PHONY: lab
lab: lab-parts ## Start the lab, or report that it is running. Root.
	@scripts/alone "make lab" $(LAB) up

.PHONY: lab-down
lab-down: ## Stop the lab and remove all of it. Root.
	@scripts/require root cargo cc
	@scripts/alone "make lab-down" $(LAB) down

.PHONY: bench
bench: lab-parts images ## Stanzas per CPU-second and time to a first stanza, the engine beside Prosody and, with BEFORE=PATH, an earlier build. Root.
	@scripts/cargo run --quiet --release --locked -p bench -- \
	  --engine "$(CARGO_TARGET_DIR)/$(shell uname -m)-unknown-linux-gnu/release/federation-engine" \
	  $(if $(BEFORE),--before "$(BEFORE)")

.PHONY: soak
soak: ## Ten million stanzas while everything around the engine breaks and restarts; each stanza is accounted for.
	@scripts/require cargo cc
	@scripts/cargo build --release --locked -p federation-engine -p soak --bins
	@"$(CARGO_TARGET_DIR)/release/soak"

.PHONY: attacks
attacks: ## Attacks of unknown and hostile peers on the engine, and their effect on a good peer.
	@scripts/require cargo cc
	@scripts/cargo build --release --locked -p federation-engine -p attack --bins
	@"$(CARGO_TARGET_DIR)/release/attack" --engine "$(CARGO_TARGET_DIR)/release/federation-engine"
