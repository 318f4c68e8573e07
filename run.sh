#!/bin/sh
# Installs dependencies and compiles if needed, then runs a node on 127.0.0.1: HTTP on 4001, gRPC on 8400.
# Passes its arguments to `golog serve`. The log is stored in golog-data of this checkout unless --data-dir or a
# configuration file says otherwise.
set -eu
case "$0" in
  */*) root=${0%/*} ;;
  *) root=. ;;
esac
root=$(CDPATH='' cd -- "$root" && pwd -P)
"$root/scripts/prepare.sh" build

# The environment takes precedence over a configuration file, so do not set it when there is one.
case " ${GOLOG_CONFIG_FILE:+--config-file} $* " in
  *' --config-file'*) ;;
  *)
    GOLOG_DATA_DIR=${GOLOG_DATA_DIR:-"$root/golog-data"}
    export GOLOG_DATA_DIR
    ;;
esac
exec "$root/bin/golog" serve "$@"
