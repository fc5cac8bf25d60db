#!/usr/bin/env bash
# Tries the two commands that README begins with, from nothing:
#
#   internal/bare.sh root [run] [test]   in a new root with only Go, make, git and apt; needs root and a Debian machine
#   internal/bare.sh clone [run] [test]  in a fresh clone on this machine, with an empty home
#   internal/bare.sh here [run] [test]   in this folder
#
# "run" is "go run ./cmd/web" until it has served the page, "test" is "make test"; without either it is both. ADDR is the
# address that the page is asked for at; by default the one that README names.
set -euo pipefail
cd "$(dirname "$0")/.."
where=${1:?root, clone or here}
shift
[ "$#" -gt 0 ] || set -- run test

# serves asks for the page once, with nothing but bash.
serves() {
  local host=${ADDR:-localhost:8000}
  exec 3<>"/dev/tcp/${host%:*}/${host##*:}" || return 1
  printf 'GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$host" >&3
  grep -q 'id="counter"' <&3
} 2>/dev/null

try_run() {
  local began=$SECONDS pid
  ! (serves) || { echo "something answers at ${ADDR:-localhost:8000} already" >&2; return 1; }
  setsid go run ./cmd/web &
  pid=$!
  # go run does not hand SIGTERM on: the signal is for the group.
  trap 'kill -TERM -- -'"$pid"' 2>/dev/null || true' EXIT
  until (serves); do
    kill -0 "$pid" 2>/dev/null || { echo "go run ./cmd/web ended before it served the page" >&2; return 1; }
    [ $((SECONDS - began)) -lt 900 ] || { echo "go run ./cmd/web: no page within 15 minutes" >&2; return 1; }
    sleep 1
  done
  echo "go run ./cmd/web: the page was there after $((SECONDS - began)) s"
  kill -TERM -- -"$pid"
  wait "$pid" || true
  until ! (serves); do sleep 0.2; done
  trap - EXIT
}

try_test() {
  local began=$SECONDS
  make test
  echo "make test: passed after $((SECONDS - began)) s"
}

in_clone() {
  there=$(mktemp -d)
  trap 'rm -rf "$there"' EXIT
  git clone -q . "$there/lockstep"
  (
    cd "$there/lockstep"
    GOPATH=$(go env GOPATH) GOCACHE=$(go env GOCACHE) GOENV=$(go env GOENV) HOME="$there" internal/bare.sh here "$@"
  )
}

# in_root makes a Debian of the release that this machine has, from the mirror that its apt uses.
in_root() {
  local mirror release
  root=$(mktemp -d)
  chmod 755 "$root" # PostgreSQL runs as a user of its own
  trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
  command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap
  read -r mirror release < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 'Label: Debian' 'Component: main')
  debootstrap --variant=minbase --include=make,git,ca-certificates "$release" "$root" "$mirror" >"$root.log" ||
    { tail "$root.log" >&2; return 1; }
  cp -rL /etc/resolv.conf /etc/hosts "$root/etc/"
  # This machine may have to trust an authority of its own.
  cp --remove-destination /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  cp -r "$(go env GOROOT)" "$root/usr/local/go"
  git clone -q . "$root/root/lockstep"
  # In namespaces of its own, what was started and mounted goes when it ends.
  unshare --mount --pid --fork --kill-child bash -eu -c '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/dev/shm"
    exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      GOPROXY="$(go env GOPROXY)" GOSUMDB="$(go env GOSUMDB)" ${ADDR:+ADDR="$ADDR"} /root/lockstep/internal/bare.sh here "$@"
  ' _ "$root" "$@"
}

case $where in
root) in_root "$@" ;;
clone) in_clone "$@" ;;
here) for what in "$@"; do "try_$what"; done ;;
*) echo "where is $where? There are root, clone and here" >&2; exit 2 ;;
esac
