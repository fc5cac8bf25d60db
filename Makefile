# Lockstep. "make" lists the tasks.
# In "make module PATH=..." it is the module that has a new path, not the shell: programs are found where they were
# before. The environment that make was started with has the shell's own PATH; Linux shows it in /proc, others with ps.
ifeq ($(origin PATH),command line)
MODULE_PATH := $(PATH)
SHELL := /bin/bash
override PATH := $(shell if [ -r /proc/$$PPID/environ ]; then while IFS= read -r -d '' v; do \
  [[ $$v != PATH=* ]] || printf %s "$${v:5}"; done </proc/$$PPID/environ; \
  else /bin/ps eww -o command= -p $$PPID | /usr/bin/sed -E 's/.* PATH=([^ ]*).*/\1/'; fi)
export PATH
endif

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GOFLAGS_TEST ?= -shuffle=on
# How many tests of whole processes and browsers run at once: they wait more than they compute. Tests that measure time
# run before, each alone.
E2E_PARALLEL ?= 2
BIN := $(CURDIR)/bin
GOLANGCI := $(BIN)/golangci-lint
TEMPL := $(BIN)/templ
ESBUILD := $(BIN)/esbuild
NODE_MODULES := node_modules/.package-lock.json
# Modules that the workspace of the root (go.work) leaves out.
APART := bench deploy e2e
MODULES := $(shell git ls-files '*go.mod' | xargs -n1 dirname)
# A tag, or the next version and the revision: names of images have no "+".
NEXT = $(shell sed -n 's/^const Next = "\(.*\)"/\1/p' internal/version/version.go)
VERSION ?= $(shell git describe --tags --exact-match --match 'v*' 2>/dev/null || echo v$(NEXT)-dev.$$(git rev-parse --short=12 HEAD))
# What is compiled for browsers.
BROWSER := . ./app ./cmd/wasm ./app/pages ./components ./components/gallery ./histogram ./htmx ./live ./live/jslive ./live/jsmain ./presence \
  ./pubsub ./pubsub/driver ./pubsub/jspubsub ./pubsub/mempubsub ./roster ./soft ./state ./state/idbstate ./state/memstate

# What may run where integers have 32 bits.
PORTABLE := ./state/... ./app ./live/... ./pubsub ./presence ./roster ./htmx ./internal/limit

.PHONY: help run dev replicas generate check lint fmt test test-quick e2e chaos attack lighthouse screenshots load drain fuzz bench bench-peers bench-lists bench-stores bench-backends wasm deps clean \
  lint-js test-js deploy-test image image-push image-check dist dist-check vuln module module-check bare release-check site

help: ## list the tasks, and how long they take on two cores (at once)
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# What serves is built, and takes the place of the shell: it gets the signal that ends make. "go run" would keep it.
run: ## start the app on http://localhost:8000 (a few seconds; the first time a minute)
	go build -o $(BIN)/ ./cmd/web
	exec $(BIN)/web

replicas: ## start three replicas behind a balancer on http://localhost:8000 (as run)
	go build -o $(BIN)/ ./cmd/web
	exec $(BIN)/web -replicas 3

dev: $(ESBUILD) $(TEMPL) ## start the app, and have its open tabs show each change of a source (a few seconds each)
	go build -o $(BIN)/ ./cmd/lockstep
	exec $(BIN)/lockstep dev -generate app/pages -generate app/web -generate components -generate docs -generate serve -generate examples \
	  -generate static=htmx -ignore docs/outside -ignore static/dist -ignore static/constants.js ./cmd/web

generate: $(ESBUILD) $(TEMPL) ## write generated code and the browser bundle anew (a few seconds)
	go generate work

wasm: deps ## compile the application for browsers; print what it weighs and how fast it starts (a minute)
	cd static && go run ./wasmbuild && go run ./wasmbuild -sizes
	cd e2e && LOCKSTEP_TEST_REQUIRE=1 go test -run '^$$' -bench '^BenchmarkStartInTheBrowser$$' -benchtime 5x .

check: lint test-quick test ## all that CI runs (about twenty minutes)

lint: $(GOLANGCI) $(ESBUILD) $(TEMPL) lint-js ## vet, format, linters, freshness of generated code (2 minutes; 10 when nothing is built yet)
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	go vet work
	@for m in $(APART); do (cd $$m && echo "go vet in $$m" && go vet ./...) || exit 1; done
	GOOS=js GOARCH=wasm go vet $(BROWSER)
	$(GOLANGCI) run $$(go list -f '{{.Dir}}/...' -m)
	cd e2e && $(GOLANGCI) run
	GOOS=js GOARCH=wasm $(GOLANGCI) run $(BROWSER)
	go mod verify
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy -diff) || exit 1; done
	./internal/fresh.sh
	cd e2e && go test -run '^TestEachGuardIsInTheSource$$' . # an attack that names old code must not wait for the tests

