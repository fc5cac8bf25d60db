#!/usr/bin/env bash
# Builds BuildKit, which builds images, into the folder that is given: of the version that deploy/go.mod has, whose parser
# checks the Dockerfile. It needs no engine.
set -euo pipefail
out=$(realpath "$1")
version=$(cd "$(dirname "$0")/../deploy" && GOWORK=off go list -m -f '{{.Version}}' github.com/moby/buildkit)
cd "$(go mod download -json "github.com/moby/buildkit@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')"
GOWORK=off GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$out/" ./cmd/buildkitd ./cmd/buildctl
