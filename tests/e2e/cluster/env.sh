# Sourced by every script here: where things are.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../../.." && pwd)
# everything of the running cluster; CLUSTER and PORT tell clusters apart
export CLUSTER=${CLUSTER:-$ROOT/.cluster} PORT=${PORT:-16443}
export AIM_IMAGE=${AIM_IMAGE:-aim.local/aim:e2e}
export NODE=aim-$PORT NODE_IP=172.30.0.2 POD_CIDR=10.244.0.0/16 SERVICE_CIDR=10.96.0.0/16 API_IP=10.96.0.1 DNS_IP=10.96.0.10
# binaries, made once for each state of the go.mod files
SOURCES=$(cat "$HERE"/*/go.mod "$HERE"/*/*.go "$HERE"/nfs/* "$HERE/build" | sha256sum | cut -c1-16)
export BIN=${XDG_CACHE_HOME:-$HOME/.cache}/aim-on-kubernetes/$SOURCES
export PATH=$BIN:/usr/local/sbin:/usr/sbin:/sbin:$PATH

fail() {
    echo "make cluster: $*" >&2
    exit 1
}
