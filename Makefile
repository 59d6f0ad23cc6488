# Everything one can do here. `make` alone prints the list.

MODEL   ?= efficientnet_b1_pruned
MODELS  := efficientnet_b1_pruned efficientnet_b2_pruned efficientnet_b3_pruned
PICTURE ?= cmd/vkinfer/testdata/demo/flower.jpg
DRIVERS ?= $(CURDIR)/build/drivers
# The drivers of make conformance, those that take long first; scripts/with-driver.sh lists all (lavapipe25 compiles slowly).
SETS ?= swiftshader trixie system lavapipe-width4 lavapipe-width16 both
# How long each fuzz target runs.
FUZZTIME ?= 5m
# Which faults make mutation tries (all that match), and its table's form (text, md).
FAULTS ?= .
FORMAT ?= text
# Options of bench/peers/peers.py, bench/peers/pipeline.py and scripts/gpu-report.sh (--help lists them).
PEERS_FLAGS ?=
PIPELINE_FLAGS ?=
GPU_FLAGS   ?=
# Options of tests/soak (-n 10000, -source tar; -help lists them).
SOAK_FLAGS  ?=
# Further flags for every go test here: make test TESTFLAGS=-v
TESTFLAGS ?=

# The version control stamp of the program, except where git refuses to look (a clone owned by another user).
BUILDVCS := $(if $(shell git rev-parse HEAD 2>/dev/null),auto,false)

# Mesa compiles slowly and caches well. One cache per driver, in here, so that tests leave no trace elsewhere.
cache = mkdir -p build/shader-cache/$(1) && MESA_SHADER_CACHE_DIR="$(CURDIR)/build/shader-cache/$(1)"

# Compiled pipelines too. Subcommands keep them in the user's cache.
test test-short test-device device-ops device-others conformance mutation race soak: export VKINFER_PIPELINE_CACHE = $(CURDIR)/build/pipelines

