#!/bin/sh
# The example of README.md: it is shown as it is compiled, and its planted bug is found, explained,
# and replayed by the command that the report names.
#     sh tests/simulation/example.sh PROGRAM FOLDER
set -eu

program=$1
folder=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "failed: $1"
    exit 1
}
# expect_found FILE OPTION...: runs the program with its bug; what it reports goes to FILE.
expect_found() {
    file=$1
    shift
    status=0
    "$program" forgetful "$@" >"$file" 2>&1 || status=$?
    [ "$status" -eq 1 ] || { cat "$file" && fail "forgetful $*: the bug is not found"; }
    grep -q '^counted-once: ' "$file" || { cat "$file" && fail "it is not counted-once"; }
}

awk '/^<!-- example: counter -->$/ { next_block = 1; next }
     next_block && /^```c$/ { inside = 1; next }
     inside && /^```$/ { exit }
     inside' "$folder/README.md" >"$work/shown.c"
diff -u "$work/shown.c" "$folder/example.c" || fail "README.md shows another program than example.c"

expect_found "$work/report" --seeds 10000
replay=$(sed -n 's/^replay: example forgetful //p' "$work/report")
[ -n "$replay" ] || fail "the report names no way to replay it"
# shellcheck disable=SC2086
expect_found "$work/again" $replay
same='^seed .* fails at step\|^counted-once'
[ "$(grep "$same" "$work/report")" = "$(grep "$same" "$work/again")" ] || {
    cat "$work/report" "$work/again"
    fail "the replay is another run"
}
# shellcheck disable=SC2086
"$program" $replay >"$work/fixed" 2>&1 || { cat "$work/fixed" && fail "without the bug it holds"; }
echo "5 passed, 0 failed"
