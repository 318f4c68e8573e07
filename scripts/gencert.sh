#!/bin/sh
# Makes the certificates of a cluster with CFSSL, from the requests in cfg/ and test/:
#   CONFIG_PATH=DIR  directory to write to (default ~/.golog)
#   NODES="n1 n2"    names of nodes that get their own pair, in addition to server.pem
#   HOSTS=a,b        host names and addresses of the nodes (default: those of cfg/server-csr.json)
#   FORCE=1          replace existing certificates
set -eu
cd "${0%/*}/.."
target=${CONFIG_PATH:-$HOME/.golog}

for tool in cfssl cfssljson; do
  command -v "$tool" >/dev/null || {
    echo "gencert: $tool is not installed: install the package golang-cfssl (Debian, Ubuntu) or cfssl (Homebrew), or use \"golog certs init\"" >&2
    exit 1
  }
done
if [ -e "$target/ca.pem" ] && [ -z "${FORCE:-}" ]; then
  echo "gencert: $target/ca.pem exists already; use FORCE=1 to replace all certificates" >&2
  exit 1
fi

umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
hosts=${HOSTS:-localhost,127.0.0.1,::1}

sign() { # PROFILE NAME REQUEST OPTIONS...
  profile=$1 name=$2 request=$3
  shift 3
  cfssl gencert -loglevel=3 -ca="$work/ca.pem" -ca-key="$work/ca-key.pem" -config=cfg/ca-config.json \
    -profile="$profile" "$@" "$request" >"$work/$name.json"
  (cd "$work" && cfssljson -f "$name.json" -bare "$name")
}

cfssl gencert -loglevel=3 -initca cfg/ca-csr.json >"$work/ca.json"
(cd "$work" && cfssljson -f ca.json -bare ca)
sign server server cfg/server-csr.json ${HOSTS:+-hostname="$HOSTS"}
# CFSSL 1.2 writes no URI: a node's name is a DNS name.
for node in ${NODES:-}; do sign server "node-$node" cfg/server-csr.json -cn="$node" -hostname="$node,$hosts"; done
for client in root nobody; do sign client "$client-client" test/client-csr.json -cn="$client"; done

mkdir -p "$target"
chmod 644 "$work"/*.pem
chmod 600 "$work"/*-key.pem
mv "$work"/*.pem "$target"
echo "wrote $(cd "$work" && ls ./*.json | wc -l | tr -d ' ') pairs to $target"
