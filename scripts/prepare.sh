#!/bin/sh
# Makes the checkout ready: `prepare.sh install` has node_modules fit package-lock.json, `prepare.sh build` also has
# dist fit src. Does nothing, in a few milliseconds, when both fit already. Needs Node and npm, nothing else.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"

node_needed='20.19'
lock_stamp='node_modules/.golog-package-lock.json'
build_stamp='dist/.stamp'

say() { printf '%s\n' "$*" >&2; }

check_node() {
  if ! found=$(node --version 2>/dev/null); then
    say "golog needs Node.js $node_needed or newer, and there is no 'node' in PATH."
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
  command -v npm >/dev/null || { say "golog needs npm, which comes with Node.js; there is no 'npm' in PATH."; exit 1; }
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

# Two starts at once must not install into each other. Where there is no flock(1) the second start is on its own.
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
