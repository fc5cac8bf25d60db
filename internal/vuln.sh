#!/usr/bin/env bash
# Checks what the programs are made of: that every licence is one of the
# allowed, and that no known vulnerability is reached. The vulnerabilities are
# those of vuln.go.dev, or of a mirror of it whose URL is in VULNDB (https:// or
# file://).
set -euo pipefail
cd "$(dirname "$0")/.."

module=$(GOWORK=off go list -m)
for program in cmd/web tools/loadgen; do
  bill=$(GOWORK=off bin/cyclonedx-gomod app -json -licenses -std -noserial -notimestamp "$program" 2>/dev/null)
  (cd deploy && go run ./licences "$module") <<<"$bill"
done

database=()
[ -z "${VULNDB:-}" ] || database=(-db "$VULNDB")

# scan passes on what govulncheck says: 3 means that it found something.
scan() {
  local said status=0
  said=$(bin/govulncheck "${database[@]}" "$@" 2>&1) || status=$?
  if [[ $status != 0 && $said == *"fetching vulnerabilities"* ]]; then
    echo "vuln: no vulnerabilities were looked for, because ${VULNDB:-https://vuln.go.dev} can't be reached; VULNDB=URL names a mirror" >&2
    exit 1
  fi
  echo "$said"
  [ "$status" = 0 ] || exit "$status"
}
scan work
GOOS=js GOARCH=wasm scan ./cmd/wasm
