#!/bin/sh
# Takeovers of one role, ours, Go's concurrency.Election and upstream's single-key loop by turns,
# then a table of medians and what became of the targets:
#     sh bench/failover.sh [full] [BUILD]       (build/release)
#     TURNS=1 TAKEOVERS=100 SENTINEL=0 sh bench/failover.sh
# Every run is a JSON line in BUILD/bench/failover.jsonl.  Without Go, or the modules that
# peers/clientv3/go.mod names, it says so, and ours run alone; likewise where the library has no
# crash sentinel, or SENTINEL=0.  Exit 1 when a run of ours failed.
set -eu

# shellcheck source=SCRIPTDIR/common.sh
. "$(dirname "$0")/common.sh"

full=''
if [ "${1:-}" = full ]; then
    full=full
    shift
fi
find_build "${1:-}"
turns=${TURNS:-${full:+5}}
turns=${turns:-1}
takeovers=${TAKEOVERS:-${full:+200}}
takeovers=${takeovers:-100}
few=$(((takeovers + 4) / 5))
sentinel=${SENTINEL:-1}
lines=$build/bench/failover.jsonl
skipped=77
status=0
: >"$lines"

cmake --build "$build" --target bench.failover bench.failover_candidate rollcall_command >/dev/null
build_theirs
make_folder

# run PEER SCENE STANDBYS ROUNDS TTL_S [PROGRAM]
run() {
    code=0
    TMPDIR=$folder "$build/bench/failover" "$@" >>"$lines" 2>"$folder/said" || code=$?
    if [ "$code" -eq "$skipped" ]; then
        echo "failover: skipped: $1 $2 with a sentinel: $(grep . "$folder/said" | tail -n 1)" >&2
        sentinel=0
    elif [ "$code" -ne 0 ]; then
        cat "$folder/said" >&2
        echo "failover: failed: $*" >&2
        [ "$1" != rollcall ] || status=1
    fi
}

# all TURN SCENE STANDBYS ROUNDS TTL_S: who is first changes from turn to turn.
all() {
    turn=$1
    shift
    [ $((turn % 2)) -eq 0 ] || run rollcall "$@"
    if [ -n "$theirs" ]; then
        run election "$@" "$theirs"
        case $1 in
        resign | rotate) ;; # upstream cannot
        *) run single-key "$@" "$theirs" ;;
        esac
    fi
    [ $((turn % 2)) -ne 0 ] || run rollcall "$@"
}

turn=1
while [ "$turn" -le "$turns" ]; do
    for scene in close resign; do
        all "$turn" "$scene" 10 "$takeovers" 5
        all "$turn" "$scene" 3 "$few" 5
        all "$turn" "$scene" 50 "$few" 5
    done
    all "$turn" rotate 10 "$few" 5
    all "$turn" frozen 10 "$few" 2
    all "$turn" kill 10 "$few" 2
    [ "$sentinel" = 0 ] || run rollcall kill 10 "$takeovers" 5 "$build/rollcall"
    [ "$turn" -ne 1 ] || all 1 quiet 10 60 5
    echo "failover: turn $turn of $turns" >&2
    turn=$((turn + 1))
done

python3 "$here/failover_table.py" "$lines"
exit "$status"
