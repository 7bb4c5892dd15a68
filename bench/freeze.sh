#!/bin/sh
# Builds Go's client as the peer of bench/freeze, if this machine can, and runs it:
#     sh bench/freeze.sh [BUILD [SEED]]       (build/release; drawn)
# Without Go, or the modules that peers/clientv3/go.mod names, it says so, and ours run alone.
set -eu

# shellcheck source=SCRIPTDIR/common.sh
. "$(dirname "$0")/common.sh"

find_build "${1:-}"
[ $# -eq 0 ] || shift
build_theirs
exec "$build/bench/freeze" "${theirs:--}" "$@"
