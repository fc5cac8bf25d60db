#!/usr/bin/env bash
# Fails when generated files are not what their sources give, or when a compiled program is
# committed: they made nine tenths of the history once.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "$(git ls-files -- '*.wasm*' static/program)" ]; then
  echo "a compiled program is committed: it is made by static/wasmbuild where it is needed" >&2
  exit 1
fi
snapshot() { git ls-files -co --exclude-standard -- '*_templ.go' static/constants.js static/dist docs/outside | sort | xargs -r sha256sum; }
before=$(snapshot)
make --no-print-directory generate >/dev/null 2>&1
after=$(snapshot)
if [ "$before" != "$after" ]; then
  echo "generated files are stale: run 'make generate' and commit" >&2
  diff <(echo "$before") <(echo "$after") >&2 || true
  exit 1
fi
