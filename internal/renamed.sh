#!/usr/bin/env bash
# Gives a clone another module path, compiles every module of it with its tests, runs the quick tests that read names,
# and takes the path back: then nothing may differ.
set -euo pipefail
cd "$(dirname "$0")/.."
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
git clone -q . "$there/clone"
cd "$there/clone"
old=$(sed -n 's/^module //p' go.mod)
make --no-print-directory module PATH=example.org/x/lockstep
git ls-files | grep -E '(^|/)go\.mod$' | while read -r mod; do
  (cd "$(dirname "$mod")" && go vet ./...)
done
# These read the names of packages, and what is made of them: the tree, documents, scripts, programs. To all other code
# a path is only where its imports are, and those have just been compiled.
go test -short ./internal/... ./static/... ./tools/... ./app/web ./cmd/web
(cd deploy && go test -short ./licences)
make --no-print-directory module PATH="$old"
git diff --exit-code --stat