lint-js: $(NODE_MODULES) ## check the scripts with eslint and tsc (ten seconds)
	npm run --silent lint

site: ## write documentation and gallery as files into bin/site, for any server of files (seconds)
	rm -rf $(BIN)/site
	go run ./tools/site -out $(BIN)/site

fmt: $(TEMPL) ## format everything (some seconds)
	gofmt -w $$(git ls-files '*.go')
	$(TEMPL) fmt app components docs examples serve

# Packages whose tests wait the longest begin first: at the end nobody would run beside them.
LONGEST := ./tools/loadgen/load ./state/natsstate ./state/pgstate ./state/redisstate ./state/lanetest

# Two browsers and a dozen servers have the machine for themselves.
test: deps $(ESBUILD) $(TEMPL) $(NODE_MODULES) test-js ## install what tests need, and run every test against real servers (about fifteen minutes)
	LOCKSTEP_TEST_REQUIRE=1 internal/race.sh $(GOFLAGS_TEST) -timeout=40m $(LONGEST) $$(go list work | grep -v 'lockstep/app$$')
	cd e2e && LOCKSTEP_TEST_REQUIRE=1 go test -count=1 -shuffle=on -parallel $(E2E_PARALLEL) -timeout 60m . # drives programs: a race detector would only slow down who drives
	go test -count=1 ./internal/arch
	LOCKSTEP_TEST_REQUIRE=1 go test -count=1 -shuffle=on ./app # its simulations are what the race detector crashes on: internal/short/race.go
	@if GOARCH=386 go test -run '^$$' ./htmx >/dev/null 2>&1; then set -x; GOARCH=386 go test -short $(PORTABLE); \
	else echo "this kernel runs no programs of 32 bits: they are only compiled"; GOARCH=386 go vet $(PORTABLE); fi # integers of 32 bits
	cd deploy && LOCKSTEP_TEST_REQUIRE=1 go test -shuffle=on ./...
	cd bench && LOCKSTEP_TEST_REQUIRE=1 go test -shuffle=on ./...

