# Lockstep. "make" lists the tasks.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GOFLAGS_TEST ?= -race -shuffle=on
BIN := $(CURDIR)/bin
GOLANGCI := $(BIN)/golangci-lint
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)
# What is compiled for browsers.
BROWSER := ./app ./cmd/wasm ./components ./counter ./counter/idbcounter ./htmx ./live ./live/jslive ./presence \
  ./pubsub ./pubsub/driver ./pubsub/jspubsub ./pubsub/mempubsub

.PHONY: help run dev replicas generate check lint fmt test test-quick e2e chaos attack load drain fuzz bench bench-peers wasm deps clean \
  deploy-test image dist dist-check vuln

help: ## list the tasks, and how long they take on two cores (at once)
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: ## start the app on http://localhost:8000 (a few seconds; the first time a minute)
	go run ./cmd/web

replicas: ## start three replicas behind a balancer on http://localhost:8000 (as run)
	go run ./cmd/web -replicas 3

dev: ## start the app, and have its open tabs show each change of a source (a few seconds each)
	go run ./tools/dev

generate: ## write generated code and the browser bundle anew (some seconds)
	go tool templ generate -include-version=false -path components
	go generate ./...

wasm: deps ## compile the application for browsers; print what it weighs and how fast it starts (a minute)
	go generate ./static
	cd static && go run ./build -sizes
	LOCKSTEP_TEST_REQUIRE=1 go test -run '^$$' -bench '^BenchmarkStartInTheBrowser$$' -benchtime 5x ./e2e

check: lint test-quick test ## all that CI runs (about twenty minutes)

lint: $(GOLANGCI) ## vet, format, linters, freshness of generated code (2 minutes; 10 when nothing is built yet)
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	go vet ./...
	cd bench && go vet ./... && go mod tidy -diff
	cd deploy && go vet ./... && go mod tidy -diff
	GOOS=js GOARCH=wasm go vet $(BROWSER)
	$(GOLANGCI) run
	GOOS=js GOARCH=wasm $(GOLANGCI) run $(BROWSER)
	go mod verify
	go mod tidy -diff
	./internal/fresh.sh

fmt: ## format everything (some seconds)
	gofmt -w $$(git ls-files '*.go')
	go tool templ fmt components

# Two browsers and a dozen servers have the machine for themselves.
test: deps ## install what tests need, and run every test against real servers (about fifteen minutes)
	LOCKSTEP_TEST_REQUIRE=1 go test $(GOFLAGS_TEST) -timeout 20m $$(go list ./... | grep -v /e2e$$)
	LOCKSTEP_TEST_REQUIRE=1 go test $(GOFLAGS_TEST) -timeout 20m ./e2e
	go test -count=1 ./internal/arch
	cd deploy && LOCKSTEP_TEST_REQUIRE=1 go test -shuffle=on ./...

test-quick: ## run the tests that need nothing but Go, and start no server and no browser (under a minute)
	go test -short ./...

e2e: deps ## run only the tests of whole processes, in real browsers (about eight minutes)
	LOCKSTEP_TEST_REQUIRE=1 go test -count=1 -v -timeout 20m ./e2e/...

chaos: deps ## let every fault loose on running replicas, and print the matrix (about ten minutes)
	LOCKSTEP_TEST_REQUIRE=1 LOCKSTEP_CHAOS=full LOCKSTEP_CHAOS_TABLE=$(CURDIR)/docs/chaos-table.md \
	  go test -count=1 -timeout 40m -parallel $${PARALLEL:-4} -run '^(TestChaos|TestNothingLeaks|TestAStalledTab.*)$$' ./e2e
	LOCKSTEP_SEEDS=$${SEEDS:-1000} go test -count=1 -timeout 20m -run '^(TestTheInvariantsHold|TestEachMechanismIsNeeded)$$' ./app
	@cat docs/chaos-table.md

attack: deps ## let every attack loose on the program, with and without the guards against it (about fifteen minutes)
	LOCKSTEP_TEST_REQUIRE=1 LOCKSTEP_ATTACK=full LOCKSTEP_ATTACK_TABLE=$(CURDIR)/docs/attack-table.md \
	  go test -count=1 -timeout 40m -run '^TestAttacks$$' ./e2e
	@cat docs/attack-table.md

