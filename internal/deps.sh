#!/usr/bin/env bash
# Installs what the tests need beyond Go: redis-server, PostgreSQL, PgBouncer,
# RabbitMQ, nginx, HAProxy, Apache, Caddy, Chromium, slowhttptest, promtool, node and gcc. With "node" it installs only that,
# with "lint" what the linters of scripts need: node and npm; with "image" what BuildKit needs.
# Does nothing when all is there. Elsewhere than on Debian it says what is
# missing and lets the tests decide.
set -euo pipefail

sudo=""
if [ "$(id -u)" != 0 ]; then
  sudo="sudo"
fi

for_what="${1:-tests}"
missing=()
[ "$for_what" = image ] || command -v node >/dev/null || missing+=(nodejs)

for_node() {
  : # it is all
}

for_lint() {
  command -v npm >/dev/null || missing+=(npm)
}

for_image() {
  command -v runc >/dev/null || [ -x /usr/sbin/runc ] || missing+=(runc)
  command -v busybox >/dev/null || missing+=(busybox-static)
}

for_tests() {
  command -v "${CC:-gcc}" >/dev/null || missing+=(gcc libc6-dev) # for the race detector
  command -v redis-server >/dev/null || missing+=(redis-server)
  command -v redis-cli >/dev/null || missing+=(redis-tools)
  command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql)
  command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer)
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null || missing+=(rabbitmq-server)
  command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
  command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing+=(haproxy)
  command -v apache2 >/dev/null || [ -x /usr/sbin/apache2 ] || missing+=(apache2)
  command -v caddy >/dev/null || missing+=(caddy)
  command -v promtool >/dev/null || missing+=(prometheus)
  command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
  command -v slowhttptest >/dev/null || missing+=(slowhttptest)
}

"for_$for_what"

# Firefox ESR is wanted, not needed: its tests are skipped where apt does not
# have it.
firefox() {
  [ "$for_what" = tests ] || return 0
  ! command -v firefox-esr >/dev/null || return 0
  command -v apt-get >/dev/null || return 0
  if ! apt-cache show firefox-esr >/dev/null 2>&1; then
    echo "apt does not know firefox-esr: its tests are skipped" >&2
    return 0
  fi
  echo "installing firefox-esr"
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends firefox-esr >/dev/null ||
    echo "firefox-esr can't be installed: its tests are skipped" >&2
}
[ "${#missing[@]}" -gt 0 ] || firefox

[ "${#missing[@]}" -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "please install: ${missing[*]} (this script knows apt-get only)" >&2
  exit 0
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The servers are started by the tests, on free ports; none is to run as a
# service. policy-rc.d says so to the package scripts, where nobody else does.
policy=/usr/sbin/policy-rc.d
made=""
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod +x "$policy"
  made=yes
fi
cleanup() { [ -z "$made" ] || $sudo rm -f "$policy"; }
trap cleanup EXIT
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
firefox # now apt knows what there is