test-js: ## run the tests of the scripts (a second)
	./internal/deps.sh node
	node --test static/tab/*.test.js

test-quick: ## run the tests that need nothing but Go, and start no server and no browser (under a minute)
	go test -short work

e2e: deps $(ESBUILD) $(TEMPL) $(NODE_MODULES) ## run only the tests of whole processes, in real browsers (about eight minutes)
	cd e2e && LOCKSTEP_TEST_REQUIRE=1 go test -count=1 -v -parallel $(E2E_PARALLEL) -timeout 40m .

chaos: deps ## let every fault loose on running replicas, and print the matrix (about twenty-five minutes)
	cd e2e && LOCKSTEP_TEST_REQUIRE=1 LOCKSTEP_CHAOS=full LOCKSTEP_CHAOS_TABLE=$(CURDIR)/docs/chaos-table.md \
	  go test -count=1 -timeout 40m -parallel $${PARALLEL:-4} -run '^(TestChaos|TestNothingLeaks|TestAStalledTab.*)$$' .
	LOCKSTEP_SEEDS=$${SEEDS:-1000} go test -count=1 -timeout 40m -run '^(TestTheInvariantsHold|TestEachMechanismIsNeeded)$$' ./app
	LOCKSTEP_SEEDS=$${SEEDS:-1000} go test -count=1 -timeout 40m -run '^(TestTheRuleHolds|TestEachLineOf.*)$$' ./state/lanetest
	@cat docs/chaos-table.md

attack: deps ## let every attack loose on the program, with and without the guards against it (about fifteen minutes)
	cd e2e && LOCKSTEP_TEST_REQUIRE=1 LOCKSTEP_ATTACK=full LOCKSTEP_ATTACK_TABLE=$(CURDIR)/docs/attack-table.md \
	  go test -count=1 -timeout 40m -run '^TestAttacks$$' .
	@cat docs/attack-table.md

load: ## open 3,000 tabs on three replicas, click in them, write bin/load.html (a minute)
	go build -trimpath -o $(BIN)/ ./cmd/web ./tools/loadgen
	@$(BIN)/web -addr localhost:8600 -replicas 3 -break off -store mem: >$(BIN)/load.log 2>&1 & server=$$!; trap 'kill $$server' EXIT; \
	$(BIN)/loadgen -wait 10s -browsers 3000 -ramp 6s -rate 50 -duration 20s -churn 5 -slow 0.01 -hidden 0.1 \
	  -expect 'lost=0,twice=0,stale=0,converge<1s' -json $(BIN)/load.json -html $(BIN)/load.html \
	  http://localhost:8601 http://localhost:8602 http://localhost:8603

lighthouse: deps tools/lighthouse/$(NODE_MODULES) ## have Lighthouse look at the demo's pages; fail below 98 (RUNS=3 of each; two minutes)
	go build -trimpath -o $(BIN)/ ./cmd/web
	CHROME_PATH=$$(command -v chromium || command -v google-chrome) node tools/lighthouse/measure.js $(BIN)/web

screenshots: deps $(ESBUILD) $(TEMPL) ## take the pictures of README and docs anew, into docs/images (two minutes)
	cd e2e && LOCKSTEP_TEST_REQUIRE=1 LOCKSTEP_PICTURES=$(CURDIR)/docs/images go test -count=1 -timeout 20m -run '^TestPictures$$' .

drain: deps ## move 10,000 tabs between replicas behind nginx, and say how fast they come (about six minutes)
	cd e2e && LOCKSTEP_TEST_REQUIRE=1 DRAIN_TABS=$${DRAIN_TABS:-10000} go test -timeout 40m -run '^$$' -bench '^BenchmarkDrain$$' -benchtime 1x .

fuzz: ## fuzz every parser for FUZZTIME each (default 30s); those whose name has FUZZ in it (about ten minutes)
	@failed=; for p in $$(go list work); do \
	  for f in $$(go test -list '^Fuzz' $$p | grep -E "^Fuzz.*($${FUZZ:-})" || true); do \
	    echo "$$p $$f"; \
	    go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $${FUZZTIME:-30s} -fuzzminimizetime 1s $$p || failed="$$failed $$f"; \
	  done; done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

bench-peers: ## measure Lockstep beside its peers and write(2), into docs/benchmarks.md (about half an hour)
	cd bench && go build -o $(BIN)/bench . && exec $(BIN)/bench -tabs $${TABS:-1000,10000} -rooms 1,16 -runs $${RUNS:-3} -markdown ../docs/benchmarks.md -svg ../docs/images/benchmarks.svg

bench-lists: ## measure changes of lists and entries of logs, into docs/benchmarks-lists.md (about ten minutes)
	cd bench && go build -o $(BIN)/bench . && exec $(BIN)/bench -lists -tabs $${TABS:-1000,10000} -runs $${RUNS:-3} -markdown ../docs/benchmarks-lists.md

bench-stores: deps ## measure the stores beside those that counters had before, into docs/benchmarks.md (about seven minutes)
	cd bench && LOCKSTEP_TEST_REQUIRE=1 LOCKSTEP_STORES_PAGE=$(CURDIR)/docs/benchmarks.md LOCKSTEP_STORES_ROUNDS=$${ROUNDS:-9} \
	  go test -timeout 40m -run '^$$' -bench '^BenchmarkStores$$' -benchtime 1x ./former

bench-backends: deps ## measure all brokers in one run, into the table of README.md and docs/backends.md (about a minute)
	cd bench && LOCKSTEP_TEST_REQUIRE=1 LOCKSTEP_BACKENDS=$${BACKENDS:-write} go test -count=1 -timeout 20m -v -run '^TestMeasure$$' -benchtime $${BENCHTIME:-1s} ./backends
	go test ./internal/docs -update
	cd docs && go generate ./...

bench: ## run the benchmarks (about ten minutes)
	go test -run '^$$' -bench . -benchmem work

deploy-test: deps ## check what Lockstep is deployed with: Dockerfile, compose, Kubernetes, nginx, alerts (about two minutes)
	cd deploy && LOCKSTEP_TEST_REQUIRE=1 go test -count=1 -v ./...

# An image has the date of its commit, and says which one that is. SOURCE is where the sources are, for people.
IMAGE_ARGS = --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE=$(SOURCE) \
  --build-arg CREATED=$$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd) \
  --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct)
PLATFORMS ?= linux/amd64,linux/arm64
# A registry may keep what was built, modules above all, for the next time.
IMAGE_PUSH = docker buildx build $(IMAGE_ARGS) --platform $(PLATFORMS) --sbom=true --provenance=mode=max \
  --cache-from type=registry,ref=$(REGISTRY)/lockstep:cache

image: ## build the images for docker, the server and the load generator (a few minutes)
	docker build $(IMAGE_ARGS) -t lockstep:$(VERSION) .
	docker build $(IMAGE_ARGS) -t lockstep-loadgen:$(VERSION) --target loadgen .

image-push: ## build the images for two platforms, with bills of materials and provenance, and push them: REGISTRY=ghcr.io/owner (ten minutes)
	@test -n "$(REGISTRY)" || { echo "to where? make image-push REGISTRY=ghcr.io/owner" >&2; exit 2; }
	$(IMAGE_PUSH) --target loadgen --output type=image,name=$(REGISTRY)/lockstep-loadgen:$(VERSION),push=true,rewrite-timestamp=true .
	$(IMAGE_PUSH) --target web --output type=image,name=$(REGISTRY)/lockstep:$(VERSION),push=true,rewrite-timestamp=true \
	  --cache-to type=registry,ref=$(REGISTRY)/lockstep:cache,mode=max .

# Without an engine, as root.
image-check: $(BIN)/buildkitd ## build the images twice with BuildKit, in two folders, and compare (as root; about ten minutes)
	./internal/deps.sh image
	cd deploy && LOCKSTEP_IMAGE_CHECK=1 LOCKSTEP_TEST_REQUIRE=1 go test -count=1 -v -timeout 40m -run '^TestTheImageIsTheSameAgain$$' .

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

release-check: ## check that a version is complete, and print its tags: make release-check VERSION=v0.1.0 (at once)
	./internal/release.sh check $(VERSION)

vuln: $(BIN)/cyclonedx-gomod $(BIN)/govulncheck ## check licences and known vulnerabilities (VULNDB=URL: a mirror of vuln.go.dev; a minute)
	./internal/vuln.sh

# Hashes of what browsers load may change with it.
module: ## give the Go module another path everywhere: make module PATH=example.org/x/lockstep (some seconds)
	@test -n "$(MODULE_PATH)" || { echo "which path? make module PATH=example.org/x/lockstep" >&2; exit 2; }
	go run ./tools/module $(MODULE_PATH)
	$(MAKE) --no-print-directory generate

module-check: ## give a clone another module path, build and test it there, and take the path back (two minutes)
	./internal/renamed.sh

bare: ## try what README begins with in an empty Debian that has only Go, make, git and apt (as root; about half an hour)
	./internal/bare.sh root

deps: $(BIN)/nats-server $(BIN)/goaws ## install the Debian packages that tests use, and build the servers that Debian lacks (a few minutes; at once when they are there)
	./internal/deps.sh

# -modfile does not go with a workspace.
TOOL := GOWORK=off go build -modfile=tools.mod

# The linters of scripts. Nothing else needs them.
$(NODE_MODULES): package.json package-lock.json
	./internal/deps.sh lint
	npm ci
	@touch $@

# Some two hundred packages, which only "make lighthouse" needs.
tools/lighthouse/$(NODE_MODULES): tools/lighthouse/package.json tools/lighthouse/package-lock.json
	./internal/deps.sh lint
	cd tools/lighthouse && npm ci
	@touch $@

$(ESBUILD): tools.mod tools.sum
	$(TOOL) -o $@ github.com/evanw/esbuild/cmd/esbuild

$(GOLANGCI): tools.mod tools.sum
	$(TOOL) -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# Debian's is too old.
$(BIN)/nats-server: tools.mod tools.sum
	$(TOOL) -o $@ github.com/nats-io/nats-server/v2

# An emulator of SNS and SQS.
$(BIN)/goaws: tools.mod tools.sum
	$(TOOL) -o $@ github.com/Admiral-Piett/goaws/app/cmd

$(TEMPL): tools.mod tools.sum
	$(TOOL) -o $@ github.com/a-h/templ/cmd/templ

$(BIN)/cyclonedx-gomod: tools.mod tools.sum
	$(TOOL) -trimpath -buildvcs=false -o $@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

# Tests behind proxies use it where it is there.
$(BIN)/traefik:
	./internal/traefik.sh $@

$(BIN)/buildkitd: deploy/go.mod
	mkdir -p $(BIN)
	./internal/buildkit.sh $(BIN)

$(BIN)/govulncheck: tools.mod tools.sum
	$(TOOL) -o $@ golang.org/x/vuln/cmd/govulncheck

clean: ## remove what was built (at once)
	rm -rf bin static/program
