# meshspan: make help lists what can be made.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# What is fetched is kept here, outside the tree, and shared by all checkouts.
export MESHSPAN_CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/meshspan
PYTHON ?= python3

# The virtual environment is named by what is in it, so a change makes a new one.
VENV := $(MESHSPAN_CACHE)/venv-$(shell { $(PYTHON) -V; cat tests/requirements.txt; } 2>&1 | sha256sum | cut -c1-16)
RUN := PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/python

TARGET := wasm32-unknown-unknown
MODULE := dist/meshspan.wasm

BACKEND ?= builtin
REQUESTS ?= 300
SAMPLING ?=
SPAN ?=
SCENARIO ?= plain
APP ?= forwarding
CORRELATION ?=
DEMO := $(RUN) -m mesh.demo --requests $(REQUESTS) --scenario $(SCENARIO) --app '$(APP)' \
  $(if $(CORRELATION),--correlation $(CORRELATION)) $(if $(SAMPLING),--sampling $(SAMPLING)) $(if $(SPAN),--span $(SPAN))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo BACKEND=zipkin REQUESTS=500 SAMPLING=60 SPAN=2   (or jaeger; SPAN: show the tags of this span)"
	@echo "  make demo SCENARIO=failures   (1 % is sampled, and yet every failed request is there)"
	@echo "  make demo APP=silent   (applications forward nothing, and every trace is whole all the same at low load; CORRELATION=sure)"
	@echo "  make e2e PYTEST='tests/e2e/test_mesh.py -k demo'   (only some tests)"
	@echo "  ENVOY=/path/to/envoy or docker:IMAGE, ZIPKIN_JAR=, JAEGER=, OTEL_COLLECTOR=, MANIFESTS=, PROMTOOL=, MESHSPAN_CACHE= override what is fetched"

# The places of crates and of Rust's own library are in the texts of panics. They get the same names
# everywhere, so that the same source is the same bytes.
REMAP = --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo \
  --remap-path-prefix=$$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$$(rustc -vV | sed -n 's/^commit-hash: //p')

# What is called from many places is inlined only where it is small, also what the standard library would have inlined, and
# loops are unrolled hardly anywhere: a sixth less code, and 2 % of the instructions of a sampled request more.
LLVM := inline-threshold=75 inlinehint-threshold=75 inlinecold-threshold=0 unroll-threshold=20 unroll-runtime=false

# What LLVM makes is an eighth larger than it has to be. These are the features that rustc has it use; Envoy has them all.
WASM_OPT ?= wasm-opt
WASM_FEATURES := bulk-memory sign-ext nontrapping-float-to-int mutable-globals reference-types multivalue
# The first kilobyte is the far end of the stack, where nothing is; no fault is waited for; control flow is laid out
# anew before all else.
WASM_PASSES := --low-memory-unused --ignore-implicit-traps \
  --flatten --simplify-locals-nonesting --rereloop -Oz -Oz --converge

.PHONY: build
build: rust-target $(if $(filter wasm-opt,$(WASM_OPT)),debian-wasm-opt) ## build dist/meshspan.wasm
	@RUSTFLAGS="$${RUSTFLAGS:-} $(REMAP) $(LLVM:%=-C llvm-args=-%)" cargo build --release --target $(TARGET) --locked
	@mkdir -p dist
	@# Written beside it and moved: a running Envoy may be reading the old one.
	@$(WASM_OPT) $(WASM_PASSES) $(WASM_FEATURES:%=--enable-%) target/$(TARGET)/release/meshspan.wasm -o $(MODULE).new
	@mv $(MODULE).new $(MODULE)

.PHONY: rust-target
rust-target:
	@command -v cargo >/dev/null || { echo "Rust is not here: install it with rustup (https://rustup.rs)"; exit 1; }
	@command -v rustup >/dev/null || exit 0; \
	rustup target list --installed 2>/dev/null | grep -qx $(TARGET) || rustup target add $(TARGET)

