#!/bin/sh
# Generates api/ from the protos of the checkout; needs `npm ci` there, and Go. The plugins are those of go.mod.
# Optionally: generate.sh DIR, which gets api/ instead of this folder.
set -eu
cd -- "$(dirname -- "$0")"
exec ../../node_modules/.bin/buf generate -o "${1-.}"
