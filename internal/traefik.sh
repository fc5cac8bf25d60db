#!/usr/bin/env bash
# Builds Traefik for the tests, at the path that is given. Debian does not have it, and "go install"
# takes no module that replaces others: so it is built where Go has unpacked it. Later versions need a
# fork that the proxy of modules does not have.
set -euo pipefail

version=v3.6.0
out=$(realpath "$1")
cd "$(go mod download -json "github.com/traefik/traefik/v3@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')"
GOWORK=off GOFLAGS=-mod=readonly go build -trimpath -ldflags '-s -w' -o "$out" ./cmd/traefik
