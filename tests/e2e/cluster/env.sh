# shellcheck shell=bash
# Sourced by every script here: where things are, and whose.
set -euo pipefail

fail() {
    echo "make cluster: $*" >&2
    exit 1
}

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../../.." && pwd)
# everything of the running cluster; the file `port` in it says that it is ours, and where the API server is
export CLUSTER=${AIM_CLUSTER:-$ROOT/.cluster}
[[ $CLUSTER == /* ]] || fail "AIM_CLUSTER=$CLUSTER; write an absolute path"
PORT=$(cat "$CLUSTER/port" 2>/dev/null || echo "${AIM_CLUSTER_PORT:-16443}")
export PORT AIM_IMAGE=${AIM_IMAGE:-aim.local/aim:e2e}
export NODE=aim-$PORT NODE_IP=172.30.0.2 POD_CIDR=10.244.0.0/16 SERVICE_CIDR=10.96.0.0/16 API_IP=10.96.0.1 DNS_IP=10.96.0.10
export IMAGES="pause coredns" # binaries that pods run
export GATEWAY_IP=203.0.113.1 OUTSIDE_IP=203.0.113.2 # the addresses of documentation: no other host has them
# without it, no API server of the oldest version is made: OLDEST= make cluster
export OLDEST=${OLDEST-1}
# binaries, made once for each state of their sources
SOURCES=$(cat "$HERE"/*/go.mod "$HERE"/*/*.go "$HERE"/nfs/* "$HERE/build" | sha256sum | cut -c1-16)
export BIN=${XDG_CACHE_HOME:-$HOME/.cache}/aim-on-kubernetes/$SOURCES
export PATH=$BIN:/usr/local/sbin:/usr/sbin:/sbin:$PATH

# the process of a file with its number, if it is still one of this cluster's
ours() {
    local id
    while read -r id; do
        ! tr '\0' '\n' <"/proc/$id/environ" 2>/dev/null | grep -qxF "CLUSTER=$CLUSTER" || echo "$id"
    done < <(cat "$CLUSTER/$1" 2>/dev/null)
}
