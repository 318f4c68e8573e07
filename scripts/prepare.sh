#!/bin/sh
# Prepares the checkout: `prepare.sh install` installs node_modules from package-lock.json, `prepare.sh build` also
# compiles src to dist. Does nothing, in a few milliseconds, when both are up to date. Needs only Node and npm.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"

node_needed='20.19'
lock_stamp='node_modules/.golog-package-lock.json'
build_stamp='dist/.stamp'

say() { printf '%s\n' "$*" >&2; }

check_node() {
  if ! found=$(node --version 2>/dev/null); then
    say "golog needs Node.js $node_needed or newer; 'node' is not in PATH. Install Node.js first."
    exit 1
  fi
  found=${found#v}
  major=${found%%.*}
  minor=${found#*.}
  minor=${minor%%.*}
  if [ "$major" -lt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -lt 19 ]; }; then
    say "golog needs Node.js $node_needed or newer; 'node' in PATH is $found ($(command -v node))."
    exit 1
  fi
}

installed() { cmp -s package-lock.json "$lock_stamp"; }

built() {
  [ -f "$build_stamp" ] && [ -f dist/bundle/golog.js ] &&
    [ -z "$(find src scripts/bundle.js package.json package-lock.json tsconfig.json tsconfig.build.json -newer "$build_stamp" -print 2>/dev/null | head -n 1)" ]
}

install() {
  command -v npm >/dev/null || { say "golog needs npm, which comes with Node.js; 'npm' is not in PATH."; exit 1; }
  say 'Installing dependencies (npm ci) …'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json "$lock_stamp"
}

build() {
  say 'Compiling …'
  mkdir -p dist
  started="dist/.started.$$"
  : >"$started"
  { node node_modules/typescript/bin/tsc -p tsconfig.build.json && node scripts/bundle.js; } >&2 ||
    { rm -f "$started"; exit 1; }
  mv -f "$started" "$build_stamp"
}

# Two starts at the same time must not install at once. Without flock(1) there is no protection against that.
with_lock() {
  if command -v flock >/dev/null 2>&1; then
    exec 9>.stamp-lock
    flock 9
  fi
}

check_node
case "${1-}" in
  install) installed || { with_lock; installed || install; } ;;
  build)
    installed && built && exit 0
    with_lock
    installed || install
    built || build
    ;;
  *)
    say 'usage: prepare.sh install|build'
    exit 2
    ;;
esac
