#!/bin/sh
# Builds Go's client as the peer of bench/freeze, if this machine can, and runs it:
#     sh bench/freeze.sh [BUILD [SEED]]       (build/release; drawn)
# Without Go, or the modules that peers/clientv3/go.mod names, it says so, and ours run alone.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${1:-build/release}
[ $# -eq 0 ] || shift
peer=$(cd "$build" && pwd)/bench/peers/clientv3

if ! log=$(cd "$here/peers/clientv3" && go build -mod=readonly -o "$peer" . 2>&1); then
    echo "freeze: no clientv3 beside ours, for it cannot be built: $(echo "$log" | tail -n 1)" >&2
    peer=-
fi
exec "$build/bench/freeze" "$peer" "$@"
