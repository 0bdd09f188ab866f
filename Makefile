# Everything that is done with this repository, one target each; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: run test lint fmt sim compat compat-upstream bench microbench fuzz clean help

# The broker and the compat tests share their builds.
export CARGO_TARGET_DIR ?= $(CURDIR)/target

COMPAT := --package ottla-compat-tests
FUZZ := --manifest-path fuzz/Cargo.toml
# What compat-tests start: optimised, without the link time of a release.
COMPAT_BIN := $(CARGO_TARGET_DIR)/compat/ottla
NEED := .ci/need
FUZZ_SECONDS ?= 60
# Without a sanitizer and in parallel units the targets build in minutes, not in half an hour. What the address sanitizer
# looks for is unsafe code: Ottla's is in `io/`, behind the simulated disk that the targets have instead.
SANITIZER ?= none
FUZZ_BUILD := --sanitizer $(SANITIZER) --codegen-units 16

run: ## Build an optimised ottla and start it: make run ARGS="--set num.partitions=3"
	@$(NEED) cargo:rustup cc:gcc
	cargo build --release --locked
	exec $(CARGO_TARGET_DIR)/release/ottla $(ARGS)

test: lint ## Check everything that must hold: lint, unit and integration tests, the fast compat tests
	@compat-tests/setup.sh
	cargo build --profile compat --bin ottla --locked
	OTTLA_BIN=$(COMPAT_BIN) cargo test --workspace --locked

lint: ## Check format, lints, links in the docs, licences of dependencies
	@$(NEED) cargo:rustup cc:gcc c++:g++ cmake:cmake
	cargo fmt --all --check
	cargo fmt $(FUZZ) --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --no-deps --document-private-items --locked
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; \
	else echo "lint: deny.toml is not checked, cargo-deny is missing: cargo install --locked cargo-deny"; fi

fmt: ## Format all Rust code
	cargo fmt --all
	cargo fmt $(FUZZ)

sim: ## Cut the power at every step of many simulated lives: make sim SEEDS=300, or SEED=7, or what a failure names
	@$(NEED) cargo:rustup cc:gcc
	cargo test --profile compat --lib --locked log::tests::simulation::many_seeds -- --ignored --nocapture

compat: ## Run every compat test, the slow ones too: real clients against a real ottla
	@$(NEED) cargo:rustup cc:gcc c++:g++ cmake:cmake
	@compat-tests/setup.sh --all
	cargo build --profile compat --bin ottla --locked
	OTTLA_BIN=$(COMPAT_BIN) cargo test $(COMPAT) --locked -- --include-ignored

compat-upstream: ## Run the clients' own suites against ottla: make compat-upstream SUITES="librdkafka franz-go"
	@$(NEED) cargo:rustup cc:gcc c++:g++ cmake:cmake go:golang-go python3:python3
	@compat-tests/setup.sh
	cargo build --profile compat --bin ottla --locked
	OTTLA_BIN=$(COMPAT_BIN) compat-tests/upstream/run.sh $(or $(SUITES),librdkafka franz-go rust-rdkafka)

bench: ## Measure Ottla beside Apache Kafka, about 25 minutes: make bench ARGS="--only produce-16k --client java"
	@$(NEED) cargo:rustup cc:gcc c++:g++ cmake:cmake
	@compat-tests/setup.sh
	cargo build --release --bin ottla --locked
	cargo build --profile load --package ottla-bench --locked
	OTTLA_BIN=$(CARGO_TARGET_DIR)/release/ottla $(CARGO_TARGET_DIR)/load/ottla-bench $(ARGS)

microbench: ## Run the micro benchmarks, or one: make microbench BENCH=partition_log
	@$(NEED) cargo:rustup cc:gcc
	cargo bench --locked $(if $(BENCH),--bench $(BENCH))

fuzz: ## Fuzz every target for FUZZ_SECONDS (60) each; some of them: TARGETS="frames batch"; SANITIZER=address
	@$(NEED) cargo:rustup cc:gcc c++:g++ rustup:rustup
	@rustup run nightly rustc --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	cargo +nightly fuzz build $(FUZZ_BUILD)
	for target in $(or $(TARGETS),$$(cargo +nightly fuzz list)); do \
	  mkdir -p fuzz/corpus/$$target; \
	  cargo +nightly fuzz run $(FUZZ_BUILD) $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=60 -rss_limit_mb=2048; \
	done

clean: ## Remove everything that was built or fetched
	rm -rf $(CARGO_TARGET_DIR) compat-tests/target compat-tests/.cache fuzz/target

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name line; do printf '  %-16s %s\n' "$$name" "$$line"; done
