#!/bin/sh
# Compiles proto/ to src/gen. Writes nothing when src/gen is up to date, so that nothing else is recompiled.
# `generate.sh --check` writes nothing: it prints what would change, and fails if anything would.
set -eu
cd -- "$(dirname -- "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf -- "$fresh"' EXIT
PATH="$PWD/node_modules/.bin:$PATH" buf generate -o "$fresh"
case "${1-}" in
  --check)
    if ! diff -ru src/gen "$fresh/src/gen"; then
      echo 'src/gen does not match proto/: run `npm run generate` and commit the result' >&2
      exit 1
    fi
    ;;
  '')
    diff -r src/gen "$fresh/src/gen" >/dev/null 2>&1 && exit
    rm -rf src/gen
    cp -R "$fresh/src/gen" src/gen
    ;;
  *)
    echo 'usage: generate.sh [--check]' >&2
    exit 2
    ;;
esac
