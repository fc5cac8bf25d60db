#!/usr/bin/env bash
# Gives a clone another module path, builds every module of it, runs its quick tests, and takes the path back: then
# nothing may differ.
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
make --no-print-directory test-quick
make --no-print-directory module PATH="$old"
git diff --exit-code --stat
