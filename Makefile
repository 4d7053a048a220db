# Everything there is to do with this tree. On a fresh machine with Go and make:
# `make demo` shows it, `make test` proves it.

VERSION := $(shell git describe --tags --match 'v*' 2>/dev/null | sed 's/^v//')
VERSION := $(or $(VERSION),0.1.0-dev)
COMMIT  := $(or $(shell git rev-parse --short HEAD 2>/dev/null),unknown)

BUILD     = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)'
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
CHECKERS  = ./.ci/arrows ./.ci/binary
TOOL      = go tool -modfile=.ci/tools/go.mod
LINT      = $(TOOL) golangci-lint

# The race detector and bubbles of virtual time do not go together yet, and real
# nodes are other processes: it sees the packages whose tests have neither. The simulator
# has one goroutine a run.
RACED = $(shell go list -race -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | grep -v -e testing/synctest -e /cmd/ -e '/scenarios ' -e /scenarios/demo -e /scenarios/bare -e /scenarios/sim | cut -d' ' -f1)

.PHONY: help build test race soak client check lint demo demo-stop sim bench docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/orch, static
	$(BUILD) -o bin/orch ./cmd/orch

test: build ## all tests; those in scenarios start real nodes on loopback
	ORCH_BIN=$(CURDIR)/bin/orch go test -timeout 10m ./... $(CHECKERS)

race: ## the tests of one process once more, under the race detector
	go test -race -timeout 10m $(RACED)

# What make soak does; with RACE=1 the agents are built with the race detector. Without
# SEED the clock gives one. A run that fails says which, and how to repeat it.
MINUTES ?= 30
FAULTS  ?= 300
NODES   ?= 7
JOBS    ?= 40
ROUNDS  ?= 6
SEED    ?= 0
SOAKED   = $(CURDIR)/bin/orch$(if $(filter-out 0,$(RACE)),-race)

soak: build ## break nodes for MINUTES=30 in FAULTS=300 ways, and look (NODES=7 JOBS=40 ROUNDS=6 SEED= RACE=1)
	$(if $(filter-out 0,$(RACE)),CGO_ENABLED=1 go build -race -trimpath -o $(SOAKED) ./cmd/orch)
	ORCH_BIN=$(SOAKED) go test ./scenarios -count=1 -v -run '^TestSoak$$' -timeout 6h -args -soak.over $(MINUTES)m \
		-soak.faults $(FAULTS) -soak.nodes $(NODES) -soak.jobs $(JOBS) -soak.rounds $(ROUNDS) -soak.seed $(SEED) -soak.quiet 1m

client: build ## a Go client made of the OpenAPI document, in use against a real node
	mkdir -p .ci/client/orch
	$(TOOL) oapi-codegen -config .ci/client/config.yaml api/rest/openapi.json
	cd .ci/client && go mod tidy -diff && go vet ./... && ORCH_BIN=$(CURDIR)/bin/orch go test -count=1 ./...

check: build lint ## what must hold of the source: format, vet, lint, imports, modules, platforms
	go run ./.ci/arrows
	go mod tidy -diff
	@for p in $(PLATFORMS); do \
		echo "vet and build for $$p"; \
		export GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0; \
		go vet ./... && go build ./... && $(BUILD) -o .cache/orch-$$GOOS-$$GOARCH ./cmd/orch || exit 1; \
	done
	go run ./.ci/binary .cache/orch-linux-amd64 .cache/orch-linux-arm64

lint:
	@out=$$(gofmt -l api bidding cmd gossip peer runtime scenarios .ci) && if [ -n "$$out" ]; then echo "not formatted (gofmt -w):"; echo "$$out"; exit 1; fi
	@for f in $$(grep -rl --include='*_test.go' 'time\.Sleep' .); do grep -qs testing/synctest $${f%/*}/*_test.go || { echo "$$f sleeps outside virtual time: wait for what it waits for"; exit 1; }; done
	go vet ./... $(CHECKERS)
	$(LINT) run ./... $(CHECKERS)

demo: build ## five nodes on this machine, a job, a death, the repair (KEEP=1 leaves them up)
	@go run ./scenarios/demo --orch bin/orch $(if $(filter-out 0,$(KEEP)),--keep)

demo-stop: ## end what make demo KEEP=1 left up
	@go run ./scenarios/demo --stop

RUNS ?= 1000

sim: ## simulate clusters in chaos, RUNS=1000 from SEED=0: the same seed, the same run
	go run ./scenarios/sim/run --runs $(RUNS) --seed $(SEED)

bench: build ## measure: repair, forming a cluster of thirty, idle cost, and the cores
	ORCH_BIN=$(CURDIR)/bin/orch go test -run '^$$' -bench . -timeout 30m ./...

docs: ## .github/commands.md, from the help of the commands
	UPDATE_DOCS=1 go test -count=1 -run '^TestDocs$$' ./cmd/orch

clean: ## remove what was built
	rm -rf bin .cache .ci/client/orch
