#!/bin/sh
# From a fresh Debian 12 to a running demonstration; works from any folder, asks nothing:
#     sh src/quickstart.sh
# Installs what is missing, builds into build/release, runs `rollcall demo`.  What is already done
# is not done again.  An etcd on PATH is used as it is.  Arguments go to the demonstration: --fast.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
sh "$top/.ci/install_packages.sh"

build="$top/build/release"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        echo "rollcall: failed: $*" >&2
        exit 1
    }
}
echo "rollcall: building into build/release" >&2
quietly cmake -C "$top/.ci/release.cmake" -S "$top" -B "$build" \
    -D ROLLCALL_TESTS=OFF -D ROLLCALL_BENCH=OFF # which need more than this machine may have
quietly cmake --build "$build" --parallel "$(nproc)"
"$build/rollcall" demo "$@"