# Packages whose tests reach a Vulkan driver, by way of the only package with cgo; and the others.
reach = go list -f '{{.ImportPath}} {{join .Deps " "}} {{join .TestImports " "}} {{join .XTestImports " "}} ' ./...
device_packages = $$($(reach) | awk '/vkinfer\/gpu / {print $$1}')
pure_packages   = $$($(reach) | awk '!/vkinfer\/gpu / {print $$1}')
gotest = go test -timeout 30m $(TESTFLAGS)
# Of the latter those that start goroutines, tests included: elsewhere the race detector has nothing to see.
race_packages = $$(for p in $(pure_packages); do \
	grep -qE '^[^/]*(\bgo (func|[a-zA-Z_.]+\()|\.Go\(|\.Parallel\()' $$(go list -f '{{.Dir}}' $$p)/*.go && echo $$p; done)

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/vkinfer
	@mkdir -p bin
	go build -buildvcs=$(BUILDVCS) -o bin/vkinfer ./cmd/vkinfer

.PHONY: run
run: ## install what is missing, build, get weights, classify a picture (MODEL=, PICTURE=)
	@scripts/install-deps.sh build
	@$(MAKE) --no-print-directory build
	@scripts/install-deps.sh run
	@scripts/demo.sh "$(MODEL)" "$(PICTURE)"

# The validation layers are there after install-deps; whatever they say fails a test.
.PHONY: test
test: export VKINFER_VALIDATION = 1
test: ## run all tests on the system's Vulkan driver, and with the race detector (the first time up to half an hour, as drivers compile)
	@scripts/install-deps.sh build test
	@$(MAKE) --no-print-directory vet test-pure test-device race

.PHONY: test-short
test-short: ## run the quick tests, on whatever driver is there
	$(call cache,system) $(gotest) -short ./...

.PHONY: test-pure
test-pure: ## run the tests that need no Vulkan
	$(gotest) $(pure_packages)

# TestOps mostly waits for the one thread in which a driver of Mesa compiles, as do the other tests: two processes share the
# cores better. -count=1: go's test cache does not know which driver ran.
.PHONY: test-device device-ops device-others
test-device: ## run the tests that use Vulkan on the system's driver (or that of VK_DRIVER_FILES)
	@$(MAKE) --no-print-directory -j2 $(if $(findstring -run,$(TESTFLAGS)),,device-ops) device-others

device-ops:
	$(call cache,system) $(gotest) -count=1 -run '^TestOps$$' ./tests

device-others:
	$(call cache,system) $(gotest) -count=1 $(if $(findstring -run,$(TESTFLAGS)),,-skip '^TestOps$$') $(device_packages)

.PHONY: conformance
conformance: ## run the device and conformance tests on all drivers of SETS, JOBS (2) at a time (the first time up to an hour, as drivers compile)
	@scripts/install-deps.sh build test
	@scripts/conformance.sh "$(DRIVERS)" "$(SETS)" -timeout 30m $(TESTFLAGS)

.PHONY: race
race: ## run the tests that need no Vulkan, of packages with goroutines and the facade, with the race detector
	$(gotest) -short -race $(race_packages) .

.PHONY: vet
vet: ## run go vet
	go vet ./...

.PHONY: lint
lint: ## run staticcheck, and gofmt as a check
	go tool staticcheck ./...
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not gofmt'ed: $$unformatted"; exit 1; }

.PHONY: generate
generate: ## compile the shaders to the committed SPIR-V (glslangValidator)
	go generate ./shaders/...

.PHONY: generate-check
generate-check: ## check that the committed SPIR-V is what the shaders compile to
	@scripts/generate-check.sh

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (5m), one after the other
	@grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r target; do \
			echo "== $$(dirname "$$file") $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" || exit 1; \
		done || exit 1; \
	done

.PHONY: verify
verify: build ## check the device: layers, networks, replays, invariances, switches, for every model
	bin/vkinfer verify $(MODELS)

.PHONY: bench
bench: build ## measure every model on the best device, batch 1 and 8
	bin/vkinfer bench $(MODELS) -b 1,8 -o md

# Its own shader cache: the kernels with faults are of no use to others.
.PHONY: mutation
mutation: ## put about 100 faults into kernels, planner and recorder; every one must be noticed (FAULTS=regexp, FORMAT=md)
	@scripts/install-deps.sh build test
	$(call cache,mutation) go run ./tests/mutation -drivers "$(DRIVERS)" -run "$(FAULTS)" -o "$(FORMAT)"

.PHONY: soak
soak: build ## 100,000 tiny pictures through classify: no row lost or repeated, memory bounded (SOAK_FLAGS=; about half an hour without a GPU)
	$(call cache,system) go run ./tests/soak $(SOAK_FLAGS)

.PHONY: peers
peers: build ## measure vkinfer beside PyTorch, ONNX Runtime and ncnn, with ratios (PEERS_FLAGS=)
	@bench/peers/setup.sh build/peers/venv
	@$(call cache,system) bench/peers/peers.py --vkinfer bin/vkinfer --python build/peers/venv/bin/python --json build/peers/peers.json $(PEERS_FLAGS)

.PHONY: pipeline
pipeline: build ## measure the way from JPEG files to classes beside timm with PyTorch, and decoding, exact and fast, beside Pillow (PIPELINE_FLAGS=)
	@bench/peers/setup.sh build/peers/venv
	@$(call cache,system) bench/peers/pipeline.py --vkinfer bin/vkinfer --python build/peers/venv/bin/python $(PIPELINE_FLAGS)

.PHONY: peers-test
peers-test: ## test what compares the peers (Python 3, no packages)
	python3 -m unittest discover bench/peers

# Not after build: the machine may have no Go. VKINFER= names the program.
.PHONY: gpu-report
gpu-report: ## everything about a GPU machine in one go, under bench/results (GPU_FLAGS=, VKINFER=)
	@scripts/gpu-report.sh $(GPU_FLAGS)

.PHONY: drivers
drivers: ## unpack drivers that need no GPU, and newer shader tools, under build/drivers
	scripts/get-drivers.sh "$(DRIVERS)"

.PHONY: clean
clean: ## remove what was built; fetched weights stay in the cache
	rm -rf bin build