$(VENV)/whole: tests/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	  || { echo "Python 3.10 or later is needed (PYTHON=python3.11 chooses one)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "python3 -m venv does not work: on Debian apt-get install python3-venv"; exit 1; }
	@# The mark comes last: a half-made environment has none and is made anew.
	@mkdir -p $(MESHSPAN_CACHE)
	@exec 9>$(VENV).lock; flock 9; if [ ! -e $@ ]; then \
	  echo "making the Python environment, once"; \
	  rm -rf $(VENV); $(PYTHON) -m venv $(VENV); \
	  $(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt; \
	fi; touch $@

.PHONY: demo
demo: build $(VENV)/whole ## requests through a real mesh: a trace, the service graph, the count
	@$(DEMO) --backend $(BACKEND)

.PHONY: up
up: build $(VENV)/whole ## the mesh and a real Zipkin, running until Ctrl-C
	@$(DEMO) --backend zipkin --keep

.PHONY: screenshots
screenshots: build $(VENV)/whole debian-packages ## pictures of Zipkin's web page, into docs/
	@$(DEMO) --backend zipkin --pictures docs

.PHONY: test
test: lint deny unit e2e bench-check ## everything: lint, crates, unit tests, tests in a real Envoy, Zipkin and Jaeger

.PHONY: lint
lint: rust-target ## formatting and lints, native and wasm
	@cargo fmt --check
	@rustfmt --edition 2024 --check tests/modules/*.rs
	@cargo fmt --check --manifest-path fuzz/Cargo.toml
	@cargo clippy --locked --all-targets --features checker -- -D warnings
	@cargo clippy --locked --target $(TARGET) -- -D warnings
	@cargo clippy --locked --target $(TARGET) --features traps -- -D warnings

# Programs of cargo's, by name and version, built once. They do little: no time is lost on optimising them.
$(MESHSPAN_CACHE)/cargo-%/.crates.toml:
	@mkdir -p $(@D)
	@exec 9>$(@D).lock; flock 9; if [ ! -e $@ ]; then \
	  echo "building $(notdir $(@D)), once"; cargo install --quiet --debug --locked --root $(@D) $(notdir $(@D)); fi

CARGO_DENY := $(MESHSPAN_CACHE)/cargo-deny@0.20.2

# Advisories need RustSec's database, which is fetched anew each time and may be out of reach.
.PHONY: deny
deny: $(CARGO_DENY)/.crates.toml ## licences and origins of the crates, known holes in them, by deny.toml
	@$(CARGO_DENY)/bin/cargo-deny --locked check bans licenses sources
	@if $(CARGO_DENY)/bin/cargo-deny --locked fetch db 2>/dev/null; then \
	  $(CARGO_DENY)/bin/cargo-deny --locked check --disable-fetch advisories; \
	else echo "WARNING: NOT CHECKED: advisories, RustSec's database cannot be fetched here"; fi

.PHONY: unit
unit: ## the unit tests
	@cargo test --locked --features checker

# The module with what traps on demand, which is never shipped. It has a folder of its own: nothing is built anew for it.
.PHONY: traps
traps: rust-target
	@cargo build --quiet --release --target $(TARGET) --locked --features traps --target-dir target/traps

.PHONY: e2e
e2e: build traps target/modules/foreign.wasm $(VENV)/whole debian-packages ## the built module in a real Envoy, with a real Zipkin and Jaeger
	@$(RUN) -m pytest $(or $(PYTEST),-n 2 --dist loadfile tests/e2e)

CARGO_FUZZ := $(MESHSPAN_CACHE)/cargo-fuzz@0.13.2
TIME ?= 60

# From the seeds in fuzz/corpus; what is found besides stays in target/fuzz and is where the next run begins. No
# sanitizer: safe Rust has nothing for it to find, and the one file that is not safe is compiled for wasm alone.
.PHONY: fuzz
fuzz: $(CARGO_FUZZ)/.crates.toml ## every fuzz target for TIME seconds (FUZZ=span: this one); make unit runs each shortly
	@cp Cargo.lock fuzz/Cargo.lock
	@for target in $(or $(FUZZ),$(basename $(notdir $(wildcard fuzz/targets/*.rs)))); do \
	  mkdir -p target/fuzz/$$target; \
	  $(CARGO_FUZZ)/bin/cargo-fuzz run --sanitizer none --target-dir target/fuzz-build $$target \
	    target/fuzz/$$target fuzz/corpus/$$target -- -max_total_time=$(TIME) -dict=fuzz/dictionary \
	    -max_len=70000 -timeout=10 -verbosity=0 -print_final_stats=1; done

# A shell splits what is in FILE, so that patterns and several files may stand there.
.PHONY: check-config
check-config: ## what is wrong with a configuration: FILE=wasmplugin.yaml, or several (STRICT=1: warnings fail)
	@test -n "$(FILE)" || { echo "say which files: make check-config FILE='istio-operator.yaml wasmplugin.yaml'"; exit 1; }
	@cargo build --quiet --locked --features checker
	@target/debug/meshspan check $(if $(STRICT),--strict) $(FILE)

# docs/plugin-config.schema.json is for editors; a unit test holds it against the code.
.PHONY: schema
schema: ## write the JSON Schema of the plugin configuration anew, after a change of its keys
	@cargo run --quiet --locked --features checker -- schema > target/schema.json
	@mv target/schema.json docs/plugin-config.schema.json

# The checker knows Istio's keys from its Go module; tests/e2e/test_istio_types.py holds them against it.
.PHONY: istio-types
istio-types: ## write the keys of Istio's types anew, after a change of the version in tests/istio_types/go.mod
	@cd tests/istio_types && go run -mod=readonly . > $(CURDIR)/target/istio_types.json
	@mv target/istio_types.json src/bin/meshspan/istio_types.json

.PHONY: w3c
w3c: build $(VENV)/whole ## the W3C's own suite, which you clone: SUITE=/path/to/trace-context
	@test -n "$(SUITE)" || { echo "say where your clone of w3c/trace-context is: make w3c SUITE=..."; exit 1; }
	@$(RUN) -m mesh.w3c $(SUITE) $(if $(CONFIG),--config '$(CONFIG)')

.PHONY: rules
rules: $(VENV)/whole ## dist/meshspan.rules.yaml, the alerts for a Prometheus without the operator
	@mkdir -p dist
	@$(RUN) -m mesh.promtool dist/meshspan.rules.yaml

# Small modules that the benchmark compares with.
PROBES := $(patsubst tests/modules/%.rs,target/modules/%.wasm,$(wildcard tests/modules/*.rs))

target/modules/%.wasm: tests/modules/%.rs | rust-target
	@mkdir -p $(@D)
	@rustc --edition 2024 --target $(TARGET) --crate-type cdylib -C opt-level=3 -C panic=abort -C strip=symbols $< -o $@

.PHONY: bench
bench: build $(PROBES) $(VENV)/whole debian-packages ## what tracing costs a request (BENCH="--quick" or other options)
	@$(RUN) -m mesh.bench $(BENCH)

.PHONY: bench-check
bench-check: build $(VENV)/whole debian-packages ## whether a request has become dearer than the committed figures
	@$(RUN) -m mesh.bench --check --output dist/bench-check.json

.PHONY: bench-links
bench-links: build $(VENV)/whole ## how many calls are linked rightly where applications forward nothing (LINKS="--modes sure" or other options)
	@$(RUN) -m mesh.links $(LINKS)

.PHONY: soak
soak: build $(VENV)/whole debian-packages ## long runs with faults at random (SOAK="--minutes 60 --seed 7" or other options)
	@$(RUN) -m mesh.soak $(SOAK)

# The image that Istio fetches, by the name that the manifests have, and options of skopeo for its registry.
IMAGE ?= registry.example.com/meshspan
REGISTRY_OPTIONS ?=
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
DESCRIPTION = $(shell sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml)
ANNOTATIONS = --annotation org.opencontainers.image.title=meshspan \
  --annotation org.opencontainers.image.version=$(VERSION) \
  --annotation "org.opencontainers.image.description=$(DESCRIPTION)" \
  --annotation org.opencontainers.image.licenses=Apache-2.0
# A store of its own: buildah then needs no set-up, and leaves nothing behind elsewhere.
BUILDAH := buildah --root $(CURDIR)/target/buildah/root --runroot $(CURDIR)/target/buildah/run --storage-driver vfs

.PHONY: image
image: build ## the module as an image, dist/image, and as an OCI artifact, dist/artifact; what is in it, dist/sbom
	@rm -rf dist/image dist/artifact dist/sbom
	@# No date and no commit in it: the same module is the same image, with the same digest.
	@if command -v buildah >/dev/null; then \
	  $(BUILDAH) build --quiet --format oci --timestamp 0 --identity-label=false --omit-history \
	    $(ANNOTATIONS) -f istio/image/Dockerfile -t $(IMAGE):$(VERSION) dist >/dev/null; \
	  $(BUILDAH) push --quiet $(IMAGE):$(VERSION) oci:dist/image:$(VERSION); \
	elif command -v docker >/dev/null; then \
	  docker build $(subst --annotation,--label,$(ANNOTATIONS)) -f istio/image/Dockerfile -t $(IMAGE):$(VERSION) dist; \
	else echo "please install buildah or docker"; exit 1; fi
	@$(PYTHON) istio/image/artifact.py $(MODULE) dist/artifact $(VERSION) $(ANNOTATIONS)
	@$(PYTHON) istio/image/sbom.py $(MODULE) dist/sbom $(VERSION) $(ANNOTATIONS) --target $(TARGET) \
	  --image dist/image --output dist/meshspan.cdx.json

.PHONY: push
push: image ## push the image, the artifact as VERSION-artifact, what is in it as VERSION-sbom: IMAGE=registry/name
	@test -e dist/image || { echo "the image is docker's: docker push $(IMAGE):$(VERSION), and then" \
	  "make pin DIGEST= with the digest that it prints"; exit 1; }
	@skopeo copy --quiet --preserve-digests $(REGISTRY_OPTIONS) oci:dist/image:$(VERSION) docker://$(IMAGE):$(VERSION)
	@for form in artifact sbom; do \
	  skopeo copy --quiet --preserve-digests $(REGISTRY_OPTIONS) oci:dist/$$form:$(VERSION) \
	    docker://$(IMAGE):$(VERSION)-$$form; done

.PHONY: release
release: push ## push the image and write its digest into the manifests: IMAGE=registry/name
	@$(MAKE) --no-print-directory pin DIGEST=$$(skopeo inspect --format '{{.Digest}}' oci:dist/image:$(VERSION))

.PHONY: pin
pin: ## write an image into the manifests: IMAGE=registry/name DIGEST=sha256:...
	@[[ "$(DIGEST)" =~ ^sha256:[0-9a-f]{64}$$ ]] || { echo "say which image: make pin DIGEST=sha256:..."; exit 1; }
	@find istio -name '*.yaml' -exec sed -i -E 's|^( *url: oci://).*|\1$(IMAGE):$(VERSION)@$(DIGEST)|' {} +
	@echo "the manifests name $(IMAGE):$(VERSION)@$(DIGEST)"

# Programs that the build, tests and benchmarks run, and the Debian packages that they come from.
PROGRAMS := openssl:openssl chromium:chromium valgrind:valgrind h2load:nghttp2-client java:default-jre-headless \
  buildah:buildah skopeo:skopeo docker-registry:docker-registry

.PHONY: debian-packages debian-wasm-opt
debian-wasm-opt: PROGRAMS := wasm-opt:binaryen
debian-packages debian-wasm-opt:
	@missing=""; \
	for pair in $(PROGRAMS); do \
	  command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair##*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "please install:$$missing"; exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then as_root=""; \
	elif sudo -n true 2>/dev/null; then as_root="sudo -n"; \
	else echo "please run: sudo apt-get install$$missing"; exit 1; fi; \
	echo "installing$$missing"; \
	$$as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -qq -y --no-install-recommends $$missing >/dev/null

.PHONY: requirements
requirements: ## write tests/requirements.txt anew from requirements.in (needs uv)
	@env -u PIP_FIND_LINKS -u UV_FIND_LINKS uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make requirements" tests/requirements.in -o tests/requirements.txt

.PHONY: clean
clean: ## remove what was built here (the cache stays)
	@rm -rf target dist .pytest_cache
	@find tests -name __pycache__ -type d -prune -exec rm -rf {} +
