#!/usr/bin/env bash
# Runs "go test -race" with the arguments it is given, flags before packages. Go's race detector crashes now and then in a
# bubble of testing/synctest (golang/go#78156): "SIGSEGV" or "CHECK failed", in code of its own and at no line of ours. A
# package in which just that has happened, no test has failed and no race was found is run again, twice at most.
set -uo pipefail
flags=() packages=()
for arg in "$@"; do
  case $arg in
  -*) flags+=("$arg") ;;
  *) packages+=("$arg") ;;
  esac
done
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for try in 1 2 3; do
  go test -race "${flags[@]}" "${packages[@]}" 2>&1 | tee "$log"
  code=${PIPESTATUS[0]}
  [ "$code" -ne 0 ] || exit 0
  # What a package has printed stands before the line with its name.
  crashed=$(awk '
    /^ok  \t|^\?   \t/ { bad = crash = fault = 0; next }
    /^FAIL\t/ { if (crash && !bad) print $2; else failed = 1; bad = crash = fault = 0; next }
    /^SIGSEGV: segmentation violation/ { fault = 1 }
    fault && /^goroutine 0 .*synctest bubble/ || /ThreadSanitizer: CHECK failed/ { crash = 1 }
    /^ *--- FAIL|DATA RACE|^panic:/ { bad = 1 }
    END { if (failed) print "failed" }' "$log")
  case " $(echo $crashed) " in
  "  " | *" failed "*) exit "$code" ;;
  esac
  [ "$try" -lt 3 ] || exit "$code"
  echo "the race detector has crashed (golang/go#78156), and is run again on: $(echo $crashed)"
  packages=($crashed)
done
