#!/bin/sh
# Watch fan-out, ours and Go's client by turns, then a table of medians and what became of the
# targets:
#     sh bench/fanout.sh [full] [BUILD]       (build/release)
#     ROUNDS=3 WINDOW_S=5 DELIVERY=callback sh bench/fanout.sh
# Every run is a JSON line in BUILD/bench/fanout.jsonl.  Without Go, or the modules that
# peers/clientv3/go.mod names, it says so, and ours run alone.  Exit 1 when a run of ours failed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
full=''
if [ "${1:-}" = full ]; then
    full=full
    shift
fi
build=$(cd "${1:-build/release}" && pwd)
rounds=${ROUNDS:-${full:+5}}
rounds=${rounds:-2}
window_s=${WINDOW_S:-5}
ours=${DELIVERY:-callback}
lines=$build/bench/fanout.jsonl
theirs=$build/bench/peers/clientv3
status=0
: >"$lines"

cmake --build "$build" --target bench.fanout bench.fanout_client bench.fanout_server >/dev/null
if ! log=$(cd "$here/peers/clientv3" && go build -mod=readonly -o "$theirs" . 2>&1); then
    echo "fanout: no clientv3 beside ours, for it cannot be built: $(echo "$log" | tail -n 1)" >&2
    theirs=''
fi

# Etcd's data in memory, if there is such a place: what a disk does is no part of the comparison.
folder=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run PEER WATCHERS SOURCE RATE EVENTS [STUCK]
run() {
    TMPDIR=$folder "$build/bench/fanout" "$1" "$2" "$3" "$4" "$5" "$window_s" "${6:-0}" >>"$lines" || {
        echo "fanout: failed: $*" >&2
        [ "$1" != "$ours" ] || status=1
    }
}

# both ROUND WATCHERS SOURCE RATE EVENTS [STUCK]: who is first changes from round to round.
both() {
    round=$1
    shift
    [ $((round % 2)) -eq 0 ] || run "$ours" "$@"
    [ -z "$theirs" ] || run "$theirs" "$@"
    [ $((round % 2)) -ne 0 ] || run "$ours" "$@"
}

round=1
while [ "$round" -le "$rounds" ]; do
    for watchers in 1 10 100 1000 ${full:+10000}; do
        both "$round" "$watchers" etcd 50 1
    done
    for watchers in 1 ${full:+10} 100 ${full:+1000 10000}; do
        both "$round" "$watchers" etcd 0 1
    done
    for watchers in 1 ${full:+10 100 1000 10000}; do
        both "$round" "$watchers" canned 0 1
    done
    for watchers in 1 ${full:+10 100} 1000 ${full:+10000}; do
        both "$round" "$watchers" canned 0 100
    done
    if [ -n "$full" ]; then
        both "$round" 1 etcd 0 100
        both "$round" 1 canned 50 1
        both "$round" 2 canned 0 100 1 # one of two never reads
    fi
    echo "fanout: round $round of $rounds" >&2
    round=$((round + 1))
done

python3 "$here/fanout_table.py" "$lines"
exit "$status"
