#!/bin/sh
# Installs what is missing, builds, starts a private etcd, and runs the tests:
#     [ROLLCALL_NIGHTLY=ON] sh tests/run.sh [release|asan|tsan] [ctest arguments...]
# The last line is "N passed, N failed"; the exit status is 0 only when something ran and all of it
# passed.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
kind=release
case "${1:-}" in
release | asan | tsan)
    kind=$1
    shift
    ;;
esac
case $kind in
release) also=spin ;;
asan) also=libfuzzer ;;
*) also='' ;;
esac
# shellcheck disable=SC2086
sh "$top/.ci/install_packages.sh" python3:python3 $also

build="$top/build/$kind"
# All temporary files of the run live here, and go with it however it ends.
TMPDIR=$(mktemp -d)
export TMPDIR
memory=''
runner=''
finish() {
    if [ -n "$runner" ]; then
        kill -TERM "$runner" 2>/dev/null || :
        wait "$runner" 2>/dev/null || :
    fi
    rm -rf "$TMPDIR" ${memory:+"$memory"}
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

quietly() {
    "$@" >"$TMPDIR/log" 2>&1 || {
        cat "$TMPDIR/log"
        echo "rollcall: failed: $*" >&2
        exit 1
    }
}
echo "rollcall: building into build/$kind" >&2
# On, since a quickstart may have turned them off here.
quietly cmake -C "$top/.ci/$kind.cmake" -S "$top" -B "$build" \
    -D ROLLCALL_TESTS=ON -D ROLLCALL_BENCH=ON \
    -D ROLLCALL_NIGHTLY="${ROLLCALL_NIGHTLY:-OFF}"
quietly cmake --build "$build" --parallel "$(nproc)"

# etcd_run keeps etcd for exactly as long as ctest runs and gives it to the tests as
# ROLLCALL_TEST_ETCD.  In the background, so that a signal to this shell is acted upon at once.
# $1: the JUnit file to write; the rest: for ctest.
status=0
play() {
    junit=$1
    shift
    rm -f "$junit"
    "$build/tests/etcd_run" ctest --test-dir "$build" --output-on-failure --no-tests=ignore \
        --output-junit "$junit" "$@" &
    runner=$!
    wait "$runner" || status=$?
    runner=''
}
# A sanitizer's tests are those of etcd more than any other's, and those wait more than they work.
at_once=$(nproc)
[ "$kind" = release ] || at_once=$((2 * at_once))
play "$build/junit.xml" --parallel "$at_once" -LE '^outage$' "$@"

# Outages are waited for, so several take hardly longer than one; not beside what keeps the cores
# busy.  Their etcds write into memory, if there is some to spare: a disk that is slow for a second
# is no outage that they are about.
if [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 8000000 ] 2>/dev/null; then
    memory=$(mktemp -d -p /dev/shm)
fi
disk=$TMPDIR
TMPDIR=${memory:-$disk}
play "$build/junit-outage.xml" --parallel "$((4 * $(nproc)))" -L '^outage$' "$@"
TMPDIR=$disk

python3 "$top/.ci/summary.py" "$build/junit.xml" "$build/junit-outage.xml" || status=1
exit "$status"
