# Everything that one does with this tree. `make help` lists the targets; docs/development.md explains them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# What is built once and kept between runs and clones: the parts of the lab, cargo-deny, and what cargo compiles.
export XFED_CACHE ?= $(HOME)/.cache/xmpp-federation
export CARGO_TARGET_DIR ?= $(XFED_CACHE)/target
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(XFED_CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
CHART := charts/xmpp-federation-operator
NAMESPACE ?= xmpp-federation-system

STEP := scripts/step
LAB := cargo run --quiet --locked -p tests --bin lab --

.PHONY: help
help: ## This list.
	@echo "XMPP federation on Kubernetes: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##: What people run first: the whole product on this machine.

.PHONY: demo
demo: ## Two people on two XMPP servers chat through the engine on a real cluster. Root; network when cold.
	@scripts/require root cargo cc go
	@$(STEP) "lab parts and images" scripts/prepare
	@$(STEP) "demo" cargo run --quiet --locked -p tests --bin demo

.PHONY: test
test: ## Everything: lint, unit, API server tier, end to end. Root; network when cold.
	@scripts/test

##: The parts of it.

.PHONY: unit
unit: ## Unit and property tests. Neither root nor network (but for crates not yet fetched).
	@scripts/require cargo cc
	cargo test --locked --workspace --exclude tests
	cargo test --locked -p tests --lib --bins

.PHONY: lint
lint: fmt check-generated clippy deny ## Formatting, generated files, clippy without warnings, licences and sources.

.PHONY: fmt
fmt: ## Formatting is what rustfmt.toml says.
	cargo fmt --all --check

.PHONY: clippy
clippy: ## Clippy, all targets, a warning is an error.
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

.PHONY: deny
deny: $(CARGO_DENY) ## Licences, banned crates and sources of the dependencies.
	$(CARGO_DENY) --log-level error --all-features check licenses bans sources

# A directory of its own for what is compiled: the tool's features must not change what the workspace is built from.
$(CARGO_DENY):
	@$(STEP) "cargo-deny $(CARGO_DENY_VERSION), once" cargo install --quiet --locked --debug cargo-deny --version $(CARGO_DENY_VERSION) \
	  --root $(XFED_CACHE)/cargo-deny-$(CARGO_DENY_VERSION) --target-dir $(XFED_CACHE)/target-tools
	@rm -rf $(XFED_CACHE)/target-tools

.PHONY: check-generated
check-generated: ## The CRD is what the Rust types give, the chart's copy is the CRD.
	scripts/check-generated

.PHONY: crds
crds: ## Regenerate the CRD and the chart's copy of it.
	cargo run --quiet --locked -p crds --features kube --bin crdgen -- --write crds
	cp crds/xmppfederations.xmppfederation.dev.yaml $(CHART)/files/

.PHONY: chart
chart: ## Lint and render the chart under many values, accepted and refused. Needs helm (make lab-parts).
	scripts/check-chart

.PHONY: manifests
manifests: ## Plain manifests for kubectl: dist/xmpp-federation-operator.yaml. Needs helm (make lab-parts).
	scripts/manifests $(NAMESPACE)

.PHONY: build
build: ## All binaries, unoptimised.
	cargo build --locked --workspace --bins

.PHONY: images
images: ## Static binaries and their images without a container engine: dist/*.tar.
	@scripts/require cargo cc
	scripts/images

##: The lab: a real cluster with a small internet around it, in namespaces of this machine.

.PHONY: lab-parts
lab-parts: ## Install packages and build Kubernetes, helm, external-dns, ... into the cache. Root and network.
	@scripts/require root cargo cc go
	$(LAB) build

.PHONY: lab
lab: lab-parts ## Start the lab, or say that it runs. Root.
	$(LAB) up

.PHONY: lab-down
lab-down: ## End the lab; nothing of it stays. Root.
	@scripts/require root cargo cc
	$(LAB) down

.PHONY: bench
bench: lab-parts images ## Stanzas per CPU-second and time to a first stanza, the engine beside Prosody. Root.
	cargo run --quiet --release --locked -p tests --bin bench -- \
	  --engine $(CARGO_TARGET_DIR)/$(shell uname -m)-unknown-linux-gnu/release/federation-engine
