#!/bin/sh
# Fails when the committed code under src/gen is not what `npm run generate` makes of proto/.
set -eu
cd -- "$(dirname -- "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf -- "$fresh"' EXIT
PATH="$PWD/node_modules/.bin:$PATH" buf generate -o "$fresh"
if ! diff -ru src/gen "$fresh/src/gen"; then
  echo 'src/gen does not match proto/: run `npm run generate` and commit the result' >&2
  exit 1
fi