load: ## open 3,000 tabs on three replicas, click in them, write bin/load.html (a minute)
	go build -o $(BIN)/ ./cmd/web ./tools/loadgen
	@$(BIN)/web -addr localhost:8600 -replicas 3 -store mem: >$(BIN)/load.log 2>&1 & server=$$!; trap 'kill $$server' EXIT; \
	$(BIN)/loadgen -wait 10s -browsers 3000 -ramp 6s -rate 50 -duration 20s -churn 5 -slow 0.01 -hidden 0.1 \
	  -expect 'lost=0,twice=0,stale=0,converge<1s' -json $(BIN)/load.json -html $(BIN)/load.html \
	  http://localhost:8601 http://localhost:8602 http://localhost:8603

drain: deps ## move 10,000 tabs between replicas behind nginx, and say how fast they come (about six minutes)
	LOCKSTEP_TEST_REQUIRE=1 DRAIN_TABS=$${DRAIN_TABS:-10000} go test -timeout 40m -run '^$$' -bench '^BenchmarkDrain$$' -benchtime 1x ./e2e

fuzz: ## fuzz every parser for FUZZTIME each (default 30s); those whose name has FUZZ in it (about ten minutes)
	@failed=; for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p | grep -E "^Fuzz.*($${FUZZ:-})" || true); do \
	    echo "$$p $$f"; \
	    go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $${FUZZTIME:-30s} -fuzzminimizetime 1s $$p || failed="$$failed $$f"; \
	  done; done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

bench-peers: ## measure Lockstep beside its peers and write(2), into docs/benchmarks.md (about half an hour)
	cd bench && go run . -tabs $${TABS:-1000,10000} -rooms 1,16 -runs $${RUNS:-3} -markdown ../docs/benchmarks.md -svg ../docs/images/benchmarks.svg

bench: ## run the benchmarks (about ten minutes)
	go test -run '^$$' -bench . -benchmem ./...

deploy-test: deps ## check what Lockstep is deployed with: Dockerfile, compose, Kubernetes, nginx, alerts (about two minutes)
	cd deploy && LOCKSTEP_TEST_REQUIRE=1 go test -count=1 -v ./...

image: ## build the images for docker, the server and the load generator (a few minutes)
	docker build --build-arg VERSION=$(VERSION) -t lockstep:$(VERSION) .
	docker build --build-arg VERSION=$(VERSION) -t lockstep-loadgen:$(VERSION) --target loadgen .

dist: $(BIN)/cyclonedx-gomod ## build the programs for all platforms into bin/dist, with checksums and bills of materials (about ten minutes)
	cd deploy && go run ./release -version $(VERSION) -time $$(git log -1 --format=%ct) -sbom $< -out $(BIN)/dist

# A clone in another folder and an empty cache must give the same bytes.
dist-check: $(BIN)/cyclonedx-gomod ## build one platform twice, and compare (about five minutes)
	@set -x; there=$$(mktemp -d); trap 'chmod -R u+w $$there; rm -rf $$there' EXIT; \
	git clone -q . $$there/clone; \
	args="-version check -time 0 -platforms linux/amd64 -sbom $<"; \
	(cd deploy && go run ./release $$args -root $$there/clone -out $$there/a); \
	mv $$there/clone $$there/other; \
	(cd deploy && GOCACHE=$$there/cache go run ./release $$args -root $$there/other -out $$there/b); \
	diff $$there/a/SHA256SUMS $$there/b/SHA256SUMS

vuln: $(BIN)/cyclonedx-gomod $(BIN)/govulncheck ## check licences and known vulnerabilities (VULNDB=URL: a mirror of vuln.go.dev; a minute)
	./internal/vuln.sh

deps: ## install the Debian packages that tests use (a few minutes; at once when they are there)
	./internal/deps.sh

$(GOLANGCI): tools.mod tools.sum
	go build -modfile=tools.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BIN)/cyclonedx-gomod: tools.mod tools.sum
	go build -trimpath -buildvcs=false -modfile=tools.mod -o $@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

$(BIN)/govulncheck: tools.mod tools.sum
	go build -modfile=tools.mod -o $@ golang.org/x/vuln/cmd/govulncheck

clean: ## remove what was built (at once)
	rm -rf bin
