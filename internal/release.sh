#!/usr/bin/env bash
# Prepares and checks a version of all modules in this tree. docs/releasing.md says when.
#
#   internal/release.sh set v0.1.0     make the modules ask for this version of each other
#   internal/release.sh check v0.1.0   fail if something of it is missing; print the tags that it needs
set -euo pipefail
cd "$(dirname "$0")/.."
does=${1:?set or check} version=${2:-}
[[ $version =~ ^v0\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?$ ]] || { echo "VERSION=$version is not v0.x.y" >&2; exit 2; }
module=$(sed -n 's/^module //p' go.mod)
mods() { git ls-files | grep -E '(^|/)go\.mod$'; }

# siblings prints the lines of a go.mod file that ask for modules of this tree.
siblings() { sed -nE "s#^(require)?[[:space:]]*($module(/[^ ]*)?) (v[^ ]*).*#\2@\4#p" "$1"; }

set_versions() {
  local mod asked
  for mod in $(mods); do
    for asked in $(siblings "$mod"); do
      go mod edit -require="${asked%@*}@$version" "$mod"
    done
  done
}

bad=0
complain() { echo "$*" >&2; bad=1; }

check() {
  local mod asked folder
  [ -z "$(git status --porcelain)" ] || complain "there are changes that are not committed"
  grep -q "^## \[${version#v}\]" CHANGELOG.md || complain "CHANGELOG.md has no heading for ${version#v}"
  grep -rqF "\"${version#v}\"" internal/version || complain "version.Next in internal/version is not ${version#v}"
  [[ $module == *.*/* ]] || complain "the module is called $module, which nobody can fetch: make module PATH=..."
  for mod in $(mods); do
    for asked in $(siblings "$mod"); do
      [ "${asked#*@}" = "$version" ] || complain "$mod asks for $asked: internal/release.sh set $version"
    done
  done
  [ "$bad" = 0 ] || exit 1
  for mod in $(mods); do
    folder=$(dirname "$mod")
    echo "${folder#.}/$version"
  done | sed 's#^/##'
}

case $does in
set) set_versions ;;
check) check ;;
*) echo "release.sh $does? There are set and check" >&2; exit 2 ;;
esac
