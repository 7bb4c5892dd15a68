#!/bin/sh
# Watch fan-out, ours and Go's client by turns, then a table of medians and what became of the
# targets:
#     sh bench/fanout.sh [full] [BUILD]       (build/release)
#     ROUNDS=3 WINDOW_S=5 DELIVERY=array BUDGET_S=3000 sh bench/fanout.sh
# One round of a few points takes two minutes; `full` has all of them, three rounds, or as many as
# fit into 25 minutes, and at least one.  Every run is a JSON line in BUILD/bench/fanout.jsonl.
# Without Go, or the modules that peers/clientv3/go.mod names, it says so, and ours run alone.  Exit 1
# when a run of ours failed.
set -eu

# shellcheck source=SCRIPTDIR/common.sh
. "$(dirname "$0")/common.sh"

full=''
if [ "${1:-}" = full ]; then
    full=full
    shift
fi
find_build "${1:-}"
rounds=${ROUNDS:-${full:+3}}
rounds=${rounds:-1}
window_s=${WINDOW_S:-2}
budget_s=${BUDGET_S:-1500}
ours=${DELIVERY:-callback}
lines=$build/bench/fanout.jsonl
status=0
: >"$lines"

cmake --build "$build" --target bench.fanout bench.fanout_client bench.fanout_server >/dev/null
build_theirs
make_folder

# run PEER WATCHERS SOURCE RATE EVENTS [WINDOW_S STUCK LEAST_EVENTS]
run() {
    peer=$1
    TMPDIR=$folder "$build/bench/fanout" "$1" "$2" "$3" "$4" "$5" "${6:-$window_s}" "${7:-0}" \
        "${8:-0}" >>"$lines" || {
        echo "fanout: failed: $*" >&2
        [ "$peer" = "$theirs" ] || status=1
    }
}

# both ROUND WATCHERS SOURCE RATE EVENTS: who is first changes from round to round.
both() {
    round=$1
    shift
    [ $((round % 2)) -eq 0 ] || run "$ours" "$@"
    [ -z "$theirs" ] || run "$theirs" "$@"
    [ $((round % 2)) -ne 0 ] || run "$ours" "$@"
}

# by_queue WATCHERS SOURCE:RATE:EVENTS: ours only, read by an epoll loop.
by_queue() {
    # shellcheck disable=SC2046
    [ "$ours" = queue ] || run queue "$1" $(echo "$2" | tr ':' ' ')
}

few() {
    for watchers in 1 100 1000; do
        both "$1" "$watchers" etcd 50 1
    done
    for watchers in 1 100; do
        both "$1" "$watchers" etcd 0 1
    done
    both "$1" 1 canned 0 1
    for watchers in 1 1000; do
        both "$1" "$watchers" canned 0 100
    done
    for source in etcd:50:1 canned:0:100; do
        by_queue 1000 "$source"
    done
}

all() {
    for watchers in 1 10 100 1000 10000; do
        both "$1" "$watchers" etcd 50 1
        both "$1" "$watchers" etcd 0 1
        both "$1" "$watchers" canned 0 1
        both "$1" "$watchers" canned 0 100
    done
    both "$1" 1 etcd 0 100
    both "$1" 1 canned 50 1
    for watchers in 1 1000 10000; do
        by_queue "$watchers" etcd:50:1
        by_queue "$watchers" canned:0:100
    done
}

# One of two never reads: of ours until the other has 1,000,000 events; then it reads, and must come
# to what a list says.  Go's client keeps all of it: a fifth of that is a gigabyte.
stuck() {
    run queue 2 canned 2000 100 5 1 1000000
    run queue 2 etcd 0 100 1 1 "${1:-20000}"
    [ -z "$theirs" ] || [ -z "$full" ] || run "$theirs" 2 canned 2000 100 1 1 200000
}

round=1
began_s=$(date +%s)
longest_s=0
stuck ${full:+150000}
while [ "$round" -le "$rounds" ]; do
    round_s=$(date +%s)
    if [ "$round" -gt 1 ] && [ $((round_s - began_s + longest_s)) -gt "$budget_s" ]; then
        echo "fanout: no time for round $round of $rounds: see BUDGET_S" >&2
        break
    fi
    if [ -n "$full" ]; then all "$round"; else few "$round"; fi
    took_s=$(($(date +%s) - round_s))
    [ "$took_s" -le "$longest_s" ] || longest_s=$took_s
    echo "fanout: round $round of $rounds, $took_s s" >&2
    round=$((round + 1))
done

python3 "$here/fanout_table.py" "$lines"
exit "$status"
